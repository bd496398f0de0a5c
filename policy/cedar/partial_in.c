/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Partial evaluation of `in`. What is above a known entity is known; of others the schema says
 * which types may be.
 */
#include "policy/cedar/residual.h"

/* May an entity of the one type be in one of the other, if they are not the same entity? */
static bool type_may_be_in(struct partial *p, struct span left, struct span right)
{
	const struct cedar_schema *s = p->known->schema;
	const struct schema_entity *l = s ? schema_entity_find(s, left) : NULL;
	const struct schema_entity *r = s ? schema_entity_find(s, right) : NULL;
	if (!l || l->action)
		return true;
	return r && schema_entities_have(&l->ancestors, r);
}

/* What is above a known entity goes on above those that are not known. */
static bool may_go_on(struct partial *p, const struct entity *e, const struct cedar_uid *to)
{
	for (size_t i = 0; i < e->ancestor_count; i++) {
		const struct cedar_uid *above = e->ancestors[i];
		if (!partial_known_entity(p, above) && !partial_known_absent(p, above) &&
			type_may_be_in(p, above->type, to->type))
			return true;
	}
	return false;
}

/* 1: in every completion; 0: in none; -1: it depends. */
static int value_in(struct partial *p, const struct residual *left, const struct cedar_uid *right)
{
	struct span type;
	if (left->state == RESIDUAL_VALUE) {
		const struct cedar_uid *uid = left->value.uid;
		const struct entity *e = partial_known_entity(p, uid);
		if (cedar_uid_eq(uid, right))
			return 1;
		if (e && entity_below(e, right))
			return 1;
		if (e)
			return may_go_on(p, e, right) ? -1 : 0;
		if (partial_known_absent(p, uid))
			return 0;
		return type_may_be_in(p, uid->type, right->type) ? -1 : 0;
	}
	if (!residual_entity_type(left, &type) || span_eq(type, right->type))
		return -1;
	/* Another type, so not the same entity. */
	return type_may_be_in(p, type, right->type) ? -1 : 0;
}

/* Drops elements that the entity cannot be in. */
static int in_set(struct partial *p, const struct residual *left, const struct residual *right,
	const struct residual **ret)
{
	const struct value_set *set = right->value.set;
	struct cedar_value *possible =
		arena_make_array(p->arena, struct cedar_value, set->count + 1);
	const struct residual *kids[] = {left, right};
	struct cedar_value rest;
	size_t n = 0;
	int r;
	if (!possible)
		return err_raise(-ENOMEM, "no memory for a residual");
	for (size_t i = 0; i < set->count; i++) {
		int verdict = value_in(p, left, set->items[i].uid);
		if (verdict > 0)
			return residual_bool(p, true, ret);
		if (verdict < 0)
			possible[n++] = set->items[i];
	}
	if (n == 0)
		return residual_bool(p, false, ret);
	r = value_make_set(p->arena, possible, n, &rest);
	if (r == 0)
		r = residual_value(p, &rest, &kids[1]);
	return r < 0 ? err_trace(r)
		     : residual_open(p, (struct residual){.op = EXPR_IN}, kids, 2, ret);
}

static bool entities_only(const struct cedar_value *v)
{
	if (v->type == VALUE_ENTITY)
		return true;
	for (size_t i = 0; v->type == VALUE_SET && i < v->set->count; i++)
		if (v->set->items[i].type != VALUE_ENTITY)
			return false;
	return v->type == VALUE_SET;
}

/* The right side is open too: only its type may tell. */
static bool impossible(struct partial *p, const struct residual *left, const struct residual *right)
{
	const struct cedar_type *t = right->type;
	struct span type;
	if (left->may_fail || right->may_fail || !residual_entity_type(left, &type) || !t)
		return false;
	if (t->kind == TYPE_SET)
		t = t->element;
	return t && t->kind == TYPE_ENTITY && !span_eq(type, t->entity->name) &&
		!type_may_be_in(p, type, t->entity->name);
}

int partial_in(struct partial *p, const struct residual *left, const struct residual *right,
	const struct residual **ret)
{
	const struct residual *kids[] = {left, right};
	struct cedar_value v = left->value;
	int r, verdict;
	if (left->state == RESIDUAL_VALUE && right->state == RESIDUAL_VALUE &&
		(v.type != VALUE_ENTITY || !entities_only(&right->value))) {
		r = operator_binary(p->known->entities, EXPR_IN, &v, &right->value); /* fails */
		return residual_outcome(p, r, &v, ret);
	}
	if (right->state == RESIDUAL_VALUE && !entities_only(&right->value))
		return residual_error(p, "type error: expected set or entity behind `in`", ret);
	if (right->state == RESIDUAL_VALUE && !left->may_fail &&
		residual_kind(left) == TYPE_ANY_ENTITY) {
		if (right->value.type == VALUE_SET)
			return in_set(p, left, right, ret);
		verdict = value_in(p, left, right->value.uid);
		if (verdict >= 0)
			return residual_bool(p, verdict, ret);
	} else if (right->state == RESIDUAL_OPEN && impossible(p, left, right)) {
		return residual_bool(p, false, ret);
	}
	return residual_open(p, (struct residual){.op = EXPR_IN}, kids, 2, ret);
}
