/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Partial evaluation of expressions. What all kids decide is computed; of && and || one side may
 * decide; what is left keeps its order, for the errors on the way.
 */
#include "policy/cedar/residual.h"
#include "policy/cedar/no_memory.h"

static int give(const struct residual *r, const struct residual **ret)
{
	*ret = r;
	return 0;
}

int partial_var(struct partial *p, enum cedar_var var, const struct residual **ret)
{
	const struct cedar_known *k = p->known;
	const struct cedar_uid *uids[] = {&k->principal, &k->action, &k->resource};
	bool unknown[] = {k->principal_unknown, false, k->resource_unknown,
		k->context_open || k->unknown_count > 0};
	struct residual form = {.op = EXPR_VAR, .var = var};
	const struct schema_entity *e = NULL;
	struct cedar_value v = {.type = VALUE_RECORD, .record = &value_record_empty};
	if (var == VAR_CONTEXT) {
		form.type = p->action ? p->action->context : NULL;
		if (!unknown[var])
			return residual_value(p, k->context ? k->context : &v, ret);
		return residual_open(p, form, NULL, 0, ret);
	}
	if (!unknown[var]) {
		v = (struct cedar_value){.type = VALUE_ENTITY, .uid = uids[var]};
		return residual_value(p, &v, ret);
	}
	if (k->schema && uids[var]->type.n > 0)
		e = schema_entity_find(k->schema, uids[var]->type);
	form.name = uids[var]->type;
	form.type = e ? e->type : type_plain(TYPE_ANY_ENTITY);
	return residual_open(p, form, NULL, 0, ret);
}

static int eval_leaf(struct partial *p, const struct expr *e, const struct residual **ret)
{
	struct cedar_value v;
	if (operator_literal(e, &v))
		return residual_value(p, &v, ret);
	if (e->op == EXPR_VAR)
		return partial_var(p, e->var, ret);
	return err_raise(-EINVAL, "a slot in a condition");
}

/* Always false, true being `op` == EXPR_OR, without looking at the other side. */
static bool decides(const struct residual *r, enum expr_op op)
{
	return residual_is(r, op == EXPR_OR);
}

static int eval_logic(struct partial *p, const struct expr *e, const struct residual **ret)
{
	const struct residual *kids[2];
	int r = partial_eval(p, e->kids[0], &kids[0]);
	if (r < 0)
		return err_trace(r);
	if (kids[0]->state == RESIDUAL_ERROR || decides(kids[0], e->op))
		return give(kids[0], ret);
	if (kids[0]->state == RESIDUAL_VALUE && kids[0]->value.type != VALUE_BOOL)
		return residual_error(p, "type error: expected bool", ret);
	r = partial_eval(p, e->kids[1], &kids[1]);
	if (r == 0 && kids[1]->state == RESIDUAL_VALUE && kids[1]->value.type != VALUE_BOOL)
		r = residual_error(p, "type error: expected bool", &kids[1]);
	if (r < 0)
		return err_trace(r);
	if (kids[0]->state == RESIDUAL_VALUE) { /* the neutral one: the right side decides */
		if (kids[1]->state != RESIDUAL_OPEN || residual_is_bool(kids[1]))
			return give(kids[1], ret);
	} else if (residual_is_bool(kids[0])) {
		if (residual_is(kids[1], e->op == EXPR_AND))
			return give(kids[0], ret);
		if (decides(kids[1], e->op) && !kids[0]->may_fail)
			return give(kids[1], ret);
	}
	return residual_open(p, (struct residual){.op = e->op}, kids, 2, ret);
}

static bool same_value(const struct residual *a, const struct residual *b)
{
	return a->state == RESIDUAL_VALUE && b->state == RESIDUAL_VALUE &&
		value_cmp(&a->value, &b->value) == 0;
}

static int eval_if(struct partial *p, const struct expr *e, const struct residual **ret)
{
	const struct residual *kids[3];
	int r = partial_eval(p, e->kids[0], &kids[0]);
	if (r < 0)
		return err_trace(r);
	if (kids[0]->state == RESIDUAL_ERROR)
		return give(kids[0], ret);
	if (kids[0]->state == RESIDUAL_VALUE && kids[0]->value.type != VALUE_BOOL)
		return residual_error(p, "type error: expected bool", ret);
	if (kids[0]->state == RESIDUAL_VALUE)
		return partial_eval(p, e->kids[kids[0]->value.boolean ? 1 : 2], ret);
	r = partial_eval(p, e->kids[1], &kids[1]);
	if (r == 0)
		r = partial_eval(p, e->kids[2], &kids[2]);
	if (r < 0)
		return err_trace(r);
	if (kids[1]->state == RESIDUAL_ERROR && kids[2]->state == RESIDUAL_ERROR)
		return give(kids[1], ret);
	if (same_value(kids[1], kids[2]) && residual_is_bool(kids[0]) && !kids[0]->may_fail)
		return give(kids[1], ret);
	return residual_open(p, (struct residual){.op = EXPR_IF}, kids, 3, ret);
}

/* Can the two never be equal, or always? 1, 0; -1: it depends. Neither may fail. */
static int equal(const struct residual *a, const struct residual *b)
{
	enum type_kind ka = residual_kind(a), kb = residual_kind(b);
	struct span ta, tb;
	if (a->state == RESIDUAL_OPEN && b->state == RESIDUAL_OPEN && a->op == EXPR_VAR &&
		b->op == EXPR_VAR && a->var == b->var)
		return 1;
	if (ka == TYPE_NEVER || kb == TYPE_NEVER)
		return -1;
	if (ka != kb)
		return 0;
	if (residual_entity_type(a, &ta) && residual_entity_type(b, &tb) && !span_eq(ta, tb))
		return 0;
	return -1;
}

int partial_binary(struct partial *p, enum expr_op op, const struct residual *left,
	const struct residual *right, const struct residual **ret)
{
	const struct residual *kids[] = {left, right};
	struct cedar_value v = left->value;
	int r;
	if (left->state == RESIDUAL_ERROR)
		return give(left, ret);
	if (right->state == RESIDUAL_ERROR)
		return give(right, ret);
	if (op == EXPR_IN)
		return partial_in(p, left, right, ret);
	if (op == EXPR_HAS_TAG || op == EXPR_GET_TAG)
		return partial_tag(p, op, left, right, ret);
	if (left->state == RESIDUAL_VALUE && right->state == RESIDUAL_VALUE) {
		r = operator_binary(p->known->entities, op, &v, &right->value);
		return residual_outcome(p, r, &v, ret);
	}
	if ((op == EXPR_EQ || op == EXPR_NE) && !left->may_fail && !right->may_fail) {
		r = equal(left, right);
		if (r >= 0)
			return residual_bool(p, r == (op == EXPR_EQ), ret);
	}
	return residual_open(p, (struct residual){.op = op}, kids, 2, ret);
}

static int eval_operator(struct partial *p, const struct expr *e, const struct residual **ret)
{
	const struct residual *kids[2];
	int r = 0;
	for (size_t i = 0; r == 0 && i < e->count; i++)
		r = partial_eval(p, e->kids[i], &kids[i]);
	if (r < 0)
		return err_trace(r);
	if (e->count == 2)
		return partial_binary(p, e->op, kids[0], kids[1], ret);
	if (kids[0]->state == RESIDUAL_ERROR)
		return give(kids[0], ret);
	if (kids[0]->state == RESIDUAL_VALUE) {
		struct cedar_value v = kids[0]->value;
		r = operator_unary(e->op, &v);
		return residual_outcome(p, r, &v, ret);
	}
	return residual_open(p, (struct residual){.op = e->op}, kids, 1, ret);
}

static int eval_like(struct partial *p, const struct expr *e, const struct residual *of,
	const struct residual **ret)
{
	struct residual form = {.op = EXPR_LIKE, .pieces = e->pieces, .name_count = e->name_count};
	struct cedar_value v = of->value;
	int r;
	if (of->state == RESIDUAL_ERROR)
		return give(of, ret);
	if (of->state == RESIDUAL_OPEN)
		return residual_open(p, form, &of, 1, ret);
	r = operator_like(e->pieces, e->name_count, &v);
	return residual_outcome(p, r, &v, ret);
}

/* `a is T in b` does not look at b if the type is another. It stays one node, which holds `a` once:
 * a tree that held it twice could double with every level. */
static int eval_is(struct partial *p, const struct expr *e, const struct residual *of,
	const struct residual **ret)
{
	const struct residual *test, *in, *kids[2] = {of};
	int r = partial_is(p, of, e->string, &test);
	if (r < 0)
		return err_trace(r);
	if (e->count == 1 || test->state == RESIDUAL_ERROR || residual_is(test, false))
		return give(test, ret);
	r = partial_eval(p, e->kids[1], &kids[1]);
	if (r == 0)
		r = partial_binary(p, EXPR_IN, of, kids[1], &in);
	if (r < 0)
		return err_trace(r);
	if (residual_is(test, true) || (residual_is(in, false) && !test->may_fail))
		return give(in, ret);
	return residual_open(p, (struct residual){.op = EXPR_IS, .name = e->string}, kids, 2, ret);
}

static int eval_on_one(struct partial *p, const struct expr *e, const struct residual **ret)
{
	const struct residual *of;
	int r = partial_eval(p, e->kids[0], &of);
	if (r < 0)
		return err_trace(r);
	if (e->op == EXPR_ATTR)
		return partial_attr(p, of, e->string, ret);
	if (e->op == EXPR_HAS)
		return partial_has(p, of, e->names, e->name_count, ret);
	return e->op == EXPR_LIKE ? eval_like(p, e, of, ret) : eval_is(p, e, of, ret);
}

static int make(struct partial *p, const struct expr *e, const struct cedar_value *values,
	const struct residual **ret)
{
	struct cedar_value v = {0};
	int r;
	if (e->op == EXPR_SET)
		r = operator_set(p->arena, values, e->count, &v);
	else if (e->op == EXPR_RECORD)
		r = operator_record(p->arena, e->names, values, e->count, &v);
	else
		r = ext_apply(p->arena, e->ext, values, e->count, &v);
	return residual_outcome(p, r, &v, ret);
}

static int eval_many(struct partial *p, const struct expr *e, const struct residual **ret)
{
	const struct residual **kids =
		arena_make_array(p->arena, const struct residual *, e->count + 1);
	struct cedar_value *values = arena_make_array(p->arena, struct cedar_value, e->count + 1);
	struct residual form = {.op = e->op};
	const struct residual *failed = NULL;
	size_t known = 0;
	if (!kids || !values)
		return no_memory();
	for (size_t i = 0; i < e->count; i++) {
		int r = partial_eval(p, e->kids[i], &kids[i]);
		if (r < 0)
			return err_trace(r);
		values[i] = kids[i]->value;
		known += kids[i]->state == RESIDUAL_VALUE;
		if (kids[i]->state == RESIDUAL_ERROR && !failed)
			failed = kids[i];
	}
	if (failed)
		return give(failed, ret);
	if (known == e->count)
		return make(p, e, values, ret);
	if (e->op == EXPR_CALL)
		form.ext = e->ext;
	if (e->op == EXPR_RECORD) {
		form.names = e->names;
		form.name_count = e->count;
	}
	return residual_open(p, form, kids, e->count, ret);
}

int partial_eval(struct partial *p, const struct expr *e, const struct residual **ret)
{
	switch (e->op) {
	case EXPR_BOOL:
	case EXPR_LONG:
	case EXPR_STRING:
	case EXPR_UID:
	case EXPR_VAR:
	case EXPR_SLOT:
		return eval_leaf(p, e, ret);
	case EXPR_AND:
	case EXPR_OR:
		return eval_logic(p, e, ret);
	case EXPR_IF:
		return eval_if(p, e, ret);
	case EXPR_ATTR:
	case EXPR_HAS:
	case EXPR_LIKE:
	case EXPR_IS:
		return eval_on_one(p, e, ret);
	case EXPR_SET:
	case EXPR_RECORD:
	case EXPR_CALL:
		return eval_many(p, e, ret);
	default:
		return eval_operator(p, e, ret);
	}
}
