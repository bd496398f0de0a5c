/* SPDX-License-Identifier: AGPL-3.0-only */
/* Shared by the parsers of schemas in Cedar syntax. */
#pragma once

#include "policy/cedar/parse.h"
#include "policy/cedar/schema_ast.h"

struct declarations {
	bool named; /* they stand in a namespace */
	struct vec entities, actions, commons;
};

int parse_notes(struct parser *p, struct schema_notes *ret) MUST_USE; /* annotations, if any */

/* A::B, in which no part is a reserved word but `__cedar`, the language's own namespace. */
int parse_path(struct parser *p, const char *what, struct schema_ref *ret) MUST_USE;

/* The name of an entity type or a common type. */
int parse_declared(struct parser *p, const char *what, struct span *ret) MUST_USE;

int parse_schema_type(struct parser *p, const struct schema_type **ret) MUST_USE;

/* A record's members; the current token is what stands behind `{`. */
int parse_members(struct parser *p, uint32_t pos, const struct schema_type **ret) MUST_USE;

/* An identifier or a string: of actions and attributes. */
int parse_label(struct parser *p, const char *what, struct span *ret) MUST_USE;

/* What stands behind `entity` and `action`. */
int parse_entity_decl(struct parser *p, struct schema_notes notes, struct declarations *d) MUST_USE;
int parse_action_decl(struct parser *p, struct schema_notes notes, struct declarations *d) MUST_USE;
