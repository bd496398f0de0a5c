/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * A schema as it was written, names unresolved: what both syntaxes are read into and written from.
 * `pos` are byte offsets into the text, 0 in what came from JSON.
 */
#pragma once

#include "policy/cedar/ast.h"
#include "policy/cedar/lex.h"
#include "policy/cedar/schema.h"

enum schema_form {
	FORM_STRING,
	FORM_LONG,
	FORM_BOOL,
	FORM_SET, /* of `element` */
	FORM_RECORD, /* of `members` */
	FORM_ENTITY, /* the following four by name */
	FORM_COMMON,
	FORM_ENTITY_OR_COMMON,
	FORM_EXTENSION,
};

struct schema_notes {
	size_t count;
	const struct annotation *items;
};

struct schema_type {
	enum schema_form form;
	uint32_t pos;
	struct span name;
	const struct schema_type *element;
	size_t member_count;
	const struct schema_member *members; /* by name, each once */
};

struct schema_member {
	struct span name;
	bool required;
	struct schema_notes notes;
	const struct schema_type *type;
	uint32_t order; /* of writing */
};

/* A name that something else refers to. */
struct schema_ref {
	struct span name;
	uint32_t pos;
};

struct schema_refs {
	size_t count;
	const struct schema_ref *items;
};

struct entity_decl {
	struct span name;
	uint32_t pos;
	struct schema_notes notes;
	size_t choice_count; /* enumerated: has these and nothing of the following */
	const struct span *choices;
	struct schema_refs parents;
	const struct schema_type *shape;
	const struct schema_type *tags; /* NULL: none */
};

struct action_parent {
	struct schema_ref type; /* name.p == NULL: Action */
	struct span id;
	uint32_t pos;
};

struct action_decl {
	struct span name;
	uint32_t pos;
	struct schema_notes notes;
	bool applies; /* false: `appliesTo` is absent */
	struct schema_refs principals, resources;
	const struct schema_type *context;
	bool grouped; /* false: `memberOf` is absent */
	size_t parent_count;
	const struct action_parent *parents;
};

struct common_decl {
	struct span name;
	uint32_t pos;
	struct schema_notes notes;
	const struct schema_type *type;
};

struct schema_text {
	const char *label; /* what messages begin with; NULL: nothing */
	struct lexer lexer;
};

struct schema_namespace {
	const struct schema_text *text; /* NULL: it came from JSON */
	struct span name; /* empty: the declarations outside namespaces */
	uint32_t pos;
	struct schema_notes notes;
	size_t entity_count, action_count, common_count;
	const struct entity_decl *entities;
	const struct action_decl *actions;
	const struct common_decl *commons;
};

/* A namespace stands once for each text in which it goes on; for the writers, once. */
struct schema_fragment {
	size_t count, whole_count;
	const struct schema_namespace *namespaces, *whole;
};

/* Joins what is written of one namespace in several texts. */
int schema_join(struct arena *a, struct schema_fragment *f) MUST_USE;

/* -EINVAL with the place in the text, or, for JSON, with the namespace's name. */
int schema_fail(const struct schema_namespace *n, uint32_t pos, const char *fmt, ...)
	PRINTF_LIKE(3, 4) MUST_USE;

bool schema_type_empty(const struct schema_type *t); /* a record without members */
extern const struct schema_type schema_empty_record;

bool schema_reserved_common(struct span name); /* Bool, Set, Record, ...: no type may be so named */

int schema_resolve(
	struct arena *a, const struct schema_fragment *f, const struct cedar_schema **ret) MUST_USE;

/* Puts members in order of their names; of several with one name the last one stays. */
void schema_sort_members(struct schema_member *members, size_t *count);
