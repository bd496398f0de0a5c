/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * What a named context allows to clients from outside, made once for all of them and again after a
 * change. Its limits are the context's, too: whoever holds the bearer key can make as many sessions
 * and keys as it likes, so what was taken from a limit must not begin anew with one of them.
 *
 * After a restart nobody knows what was taken before. So the store remembers which contexts were
 * ever used, and the limits of those begin empty.
 */
#include "daemon/smcp/internal.h"
#include <stdio.h>
#include <stdlib.h>

struct smcp_rules *smcp_rules_unref(struct smcp_rules *x)
{
	if (!x || --x->refs)
		return NULL;
	rate_state_free(x->rate);
	rule_set_unref(x->rules);
	free(x->scope);
	free(x);
	return NULL;
}

static struct smcp_rules *rules_new(
	struct span scope, struct rule_set *rules, uint64_t serial, const struct smcp_rules *before)
{
	struct smcp_rules *x = calloc(1, sizeof(*x));

	if (!x)
		return NULL;
	x->refs = 1;
	x->serial = serial;
	x->scope = span_dup(scope);
	x->rules = rule_set_ref(rules);
	x->rate = before ? rate_state_renew(before->rate, rules) : rate_state_new(rules);
	return x->scope && x->rate ? x : smcp_rules_unref(x);
}

bool smcp_rules_current(const struct smcp_service *s, const struct smcp_rules *x)
{
	return x->serial == s->rules_serial;
}

static struct smcp_rules *rules_find(struct smcp_service *s, struct span scope)
{
	struct smcp_rules *x = map_get(&s->by_scope, scope);

	return x && smcp_rules_current(s, x) ? x : NULL;
}

/* Takes the place of the one before; calls under way keep theirs. */
static int rules_replace(struct smcp_service *s, struct smcp_rules *x)
{
	struct span scope = span_cstr(x->scope);
	struct smcp_rules *before = map_remove(&s->by_scope, scope);
	int r = map_put(&s->by_scope, scope, x);

	smcp_rules_unref(before);
	return err_trace(r);
}

/* Whether an earlier life has used it; from now on one has. */
static AWAITS int mark_used(
	struct smcp_service *s, struct span scope, bool *ret_used, int64_t deadline_ns)
{
	char key[LIMIT_NAME_BYTES + 32], space[64];
	struct arena *a CLEANUP(arena_cleanup) = arena_new(4096);
	struct span value;

	snprintf(key, sizeof(key), "smcp.used.%.*s", (int)MIN(scope.n, (size_t)LIMIT_NAME_BYTES),
		scope.p);
	int r = a ? store_kv_get(s->o.store, span_cstr(key), a, &value, deadline_ns)
		  : err_raise(-ENOMEM, "smcp: out of memory");
	*ret_used = r == 0;
	if (r != STORE_NOT_FOUND)
		return err_trace(r);
	snprintf(space, sizeof(space), "%lld", (long long)s->start_s);
	return err_trace(store_kv_put(s->o.store, span_cstr(key), span_cstr(space), deadline_ns));
}

static AWAITS int text_keep(
	struct smcp_service *s, const struct rule_set *rules, int64_t deadline_ns)
{
	struct arena *a CLEANUP(arena_cleanup) = arena_new(2 * (size_t)LIMIT_RULE_SET_BYTES);
	struct span text = a ? rule_set_text(rules, a) : (struct span){0};
	struct store_hash hash;

	if (!text.p)
		return err_raise(-ENOMEM, "smcp: out of memory");
	return err_trace(store_blob_put(s->o.store, text, &hash, deadline_ns));
}

static AWAITS int rules_make(struct smcp_service *s, struct span scope, struct rule_set *rules,
	uint64_t serial, int64_t deadline_ns)
{
	bool first = !map_get(&s->by_scope, scope), used = false;
	/* What decides is kept, so that it can be decided again [2]. */
	int r = text_keep(s, rules, deadline_ns);

	if (r == 0 && first)
		r = mark_used(s, scope, &used, deadline_ns);
	struct smcp_rules *before = map_get(&s->by_scope, scope);
	/* Made meanwhile: what was taken from its limits counts. */
	if (r < 0 || (before && before->serial >= serial))
		return err_trace(r);
	struct smcp_rules *x = rules_new(scope, rules, serial, before);
	if (!x)
		return err_raise(-ENOMEM, "smcp: out of memory");
	if (used)
		rate_state_drain(x->rate, rt_now_ns());
	r = rules_replace(s, x);
	if (r < 0)
		smcp_rules_unref(x);
	return err_trace(r);
}

int smcp_rules_of(
	struct smcp_service *s, struct span scope, struct smcp_rules **ret, int64_t deadline_ns)
{
	struct smcp_rules *x = rules_find(s, scope);

	if (!x) {
		struct rule_set *rules = NULL;
		uint64_t serial = s->rules_serial;
		int r = s->o.context(s->o.context_ctx, scope, &rules, deadline_ns);
		if (r == 0)
			r = rules_make(s, scope, rules, serial, deadline_ns);
		rule_set_unref(rules);
		if (r != 0)
			return err_trace(r);
		x = map_get(&s->by_scope, scope);
	}
	x->refs++;
	*ret = x;
	return 0;
}

void rules_forget(struct smcp_service *s)
{
	map_for_each (slot, &s->by_scope)
		smcp_rules_unref(slot->value);
	map_fini(&s->by_scope);
}
