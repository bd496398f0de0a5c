/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The node's policies at start and at SIGHUP. The text of every set that ever held stands in the
 * store under its hash, and a change of the set stands in the journal: a decision of any day can be
 * decided again.
 */
#include "daemon/aegisd/aegisd.h"

enum { POLICY_DEADLINE_MS = 60000 };

static AWAITS int keep_text(struct policies *p, struct store *store)
{
	struct arena *a CLEANUP(arena_cleanup) = arena_new(2 * (size_t)LIMIT_RULE_SET_BYTES);
	struct policy_snapshot *now = policies_current(p);
	struct span text = a ? rule_set_text(policy_rules(now), a) : (struct span){0};
	struct store_hash hash;
	int r = text.p ? store_blob_put(store, text, &hash, deadline_in_ms(POLICY_DEADLINE_MS))
		       : err_raise(-ENOMEM, "policy: out of memory");

	policy_unref(now);
	return err_trace(r);
}

static void log_findings(const struct buf *findings, bool refused)
{
	struct span rest = buf_view(findings), line;
	bool done = false;

	while (span_split(&rest, '\n', &done, &line)) {
		if (!line.n)
			continue;
		if (refused)
			log_error("policy: " SPAN_FMT, SPAN_ARG(line));
		else
			log_warn("policy: " SPAN_FMT, SPAN_ARG(line));
	}
}

int policy_start(
	const struct config *c, struct offload *files, struct store *store, struct policies **ret)
{
	struct buf findings CLEANUP(buf_fini) = buf_init(POLICY_FINDINGS_BYTES);
	struct policies *p = NULL;
	int r = policies_open(files, c, &findings, &p, deadline_in_ms(POLICY_DEADLINE_MS));

	log_findings(&findings, r == POLICY_INVALID);
	if (r == POLICY_INVALID) /* nothing would hold: no start */
		return err_raise(-EINVAL, "the node's policies are not valid (see above)");
	if (r == 0)
		r = keep_text(p, store);
	if (r < 0) {
		policies_free(p);
		return err_trace(r);
	}
	*ret = p;
	return 0;
}

static AWAITS int changed_record(struct journal *journal, const struct policy_snapshot *old,
	const struct policy_snapshot *now)
{
	struct arena *a CLEANUP(arena_cleanup) = arena_new(2 * (size_t)LIMIT_RULE_SET_BYTES);
	struct span text = a ? rule_set_text(policy_rules(now), a) : (struct span){0};
	struct buf b CLEANUP(buf_fini) = buf_init(4096);
	struct json_writer w = json_writer(&b);

	if (!text.p)
		return err_raise(-ENOMEM, "policy: out of memory");
	json_object(&w);
	json_field_span(&w, "policy_set", rule_set_hash(policy_rules(now)));
	json_field_span(&w, "former_policy_set", rule_set_hash(policy_rules(old)));
	json_field_i64(&w, "policies", (int64_t)rule_set_count(policy_rules(now)));
	json_field_i64(&w, "security_contexts", (int64_t)policy_context_count(now));
	json_end(&w);
	int r = buf_error(&b);
	if (r < 0)
		return err_trace(r);
	struct audit_record record = {
		.source = AUDIT_DAEMON, .kind = SPAN("PolicyReloaded"), .payload = buf_view(&b)};
	r = journal_policy_set(journal, rule_set_hash(policy_rules(now)), text, DEADLINE_NONE);
	return r < 0 ? err_trace(r) : err_trace(journal_append(journal, &record, 1, DEADLINE_NONE));
}

int policy_reload(const struct config *c, struct policies *p, struct store *store,
	struct journal *journal, struct buf *findings)
{
	struct policy_snapshot *old = policies_current(p);
	int r = policies_reload(p, c, findings, deadline_in_ms(POLICY_DEADLINE_MS));

	log_findings(findings, r == POLICY_INVALID);
	if (r == POLICY_INVALID)
		log_error("policy: not valid; the old policies go on to hold");
	if (r == 0)
		r = keep_text(p, store);
	if (r == 0) {
		struct policy_snapshot *now = policies_current(p);
		log_info("policy: %zu policies and %zu security contexts hold from now on",
			rule_set_count(policy_rules(now)), policy_context_count(now));
		r = changed_record(journal, old, now);
		policy_unref(now);
	}
	policy_unref(old);
	return r < 0 ? err_trace(r) : r;
}
