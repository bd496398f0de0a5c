/* SPDX-License-Identifier: AGPL-3.0-only */
/* Entities made in memory, and what a compiled set can tell of itself. */
#include "policy/cedar/host.h"
#include "policy/cedar/set.h"
#include "policy/cedar/no_memory.h"
#include <stdlib.h>

/* Few, as a rule: insertion needs no call for each comparison. */
static void order_ancestors(struct entity *e)
{
	for (size_t i = 1; i < e->ancestor_count; i++) {
		const struct cedar_uid *uid = e->ancestors[i];
		size_t at = i;
		for (; at > 0 && e->ancestors[at - 1]->hash > uid->hash; at--)
			e->ancestors[at] = e->ancestors[at - 1];
		e->ancestors[at] = uid;
	}
}

int cedar_entities_make(
	struct arena *a, struct entity *items, size_t count, const struct cedar_entities **ret)
{
	static const struct value_record empty;
	struct cedar_entities *e = arena_make(a, struct cedar_entities);
	if (!e)
		return no_memory();
	*e = (struct cedar_entities){.capacity = 4, .items = items, .count = count};
	while (e->capacity < count * 2)
		e->capacity *= 2;
	e->slots = arena_make_array(a, struct entity *, e->capacity);
	if (!e->slots)
		return no_memory();
	for (size_t i = 0; i < count; i++) {
		size_t at = items[i].uid.hash & (e->capacity - 1);
		for (; e->slots[at]; at = (at + 1) & (e->capacity - 1))
			if (cedar_uid_eq(&e->slots[at]->uid, &items[i].uid))
				return err_raise(-EINVAL, "an entity is given twice");
		e->slots[at] = &items[i];
		items[i].attrs = items[i].attrs ? items[i].attrs : &empty;
		items[i].tags = items[i].tags ? items[i].tags : &empty;
		order_ancestors(&items[i]);
	}
	*ret = e;
	return 0;
}

size_t cedar_set_count(const struct cedar_set *s)
{
	return s->count;
}

const struct cedar_policy *cedar_set_policy(const struct cedar_set *s, size_t index)
{
	return s->policies[index].policy;
}

uint32_t cedar_policy_position(const struct cedar_policy *p)
{
	return p->pos;
}

/* ---- names ---- */

struct names {
	const struct cedar_uid **items; /* NULL: they are only counted */
	size_t count;
};

static void note(struct names *n, const struct cedar_uid *uid)
{
	if (n->items)
		n->items[n->count] = uid;
	n->count++;
}

/* A tree is at most LIMIT_CEDAR_DEPTH levels deep. */
static void walk(struct names *n, const struct expr *e)
{
	if (e->op == EXPR_UID)
		note(n, &e->uid);
	for (size_t i = 0; i < e->count && e->op != EXPR_LIKE; i++)
		walk(n, e->kids[i]);
	if (e->op == EXPR_LIKE)
		walk(n, e->kids[0]);
}

static void walk_policies(struct names *n, const struct cedar_policies *policies)
{
	for (size_t i = 0; i < policies->count; i++) {
		const struct cedar_policy *p = policies->items[i];
		const struct scope *scopes[] = {&p->principal, &p->action, &p->resource};
		for (size_t j = 0; j < ARRAY_LEN(scopes); j++)
			for (size_t k = 0; k < scopes[j]->count; k++)
				note(n, &scopes[j]->uids[k]);
		for (size_t j = 0; j < p->condition_count; j++)
			walk(n, p->conditions[j].body);
	}
}

static int by_hash(const void *x, const void *y)
{
	const struct cedar_uid *a = *(const struct cedar_uid *const *)x;
	const struct cedar_uid *b = *(const struct cedar_uid *const *)y;
	if (a->hash != b->hash)
		return a->hash < b->hash ? -1 : 1;
	int c = span_cmp(a->type, b->type);
	return c ? c : span_cmp(a->id, b->id);
}

int cedar_policies_names(struct arena *a, const struct cedar_policies *policies,
	const struct cedar_uid *const **ret, size_t *ret_count)
{
	struct names n = {0};
	size_t kept = 0;
	walk_policies(&n, policies);
	n.items = arena_make_array(a, const struct cedar_uid *, n.count + 1);
	if (!n.items)
		return no_memory();
	n.count = 0;
	walk_policies(&n, policies);
	if (n.count > 1)
		qsort(n.items, n.count, sizeof(*n.items), by_hash);
	for (size_t i = 0; i < n.count; i++)
		if (kept == 0 || !cedar_uid_eq(n.items[kept - 1], n.items[i]))
			n.items[kept++] = n.items[i];
	*ret = n.items;
	*ret_count = kept;
	return 0;
}
