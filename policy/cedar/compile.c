/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * From the tree to the flat form. Sets, records and extension constructors of constants are made
 * here, once; if making one fails, it is left to fail at each evaluation.
 */
#include "policy/cedar/parse.h"
#include "policy/cedar/program.h"

struct compiler {
	struct arena *arena;
	struct vec code;
	uint32_t depth; /* values on the stack at this point */
	uint32_t deepest;
};

static int compile(struct compiler *c, const struct expr *e) MUST_USE;

static int emit(struct compiler *c, struct instruction in, uint32_t *ret_at)
{
	struct instruction *slot;
	if (c->code.count >= LIMIT_CEDAR_TEXT_BYTES)
		return err_raise(
			-E2BIG, "a policy of more than %d operations", LIMIT_CEDAR_TEXT_BYTES);
	slot = vec_push(c->arena, &c->code, sizeof(in));
	if (!slot)
		return err_raise(-ENOMEM, "no memory for a policy");
	*slot = in;
	if (ret_at)
		*ret_at = (uint32_t)c->code.count - 1;
	return 0;
}

static void pushed(struct compiler *c)
{
	c->depth++;
	c->deepest = MAX(c->deepest, c->depth);
}

static void land(struct compiler *c, uint32_t jump)
{
	((struct instruction *)c->code.items)[jump].to = (uint32_t)c->code.count;
}

static int push_value(struct compiler *c, struct cedar_value v)
{
	pushed(c);
	return emit(c, (struct instruction){.code = CODE_PUSH, .value = v}, NULL);
}

static int compile_leaf(struct compiler *c, const struct expr *e)
{
	struct cedar_value v;
	if (operator_literal(e, &v))
		return push_value(c, v);
	pushed(c);
	return emit(c, (struct instruction){.code = CODE_VAR, .var = e->var}, NULL);
}

/* If the last instructions push nothing but the `count` operands, makes the value now. */
static bool fold(struct compiler *c, const struct expr *e, size_t start)
{
	struct instruction *code = (struct instruction *)c->code.items + start;
	struct cedar_value *values, made;
	struct value_member *members;
	int r;
	if (c->code.count - start != e->count ||
		(e->op == EXPR_CALL && !ext_is_constructor(e->ext)))
		return false;
	for (size_t i = 0; i < e->count; i++)
		if (code[i].code != CODE_PUSH)
			return false;
	values = arena_make_array(c->arena, struct cedar_value, e->count + 1);
	members = arena_make_array(c->arena, struct value_member, e->count + 1);
	if (!values || !members)
		return false;
	for (size_t i = 0; i < e->count; i++) {
		values[i] = code[i].value;
		if (e->op == EXPR_RECORD)
			members[i] = (struct value_member){e->names[i], code[i].value};
	}
	if (e->op == EXPR_SET)
		r = value_make_set(c->arena, values, e->count, &made);
	else if (e->op == EXPR_RECORD)
		r = value_make_record(c->arena, members, e->count, &made);
	else
		r = ext_apply(c->arena, e->ext, values, e->count, &made);
	if (r < 0) {
		err_clear();
		return false;
	}
	c->code.count = start;
	c->depth -= (uint32_t)e->count;
	return push_value(c, made) == 0;
}

static int compile_many(struct compiler *c, const struct expr *e)
{
	struct instruction in = {.count = (uint32_t)e->count};
	size_t start = c->code.count;
	for (size_t i = 0; i < e->count; i++) {
		int r = compile(c, e->kids[i]);
		if (r < 0)
			return err_trace(r);
	}
	if (fold(c, e, start))
		return 0;
	c->depth -= (uint32_t)e->count;
	pushed(c);
	if (e->op == EXPR_CALL) {
		in.code = CODE_CALL;
		in.fn = e->ext;
	} else {
		in.code = e->op == EXPR_SET ? CODE_SET : CODE_RECORD;
		in.names = e->op == EXPR_SET ? NULL : e->names;
	}
	return emit(c, in, NULL);
}

static int compile_logic(struct compiler *c, const struct expr *e)
{
	uint32_t jump;
	int r = compile(c, e->kids[0]);
	if (r == 0)
		r = emit(c, (struct instruction){.code = e->op == EXPR_AND ? CODE_AND : CODE_OR},
			&jump);
	c->depth--;
	if (r == 0)
		r = compile(c, e->kids[1]);
	if (r == 0)
		r = emit(c, (struct instruction){.code = CODE_BOOL}, NULL);
	if (r < 0)
		return err_trace(r);
	land(c, jump);
	return 0;
}

static int compile_if(struct compiler *c, const struct expr *e)
{
	uint32_t otherwise, end;
	int r = compile(c, e->kids[0]);
	if (r == 0)
		r = emit(c, (struct instruction){.code = CODE_BRANCH}, &otherwise);
	c->depth--;
	if (r == 0)
		r = compile(c, e->kids[1]);
	if (r == 0)
		r = emit(c, (struct instruction){.code = CODE_JUMP}, &end);
	if (r < 0)
		return err_trace(r);
	land(c, otherwise);
	c->depth--;
	r = compile(c, e->kids[2]);
	land(c, end);
	return err_trace(r);
}

static int compile_is(struct compiler *c, const struct expr *e)
{
	uint32_t jump;
	int r = compile(c, e->kids[0]);
	if (r == 0)
		r = emit(c,
			(struct instruction){
				.code = e->count > 1 ? CODE_IS_IN : CODE_IS, .name = e->string},
			&jump);
	if (r < 0 || e->count == 1)
		return err_trace(r);
	r = compile(c, e->kids[1]);
	if (r == 0)
		r = emit(c, (struct instruction){.code = CODE_OPERATOR, .op = EXPR_IN}, NULL);
	c->depth--;
	land(c, jump);
	return err_trace(r);
}

/* What takes one value and leaves one. */
static int compile_on_one(struct compiler *c, const struct expr *e)
{
	struct instruction in = {0};
	int r = compile(c, e->kids[0]);
	if (r < 0)
		return err_trace(r);
	if (e->op == EXPR_ATTR) {
		in.code = CODE_ATTR;
		in.name = e->string;
	} else if (e->op == EXPR_HAS) {
		in.code = CODE_HAS;
		in.names = e->names;
		in.count = (uint32_t)e->name_count;
	} else {
		in.code = CODE_LIKE;
		in.expr = e;
	}
	return emit(c, in, NULL);
}

static int compile_operator(struct compiler *c, const struct expr *e)
{
	for (size_t i = 0; i < e->count; i++) {
		int r = compile(c, e->kids[i]);
		if (r < 0)
			return err_trace(r);
	}
	c->depth -= (uint32_t)e->count - 1;
	return emit(c, (struct instruction){.code = CODE_OPERATOR, .op = e->op}, NULL);
}

static int compile(struct compiler *c, const struct expr *e)
{
	switch (e->op) {
	case EXPR_BOOL:
	case EXPR_LONG:
	case EXPR_STRING:
	case EXPR_UID:
	case EXPR_VAR:
		return compile_leaf(c, e);
	case EXPR_SLOT:
		return err_raise(-EINVAL, "a slot in a condition");
	case EXPR_AND:
	case EXPR_OR:
		return compile_logic(c, e);
	case EXPR_IF:
		return compile_if(c, e);
	case EXPR_ATTR:
	case EXPR_HAS:
	case EXPR_LIKE:
		return compile_on_one(c, e);
	case EXPR_IS:
		return compile_is(c, e);
	case EXPR_SET:
	case EXPR_RECORD:
	case EXPR_CALL:
		return compile_many(c, e);
	default:
		return compile_operator(c, e);
	}
}

/* c1 && c2 && ..., with `unless` as a negation; true if there is no condition. */
int program_compile(struct arena *a, const struct cedar_policy *p, struct program *ret)
{
	struct compiler c = {.arena = a};
	uint32_t *jumps = arena_make_array(a, uint32_t, p->condition_count + 1);
	int r = 0;
	if (!jumps)
		return err_raise(-ENOMEM, "no memory for a policy");
	for (size_t i = 0; r == 0 && i < p->condition_count; i++) {
		r = compile(&c, p->conditions[i].body);
		if (r == 0 && p->conditions[i].unless)
			r = emit(&c, (struct instruction){.code = CODE_OPERATOR, .op = EXPR_NOT},
				NULL);
		if (r == 0)
			r = emit(&c, (struct instruction){.code = CODE_AND}, &jumps[i]);
		c.depth = 0;
	}
	if (r == 0)
		r = push_value(&c, (struct cedar_value){.type = VALUE_BOOL, .boolean = true});
	if (r < 0)
		return err_trace(r);
	for (size_t i = 0; i < p->condition_count; i++)
		land(&c, jumps[i]);
	*ret = (struct program){c.code.items, (uint32_t)c.code.count, c.deepest + 1};
	return 0;
}
