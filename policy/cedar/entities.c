/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Entities by name, with all that is above them. Ancestors are found once, here, by a walk with a
 * stack of its own; a cycle is refused.
 */
#include "policy/cedar/entities.h"
#include "policy/cedar/no_memory.h"
#include <stdlib.h>

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

static bool has_parent(const struct entity *e, const struct cedar_uid *uid)
{
	for (size_t i = 0; i < e->parent_count; i++)
		if (cedar_uid_eq(&e->parents[i], uid))
			return true;
	return false;
}

static bool same_record(const struct value_record *a, const struct value_record *b)
{
	const struct cedar_value x = {.type = VALUE_RECORD, .record = a};
	const struct cedar_value y = {.type = VALUE_RECORD, .record = b};
	return value_cmp(&x, &y) == 0;
}

static bool same_entity(const struct entity *a, const struct entity *b)
{
	for (size_t i = 0; i < a->parent_count; i++)
		if (!has_parent(b, &a->parents[i]))
			return false;
	for (size_t i = 0; i < b->parent_count; i++)
		if (!has_parent(a, &b->parents[i]))
			return false;
	return same_record(a->attrs, b->attrs) && same_record(a->tags, b->tags);
}

/* An entity that is given once more as it was before counts once. */
static int index_entities(struct arena *a, struct cedar_entities *e)
{
	size_t count = e->count;
	e->capacity = 16;
	while (e->capacity < count * 2)
		e->capacity *= 2;
	e->slots = arena_make_array(a, struct entity *, e->capacity);
	if (!e->slots)
		return no_memory();
	e->count = 0;
	for (size_t i = 0; i < count; i++) {
		struct entity **slot = slot_of(e, &e->items[i].uid);
		if (*slot && same_entity(*slot, &e->items[i]))
			continue;
		if (*slot)
			return err_raise(-EINVAL,
				"entity `" SPAN_FMT "::\"" SPAN_FMT "\"` is given twice",
				SPAN_ARG(e->items[i].uid.type), SPAN_ARG(e->items[i].uid.id));
		e->items[e->count] = e->items[i];
		*slot = &e->items[e->count++];
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
