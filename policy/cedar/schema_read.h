/* SPDX-License-Identifier: AGPL-3.0-only */
/* Shared by the readers of schemas in JSON. */
#pragma once

#include "policy/cedar/reader.h"
#include "policy/cedar/schema_ast.h"

int schema_read_notes(struct reader *rd, const struct json *v, struct schema_notes *ret) MUST_USE;

/* A name that refers to something, a list of them as the member `name`. */
int schema_read_ref(struct reader *rd, const struct json *v, struct schema_ref *ret) MUST_USE;
int schema_read_refs(struct reader *rd, const struct json *v, const char *name,
	struct schema_refs *ret) MUST_USE;

/* What may stand beside a type's own members: nothing; annotations (of a common type); these and
 * `required` (of an attribute). */
enum schema_type_place { SCHEMA_TYPE_BARE, SCHEMA_TYPE_NOTED, SCHEMA_TYPE_ATTR };

int schema_read_type(struct reader *rd, const struct json *v, enum schema_type_place place,
	const struct schema_type **ret) MUST_USE;
int schema_read_type_member(struct reader *rd, const struct json *v, const char *name,
	const struct schema_type **ret) MUST_USE;

int schema_read_action(struct reader *rd, const struct json *v, struct action_decl *a) MUST_USE;
