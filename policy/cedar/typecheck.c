/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The walk over expressions, and literals, variables, sets and records. Errors are reported
 * where they are; an expression with an error keeps its type if that is known all the same, so that
 * the rest can be looked at.
 */
#include "policy/cedar/typecheck.h"
#include "policy/cedar/report.h"
#include <stdio.h>
#include <stdlib.h>

static const struct typed nothing = {.failed = true};

static const struct cedar_type *plain(enum type_kind k)
{
	return type_plain(k);
}

const struct typed *typed_keep(
	struct checker *c, struct typed t, size_t count, const struct typed *const *kids)
{
	struct typed *kept = arena_make(c->arena, struct typed);
	const struct typed **copy =
		count ? arena_make_array(c->arena, const struct typed *, count) : NULL;
	if (!kept || (count && !copy)) {
		c->no_memory = true;
		return &nothing;
	}
	*kept = t;
	if (count) {
		memcpy(copy, kids, count * sizeof(struct typed *));
		kept->kids = copy;
		kept->count = count;
	}
	if (kept->failed)
		kept->grants = NULL;
	return kept;
}

const struct typed *typed_over(struct checker *c, const struct expr *e,
	const struct cedar_type *type, const struct typed *kid)
{
	return typed_keep(
		c, (struct typed){.expr = e, .type = type, .failed = kid->failed}, 1, &kid);
}

const struct typed *typed_over2(struct checker *c, const struct expr *e,
	const struct cedar_type *type, const struct typed *left, const struct typed *right)
{
	const struct typed *kids[] = {left, right};
	bool failed = left->failed || right->failed;
	return typed_keep(c, (struct typed){.expr = e, .type = type, .failed = failed}, 2, kids);
}

bool typed_is(const struct typed *t, enum type_kind kind)
{
	return t->type && t->type->kind == kind;
}

static unsigned kind_of(const struct cedar_type *t)
{
	static const unsigned kinds[] = {
		[TYPE_NEVER] = ~0u,
		[TYPE_TRUE] = EXPECT_BOOL,
		[TYPE_FALSE] = EXPECT_BOOL,
		[TYPE_BOOL] = EXPECT_BOOL,
		[TYPE_LONG] = EXPECT_LONG,
		[TYPE_STRING] = EXPECT_STRING,
		[TYPE_SET] = EXPECT_SET,
		[TYPE_RECORD] = EXPECT_RECORD,
		[TYPE_ENTITY] = EXPECT_ENTITY,
		[TYPE_ANY_ENTITY] = EXPECT_ENTITY,
		[TYPE_DECIMAL] = EXPECT_DECIMAL,
		[TYPE_IP] = EXPECT_IP,
		[TYPE_DATETIME] = EXPECT_DATETIME,
		[TYPE_DURATION] = EXPECT_DURATION,
	};
	if (t->kind == TYPE_SET && t->element && (kind_of(t->element) & EXPECT_ENTITY))
		return EXPECT_SET | EXPECT_ENTITY_SET;
	return kinds[t->kind];
}

static void print_expected(struct buf *b, unsigned expected)
{
	static const char *const words[] = {"Bool", "Long", "String", "an entity", "a record",
		"a set", "a set of entities", "decimal", "ipaddr", "datetime", "duration"};
	bool any = false;
	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (expected & 1u << i) {
			buf_printf(b, "%s%s", any ? " or " : "", words[i]);
			any = true;
		}
}

void typecheck_mismatch(struct checker *c, const struct expr *e, unsigned expected,
	const struct cedar_type *found, const char *help)
{
	struct buf wanted CLEANUP(buf_fini) = buf_init(256), got CLEANUP(buf_fini) = buf_init(512);
	print_expected(&wanted, expected);
	type_print(&got, found);
	cedar_report_error(c->report, e->pos,
		"`%s` is of type " SPAN_FMT "; expected " SPAN_FMT "%s%s", report_expr(c->arena, e),
		SPAN_ARG(buf_view(&got)), SPAN_ARG(buf_view(&wanted)), help ? ". " : "",
		help ? help : "");
}

/* Out of line, like all that would make the frames of the recursion large. */
static __attribute__((noinline)) const struct typed *without_type(
	struct checker *c, const struct typed *t)
{
	struct typed mistyped = *t;
	mistyped.type = NULL;
	mistyped.failed = true;
	return typed_keep(c, mistyped, 0, NULL);
}

const struct typed *typecheck_expect(struct checker *c, const struct capabilities *prior,
	const struct expr *e, unsigned expected, const char *(*help)(const struct cedar_type *t))
{
	const struct typed *t = typecheck(c, prior, e);
	if (t->type && (kind_of(t->type) & expected))
		return t;
	if (t->type)
		typecheck_mismatch(c, e, expected, t->type, help ? help(t->type) : NULL);
	return without_type(c, t);
}

void typecheck_unequal(struct checker *c, const struct expr *e, const char *what,
	const struct cedar_type *x, const struct cedar_type *y, const char *why)
{
	struct buf one CLEANUP(buf_fini) = buf_init(512), two CLEANUP(buf_fini) = buf_init(512);
	type_print(&one, x);
	type_print(&two, y);
	cedar_report_error(c->report, e->pos, "%s of types " SPAN_FMT " and " SPAN_FMT ": %s", what,
		SPAN_ARG(buf_view(&one)), SPAN_ARG(buf_view(&two)), why);
}

static __attribute__((noinline)) const struct typed *check_set(
	struct checker *c, const struct capabilities *prior, const struct expr *e)
{
	const struct typed **kids = arena_make_array(c->arena, const struct typed *, e->count + 1);
	const struct cedar_type *element = plain(TYPE_NEVER);
	struct typed t = {.expr = e};
	const char *why;
	if (!kids) {
		c->no_memory = true;
		return &nothing;
	}
	for (size_t i = 0; i < e->count; i++) {
		kids[i] = typecheck(c, prior, e->kids[i]);
		t.failed |= kids[i]->failed;
	}
	if (e->count == 0)
		cedar_report_error(c->report, e->pos,
			"an empty set literal has no type in strict validation; expected elements, "
			"or isEmpty()");
	for (size_t i = 0; element && i < e->count; i++) {
		const struct cedar_type *joined = NULL;
		if (kids[i]->type) {
			joined = type_join(c, element, kids[i]->type, &why);
			if (!joined)
				typecheck_unequal(c, e->kids[i], "this set has elements", element,
					kids[i]->type, why);
		}
		element = joined;
	}
	if (element && e->count)
		t.type = type_set_of(c, element);
	t.failed |= !t.type;
	return typed_keep(c, t, e->count, kids);
}

static int by_name(const void *x, const void *y)
{
	const struct schema_attr *a = x, *b = y;
	return span_cmp(a->name, b->name);
}

static __attribute__((noinline)) const struct typed *check_record(
	struct checker *c, const struct capabilities *prior, const struct expr *e)
{
	const struct typed **kids = arena_make_array(c->arena, const struct typed *, e->count + 1);
	struct schema_attr *items = arena_make_array(c->arena, struct schema_attr, e->count + 1);
	struct schema_attrs *attrs = arena_make(c->arena, struct schema_attrs);
	struct cedar_type *type = arena_make(c->arena, struct cedar_type);
	struct typed t = {.expr = e, .type = type};
	if (!kids || !items || !attrs || !type) {
		c->no_memory = true;
		return &nothing;
	}
	for (size_t i = 0; i < e->count; i++) {
		kids[i] = typecheck(c, prior, e->kids[i]);
		t.failed |= kids[i]->failed;
		items[i] = (struct schema_attr){e->names[i], true, kids[i]->type};
		if (!kids[i]->type)
			t.type = NULL;
	}
	if (e->count)
		qsort(items, e->count, sizeof(*items), by_name);
	*attrs = (struct schema_attrs){e->count, items, false};
	type->kind = TYPE_RECORD;
	type->attrs = attrs;
	t.failed |= !t.type;
	return typed_keep(c, t, e->count, kids);
}

static const struct cedar_type *entity_type(const struct schema_entity *e)
{
	return e ? e->type : plain(TYPE_ANY_ENTITY);
}

static const struct cedar_type *variable_type(const struct checker *c, enum cedar_var var)
{
	switch (var) {
	case VAR_PRINCIPAL:
		return entity_type(c->env->principal);
	case VAR_ACTION:
		return entity_type(c->env->action->type);
	case VAR_RESOURCE:
		return entity_type(c->env->resource);
	default:
		return c->env->action->context;
	}
}

/* NULL for what the schema does not declare, which is reported elsewhere: once for a policy. */
static const struct cedar_type *uid_type(const struct checker *c, const struct cedar_uid *uid)
{
	if (type_is_action(uid->type)) {
		const struct schema_action *action = schema_action_find(c->schema, uid);
		return action ? action->type->type : NULL;
	}
	const struct schema_entity *e = schema_entity_find(c->schema, uid->type);
	return e ? e->type : NULL;
}

static __attribute__((noinline)) const struct typed *check_leaf(
	struct checker *c, const struct expr *e)
{
	struct typed t = {.expr = e};
	switch (e->op) {
	case EXPR_BOOL:
		t.type = plain(e->boolean ? TYPE_TRUE : TYPE_FALSE);
		break;
	case EXPR_LONG:
		t.type = plain(TYPE_LONG);
		break;
	case EXPR_STRING:
		t.type = plain(TYPE_STRING);
		break;
	case EXPR_UID:
		t.type = uid_type(c, &e->uid);
		break;
	case EXPR_SLOT:
		t.type = entity_type(
			e->var == VAR_PRINCIPAL ? c->env->principal_slot : c->env->resource_slot);
		break;
	default:
		t.type = variable_type(c, e->var);
		break;
	}
	t.failed = !t.type;
	return typed_keep(c, t, 0, NULL);
}

const struct typed *typecheck(
	struct checker *c, const struct capabilities *prior, const struct expr *e)
{
	if (c->no_memory)
		return &nothing;
	switch (e->op) {
	case EXPR_BOOL:
	case EXPR_LONG:
	case EXPR_STRING:
	case EXPR_UID:
	case EXPR_VAR:
	case EXPR_SLOT:
		return check_leaf(c, e);
	case EXPR_AND:
		return typecheck_and(c, prior, e);
	case EXPR_OR:
		return typecheck_or(c, prior, e);
	case EXPR_IF:
		return typecheck_if(c, prior, e);
	case EXPR_SET:
		return check_set(c, prior, e);
	case EXPR_RECORD:
		return check_record(c, prior, e);
	case EXPR_ATTR:
		return typecheck_attr(c, prior, e);
	case EXPR_HAS:
		return typecheck_has(c, prior, e);
	case EXPR_HAS_TAG:
		return typecheck_has_tag(c, prior, e);
	case EXPR_GET_TAG:
		return typecheck_get_tag(c, prior, e);
	case EXPR_IN:
		return typecheck_in(c, prior, e);
	case EXPR_CALL:
		return typecheck_call(c, prior, e);
	default:
		return typecheck_operator(c, prior, e);
	}
}
