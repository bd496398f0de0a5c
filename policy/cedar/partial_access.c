/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Partial evaluation of what looks into entities and records: attributes, has, is, tags. Data that
 * is not known is as the schema says, or may be anything.
 */
#include "policy/cedar/residual.h"

/* What is known of one attribute of the context. */
enum presence { ABSENT, MAY_BE, PRESENT, KNOWN };

static enum presence context_presence(struct partial *p, struct span name,
	const struct cedar_value **ret_value, const struct cedar_type **ret_type)
{
	const struct cedar_known *k = p->known;
	const struct schema_attr *attr =
		p->action ? schema_attr_find(p->action->context->attrs, name) : NULL;
	bool listed = k->context_open;
	*ret_type = attr ? attr->type : NULL;
	*ret_value = k->context ? value_member(k->context->record, name) : NULL;
	if (*ret_value)
		return KNOWN;
	for (size_t i = 0; i < k->unknown_count && !listed; i++)
		listed = span_eq(k->unknown[i], name);
	if (!listed || (p->action && !attr))
		return ABSENT;
	return attr && attr->required ? PRESENT : MAY_BE;
}

static bool is_context(const struct residual *r)
{
	return r->state == RESIDUAL_OPEN && r->op == EXPR_VAR && r->var == VAR_CONTEXT;
}

static int open_attr(struct partial *p, const struct residual *of, struct span name,
	const struct cedar_type *type, bool fails, const struct residual **ret)
{
	struct residual form = {.op = EXPR_ATTR, .name = name, .type = type, .may_fail = fails};
	return residual_open(p, form, &of, 1, ret);
}

static int context_attr(
	struct partial *p, const struct residual *of, struct span name, const struct residual **ret)
{
	const struct cedar_value *value;
	const struct cedar_type *type;
	switch (context_presence(p, name, &value, &type)) {
	case KNOWN:
		return residual_value(p, value, ret);
	case ABSENT:
		return residual_error(p, "the context does not have the attribute", ret);
	case PRESENT:
		return open_attr(p, of, name, type, false, ret);
	default:
		return open_attr(p, of, name, type, true, ret);
	}
}

/* Does what the node stands for exist in every completion? */
static bool exists(struct partial *p, const struct residual *r)
{
	if (r->state == RESIDUAL_VALUE)
		return partial_known_entity(p, r->value.uid) != NULL;
	return r->op == EXPR_VAR && p->known->unknown_exist;
}

static int attr_by_type(struct partial *p, const struct residual *of, const struct cedar_type *type,
	struct span name, const struct residual **ret)
{
	const struct schema_attr *attr;
	bool entity = type && type->kind == TYPE_ENTITY;
	if (!entity && (!type || type->kind != TYPE_RECORD))
		return open_attr(p, of, name, NULL, true, ret);
	attr = schema_attr_find(entity ? &type->entity->attrs : type->attrs, name);
	if (!attr)
		return residual_error(p, "the schema has no such attribute there", ret);
	return open_attr(
		p, of, name, attr->type, !attr->required || (entity && !exists(p, of)), ret);
}

/* Of a record that is made of parts, some of them open. */
static int attr_of_parts(
	struct partial *p, const struct residual *of, struct span name, const struct residual **ret)
{
	const struct residual *found = NULL;
	for (size_t i = 0; i < of->count; i++)
		if (span_eq(of->names[i], name))
			found = of->kids[i];
	if (!found)
		return residual_error(p, "record does not have the attribute", ret);
	if (of->may_fail)
		return open_attr(p, of, name, residual_type(p, found), false, ret);
	*ret = found;
	return 0;
}

int partial_attr(
	struct partial *p, const struct residual *of, struct span name, const struct residual **ret)
{
	struct cedar_value v = of->value;
	int r;
	if (of->state == RESIDUAL_ERROR) {
		*ret = of;
		return 0;
	}
	if (is_context(of))
		return context_attr(p, of, name, ret);
	if (of->state == RESIDUAL_OPEN && of->op == EXPR_RECORD)
		return attr_of_parts(p, of, name, ret);
	if (of->state == RESIDUAL_OPEN)
		return attr_by_type(p, of, of->type, name, ret);
	if (v.type == VALUE_ENTITY && !partial_known_entity(p, v.uid) &&
		!partial_known_absent(p, v.uid))
		return attr_by_type(p, of, residual_type(p, of), name, ret);
	r = operator_attr(p->known->entities, name, &v);
	return residual_outcome(p, r, &v, ret);
}

/* Whether values of a type have names[0].names[1]...: MAY_BE, or certain; *ret_fails if looking may
 * fail. `sure`: an entity of the type exists. */
static enum presence path_by_type(const struct cedar_type *type, const struct span *names,
	size_t count, bool sure, bool *ret_fails)
{
	enum presence so_far = PRESENT;
	*ret_fails = false;
	for (size_t i = 0; i < count; i++) {
		bool entity = type && type->kind == TYPE_ENTITY;
		const struct schema_attr *attr;
		if (!entity && (!type || type->kind != TYPE_RECORD)) {
			*ret_fails = i + 1 < count || !type || type->kind != TYPE_ANY_ENTITY;
			return MAY_BE;
		}
		attr = schema_attr_find(entity ? &type->entity->attrs : type->attrs, names[i]);
		if (!attr) /* whether or not what comes before is there */
			return ABSENT;
		if (!attr->required || (entity && !sure))
			so_far = MAY_BE;
		sure = false; /* an entity that is referred to need not exist */
		type = attr->type;
	}
	return so_far;
}

static int has_by_type(struct partial *p, const struct residual *of, const struct cedar_type *type,
	const struct span *names, size_t count, const struct residual **ret)
{
	struct residual form = {.op = EXPR_HAS, .names = names, .name_count = count};
	bool sure = residual_kind(of) == TYPE_ANY_ENTITY && exists(p, of);
	enum presence there = path_by_type(type, names, count, sure, &form.may_fail);
	if (there != MAY_BE && !of->may_fail)
		return residual_bool(p, there == PRESENT, ret);
	return residual_open(p, form, &of, 1, ret);
}

/* A value: as far as it is known, then by type. */
static int has_of_value(struct partial *p, const struct cedar_value *of, const struct span *names,
	size_t count, const struct residual **ret)
{
	struct cedar_value v = *of;
	const struct residual *node;
	int r;
	for (size_t i = 0; i < count; i++) {
		const struct value_record *record = v.type == VALUE_RECORD ? v.record : NULL;
		const struct cedar_value *member;
		if (v.type != VALUE_RECORD && v.type != VALUE_ENTITY) {
			r = operator_has(NULL, names, 1, &v); /* fails: neither of both */
			return residual_outcome(p, r, &v, ret);
		}
		if (v.type == VALUE_ENTITY) {
			const struct entity *e = partial_known_entity(p, v.uid);
			if (!e && !partial_known_absent(p, v.uid)) {
				r = residual_value(p, &v, &node);
				return r < 0 ? err_trace(r)
					     : has_by_type(p, node, residual_type(p, node),
						       names + i, count - i, ret);
			}
			record = e ? e->attrs : NULL;
		}
		member = record ? value_member(record, names[i]) : NULL;
		if (!member)
			return residual_bool(p, false, ret);
		v = *member;
	}
	return residual_bool(p, true, ret);
}

static int context_has(struct partial *p, const struct residual *of, const struct span *names,
	size_t count, const struct residual **ret)
{
	struct residual form = {.op = EXPR_HAS, .names = names, .name_count = count};
	const struct cedar_value *value;
	const struct cedar_type *type;
	enum presence first = context_presence(p, names[0], &value, &type), rest;
	if (first == ABSENT)
		return residual_bool(p, false, ret);
	if (first == KNOWN)
		return count == 1 ? residual_bool(p, true, ret)
				  : has_of_value(p, value, names + 1, count - 1, ret);
	rest = path_by_type(type, names + 1, count - 1, false, &form.may_fail);
	if (rest == ABSENT || (rest == PRESENT && first == PRESENT))
		return residual_bool(p, rest == PRESENT, ret);
	return residual_open(p, form, &of, 1, ret);
}

int partial_has(struct partial *p, const struct residual *of, const struct span *names,
	size_t count, const struct residual **ret)
{
	if (of->state == RESIDUAL_ERROR) {
		*ret = of;
		return 0;
	}
	if (of->state == RESIDUAL_VALUE)
		return has_of_value(p, &of->value, names, count, ret);
	if (is_context(of))
		return context_has(p, of, names, count, ret);
	if (of->op == EXPR_RECORD) { /* of parts, whose types are not put together */
		struct residual form = {.op = EXPR_HAS, .names = names, .name_count = count};
		form.may_fail = count > 1;
		return residual_open(p, form, &of, 1, ret);
	}
	return has_by_type(p, of, of->type, names, count, ret);
}

int partial_is(
	struct partial *p, const struct residual *of, struct span type, const struct residual **ret)
{
	struct residual form = {.op = EXPR_IS, .name = type};
	struct span known;
	bool same;
	int r;
	if (of->state == RESIDUAL_ERROR) {
		*ret = of;
		return 0;
	}
	if (of->state == RESIDUAL_VALUE) {
		r = operator_is(type, &of->value, &same);
		return residual_outcome(p, r,
			&(struct cedar_value){.type = VALUE_BOOL, .boolean = r == 0 && same}, ret);
	}
	if (!of->may_fail && residual_entity_type(of, &known))
		return residual_bool(p, span_eq(known, type), ret);
	return residual_open(p, form, &of, 1, ret);
}

int partial_tag(struct partial *p, enum expr_op op, const struct residual *of,
	const struct residual *tag, const struct residual **ret)
{
	const struct residual *kids[] = {of, tag};
	const struct cedar_type *type = residual_type(p, of);
	const struct cedar_type *tags = NULL;
	struct residual form = {.op = op};
	struct cedar_value v = of->value;
	if (of->state == RESIDUAL_VALUE && tag->state == RESIDUAL_VALUE &&
		(v.type != VALUE_ENTITY || partial_known_entity(p, v.uid) ||
			partial_known_absent(p, v.uid))) {
		int r = operator_binary(p->known->entities, op, &v, &tag->value);
		return residual_outcome(p, r, &v, ret);
	}
	if (type && type->kind == TYPE_ENTITY) {
		tags = type->entity->tags;
		if (!tags && op == EXPR_GET_TAG)
			return residual_error(p, "the schema has no tags there", ret);
		if (!tags && !of->may_fail && !tag->may_fail && residual_kind(tag) == TYPE_STRING)
			return residual_bool(p, false, ret);
	}
	form.type = tags;
	return residual_open(p, form, kids, 2, ret);
}
