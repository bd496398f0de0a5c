/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Compiling a set, and authorisation: default deny, a forbid that applies wins, a policy whose
 * evaluation fails is passed over and reported.
 */
#include "policy/cedar/set.h"
#include "policy/cedar/host.h"
#include "policy/cedar/no_memory.h"

int cedar_set_compile(
	struct arena *a, const struct cedar_policies *policies, const struct cedar_set **ret)
{
	struct cedar_set *s = arena_make(a, struct cedar_set);
	struct compiled *compiled;
	int r;
	if (policies->count > LIMIT_CEDAR_POLICIES)
		return err_raise(-E2BIG, "%zu policies; at most %d are accepted", policies->count,
			LIMIT_CEDAR_POLICIES);
	compiled = arena_make_array(a, struct compiled, policies->count + 1);
	if (!s || !compiled)
		return no_memory();
	s->policies = compiled;
	for (size_t i = 0; i < policies->count; i++) {
		struct compiled *c = &compiled[s->count];
		if (cedar_policy_is_template(policies->items[i]))
			continue;
		c->policy = policies->items[i];
		r = program_compile(a, c->policy, &c->program);
		if (r < 0)
			return err_wrap(r, "policy `" SPAN_FMT "`", SPAN_ARG(c->policy->id));
		s->stack = MAX(s->stack, c->program.stack);
		s->count++;
	}
	r = set_index_build(a, s);
	if (r < 0)
		return err_trace(r);
	*ret = s;
	return 0;
}

bool scope_holds(
	const struct cedar_entities *entities, const struct scope *s, const struct cedar_uid *uid)
{
	if ((s->op == SCOPE_IS || s->op == SCOPE_IS_IN) && !span_eq(uid->type, s->type))
		return false;
	switch (s->op) {
	case SCOPE_ALL:
	case SCOPE_IS:
		return true;
	case SCOPE_EQ:
		return cedar_uid_eq(uid, s->uids);
	default:
		for (size_t i = 0; i < s->count; i++)
			if (eval_in(entities, uid, &s->uids[i]))
				return true;
		return false;
	}
}

bool cedar_policy_meets_action(const struct cedar_policy *p, const struct cedar_entities *entities,
	const struct cedar_uid *action)
{
	return scope_holds(entities, &p->action, action);
}

bool cedar_policy_meets_scope(const struct cedar_policy *p, const struct cedar_entities *entities,
	const struct cedar_request *request)
{
	return scope_holds(entities, &p->action, &request->action) &&
		scope_holds(entities, &p->principal, &request->principal) &&
		scope_holds(entities, &p->resource, &request->resource);
}

/* What has been found so far. */
struct tally {
	struct span *permits, *forbids;
	size_t permit_count, forbid_count;
	struct cedar_error *errors;
	size_t error_count;
};

static int note_error(struct eval *e, struct tally *t, const struct cedar_policy *p)
{
	const char *message = arena_strdup(e->arena, err_message(-EINVAL));
	err_clear();
	if (!message)
		return no_memory();
	t->errors[t->error_count++] = (struct cedar_error){p->id, message};
	return 0;
}

static int ask_policy(struct eval *e, const struct compiled *c, struct tally *t)
{
	bool verdict;
	int r;
	if (!cedar_policy_meets_scope(c->policy, e->entities, e->request))
		return 0;
	r = program_run(e, &c->program, &verdict);
	if (r == -EINVAL || r == -ERANGE)
		return note_error(e, t, c->policy);
	if (r < 0)
		return err_trace(r);
	if (verdict && c->policy->forbid)
		t->forbids[t->forbid_count++] = c->policy->id;
	else if (verdict)
		t->permits[t->permit_count++] = c->policy->id;
	return 0;
}

static int make_tally(struct arena *a, size_t candidates, struct tally *ret)
{
	size_t bytes = (candidates + 1) * sizeof(struct span);
	*ret = (struct tally){.permits = arena_raw(a, bytes),
		.forbids = arena_raw(a, bytes),
		.errors = arena_raw(a, (candidates + 1) * sizeof(struct cedar_error))};
	return ret->permits && ret->forbids && ret->errors ? 0 : no_memory();
}

int cedar_authorize(struct arena *a, const struct cedar_set *s,
	const struct cedar_entities *entities, const struct cedar_request *request,
	struct cedar_answer *ret)
{
	struct eval e = {a, entities, request, arena_raw(a, (s->stack + 1) * sizeof(*e.stack))};
	const uint32_t *candidates = NULL;
	struct tally t = {0};
	size_t count = 0;
	int r = e.stack ? set_index_candidates(&e, s, &candidates, &count) : no_memory();
	if (r == 0)
		r = make_tally(a, count, &t);
	for (size_t i = 0; r == 0 && i < count; i++)
		r = ask_policy(&e, &s->policies[candidates[i]], &t);
	if (r < 0)
		return err_trace(r);
	*ret = (struct cedar_answer){
		/* deny unless a permit applies and no forbid does */
		.allow = t.forbid_count == 0 && t.permit_count > 0,
		.reasons = t.forbid_count ? t.forbids : t.permits,
		.reason_count = t.forbid_count ? t.forbid_count : t.permit_count,
		.errors = t.errors,
		.error_count = t.error_count,
	};
	return 0;
}
