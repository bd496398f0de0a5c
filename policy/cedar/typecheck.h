/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Types of expressions, in the strict mode of the reference: found for one environment at a time,
 * which is the kind of request that a policy is looked at for. An expression whose type says that
 * it is always true or always false is not looked at further where that decides.
 */
#pragma once

#include "policy/cedar/capability.h"
#include "policy/cedar/schema.h"

struct report;

struct environment {
	const struct schema_action *action;
	const struct schema_entity *principal, *resource;
	const struct schema_entity *principal_slot, *resource_slot; /* NULL: no such slot */
};

/* What was found out about an expression. */
struct typed {
	const struct expr *expr;
	const struct cedar_type *type; /* NULL: it has none, because of an error below */
	const struct capabilities *grants; /* known if it is true */
	bool failed; /* it or what it is made of has an error, which was reported */
	size_t count;
	const struct typed *const *kids; /* parts that will be evaluated, each once */
};

struct checker {
	struct arena *arena; /* the environment's: emptied between two */
	const struct cedar_schema *schema;
	const struct environment *env;
	struct report *report;
	bool no_memory;
};

/* Never NULL. Recurses over the expression's depth. */
const struct typed *typecheck(
	struct checker *c, const struct capabilities *prior, const struct expr *e);

/* Shared by the files typecheck*.c. */

const struct typed *typed_keep(
	struct checker *c, struct typed t, size_t count, const struct typed *const *kids);
const struct typed *typed_over(struct checker *c, const struct expr *e,
	const struct cedar_type *type, const struct typed *kid);
const struct typed *typed_over2(struct checker *c, const struct expr *e,
	const struct cedar_type *type, const struct typed *left, const struct typed *right);
bool typed_is(const struct typed *t, enum type_kind kind);

/* Kinds that an operand may have. */
enum expected {
	EXPECT_BOOL = 1,
	EXPECT_LONG = 2,
	EXPECT_STRING = 4,
	EXPECT_ENTITY = 8,
	EXPECT_RECORD = 16,
	EXPECT_SET = 32,
	EXPECT_ENTITY_SET = 64,
	EXPECT_DECIMAL = 128,
	EXPECT_IP = 256,
	EXPECT_DATETIME = 512,
	EXPECT_DURATION = 1024,
};

/* Like typecheck(), but another type is an error and leaves none; `help` (or NULL) is said then. */
const struct typed *typecheck_expect(struct checker *c, const struct capabilities *prior,
	const struct expr *e, unsigned expected, const char *(*help)(const struct cedar_type *t));
void typecheck_mismatch(struct checker *c, const struct expr *e, unsigned expected,
	const struct cedar_type *found, const char *help);

/* `what` (such as "the branches are") of two types that have none in common, and why. */
void typecheck_unequal(struct checker *c, const struct expr *e, const char *what,
	const struct cedar_type *x, const struct cedar_type *y, const char *why);

const struct typed *typecheck_and(
	struct checker *c, const struct capabilities *prior, const struct expr *e);
const struct typed *typecheck_or(
	struct checker *c, const struct capabilities *prior, const struct expr *e);
const struct typed *typecheck_if(
	struct checker *c, const struct capabilities *prior, const struct expr *e);
const struct typed *typecheck_attr(
	struct checker *c, const struct capabilities *prior, const struct expr *e);
const struct typed *typecheck_has(
	struct checker *c, const struct capabilities *prior, const struct expr *e);
const struct typed *typecheck_has_tag(
	struct checker *c, const struct capabilities *prior, const struct expr *e);
const struct typed *typecheck_get_tag(
	struct checker *c, const struct capabilities *prior, const struct expr *e);
const struct typed *typecheck_operator(
	struct checker *c, const struct capabilities *prior, const struct expr *e);
const struct typed *typecheck_in(
	struct checker *c, const struct capabilities *prior, const struct expr *e);

/* Whether `of`, which is the first kid of e, is in the second. */
const struct typed *typecheck_in_of(struct checker *c, const struct capabilities *prior,
	const struct expr *e, const struct typed *of);
const struct typed *typecheck_call(
	struct checker *c, const struct capabilities *prior, const struct expr *e);

/* Attribute of a type's values, NULL if it is not known. */
const struct schema_attr *type_attr(const struct cedar_type *t, struct span name);
bool type_may_have_attr(const struct cedar_type *t, struct span name);

/* The least type that both belong to, strictly: NULL, and a reason in *ret_why, if there is none.
 */
const struct cedar_type *type_join(struct checker *c, const struct cedar_type *a,
	const struct cedar_type *b, const char **ret_why);
bool type_disjoint(const struct cedar_type *a, const struct cedar_type *b);
bool type_is_action(struct span name); /* Action, Ns::Action */

const struct cedar_type *type_set_of(struct checker *c, const struct cedar_type *element);
