/* SPDX-License-Identifier: AGPL-3.0-only */
/* Schemas written in the reference's JSON form, as they were declared. */
#include "policy/cedar/schema_ast.h"

static void write_notes(struct json_writer *w, const struct schema_notes *notes)
{
	if (notes->count == 0)
		return;
	json_key(w, "annotations");
	json_object(w);
	for (size_t i = 0; i < notes->count; i++) {
		json_key_span(w, notes->items[i].name);
		if (notes->items[i].has_value)
			json_put_span(w, notes->items[i].value);
		else
			json_put_null(w);
	}
	json_end(w);
}

static void write_content(struct json_writer *w, const struct schema_type *t);

static void write_type(struct json_writer *w, const char *key, const struct schema_type *t)
{
	json_key(w, key);
	json_object(w);
	write_content(w, t);
	json_end(w);
}

static void write_members(struct json_writer *w, const struct schema_type *t)
{
	json_key(w, "attributes");
	json_object(w);
	for (size_t i = 0; i < t->member_count; i++) {
		const struct schema_member *m = &t->members[i];
		json_key_span(w, m->name);
		json_object(w);
		write_content(w, m->type);
		if (!m->required)
			json_field_bool(w, "required", false);
		write_notes(w, &m->notes);
		json_end(w);
	}
	json_end(w);
}

/* The members of a type's object. */
static void write_content(struct json_writer *w, const struct schema_type *t)
{
	static const char *const names[] = {[FORM_STRING] = "String",
		[FORM_LONG] = "Long",
		[FORM_BOOL] = "Boolean",
		[FORM_SET] = "Set",
		[FORM_RECORD] = "Record",
		[FORM_ENTITY] = "Entity",
		[FORM_ENTITY_OR_COMMON] = "EntityOrCommon",
		[FORM_EXTENSION] = "Extension"};
	if (t->form == FORM_COMMON) {
		json_field_span(w, "type", t->name);
		return;
	}
	json_field_cstr(w, "type", names[t->form]);
	if (t->form == FORM_SET)
		write_type(w, "element", t->element);
	else if (t->form == FORM_RECORD)
		write_members(w, t);
	else if (t->name.n > 0)
		json_field_span(w, "name", t->name);
}

static void write_refs(struct json_writer *w, const char *key, const struct schema_refs *refs)
{
	json_key(w, key);
	json_array(w);
	for (size_t i = 0; i < refs->count; i++)
		json_put_span(w, refs->items[i].name);
	json_end(w);
}

static void write_entity(struct json_writer *w, const struct entity_decl *e)
{
	json_key_span(w, e->name);
	json_object(w);
	if (e->choice_count > 0) {
		json_key(w, "enum");
		json_array(w);
		for (size_t i = 0; i < e->choice_count; i++)
			json_put_span(w, e->choices[i]);
		json_end(w);
	}
	if (e->parents.count > 0)
		write_refs(w, "memberOfTypes", &e->parents);
	if (!schema_type_empty(e->shape))
		write_type(w, "shape", e->shape);
	if (e->tags)
		write_type(w, "tags", e->tags);
	write_notes(w, &e->notes);
	json_end(w);
}

static void write_parents(struct json_writer *w, const struct action_decl *a)
{
	json_key(w, "memberOf");
	json_array(w);
	for (size_t i = 0; i < a->parent_count; i++) {
		json_object(w);
		json_field_span(w, "id", a->parents[i].id);
		if (a->parents[i].type.name.p)
			json_field_span(w, "type", a->parents[i].type.name);
		json_end(w);
	}
	json_end(w);
}

static void write_action(struct json_writer *w, const struct action_decl *a)
{
	json_key_span(w, a->name);
	json_object(w);
	if (a->applies) {
		json_key(w, "appliesTo");
		json_object(w);
		write_refs(w, "resourceTypes", &a->resources);
		write_refs(w, "principalTypes", &a->principals);
		if (!schema_type_empty(a->context))
			write_type(w, "context", a->context);
		json_end(w);
	}
	if (a->grouped)
		write_parents(w, a);
	write_notes(w, &a->notes);
	json_end(w);
}

static void write_namespace(struct json_writer *w, const struct schema_namespace *n)
{
	json_key_span(w, n->name);
	json_object(w);
	if (n->common_count > 0) {
		json_key(w, "commonTypes");
		json_object(w);
		for (size_t i = 0; i < n->common_count; i++) {
			json_key_span(w, n->commons[i].name);
			json_object(w);
			write_content(w, n->commons[i].type);
			write_notes(w, &n->commons[i].notes);
			json_end(w);
		}
		json_end(w);
	}
	json_key(w, "entityTypes");
	json_object(w);
	for (size_t i = 0; i < n->entity_count; i++)
		write_entity(w, &n->entities[i]);
	json_end(w);
	json_key(w, "actions");
	json_object(w);
	for (size_t i = 0; i < n->action_count; i++)
		write_action(w, &n->actions[i]);
	json_end(w);
	write_notes(w, &n->notes);
	json_end(w);
}

void cedar_schema_to_json(struct json_writer *w, const struct cedar_schema *s)
{
	json_object(w);
	for (size_t i = 0; i < s->fragment->whole_count; i++)
		write_namespace(w, &s->fragment->whole[i]);
	json_end(w);
}
