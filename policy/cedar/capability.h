/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * What is known to exist when an expression is true: attributes and tags of expressions. Sets of
 * them are immutable and share their parts; NULL is the empty one.
 */
#pragma once

#include "policy/cedar/ast.h"

struct capabilities;

/* Beyond the arena these return NULL and set *failed; less is known then, never more. */
const struct capabilities *capability_attr(
	struct arena *a, const struct expr *of, struct span name, bool *failed);
const struct capabilities *capability_tag(
	struct arena *a, const struct expr *of, const struct expr *tag, bool *failed);
const struct capabilities *capabilities_union(
	struct arena *a, const struct capabilities *x, const struct capabilities *y, bool *failed);
const struct capabilities *capabilities_common(
	struct arena *a, const struct capabilities *x, const struct capabilities *y, bool *failed);

bool capabilities_have_attr(const struct capabilities *c, const struct expr *of, struct span name);
bool capabilities_have_tag(
	const struct capabilities *c, const struct expr *of, const struct expr *tag);

/* Whether both trees say the same, wherever they stand. */
bool expr_eq(const struct expr *a, const struct expr *b);
