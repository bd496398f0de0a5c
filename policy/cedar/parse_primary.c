/* SPDX-License-Identifier: AGPL-3.0-only */
/* What an operand begins with: literals, names, entities, sets, records, parentheses. */
#include "policy/cedar/parse.h"
#include "policy/cedar/no_memory.h"

/* Arguments, elements: `item` reads one; the list ends with `close`, a comma may end it too. */
int parse_list(struct parser *p, const char *close, struct vec *ret)
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
	operand_set(ret, e);
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
	operand_set(ret, e);
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
	return operand_set(ret, e);
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
		operand_set(ret, e);
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

int parse_primary(struct parser *p, struct operand *ret)
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
