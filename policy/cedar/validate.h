/* SPDX-License-Identifier: AGPL-3.0-only */
/* Shared by the validator's files. */
#pragma once

#include "policy/cedar/report.h"
#include "policy/cedar/typecheck.h"

/* Scope and conditions as one expression of fewer operators: a != b is !(a == b), a > b is
 * !(a <= b), true && false is false. NULL beyond the arena. */
const struct expr *condition_of(struct arena *a, const struct cedar_policy *p);

/* Whether entities of this type can be what the scope asks for. */
bool scope_admits(
	const struct cedar_schema *s, const struct scope *scope, const struct schema_entity *e);

/* Entity types, actions and ids of enumerated types that the schema does not declare. */
void validate_names(
	const struct cedar_schema *s, const struct cedar_policy *p, struct report *report);

/* The types of what fills the slots of a link. */
void validate_slots(
	const struct cedar_schema *s, const struct cedar_policy *link, struct report *report);

/* Warns if no action of the scope applies to a principal and a resource of the scope. */
void validate_application(
	const struct cedar_schema *s, const struct cedar_policy *p, struct report *report);

/* Warns of text in a condition that reads as something else than it is. */
void validate_text(const struct expr *e, struct report *report);

/* Reports dereferences beyond the level in what was found to be evaluated. */
void validate_level(struct checker *c, const struct typed *t, uint32_t level);
