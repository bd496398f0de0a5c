/* SPDX-License-Identifier: AGPL-3.0-only */
/* File operations go to the journal only (decisions, [1]): they are too many for the store. */
#include "daemon/aegisd/aegisd.h"

static void decision_put(struct json_writer *w, const struct fsal_record *r)
{
	struct audit_decision d = {
		.allowed = r->decision->allowed,
		.code = (int)r->decision->code,
		.reason = r->decision->reason,
		.policy_set = r->decision->policy_set,
		.policies = &r->decision->policy_id,
		.policy_count = 1,
		.signer = SPAN("daemon"),
	};
	struct buf request CLEANUP(buf_fini) = buf_init(LIMIT_AUDIT_PAYLOAD_BYTES);
	struct json_writer q = json_writer(&request);

	if (!r->decision->policy_set.n)
		return; /* it never came to a decision */
	json_object(&q);
	json_field_cstr(&q, "action", r->writes ? "fs:write" : "fs:read");
	json_field_span(&q, "execution_id", r->execution_id);
	json_field_span(&q, "volume_id", r->volume_id);
	json_field_span(&q, "path", r->path);
	json_end(&q);
	d.request = buf_view(&request);
	if (audit_decision_put(w, &d) < 0)
		err_clear();
}

static AWAITS void gap(struct journal *j, uint64_t count, const char *reason)
{
	int r = journal_gap(j, AUDIT_FILE, count, reason, DEADLINE_NONE);
	if (r < 0)
		err_log(r, "record that file records were lost");
}

void record_file(void *ctx, const struct fsal_record *r)
{
	struct buf b CLEANUP(buf_fini) = buf_init(LIMIT_AUDIT_PAYLOAD_BYTES);
	struct json_writer w = json_writer(&b);
	struct audit_record record = {.source = AUDIT_FILE, .kind = span_cstr(r->operation)};

	json_object(&w);
	json_field_span(&w, "volume_id", r->volume_id);
	json_field_span(&w, "path", r->path);
	json_field_i64(&w, "offset", (int64_t)r->offset);
	json_field_i64(&w, "bytes", (int64_t)r->bytes);
	json_field_i64(&w, "count", (int64_t)r->count);
	json_field_i64(&w, "iteration", r->iteration);
	json_field_i64(&w, "latency_ns", r->latency_ns);
	if (r->result < 0)
		json_field_cstr(&w, "error", err_name(r->result));
	decision_put(&w, r);
	json_end(&w);
	record.payload = buf_view(&b);
	/* Ids that are none (tests use short names) stay nil. */
	(void)!uuid_parse(r->execution_id, &record.execution_id);
	(void)!uuid_parse(r->call_id, &record.call_id);
	fiber_shield_begin();
	if (r->lost_before)
		gap(ctx, r->lost_before, "the queue of file records was full");
	int bad = buf_error(&b);
	if (bad == 0)
		bad = journal_post(ctx, &record, DEADLINE_NONE);
	if (bad < 0) {
		err_log(bad, "record a file operation");
		gap(ctx, 1, "the record could not be written");
	}
	fiber_shield_end();
}
