/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The evaluator: one loop over the flat form. An error is an ordinary answer of a policy, raised as
 * -EINVAL with the text that the answer will hold.
 */
#include "policy/cedar/program.h"
#include "policy/cedar/set.h"

static int type_error(const char *wanted, const struct cedar_value *got)
{
	return err_raise(
		-EINVAL, "type error: expected %s, got %s", wanted, value_type_name(got->type));
}

static int want(const struct cedar_value *v, enum value_type t)
{
	return v->type == t ? 0 : type_error(value_type_name(t), v);
}

static struct cedar_value bool_value(bool b)
{
	return (struct cedar_value){.type = VALUE_BOOL, .boolean = b};
}

bool eval_in(
	const struct cedar_entities *entities, const struct cedar_uid *a, const struct cedar_uid *b)
{
	const struct entity *e;
	if (cedar_uid_eq(a, b))
		return true;
	e = entities_find(entities, a);
	return e && entity_below(e, b);
}

bool eval_find_attr(const struct cedar_entities *entities, const struct cedar_value *of,
	struct span name, struct cedar_value *ret)
{
	const struct value_record *record = NULL;
	const struct cedar_value *v;
	if (of->type == VALUE_ENTITY) {
		const struct entity *e = entities_find(entities, of->uid);
		record = e ? e->attrs : NULL;
	} else if (of->type == VALUE_RECORD) {
		record = of->record;
	}
	v = record ? value_member(record, name) : NULL;
	if (v)
		*ret = *v;
	return v != NULL;
}

static int eval_attr(
	const struct cedar_entities *entities, struct cedar_value *top, struct span name)
{
	if (eval_find_attr(entities, top, name, top))
		return 0;
	if (top->type == VALUE_ENTITY && !entities_find(entities, top->uid))
		return err_raise(-EINVAL, "entity `" SPAN_FMT "::\"" SPAN_FMT "\"` does not exist",
			SPAN_ARG(top->uid->type), SPAN_ARG(span_sub(top->uid->id, 0, 120)));
	if (top->type != VALUE_ENTITY && top->type != VALUE_RECORD)
		return type_error("record or entity", top);
	return err_raise(-EINVAL, "%s does not have the attribute `" SPAN_FMT "`",
		top->type == VALUE_ENTITY ? "the entity" : "record",
		SPAN_ARG(span_sub(name, 0, 120)));
}

static int eval_has(struct eval *e, const struct instruction *in, struct cedar_value *top)
{
	struct cedar_value v = *top;
	for (uint32_t i = 0; i < in->count; i++) {
		const struct value_record *record = NULL;
		const struct cedar_value *member;
		if (v.type == VALUE_ENTITY) {
			const struct entity *entity = entities_find(e->entities, v.uid);
			record = entity ? entity->attrs : NULL;
		} else if (v.type == VALUE_RECORD) {
			record = v.record;
		} else {
			return type_error("record or entity", &v);
		}
		member = record ? value_member(record, in->names[i]) : NULL;
		if (!member) {
			*top = bool_value(false);
			return 0;
		}
		v = *member;
	}
	*top = bool_value(true);
	return 0;
}

/* The pattern's pieces against s, going back to the last wildcard only. */
static bool like(struct span s, const struct pattern_piece *pieces, size_t count)
{
	size_t at = 0, i = 0;
	bool free_start = false; /* a wildcard stands in front of the piece */
	for (; i < count; i++) {
		struct span piece = pieces[i].text;
		if (pieces[i].wildcard) {
			free_start = true;
			continue;
		}
		if (i + 1 == count) { /* the last one must end the text */
			if (free_start)
				return s.n - at >= piece.n && span_ends(s, piece);
			return span_eq(span_sub(s, at, s.n), piece);
		}
		if (free_start) {
			ssize_t found = span_find(s, piece, at);
			if (found < 0)
				return false;
			at = (size_t)found + piece.n;
		} else {
			if (!span_starts(span_sub(s, at, s.n), piece))
				return false;
			at += piece.n;
		}
		free_start = false;
	}
	return free_start || at == s.n;
}

static bool ordered(enum value_type t)
{
	return t == VALUE_LONG || t == VALUE_DATETIME || t == VALUE_DURATION;
}

static int compare(enum expr_op op, struct cedar_value *a, const struct cedar_value *b)
{
	bool less, equal;
	if (!ordered(a->type) && !ordered(b->type))
		return type_error("long, datetime or duration", a);
	if (!ordered(a->type))
		return type_error(value_type_name(b->type), a);
	if (a->type != b->type)
		return type_error(value_type_name(a->type), b);
	less = a->number < b->number;
	equal = a->number == b->number;
	*a = bool_value(op == EXPR_LT   ? less
			: op == EXPR_LE ? less || equal
			: op == EXPR_GT ? !less && !equal
					: !less);
	return 0;
}

static int arithmetic(enum expr_op op, struct cedar_value *a, const struct cedar_value *b)
{
	int64_t n;
	bool over;
	int r = want(a, VALUE_LONG);
	if (r == 0)
		r = want(b, VALUE_LONG);
	if (r < 0)
		return err_trace(r);
	over = op == EXPR_ADD    ? __builtin_add_overflow(a->number, b->number, &n)
		: op == EXPR_SUB ? __builtin_sub_overflow(a->number, b->number, &n)
				 : __builtin_mul_overflow(a->number, b->number, &n);
	if (over)
		return err_raise(-EINVAL, "integer overflow in %lld %s %lld", (long long)a->number,
			expr_op_name(op), (long long)b->number);
	a->number = n;
	return 0;
}

static int in_operator(struct eval *e, struct cedar_value *a, const struct cedar_value *b)
{
	bool found = false;
	int r = want(a, VALUE_ENTITY);
	if (r < 0)
		return err_trace(r);
	if (b->type == VALUE_ENTITY) {
		*a = bool_value(eval_in(e->entities, a->uid, b->uid));
		return 0;
	}
	if (b->type != VALUE_SET)
		return type_error("set or entity", b);
	for (size_t i = 0; i < b->set->count; i++) {
		r = want(&b->set->items[i], VALUE_ENTITY);
		if (r < 0)
			return err_trace(r);
	}
	for (size_t i = 0; i < b->set->count && !found; i++)
		found = eval_in(e->entities, a->uid, b->set->items[i].uid);
	*a = bool_value(found);
	return 0;
}

static int set_operator(enum expr_op op, struct cedar_value *a, const struct cedar_value *b)
{
	size_t found = 0, count;
	int r = want(a, VALUE_SET);
	if (r == 0 && op != EXPR_CONTAINS)
		r = want(b, VALUE_SET);
	if (r < 0)
		return err_trace(r);
	if (op == EXPR_CONTAINS) {
		*a = bool_value(value_set_has(a->set, b));
		return 0;
	}
	count = b->set->count;
	for (size_t i = 0; i < count; i++)
		found += value_set_has(a->set, &b->set->items[i]);
	*a = bool_value(op == EXPR_CONTAINS_ALL ? found == count : found > 0);
	return 0;
}

static int tag_operator(
	struct eval *e, enum expr_op op, struct cedar_value *a, const struct cedar_value *b)
{
	const struct entity *entity;
	const struct cedar_value *v;
	int r = want(a, VALUE_ENTITY);
	if (r == 0)
		r = want(b, VALUE_STRING);
	if (r < 0)
		return err_trace(r);
	entity = entities_find(e->entities, a->uid);
	v = entity ? value_member(entity->tags, b->string) : NULL;
	if (op == EXPR_HAS_TAG) {
		*a = bool_value(v != NULL);
		return 0;
	}
	if (!v)
		return err_raise(-EINVAL, "%s `" SPAN_FMT "`",
			entity ? "the entity does not have the tag" : "no such entity, so no tag",
			SPAN_ARG(span_sub(b->string, 0, 120)));
	*a = *v;
	return 0;
}

static int unary_operator(enum expr_op op, struct cedar_value *a)
{
	int r = want(a, op == EXPR_NOT ? VALUE_BOOL : op == EXPR_NEG ? VALUE_LONG : VALUE_SET);
	if (r < 0)
		return err_trace(r);
	if (op == EXPR_NOT)
		a->boolean = !a->boolean;
	else if (op == EXPR_IS_EMPTY)
		*a = bool_value(a->set->count == 0);
	else if (__builtin_sub_overflow(0, a->number, &a->number))
		return err_raise(-EINVAL, "integer overflow in the negation of the least long");
	return 0;
}

static int binary_operator(
	struct eval *e, enum expr_op op, struct cedar_value *a, const struct cedar_value *b)
{
	switch (op) {
	case EXPR_EQ:
	case EXPR_NE:
		*a = bool_value((value_cmp(a, b) == 0) == (op == EXPR_EQ));
		return 0;
	case EXPR_LT:
	case EXPR_LE:
	case EXPR_GT:
	case EXPR_GE:
		return compare(op, a, b);
	case EXPR_ADD:
	case EXPR_SUB:
	case EXPR_MUL:
		return arithmetic(op, a, b);
	case EXPR_IN:
		return in_operator(e, a, b);
	case EXPR_HAS_TAG:
	case EXPR_GET_TAG:
		return tag_operator(e, op, a, b);
	default:
		return set_operator(op, a, b);
	}
}

struct cedar_value eval_variable(const struct eval *e, enum cedar_var var)
{
	const struct cedar_uid *const uids[] = {
		&e->request->principal, &e->request->action, &e->request->resource};
	if (var == VAR_CONTEXT)
		return *e->request->context;
	return (struct cedar_value){.type = VALUE_ENTITY, .uid = uids[var]};
}

/* Takes the top `count` values off the stack and leaves what they make. */
static int make_many(struct eval *e, const struct instruction *in, struct cedar_value *first)
{
	struct cedar_value *items;
	struct value_member *members;
	if (in->code == CODE_CALL)
		return ext_apply(e->arena, in->fn, first, in->count, first);
	if (in->code == CODE_SET) {
		items = arena_make_array(e->arena, struct cedar_value, in->count + 1);
		if (!items)
			return err_raise(-ENOMEM, "no memory for a set");
		memcpy(items, first, in->count * sizeof(*items));
		return value_make_set(e->arena, items, in->count, first);
	}
	members = arena_make_array(e->arena, struct value_member, in->count + 1);
	if (!members)
		return err_raise(-ENOMEM, "no memory for a record");
	for (uint32_t i = 0; i < in->count; i++)
		members[i] = (struct value_member){in->names[i], first[i]};
	return value_make_record(e->arena, members, in->count, first);
}

/* && and ||: *ret_jump if the value on top decides. */
static int decide(const struct instruction *in, const struct cedar_value *top, bool *ret_jump)
{
	int r = want(top, VALUE_BOOL);
	if (r < 0)
		return err_trace(r);
	*ret_jump = top->boolean == (in->code == CODE_OR);
	return 0;
}

static int is_type(const struct instruction *in, struct cedar_value *top, bool *ret_same)
{
	int r = want(top, VALUE_ENTITY);
	if (r < 0)
		return err_trace(r);
	*ret_same = span_eq(top->uid->type, in->name);
	return 0;
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
		case CODE_OPERATOR:
			if (in->op <= EXPR_IS_EMPTY) {
				r = unary_operator(in->op, top - 1);
			} else {
				top--;
				r = binary_operator(e, in->op, top - 1, top);
			}
			break;
		case CODE_AND:
		case CODE_OR:
			r = decide(in, top - 1, &flag);
			if (flag)
				at = in->to - 1;
			else
				top--;
			break;
		case CODE_BOOL:
			r = want(top - 1, VALUE_BOOL);
			break;
		case CODE_BRANCH:
			top--;
			r = want(top, VALUE_BOOL);
			if (r == 0 && !top->boolean)
				at = in->to - 1;
			break;
		case CODE_JUMP:
			at = in->to - 1;
			break;
		case CODE_ATTR:
			r = eval_attr(e->entities, top - 1, in->name);
			break;
		case CODE_HAS:
			r = eval_has(e, in, top - 1);
			break;
		case CODE_LIKE:
			r = want(top - 1, VALUE_STRING);
			if (r == 0)
				top[-1] = bool_value(like(
					top[-1].string, in->expr->pieces, in->expr->name_count));
			break;
		case CODE_IS:
		case CODE_IS_IN:
			r = is_type(in, top - 1, &flag);
			if (r == 0 && (in->code == CODE_IS || !flag))
				top[-1] = bool_value(flag);
			if (in->code == CODE_IS_IN && !flag)
				at = in->to - 1;
			break;
		case CODE_SET:
		case CODE_RECORD:
		case CODE_CALL:
			top -= in->count;
			r = make_many(e, in, top++);
			break;
		}
		if (r < 0)
			return err_trace(r);
	}
	*ret = top[-1].boolean; /* the program ends with a bool: see program_compile() */
	return 0;
}
