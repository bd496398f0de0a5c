/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Building the index. A policy's keys are the facts that it needs: the entity in its scope, and the
 * constant of `variable.attribute == constant` if that comparison is evaluated before anything else
 * of its conditions. If such an attribute is missing, evaluation fails, and the failure is part of
 * the answer: then all policies of that path are candidates.
 */
#include "policy/cedar/operator.h"
#include "policy/cedar/set.h"
#include "policy/cedar/no_memory.h"

struct key {
	uint32_t kind;
	struct cedar_value value;
};

static uint64_t key_hash(const struct key *k)
{
	return value_hash(&k->value) ^ ((uint64_t)k->kind + 1) * 0xc2b2ae3d27d4eb4fu;
}

static struct bucket **slot_of(const struct set_index *x, const struct key *k)
{
	size_t i = (key_hash(k) >> 17) & (x->capacity - 1);
	while (x->slots[i] &&
		(x->slots[i]->kind != k->kind || value_cmp(&x->slots[i]->key, &k->value) != 0))
		i = (i + 1) & (x->capacity - 1);
	return &x->slots[i];
}

static int add_member(struct arena *a, struct members *m, uint32_t policy)
{
	if (m->count == m->capacity) {
		uint32_t capacity = m->capacity ? m->capacity * 2 : 2;
		uint32_t *policies = arena_make_array(a, uint32_t, capacity);
		if (!policies)
			return no_memory();
		if (m->count)
			memcpy(policies, m->policies, m->count * sizeof(*policies));
		m->policies = policies;
		m->capacity = capacity;
	}
	m->policies[m->count++] = policy;
	return 0;
}

static void scope_key(const struct scope *s, enum key_kind equal, struct key *keys, size_t *count)
{
	if (s->count != 1 || s->op == SCOPE_ALL || s->op == SCOPE_IS)
		return;
	keys[(*count)++] = (struct key){
		s->op == SCOPE_EQ ? equal : equal + 1, {.type = VALUE_ENTITY, .uid = s->uids}};
}

/* The path that e is, found or added; false if e is none or there are too many. */
static bool path_of(struct arena *a, struct set_index *x, const struct expr *e, uint32_t *ret)
{
	struct span names[8];
	size_t n = 0;
	for (; e->op == EXPR_ATTR && n < ARRAY_LEN(names); e = e->kids[0])
		names[ARRAY_LEN(names) - ++n] = e->string;
	if (e->op != EXPR_VAR || n == 0)
		return false;
	for (size_t i = 0; i < x->path_count; i++) {
		const struct path *p = &x->paths[i];
		bool same = p->var == e->var && p->count == n;
		for (size_t j = 0; same && j < n; j++)
			same = span_eq(p->names[j], names[ARRAY_LEN(names) - n + j]);
		if (same) {
			*ret = (uint32_t)i;
			return true;
		}
	}
	if (x->path_count < PATHS_MAX) {
		struct span *kept = arena_make_array(a, struct span, n);
		if (!kept)
			return false;
		memcpy(kept, names + ARRAY_LEN(names) - n, n * sizeof(*kept));
		x->paths[x->path_count] = (struct path){.var = e->var, .count = n, .names = kept};
		*ret = (uint32_t)x->path_count++;
		return true;
	}
	return false;
}

/* What is evaluated first: the leftmost operand of the first condition's conjunction. */
static void condition_key(struct arena *a, struct set_index *x, const struct cedar_policy *p,
	struct key *keys, size_t *count)
{
	const struct expr *e = p->condition_count ? p->conditions[0].body : NULL;
	uint32_t path;
	struct cedar_value value;
	if (!e || p->conditions[0].unless)
		return;
	while (e->op == EXPR_AND)
		e = e->kids[0];
	if (e->op != EXPR_EQ)
		return;
	if ((operator_literal(e->kids[1], &value) && path_of(a, x, e->kids[0], &path)) ||
		(operator_literal(e->kids[0], &value) && path_of(a, x, e->kids[1], &path)))
		keys[(*count)++] = (struct key){KEY_PATH + path, value};
}

static size_t keys_of(struct arena *a, struct set_index *x, const struct cedar_policy *p,
	struct key keys[KEYS_MAX])
{
	size_t count = 0;
	scope_key(&p->principal, KEY_PRINCIPAL, keys, &count);
	scope_key(&p->resource, KEY_RESOURCE, keys, &count);
	condition_key(a, x, p, keys, &count);
	scope_key(&p->action, KEY_ACTION, keys, &count);
	return count;
}

static int count_keys(struct arena *a, struct cedar_set *s)
{
	struct set_index *x = &s->index;
	for (size_t i = 0; i < s->count; i++) {
		struct key keys[KEYS_MAX];
		size_t n = keys_of(a, x, s->policies[i].policy, keys);
		for (size_t k = 0; k < n; k++) {
			struct bucket **slot = slot_of(x, &keys[k]);
			if (!*slot) {
				*slot = arena_make(a, struct bucket);
				if (!*slot)
					return no_memory();
				(*slot)->kind = keys[k].kind;
				(*slot)->key = keys[k].value;
			}
			(*slot)->wanted++;
		}
	}
	return 0;
}

static int place(struct arena *a, struct cedar_set *s, uint32_t policy)
{
	struct set_index *x = &s->index;
	struct key keys[KEYS_MAX];
	size_t n = keys_of(a, x, s->policies[policy].policy, keys);
	struct bucket *best = NULL;
	int r;
	for (size_t k = 0; k < n; k++) {
		struct bucket *b = *slot_of(x, &keys[k]);
		if (!best || b->wanted < best->wanted)
			best = b;
	}
	if (!best)
		return add_member(a, &x->always, policy);
	r = add_member(a, &best->members, policy);
	if (r == 0 && best->kind >= KEY_PATH)
		r = add_member(a, &x->paths[best->kind - KEY_PATH].members, policy);
	return err_trace(r);
}

int set_index_build(struct arena *a, struct cedar_set *s)
{
	struct set_index *x = &s->index;
	int r;
	x->capacity = 16;
	while (x->capacity < s->count * KEYS_MAX * 2)
		x->capacity *= 2;
	x->slots = arena_make_array(a, struct bucket *, x->capacity);
	if (!x->slots)
		return no_memory();
	r = count_keys(a, s);
	for (size_t i = 0; r == 0 && i < s->count; i++)
		r = place(a, s, (uint32_t)i);
	return err_trace(r);
}

/* Member lists to be joined: of at most the uids, their ancestors, and the paths. */
struct gathering {
	const struct members **lists;
	size_t count;
	size_t policies;
};

static void gather(struct gathering *g, const struct members *m)
{
	if (m->count == 0)
		return;
	g->lists[g->count++] = m;
	g->policies += m->count;
}

static void gather_key(
	const struct set_index *x, struct gathering *g, uint32_t kind, struct cedar_value value)
{
	const struct key k = {kind, value};
	const struct bucket *b = x->capacity ? *slot_of(x, &k) : NULL;
	if (b)
		gather(g, &b->members);
}

static void gather_uid(const struct set_index *x, struct gathering *g, uint32_t kind,
	const struct cedar_uid *uid, const struct entity *e)
{
	struct cedar_value v = {.type = VALUE_ENTITY, .uid = uid};
	gather_key(x, g, kind, v);
	gather_key(x, g, kind + 1, v);
	for (size_t i = 0; e && i < e->ancestor_count; i++) {
		v.uid = e->ancestors[i];
		gather_key(x, g, kind + 1, v);
	}
}

static void gather_path(
	const struct eval *e, const struct set_index *x, struct gathering *g, size_t index)
{
	const struct path *p = &x->paths[index];
	struct cedar_value v = eval_variable(e, p->var);
	if (p->members.count == 0)
		return;
	for (size_t i = 0; i < p->count; i++)
		if (!eval_find_attr(e->entities, &v, p->names[i], &v)) {
			gather(g, &p->members); /* each of them fails: the answer names them */
			return;
		}
	gather_key(x, g, KEY_PATH + (uint32_t)index, v);
}

/* One pass of a merge sort: runs of `width` become runs of twice that. */
static void merge_runs(const uint32_t *from, uint32_t *to, size_t n, size_t width)
{
	for (size_t start = 0; start < n; start += 2 * width) {
		size_t middle = MIN(start + width, n), end = MIN(start + 2 * width, n);
		size_t i = start, j = middle;
		for (size_t k = start; k < end; k++)
			to[k] = i < middle && (j >= end || from[i] <= from[j]) ? from[i++]
									       : from[j++];
	}
}

/* All lists in ascending order, in one of the two halves of `space`. */
static const uint32_t *join(const struct gathering *g, uint32_t *space)
{
	uint32_t *from = space, *to = space + g->policies, *other;
	size_t n = 0;
	for (size_t i = 0; i < g->count; i++) {
		memcpy(from + n, g->lists[i]->policies, g->lists[i]->count * sizeof(*from));
		n += g->lists[i]->count;
	}
	for (size_t width = 1; width < n; width *= 2) {
		merge_runs(from, to, n, width);
		other = from;
		from = to;
		to = other;
	}
	return from;
}

int set_index_candidates(
	const struct eval *e, const struct cedar_set *s, const uint32_t **ret, size_t *ret_count)
{
	const struct set_index *x = &s->index;
	const struct cedar_request *q = e->request;
	const struct entity *principal = entities_find(e->entities, &q->principal);
	const struct entity *action = entities_find(e->entities, &q->action);
	const struct entity *resource = entities_find(e->entities, &q->resource);
	size_t most = 7 + x->path_count + (principal ? principal->ancestor_count : 0) +
		(action ? action->ancestor_count : 0) + (resource ? resource->ancestor_count : 0);
	struct gathering g = {arena_raw(e->arena, most * sizeof(*g.lists)), 0, 0};
	uint32_t *space;
	if (!g.lists)
		return no_memory();
	gather(&g, &x->always);
	gather_uid(x, &g, KEY_PRINCIPAL, &q->principal, principal);
	gather_uid(x, &g, KEY_RESOURCE, &q->resource, resource);
	gather_uid(x, &g, KEY_ACTION, &q->action, action);
	for (size_t i = 0; i < x->path_count; i++)
		gather_path(e, x, &g, i);
	*ret_count = g.policies;
	if (g.count == 1) {
		*ret = g.lists[0]->policies;
		return 0;
	}
	space = arena_raw(e->arena, (2 * g.policies + 1) * sizeof(*space));
	if (!space)
		return no_memory();
	*ret = join(&g, space);
	return 0;
}
