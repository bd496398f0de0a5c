/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Relations between types. Strictly, a record belongs only to records with the same attributes, and
 * an entity only to its own type; `true` and `false` belong to Bool.
 */
#include "policy/cedar/typecheck.h"

bool type_is_action(struct span name)
{
	return span_is(cedar_name_base(name), "Action");
}

const struct schema_attr *type_attr(const struct cedar_type *t, struct span name)
{
	if (t->kind == TYPE_RECORD)
		return schema_attr_find(t->attrs, name);
	return t->kind == TYPE_ENTITY ? schema_attr_find(&t->entity->attrs, name) : NULL;
}

bool type_may_have_attr(const struct cedar_type *t, struct span name)
{
	if (t->kind == TYPE_NEVER || t->kind == TYPE_ANY_ENTITY)
		return true;
	if (t->kind == TYPE_RECORD && t->attrs->open)
		return true;
	if (t->kind == TYPE_ENTITY && t->entity->attrs.open)
		return true;
	return type_attr(t, name) != NULL;
}

bool type_disjoint(const struct cedar_type *a, const struct cedar_type *b)
{
	return a->kind == TYPE_ENTITY && b->kind == TYPE_ENTITY && a->entity != b->entity;
}

static bool is_bool(const struct cedar_type *t)
{
	return t->kind == TYPE_BOOL || t->kind == TYPE_TRUE || t->kind == TYPE_FALSE;
}

static bool belongs(const struct cedar_type *a, const struct cedar_type *b);

static bool attrs_belong(const struct schema_attrs *a, const struct schema_attrs *b)
{
	if (a->count != b->count || (a->open && !b->open))
		return false;
	for (size_t i = 0; i < a->count; i++)
		if (!span_eq(a->items[i].name, b->items[i].name) ||
			a->items[i].required != b->items[i].required ||
			!belongs(a->items[i].type, b->items[i].type))
			return false;
	return true;
}

/* Whether every value of a is one of b. */
static bool belongs(const struct cedar_type *a, const struct cedar_type *b)
{
	if (a == b || a->kind == TYPE_NEVER)
		return true;
	if (is_bool(a) && b->kind == TYPE_BOOL)
		return true;
	if (a->kind != b->kind)
		return false;
	switch (a->kind) {
	case TYPE_SET:
		return !b->element || (a->element && belongs(a->element, b->element));
	case TYPE_RECORD:
		return attrs_belong(a->attrs, b->attrs);
	case TYPE_ENTITY:
		return a->entity == b->entity;
	default:
		return true;
	}
}

const struct cedar_type *type_set_of(struct checker *c, const struct cedar_type *element)
{
	struct cedar_type *t = arena_make(c->arena, struct cedar_type);
	if (!t) {
		c->no_memory = true;
		return NULL;
	}
	t->kind = TYPE_SET;
	t->element = element;
	return t;
}

static const struct cedar_type *join_records(struct checker *c, const struct schema_attrs *a,
	const struct schema_attrs *b, const char **ret_why)
{
	struct cedar_type *t = arena_make(c->arena, struct cedar_type);
	struct schema_attrs *attrs = arena_make(c->arena, struct schema_attrs);
	struct schema_attr *items = arena_make_array(c->arena, struct schema_attr, a->count + 1);
	if (!t || !attrs || !items) {
		c->no_memory = true;
		return NULL;
	}
	if (a->count != b->count) {
		*ret_why = "the records have different attributes";
		return NULL;
	}
	for (size_t i = 0; i < a->count; i++) {
		items[i] = a->items[i];
		if (!span_eq(a->items[i].name, b->items[i].name)) {
			*ret_why = "the records have different attributes";
			return NULL;
		}
		items[i].type = type_join(c, a->items[i].type, b->items[i].type, ret_why);
		if (!items[i].type)
			return NULL;
		if (a->items[i].required != b->items[i].required) {
			*ret_why = "an attribute is optional in one of the records only";
			return NULL;
		}
	}
	*attrs = (struct schema_attrs){a->count, items, a->open || b->open};
	t->kind = TYPE_RECORD;
	t->attrs = attrs;
	return t;
}

const struct cedar_type *type_join(struct checker *c, const struct cedar_type *a,
	const struct cedar_type *b, const char **ret_why)
{
	const struct cedar_type *element;
	*ret_why = "values of different types are never mixed in strict validation";
	if (belongs(a, b))
		return b;
	if (belongs(b, a))
		return a;
	if (is_bool(a) && is_bool(b))
		return type_plain(TYPE_BOOL);
	if (a->kind == TYPE_ENTITY && b->kind == TYPE_ENTITY)
		*ret_why = "entities of different types are never mixed in strict validation";
	if (a->kind != b->kind)
		return NULL;
	if (a->kind == TYPE_RECORD)
		return join_records(c, a->attrs, b->attrs, ret_why);
	if (a->kind != TYPE_SET)
		return NULL;
	element = type_join(c, a->element, b->element, ret_why);
	return element ? type_set_of(c, element) : NULL;
}
