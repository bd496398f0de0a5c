/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Operators other than logic: equality, order, arithmetic, sets, `like`, `is`. Values of different
 * types are never equal, which is an error strictly, unless the types or two literals decide it.
 */
#include "policy/cedar/report.h"
#include "policy/cedar/typecheck.h"

enum { EXPECT_ORDERED = EXPECT_LONG | EXPECT_DATETIME | EXPECT_DURATION };

/* The two sides have a common type, or the result is known, or an error is reported. */
static __attribute__((noinline)) bool comparable(struct checker *c, const struct expr *e,
	const struct cedar_type *result, const struct cedar_type *x, const struct cedar_type *y)
{
	struct buf one CLEANUP(buf_fini) = buf_init(512), two CLEANUP(buf_fini) = buf_init(512);
	const char *why;
	if (result->kind != TYPE_BOOL || !x || !y || type_join(c, x, y, &why))
		return true;
	type_print(&one, x);
	type_print(&two, y);
	cedar_report_error(c->report, e->pos,
		"`%s` compares values of types " SPAN_FMT " and " SPAN_FMT ": %s",
		report_expr(c->arena, e), SPAN_ARG(buf_view(&one)), SPAN_ARG(buf_view(&two)), why);
	return false;
}

struct literal {
	bool known;
	const struct expr *expr;
	const struct cedar_uid *uid; /* of an entity, or of the action */
};

static struct literal literal_of(const struct checker *c, const struct expr *e)
{
	if (e->op == EXPR_VAR && e->var == VAR_ACTION)
		return (struct literal){true, NULL, &c->env->action->uid};
	if (e->op == EXPR_UID)
		return (struct literal){true, NULL, &e->uid};
	return (struct literal){
		e->op == EXPR_BOOL || e->op == EXPR_LONG || e->op == EXPR_STRING, e, NULL};
}

static bool literals_eq(const struct literal *x, const struct literal *y)
{
	if (x->uid || y->uid)
		return x->uid && y->uid && cedar_uid_eq(x->uid, y->uid);
	return expr_eq(x->expr, y->expr);
}

static const struct cedar_type *equality_type(const struct checker *c, const struct expr *e,
	const struct typed *left, const struct typed *right)
{
	struct literal x = literal_of(c, e->kids[0]), y = literal_of(c, e->kids[1]);
	if (left->type && right->type && type_disjoint(left->type, right->type))
		return type_plain(TYPE_FALSE);
	if (x.known && y.known)
		return type_plain(literals_eq(&x, &y) ? TYPE_TRUE : TYPE_FALSE);
	return type_plain(TYPE_BOOL);
}

static const struct typed *failed(struct checker *c, const struct typed *t)
{
	struct typed changed = *t;
	changed.failed = true;
	return typed_keep(c, changed, 0, NULL);
}

static const struct typed *check_eq(
	struct checker *c, const struct capabilities *prior, const struct expr *e)
{
	const struct typed *left = typecheck(c, prior, e->kids[0]);
	const struct typed *right = typecheck(c, prior, e->kids[1]);
	const struct typed *t = typed_over2(c, e, equality_type(c, e, left, right), left, right);
	if (c->no_memory || comparable(c, e, t->type, left->type, right->type))
		return t;
	return failed(c, t);
}

static bool ordered(const struct cedar_type *t)
{
	return t->kind == TYPE_LONG || t->kind == TYPE_DATETIME || t->kind == TYPE_DURATION;
}

static unsigned expect_like(const struct cedar_type *t)
{
	return t->kind == TYPE_LONG        ? EXPECT_LONG
		: t->kind == TYPE_DATETIME ? EXPECT_DATETIME
					   : EXPECT_DURATION;
}

/* Both of one type that has an order, or the side to blame is reported. */
static bool order_known(struct checker *c, const struct expr *e, const struct cedar_type *x,
	const struct cedar_type *y)
{
	const struct expr *left = e->kids[0], *right = e->kids[1];
	if (!x || !y || (x->kind == TYPE_NEVER && y->kind == TYPE_NEVER))
		return false;
	if (x->kind == TYPE_NEVER || y->kind == TYPE_NEVER) {
		bool first = x->kind == TYPE_NEVER;
		if (ordered(first ? y : x))
			return true;
		typecheck_mismatch(c, first ? right : left, EXPECT_ORDERED, first ? y : x, NULL);
		return false;
	}
	if (type_eq(x, y) && ordered(x))
		return true;
	if (x->kind == TYPE_LONG) {
		typecheck_mismatch(c, right, EXPECT_LONG, y, NULL);
	} else if (y->kind == TYPE_LONG) {
		typecheck_mismatch(c, left, EXPECT_LONG, x, NULL);
	} else if (ordered(x)) {
		typecheck_mismatch(c, right, expect_like(x), y, NULL);
	} else if (ordered(y)) {
		typecheck_mismatch(c, left, expect_like(y), x, NULL);
	} else {
		typecheck_mismatch(c, left, EXPECT_ORDERED, x, NULL);
		typecheck_mismatch(c, right, EXPECT_ORDERED, y, NULL);
	}
	return false;
}

static const struct typed *check_order(
	struct checker *c, const struct capabilities *prior, const struct expr *e)
{
	const struct typed *left = typecheck(c, prior, e->kids[0]);
	const struct typed *right = typecheck(c, prior, e->kids[1]);
	const struct typed *t = typed_over2(c, e, type_plain(TYPE_BOOL), left, right);
	return order_known(c, e, left->type, right->type) ? t : failed(c, t);
}

static const char *arithmetic_help(const struct cedar_type *t)
{
	if (t->kind == TYPE_STRING)
		return "Strings cannot be joined";
	return t->kind == TYPE_SET ? "Sets cannot be added or subtracted" : NULL;
}

static const struct typed *check_arithmetic(
	struct checker *c, const struct capabilities *prior, const struct expr *e)
{
	const struct typed *left =
		typecheck_expect(c, prior, e->kids[0], EXPECT_LONG, arithmetic_help);
	const struct typed *right =
		typecheck_expect(c, prior, e->kids[1], EXPECT_LONG, arithmetic_help);
	return typed_over2(c, e, type_plain(TYPE_LONG), left, right);
}

static const char *set_help(const struct cedar_type *t)
{
	switch (t->kind) {
	case TYPE_ENTITY:
	case TYPE_ANY_ENTITY:
		return "Use `in` to test for membership in a hierarchy";
	case TYPE_RECORD:
		return "Use `has` to test for an attribute";
	case TYPE_STRING:
		return "Use `like` to test for a part of a string";
	default:
		return NULL;
	}
}

static const char *single_help(const struct cedar_type *t)
{
	(void)t;
	return "Use `contains` to test for a single element";
}

static const struct typed *check_contains(
	struct checker *c, const struct capabilities *prior, const struct expr *e)
{
	bool one = e->op == EXPR_CONTAINS;
	const struct typed *left = typecheck_expect(c, prior, e->kids[0], EXPECT_SET, set_help);
	const struct typed *right = one
		? typecheck(c, prior, e->kids[1])
		: typecheck_expect(c, prior, e->kids[1], EXPECT_SET, single_help);
	const struct typed *t = typed_over2(c, e, type_plain(TYPE_BOOL), left, right);
	const struct cedar_type *x = left->type;
	if (one)
		x = x && x->kind == TYPE_SET ? x->element : NULL;
	return c->no_memory || comparable(c, e, t->type, x, right->type) ? t : failed(c, t);
}

static const struct typed *check_not(
	struct checker *c, const struct capabilities *prior, const struct expr *e)
{
	const struct typed *kid = typecheck_expect(c, prior, e->kids[0], EXPECT_BOOL, NULL);
	enum type_kind kind = typed_is(kid, TYPE_TRUE) ? TYPE_FALSE
		: typed_is(kid, TYPE_FALSE)            ? TYPE_TRUE
						       : TYPE_BOOL;
	return typed_over(c, e, type_plain(kind), kid);
}

static const char *empty_help(const struct cedar_type *t)
{
	return t->kind == TYPE_STRING ? "Use == \"\" to test for an empty string" : NULL;
}

static const char *like_help(const struct cedar_type *t)
{
	return t->kind == TYPE_ENTITY ? "Use `is` to test for an entity's type" : NULL;
}

static const char *is_help(const struct cedar_type *t)
{
	(void)t;
	return "Only types of entities can be tested";
}

static const struct typed *check_is(
	struct checker *c, const struct capabilities *prior, const struct expr *e)
{
	const struct typed *kid = typecheck_expect(c, prior, e->kids[0], EXPECT_ENTITY, is_help);
	enum type_kind kind = TYPE_BOOL;
	if (typed_is(kid, TYPE_ENTITY))
		kind = span_eq(kid->type->entity->name, e->string) ? TYPE_TRUE : TYPE_FALSE;
	if (e->count == 1 || kind == TYPE_FALSE)
		return typed_over(c, e, type_plain(kind), kid);
	return typecheck_in_of(c, prior, e, kid); /* a is T in b: a is T && a in b */
}

static const struct typed *check_unary(struct checker *c, const struct capabilities *prior,
	const struct expr *e, enum type_kind result, unsigned expected,
	const char *(*help)(const struct cedar_type *t))
{
	const struct typed *kid = typecheck_expect(c, prior, e->kids[0], expected, help);
	return typed_over(c, e, type_plain(result), kid);
}

const struct typed *typecheck_operator(
	struct checker *c, const struct capabilities *prior, const struct expr *e)
{
	switch (e->op) {
	case EXPR_NOT:
		return check_not(c, prior, e);
	case EXPR_NEG:
		return check_unary(c, prior, e, TYPE_LONG, EXPECT_LONG, NULL);
	case EXPR_IS_EMPTY:
		return check_unary(c, prior, e, TYPE_BOOL, EXPECT_SET, empty_help);
	case EXPR_LIKE:
		return check_unary(c, prior, e, TYPE_BOOL, EXPECT_STRING, like_help);
	case EXPR_IS:
		return check_is(c, prior, e);
	case EXPR_EQ:
		return check_eq(c, prior, e);
	case EXPR_LT:
	case EXPR_LE:
		return check_order(c, prior, e);
	case EXPR_ADD:
	case EXPR_SUB:
	case EXPR_MUL:
		return check_arithmetic(c, prior, e);
	default:
		return check_contains(c, prior, e);
	}
}
