/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Level validation (RFC 76): how many references from entity to entity must be followed to decide,
 * counted from the variables of the request. Literals may not be followed at all, since they are
 * not part of the request, but for the action itself.
 */
#include "policy/cedar/validate.h"

struct level {
	struct checker *checker;
	uint32_t most;
};

/* Names of record attributes still to be followed, the next one first. */
struct path {
	struct span name;
	const struct path *next;
};

static void check(struct level *l, const struct typed *t);

static bool is_entity(const struct typed *t)
{
	return typed_is(t, TYPE_ENTITY) || typed_is(t, TYPE_ANY_ENTITY);
}

static void report_literal(struct level *l, const struct expr *e)
{
	cedar_report_error(l->checker->report, e->pos,
		"level validation: attributes and ancestors of `%s`, which the request does not "
		"name, are not known; expected one that is reached from a variable",
		report_expr(l->checker->arena, e));
}

static void exceeded(struct level *l, const struct expr *e, uint32_t level)
{
	cedar_report_error(l->checker->report, e->pos,
		"`%s` follows %u references from entity to entity; level validation allows %u",
		report_expr(l->checker->arena, e), level, l->most);
}

static uint32_t target_level(struct level *l, const struct typed *t, const struct path *path);

/* Into a record literal: the attribute that is followed, and the others as they are. */
static uint32_t record_level(struct level *l, const struct typed *t, const struct path *path)
{
	uint32_t level = 0;
	for (size_t i = 0; i < t->count; i++)
		if (path && span_eq(t->expr->names[i], path->name))
			level = target_level(l, t->kids[i], path->next);
		else
			check(l, t->kids[i]);
	return level;
}

/* References that were followed to get at what is now to be followed. */
static uint32_t target_level(struct level *l, const struct typed *t, const struct path *path)
{
	struct path here = {.next = path};
	uint32_t a, b;
	switch (t->expr->op) {
	case EXPR_SLOT:
		report_literal(l, t->expr);
		return 0;
	case EXPR_UID:
		if (!cedar_uid_eq(&t->expr->uid, &l->checker->env->action->uid))
			report_literal(l, t->expr);
		return 0;
	case EXPR_IF:
		check(l, t->kids[0]);
		a = target_level(l, t->kids[1], path);
		b = t->count > 2 ? target_level(l, t->kids[2], path) : a;
		return MAX(a, b);
	case EXPR_ATTR:
		if (is_entity(t->kids[0]))
			return target_level(l, t->kids[0], path) + 1;
		here.name = t->expr->string;
		return target_level(l, t->kids[0], &here);
	case EXPR_GET_TAG:
		a = target_level(l, t->kids[0], path);
		check(l, t->kids[1]);
		return a + 1;
	case EXPR_RECORD:
		return record_level(l, t, path);
	default: /* a variable */
		return 0;
	}
}

/* Something of an entity is asked for. */
static void check_target(struct level *l, const struct typed *t)
{
	uint32_t level = target_level(l, t->kids[0], NULL);
	if (level >= l->most)
		exceeded(l, t->expr, level + 1);
}

/* References between the names of `a has b.c.d`; the last is only asked for. *ret_first: how many
 * names lead to the first entity that is followed; 0 if none is. */
static uint32_t chain_level(const struct cedar_type *t, const struct expr *e, size_t *ret_first)
{
	uint32_t level = t->kind == TYPE_ENTITY ? 1 : 0;
	*ret_first = 0;
	for (size_t i = 0; i + 1 < e->name_count; i++) {
		const struct schema_attr *attr = type_attr(t, e->names[i]);
		if (!attr)
			break;
		t = attr->type;
		if (t->kind != TYPE_ENTITY)
			continue;
		level++;
		if (*ret_first == 0)
			*ret_first = i + 1;
	}
	return level;
}

static uint32_t level_along(struct level *l, const struct typed *t, const struct span *names,
	size_t count, const struct path *path)
{
	struct path *links = count ? arena_make_array(l->checker->arena, struct path, count) : NULL;
	if (count && !links) {
		l->checker->no_memory = true;
		return 0;
	}
	for (size_t i = count; i > 0; i--) {
		links[i - 1] = (struct path){names[i - 1], path};
		path = &links[i - 1];
	}
	return target_level(l, t, path);
}

static void check_chain(struct level *l, const struct typed *t)
{
	const struct typed *root = t->kids[0];
	bool record = typed_is(root, TYPE_RECORD);
	size_t first;
	uint32_t along, level;
	if (!root->type) {
		check(l, root);
		return;
	}
	along = chain_level(root->type, t->expr, &first);
	if (along > l->most) {
		exceeded(l, t->expr, along);
		return;
	}
	if (record)
		check(l, root);
	if (record && first == 0)
		return;
	level = level_along(l, root, t->expr->names, record ? first : 0, NULL);
	if (level > l->most - along)
		exceeded(l, t->expr, level + along);
}

static void check(struct level *l, const struct typed *t)
{
	enum expr_op op = t->expr->op;
	bool rest = true;
	if (op == EXPR_IS && t->count > 1)
		op = EXPR_IN; /* a is T in b */
	switch (op) {
	case EXPR_HAS_TAG:
	case EXPR_GET_TAG:
	case EXPR_IN:
		check_target(l, t);
		check(l, t->kids[1]);
		return;
	case EXPR_HAS:
		if (t->expr->name_count > 1) {
			check_chain(l, t);
			return;
		}
		/* fall through */
	case EXPR_ATTR:
		rest = !is_entity(t->kids[0]);
		if (!rest)
			check_target(l, t);
		break;
	default:
		break;
	}
	for (size_t i = 0; rest && i < t->count; i++)
		check(l, t->kids[i]);
}

void validate_level(struct checker *c, const struct typed *t, uint32_t level)
{
	struct level l = {c, level};
	check(&l, t);
}
