/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Operands, strings and names. What a bare string or name means is settled when its place is known.
 */
#include "policy/cedar/parse.h"
#include "policy/cedar/no_memory.h"

void *vec_push(struct arena *a, struct vec *v, size_t size)
{
	if (v->count == v->capacity) {
		size_t capacity = v->capacity ? v->capacity * 2 : 4;
		void *items = arena_alloc_array(a, capacity, size);
		if (!items)
			return NULL;
		if (v->count)
			memcpy(items, v->items, v->count * size);
		v->items = items;
		v->capacity = capacity;
	}
	return (char *)v->items + v->count++ * size;
}

int operand_set(struct operand *o, const struct expr *e)
{
	*o = (struct operand){.kind = OPERAND_EXPR, .pos = e->pos, .expr = e};
	return 0;
}

/* Reads the operand as an expression by itself. */
int operand_expr(struct parser *p, struct operand *o, const struct expr **ret)
{
	struct expr *e;
	int r;
	switch (o->kind) {
	case OPERAND_EXPR:
		*ret = o->expr;
		return 0;
	case OPERAND_NAME:
		return lex_fail(&p->l, o->pos,
			"`" SPAN_FMT "` is no variable; expected principal, action, resource or "
			"context",
			SPAN_ARG(span_sub(o->text, 0, 80)));
	case OPERAND_VAR:
		e = expr_make(p->l.arena, EXPR_VAR, o->pos, 0);
		if (!e)
			return no_memory();
		e->var = o->var;
		break;
	case OPERAND_STRING:
		e = expr_make(p->l.arena, EXPR_STRING, o->pos, 0);
		if (!e)
			return no_memory();
		r = lex_unescape(&p->l, o->text, o->pos + 1, &e->string);
		if (r < 0)
			return err_trace(r);
		break;
	default:
		return err_raise(-EINVAL, "no operand");
	}
	*ret = e;
	return 0;
}

/* A node over up to three kids, as an operand. */
int operand_node(struct parser *p, struct expr *e, struct operand *ret)
{
	int r = expr_measure(e);
	if (r == -E2BIG)
		return lex_fail(&p->l, e->pos, "this expression has more than %d levels",
			LIMIT_CEDAR_DEPTH);
	return r < 0 ? err_trace(r) : operand_set(ret, e);
}

int operand_unary(struct parser *p, enum expr_op op, uint32_t pos, const struct expr *kid,
	struct operand *ret)
{
	struct expr *e = expr_make(p->l.arena, op, pos, 1);
	if (!e)
		return no_memory();
	e->kids[0] = kid;
	return operand_node(p, e, ret);
}

int operand_binary(struct parser *p, enum expr_op op, const struct expr *left,
	const struct expr *right, struct operand *ret)
{
	struct expr *e = expr_make(p->l.arena, op, left->pos, 2);
	if (!e)
		return no_memory();
	e->kids[0] = left;
	e->kids[1] = right;
	return operand_node(p, e, ret);
}

int parse_string(struct parser *p, struct span *ret)
{
	struct token t = p->l.token;
	int r;
	if (t.type != TOKEN_STRING)
		return lex_unexpected(&p->l, "a string");
	r = lex_unescape(&p->l, t.text, t.pos + 1, ret);
	return r < 0 ? err_trace(r) : lex_next(&p->l);
}

/* The name's span is source text where it holds no blanks, else a copy without them. */
static int join_name(struct parser *p, const struct vec *parts, struct span *ret)
{
	const struct span *part = parts->items;
	size_t n = 0;
	char *out;
	if (parts->count == 1) {
		*ret = part[0];
		return 0;
	}
	for (size_t i = 0; i < parts->count; i++)
		n += part[i].n + (i ? 2 : 0);
	out = arena_bytes(p->l.arena, n);
	if (!out)
		return no_memory();
	*ret = span_of(out, n);
	for (size_t i = 0; i < parts->count; i++) {
		if (i) {
			memcpy(out, "::", 2);
			out += 2;
		}
		memcpy(out, part[i].p, part[i].n);
		out += part[i].n;
	}
	return 0;
}

int parse_name(struct parser *p, struct span *ret)
{
	struct vec parts = {0};
	int r;
	for (;;) {
		struct lexer before;
		struct span *part;
		bool more;
		if (p->l.token.type != TOKEN_IDENT)
			return lex_unexpected(&p->l, "a name");
		part = vec_push(p->l.arena, &parts, sizeof(*part));
		if (!part)
			return no_memory();
		*part = p->l.token.text;
		if (cedar_reserved_word(*part))
			return lex_fail(&p->l, p->l.token.pos,
				"`" SPAN_FMT "` is reserved and cannot be part of a name",
				SPAN_ARG(*part));
		r = lex_next(&p->l);
		if (r < 0)
			return err_trace(r);
		before = p->l;
		r = lex_accept(&p->l, "::", &more);
		if (r < 0)
			return err_trace(r);
		if (more && p->l.token.type != TOKEN_IDENT) {
			p->l = before; /* Type::"id": the caller's */
			more = false;
		}
		if (!more)
			break;
	}
	return join_name(p, &parts, ret);
}

int parse_is_type(struct parser *p, struct span *ret)
{
	int r;
	if (p->l.token.type != TOKEN_IDENT)
		return lex_unexpected(&p->l, "an entity type behind `is`");
	r = parse_name(p, ret);
	if (r < 0)
		return err_trace(r);
	if (lex_is(&p->l, "::") || lex_is(&p->l, ".") || lex_is(&p->l, "("))
		return lex_unexpected(
			&p->l, "an entity type behind `is`, such as User or Ns::User");
	return 0;
}
