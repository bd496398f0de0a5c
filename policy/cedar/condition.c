/* SPDX-License-Identifier: AGPL-3.0-only */
/* A policy as one expression, for walks that know fewer operators. */
#include "policy/cedar/validate.h"

struct builder {
	struct arena *arena;
	bool no_memory;
};

static struct expr *make(struct builder *b, enum expr_op op, uint32_t pos, size_t kids)
{
	static struct expr none;
	struct expr *e = expr_make(b->arena, op, pos, kids);
	if (!e)
		b->no_memory = true;
	return e ? e : &none;
}

static const struct expr *over(
	struct builder *b, enum expr_op op, const struct expr *left, const struct expr *right)
{
	struct expr *e = make(b, op, left->pos, right ? 2 : 1);
	if (b->no_memory)
		return e;
	e->kids[0] = left;
	if (right)
		e->kids[1] = right;
	return e;
}

static const struct expr *plain(struct builder *b, const struct expr *e);

/* The same node over plain kids; itself if these are so already. */
static const struct expr *with_plain_kids(struct builder *b, const struct expr *e)
{
	struct expr *copy = NULL;
	for (size_t i = 0; i < e->count && !b->no_memory; i++) {
		const struct expr *kid = plain(b, e->kids[i]);
		if (kid == e->kids[i])
			continue;
		if (!copy) {
			const struct expr **kids;
			copy = make(b, e->op, e->pos, e->count);
			if (b->no_memory)
				break;
			kids = copy->kids;
			*copy = *e;
			copy->kids = kids;
			memcpy(kids, e->kids, e->count * sizeof(*kids));
		}
		copy->kids[i] = kid;
	}
	return copy ? copy : e;
}

/* Two literals make one, as in the reference, which then takes it for one in comparisons. */
static const struct expr *of_literals(struct builder *b, const struct expr *e)
{
	bool x, y;
	struct expr *literal;
	if (e->kids[0]->op != EXPR_BOOL || e->kids[1]->op != EXPR_BOOL)
		return e;
	x = e->kids[0]->boolean;
	y = e->kids[1]->boolean;
	literal = make(b, EXPR_BOOL, e->pos, 0);
	if (!b->no_memory)
		literal->boolean = e->op == EXPR_AND ? x && y : x || y;
	return literal;
}

static const struct expr *plain(struct builder *b, const struct expr *e)
{
	e = with_plain_kids(b, e);
	if (b->no_memory)
		return e;
	switch (e->op) {
	case EXPR_AND:
	case EXPR_OR:
		return of_literals(b, e);
	case EXPR_NE:
		return over(b, EXPR_NOT, over(b, EXPR_EQ, e->kids[0], e->kids[1]), NULL);
	case EXPR_GT:
		return over(b, EXPR_NOT, over(b, EXPR_LE, e->kids[0], e->kids[1]), NULL);
	case EXPR_GE:
		return over(b, EXPR_NOT, over(b, EXPR_LT, e->kids[0], e->kids[1]), NULL);
	default:
		return e;
	}
}

static uint32_t place(const struct cedar_policy *p, const struct scope *s, size_t i)
{
	return s->places ? s->places[i] : p->pos;
}

static const struct expr *uid(
	struct builder *b, const struct cedar_policy *p, const struct scope *s, size_t i)
{
	struct expr *e = make(b, EXPR_UID, place(p, s, i), 0);
	if (!b->no_memory)
		e->uid = s->uids[i];
	return e;
}

/* What the scope compares the variable with. */
static const struct expr *scope_side(
	struct builder *b, const struct cedar_policy *p, enum cedar_var var, const struct scope *s)
{
	struct expr *e;
	if (s->slot) {
		e = make(b, EXPR_SLOT, p->pos, 0);
		if (!b->no_memory)
			e->var = var;
		return e;
	}
	if (!s->list)
		return uid(b, p, s, 0);
	e = make(b, EXPR_SET, s->count ? place(p, s, 0) : p->pos, s->count);
	for (size_t i = 0; i < s->count && !b->no_memory; i++)
		e->kids[i] = uid(b, p, s, i);
	return e;
}

static const struct expr *scope_expr(
	struct builder *b, const struct cedar_policy *p, enum cedar_var var, const struct scope *s)
{
	struct expr *e = make(b, s->op == SCOPE_ALL ? EXPR_BOOL : EXPR_VAR, p->pos, 0);
	struct expr *test;
	if (b->no_memory)
		return e;
	if (s->op == SCOPE_ALL) {
		e->boolean = true;
		return e;
	}
	e->var = var;
	if (s->op == SCOPE_EQ || s->op == SCOPE_IN)
		return over(b, s->op == SCOPE_EQ ? EXPR_EQ : EXPR_IN, e, scope_side(b, p, var, s));
	test = make(b, EXPR_IS, s->type_pos, s->op == SCOPE_IS ? 1 : 2);
	if (b->no_memory)
		return e;
	test->string = s->type;
	test->kids[0] = e;
	if (s->op == SCOPE_IS_IN)
		test->kids[1] = scope_side(b, p, var, s);
	return test;
}

static const struct expr *conditions(struct builder *b, const struct cedar_policy *p)
{
	const struct expr *all = NULL;
	struct expr *yes;
	for (size_t i = p->condition_count; i > 0 && !b->no_memory; i--) {
		const struct condition *c = &p->conditions[i - 1];
		const struct expr *e = plain(b, c->body);
		if (c->unless && !b->no_memory)
			e = over(b, EXPR_NOT, e, NULL);
		all = all && !b->no_memory ? over(b, EXPR_AND, e, all) : e;
	}
	if (all)
		return all;
	yes = make(b, EXPR_BOOL, p->pos, 0);
	if (!b->no_memory)
		yes->boolean = true;
	return yes;
}

const struct expr *condition_of(struct arena *a, const struct cedar_policy *p)
{
	struct builder b = {.arena = a};
	const struct scope *const scopes[] = {&p->principal, &p->action, &p->resource};
	const struct expr *all = conditions(&b, p);
	for (size_t i = 3; i > 0 && !b.no_memory; i--) {
		const struct expr *one = scope_expr(&b, p, (enum cedar_var)(i - 1), scopes[i - 1]);
		if (!b.no_memory)
			all = over(&b, EXPR_AND, one, all);
	}
	return b.no_memory ? NULL : all;
}
