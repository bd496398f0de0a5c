/* SPDX-License-Identifier: AGPL-3.0-only */
/* Files and the kernel's records go to the journal only (decisions, [1]): they are too many for the
 * store. */
#include "daemon/aegisd/aegisd.h"
#include "daemon/tool/tool.h"
#include <arpa/inet.h>
#include <string.h>

static void decision_put(struct json_writer *w, const struct fsal_record *r)
{
	struct arena *a CLEANUP(arena_cleanup) = arena_new(LIMIT_AUDIT_PAYLOAD_BYTES);
	struct buf request CLEANUP(buf_fini) = buf_init(LIMIT_AUDIT_PAYLOAD_BYTES);
	struct json_writer q = json_writer(&request);
	struct decision_request asked;

	if (!a || !r->decision->policy_set.n)
		return; /* it never came to a decision */
	int bad = fsal_record_request(r, a, &asked);
	if (bad == 0)
		decision_request_put(&q, &asked);
	if (bad == 0)
		bad = tool_decision_put(w, r->decision, buf_view(&request), TOOL_SIGNED_BY_DAEMON);
	if (bad < 0)
		err_clear();
}

static struct journal *journal_of(void *ctx)
{
	return ((struct recorder *)ctx)->journal;
}

static AWAITS void gap(struct journal *j, const struct audit_gap *g)
{
	fiber_shield_begin();
	int r = journal_gap(j, g, DEADLINE_NONE);
	if (r < 0)
		err_log(r, "record that records were lost");
	fiber_shield_end();
}

void record_gap(void *ctx, const struct sandbox_origin *o, uint64_t count, const char *reason)
{
	struct audit_gap g = {.source = AUDIT_KERNEL,
		.count = count,
		.reason = reason,
		.execution_id = o->execution,
		.iteration = o->iteration};

	gap(journal_of(ctx), &g);
}

void record_settle(void *ctx)
{
	fiber_shield_begin();
	int r = journal_sync(journal_of(ctx), DEADLINE_NONE);
	if (r < 0)
		err_log(r, "see what the kernel denied to the disk");
	fiber_shield_end();
}

void record_post(struct journal *j, struct audit_record *record, struct buf *payload)
{
	record->payload = buf_view(payload);
	fiber_shield_begin();
	int bad = buf_error(payload);
	if (bad == 0)
		bad = journal_post(j, record, DEADLINE_NONE);
	if (bad < 0) {
		err_log(bad, "put a record into the journal");
		gap(j,
			&(struct audit_gap){.source = record->source,
				.count = 1,
				.reason = "the record could not be written",
				.execution_id = record->execution_id,
				.iteration = record->iteration});
	}
	fiber_shield_end();
}

void record_file(void *ctx, const struct fsal_record *r)
{
	struct buf b CLEANUP(buf_fini) = buf_init(LIMIT_AUDIT_PAYLOAD_BYTES);
	struct json_writer w = json_writer(&b);
	struct audit_record record = {.source = AUDIT_FILE,
		.kind = span_cstr(r->operation ? r->operation : ""),
		.iteration = r->iteration};

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
	/* Ids that are none (tests use short names) stay nil. */
	(void)!uuid_parse(r->execution_id, &record.execution_id);
	(void)!uuid_parse(r->call_id, &record.call_id);
	if (r->lost_before)
		gap(ctx,
			&(struct audit_gap){.source = AUDIT_FILE,
				.count = r->lost_before,
				.reason = "more file operations than are told one by one",
				.execution_id = record.execution_id,
				.iteration = r->iteration});
	if (r->operation)
		record_post(ctx, &record, &b);
}

/* ---- network ---- */

static void address_put(struct json_writer *w, const uint8_t *address)
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
	char text[INET6_ADDRSTRLEN];

	if (memcmp(address, mapped, sizeof(mapped)) == 0)
		inet_ntop(AF_INET, address + sizeof(mapped), text, sizeof(text));
	else
		inet_ntop(AF_INET6, address, text, sizeof(text));
	json_field_cstr(w, "address", text);
}

/* The facts of a call that has rules of its own: what happened in it was decided by them. */
static void call_put(struct json_writer *w, const struct sandbox_origin *o)
{
	if (o->call_program.n)
		json_field_span(w, "call_program", o->call_program);
	if (o->call_tool.n)
		json_field_span(w, "call_tool", o->call_tool);
}

void record_denial(void *ctx, const struct sandbox_origin *o, const struct net_denial *d,
	struct span policy_id)
{
	struct buf b CLEANUP(buf_fini) = buf_init(LIMIT_AUDIT_PAYLOAD_BYTES);
	struct json_writer w = json_writer(&b);
	struct audit_record record = {.source = AUDIT_KERNEL,
		.kind = SPAN(AUDIT_KIND_NETWORK_DENIED),
		.execution_id = o->execution,
		.call_id = o->call,
		.iteration = o->iteration};

	json_object(&w);
	json_field_i64(&w, "iteration", o->iteration);
	json_field_cstr(&w, "hook", sensor_hook_text((enum net_hook)d->hook));
	address_put(&w, d->address);
	json_field_i64(&w, "port", d->port);
	json_field_i64(&w, "protocol", d->protocol);
	json_field_cstr(&w, "reason", sensor_verdict_text((enum net_verdict)d->verdict));
	/* A lease that was over had no part in it. */
	if (d->verdict != NET_DENY_LEASE)
		call_put(&w, o);
	json_field_span(&w, "policy_id", policy_id);
	json_field_i64(&w, "cgroup", (int64_t)d->cgroup);
	json_field_i64(&w, "call_cgroup", (int64_t)d->call_cgroup);
	json_field_i64(&w, "pid", d->pid);
	json_field_span(&w, "command", span_of(d->comm, strnlen(d->comm, sizeof(d->comm))));
	json_field_i64(&w, "boot_time_ns", (int64_t)d->time_ns);
	record_server_put(ctx, &w, &o->execution);
	json_end(&w);
	record_post(journal_of(ctx), &record, &b);
}

void record_lsm_denial(void *ctx, const struct sandbox_origin *o, const struct lsm_denial *d,
	struct span policy_id, struct span path)
{
	struct buf b CLEANUP(buf_fini) = buf_init(LIMIT_AUDIT_PAYLOAD_BYTES);
	struct json_writer w = json_writer(&b);
	struct audit_record record = {.source = AUDIT_KERNEL,
		.kind = SPAN(AUDIT_KIND_KERNEL_DENIED),
		.execution_id = o->execution,
		.call_id = o->call,
		.iteration = o->iteration};

	json_object(&w);
	json_field_i64(&w, "iteration", o->iteration);
	json_field_cstr(&w, "hook", lsm_hook_text((enum lsm_hook)d->hook));
	json_field_cstr(&w, "reason", lsm_verdict_text((enum lsm_verdict)d->verdict));
	json_field_span(&w, "policy_id", policy_id);
	if (path.n)
		json_field_span(&w, "path", path);
	json_field_i64(&w, "device", d->device);
	json_field_i64(&w, "inode", (int64_t)d->inode);
	json_field_i64(&w, "detail", d->detail);
	json_field_i64(&w, "cgroup", (int64_t)d->cgroup);
	json_field_i64(&w, "call_cgroup", (int64_t)d->call_cgroup);
	json_field_i64(&w, "pid", d->pid);
	json_field_span(&w, "command", span_of(d->comm, strnlen(d->comm, sizeof(d->comm))));
	json_field_i64(&w, "boot_time_ns", (int64_t)d->time_ns);
	record_server_put(ctx, &w, &o->execution);
	json_end(&w);
	record_post(journal_of(ctx), &record, &b);
}

void record_resolution(void *ctx, const struct sandbox_origin *o, const struct resolver_record *r)
{
	struct buf b CLEANUP(buf_fini) = buf_init(LIMIT_AUDIT_PAYLOAD_BYTES);
	struct json_writer w = json_writer(&b);
	struct audit_record record = {.source = AUDIT_KERNEL,
		.kind = r->denied ? SPAN(AUDIT_KIND_NAME_DENIED) : SPAN(AUDIT_KIND_NAME_RESOLVED),
		.execution_id = o->execution,
		.call_id = o->call,
		.iteration = o->iteration};

	json_object(&w);
	json_field_i64(&w, "iteration", o->iteration);
	json_field_span(&w, "name", r->name);
	json_field_i64(&w, "type", r->type);
	json_field_i64(&w, "addresses", (int64_t)r->addresses);
	json_field_i64(&w, "internal_addresses", (int64_t)r->internal);
	json_field_i64(&w, "rcode", r->rcode);
	if (r->reason)
		json_field_cstr(&w, "reason", r->reason);
	json_field_span(&w, "policy_id", r->policy_id);
	json_field_i64(&w, "latency_ns", r->latency_ns);
	record_server_put(ctx, &w, &o->execution);
	json_end(&w);
	record_post(journal_of(ctx), &record, &b);
}

void record_flow(
	void *ctx, const struct sandbox_origin *o, const struct sensor_flow *f, struct span name)
{
	struct buf b CLEANUP(buf_fini) = buf_init(LIMIT_AUDIT_PAYLOAD_BYTES);
	struct json_writer w = json_writer(&b);
	struct audit_record record = {.source = AUDIT_KERNEL,
		.kind = SPAN(AUDIT_KIND_FLOW),
		.execution_id = o->execution,
		.call_id = o->call,
		.iteration = o->iteration};

	json_object(&w);
	address_put(&w, f->key.address);
	json_field_i64(&w, "port", f->key.port);
	json_field_i64(&w, "own_port", f->key.own_port);
	json_field_i64(&w, "protocol", f->key.protocol);
	if (name.n)
		json_field_span(&w, "name", name);
	json_field_i64(&w, "sent_bytes", (int64_t)f->counts.sent_bytes);
	json_field_i64(&w, "sent_packets", (int64_t)f->counts.sent_packets);
	json_field_i64(&w, "received_bytes", (int64_t)f->counts.received_bytes);
	json_field_i64(&w, "received_packets", (int64_t)f->counts.received_packets);
	json_field_cstr(&w, "end", flow_end_text(f->end));
	call_put(&w, o);
	json_field_i64(&w, "cgroup", (int64_t)f->key.cgroup);
	json_field_i64(&w, "call_cgroup", (int64_t)f->counts.call_cgroup);
	json_field_i64(&w, "boot_time_ns", (int64_t)f->counts.opened_ns);
	json_field_i64(&w, "last_ns", (int64_t)f->counts.last_ns);
	record_server_put(ctx, &w, &o->execution);
	json_end(&w);
	record_post(journal_of(ctx), &record, &b);
}

void record_lease(void *ctx, const struct sandbox_origin *o, const struct sandbox_lease *l)
{
	struct buf b CLEANUP(buf_fini) = buf_init(LIMIT_AUDIT_PAYLOAD_BYTES);
	struct json_writer w = json_writer(&b);
	struct audit_record record = {.source = AUDIT_KERNEL,
		.kind = l->opened ? SPAN(AUDIT_KIND_LEASE_OPENED) : SPAN(AUDIT_KIND_LEASE_ENDED),
		.execution_id = o->execution,
		.call_id = o->call,
		.iteration = o->iteration};

	json_object(&w);
	json_field_i64(&w, "iteration", o->iteration);
	call_put(&w, o);
	if (l->opened) {
		json_field_i64(&w, "permits", (int64_t)l->permits);
		json_field_i64(&w, "lasts_ms", l->lasts_ms);
	} else {
		json_field_cstr(&w, "reason", l->why);
	}
	json_field_i64(&w, "cgroup", (int64_t)o->identity);
	json_field_i64(&w, "call_cgroup", (int64_t)l->identity);
	json_end(&w);
	record_post(journal_of(ctx), &record, &b);
}
