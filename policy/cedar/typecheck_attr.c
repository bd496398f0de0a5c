/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Attributes and tags. An optional attribute, and any tag, may be read only where it is known to be
 * there. A required attribute of an entity may still be missing to `has`, because the entity itself
 * may not exist.
 */
#include "policy/cedar/nearest.h"
#include "policy/cedar/report.h"
#include "policy/cedar/typecheck.h"

static const char *has_help(const struct cedar_type *t)
{
	if (t->kind == TYPE_SET)
		return "Use `contains` to test for an element";
	return t->kind == TYPE_STRING ? "Use `like` to test for a part of a string" : NULL;
}

static const struct schema_attrs *attrs_of(const struct cedar_type *t)
{
	if (t->kind == TYPE_RECORD)
		return t->attrs;
	return t->kind == TYPE_ENTITY ? &t->entity->attrs : NULL;
}

static void report_unknown(
	struct checker *c, const struct expr *e, const struct cedar_type *t, struct span name)
{
	const struct schema_attrs *attrs = attrs_of(t);
	struct nearest near = nearest_to(name);
	char hint[128];
	struct buf owner CLEANUP(buf_fini) = buf_init(256);
	for (size_t i = 0; attrs && i < attrs->count; i++)
		nearest_offer(&near, attrs->items[i].name);
	if (t->kind == TYPE_ENTITY)
		type_print(&owner, t);
	else
		buf_puts(&owner, "the record");
	cedar_report_error(c->report, e->pos,
		"`%s`: " SPAN_FMT " has no attribute `" SPAN_FMT "`%s", report_expr(c->arena, e),
		SPAN_ARG(buf_view(&owner)), SPAN_ARG(name),
		nearest_hint(&near, hint, sizeof(hint)));
}

/* The attribute's type, or NULL and an error, if it cannot be read safely. */
static __attribute__((noinline)) const struct cedar_type *readable(struct checker *c,
	const struct capabilities *prior, const struct expr *at, const struct cedar_type *t,
	const struct expr *of, struct span name)
{
	const struct schema_attr *attr = type_attr(t, name);
	if (!attr) {
		report_unknown(c, at, t, name);
		return NULL;
	}
	if (attr->required || capabilities_have_attr(prior, of, name))
		return attr->type;
	cedar_report_error(c->report, at->pos,
		"the attribute `" SPAN_FMT "` is optional; expected `%s has " SPAN_FMT
		" && ...` in front",
		SPAN_ARG(name), report_expr(c->arena, of), SPAN_ARG(name));
	return NULL;
}

const struct typed *typecheck_attr(
	struct checker *c, const struct capabilities *prior, const struct expr *e)
{
	const struct typed *kid =
		typecheck_expect(c, prior, e->kids[0], EXPECT_ENTITY | EXPECT_RECORD, NULL);
	struct typed t = {.expr = e, .failed = kid->failed};
	const struct schema_attr *attr = kid->type ? type_attr(kid->type, e->string) : NULL;
	if (!kid->type || !readable(c, prior, e, kid->type, e->kids[0], e->string))
		t.failed = true;
	t.type = attr ? attr->type : NULL;
	return typed_keep(c, t, 1, &kid);
}

static const struct typed *has_one(
	struct checker *c, const struct capabilities *prior, const struct expr *e)
{
	const struct typed *kid =
		typecheck_expect(c, prior, e->kids[0], EXPECT_ENTITY | EXPECT_RECORD, has_help);
	struct typed t = {.expr = e, .type = type_plain(TYPE_BOOL), .failed = kid->failed};
	struct span name = e->names[0];
	const struct schema_attr *attr;
	if (!kid->type) {
		t.failed = true;
		return typed_keep(c, t, 1, &kid);
	}
	attr = type_attr(kid->type, name);
	if (!attr && !type_may_have_attr(kid->type, name))
		t.type = type_plain(TYPE_FALSE);
	if (attr) {
		bool sure = attr->required && kid->type->kind == TYPE_RECORD;
		if (sure || capabilities_have_attr(prior, e->kids[0], name))
			t.type = type_plain(TYPE_TRUE);
		t.grants = capability_attr(c->arena, e->kids[0], name, &c->no_memory);
	}
	return typed_keep(c, t, 1, &kid);
}

/* One name of `a has b.c.d`. */
struct has_step {
	enum type_kind kind;
	const struct capabilities *grants;
};

static bool has_step(struct checker *c, const struct capabilities *prior,
	const struct cedar_type *t, const struct expr *of, struct span name, struct has_step *ret)
{
	const struct schema_attr *attr;
	*ret = (struct has_step){TYPE_BOOL, NULL};
	if (t->kind != TYPE_RECORD && t->kind != TYPE_ENTITY && t->kind != TYPE_ANY_ENTITY) {
		typecheck_mismatch(c, of, EXPECT_ENTITY | EXPECT_RECORD, t, has_help(t));
		return false;
	}
	attr = type_attr(t, name);
	if (!attr)
		ret->kind = type_may_have_attr(t, name) ? TYPE_BOOL : TYPE_FALSE;
	else if ((attr->required && t->kind == TYPE_RECORD) ||
		capabilities_have_attr(prior, of, name))
		ret->kind = TYPE_TRUE;
	else
		ret->grants = capability_attr(c->arena, of, name, &c->no_memory);
	return true;
}

static const struct expr *attr_of(struct checker *c, const struct expr *of, struct span name)
{
	struct expr *e = expr_make(c->arena, EXPR_ATTR, of->pos, 1);
	if (!e) {
		c->no_memory = true;
		return NULL;
	}
	e->kids[0] = of;
	e->string = name;
	return e;
}

/* From right to left, as `&&` between the steps would. */
static void combine(struct checker *c, const struct has_step *steps, size_t count, struct typed *t)
{
	struct has_step all = steps[count - 1];
	for (size_t i = count - 1; i > 0; i--) {
		const struct has_step *left = &steps[i - 1];
		if (all.kind == TYPE_FALSE) {
			all.grants = NULL;
			continue;
		}
		if (all.kind == TYPE_TRUE)
			all.kind = left->kind;
		all.grants = capabilities_union(c->arena, left->grants, all.grants, &c->no_memory);
	}
	t->type = type_plain(all.kind);
	t->grants = all.grants;
}

/* a has b.c.d: as a has b && a.b has c && a.b.c has d. */
static const struct typed *has_chain(
	struct checker *c, const struct capabilities *prior, const struct expr *e)
{
	const struct typed *kid =
		typecheck_expect(c, prior, e->kids[0], EXPECT_ENTITY | EXPECT_RECORD, has_help);
	struct typed t = {.expr = e, .type = type_plain(TYPE_BOOL), .failed = true};
	struct has_step *steps = arena_make_array(c->arena, struct has_step, e->name_count);
	const struct cedar_type *type = kid->type;
	const struct expr *of = e->kids[0];
	size_t n = 0;
	if (!steps)
		c->no_memory = true;
	if (!steps || !type)
		return typed_keep(c, t, 1, &kid);
	for (;;) {
		if (!has_step(c, prior, type, of, e->names[n], &steps[n]))
			return typed_keep(c, t, 1, &kid);
		if (++n == e->name_count || steps[n - 1].kind == TYPE_FALSE)
			break;
		prior = capabilities_union(c->arena, prior, steps[n - 1].grants, &c->no_memory);
		type = readable(c, prior, of, type, of, e->names[n - 1]);
		of = type ? attr_of(c, of, e->names[n - 1]) : NULL;
		if (!of)
			return typed_keep(c, t, 1, &kid);
	}
	t.failed = kid->failed;
	combine(c, steps, n, &t);
	return typed_keep(c, t, 1, &kid);
}

const struct typed *typecheck_has(
	struct checker *c, const struct capabilities *prior, const struct expr *e)
{
	return e->name_count == 1 ? has_one(c, prior, e) : has_chain(c, prior, e);
}

/* Type of the tags, NULL if entities of this type have none. */
static const struct cedar_type *tags_of(const struct cedar_type *t)
{
	return t && t->kind == TYPE_ENTITY ? t->entity->tags : NULL;
}

const struct typed *typecheck_has_tag(
	struct checker *c, const struct capabilities *prior, const struct expr *e)
{
	const struct typed *of = typecheck_expect(c, prior, e->kids[0], EXPECT_ENTITY, NULL);
	const struct typed *tag = typecheck_expect(c, prior, e->kids[1], EXPECT_STRING, NULL);
	const struct typed *kids[] = {of, tag};
	struct typed t = {.expr = e, .failed = of->failed || tag->failed || !of->type};
	if (!of->type)
		return typed_keep(c, t, 2, kids);
	if (!tags_of(of->type))
		t.type = type_plain(TYPE_FALSE);
	else if (capabilities_have_tag(prior, e->kids[0], e->kids[1]))
		t.type = type_plain(TYPE_TRUE);
	else
		t.type = type_plain(TYPE_BOOL);
	t.grants = capability_tag(c->arena, e->kids[0], e->kids[1], &c->no_memory);
	return typed_keep(c, t, 2, kids);
}

const struct typed *typecheck_get_tag(
	struct checker *c, const struct capabilities *prior, const struct expr *e)
{
	const struct typed *of = typecheck_expect(c, prior, e->kids[0], EXPECT_ENTITY, NULL);
	const struct typed *tag = typecheck_expect(c, prior, e->kids[1], EXPECT_STRING, NULL);
	const struct typed *kids[] = {of, tag};
	struct typed t = {.expr = e, .failed = of->failed || tag->failed || !of->type};
	if (!of->type)
		return typed_keep(c, t, 2, kids);
	if (!capabilities_have_tag(prior, e->kids[0], e->kids[1])) {
		cedar_report_error(c->report, e->pos,
			"the tag may be missing; expected `%s.hasTag(%s) && ...` in front",
			report_expr(c->arena, e->kids[0]), report_expr(c->arena, e->kids[1]));
		t.failed = true;
		return typed_keep(c, t, 2, kids);
	}
	t.type = tags_of(of->type);
	if (!t.type) {
		struct buf type CLEANUP(buf_fini) = buf_init(256);
		type_print(&type, of->type);
		cedar_report_error(c->report, e->pos,
			"`%s`: entities of type " SPAN_FMT " have no tags",
			report_expr(c->arena, e), SPAN_ARG(buf_view(&type)));
		t.failed = true;
	}
	return typed_keep(c, t, 2, kids);
}
