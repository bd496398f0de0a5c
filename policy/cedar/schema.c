/* SPDX-License-Identifier: AGPL-3.0-only */
/* Lookups in a resolved schema, and its types: equality, and how people read them. */
#include "policy/cedar/schema.h"
#include "policy/cedar/ast.h"

static const struct schema_entity *entity_in(const struct schema_entities *l, struct span name)
{
	size_t low = 0, high = l->count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int c = span_cmp(name, l->items[middle]->name);
		if (c == 0)
			return l->items[middle];
		if (c < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return NULL;
}

const struct schema_entity *schema_entity_find(const struct cedar_schema *s, struct span name)
{
	const struct schema_entity *e = entity_in(&s->entities, name);
	return e ? e : entity_in(&s->action_types, name);
}

static int cmp_uids(const struct cedar_uid *a, const struct cedar_uid *b)
{
	int c = span_cmp(a->type, b->type);
	return c ? c : span_cmp(a->id, b->id);
}

static const struct schema_action *action_in(
	const struct schema_actions *l, const struct cedar_uid *uid)
{
	size_t low = 0, high = l->count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int c = cmp_uids(uid, &l->items[middle]->uid);
		if (c == 0)
			return l->items[middle];
		if (c < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return NULL;
}

const struct schema_action *schema_action_find(
	const struct cedar_schema *s, const struct cedar_uid *uid)
{
	return action_in(&s->actions, uid);
}

const struct schema_attr *schema_attr_find(const struct schema_attrs *attrs, struct span name)
{
	size_t low = 0, high = attrs->count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int c = span_cmp(name, attrs->items[middle].name);
		if (c == 0)
			return &attrs->items[middle];
		if (c < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return NULL;
}

bool schema_entities_have(const struct schema_entities *l, const struct schema_entity *e)
{
	return entity_in(l, e->name) == e;
}

bool schema_actions_have(const struct schema_actions *l, const struct schema_action *a)
{
	return action_in(l, &a->uid) == a;
}

bool schema_entity_allows(const struct schema_entity *e, struct span id)
{
	for (size_t i = 0; i < e->choice_count; i++)
		if (span_eq(e->choices[i], id))
			return true;
	return e->choice_count == 0;
}

const struct cedar_type *type_plain(enum type_kind k)
{
	static const struct cedar_type plain[] = {
		[TYPE_NEVER] = {TYPE_NEVER, 1, {NULL}},
		[TYPE_TRUE] = {TYPE_TRUE, 1, {NULL}},
		[TYPE_FALSE] = {TYPE_FALSE, 1, {NULL}},
		[TYPE_BOOL] = {TYPE_BOOL, 1, {NULL}},
		[TYPE_LONG] = {TYPE_LONG, 1, {NULL}},
		[TYPE_STRING] = {TYPE_STRING, 1, {NULL}},
		[TYPE_ANY_ENTITY] = {TYPE_ANY_ENTITY, 1, {NULL}},
		[TYPE_DECIMAL] = {TYPE_DECIMAL, 1, {NULL}},
		[TYPE_IP] = {TYPE_IP, 1, {NULL}},
		[TYPE_DATETIME] = {TYPE_DATETIME, 1, {NULL}},
		[TYPE_DURATION] = {TYPE_DURATION, 1, {NULL}},
	};
	CHECK(k != TYPE_SET && k != TYPE_RECORD && k != TYPE_ENTITY);
	return &plain[k];
}

bool type_is_extension(enum type_kind k)
{
	return k >= TYPE_DECIMAL;
}

static bool attrs_eq(const struct schema_attrs *a, const struct schema_attrs *b)
{
	if (a == b)
		return true;
	if (a->count != b->count || a->open != b->open)
		return false;
	for (size_t i = 0; i < a->count; i++)
		if (a->items[i].required != b->items[i].required ||
			!span_eq(a->items[i].name, b->items[i].name) ||
			!type_eq(a->items[i].type, b->items[i].type))
			return false;
	return true;
}

bool type_eq(const struct cedar_type *a, const struct cedar_type *b)
{
	if (a == b)
		return true;
	if (!a || !b || a->kind != b->kind)
		return false;
	switch (a->kind) {
	case TYPE_SET:
		return type_eq(a->element, b->element);
	case TYPE_RECORD:
		return attrs_eq(a->attrs, b->attrs);
	case TYPE_ENTITY:
		return a->entity == b->entity;
	default:
		return true;
	}
}

static void attrs_print(struct buf *b, const struct schema_attrs *attrs)
{
	buf_putc(b, '{');
	for (size_t i = 0; i < attrs->count && !b->error; i++) {
		const struct schema_attr *at = &attrs->items[i];
		buf_puts(b, i ? ", " : "");
		if (cedar_identifier(at->name))
			buf_span(b, at->name);
		else
			cedar_print_string(b, at->name);
		buf_puts(b, at->required ? ": " : "?: ");
		type_print(b, at->type);
	}
	buf_puts(b, attrs->open ? ", ...}" : "}");
}

void type_print(struct buf *b, const struct cedar_type *t)
{
	static const char *const names[] = {[TYPE_NEVER] = "never",
		[TYPE_TRUE] = "True",
		[TYPE_FALSE] = "False",
		[TYPE_BOOL] = "Bool",
		[TYPE_LONG] = "Long",
		[TYPE_STRING] = "String",
		[TYPE_ANY_ENTITY] = "an entity",
		[TYPE_DECIMAL] = "decimal",
		[TYPE_IP] = "ipaddr",
		[TYPE_DATETIME] = "datetime",
		[TYPE_DURATION] = "duration"};
	switch (t->kind) {
	case TYPE_SET:
		buf_puts(b, "Set<");
		if (t->element)
			type_print(b, t->element);
		buf_putc(b, '>');
		break;
	case TYPE_RECORD:
		attrs_print(b, t->attrs);
		break;
	case TYPE_ENTITY:
		buf_span(b, t->entity->name);
		break;
	default:
		buf_puts(b, names[t->kind]);
		break;
	}
}
