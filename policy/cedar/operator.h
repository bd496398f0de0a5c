/* SPDX-License-Identifier: AGPL-3.0-only */
/* The operators on values, for the evaluator and for partial evaluation. */
#pragma once

#include "policy/cedar/ast.h"
#include "policy/cedar/entities.h"

static inline struct cedar_value bool_value(bool b)
{
	return (struct cedar_value){.type = VALUE_BOOL, .boolean = b};
}

/* The value of a literal, which refers to `e`. False: it is none. */
bool operator_literal(const struct expr *e, struct cedar_value *ret);

/* -EINVAL if the value is of another type. */
int operator_want(const struct cedar_value *v, enum value_type t) MUST_USE;

/* All but && and ||; the result replaces *a. */
int operator_unary(enum expr_op op, struct cedar_value *a) MUST_USE;
int operator_binary(const struct cedar_entities *entities, enum expr_op op, struct cedar_value *a,
	const struct cedar_value *b) MUST_USE;

/* The result replaces *top. */
int operator_attr(
	const struct cedar_entities *entities, struct span name, struct cedar_value *top) MUST_USE;
int operator_has(const struct cedar_entities *entities, const struct span *names, size_t count,
	struct cedar_value *top) MUST_USE;
int operator_like(
	const struct pattern_piece *pieces, size_t count, struct cedar_value *top) MUST_USE;
int operator_is(struct span type, const struct cedar_value *top, bool *ret) MUST_USE;

/* `items` is copied. */
int operator_set(struct arena *a, const struct cedar_value *items, size_t count,
	struct cedar_value *ret) MUST_USE;
int operator_record(struct arena *a, const struct span *names, const struct cedar_value *items,
	size_t count, struct cedar_value *ret) MUST_USE;

/* `in` for one entity and one other. */
bool eval_in(const struct cedar_entities *entities, const struct cedar_uid *a,
	const struct cedar_uid *b);

/* Attribute of a record or entity; false if there is none, or if `of` is neither. */
bool eval_find_attr(const struct cedar_entities *entities, const struct cedar_value *of,
	struct span name, struct cedar_value *ret);
