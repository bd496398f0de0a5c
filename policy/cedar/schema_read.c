/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Schemas in the reference's JSON form: an object of namespaces by name ("" for what stands outside
 * of all), each with entityTypes, actions and, if need be, commonTypes and annotations. Names are
 * written without blanks. Depth is bounded by that of JSON.
 */
#include "policy/cedar/reader.h"
#include "policy/cedar/schema_ast.h"
#include "policy/cedar/schema_read.h"
#include "policy/cedar/no_memory.h"

int schema_read_notes(struct reader *rd, const struct json *v, struct schema_notes *ret)
{
	return reader_annotations(rd, v, &ret->count, &ret->items);
}

/* A name of a declaration: one identifier, not reserved. */
static int check_declared(struct reader *rd, struct span name)
{
	if (!cedar_identifier(name) || cedar_reserved_word(name))
		return reader_fail(rd, "an identifier that is no reserved word as the name");
	return 0;
}

/* A name that refers to something: __cedar may stand in it. */
static int check_ref(struct reader *rd, struct span name)
{
	size_t at = 0;
	for (;;) {
		ssize_t colons = span_find(name, SPAN("::"), at);
		struct span part = span_sub(name, at, colons < 0 ? name.n : (size_t)colons);
		if (!cedar_identifier(part) ||
			(cedar_reserved_word(part) && !span_is(part, "__cedar")))
			return reader_fail(rd, "a name: identifiers joined by `::`");
		if (colons < 0)
			return 0;
		at = (size_t)colons + 2;
	}
}

int schema_read_ref(struct reader *rd, const struct json *v, struct schema_ref *ret)
{
	if (v->type != JSON_STRING)
		return reader_fail(rd, "a name as a string");
	*ret = (struct schema_ref){.name = v->text};
	return check_ref(rd, v->text);
}

int schema_read_refs(
	struct reader *rd, const struct json *v, const char *name, struct schema_refs *ret)
{
	size_t before = reader_enter(rd, name, -1);
	struct schema_ref *refs;
	if (!v || v->type != JSON_ARRAY)
		return reader_fail(rd, "an array of names");
	refs = arena_make_array(rd->arena, struct schema_ref, v->count + 1);
	if (!refs)
		return no_memory();
	for (size_t i = 0; i < v->count; i++) {
		size_t outer = reader_enter(rd, NULL, (ssize_t)i);
		int r = schema_read_ref(rd, &v->items[i], &refs[i]);
		if (r < 0)
			return err_trace(r);
		reader_leave(rd, outer);
	}
	*ret = (struct schema_refs){v->count, refs};
	reader_leave(rd, before);
	return 0;
}

static int read_choices(struct reader *rd, const struct json *v, struct entity_decl *e)
{
	size_t before = reader_enter(rd, "enum", -1);
	struct span *choices;
	if (v->type != JSON_ARRAY || v->count == 0)
		return reader_fail(rd, "an array of at least one id");
	e->choices = choices = arena_make_array(rd->arena, struct span, v->count);
	if (!choices)
		return no_memory();
	e->choice_count = v->count;
	for (size_t i = 0; i < v->count; i++) {
		if (v->items[i].type != JSON_STRING)
			return reader_fail(rd, "ids as strings");
		choices[i] = v->items[i].text;
	}
	reader_leave(rd, before);
	return 0;
}

static int read_entity(struct reader *rd, const struct json *v, struct entity_decl *e)
{
	static const char *const of_any[] = {
		"memberOfTypes", "shape", "tags", "enum", "annotations", NULL};
	static const char *const of_enum[] = {"enum", "annotations", NULL};
	const struct json *choices, *m;
	int r = reader_struct(rd, &v, of_any);
	choices = json_get(v, "enum");
	e->shape = &schema_empty_record;
	if (r == 0 && choices)
		r = reader_only(rd, v, of_enum);
	if (r == 0)
		r = schema_read_notes(rd, json_get(v, "annotations"), &e->notes);
	if (r == 0 && choices)
		r = read_choices(rd, choices, e);
	if (r == 0 && (m = json_get(v, "memberOfTypes")))
		r = schema_read_refs(rd, m, "memberOfTypes", &e->parents);
	if (r == 0 && json_get(v, "shape"))
		r = schema_read_type_member(rd, v, "shape", &e->shape);
	if (r == 0 && json_get(v, "tags"))
		r = schema_read_type_member(rd, v, "tags", &e->tags);
	return err_trace(r);
}

static int read_common(struct reader *rd, const struct json *v, struct common_decl *c)
{
	int r;
	if (schema_reserved_common(v->key))
		return reader_fail(rd, "another name: this is a word of the schema language");
	r = schema_read_notes(rd, json_get(v, "annotations"), &c->notes);
	return r < 0 ? err_trace(r) : schema_read_type(rd, v, SCHEMA_TYPE_NOTED, &c->type);
}

/* The members of one kind: *ret_v NULL if there are none. The path is left to the caller. */
static int open_list(struct reader *rd, const struct json *namespace, const char *name,
	bool required, const struct json **ret_v)
{
	const struct json *v = json_get(namespace, name);
	*ret_v = v;
	if (!v && !required)
		return 0;
	if (!v || v->type != JSON_OBJECT)
		return reader_fail(rd, "an object of declarations by name");
	return 0;
}

static int read_commons(struct reader *rd, const struct json *namespace, struct schema_namespace *n)
{
	size_t before = reader_enter(rd, "commonTypes", -1);
	const struct json *v;
	struct common_decl *items;
	int r = open_list(rd, namespace, "commonTypes", false, &v);
	n->common_count = v && r == 0 ? v->count : 0;
	n->commons = items = arena_make_array(rd->arena, struct common_decl, n->common_count + 1);
	if (!items)
		return no_memory();
	for (size_t i = 0; r == 0 && i < n->common_count; i++) {
		size_t outer = reader_enter_span(rd, v->items[i].key);
		items[i].name = v->items[i].key;
		r = check_declared(rd, items[i].name);
		if (r == 0)
			r = read_common(rd, &v->items[i], &items[i]);
		if (r == 0)
			reader_leave(rd, outer);
	}
	if (r == 0)
		reader_leave(rd, before);
	return err_trace(r);
}

static int read_entities(
	struct reader *rd, const struct json *namespace, struct schema_namespace *n)
{
	size_t before = reader_enter(rd, "entityTypes", -1);
	const struct json *v;
	struct entity_decl *items;
	int r = open_list(rd, namespace, "entityTypes", true, &v);
	n->entity_count = r == 0 ? v->count : 0;
	n->entities = items = arena_make_array(rd->arena, struct entity_decl, n->entity_count + 1);
	if (!items)
		return no_memory();
	for (size_t i = 0; r == 0 && i < n->entity_count; i++) {
		size_t outer = reader_enter_span(rd, v->items[i].key);
		items[i].name = v->items[i].key;
		r = check_declared(rd, items[i].name);
		if (r == 0)
			r = read_entity(rd, &v->items[i], &items[i]);
		if (r == 0)
			reader_leave(rd, outer);
	}
	if (r == 0)
		reader_leave(rd, before);
	return err_trace(r);
}

static int read_actions(struct reader *rd, const struct json *namespace, struct schema_namespace *n)
{
	size_t before = reader_enter(rd, "actions", -1);
	const struct json *v;
	struct action_decl *items;
	int r = open_list(rd, namespace, "actions", true, &v);
	n->action_count = r == 0 ? v->count : 0;
	n->actions = items = arena_make_array(rd->arena, struct action_decl, n->action_count + 1);
	if (!items)
		return no_memory();
	for (size_t i = 0; r == 0 && i < n->action_count; i++) {
		size_t outer = reader_enter_span(rd, v->items[i].key);
		items[i].name = v->items[i].key;
		r = schema_read_action(rd, &v->items[i], &items[i]);
		if (r == 0)
			reader_leave(rd, outer);
	}
	if (r == 0)
		reader_leave(rd, before);
	return err_trace(r);
}

static int read_namespace(struct reader *rd, const struct json *v, struct schema_namespace *n)
{
	static const char *const members[] = {
		"commonTypes", "entityTypes", "actions", "annotations", NULL};
	int r = v->key.n ? cedar_check_name(v->key) : 0;
	n->name = v->key;
	if (r == 0)
		r = reader_struct(rd, &v, members);
	if (r == 0)
		r = schema_read_notes(rd, json_get(v, "annotations"), &n->notes);
	if (r == 0 && n->name.n == 0 && n->notes.count > 0)
		return reader_fail(rd, "no annotations: this is no namespace");
	if (r == 0)
		r = read_commons(rd, v, n);
	if (r == 0)
		r = read_entities(rd, v, n);
	return r < 0 ? err_trace(r) : read_actions(rd, v, n);
}

static int read_fragment(struct reader *rd, const struct json *v, struct schema_fragment *f)
{
	struct schema_namespace *namespaces;
	if (!v || v->type != JSON_OBJECT)
		return reader_fail(rd, "an object of namespaces by name");
	if (v->count > LIMIT_CEDAR_NAMESPACES)
		return err_raise(-E2BIG, "%zu namespaces; at most %d are accepted", v->count,
			LIMIT_CEDAR_NAMESPACES);
	f->namespaces = namespaces =
		arena_make_array(rd->arena, struct schema_namespace, v->count + 1);
	if (!namespaces)
		return no_memory();
	f->count = v->count;
	for (size_t i = 0; i < v->count; i++) {
		size_t before =
			reader_enter_span(rd, v->items[i].key.n ? v->items[i].key : SPAN("\"\""));
		int r = read_namespace(rd, &v->items[i], &namespaces[i]);
		if (r < 0)
			return err_trace(r);
		reader_leave(rd, before);
	}
	return 0;
}

int cedar_schema_from_json(struct arena *a, const struct json *v, const struct cedar_schema **ret)
{
	struct reader rd = {.arena = a, .what = "the schema"};
	struct schema_fragment *f = arena_make(a, struct schema_fragment);
	int r;
	if (!f)
		return no_memory();
	r = read_fragment(&rd, v, f);
	if (r == 0)
		r = schema_join(a, f);
	return r < 0 ? err_trace(r) : schema_resolve(a, f, ret);
}
