/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Nodes of residuals: how they are made, what type their values have, and whether they may fail.
 * Types come from data that conforms to the schema and from what operators yield, never from what a
 * policy expects: they hold for policies that would not validate too.
 */
#include "policy/cedar/residual.h"
#include "policy/cedar/ext_types.h"
#include "policy/cedar/no_memory.h"

int residual_value(struct partial *p, const struct cedar_value *v, const struct residual **ret)
{
	struct residual *r = arena_make(p->arena, struct residual);
	if (!r)
		return no_memory();
	r->state = RESIDUAL_VALUE;
	r->value = *v;
	*ret = r;
	return 0;
}

int residual_bool(struct partial *p, bool b, const struct residual **ret)
{
	struct cedar_value v = bool_value(b);
	return residual_value(p, &v, ret);
}

int residual_error(struct partial *p, const char *message, const struct residual **ret)
{
	struct residual *r = arena_make(p->arena, struct residual);
	if (!r)
		return no_memory();
	r->state = RESIDUAL_ERROR;
	r->may_fail = true;
	r->message = message;
	*ret = r;
	return 0;
}

int residual_outcome(
	struct partial *p, int r, const struct cedar_value *v, const struct residual **ret)
{
	const char *message;
	if (r == 0)
		return residual_value(p, v, ret);
	if (r != -EINVAL && r != -ERANGE)
		return err_trace(r);
	message = arena_strdup(p->arena, err_message(r));
	err_clear();
	return message ? residual_error(p, message, ret) : no_memory();
}

enum type_kind residual_kind(const struct residual *r)
{
	static const enum type_kind kinds[] = {[VALUE_BOOL] = TYPE_BOOL,
		[VALUE_LONG] = TYPE_LONG,
		[VALUE_STRING] = TYPE_STRING,
		[VALUE_ENTITY] = TYPE_ANY_ENTITY,
		[VALUE_SET] = TYPE_SET,
		[VALUE_RECORD] = TYPE_RECORD,
		[VALUE_DECIMAL] = TYPE_DECIMAL,
		[VALUE_IP] = TYPE_IP,
		[VALUE_DATETIME] = TYPE_DATETIME,
		[VALUE_DURATION] = TYPE_DURATION};
	if (r->state == RESIDUAL_VALUE)
		return kinds[r->value.type];
	if (r->state == RESIDUAL_ERROR || !r->type)
		return TYPE_NEVER;
	return r->type->kind == TYPE_ENTITY ? TYPE_ANY_ENTITY : r->type->kind;
}

bool residual_is_bool(const struct residual *r)
{
	return residual_kind(r) == TYPE_BOOL;
}

bool residual_is(const struct residual *r, bool value)
{
	return r->state == RESIDUAL_VALUE && r->value.type == VALUE_BOOL &&
		r->value.boolean == value;
}

bool residual_entity_type(const struct residual *r, struct span *ret)
{
	if (r->state == RESIDUAL_VALUE && r->value.type == VALUE_ENTITY)
		*ret = r->value.uid->type;
	else if (r->state == RESIDUAL_OPEN && r->type && r->type->kind == TYPE_ENTITY)
		*ret = r->type->entity->name;
	else if (r->state == RESIDUAL_OPEN && r->op == EXPR_VAR && r->name.n > 0)
		*ret = r->name;
	else
		return false;
	return true;
}

const struct cedar_type *residual_type(struct partial *p, const struct residual *r)
{
	const struct cedar_schema *s = p->known->schema;
	enum type_kind kind = residual_kind(r);
	const struct schema_entity *e;
	if (r->state != RESIDUAL_VALUE)
		return r->type;
	if (kind == TYPE_SET || kind == TYPE_RECORD)
		return NULL;
	if (kind != TYPE_ANY_ENTITY || !s)
		return type_plain(kind);
	e = schema_entity_find(s, r->value.uid->type);
	return e ? e->type : type_plain(kind);
}

const struct entity *partial_known_entity(struct partial *p, const struct cedar_uid *uid)
{
	const struct entity *e = entities_find(p->known->entities, uid);
	return e || !p->known->schema ? e : entities_find(p->known->schema->action_entities, uid);
}

static bool may_be(bool unknown, const struct cedar_uid *of, const struct cedar_uid *uid)
{
	return unknown && (of->type.n == 0 || span_eq(of->type, uid->type));
}

bool partial_known_absent(struct partial *p, const struct cedar_uid *uid)
{
	const struct cedar_known *k = p->known;
	return k->entities_closed && !partial_known_entity(p, uid) &&
		!may_be(k->principal_unknown, &k->principal, uid) &&
		!may_be(k->resource_unknown, &k->resource, uid);
}

/* A set of what the kids may be, entities of several types as entities. */
static const struct cedar_type *set_type(
	struct partial *p, const struct residual *const *kids, size_t count)
{
	struct cedar_type *t = arena_make(p->arena, struct cedar_type);
	const struct cedar_type *element = count ? residual_type(p, kids[0]) : NULL;
	for (size_t i = 1; element && i < count; i++) {
		const struct cedar_type *other = residual_type(p, kids[i]);
		if (other && type_eq(other, element))
			continue;
		element = other && residual_kind(kids[i]) == TYPE_ANY_ENTITY &&
				(element->kind == TYPE_ENTITY || element->kind == TYPE_ANY_ENTITY)
			? type_plain(TYPE_ANY_ENTITY)
			: NULL;
	}
	if (t)
		*t = (struct cedar_type){.kind = TYPE_SET, .element = element};
	return t;
}

static const struct cedar_type *result_type(struct partial *p, const struct residual *r)
{
	const struct cedar_type *a, *b;
	switch (r->op) {
	case EXPR_NEG:
	case EXPR_ADD:
	case EXPR_SUB:
	case EXPR_MUL:
		return type_plain(TYPE_LONG);
	case EXPR_VAR:
	case EXPR_ATTR:
	case EXPR_GET_TAG:
		return r->type;
	case EXPR_IF:
		a = residual_type(p, r->kids[1]);
		b = residual_type(p, r->kids[2]);
		return a && b && type_eq(a, b) ? a : NULL;
	case EXPR_SET:
		return set_type(p, r->kids, r->count);
	case EXPR_RECORD:
		return NULL;
	case EXPR_CALL:
		return type_plain(ext_signature(r->ext)->result);
	default:
		return type_plain(TYPE_BOOL);
	}
}

static bool all_are(const struct residual *r, enum type_kind kind)
{
	for (size_t i = 0; i < r->count; i++)
		if (residual_kind(r->kids[i]) != kind)
			return false;
	return true;
}

/* Extension functions fail on values of another type, on texts that say nothing, and where a time
 * leaves its range. */
static bool call_fails(const struct residual *r)
{
	const struct ext_signature *s = ext_signature(r->ext);

	if (r->ext == EXT_UNKNOWN || r->count != ext_arity(r->ext) || ext_is_constructor(r->ext) ||
		type_is_extension(s->result))
		return true;
	for (size_t i = 0; i < r->count; i++)
		if (residual_kind(r->kids[i]) != s->args[i])
			return true;
	return false;
}

static bool is_entity_set(const struct residual *r)
{
	if (r->state == RESIDUAL_OPEN)
		return r->type && r->type->kind == TYPE_SET && r->type->element &&
			(r->type->element->kind == TYPE_ENTITY ||
				r->type->element->kind == TYPE_ANY_ENTITY);
	if (r->state != RESIDUAL_VALUE || r->value.type != VALUE_SET)
		return false;
	for (size_t i = 0; i < r->value.set->count; i++)
		if (r->value.set->items[i].type != VALUE_ENTITY)
			return false;
	return true;
}

/* May it fail though none of its kids does? */
static bool fails_by_itself(const struct residual *r)
{
	enum type_kind first = r->count ? residual_kind(r->kids[0]) : TYPE_NEVER;
	switch (r->op) {
	case EXPR_VAR:
	case EXPR_EQ:
	case EXPR_NE:
	case EXPR_SET:
	case EXPR_RECORD:
		return false;
	case EXPR_NOT:
	case EXPR_AND:
	case EXPR_OR:
		return !all_are(r, TYPE_BOOL);
	case EXPR_IF:
		return first != TYPE_BOOL;
	case EXPR_LT:
	case EXPR_LE:
	case EXPR_GT:
	case EXPR_GE:
		return !all_are(r, TYPE_LONG) && !all_are(r, TYPE_DATETIME) &&
			!all_are(r, TYPE_DURATION);
	case EXPR_IN:
	case EXPR_IS:
		return first != TYPE_ANY_ENTITY ||
			(r->count == 2 && residual_kind(r->kids[1]) != TYPE_ANY_ENTITY &&
				!is_entity_set(r->kids[1]));
	case EXPR_IS_EMPTY:
	case EXPR_CONTAINS:
		return first != TYPE_SET;
	case EXPR_CONTAINS_ALL:
	case EXPR_CONTAINS_ANY:
		return !all_are(r, TYPE_SET);
	case EXPR_HAS_TAG:
		return first != TYPE_ANY_ENTITY || residual_kind(r->kids[1]) != TYPE_STRING;
	case EXPR_LIKE:
		return first != TYPE_STRING;
	case EXPR_ATTR:
	case EXPR_HAS:
		return r->may_fail;
	case EXPR_CALL:
		return call_fails(r);
	default:
		return true;
	}
}

int residual_open(struct partial *p, struct residual form, const struct residual *const *kids,
	size_t count, const struct residual **ret)
{
	struct residual *r = arena_make(p->arena, struct residual);
	const struct residual **copies =
		arena_make_array(p->arena, const struct residual *, count + 1);
	bool fails = false;
	if (!r || !copies)
		return no_memory();
	for (size_t i = 0; i < count; i++) {
		copies[i] = kids[i];
		fails |= kids[i]->may_fail;
	}
	*r = form;
	r->state = RESIDUAL_OPEN;
	r->kids = copies;
	r->count = count;
	r->type = result_type(p, r);
	r->may_fail = fails || fails_by_itself(r);
	*ret = r;
	return 0;
}
