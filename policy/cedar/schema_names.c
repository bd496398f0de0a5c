/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Declarations by full name. A bare reference means the declaration of its own namespace, else that
 * outside of all; a common type goes before an entity type of the same name. The language's own
 * types are common types of the namespace __cedar, and outside of all where no declaration takes
 * their name. A declaration in a namespace must not hide one outside of all (RFC 70).
 */
#include "policy/cedar/schema_names.h"
#include "policy/cedar/nearest.h"
#include "policy/cedar/no_memory.h"
#include <stdlib.h>

/* Order of `full` and of ns::name. */
static int cmp_joined(struct span full, struct span ns, struct span name)
{
	int c;
	if (ns.n == 0)
		return span_cmp(full, name);
	c = span_cmp(span_sub(full, 0, ns.n), ns);
	if (c == 0)
		c = span_cmp(span_sub(full, ns.n, ns.n + 2), SPAN("::"));
	return c ? c : span_cmp(span_sub(full, ns.n + 2, full.n), name);
}

static struct span join(struct arena *a, struct span ns, struct span name)
{
	char *p;
	if (ns.n == 0)
		return name;
	p = arena_bytes(a, ns.n + 2 + name.n);
	if (!p)
		return (struct span){0};
	memcpy(p, ns.p, ns.n);
	memcpy(p + ns.n, "::", 2);
	memcpy(p + ns.n + 2, name.p, name.n);
	return span_of(p, ns.n + 2 + name.n);
}

static struct type_def *type_find(struct resolver *r, struct span ns, struct span name)
{
	size_t low = 0, high = r->type_count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int c = cmp_joined(r->types[middle].name, ns, name);
		if (c == 0)
			return &r->types[middle];
		if (c > 0)
			high = middle;
		else
			low = middle + 1;
	}
	return NULL;
}

static struct entity_def *entity_in(
	struct entity_def *list, size_t count, struct span ns, struct span name)
{
	size_t low = 0, high = count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int c = cmp_joined(list[middle].name, ns, name);
		if (c == 0)
			return &list[middle];
		if (c > 0)
			high = middle;
		else
			low = middle + 1;
	}
	return NULL;
}

static struct entity_def *entity_find(struct resolver *r, struct span ns, struct span name)
{
	struct entity_def *e = entity_in(r->entities, r->entity_count, ns, name);
	return e ? e : entity_in(r->action_types, r->action_type_count, ns, name);
}

static const struct {
	const char *name;
	enum type_kind kind;
} own_types[] = {{"Bool", TYPE_BOOL}, {"Long", TYPE_LONG}, {"String", TYPE_STRING},
	{"decimal", TYPE_DECIMAL}, {"ipaddr", TYPE_IP}, {"datetime", TYPE_DATETIME},
	{"duration", TYPE_DURATION}};

static const struct cedar_type *own_type(struct span name)
{
	for (size_t i = 0; i < ARRAY_LEN(own_types); i++)
		if (span_is(name, own_types[i].name))
			return type_plain(own_types[i].kind);
	return NULL;
}

/* The language's type of that name, if it is one of __cedar, or not hidden by a declaration. */
static const struct cedar_type *builtin_find(struct resolver *r, struct span ns, struct span name)
{
	if (ns.n > 0)
		return NULL;
	if (span_starts(name, SPAN("__cedar::")))
		return own_type(span_sub(name, strlen("__cedar::"), name.n));
	return entity_in(r->entities, r->entity_count, ns, name) ? NULL : own_type(name);
}

static bool find_in(
	struct resolver *r, struct span ns, struct span name, int kinds, struct ref_target *ret)
{
	*ret = (struct ref_target){0};
	if (kinds & REF_COMMON) {
		ret->common = type_find(r, ns, name);
		if (!ret->common)
			ret->builtin = builtin_find(r, ns, name);
	}
	if (kinds & REF_ENTITY && !ret->common && !ret->builtin)
		ret->entity = entity_find(r, ns, name);
	return ret->common || ret->builtin || ret->entity;
}

static const char *hint_for(
	struct resolver *r, struct span name, int kinds, char *bytes, size_t size)
{
	struct nearest n = nearest_to(name);
	for (size_t i = 0; kinds & REF_COMMON && i < r->type_count; i++) {
		nearest_offer(&n, r->types[i].name);
		nearest_offer(&n, r->types[i].decl->name);
	}
	for (size_t i = 0; kinds & REF_ENTITY && i < r->entity_count; i++) {
		nearest_offer(&n, r->entities[i].name);
		nearest_offer(&n, r->entities[i].decl->name);
	}
	for (size_t i = 0; kinds & REF_COMMON && i < ARRAY_LEN(own_types); i++)
		nearest_offer(&n, span_cstr(own_types[i].name));
	return nearest_hint(&n, bytes, size);
}

int schema_names_find(struct resolver *r, const struct schema_namespace *ns, struct schema_ref ref,
	int kinds, struct ref_target *ret)
{
	char hint[128];
	bool bare = span_find(ref.name, SPAN("::"), 0) < 0;
	if (bare && ns->name.n > 0 && find_in(r, ns->name, ref.name, kinds, ret))
		return 0;
	if (find_in(r, SPAN(""), ref.name, kinds, ret))
		return 0;
	return schema_fail(ns, ref.pos, "no %s `" SPAN_FMT "` is declared%s%s",
		kinds == REF_ENTITY           ? "entity type"
			: kinds == REF_COMMON ? "common type"
					      : "type",
		SPAN_ARG(span_sub(ref.name, 0, 80)),
		bare && ns->name.n > 0 ? ", neither in this namespace nor outside" : "",
		hint_for(r, ref.name, kinds, hint, sizeof(hint)));
}

static struct action_def *action_find(
	struct resolver *r, struct span ns, struct span type, struct span id)
{
	size_t low = 0, high = r->action_count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int c = cmp_joined(r->actions[middle].uid.type, ns, type);
		if (c == 0)
			c = span_cmp(r->actions[middle].uid.id, id);
		if (c == 0)
			return &r->actions[middle];
		if (c > 0)
			high = middle;
		else
			low = middle + 1;
	}
	return NULL;
}

int schema_names_find_action(struct resolver *r, const struct schema_namespace *ns,
	const struct action_parent *ref, struct action_def **ret)
{
	struct span type = ref->type.name.p ? ref->type.name : SPAN("Action");
	struct nearest n = nearest_to(ref->id);
	char hint[128];
	if (span_find(type, SPAN("::"), 0) < 0)
		*ret = action_find(r, ns->name, type, ref->id);
	else
		*ret = NULL;
	if (!*ret)
		*ret = action_find(r, SPAN(""), type, ref->id);
	if (*ret)
		return 0;
	for (size_t i = 0; i < r->action_count; i++)
		nearest_offer(&n, r->actions[i].uid.id);
	return schema_fail(ns, ref->pos, "no action `" SPAN_FMT "::\"" SPAN_FMT "\"` is declared%s",
		SPAN_ARG(span_sub(type, 0, 80)), SPAN_ARG(span_sub(ref->id, 0, 80)),
		nearest_hint(&n, hint, sizeof(hint)));
}

static int by_type(const void *x, const void *y)
{
	return span_cmp(((const struct type_def *)x)->name, ((const struct type_def *)y)->name);
}

static int by_entity(const void *x, const void *y)
{
	return span_cmp(((const struct entity_def *)x)->name, ((const struct entity_def *)y)->name);
}

static int by_action(const void *x, const void *y)
{
	const struct cedar_uid *a = &((const struct action_def *)x)->uid;
	const struct cedar_uid *b = &((const struct action_def *)y)->uid;
	int c = span_cmp(a->type, b->type);
	return c ? c : span_cmp(a->id, b->id);
}

static void sort(void *items, size_t count, size_t bytes, int (*cmp)(const void *, const void *))
{
	if (count > 1)
		qsort(items, count, bytes, cmp);
}

static int add_namespace(struct resolver *r, const struct schema_namespace *ns)
{
	struct span type = join(r->arena, ns->name, SPAN("Action"));
	if (!type.p)
		return no_memory();
	for (size_t i = 0; i < ns->common_count; i++) {
		struct type_def *d = &r->types[r->type_count++];
		*d = (struct type_def){.ns = ns, .decl = &ns->commons[i]};
		d->name = join(r->arena, ns->name, d->decl->name);
		if (!d->name.p)
			return no_memory();
	}
	for (size_t i = 0; i < ns->entity_count; i++) {
		struct entity_def *d = &r->entities[r->entity_count++];
		*d = (struct entity_def){.ns = ns, .decl = &ns->entities[i]};
		d->name = join(r->arena, ns->name, d->decl->name);
		if (!d->name.p)
			return no_memory();
		if (span_is(d->decl->name, "Action"))
			return schema_fail(ns, d->decl->pos,
				"an entity type cannot be named Action: that is the type of "
				"actions");
	}
	for (size_t i = 0; i < ns->action_count; i++)
		r->actions[r->action_count++] = (struct action_def){
			cedar_uid_of(type, ns->actions[i].name), ns, &ns->actions[i], NULL};
	if (ns->action_count > 0)
		r->action_types[r->action_type_count++] =
			(struct entity_def){.name = type, .ns = ns};
	return 0;
}

/* Of two declarations the one that comes later is to blame. */
static int twice(const struct schema_namespace *na, uint32_t a, const struct schema_namespace *nb,
	uint32_t b, struct span name)
{
	bool first = na->text == nb->text && a > b;
	return schema_fail(first ? na : nb, first ? a : b, "`" SPAN_FMT "` is declared twice",
		SPAN_ARG(span_sub(name, 0, 80)));
}

static int check_twice(struct resolver *r)
{
	for (size_t i = 1; i < r->type_count; i++) {
		const struct type_def *a = &r->types[i - 1], *b = &r->types[i];
		if (span_eq(a->name, b->name))
			return twice(a->ns, a->decl->pos, b->ns, b->decl->pos, b->name);
	}
	for (size_t i = 1; i < r->entity_count; i++) {
		const struct entity_def *a = &r->entities[i - 1], *b = &r->entities[i];
		if (span_eq(a->name, b->name))
			return twice(a->ns, a->decl->pos, b->ns, b->decl->pos, b->name);
	}
	for (size_t i = 1; i < r->action_count; i++) {
		const struct action_def *a = &r->actions[i - 1], *b = &r->actions[i];
		if (cedar_uid_eq(&a->uid, &b->uid))
			return twice(a->ns, a->decl->pos, b->ns, b->decl->pos, b->uid.id);
	}
	return 0;
}

/* A namespace that goes on in another text has its type of actions once. */
static void unite_action_types(struct resolver *r)
{
	size_t kept = 0;
	for (size_t i = 0; i < r->action_type_count; i++)
		if (kept == 0 || !span_eq(r->action_types[kept - 1].name, r->action_types[i].name))
			r->action_types[kept++] = r->action_types[i];
	r->action_type_count = kept;
}

/* A declaration of a namespace must not hide one that stands outside of all. */
static int check_hidden(struct resolver *r, const struct schema_namespace *ns, struct span name,
	uint32_t pos, bool action)
{
	bool hides = action ? action_find(r, SPAN(""), SPAN("Action"), name) != NULL
			    : type_find(r, SPAN(""), name) ||
			entity_in(r->entities, r->entity_count, SPAN(""), name);
	if (!hides)
		return 0;
	return schema_fail(ns, pos,
		"`" SPAN_FMT "` would hide what is declared under this name outside of all "
		"namespaces; choose another name",
		SPAN_ARG(span_sub(name, 0, 80)));
}

static int check_shadowing(struct resolver *r)
{
	for (size_t i = 0; i < r->fragment->count; i++) {
		const struct schema_namespace *n = &r->fragment->namespaces[i];
		int e = 0;
		if (n->name.n == 0)
			continue;
		for (size_t j = 0; e == 0 && j < n->common_count; j++)
			e = check_hidden(r, n, n->commons[j].name, n->commons[j].pos, false);
		for (size_t j = 0; e == 0 && j < n->entity_count; j++)
			e = check_hidden(r, n, n->entities[j].name, n->entities[j].pos, false);
		for (size_t j = 0; e == 0 && j < n->action_count; j++)
			e = check_hidden(r, n, n->actions[j].name, n->actions[j].pos, true);
		if (e < 0)
			return err_trace(e);
	}
	return 0;
}

static int make_lists(struct resolver *r)
{
	size_t types = 0, entities = 0, actions = 0;
	for (size_t i = 0; i < r->fragment->count; i++) {
		types += r->fragment->namespaces[i].common_count;
		entities += r->fragment->namespaces[i].entity_count;
		actions += r->fragment->namespaces[i].action_count;
	}
	if (types + entities + actions > LIMIT_CEDAR_DECLARATIONS)
		return err_raise(-E2BIG, "a schema of %zu declarations; at most %d are accepted",
			types + entities + actions, LIMIT_CEDAR_DECLARATIONS);
	r->types = arena_make_array(r->arena, struct type_def, types + 1);
	r->entities = arena_make_array(r->arena, struct entity_def, entities + 1);
	r->action_types = arena_make_array(r->arena, struct entity_def, r->fragment->count + 1);
	r->actions = arena_make_array(r->arena, struct action_def, actions + 1);
	return r->types && r->entities && r->action_types && r->actions ? 0 : no_memory();
}

int schema_names_collect(struct resolver *r)
{
	int e = make_lists(r);
	for (size_t i = 0; e == 0 && i < r->fragment->count; i++)
		e = add_namespace(r, &r->fragment->namespaces[i]);
	if (e < 0)
		return err_trace(e);
	sort(r->types, r->type_count, sizeof(*r->types), by_type);
	sort(r->entities, r->entity_count, sizeof(*r->entities), by_entity);
	sort(r->action_types, r->action_type_count, sizeof(*r->action_types), by_entity);
	unite_action_types(r);
	sort(r->actions, r->action_count, sizeof(*r->actions), by_action);
	e = check_twice(r);
	return e < 0 ? err_trace(e) : check_shadowing(r);
}
