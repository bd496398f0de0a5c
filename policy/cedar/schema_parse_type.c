/* SPDX-License-Identifier: AGPL-3.0-only */
/* Names and types in schemas in Cedar syntax. Types nest at most LIMIT_CEDAR_TYPE_NESTING levels.
 */
#include "policy/cedar/schema_parse.h"
#include "policy/cedar/no_memory.h"
#include <stdio.h>
#include <stdlib.h>

int parse_notes(struct parser *p, struct schema_notes *ret)
{
	struct vec notes = {0};
	struct annotation *items;
	int r = 0;
	while (r == 0 && lex_is(&p->l, "@"))
		r = parse_annotation(p, &notes);
	items = notes.items;
	for (size_t i = 0; i < notes.count; i++) {
		if (!items[i].has_value)
			items[i].value = SPAN("");
		items[i].has_value = true; /* as the reference: absent is empty */
	}
	*ret = (struct schema_notes){notes.count, items};
	return err_trace(r);
}

static int parse_word(struct parser *p, const char *what)
{
	if (p->l.token.type != TOKEN_IDENT)
		return lex_unexpected(&p->l, what);
	if (cedar_reserved_word(p->l.token.text) && !lex_is_word(&p->l, "__cedar"))
		return lex_fail(&p->l, p->l.token.pos,
			"`" SPAN_FMT "` is a reserved word; expected %s", SPAN_ARG(p->l.token.text),
			what);
	return lex_next(&p->l);
}

/* The name between two offsets, without the blanks that may stand in it. */
static int cut_name(struct parser *p, uint32_t from, uint32_t to, struct span *ret)
{
	struct lexer again = p->l;
	char *out = arena_bytes(p->l.arena, to - from);
	size_t n = 0;
	int r;
	if (!out)
		return no_memory();
	again.at = from;
	for (r = lex_next(&again); r == 0 && again.token.pos < to; r = lex_next(&again)) {
		memcpy(out + n, again.token.text.p, again.token.text.n);
		n += again.token.text.n;
	}
	*ret = span_of(out, n);
	return err_trace(r);
}

int parse_path(struct parser *p, const char *what, struct schema_ref *ret)
{
	uint32_t from = p->l.token.pos, to = p->l.token.end, bytes = 0;
	int r;
	for (;;) {
		struct lexer before;
		uint32_t end = p->l.token.end;
		bytes += p->l.token.end - p->l.token.pos;
		r = parse_word(p, what);
		if (r < 0)
			return err_trace(r);
		to = end;
		if (!lex_is(&p->l, "::"))
			break;
		before = p->l;
		r = lex_next(&p->l);
		if (r < 0)
			return err_trace(r);
		if (p->l.token.type == TOKEN_STRING) { /* the caller's: Action::"name" */
			p->l = before;
			break;
		}
		bytes += 2;
	}
	ret->pos = from;
	ret->name = span_sub(p->l.text, from, to);
	return bytes == to - from ? 0 : cut_name(p, from, to, &ret->name);
}

int parse_declared(struct parser *p, const char *what, struct span *ret)
{
	struct token t = p->l.token;
	if (lex_is_word(&p->l, "__cedar"))
		return lex_fail(&p->l, t.pos, "the name `__cedar` is reserved; expected %s", what);
	*ret = t.text;
	return parse_word(p, what);
}

int parse_label(struct parser *p, const char *what, struct span *ret)
{
	if (p->l.token.type == TOKEN_STRING)
		return parse_string(p, ret);
	*ret = p->l.token.text;
	return parse_word(p, what);
}

static int parse_attr(struct parser *p, struct vec *members)
{
	struct schema_member *m = vec_push(p->l.arena, members, sizeof(*m));
	bool optional;
	int r;
	if (!m)
		return no_memory();
	m->order = (uint32_t)members->count;
	r = parse_notes(p, &m->notes);
	if (r == 0)
		r = parse_label(p, "an attribute's name or `}`", &m->name);
	if (r == 0)
		r = lex_accept(&p->l, "?", &optional);
	if (r < 0)
		return err_trace(r);
	m->required = !optional;
	r = lex_expect(&p->l, ":", "behind an attribute's name");
	return r < 0 ? err_trace(r) : parse_schema_type(p, &m->type);
}

static int by_name(const void *x, const void *y)
{
	const struct schema_member *a = x, *b = y;
	int c = span_cmp(a->name, b->name);
	return c ? c : (a->order > b->order) - (a->order < b->order);
}

void schema_sort_members(struct schema_member *members, size_t *count)
{
	size_t kept = 0;
	if (*count > 1)
		qsort(members, *count, sizeof(*members), by_name);
	for (size_t i = 0; i < *count; i++) {
		if (kept > 0 && span_eq(members[kept - 1].name, members[i].name))
			kept--;
		members[kept++] = members[i];
	}
	*count = kept;
}

int parse_members(struct parser *p, uint32_t pos, const struct schema_type **ret)
{
	struct schema_type *t = arena_make(p->l.arena, struct schema_type);
	struct vec members = {0};
	int r = 0;
	if (!t)
		return no_memory();
	while (r == 0 && !lex_is(&p->l, "}")) {
		r = parse_attr(p, &members);
		if (r == 0 && !lex_is(&p->l, "}"))
			r = lex_expect(&p->l, ",", "or `}` behind an attribute's type");
	}
	if (r < 0)
		return err_trace(r);
	schema_sort_members(members.items, &members.count);
	t->form = FORM_RECORD;
	t->pos = pos;
	t->members = members.items;
	t->member_count = members.count;
	*ret = t;
	return lex_next(&p->l);
}

static int parse_set(struct parser *p, uint32_t pos, const struct schema_type **ret)
{
	struct schema_type *t = arena_make(p->l.arena, struct schema_type);
	int r = lex_next(&p->l);
	if (!t)
		return no_memory();
	t->form = FORM_SET;
	t->pos = pos;
	if (r == 0)
		r = parse_schema_type(p, &t->element);
	*ret = t;
	return r < 0 ? err_trace(r) : lex_expect(&p->l, ">", "behind a set's type");
}

static int parse_named(struct parser *p, const struct schema_type **ret)
{
	struct schema_type *t = arena_make(p->l.arena, struct schema_type);
	struct schema_ref name;
	int r = parse_path(p, "a type: a name, Set<...> or {...}", &name);
	if (!t)
		return no_memory();
	if (r < 0)
		return err_trace(r);
	*t = (struct schema_type){
		.form = FORM_ENTITY_OR_COMMON, .pos = name.pos, .name = name.name};
	*ret = t;
	if (span_is(name.name, "Set") && lex_is(&p->l, "<"))
		return parse_set(p, name.pos, ret);
	return 0;
}

int parse_schema_type(struct parser *p, const struct schema_type **ret)
{
	uint32_t pos = p->l.token.pos;
	int r;
	if (p->nesting >= LIMIT_CEDAR_TYPE_NESTING)
		return lex_fail(
			&p->l, pos, "types nested more than %d deep", LIMIT_CEDAR_TYPE_NESTING);
	p->nesting++;
	if (lex_is(&p->l, "{")) {
		r = lex_next(&p->l);
		if (r == 0)
			r = parse_members(p, pos, ret);
	} else {
		r = parse_named(p, ret);
	}
	p->nesting--;
	return err_trace(r);
}
