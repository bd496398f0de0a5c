/* SPDX-License-Identifier: AGPL-3.0-only */
/* The evaluator: one loop over the flat form. */
#include "policy/cedar/program.h"

struct cedar_value eval_variable(const struct eval *e, enum cedar_var var)
{
	const struct cedar_uid *const uids[] = {
		&e->request->principal, &e->request->action, &e->request->resource};
	if (var == VAR_CONTEXT)
		return *e->request->context;
	return (struct cedar_value){.type = VALUE_ENTITY, .uid = uids[var]};
}

/* && and ||: *ret_jump if the value on top decides. */
static int decide(const struct instruction *in, const struct cedar_value *top, bool *ret_jump)
{
	int r = operator_want(top, VALUE_BOOL);
	if (r < 0)
		return err_trace(r);
	*ret_jump = top->boolean == (in->code == CODE_OR);
	return 0;
}

/* Instructions that go straight on; *top is behind the last value. */
static int run_straight(struct eval *e, const struct instruction *in, struct cedar_value **top)
{
	struct cedar_value *last = *top - 1, *first;
	switch (in->code) {
	case CODE_OPERATOR:
		if (in->op <= EXPR_IS_EMPTY)
			return operator_unary(in->op, last);
		--*top;
		return operator_binary(e->entities, in->op, last - 1, last);
	case CODE_BOOL:
		return operator_want(last, VALUE_BOOL);
	case CODE_ATTR:
		return operator_attr(e->entities, in->name, last);
	case CODE_HAS:
		return operator_has(e->entities, in->names, in->count, last);
	case CODE_LIKE:
		return operator_like(in->expr->pieces, in->expr->name_count, last);
	default:
		break;
	}
	first = *top - in->count; /* what is made takes the place of its parts */
	*top = first + 1;
	if (in->code == CODE_SET)
		return operator_set(e->arena, first, in->count, first);
	if (in->code == CODE_RECORD)
		return operator_record(e->arena, in->names, first, in->count, first);
	return ext_apply(e->arena, in->fn, first, in->count, first);
}

int program_run(struct eval *e, const struct program *p, bool *ret)
{
	struct cedar_value *top = e->stack; /* where the next value goes */
	for (uint32_t at = 0; at < p->length; at++) {
		const struct instruction *in = &p->code[at];
		bool flag = false;
		int r = 0;
		switch (in->code) {
		case CODE_PUSH:
			*top++ = in->value;
			break;
		case CODE_VAR:
			*top++ = eval_variable(e, in->var);
			break;
		case CODE_AND:
		case CODE_OR:
			r = decide(in, top - 1, &flag);
			if (flag)
				at = in->to - 1;
			else
				top--;
			break;
		case CODE_BRANCH:
			top--;
			r = operator_want(top, VALUE_BOOL);
			if (r == 0 && !top->boolean)
				at = in->to - 1;
			break;
		case CODE_JUMP:
			at = in->to - 1;
			break;
		case CODE_IS:
		case CODE_IS_IN:
			r = operator_is(in->name, top - 1, &flag);
			if (r == 0 && (in->code == CODE_IS || !flag))
				top[-1] = bool_value(flag);
			if (in->code == CODE_IS_IN && !flag)
				at = in->to - 1;
			break;
		default:
			r = run_straight(e, in, &top);
			break;
		}
		if (r < 0)
			return err_trace(r);
	}
	*ret = top[-1].boolean; /* the program ends with a bool: see program_compile() */
	return 0;
}
