/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * What is left of policies: the scope and the conditions of each, as one chain of `&&`. The chain
 * is built as a balanced tree, so that its depth does not grow with the number of conditions.
 */
#include "policy/cedar/parse.h"
#include "policy/cedar/residual.h"
#include "policy/cedar/no_memory.h"

/* What is to hold, in order. */
struct chain {
	struct vec parts; /* const struct residual * */
	bool may_fail; /* one of them */
	bool ended; /* nothing behind the last one is evaluated */
};

static int chain_add(struct partial *p, struct chain *c, const struct residual *r)
{
	const struct residual **slot;
	if (c->ended || residual_is(r, true))
		return 0;
	if (residual_is(r, false) && !c->may_fail)
		c->parts.count = 0;
	slot = vec_push(p->arena, &c->parts, sizeof(struct residual *));
	if (!slot)
		return no_memory();
	*slot = r;
	c->may_fail |= r->may_fail;
	c->ended = r->state != RESIDUAL_OPEN;
	return 0;
}

static int chain_join(struct partial *p, const struct residual *const *parts, size_t count,
	const struct residual **ret)
{
	const struct residual *kids[2];
	int r;
	if (count == 0)
		return residual_bool(p, true, ret);
	if (count == 1) {
		*ret = parts[0];
		return 0;
	}
	r = chain_join(p, parts, count / 2, &kids[0]);
	if (r == 0)
		r = chain_join(p, parts + count / 2, count - count / 2, &kids[1]);
	return r < 0 ? err_trace(r)
		     : residual_open(p, (struct residual){.op = EXPR_AND}, kids, 2, ret);
}

/* The variable against the entities that the head names: == one, or in any of them. */
static int scope_entities(struct partial *p, const struct scope *s, const struct residual *var,
	const struct residual **ret)
{
	struct cedar_value *items = arena_make_array(p->arena, struct cedar_value, s->count + 1);
	const struct residual *right;
	struct cedar_value v;
	int r = 0;
	if (!items)
		return no_memory();
	for (size_t i = 0; i < s->count; i++)
		items[i] = (struct cedar_value){.type = VALUE_ENTITY, .uid = &s->uids[i]};
	if (s->list)
		r = value_make_set(p->arena, items, s->count, &v);
	else
		v = items[0];
	if (r == 0)
		r = residual_value(p, &v, &right);
	return r < 0 ? err_trace(r)
		     : partial_binary(p, s->op == SCOPE_EQ ? EXPR_EQ : EXPR_IN, var, right, ret);
}

static int add_scope(struct partial *p, struct chain *c, enum cedar_var v, const struct scope *s)
{
	const struct residual *var, *part;
	int r;
	if (s->op == SCOPE_ALL)
		return 0;
	r = partial_var(p, v, &var);
	if (r == 0 && (s->op == SCOPE_IS || s->op == SCOPE_IS_IN)) {
		r = partial_is(p, var, s->type, &part);
		if (r == 0)
			r = chain_add(p, c, part);
	}
	if (r == 0 && s->op != SCOPE_IS) {
		r = scope_entities(p, s, var, &part);
		if (r == 0)
			r = chain_add(p, c, part);
	}
	return err_trace(r);
}

static int add_condition(struct partial *p, struct chain *c, const struct condition *condition)
{
	const struct residual *body;
	int r = partial_eval(p, condition->body, &body);
	if (r < 0)
		return err_trace(r);
	if (body->state == RESIDUAL_VALUE && body->value.type != VALUE_BOOL) {
		r = residual_error(p, "type error: expected bool", &body);
	} else if (condition->unless && body->state == RESIDUAL_VALUE) {
		r = residual_bool(p, !body->value.boolean, &body);
	} else if (condition->unless && body->state == RESIDUAL_OPEN) {
		const struct residual *kid = body;
		r = residual_open(p, (struct residual){.op = EXPR_NOT}, &kid, 1, &body);
	}
	return r < 0 ? err_trace(r) : chain_add(p, c, body);
}

/* A lone condition must be a bool, as one among several must. */
static int must_be_bool(struct partial *p, const struct residual **r)
{
	const struct residual *kids[2];
	int e;
	if ((*r)->state != RESIDUAL_OPEN || residual_is_bool(*r))
		return 0;
	kids[0] = *r;
	e = residual_bool(p, true, &kids[1]);
	return e < 0 ? err_trace(e)
		     : residual_open(p, (struct residual){.op = EXPR_AND}, kids, 2, r);
}

static int policy_residual(
	struct partial *p, const struct cedar_policy *policy, const struct residual **ret)
{
	struct chain c = {0};
	int r = add_scope(p, &c, VAR_ACTION, &policy->action);
	if (r == 0)
		r = add_scope(p, &c, VAR_PRINCIPAL, &policy->principal);
	if (r == 0)
		r = add_scope(p, &c, VAR_RESOURCE, &policy->resource);
	for (size_t i = 0; r == 0 && !c.ended && i < policy->condition_count; i++)
		r = add_condition(p, &c, &policy->conditions[i]);
	if (r == 0)
		r = chain_join(p, c.parts.items, c.parts.count, ret);
	return r < 0 ? err_trace(r) : must_be_bool(p, ret);
}

static enum cedar_outlook outlook(const struct cedar_residuals *all)
{
	bool permit = false, permit_open = false, forbid_open = false;
	for (size_t i = 0; i < all->count; i++) {
		const struct residual *c = all->items[i].condition;
		if (c->state == RESIDUAL_ERROR)
			continue;
		if (all->items[i].policy->forbid) {
			if (c->state == RESIDUAL_VALUE)
				return CEDAR_WILL_DENY;
			forbid_open = true;
		} else if (c->state == RESIDUAL_VALUE) {
			permit = true;
		} else {
			permit_open = true;
		}
	}
	if (!permit && !permit_open)
		return CEDAR_WILL_DENY;
	return permit && !forbid_open ? CEDAR_WILL_ALLOW : CEDAR_UNDECIDED;
}

int cedar_partial(struct arena *a, const struct cedar_policies *policies,
	const struct cedar_known *known, struct cedar_residuals *ret)
{
	struct partial p = {.arena = a, .known = known};
	struct cedar_residual *items =
		arena_make_array(a, struct cedar_residual, policies->count + 1);
	size_t count = 0;
	if (!items)
		return no_memory();
	if (known->schema) {
		p.action = schema_action_find(known->schema, &known->action);
		if (!p.action)
			return err_raise(-EINVAL,
				"the schema declares no action `" SPAN_FMT "::\"" SPAN_FMT "\"`",
				SPAN_ARG(span_sub(known->action.type, 0, 60)),
				SPAN_ARG(span_sub(known->action.id, 0, 60)));
	}
	for (size_t i = 0; i < policies->count; i++) {
		struct cedar_residual *item = &items[count];
		int r;
		if (cedar_policy_is_template(policies->items[i]))
			continue;
		item->policy = policies->items[i];
		r = policy_residual(&p, item->policy, &item->condition);
		if (r < 0)
			return err_wrap(r, "policy `" SPAN_FMT "`", SPAN_ARG(item->policy->id));
		count += !residual_is(item->condition, false);
	}
	*ret = (struct cedar_residuals){.count = count, .items = items};
	ret->outlook = outlook(ret);
	return 0;
}
