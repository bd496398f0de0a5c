/* SPDX-License-Identifier: AGPL-3.0-only */
/* What is accessed on an operand: attributes, calls of methods; and calls of functions. */
#include "policy/cedar/parse.h"
#include "policy/cedar/no_memory.h"

static int make_call(struct parser *p, enum ext_fn fn, uint32_t pos, const struct expr *receiver,
	const struct vec *args, struct operand *ret)
{
	size_t first = receiver ? 1 : 0;
	struct expr *e = expr_make(p->l.arena, EXPR_CALL, pos, args->count + first);
	if (!e)
		return no_memory();
	e->ext = fn;
	if (receiver)
		e->kids[0] = receiver;
	if (args->count)
		memcpy(e->kids + first, args->items, args->count * sizeof(*e->kids));
	return operand_node(p, e, ret);
}

static bool find_method(struct span name, enum expr_op *ret)
{
	for (enum expr_op op = EXPR_IS_EMPTY; op <= EXPR_GET_TAG; op++)
		if (expr_op_is_method(op) && span_is(name, expr_op_name(op))) {
			*ret = op;
			return true;
		}
	return false;
}

static int call_function(struct parser *p, struct operand *o)
{
	struct vec args = {0};
	enum ext_fn fn;
	enum expr_op op;
	int r;
	if (find_method(o->text, &op) || (ext_find(o->text, &fn) && !ext_is_constructor(fn)))
		return lex_fail(&p->l, o->pos,
			"`" SPAN_FMT "` is a method, not a function; expected value." SPAN_FMT
			"(...)",
			SPAN_ARG(o->text), SPAN_ARG(o->text));
	if (!ext_find(o->text, &fn))
		return lex_fail(&p->l, o->pos,
			"no function `" SPAN_FMT "`; expected decimal, ip, datetime or duration",
			SPAN_ARG(span_sub(o->text, 0, 80)));
	r = lex_next(&p->l);
	if (r == 0)
		r = parse_list(p, ")", &args);
	return r < 0 ? err_trace(r) : make_call(p, fn, o->pos, NULL, &args, o);
}

static int call_method(struct parser *p, const struct expr *receiver, const struct token *name,
	struct operand *ret)
{
	struct vec args = {0};
	enum ext_fn fn;
	enum expr_op op;
	int r = lex_next(&p->l);
	if (r == 0)
		r = parse_list(p, ")", &args);
	if (r < 0)
		return err_trace(r);
	if (find_method(name->text, &op)) {
		size_t wanted = op == EXPR_IS_EMPTY ? 0 : 1;
		if (args.count != wanted)
			return lex_fail(&p->l, name->pos,
				"`" SPAN_FMT "` takes %zu argument%s, not %zu",
				SPAN_ARG(name->text), wanted, wanted == 1 ? "" : "s", args.count);
		if (wanted == 0)
			return operand_unary(p, op, receiver->pos, receiver, ret);
		return operand_binary(p, op, receiver, *(const struct expr **)args.items, ret);
	}
	if (!ext_find(name->text, &fn))
		return lex_fail(&p->l, name->pos, "no method `" SPAN_FMT "`",
			SPAN_ARG(span_sub(name->text, 0, 80)));
	if (ext_is_constructor(fn))
		return lex_fail(&p->l, name->pos,
			"`" SPAN_FMT "` is a function, not a method; expected " SPAN_FMT "(...)",
			SPAN_ARG(name->text), SPAN_ARG(name->text));
	return make_call(p, fn, receiver->pos, receiver, &args, ret);
}

static int make_attr(
	struct parser *p, const struct expr *left, struct span name, struct operand *ret)
{
	struct expr *e = expr_make(p->l.arena, EXPR_ATTR, left->pos, 1);
	if (!e)
		return no_memory();
	e->kids[0] = left;
	e->string = name;
	return operand_node(p, e, ret);
}

/* An identifier behind a dot. */
int parse_field(struct parser *p, struct token *ret)
{
	*ret = p->l.token;
	if (ret->type != TOKEN_IDENT)
		return lex_unexpected(&p->l, "an attribute's name");
	if (cedar_reserved_word(ret->text))
		return lex_fail(&p->l, ret->pos,
			"`" SPAN_FMT "` is reserved; write it as [\"" SPAN_FMT "\"]",
			SPAN_ARG(ret->text), SPAN_ARG(ret->text));
	return lex_next(&p->l);
}

/* One .name, .name(...) or ["name"] behind an operand. */
static int parse_access(struct parser *p, struct operand *o)
{
	const struct expr *left;
	struct span name;
	int r;
	if (lex_is(&p->l, "(")) {
		if (o->kind != OPERAND_NAME)
			return lex_fail(
				&p->l, p->l.token.pos, "only functions and methods can be called");
		return call_function(p, o);
	}
	r = operand_expr(p, o, &left);
	if (r < 0)
		return err_trace(r);
	if (lex_is(&p->l, ".")) {
		struct token field;
		r = lex_next(&p->l);
		if (r == 0)
			r = parse_field(p, &field);
		if (r < 0)
			return err_trace(r);
		return lex_is(&p->l, "(") ? call_method(p, left, &field, o)
					  : make_attr(p, left, field.text, o);
	}
	r = lex_next(&p->l);
	if (r == 0)
		r = parse_string(p, &name);
	if (r == 0)
		r = lex_expect(&p->l, "]", "behind an attribute's name");
	return r < 0 ? err_trace(r) : make_attr(p, left, name, o);
}

int parse_member(struct parser *p, struct operand *ret)
{
	int r = parse_primary(p, ret);
	while (r == 0 && (lex_is(&p->l, ".") || lex_is(&p->l, "[") || lex_is(&p->l, "(")))
		r = parse_access(p, ret);
	return err_trace(r);
}
