/* SPDX-License-Identifier: AGPL-3.0-only */
/* Residuals under a completion: the rest of the evaluation, over the tree. */
#include "policy/cedar/residual.h"
#include "policy/cedar/no_memory.h"

struct completion {
	struct arena *arena;
	const struct cedar_entities *entities;
	const struct cedar_request *request;
};

static int value_of(
	struct completion *c, const struct residual *r, struct cedar_value *ret) MUST_USE;

static int variable(struct completion *c, enum cedar_var var, struct cedar_value *ret)
{
	const struct cedar_uid *const uids[] = {
		&c->request->principal, &c->request->action, &c->request->resource};
	if (var == VAR_CONTEXT)
		*ret = *c->request->context;
	else
		*ret = (struct cedar_value){.type = VALUE_ENTITY, .uid = uids[var]};
	return 0;
}

static int bool_of(struct completion *c, const struct residual *r, struct cedar_value *ret)
{
	int e = value_of(c, r, ret);
	return e < 0 ? err_trace(e) : operator_want(ret, VALUE_BOOL);
}

static int logic(struct completion *c, const struct residual *r, struct cedar_value *ret)
{
	int e = bool_of(c, r->kids[0], ret);
	if (e < 0)
		return err_trace(e);
	if (r->op == EXPR_IF)
		return value_of(c, r->kids[ret->boolean ? 1 : 2], ret);
	return ret->boolean == (r->op == EXPR_OR) ? 0 : bool_of(c, r->kids[1], ret);
}

/* kids[0] is name [in kids[1]] */
static int is(struct completion *c, const struct residual *r, struct cedar_value *of)
{
	struct cedar_value right;
	bool same;
	int e = operator_is(r->name, of, &same);
	if (e < 0)
		return err_trace(e);
	if (r->count == 1 || !same) {
		*of = bool_value(same);
		return 0;
	}
	e = value_of(c, r->kids[1], &right);
	return e < 0 ? err_trace(e) : operator_binary(c->entities, EXPR_IN, of, &right);
}

static int on_one(struct completion *c, const struct residual *r, struct cedar_value *ret)
{
	int e = value_of(c, r->kids[0], ret);
	if (e < 0)
		return err_trace(e);
	switch (r->op) {
	case EXPR_ATTR:
		return operator_attr(c->entities, r->name, ret);
	case EXPR_HAS:
		return operator_has(c->entities, r->names, r->name_count, ret);
	case EXPR_LIKE:
		return operator_like(r->pieces, r->name_count, ret);
	default:
		return is(c, r, ret);
	}
}

static int many(struct completion *c, const struct residual *r, struct cedar_value *ret)
{
	struct cedar_value *values = arena_make_array(c->arena, struct cedar_value, r->count + 1);
	if (!values)
		return err_raise(-ENOMEM, "no memory for a value");
	for (size_t i = 0; i < r->count; i++) {
		int e = value_of(c, r->kids[i], &values[i]);
		if (e < 0)
			return err_trace(e);
	}
	if (r->op == EXPR_SET)
		return value_make_set(c->arena, values, r->count, ret);
	if (r->op == EXPR_RECORD)
		return operator_record(c->arena, r->names, values, r->count, ret);
	return ext_apply(c->arena, r->ext, values, r->count, ret);
}

static int operator(struct completion *c, const struct residual *r, struct cedar_value *ret)
{
	struct cedar_value right;
	int e = value_of(c, r->kids[0], ret);
	if (e < 0)
		return err_trace(e);
	if (r->count == 1)
		return operator_unary(r->op, ret);
	e = value_of(c, r->kids[1], &right);
	return e < 0 ? err_trace(e) : operator_binary(c->entities, r->op, ret, &right);
}

static int value_of(struct completion *c, const struct residual *r, struct cedar_value *ret)
{
	if (r->state == RESIDUAL_VALUE) {
		*ret = r->value;
		return 0;
	}
	if (r->state == RESIDUAL_ERROR)
		return err_raise(-EINVAL, "%s", r->message);
	switch (r->op) {
	case EXPR_VAR:
		return variable(c, r->var, ret);
	case EXPR_AND:
	case EXPR_OR:
	case EXPR_IF:
		return logic(c, r, ret);
	case EXPR_ATTR:
	case EXPR_HAS:
	case EXPR_LIKE:
	case EXPR_IS:
		return on_one(c, r, ret);
	case EXPR_SET:
	case EXPR_RECORD:
	case EXPR_CALL:
		return many(c, r, ret);
	default:
		return operator(c, r, ret);
	}
}

int cedar_residuals_decide(struct arena *a, const struct cedar_residuals *residuals,
	const struct cedar_entities *entities, const struct cedar_request *request,
	struct cedar_answer *ret)
{
	struct completion c = {a, entities, request};
	struct span *lists[] = {arena_make_array(a, struct span, residuals->count + 1),
		arena_make_array(a, struct span, residuals->count + 1)};
	struct cedar_error *errors = arena_make_array(a, struct cedar_error, residuals->count + 1);
	size_t counts[2] = {0}, error_count = 0;
	if (!lists[0] || !lists[1] || !errors)
		return no_memory();
	for (size_t i = 0; i < residuals->count; i++) {
		const struct cedar_policy *p = residuals->items[i].policy;
		struct cedar_value v;
		int r = bool_of(&c, residuals->items[i].condition, &v);
		if (r == -EINVAL || r == -ERANGE) {
			const char *message = arena_strdup(a, err_message(r));
			err_clear();
			if (!message)
				return no_memory();
			errors[error_count++] = (struct cedar_error){p->id, message};
		} else if (r < 0) {
			return err_trace(r);
		} else if (v.boolean) {
			lists[p->forbid][counts[p->forbid]++] = p->id;
		}
	}
	*ret = (struct cedar_answer){
		/* deny unless a permit applies and no forbid does */
		.allow = counts[true] == 0 && counts[false] > 0,
		.reasons = lists[counts[true] > 0],
		.reason_count = counts[counts[true] > 0],
		.errors = errors,
		.error_count = error_count,
	};
	return 0;
}
