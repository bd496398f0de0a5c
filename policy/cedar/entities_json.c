/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Entities from JSON: an array of {uid, attrs, parents, tags}. With a schema they are read by their
 * types, checked against it, and joined by its actions.
 */
#include "policy/cedar/ast.h"
#include "policy/cedar/conform.h"
#include "policy/cedar/nearest.h"
#include "policy/cedar/no_memory.h"
#include "policy/cedar/reader.h"

static bool is_action(const struct cedar_uid *uid)
{
	return span_is(cedar_name_base(uid->type), "Action");
}

/* All members of an object as a record's, of the type `each` (NULL: of any). */
static int read_members(struct arena *a, const struct json *v, const struct cedar_type *each,
	struct cedar_value *ret)
{
	struct value_member *members = arena_make_array(a, struct value_member, v->count + 1);
	if (!members)
		return no_memory();
	for (size_t i = 0; i < v->count; i++) {
		const struct json *m = &v->items[i];
		int r = each ? value_from_json_typed(a, m, each, &members[i].value)
			     : value_from_json(a, m, &members[i].value);
		if (r < 0)
			return err_wrap(r, "`" SPAN_FMT "`", SPAN_ARG(span_sub(m->key, 0, 60)));
		members[i].key = m->key;
	}
	return value_make_record(a, members, v->count, ret);
}

static int read_attrs(struct arena *a, const struct json *v, const struct schema_entity *type,
	const struct value_record **ret)
{
	const struct json *m = json_get(v, "attrs");
	struct cedar_value value;
	int r;
	if (!m || m->type != JSON_OBJECT)
		return err_raise(-EINVAL, "`attrs`: expected an object");
	r = type ? value_record_from_json_typed(a, m, &type->attrs, &value)
		 : read_members(a, m, NULL, &value);
	if (r < 0)
		return err_wrap(r, "`attrs`");
	*ret = value.record;
	return 0;
}

static int read_tags(struct arena *a, const struct json *v, const struct schema_entity *type,
	const struct value_record **ret)
{
	const struct json *m = json_get(v, "tags");
	struct cedar_value value;
	int r;
	*ret = &value_record_empty;
	if (!m)
		return 0;
	if (m->type != JSON_OBJECT)
		return err_raise(-EINVAL, "`tags`: expected an object");
	r = read_members(a, m, type ? type->tags : NULL, &value);
	if (r < 0)
		return err_wrap(r, "`tags`");
	*ret = value.record;
	return 0;
}

static int read_parents(struct arena *a, const struct json *v, struct entity *e)
{
	const struct json *m = json_get(v, "parents");
	struct cedar_uid *parents;
	if (!m || m->type != JSON_ARRAY)
		return err_raise(-EINVAL, "`parents`: expected an array");
	parents = arena_make_array(a, struct cedar_uid, m->count + 1);
	if (!parents)
		return no_memory();
	e->parents = parents;
	e->parent_count = m->count;
	for (size_t i = 0; i < m->count; i++) {
		int r = cedar_uid_from_json(&m->items[i], &parents[i]);
		if (r < 0)
			return err_wrap(r, "`parents`[%zu]", i);
		if (is_action(&e->uid) && !is_action(&parents[i]))
			return err_raise(-EINVAL,
				"`parents`[%zu]: expected an action, as the entity is one", i);
	}
	return 0;
}

static int no_type(const struct cedar_schema *s, struct span name)
{
	struct nearest n = nearest_to(name);
	char hint[128];
	for (size_t i = 0; i < s->entities.count; i++)
		nearest_offer(&n, s->entities.items[i]->name);
	return err_raise(-EINVAL, "`uid`: the schema declares no entity type `" SPAN_FMT "`%s",
		SPAN_ARG(span_sub(name, 0, 60)), nearest_hint(&n, hint, sizeof(hint)));
}

/* `s` may be NULL. */
static int read_entity(
	struct arena *a, const struct cedar_schema *s, const struct json *v, struct entity *e)
{
	static const char *const names[] = {"uid", "attrs", "parents", "tags", NULL};
	const struct schema_entity *type = NULL;
	int r;
	v = reader_named(a, v, names);
	if (!v)
		return no_memory();
	if (v->type != JSON_OBJECT)
		return err_raise(-EINVAL, "expected an object {uid, attrs, parents}");
	r = cedar_uid_from_json(json_get(v, "uid"), &e->uid);
	if (r < 0)
		return err_wrap(r, "`uid`");
	if (s && !is_action(&e->uid)) {
		type = schema_entity_find(s, e->uid.type);
		if (!type)
			return no_type(s, e->uid.type);
	}
	r = read_attrs(a, v, type, &e->attrs);
	if (r == 0)
		r = read_tags(a, v, type, &e->tags);
	if (r == 0)
		r = read_parents(a, v, e);
	return r < 0 || !type ? err_trace(r) : conform_entity(s, e);
}

static int read_all(struct arena *a, const struct cedar_schema *s, const struct json *v,
	size_t room, struct entity **ret)
{
	struct entity *items;
	if (!v || v->type != JSON_ARRAY)
		return err_raise(-EINVAL, "entities: expected an array");
	if (v->count > LIMIT_CEDAR_ENTITIES)
		return err_raise(-E2BIG, "%zu entities; at most %d are accepted", v->count,
			LIMIT_CEDAR_ENTITIES);
	items = arena_make_array(a, struct entity, v->count + room + 1);
	if (!items)
		return no_memory();
	for (size_t i = 0; i < v->count; i++) {
		int r = read_entity(a, s, &v->items[i], &items[i]);
		if (r < 0)
			return err_wrap(r, "entities[%zu]", i);
	}
	*ret = items;
	return 0;
}

int cedar_entities_from_json(
	struct arena *a, const struct json *v, const struct cedar_entities **ret)
{
	struct entity *items;
	int r = read_all(a, NULL, v, 0, &items);
	return r < 0 ? err_trace(r) : entities_make(a, items, v->count, ret);
}

/* Actions that are given must be as declared; what counts then is the declaration. */
static int drop_actions(
	struct arena *a, const struct cedar_schema *s, struct entity *items, size_t *count)
{
	const struct cedar_entities *given;
	size_t kept = 0, actions = 0;
	int r = 0;
	for (size_t i = 0; i < *count; i++)
		actions += is_action(&items[i].uid);
	if (actions == 0)
		return 0;
	r = entities_make(a, items, *count, &given);
	for (size_t i = 0; r == 0 && i < given->count; i++)
		if (is_action(&given->items[i].uid))
			r = conform_action(s, &given->items[i]);
	if (r < 0)
		return err_trace(r);
	for (size_t i = 0; i < given->count; i++)
		if (!is_action(&items[i].uid))
			items[kept++] = (struct entity){.uid = items[i].uid,
				.attrs = items[i].attrs,
				.tags = items[i].tags,
				.parent_count = items[i].parent_count,
				.parents = items[i].parents};
	*count = kept;
	return 0;
}

int cedar_entities_from_json_typed(struct arena *a, const struct cedar_schema *s,
	const struct json *v, const struct cedar_entities **ret)
{
	const struct cedar_entities *actions = s->action_entities;
	struct entity *items;
	size_t count = v ? v->count : 0;
	int r = read_all(a, s, v, actions->count, &items);
	if (r == 0)
		r = drop_actions(a, s, items, &count);
	if (r < 0)
		return err_trace(r);
	for (size_t i = 0; i < actions->count; i++)
		items[count++] = (struct entity){.uid = actions->items[i].uid,
			.attrs = &value_record_empty,
			.tags = &value_record_empty,
			.parent_count = actions->items[i].parent_count,
			.parents = actions->items[i].parents};
	return entities_make(a, items, count, ret);
}
