/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Declarations of entity types and actions in Cedar syntax. One declaration may name several, which
 * then share what it says.
 */
#include "policy/cedar/schema_parse.h"
#include "policy/cedar/no_memory.h"

/* Name, or [Name, Name]. */
static int parse_types(struct parser *p, struct schema_refs *ret)
{
	struct vec refs = {0};
	bool list, more = true;
	int r = lex_accept(&p->l, "[", &list);
	if (r == 0 && list && lex_is(&p->l, "]"))
		more = false;
	while (r == 0 && more) {
		struct schema_ref *ref = vec_push(p->l.arena, &refs, sizeof(*ref));
		if (!ref)
			return no_memory();
		r = parse_path(p, "an entity type", ref);
		more = false;
		if (r == 0 && list)
			r = lex_accept(&p->l, ",", &more);
	}
	*ret = (struct schema_refs){refs.count, refs.items};
	if (r == 0 && list)
		r = lex_expect(&p->l, "]", "or `,` behind an entity type");
	return err_trace(r);
}

static int parse_choices(struct parser *p, struct entity_decl *e)
{
	struct vec choices = {0};
	bool more = true;
	int r = lex_next(&p->l);
	if (r == 0)
		r = lex_expect(&p->l, "[", "behind `enum`");
	while (r == 0 && more) {
		struct span *choice = vec_push(p->l.arena, &choices, sizeof(*choice));
		if (!choice)
			return no_memory();
		r = parse_string(p, choice);
		if (r == 0)
			r = lex_accept(&p->l, ",", &more);
	}
	e->choices = choices.items;
	e->choice_count = choices.count;
	return r < 0 ? err_trace(r) : lex_expect(&p->l, "]", "or `,` behind an id");
}

static int parse_shape(struct parser *p, struct entity_decl *e)
{
	uint32_t pos = p->l.token.pos;
	bool equals;
	int r = lex_accept(&p->l, "=", &equals);
	if (r < 0)
		return err_trace(r);
	if (!lex_is(&p->l, "{"))
		return equals ? lex_unexpected(&p->l, "`{`: an entity's attributes are a record")
			      : 0;
	r = lex_next(&p->l);
	return r < 0 ? err_trace(r) : parse_members(p, pos, &e->shape);
}

static int parse_entity_body(struct parser *p, struct entity_decl *e)
{
	int r = 0;
	e->shape = &schema_empty_record;
	if (lex_is_word(&p->l, "enum"))
		return parse_choices(p, e);
	if (lex_is_word(&p->l, "in")) {
		r = lex_next(&p->l);
		if (r == 0)
			r = parse_types(p, &e->parents);
	}
	if (r == 0)
		r = parse_shape(p, e);
	if (r == 0 && lex_is_word(&p->l, "tags")) {
		r = lex_next(&p->l);
		if (r == 0)
			r = parse_schema_type(p, &e->tags);
	}
	return err_trace(r);
}

int parse_entity_decl(struct parser *p, struct schema_notes notes, struct declarations *d)
{
	size_t first = d->entities.count;
	struct entity_decl body = {.notes = notes}, *all;
	bool more = true;
	int r = 0;
	while (r == 0 && more) {
		struct entity_decl *e = vec_push(p->l.arena, &d->entities, sizeof(*e));
		if (!e)
			return no_memory();
		e->pos = p->l.token.pos;
		r = parse_declared(p, "an entity type's name", &e->name);
		if (r == 0)
			r = lex_accept(&p->l, ",", &more);
	}
	if (r == 0)
		r = parse_entity_body(p, &body);
	all = d->entities.items;
	for (size_t i = first; i < d->entities.count; i++) {
		body.name = all[i].name;
		body.pos = all[i].pos;
		all[i] = body;
	}
	return r < 0
		? err_trace(r)
		: lex_expect(&p->l, ";", "at the end of the entity type, or `in`, `{`, `tags`");
}

/* "name", or Path::"name". */
static int parse_parent(struct parser *p, struct vec *parents)
{
	struct action_parent *a = vec_push(p->l.arena, parents, sizeof(*a));
	int r;
	if (!a)
		return no_memory();
	a->pos = p->l.token.pos;
	if (p->l.token.type == TOKEN_STRING)
		return parse_string(p, &a->id);
	r = parse_path(p, "an action", &a->type);
	if (r < 0)
		return err_trace(r);
	if (lex_is(&p->l, "::")) {
		r = lex_next(&p->l);
		return r < 0 ? err_trace(r) : parse_string(p, &a->id);
	}
	if (span_find(a->type.name, SPAN("::"), 0) >= 0)
		return lex_unexpected(&p->l, "`::` and the action's name as a string");
	a->id = a->type.name;
	a->type = (struct schema_ref){0};
	return 0;
}

static int parse_groups(struct parser *p, struct action_decl *a)
{
	struct vec parents = {0};
	bool list, more = true;
	int r = lex_next(&p->l);
	if (r == 0)
		r = lex_accept(&p->l, "[", &list);
	while (r == 0 && more) {
		r = parse_parent(p, &parents);
		more = false;
		if (r == 0 && list)
			r = lex_accept(&p->l, ",", &more);
	}
	if (r == 0 && list)
		r = lex_expect(&p->l, "]", "or `,` behind an action");
	a->grouped = true;
	a->parents = parents.items;
	a->parent_count = parents.count;
	return err_trace(r);
}

static int parse_context(struct parser *p, const struct schema_type **ret)
{
	uint32_t pos = p->l.token.pos;
	struct schema_type *t;
	struct schema_ref name;
	int r;
	if (lex_is(&p->l, "{")) {
		r = lex_next(&p->l);
		return r < 0 ? err_trace(r) : parse_members(p, pos, ret);
	}
	r = parse_path(p, "a record {...} or the name of one", &name);
	if (r < 0)
		return err_trace(r);
	t = arena_make(p->l.arena, struct schema_type);
	if (!t)
		return no_memory();
	*t = (struct schema_type){.form = FORM_COMMON, .pos = name.pos, .name = name.name};
	*ret = t;
	return 0;
}

/* principal, resource or context, whose bits in `seen` are 1, 2, 4. */
static int parse_applies_part(struct parser *p, struct action_decl *a, int *seen)
{
	static const char *const words[] = {"principal", "resource", "context"};
	struct token t = p->l.token;
	struct schema_refs *refs[] = {&a->principals, &a->resources};
	size_t which = 0;
	int r;
	while (which < 3 && !lex_is_word(&p->l, words[which]))
		which++;
	if (which == 3)
		return lex_unexpected(&p->l, "`principal`, `resource`, `context` or `}`");
	if (*seen & 1 << which)
		return lex_fail(&p->l, t.pos, "`%s` is given twice", words[which]);
	*seen |= 1 << which;
	r = lex_next(&p->l);
	if (r == 0)
		r = lex_expect(&p->l, ":", "behind principal, resource, context");
	if (r == 0)
		r = which == 2 ? parse_context(p, &a->context) : parse_types(p, refs[which]);
	if (r == 0 && which < 2 && refs[which]->count == 0)
		return lex_fail(&p->l, t.pos,
			"`%s` names no type; expected at least one, or no `appliesTo`",
			words[which]);
	return err_trace(r);
}

static int parse_applies(struct parser *p, struct action_decl *a)
{
	struct token t = p->l.token;
	int seen = 0, r = lex_next(&p->l);
	if (r == 0)
		r = lex_expect(&p->l, "{", "behind appliesTo");
	do {
		if (r == 0)
			r = parse_applies_part(p, a, &seen);
		if (r == 0 && !lex_is(&p->l, "}"))
			r = lex_expect(&p->l, ",", "or `}`");
	} while (r == 0 && !lex_is(&p->l, "}"));
	if (r < 0)
		return err_trace(r);
	if ((seen & 3) != 3)
		return lex_fail(&p->l, t.pos,
			"appliesTo without `%s`; expected both `principal` "
			"and `resource`",
			seen & 1 ? "resource" : "principal");
	return lex_next(&p->l);
}

static int parse_action_body(struct parser *p, struct action_decl *a)
{
	int r = 0;
	a->applies = true; /* to nothing, if it does not say to what */
	a->context = &schema_empty_record;
	if (lex_is_word(&p->l, "in"))
		r = parse_groups(p, a);
	if (r == 0 && lex_is_word(&p->l, "appliesTo"))
		r = parse_applies(p, a);
	if (r == 0 && lex_is_word(&p->l, "attributes")) {
		r = lex_next(&p->l);
		if (r == 0)
			r = lex_expect(&p->l, "{", "behind attributes");
		if (r == 0)
			r = lex_expect(&p->l, "}", "behind `{`: actions have no attributes");
	}
	return err_trace(r);
}

int parse_action_decl(struct parser *p, struct schema_notes notes, struct declarations *d)
{
	size_t first = d->actions.count;
	struct action_decl body = {.notes = notes}, *all;
	bool more = true;
	int r = 0;
	while (r == 0 && more) {
		struct action_decl *a = vec_push(p->l.arena, &d->actions, sizeof(*a));
		if (!a)
			return no_memory();
		a->pos = p->l.token.pos;
		r = parse_label(p, "an action's name", &a->name);
		if (r == 0)
			r = lex_accept(&p->l, ",", &more);
	}
	if (r == 0)
		r = parse_action_body(p, &body);
	all = d->actions.items;
	for (size_t i = first; i < d->actions.count; i++) {
		body.name = all[i].name;
		body.pos = all[i].pos;
		all[i] = body;
	}
	return r < 0 ? err_trace(r)
		     : lex_expect(&p->l, ";", "at the end of the action, or `in`, `appliesTo`");
}
