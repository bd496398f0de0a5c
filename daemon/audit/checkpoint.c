/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Records that the journal writes about itself: signed heads and gaps.
 *
 * Heads form a second chain: each names the hash of the head signed before, and the signer
 * remembers that one. If the daemon died between a signature and its record, the signer tells at
 * the next checkpoint which head it signed last; that head is recorded late, and the chain goes on.
 * If that head seals a record that the journal does not have, the journal was cut back, and nothing
 * is signed any more.
 */
#include "daemon/audit/journal.h"

#include <errno.h>

enum { PAYLOAD_BYTES = 1024, REASON_BYTES = 512 };

static int append_head(
	struct journal *j, const struct head_signed *signed_head, int64_t deadline_ns)
{
	struct audit_anchor anchor = {.head = *signed_head};
	struct buf b CLEANUP(buf_fini) = buf_init(PAYLOAD_BYTES);
	struct json_writer w = json_writer(&b);

	memcpy(anchor.key, j->key, sizeof(anchor.key));
	audit_anchor_put(&w, &anchor);
	int r = buf_error(&b);
	if (r < 0)
		return err_trace(r);
	struct audit_record record = {
		.source = AUDIT_JOURNAL, .kind = SPAN("Head"), .payload = buf_view(&b)};
	struct entry e = {.records = &record,
		.count = 1,
		.bytes = FRAME_OVERHEAD_BYTES + b.len,
		.head = &signed_head->head};
	return journal_run(j, &e, deadline_ns);
}

/* What would be signed now, all of it durable; false if nothing came since the last head. */
static int next_head(struct journal *j, struct head *ret, bool *ret_any, int64_t deadline_ns)
{
	struct entry barrier = {.count = 0};
	const struct tip *tip = &barrier.tip;
	int r = journal_run(j, &barrier, deadline_ns);

	if (r < 0)
		return r;
	*ret_any = tip->number > 0 && !(tip->is_head && tip->head_record + 1 == tip->number);
	*ret = (struct head){.journal = j->id, .segment = tip->segment, .record = tip->number};
	memcpy(ret->hash, tip->hash.bytes, HEAD_HASH_BYTES);
	memcpy(ret->previous, tip->head_hash.bytes, HEAD_HASH_BYTES);
	return 0;
}

static int check_signed(struct journal *j, const struct head_signed *s)
{
	if (!uuid_eq(s->head.journal, j->id) || !head_verify(s, j->key))
		return err_raise(
			-EBADMSG, "audit journal: the signer's answer is not signed with its key");
	return 0;
}

static int record_late_head(struct journal *j, const struct head_signed *last, int64_t deadline_ns)
{
	int r = check_signed(j, last);

	if (r < 0)
		return err_trace(r);
	if (last->head.record > atomic_load(&j->newest))
		return err_raise(-EUCLEAN,
			"audit journal: %s ends at record %llu, but record %llu was signed: the "
			"journal was cut back or replaced by an older copy",
			j->dir, (unsigned long long)atomic_load(&j->newest),
			(unsigned long long)last->head.record);
	return append_head(j, last, deadline_ns);
}

static int checkpoint(struct journal *j, int64_t deadline_ns)
{
	struct head head;
	struct head_signed answer;
	struct head_signed last;
	bool any;
	int r = next_head(j, &head, &any, deadline_ns);

	if (r < 0 || !any)
		return r;
	r = j->sign(j->sign_ctx, &head, &answer, &last, deadline_ns);
	if (r == -ESTALE) {
		err_clear();
		r = record_late_head(j, &last, deadline_ns);
		if (r == 0)
			r = next_head(j, &head, &any, deadline_ns);
		if (r == 0)
			r = j->sign(j->sign_ctx, &head, &answer, &last, deadline_ns);
	}
	if (r < 0)
		return err_wrap(r, "sign a head of the audit journal");
	r = check_signed(j, &answer);
	if (r < 0)
		return err_trace(r);
	return append_head(j, &answer, deadline_ns);
}

int journal_checkpoint(struct journal *j, int64_t deadline_ns)
{
	if (!j->sign)
		return err_raise(
			-ENOTSUP, "audit journal: there is no signer, heads are not signed");
	if (atomic_exchange(&j->checkpointing, true))
		return err_raise(-EALREADY, "audit journal: a checkpoint is being made");
	int r = checkpoint(j, deadline_ns);
	atomic_store(&j->checkpointing, false);
	return r;
}

int journal_gap(struct journal *j, const struct audit_gap *gap, int64_t deadline_ns)
{
	struct buf b CLEANUP(buf_fini) = buf_init(PAYLOAD_BYTES);
	struct json_writer w = json_writer(&b);

	json_object(&w);
	json_field_cstr(&w, "source", audit_source_name(gap->source));
	json_key(&w, "lost");
	json_put_u64(&w, gap->count);
	json_field_span(&w, "reason", span_sub(span_cstr(gap->reason), 0, REASON_BYTES));
	json_end(&w);
	int r = buf_error(&b);
	if (r < 0)
		return err_trace(r);
	struct audit_record record = {.source = AUDIT_JOURNAL,
		.kind = SPAN("Gap"),
		.execution_id = gap->execution_id,
		.iteration = gap->iteration,
		.payload = buf_view(&b)};
	struct entry e = {.records = &record,
		.count = 1,
		.bytes = FRAME_OVERHEAD_BYTES + b.len,
		.gaps = gap->count};
	return journal_run(j, &e, deadline_ns);
}
