/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Operands: literals, names, entities, sets, records, calls, and what is accessed on them. What a
 * bare string or name means is settled when its place is known.
 */
#include "policy/cedar/parse.h"

static int no_memory(void)
{
	return err_raise(-ENOMEM, "no memory for an expression");
}

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

static int set_expr(struct operand *o, const struct expr *e)
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
	return r < 0 ? err_trace(r) : set_expr(ret, e);
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

/* Arguments, elements: `item` reads one; the list ends with `close`, a comma may end it too. */
static int parse_list(struct parser *p, const char *close, struct vec *ret)
{
	for (;;) {
		const struct expr **item;
		bool found;
		int r = lex_accept(&p->l, close, &found);
		if (r < 0 || found)
			return err_trace(r);
		item = vec_push(p->l.arena, ret, sizeof(const struct expr *));
		if (!item)
			return no_memory();
		r = parse_expr(p, item);
		if (r < 0)
			return err_trace(r);
		if (!lex_is(&p->l, close)) {
			r = lex_expect(&p->l, ",", "or the end of the list");
			if (r < 0)
				return err_trace(r);
		}
	}
}

static int parse_set(struct parser *p, uint32_t pos, struct operand *ret)
{
	struct vec items = {0};
	struct expr *e;
	int r = parse_list(p, "]", &items);
	if (r < 0)
		return err_trace(r);
	e = expr_make(p->l.arena, EXPR_SET, pos, 0);
	if (!e)
		return no_memory();
	e->count = items.count;
	e->kids = items.items;
	return operand_node(p, e, ret);
}

/* An attribute's name in front of the colon. */
int parse_key(struct parser *p, struct span *ret)
{
	struct token t = p->l.token;
	if (t.type == TOKEN_STRING)
		return parse_string(p, ret);
	if (t.type != TOKEN_IDENT)
		return lex_unexpected(&p->l, "an attribute's name: an identifier or a string");
	if (cedar_reserved_word(t.text))
		return lex_fail(&p->l, t.pos,
			"`" SPAN_FMT "` is reserved; write it as a string: \"" SPAN_FMT "\"",
			SPAN_ARG(t.text), SPAN_ARG(t.text));
	*ret = t.text;
	return lex_next(&p->l);
}

static int parse_record(struct parser *p, uint32_t pos, struct operand *ret)
{
	struct vec names = {0}, values = {0};
	struct expr *e;
	int r = 0;
	while (r == 0 && !lex_is(&p->l, "}")) {
		uint32_t key_pos = p->l.token.pos;
		struct span *name = vec_push(p->l.arena, &names, sizeof(struct span));
		const struct expr **value =
			vec_push(p->l.arena, &values, sizeof(const struct expr *));
		if (!name || !value)
			return no_memory();
		r = parse_key(p, name);
		for (size_t i = 0; r == 0 && i + 1 < names.count; i++)
			if (span_eq(((struct span *)names.items)[i], *name))
				return lex_fail(&p->l, key_pos,
					"the attribute `" SPAN_FMT "` is given twice",
					SPAN_ARG(span_sub(*name, 0, 80)));
		if (r == 0)
			r = lex_expect(&p->l, ":", "behind an attribute's name");
		if (r == 0)
			r = parse_expr(p, value);
		if (r == 0 && !lex_is(&p->l, "}"))
			r = lex_expect(&p->l, ",", "or `}`");
	}
	if (r == 0)
		r = lex_next(&p->l);
	if (r < 0)
		return err_trace(r);
	e = expr_make(p->l.arena, EXPR_RECORD, pos, 0);
	if (!e)
		return no_memory();
	e->count = e->name_count = names.count;
	e->names = names.items;
	e->kids = values.items;
	return operand_node(p, e, ret);
}

int parse_number(struct parser *p, bool negative, struct operand *ret)
{
	struct token t = p->l.token;
	struct expr *e = expr_make(p->l.arena, EXPR_LONG, t.pos, 0);
	uint64_t n;
	if (!e)
		return no_memory();
	if (span_to_u64(t.text, &n) < 0 || n > (uint64_t)INT64_MAX + negative)
		return lex_fail(&p->l, t.pos, "a number beyond 64 bits; expected %lld to %lld",
			(long long)INT64_MIN, (long long)INT64_MAX);
	e->number = (int64_t)(negative ? -n : n);
	set_expr(ret, e);
	return lex_next(&p->l);
}

static int parse_slot(struct parser *p, struct operand *ret)
{
	struct token t = p->l.token;
	struct expr *e = expr_make(p->l.arena, EXPR_SLOT, t.pos, 0);
	if (!e)
		return no_memory();
	if (span_is(t.text, "principal"))
		e->var = VAR_PRINCIPAL;
	else if (span_is(t.text, "resource"))
		e->var = VAR_RESOURCE;
	else
		return lex_fail(&p->l, t.pos, "no such slot; expected ?principal or ?resource");
	p->slot_seen = true;
	p->slot_pos = t.pos;
	set_expr(ret, e);
	return lex_next(&p->l);
}

static int parse_uid(struct parser *p, uint32_t pos, struct span type, struct operand *ret)
{
	struct span id;
	struct expr *e;
	int r = lex_next(&p->l);
	if (r == 0)
		r = parse_string(p, &id);
	if (r < 0)
		return err_trace(r);
	e = expr_make(p->l.arena, EXPR_UID, pos, 0);
	if (!e)
		return no_memory();
	e->uid = cedar_uid_of(type, id);
	return set_expr(ret, e);
}

static int parse_word(struct parser *p, struct operand *ret)
{
	struct token t = p->l.token;
	struct expr *e;
	int r;
	if (span_is(t.text, "true") || span_is(t.text, "false")) {
		e = expr_make(p->l.arena, EXPR_BOOL, t.pos, 0);
		if (!e)
			return no_memory();
		e->boolean = t.text.n == 4;
		set_expr(ret, e);
		return lex_next(&p->l);
	}
	*ret = (struct operand){.kind = OPERAND_NAME, .pos = t.pos};
	r = parse_name(p, &ret->text);
	if (r < 0)
		return err_trace(r);
	if (lex_is(&p->l, "::"))
		return parse_uid(p, t.pos, ret->text, ret);
	for (size_t i = 0; i < ARRAY_LEN(cedar_var_names); i++)
		if (span_is(ret->text, cedar_var_names[i])) {
			ret->kind = OPERAND_VAR;
			ret->var = (enum cedar_var)i;
		}
	return 0;
}

static int parse_primary(struct parser *p, struct operand *ret)
{
	struct token t = p->l.token;
	int r;
	switch (t.type) {
	case TOKEN_NUMBER:
		return parse_number(p, false, ret);
	case TOKEN_STRING:
		*ret = (struct operand){.kind = OPERAND_STRING, .pos = t.pos, .text = t.text};
		return lex_next(&p->l);
	case TOKEN_SLOT:
		return parse_slot(p, ret);
	case TOKEN_IDENT:
		return parse_word(p, ret);
	default:
		break;
	}
	if (!lex_is(&p->l, "(") && !lex_is(&p->l, "[") && !lex_is(&p->l, "{"))
		return lex_unexpected(&p->l, "an expression");
	r = lex_next(&p->l);
	if (r < 0)
		return err_trace(r);
	if (*t.text.p == '[')
		return parse_set(p, t.pos, ret);
	if (*t.text.p == '{')
		return parse_record(p, t.pos, ret);
	*ret = (struct operand){.kind = OPERAND_EXPR};
	r = parse_expr(p, &ret->expr);
	if (r < 0)
		return err_trace(r);
	ret->pos = ret->expr->pos;
	return lex_expect(&p->l, ")", "");
}

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
