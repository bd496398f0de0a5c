/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * All that is above and below each node of a graph, which may hold cycles: a node in one is above
 * itself. A walk from each node, with a stack of its own.
 */
#include "policy/cedar/schema_names.h"
#include "policy/cedar/no_memory.h"

struct walk {
	uint32_t *stack;
	uint32_t *seen; /* the start of the last walk that came here, plus one */
	size_t depth;
};

static void push_parents(struct walk *w, const struct index_list *parents, uint32_t start)
{
	for (size_t i = 0; i < parents->count; i++) {
		uint32_t p = parents->items[i];
		if (w->seen[p] == start + 1)
			continue;
		w->seen[p] = start + 1;
		w->stack[w->depth++] = p;
	}
}

static int walk_from(struct arena *a, struct walk *w, size_t count,
	const struct index_list *parents, uint32_t start, struct index_list *ret)
{
	size_t found = 0;
	push_parents(w, &parents[start], start);
	for (; w->depth > 0; found++)
		push_parents(w, &parents[w->stack[--w->depth]], start);
	ret->items = arena_make_array(a, uint32_t, found + 1);
	if (!ret->items)
		return no_memory();
	for (uint32_t i = 0; i < count && ret->count < found; i++)
		if (w->seen[i] == start + 1)
			ret->items[ret->count++] = i;
	return 0;
}

static int invert(
	struct arena *a, size_t count, const struct index_list *up, struct index_list *down)
{
	size_t *sizes = arena_make_array(a, size_t, count + 1);
	if (!sizes)
		return no_memory();
	for (size_t i = 0; i < count; i++)
		for (size_t j = 0; j < up[i].count; j++)
			sizes[up[i].items[j]]++;
	for (size_t i = 0; i < count; i++) {
		down[i].items = arena_make_array(a, uint32_t, sizes[i] + 1);
		if (!down[i].items)
			return no_memory();
	}
	for (size_t i = 0; i < count; i++)
		for (size_t j = 0; j < up[i].count; j++) {
			struct index_list *d = &down[up[i].items[j]];
			d->items[d->count++] = (uint32_t)i;
		}
	return 0;
}

int schema_closure(struct arena *a, size_t count, const struct index_list *parents,
	struct index_list **ret_ancestors, struct index_list **ret_descendants)
{
	struct index_list *up = arena_make_array(a, struct index_list, count + 1);
	struct index_list *down = arena_make_array(a, struct index_list, count + 1);
	struct walk w = {.stack = arena_make_array(a, uint32_t, count + 1),
		.seen = arena_make_array(a, uint32_t, count + 1)};
	int r = 0;
	if (!up || !down || !w.stack || !w.seen)
		return no_memory();
	for (uint32_t i = 0; r == 0 && i < count; i++)
		r = walk_from(a, &w, count, parents, i, &up[i]);
	if (r == 0)
		r = invert(a, count, up, down);
	if (r < 0)
		return err_trace(r);
	*ret_ancestors = up;
	*ret_descendants = down;
	return 0;
}
