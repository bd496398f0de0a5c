/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Schemas in Cedar syntax: namespaces, which hold declarations of entity types, actions and common
 * types. Declarations outside of them form one more namespace, without a name. What names mean is
 * settled later (schema_resolve.c).
 */
#include "policy/cedar/schema_parse.h"
#include "policy/cedar/no_memory.h"

static int parse_common(struct parser *p, struct schema_notes notes, struct declarations *d)
{
	struct common_decl *c = vec_push(p->l.arena, &d->commons, sizeof(*c));
	int r;
	if (!c)
		return no_memory();
	c->notes = notes;
	c->pos = p->l.token.pos;
	r = parse_declared(p, "a type's name", &c->name);
	if (r < 0)
		return err_trace(r);
	if (schema_reserved_common(c->name))
		return lex_fail(&p->l, c->pos,
			"`" SPAN_FMT "` is a word of the schema language; choose another name",
			SPAN_ARG(c->name));
	r = lex_expect(&p->l, "=", "behind the type's name");
	if (r == 0)
		r = parse_schema_type(p, &c->type);
	return r < 0 ? err_trace(r) : lex_expect(&p->l, ";", "at the end of the type");
}

static int parse_declaration(struct parser *p, struct schema_notes notes, struct declarations *d)
{
	static const struct {
		const char *word;
		int (*parse)(struct parser *p, struct schema_notes notes, struct declarations *d);
	} kinds[] = {{"entity", parse_entity_decl}, {"action", parse_action_decl},
		{"type", parse_common}};
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		int r;
		if (!lex_is_word(&p->l, kinds[i].word))
			continue;
		r = lex_next(&p->l);
		return r < 0 ? err_trace(r) : kinds[i].parse(p, notes, d);
	}
	return lex_unexpected(&p->l,
		d->named ? "`entity`, `action`, `type` or `}`"
			 : "`namespace`, `entity`, `action` or `type`");
}

static void take(const struct declarations *d, struct schema_namespace *n)
{
	n->entities = d->entities.items;
	n->entity_count = d->entities.count;
	n->actions = d->actions.items;
	n->action_count = d->actions.count;
	n->commons = d->commons.items;
	n->common_count = d->commons.count;
}

/* A namespace stands once in a text; those from `first` on are of this one. */
static int check_namespace(struct parser *p, const struct vec *namespaces, size_t first)
{
	const struct schema_namespace *all = namespaces->items;
	const struct schema_namespace *last = &all[namespaces->count - 1];
	struct span rest = last->name, part;
	bool done = false;
	while (span_split(&rest, ':', &done, &part))
		if (span_is(part, "__cedar"))
			return lex_fail(&p->l, last->pos, "the namespace `__cedar` is reserved");
	for (size_t i = first; i + 1 < namespaces->count; i++)
		if (span_eq(all[i].name, last->name))
			return lex_fail(&p->l, last->pos,
				"the namespace `" SPAN_FMT
				"` is declared twice; expected all its declarations in one place",
				SPAN_ARG(last->name));
	return 0;
}

static int parse_namespace(
	struct parser *p, struct schema_notes notes, struct vec *namespaces, size_t first)
{
	struct schema_namespace *n = vec_push(p->l.arena, namespaces, sizeof(*n));
	struct declarations d = {.named = true};
	struct schema_ref name;
	int r = lex_next(&p->l);
	if (!n)
		return no_memory();
	if (namespaces->count > LIMIT_CEDAR_NAMESPACES)
		return lex_fail(
			&p->l, p->l.token.pos, "more than %d namespaces", LIMIT_CEDAR_NAMESPACES);
	if (r == 0)
		r = parse_path(p, "a namespace's name", &name);
	if (r < 0)
		return err_trace(r);
	n->name = name.name;
	n->pos = name.pos;
	n->notes = notes;
	r = check_namespace(p, namespaces, first);
	if (r == 0)
		r = lex_expect(&p->l, "{", "behind the namespace's name");
	while (r == 0 && !lex_is(&p->l, "}")) {
		r = parse_notes(p, &notes);
		if (r == 0)
			r = parse_declaration(p, notes, &d);
	}
	take(&d, n);
	return r < 0 ? err_trace(r) : lex_next(&p->l);
}

static int parse_declarations(struct parser *p, struct vec *namespaces)
{
	struct declarations outside = {0};
	struct schema_namespace *n = vec_push(p->l.arena, namespaces, sizeof(*n));
	size_t first = namespaces->count - 1;
	int r = 0;
	if (!n)
		return no_memory();
	n->name = SPAN("");
	while (r == 0 && p->l.token.type != TOKEN_END) {
		struct schema_notes notes;
		r = parse_notes(p, &notes);
		if (r == 0)
			r = lex_is_word(&p->l, "namespace")
				? parse_namespace(p, notes, namespaces, first)
				: parse_declaration(p, notes, &outside);
	}
	take(&outside, (struct schema_namespace *)namespaces->items + first);
	return err_trace(r);
}

static int parse_text(struct arena *a, const struct cedar_source *source, struct vec *namespaces)
{
	struct schema_text *text = arena_make(a, struct schema_text);
	size_t first = namespaces->count;
	struct schema_namespace *all;
	struct parser p = {0};
	int r;
	if (!text)
		return no_memory();
	r = lex_start(&p.l, a, source->text);
	text->label = source->label;
	text->lexer = p.l;
	if (r == 0)
		r = parse_declarations(&p, namespaces);
	if (r < 0)
		return source->label ? err_wrap(r, "%s", source->label) : err_trace(r);
	all = namespaces->items;
	for (size_t i = first; i < namespaces->count; i++)
		all[i].text = text;
	return 0;
}

/* What stood outside of all namespaces is one of them only if there was something. */
static void drop_empty(struct vec *namespaces)
{
	struct schema_namespace *all = namespaces->items;
	size_t kept = 0;
	for (size_t i = 0; i < namespaces->count; i++)
		if (all[i].name.n > 0 ||
			all[i].entity_count + all[i].action_count + all[i].common_count > 0)
			all[kept++] = all[i];
	namespaces->count = kept;
}

int cedar_schema_parse_all(struct arena *a, const struct cedar_source *sources, size_t count,
	const struct cedar_schema **ret)
{
	struct schema_fragment *f = arena_make(a, struct schema_fragment);
	struct vec namespaces = {0};
	int r = 0;
	if (!f)
		return no_memory();
	for (size_t i = 0; r == 0 && i < count; i++)
		r = parse_text(a, &sources[i], &namespaces);
	if (r < 0)
		return err_trace(r);
	drop_empty(&namespaces);
	f->namespaces = namespaces.items;
	f->count = namespaces.count;
	r = schema_join(a, f);
	return r < 0 ? err_trace(r) : schema_resolve(a, f, ret);
}

int cedar_schema_parse(struct arena *a, struct span text, const struct cedar_schema **ret)
{
	const struct cedar_source source = {NULL, text};
	return cedar_schema_parse_all(a, &source, 1, ret);
}
