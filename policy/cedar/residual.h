/* SPDX-License-Identifier: AGPL-3.0-only */
/* Shared by the files of partial evaluation. */
#pragma once

#include "policy/cedar/operator.h"
#include "policy/cedar/partial.h"

struct partial {
	struct arena *arena;
	const struct cedar_known *known;
	const struct schema_action *action; /* NULL without a schema */
};

/* Nodes. -ENOMEM beyond the arena. */
int residual_value(
	struct partial *p, const struct cedar_value *v, const struct residual **ret) MUST_USE;
int residual_bool(struct partial *p, bool b, const struct residual **ret) MUST_USE;
int residual_error(struct partial *p, const char *message, const struct residual **ret) MUST_USE;

/* What an operator on values gave: its value, or for -EINVAL and -ERANGE, an error node. */
int residual_outcome(struct partial *p, int r, const struct cedar_value *v,
	const struct residual **ret) MUST_USE;

/* An open node like `form`, over copies of the kids; its type and whether it may fail are found
 * from these, unless it is an EXPR_VAR or EXPR_ATTR: then `form` says. */
int residual_open(struct partial *p, struct residual form, const struct residual *const *kids,
	size_t count, const struct residual **ret) MUST_USE;

/* The kind of its values; TYPE_NEVER: not known. Entities of whatever type are TYPE_ANY_ENTITY. */
enum type_kind residual_kind(const struct residual *r);
bool residual_is_bool(const struct residual *r);
bool residual_is(const struct residual *r, bool value); /* is this bool in every completion */

/* The type of an entity; false if it is not known, or if it is none. */
bool residual_entity_type(const struct residual *r, struct span *ret);
const struct cedar_type *residual_type(struct partial *p, const struct residual *r);

/* An entity that is known whole, NULL if it is not. */
const struct entity *partial_known_entity(struct partial *p, const struct cedar_uid *uid);
bool partial_known_absent(struct partial *p, const struct cedar_uid *uid); /* in every completion */

/* partial_eval.c */
int partial_eval(struct partial *p, const struct expr *e, const struct residual **ret) MUST_USE;
int partial_var(struct partial *p, enum cedar_var var, const struct residual **ret) MUST_USE;
int partial_binary(struct partial *p, enum expr_op op, const struct residual *left,
	const struct residual *right, const struct residual **ret) MUST_USE;

/* partial_access.c: what looks into entities and records. */
int partial_attr(struct partial *p, const struct residual *of, struct span name,
	const struct residual **ret) MUST_USE;
int partial_has(struct partial *p, const struct residual *of, const struct span *names,
	size_t count, const struct residual **ret) MUST_USE;
int partial_is(struct partial *p, const struct residual *of, struct span type,
	const struct residual **ret) MUST_USE;
int partial_tag(struct partial *p, enum expr_op op, const struct residual *of,
	const struct residual *tag, const struct residual **ret) MUST_USE;

/* partial_in.c */
int partial_in(struct partial *p, const struct residual *left, const struct residual *right,
	const struct residual **ret) MUST_USE;
