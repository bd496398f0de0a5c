/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Entities from JSON: an array of {uid, attrs, parents, tags}. Ancestors are found once, here, by a
 * walk with a stack of its own; a cycle is refused.
 */
#include "policy/cedar/entities.h"
#include <stdlib.h>

static int no_memory(void)
{
	return err_raise(-ENOMEM, "no memory for entities");
}

static struct entity **slot_of(const struct cedar_entities *e, const struct cedar_uid *uid)
{
	size_t i = uid->hash & (e->capacity - 1);
	while (e->slots[i] && !cedar_uid_eq(&e->slots[i]->uid, uid))
		i = (i + 1) & (e->capacity - 1);
	return &e->slots[i];
}

const struct entity *entities_find(const struct cedar_entities *e, const struct cedar_uid *uid)
{
	return e && e->capacity ? *slot_of(e, uid) : NULL;
}

bool entity_below(const struct entity *e, const struct cedar_uid *ancestor)
{
	size_t low = 0, high = e->ancestor_count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (e->ancestors[middle]->hash < ancestor->hash)
			low = middle + 1;
		else
			high = middle;
	}
	for (; low < e->ancestor_count && e->ancestors[low]->hash == ancestor->hash; low++)
		if (cedar_uid_eq(e->ancestors[low], ancestor))
			return true;
	return false;
}

static int record_member(struct arena *a, const struct json *v, const char *name, bool required,
	const struct value_record **ret)
{
	const struct json *m = json_get(v, name);
	struct cedar_value value;
	int r;
	*ret = &value_record_empty;
	if (!m && !required)
		return 0;
	if (!m || m->type != JSON_OBJECT)
		return err_raise(-EINVAL, "`%s`: expected an object", name);
	r = value_from_json(a, m, &value);
	if (r < 0)
		return err_wrap(r, "`%s`", name);
	if (value.type != VALUE_RECORD)
		return err_raise(-EINVAL, "`%s`: expected a record", name);
	*ret = value.record;
	return 0;
}

static int parents_member(struct arena *a, const struct json *v, struct entity *e)
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
	}
	return 0;
}

static int entity_from_json(struct arena *a, const struct json *v, struct entity *e)
{
	int r;
	if (v->type != JSON_OBJECT)
		return err_raise(-EINVAL, "expected an object {uid, attrs, parents}");
	r = cedar_uid_from_json(json_get(v, "uid"), &e->uid);
	if (r < 0)
		return err_wrap(r, "`uid`");
	r = record_member(a, v, "attrs", true, &e->attrs);
	if (r == 0)
		r = record_member(a, v, "tags", false, &e->tags);
	return r < 0 ? err_trace(r) : parents_member(a, v, e);
}

static int index_entities(struct arena *a, struct cedar_entities *e)
{
	e->capacity = 16;
	while (e->capacity < e->count * 2)
		e->capacity *= 2;
	e->slots = arena_make_array(a, struct entity *, e->capacity);
	if (!e->slots)
		return no_memory();
	for (size_t i = 0; i < e->count; i++) {
		struct entity **slot = slot_of(e, &e->items[i].uid);
		if (*slot)
			return err_raise(-EINVAL,
				"entity `" SPAN_FMT "::\"" SPAN_FMT "\"` is given twice",
				SPAN_ARG(e->items[i].uid.type), SPAN_ARG(e->items[i].uid.id));
		*slot = &e->items[i];
	}
	return 0;
}

static int by_hash(const void *x, const void *y)
{
	const struct cedar_uid *a = *(const struct cedar_uid *const *)x;
	const struct cedar_uid *b = *(const struct cedar_uid *const *)y;
	return a->hash < b->hash ? -1 : a->hash > b->hash;
}

/* Parents' ancestors are known: collects them, and drops what occurs twice. */
static int collect(struct arena *a, const struct cedar_entities *all, struct entity *e)
{
	size_t most = e->parent_count, n = 0;
	for (size_t i = 0; i < e->parent_count; i++) {
		const struct entity *p = entities_find(all, &e->parents[i]);
		most += p ? p->ancestor_count : 0;
	}
	if (most == 0)
		return 0;
	e->ancestors = arena_make_array(a, const struct cedar_uid *, most);
	if (!e->ancestors)
		return no_memory();
	for (size_t i = 0; i < e->parent_count; i++) {
		const struct entity *p = entities_find(all, &e->parents[i]);
		e->ancestors[n++] = &e->parents[i];
		for (size_t j = 0; p && j < p->ancestor_count; j++)
			e->ancestors[n++] = p->ancestors[j];
	}
	qsort(e->ancestors, n, sizeof(*e->ancestors), by_hash);
	for (size_t i = 0; i < n; i++)
		if (e->ancestor_count == 0 ||
			!cedar_uid_eq(e->ancestors[e->ancestor_count - 1], e->ancestors[i]))
			e->ancestors[e->ancestor_count++] = e->ancestors[i];
	return 0;
}

/* The first parent whose ancestors are not known yet; NULL if all are. */
static struct entity *pending(const struct cedar_entities *all, struct entity *e)
{
	for (; e->parents_done < e->parent_count; e->parents_done++) {
		struct entity *p = *slot_of(all, &e->parents[e->parents_done]);
		if (p && p->visit != 2)
			return p;
	}
	return NULL;
}

static int find_ancestors(struct arena *a, struct cedar_entities *all)
{
	struct entity **stack = arena_make_array(a, struct entity *, all->count + 1);
	if (!stack)
		return no_memory();
	for (size_t i = 0; i < all->count; i++) {
		size_t depth = 0;
		if (all->items[i].visit == 0)
			stack[depth++] = &all->items[i];
		while (depth > 0) {
			struct entity *e = stack[depth - 1], *next;
			int r;
			e->visit = 1;
			next = pending(all, e);
			if (next && next->visit == 1)
				return err_raise(-EINVAL,
					"entity `" SPAN_FMT "::\"" SPAN_FMT
					"\"` is its own ancestor",
					SPAN_ARG(next->uid.type), SPAN_ARG(next->uid.id));
			if (next) {
				stack[depth++] = next;
				continue;
			}
			r = collect(a, all, e);
			if (r < 0)
				return err_trace(r);
			e->visit = 2;
			depth--;
		}
	}
	return 0;
}

int entities_make(
	struct arena *a, struct entity *items, size_t count, const struct cedar_entities **ret)
{
	struct cedar_entities *e = arena_make(a, struct cedar_entities);
	int r;
	if (!e)
		return no_memory();
	e->items = items;
	e->count = count;
	r = index_entities(a, e);
	if (r == 0)
		r = find_ancestors(a, e);
	if (r < 0)
		return err_trace(r);
	*ret = e;
	return 0;
}

int cedar_entities_from_json(
	struct arena *a, const struct json *v, const struct cedar_entities **ret)
{
	struct entity *items;
	if (v->type != JSON_ARRAY)
		return err_raise(-EINVAL, "entities: expected an array");
	if (v->count > LIMIT_CEDAR_ENTITIES)
		return err_raise(-E2BIG, "%zu entities; at most %d are accepted", v->count,
			LIMIT_CEDAR_ENTITIES);
	items = arena_make_array(a, struct entity, v->count + 1);
	if (!items)
		return no_memory();
	for (size_t i = 0; i < v->count; i++) {
		int r = entity_from_json(a, &v->items[i], &items[i]);
		if (r < 0)
			return err_wrap(r, "entities[%zu]", i);
	}
	return entities_make(a, items, v->count, ret);
}
