/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The operators on values. An error is an ordinary answer of a policy, raised as -EINVAL with the
 * text that the answer will hold.
 */
#include "policy/cedar/operator.h"
#include "policy/cedar/partial.h"

static int type_error(const char *wanted, const struct cedar_value *got)
{
	return err_raise(
		-EINVAL, "type error: expected %s, got %s", wanted, value_type_name(got->type));
}

bool operator_literal(const struct expr *e, struct cedar_value *ret)
{
	switch (e->op) {
	case EXPR_BOOL:
		*ret = bool_value(e->boolean);
		return true;
	case EXPR_LONG:
		*ret = (struct cedar_value){.type = VALUE_LONG, .number = e->number};
		return true;
	case EXPR_STRING:
		*ret = (struct cedar_value){.type = VALUE_STRING, .string = e->string};
		return true;
	case EXPR_UID:
		*ret = (struct cedar_value){.type = VALUE_ENTITY, .uid = &e->uid};
		return true;
	default:
		return false;
	}
}

int operator_want(const struct cedar_value *v, enum value_type t)
{
	return v->type == t ? 0 : type_error(value_type_name(t), v);
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

int operator_attr(const struct cedar_entities *entities, struct span name, struct cedar_value *top)
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

int operator_has(const struct cedar_entities *entities, const struct span *names, size_t count,
	struct cedar_value *top)
{
	struct cedar_value v = *top;
	for (size_t i = 0; i < count; i++) {
		const struct value_record *record = NULL;
		const struct cedar_value *member;
		if (v.type == VALUE_ENTITY) {
			const struct entity *entity = entities_find(entities, v.uid);
			record = entity ? entity->attrs : NULL;
		} else if (v.type == VALUE_RECORD) {
			record = v.record;
		} else {
			return type_error("record or entity", &v);
		}
		member = record ? value_member(record, names[i]) : NULL;
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
bool cedar_like(const struct pattern_piece *pieces, size_t count, struct span s)
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

int operator_like(const struct pattern_piece *pieces, size_t count, struct cedar_value *top)
{
	int r = operator_want(top, VALUE_STRING);
	if (r < 0)
		return err_trace(r);
	*top = bool_value(cedar_like(pieces, count, top->string));
	return 0;
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
	int r = operator_want(a, VALUE_LONG);
	if (r == 0)
		r = operator_want(b, VALUE_LONG);
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

static int in_operator(
	const struct cedar_entities *entities, struct cedar_value *a, const struct cedar_value *b)
{
	bool found = false;
	int r = operator_want(a, VALUE_ENTITY);
	if (r < 0)
		return err_trace(r);
	if (b->type == VALUE_ENTITY) {
		*a = bool_value(eval_in(entities, a->uid, b->uid));
		return 0;
	}
	if (b->type != VALUE_SET)
		return type_error("set or entity", b);
	for (size_t i = 0; i < b->set->count; i++) {
		r = operator_want(&b->set->items[i], VALUE_ENTITY);
		if (r < 0)
			return err_trace(r);
	}
	for (size_t i = 0; i < b->set->count && !found; i++)
		found = eval_in(entities, a->uid, b->set->items[i].uid);
	*a = bool_value(found);
	return 0;
}

static int set_operator(enum expr_op op, struct cedar_value *a, const struct cedar_value *b)
{
	size_t found = 0, count;
	int r = operator_want(a, VALUE_SET);
	if (r == 0 && op != EXPR_CONTAINS)
		r = operator_want(b, VALUE_SET);
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

static int tag_operator(const struct cedar_entities *entities, enum expr_op op,
	struct cedar_value *a, const struct cedar_value *b)
{
	const struct entity *entity;
	const struct cedar_value *v;
	int r = operator_want(a, VALUE_ENTITY);
	if (r == 0)
		r = operator_want(b, VALUE_STRING);
	if (r < 0)
		return err_trace(r);
	entity = entities_find(entities, a->uid);
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

int operator_unary(enum expr_op op, struct cedar_value *a)
{
	int r = operator_want(a,
		op == EXPR_NOT           ? VALUE_BOOL
			: op == EXPR_NEG ? VALUE_LONG
					 : VALUE_SET);
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

int operator_binary(const struct cedar_entities *entities, enum expr_op op, struct cedar_value *a,
	const struct cedar_value *b)
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
		return in_operator(entities, a, b);
	case EXPR_HAS_TAG:
	case EXPR_GET_TAG:
		return tag_operator(entities, op, a, b);
	default:
		return set_operator(op, a, b);
	}
}

int operator_is(struct span type, const struct cedar_value *top, bool *ret)
{
	int r = operator_want(top, VALUE_ENTITY);
	if (r < 0)
		return err_trace(r);
	*ret = span_eq(top->uid->type, type);
	return 0;
}

int operator_set(
	struct arena *a, const struct cedar_value *items, size_t count, struct cedar_value *ret)
{
	struct cedar_value *copy = arena_make_array(a, struct cedar_value, count + 1);
	if (!copy)
		return err_raise(-ENOMEM, "no memory for a set");
	if (count)
		memcpy(copy, items, count * sizeof(*copy));
	return value_make_set(a, copy, count, ret);
}

int operator_record(struct arena *a, const struct span *names, const struct cedar_value *items,
	size_t count, struct cedar_value *ret)
{
	struct value_member *members = arena_make_array(a, struct value_member, count + 1);
	if (!members)
		return err_raise(-ENOMEM, "no memory for a record");
	for (size_t i = 0; i < count; i++)
		members[i] = (struct value_member){names[i], items[i]};
	return value_make_record(a, members, count, ret);
}
