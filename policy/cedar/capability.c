/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * A set is one capability or a pair of sets. Pairs lean to one side as the expressions that made
 * them do, so walks recurse no deeper than expressions are.
 */
#include "policy/cedar/capability.h"

struct capabilities {
	const struct capabilities *first, *second; /* a pair, if `first` is set */
	const struct expr *of;
	const struct expr *tag; /* NULL for an attribute */
	struct span name;
};

static bool uses_kids_only(enum expr_op op)
{
	return op >= EXPR_NOT && op <= EXPR_IF;
}

static bool names_eq(const struct expr *a, const struct expr *b)
{
	if (a->name_count != b->name_count)
		return false;
	for (size_t i = 0; i < a->name_count; i++)
		if (!span_eq(a->names[i], b->names[i]))
			return false;
	return true;
}

static bool pieces_eq(const struct expr *a, const struct expr *b)
{
	if (a->name_count != b->name_count)
		return false;
	for (size_t i = 0; i < a->name_count; i++)
		if (a->pieces[i].wildcard != b->pieces[i].wildcard ||
			!span_eq(a->pieces[i].text, b->pieces[i].text))
			return false;
	return true;
}

/* The order of a record's members says nothing. */
static bool records_eq(const struct expr *a, const struct expr *b)
{
	for (size_t i = 0; i < a->count; i++) {
		size_t j = 0;
		while (j < b->count && !span_eq(a->names[i], b->names[j]))
			j++;
		if (j == b->count || !expr_eq(a->kids[i], b->kids[j]))
			return false;
	}
	return true;
}

static bool content_eq(const struct expr *a, const struct expr *b)
{
	switch (a->op) {
	case EXPR_BOOL:
		return a->boolean == b->boolean;
	case EXPR_LONG:
		return a->number == b->number;
	case EXPR_STRING:
	case EXPR_ATTR:
	case EXPR_IS:
		return span_eq(a->string, b->string);
	case EXPR_UID:
		return cedar_uid_eq(&a->uid, &b->uid);
	case EXPR_VAR:
	case EXPR_SLOT:
		return a->var == b->var;
	case EXPR_HAS:
		return names_eq(a, b);
	case EXPR_LIKE:
		return pieces_eq(a, b);
	case EXPR_CALL:
		return a->ext == b->ext &&
			(a->ext != EXT_UNKNOWN || span_eq(a->function, b->function));
	default:
		return uses_kids_only(a->op) || a->op == EXPR_SET;
	}
}

bool expr_eq(const struct expr *a, const struct expr *b)
{
	if (a == b)
		return true;
	if (a->op != b->op || a->count != b->count)
		return false;
	if (a->op == EXPR_RECORD)
		return records_eq(a, b);
	if (!content_eq(a, b))
		return false;
	for (size_t i = 0; i < a->count; i++)
		if (!expr_eq(a->kids[i], b->kids[i]))
			return false;
	return true;
}

static const struct capabilities *make(
	struct arena *a, const struct capabilities *from, bool *failed)
{
	struct capabilities *c = arena_make(a, struct capabilities);
	if (!c) {
		*failed = true;
		return NULL;
	}
	*c = *from;
	return c;
}

const struct capabilities *capability_attr(
	struct arena *a, const struct expr *of, struct span name, bool *failed)
{
	return make(a, &(struct capabilities){.of = of, .name = name}, failed);
}

const struct capabilities *capability_tag(
	struct arena *a, const struct expr *of, const struct expr *tag, bool *failed)
{
	return make(a, &(struct capabilities){.of = of, .tag = tag}, failed);
}

const struct capabilities *capabilities_union(
	struct arena *a, const struct capabilities *x, const struct capabilities *y, bool *failed)
{
	if (!x || !y || x == y)
		return x ? x : y;
	return make(a, &(struct capabilities){.first = x, .second = y}, failed);
}

/* Tells a capability of an attribute from one of a tag by `tag`. */
static bool have(const struct capabilities *c, const struct capabilities *one)
{
	while (c && c->first) {
		if (have(c->second, one))
			return true;
		c = c->first;
	}
	if (!c || !c->tag != !one->tag || !expr_eq(c->of, one->of))
		return false;
	return one->tag ? expr_eq(c->tag, one->tag) : span_eq(c->name, one->name);
}

const struct capabilities *capabilities_common(
	struct arena *a, const struct capabilities *x, const struct capabilities *y, bool *failed)
{
	const struct capabilities *common = NULL;
	while (x && x->first) {
		const struct capabilities *part = capabilities_common(a, x->second, y, failed);
		common = capabilities_union(a, common, part, failed);
		x = x->first;
	}
	return x && have(y, x) ? capabilities_union(a, common, x, failed) : common;
}

bool capabilities_have_attr(const struct capabilities *c, const struct expr *of, struct span name)
{
	return have(c, &(struct capabilities){.of = of, .name = name});
}

bool capabilities_have_tag(
	const struct capabilities *c, const struct expr *of, const struct expr *tag)
{
	return have(c, &(struct capabilities){.of = of, .tag = tag});
}
