/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * From what was written to what it means: names resolved, types built, hierarchies closed. Groups
 * of actions must form no cycle, entity types may.
 */
#include "policy/cedar/entities.h"
#include "policy/cedar/schema_names.h"
#include "policy/cedar/no_memory.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

const struct schema_type schema_empty_record = {.form = FORM_RECORD};

bool schema_type_empty(const struct schema_type *t)
{
	return t->form == FORM_RECORD && t->member_count == 0;
}

bool schema_reserved_common(struct span name)
{
	static const char *const words[] = {
		"Bool", "Boolean", "Entity", "Extension", "Long", "Record", "Set", "String"};
	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (span_is(name, words[i]))
			return true;
	return false;
}

int schema_fail(const struct schema_namespace *n, uint32_t pos, const char *fmt, ...)
{
	char message[256];
	va_list args;
	int r;
	va_start(args, fmt);
	vsnprintf(message, sizeof(message), fmt, args);
	va_end(args);
	if (n->text) {
		r = lex_fail(&n->text->lexer, pos, "%s", message);
		return n->text->label ? err_wrap(r, "%s", n->text->label) : r;
	}
	if (n->name.n > 0)
		return err_raise(-EINVAL, "namespace `" SPAN_FMT "`: %s",
			SPAN_ARG(span_sub(n->name, 0, 80)), message);
	return err_raise(-EINVAL, "%s", message);
}

/* Objects of entity types, before anything in them is resolved: types point to them. */
static int make_entities(struct resolver *r, struct entity_def *defs, size_t count, bool action,
	struct schema_entities *ret)
{
	const struct schema_entity **list =
		arena_make_array(r->arena, const struct schema_entity *, count + 1);
	if (!list)
		return no_memory();
	for (size_t i = 0; i < count; i++) {
		struct schema_entity *e = arena_make(r->arena, struct schema_entity);
		struct cedar_type *t = arena_make(r->arena, struct cedar_type);
		if (!e || !t)
			return no_memory();
		*t = (struct cedar_type){.kind = TYPE_ENTITY, .depth = 1, .entity = e};
		e->name = defs[i].name;
		e->action = action;
		e->type = t;
		e->index = (uint32_t)i;
		defs[i].entity = e;
		list[i] = e;
	}
	*ret = (struct schema_entities){count, list};
	return 0;
}

/* A reference to an entity type that is not one of actions. */
static int find_entity(struct resolver *r, const struct schema_namespace *ns, struct schema_ref ref,
	struct entity_def **ret)
{
	struct ref_target target;
	int e = schema_names_find(r, ns, ref, REF_ENTITY, &target);
	if (e < 0)
		return err_trace(e);
	if (!target.entity->decl)
		return schema_fail(ns, ref.pos,
			"`" SPAN_FMT "` is the type of actions; expected a declared entity type",
			SPAN_ARG(span_sub(ref.name, 0, 80)));
	*ret = target.entity;
	return 0;
}

static int resolve_entity(struct resolver *r, struct entity_def *d, struct index_list *parents)
{
	struct schema_entity *e = d->entity;
	const struct entity_decl *decl = d->decl;
	const struct cedar_type *shape;
	int err = 0;
	if (decl->choice_count > 0) {
		e->choices = decl->choices;
		e->choice_count = decl->choice_count;
		return 0;
	}
	parents->items = arena_make_array(r->arena, uint32_t, decl->parents.count + 1);
	if (!parents->items)
		return no_memory();
	for (size_t i = 0; err == 0 && i < decl->parents.count; i++) {
		struct entity_def *parent;
		err = find_entity(r, d->ns, decl->parents.items[i], &parent);
		if (err == 0)
			parents->items[parents->count++] = parent->entity->index;
	}
	if (err == 0)
		err = schema_types_resolve(r, d->ns, decl->shape, &shape);
	if (err == 0 && decl->tags)
		err = schema_types_resolve(r, d->ns, decl->tags, &e->tags);
	if (err < 0)
		return err_trace(err);
	if (shape->kind != TYPE_RECORD)
		return schema_fail(d->ns, decl->shape->pos,
			"the shape of `" SPAN_FMT "` is no record", SPAN_ARG(d->name));
	e->attrs = *shape->attrs;
	return 0;
}

static int list_entities(struct resolver *r, const struct schema_entities *all,
	const struct index_list *from, struct schema_entities *ret)
{
	const struct schema_entity **list =
		arena_make_array(r->arena, const struct schema_entity *, from->count + 1);
	if (!list)
		return no_memory();
	for (size_t i = 0; i < from->count; i++)
		list[i] = all->items[from->items[i]];
	*ret = (struct schema_entities){from->count, list};
	return 0;
}

static int resolve_entities(struct resolver *r, struct cedar_schema *s)
{
	struct index_list *parents =
		arena_make_array(r->arena, struct index_list, r->entity_count + 1);
	struct index_list *up, *down;
	int e = 0;
	if (!parents)
		return no_memory();
	for (size_t i = 0; e == 0 && i < r->entity_count; i++)
		e = resolve_entity(r, &r->entities[i], &parents[i]);
	if (e == 0)
		e = schema_closure(r->arena, r->entity_count, parents, &up, &down);
	for (size_t i = 0; e == 0 && i < r->entity_count; i++) {
		struct schema_entity *entity = r->entities[i].entity;
		e = list_entities(r, &s->entities, &up[i], &entity->ancestors);
		if (e == 0)
			e = list_entities(r, &s->entities, &down[i], &entity->descendants);
	}
	return err_trace(e);
}

static int make_actions(struct resolver *r, struct cedar_schema *s)
{
	const struct schema_action **list =
		arena_make_array(r->arena, const struct schema_action *, r->action_count + 1);
	if (!list)
		return no_memory();
	for (size_t i = 0; i < r->action_count; i++) {
		struct schema_action *a = arena_make(r->arena, struct schema_action);
		if (!a)
			return no_memory();
		a->uid = r->actions[i].uid;
		a->type = schema_entity_find(s, a->uid.type);
		a->index = (uint32_t)i;
		r->actions[i].action = a;
		list[i] = a;
	}
	s->actions = (struct schema_actions){r->action_count, list};
	return 0;
}

static int by_number(const void *x, const void *y)
{
	uint32_t a = *(const uint32_t *)x, b = *(const uint32_t *)y;
	return (a > b) - (a < b);
}

/* The types that an action applies to, each once, in order. */
static int resolve_applies(struct resolver *r, const struct schema_namespace *ns,
	const struct schema_refs *refs, const struct schema_entities *all,
	struct schema_entities *ret)
{
	struct index_list list = {.items = arena_make_array(r->arena, uint32_t, refs->count + 1)};
	size_t found = 0;
	if (!list.items)
		return no_memory();
	for (size_t i = 0; i < refs->count; i++) {
		struct entity_def *d;
		int e = find_entity(r, ns, refs->items[i], &d);
		if (e < 0)
			return err_trace(e);
		list.items[found++] = d->entity->index;
	}
	qsort(list.items, found, sizeof(*list.items), by_number);
	for (size_t i = 0; i < found; i++)
		if (list.count == 0 || list.items[list.count - 1] != list.items[i])
			list.items[list.count++] = list.items[i];
	return list_entities(r, all, &list, ret);
}

static int resolve_action(struct resolver *r, struct cedar_schema *s, struct action_def *d,
	struct index_list *parents)
{
	struct schema_action *a = d->action;
	const struct action_decl *decl = d->decl;
	int e;
	parents->items = arena_make_array(r->arena, uint32_t, decl->parent_count + 1);
	if (!parents->items)
		return no_memory();
	e = schema_types_resolve(r, d->ns, decl->context, &a->context);
	if (e == 0 && a->context->kind != TYPE_RECORD)
		return schema_fail(d->ns, decl->context->pos,
			"the context of the action `" SPAN_FMT "` is no record",
			SPAN_ARG(span_sub(decl->name, 0, 80)));
	if (e == 0)
		e = resolve_applies(r, d->ns, &decl->principals, &s->entities, &a->principals);
	if (e == 0)
		e = resolve_applies(r, d->ns, &decl->resources, &s->entities, &a->resources);
	for (size_t i = 0; e == 0 && i < decl->parent_count; i++) {
		struct action_def *parent;
		e = schema_names_find_action(r, d->ns, &decl->parents[i], &parent);
		if (e == 0)
			parents->items[parents->count++] = parent->action->index;
	}
	return err_trace(e);
}

static int list_actions(struct resolver *r, const struct schema_actions *all,
	const struct index_list *from, struct schema_actions *ret)
{
	const struct schema_action **list =
		arena_make_array(r->arena, const struct schema_action *, from->count + 1);
	if (!list)
		return no_memory();
	for (size_t i = 0; i < from->count; i++)
		list[i] = all->items[from->items[i]];
	*ret = (struct schema_actions){from->count, list};
	return 0;
}

static int close_actions(
	struct resolver *r, struct cedar_schema *s, const struct index_list *parents)
{
	struct index_list *up, *down;
	int e = schema_closure(r->arena, r->action_count, parents, &up, &down);
	for (size_t i = 0; e == 0 && i < r->action_count; i++) {
		struct action_def *d = &r->actions[i];
		e = list_actions(r, &s->actions, &up[i], &d->action->ancestors);
		if (e == 0)
			e = list_actions(r, &s->actions, &down[i], &d->action->descendants);
		if (e == 0 && schema_actions_have(&d->action->ancestors, d->action))
			return schema_fail(d->ns, d->decl->pos,
				"the action `" SPAN_FMT "` is in itself, through its groups",
				SPAN_ARG(span_sub(d->decl->name, 0, 80)));
	}
	return err_trace(e);
}

/* Actions as entities, below all of their groups. */
static int make_action_entities(struct resolver *r, struct cedar_schema *s)
{
	struct entity *items = arena_make_array(r->arena, struct entity, s->actions.count + 1);
	if (!items)
		return no_memory();
	for (size_t i = 0; i < s->actions.count; i++) {
		const struct schema_action *a = s->actions.items[i];
		struct cedar_uid *parents =
			arena_make_array(r->arena, struct cedar_uid, a->ancestors.count + 1);
		if (!parents)
			return no_memory();
		for (size_t j = 0; j < a->ancestors.count; j++)
			parents[j] = a->ancestors.items[j]->uid;
		items[i] = (struct entity){.uid = a->uid,
			.attrs = &value_record_empty,
			.tags = &value_record_empty,
			.parent_count = a->ancestors.count,
			.parents = parents};
	}
	return entities_make(r->arena, items, s->actions.count, &s->action_entities);
}

static int resolve_actions(struct resolver *r, struct cedar_schema *s)
{
	struct index_list *parents =
		arena_make_array(r->arena, struct index_list, r->action_count + 1);
	int e = 0;
	if (!parents)
		return no_memory();
	for (size_t i = 0; e == 0 && i < r->action_count; i++)
		e = resolve_action(r, s, &r->actions[i], &parents[i]);
	if (e == 0)
		e = close_actions(r, s, parents);
	return e < 0 ? err_trace(e) : make_action_entities(r, s);
}

int schema_resolve(
	struct arena *a, const struct schema_fragment *f, const struct cedar_schema **ret)
{
	struct resolver r = {.arena = a, .fragment = f};
	struct cedar_schema *s = arena_make(a, struct cedar_schema);
	int e;
	if (!s)
		return no_memory();
	s->fragment = f;
	e = schema_names_collect(&r);
	if (e == 0)
		e = make_entities(&r, r.entities, r.entity_count, false, &s->entities);
	if (e == 0)
		e = make_entities(&r, r.action_types, r.action_type_count, true, &s->action_types);
	if (e == 0)
		e = schema_types_resolve_all(&r);
	if (e == 0)
		e = resolve_entities(&r, s);
	if (e == 0)
		e = make_actions(&r, s);
	if (e == 0)
		e = resolve_actions(&r, s);
	if (e < 0)
		return err_trace(e);
	*ret = s;
	return 0;
}
