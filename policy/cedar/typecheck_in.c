/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * `in`. Between actions the schema decides it; between entities it may decide that it is never
 * true, because no entity of one type can be below one of the other.
 */
#include "policy/cedar/typecheck.h"

static const char *left_help(const struct cedar_type *t)
{
	(void)t;
	return "Use `contains` to test for an element of a set";
}

static const char *right_help(const struct cedar_type *t)
{
	if (t->kind == TYPE_SET)
		return "Use `contains` to test for an element of a set";
	return t->kind == TYPE_STRING ? "Use `like` to test for a part of a string" : NULL;
}

static const struct cedar_uid *uid_of(const struct checker *c, const struct expr *e)
{
	if (e->op == EXPR_VAR && e->var == VAR_ACTION)
		return &c->env->action->uid;
	return e->op == EXPR_UID ? &e->uid : NULL;
}

/* The i-th entity that is written on the right, if nothing but such are. */
static size_t uid_count(const struct expr *e)
{
	return e->op == EXPR_SET ? e->count : 1;
}

static const struct cedar_uid *uid_at(const struct checker *c, const struct expr *e, size_t i)
{
	return uid_of(c, e->op == EXPR_SET ? e->kids[i] : e);
}

static bool uids_only(const struct checker *c, const struct expr *e)
{
	for (size_t i = 0; i < uid_count(e); i++)
		if (!uid_at(c, e, i))
			return false;
	return true;
}

enum answer { ANSWER_NO, ANSWER_YES, ANSWER_UNDECLARED };

/* Whether the action is one of those on the right or below one. */
static enum answer action_in(
	const struct checker *c, const struct cedar_uid *left, const struct expr *right)
{
	enum answer answer = ANSWER_NO;
	for (size_t i = 0; i < uid_count(right); i++) {
		const struct cedar_uid *uid = uid_at(c, right, i);
		const struct schema_action *above;
		if (!uid || !type_is_action(uid->type)) /* no action is below one */
			continue;
		above = schema_action_find(c->schema, uid);
		if (!above)
			return ANSWER_UNDECLARED;
		if (cedar_uid_eq(uid, left))
			answer = ANSWER_YES;
		for (size_t j = 0; j < above->descendants.count; j++)
			if (cedar_uid_eq(&above->descendants.items[j]->uid, left))
				answer = ANSWER_YES;
	}
	return answer;
}

/* An action of one type may be below one of another namespace's. */
static bool actions_below(const struct checker *c, const struct schema_entity *below,
	const struct schema_entity *above)
{
	for (size_t i = 0; i < c->schema->actions.count; i++) {
		const struct schema_action *a = c->schema->actions.items[i];
		for (size_t j = 0; a->type == above && j < a->descendants.count; j++)
			if (a->descendants.items[j]->type == below)
				return true;
	}
	return false;
}

static bool may_be_below(
	const struct checker *c, const struct cedar_type *left, const struct cedar_type *right)
{
	if (right->kind == TYPE_SET)
		right = right->element;
	if (left->kind != TYPE_ENTITY || !right || right->kind != TYPE_ENTITY)
		return true;
	return left->entity == right->entity ||
		schema_entities_have(&right->entity->descendants, left->entity) ||
		actions_below(c, left->entity, right->entity);
}

const struct typed *typecheck_in_of(struct checker *c, const struct capabilities *prior,
	const struct expr *e, const struct typed *of)
{
	const struct typed *kids[2] = {of};
	struct typed t = {.expr = e, .type = type_plain(TYPE_BOOL)};
	const struct cedar_uid *left = uid_of(c, e->kids[0]);
	kids[1] = typecheck_expect(
		c, prior, e->kids[1], EXPECT_ENTITY | EXPECT_ENTITY_SET, right_help);
	t.failed = kids[0]->failed || kids[1]->failed;
	if (t.failed)
		return typed_keep(c, t, 2, kids);
	if (left && type_is_action(left->type) && uids_only(c, e->kids[1])) {
		enum answer answer = action_in(c, left, e->kids[1]);
		t.failed = answer == ANSWER_UNDECLARED;
		if (!t.failed)
			t.type = type_plain(answer == ANSWER_YES ? TYPE_TRUE : TYPE_FALSE);
	} else if (!may_be_below(c, kids[0]->type, kids[1]->type)) {
		t.type = type_plain(TYPE_FALSE);
	}
	return typed_keep(c, t, 2, kids);
}

const struct typed *typecheck_in(
	struct checker *c, const struct capabilities *prior, const struct expr *e)
{
	return typecheck_in_of(
		c, prior, e, typecheck_expect(c, prior, e->kids[0], EXPECT_ENTITY, left_help));
}
