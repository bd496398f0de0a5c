/* SPDX-License-Identifier: AGPL-3.0-only */
/* Types and actions of schemas in JSON. */
#include "policy/cedar/schema_read.h"
#include "policy/cedar/no_memory.h"

/* The members that a form of type has, beside `type`. */
static const struct form {
	const char *name;
	enum schema_form form;
	const char *members[3];
} forms[] = {
	{"String", FORM_STRING, {NULL}},
	{"Long", FORM_LONG, {NULL}},
	{"Boolean", FORM_BOOL, {NULL}},
	{"Set", FORM_SET, {"element"}},
	{"Record", FORM_RECORD, {"attributes", "additionalAttributes"}},
	{"Entity", FORM_ENTITY, {"name"}},
	{"EntityOrCommon", FORM_ENTITY_OR_COMMON, {"name"}},
	{"Extension", FORM_EXTENSION, {"name"}},
};

static int check_members(
	struct reader *rd, const struct json *v, const struct form *f, enum schema_type_place place)
{
	const char *allowed[7] = {"type"};
	size_t n = 1;
	for (size_t i = 0; f && i < ARRAY_LEN(f->members) && f->members[i]; i++)
		allowed[n++] = f->members[i];
	if (place != SCHEMA_TYPE_BARE)
		allowed[n++] = "annotations";
	if (place == SCHEMA_TYPE_ATTR)
		allowed[n++] = "required";
	return reader_only(rd, v, allowed);
}

static int read_attr(struct reader *rd, const struct json *v, struct schema_member *m)
{
	const struct json *required = json_get(v, "required");
	int r = schema_read_type(rd, v, SCHEMA_TYPE_ATTR, &m->type);
	if (r == 0)
		r = schema_read_notes(rd, json_get(v, "annotations"), &m->notes);
	if (r == 0 && required && required->type != JSON_BOOL)
		return reader_fail(rd, "`required`: true or false");
	m->name = v->key;
	m->required = !required || required->boolean;
	return err_trace(r);
}

static int read_record(struct reader *rd, const struct json *v, struct schema_type *t)
{
	const struct json *attrs = json_get(v, "attributes");
	const struct json *open = json_get(v, "additionalAttributes");
	struct schema_member *members;
	size_t before;
	if (open && open->type != JSON_BOOL)
		return reader_fail(rd, "`additionalAttributes`: false");
	if (open && open->boolean)
		return reader_fail(rd,
			"`additionalAttributes`: false; records with further attributes are not "
			"supported");
	before = reader_enter(rd, "attributes", -1);
	if (!attrs || attrs->type != JSON_OBJECT)
		return reader_fail(rd, "an object of types by name");
	t->members = members = arena_make_array(rd->arena, struct schema_member, attrs->count + 1);
	if (!members)
		return no_memory();
	t->member_count = attrs->count;
	for (size_t i = 0; i < attrs->count; i++) {
		size_t outer = reader_enter_span(rd, attrs->items[i].key);
		int r = read_attr(rd, &attrs->items[i], &members[i]);
		if (r < 0)
			return err_trace(r);
		members[i].order = (uint32_t)i;
		reader_leave(rd, outer);
	}
	schema_sort_members(members, &t->member_count);
	reader_leave(rd, before);
	return 0;
}

static int read_content(struct reader *rd, const struct json *v, struct schema_type *t)
{
	struct schema_ref ref;
	int r;
	switch (t->form) {
	case FORM_SET:
		return schema_read_type_member(rd, v, "element", &t->element);
	case FORM_RECORD:
		return read_record(rd, v, t);
	case FORM_ENTITY:
	case FORM_ENTITY_OR_COMMON:
	case FORM_EXTENSION:
		r = reader_string(rd, v, "name", &t->name);
		if (r == 0)
			r = schema_read_ref(rd, json_get(v, "name"), &ref);
		return err_trace(r);
	default:
		return 0;
	}
}

int schema_read_type(struct reader *rd, const struct json *v, enum schema_type_place place,
	const struct schema_type **ret)
{
	struct schema_type *t = arena_make(rd->arena, struct schema_type);
	const struct form *f = NULL;
	struct schema_ref ref;
	struct span name;
	int r;
	if (!t)
		return no_memory();
	if (!v || v->type != JSON_OBJECT)
		return reader_fail(rd, "a type: an object with `type`");
	r = reader_string(rd, v, "type", &name);
	if (r < 0)
		return err_trace(r);
	for (size_t i = 0; i < ARRAY_LEN(forms); i++)
		if (span_is(name, forms[i].name))
			f = &forms[i];
	if (rd->nesting >= LIMIT_CEDAR_TYPE_NESTING)
		return err_raise(-E2BIG, "%s: types nested more than %d deep", rd->path,
			LIMIT_CEDAR_TYPE_NESTING);
	r = check_members(rd, v, f, place);
	if (r == 0 && f) {
		t->form = f->form;
		rd->nesting++;
		r = read_content(rd, v, t);
		rd->nesting--;
	} else if (r == 0) {
		t->form = FORM_COMMON;
		t->name = name;
		r = schema_read_ref(rd, json_get(v, "type"), &ref);
	}
	*ret = t;
	return err_trace(r);
}

int schema_read_type_member(
	struct reader *rd, const struct json *v, const char *name, const struct schema_type **ret)
{
	size_t before = reader_enter(rd, name, -1);
	int r = schema_read_type(rd, json_get(v, name), SCHEMA_TYPE_BARE, ret);
	if (r == 0)
		reader_leave(rd, before);
	return err_trace(r);
}

static int read_parent(struct reader *rd, const struct json *v, struct action_parent *p)
{
	static const char *const members[] = {"id", "type", NULL};
	int r = reader_struct(rd, &v, members);
	const struct json *type = json_get(v, "type");
	if (r == 0)
		r = reader_string(rd, v, "id", &p->id);
	if (r == 0 && type && type->type != JSON_NULL)
		r = schema_read_ref(rd, type, &p->type);
	return err_trace(r);
}

static int read_parents(struct reader *rd, const struct json *v, struct action_decl *a)
{
	size_t before = reader_enter(rd, "memberOf", -1);
	struct action_parent *parents;
	if (v->type != JSON_ARRAY)
		return reader_fail(rd, "an array of actions: {\"id\": ...}");
	a->parents = parents = arena_make_array(rd->arena, struct action_parent, v->count + 1);
	if (!parents)
		return no_memory();
	a->grouped = true;
	a->parent_count = v->count;
	for (size_t i = 0; i < v->count; i++) {
		size_t outer = reader_enter(rd, NULL, (ssize_t)i);
		int r = read_parent(rd, &v->items[i], &parents[i]);
		if (r < 0)
			return err_trace(r);
		reader_leave(rd, outer);
	}
	reader_leave(rd, before);
	return 0;
}

static int read_applies(struct reader *rd, const struct json *v, struct action_decl *a)
{
	static const char *const members[] = {"resourceTypes", "principalTypes", "context", NULL};
	size_t before = reader_enter(rd, "appliesTo", -1);
	int r = reader_struct(rd, &v, members);
	a->applies = true;
	if (r == 0)
		r = schema_read_refs(
			rd, json_get(v, "principalTypes"), "principalTypes", &a->principals);
	if (r == 0)
		r = schema_read_refs(
			rd, json_get(v, "resourceTypes"), "resourceTypes", &a->resources);
	if (r == 0 && json_get(v, "context"))
		r = schema_read_type_member(rd, v, "context", &a->context);
	if (r == 0)
		reader_leave(rd, before);
	return err_trace(r);
}

/* NULL for a member that is null, which counts as absent. */
static const struct json *present(const struct json *v, const char *name)
{
	const struct json *m = json_get(v, name);
	return m && m->type != JSON_NULL ? m : NULL;
}

int schema_read_action(struct reader *rd, const struct json *v, struct action_decl *a)
{
	static const char *const members[] = {
		"attributes", "appliesTo", "memberOf", "annotations", NULL};
	int r = reader_struct(rd, &v, members);
	a->context = &schema_empty_record;
	if (r == 0 && present(v, "attributes"))
		return reader_fail(rd, "no `attributes`: actions have none");
	if (r == 0)
		r = schema_read_notes(rd, json_get(v, "annotations"), &a->notes);
	if (r == 0 && present(v, "appliesTo"))
		r = read_applies(rd, present(v, "appliesTo"), a);
	if (r == 0 && present(v, "memberOf"))
		r = read_parents(rd, present(v, "memberOf"), a);
	return err_trace(r);
}
