/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * How a prepared schema lies in memory. A node is one schema object or boolean; its keywords are
 * those of the draft that constrain something, in an order in which they can be checked, with
 * their subschemas linked. A resource is a node with an identity of its own ($id, or the root):
 * what references are resolved against.
 */
#pragma once

#include "daemon/schema/schema_internal.h"

enum { /* bits of keyword.drafts */
	D4 = 1 << JSONSCHEMA_DRAFT4,
	D6 = 1 << JSONSCHEMA_DRAFT6,
	D7 = 1 << JSONSCHEMA_DRAFT7,
	D19 = 1 << JSONSCHEMA_2019_09,
	D20 = 1 << JSONSCHEMA_2020_12,
	D6_UP = D6 | D7 | D19 | D20,
	D7_UP = D7 | D19 | D20,
	D19_UP = D19 | D20,
	D_ALL = D4 | D6_UP,
};

/* What a keyword's value must be. */
enum keyword_shape {
	SHAPE_SCHEMA,
	SHAPE_SCHEMA_LIST, /* not empty */
	SHAPE_SCHEMA_MAP,
	SHAPE_SCHEMA_OR_LIST, /* items before 2020-12 */
	SHAPE_DEPENDENCIES, /* name -> schema or list of names */
	SHAPE_PATTERN_MAP, /* pattern -> schema */
	SHAPE_PATTERN,
	SHAPE_TYPE,
	SHAPE_NUMBER,
	SHAPE_POSITIVE,
	SHAPE_COUNT,
	SHAPE_BOOL,
	SHAPE_STRINGS,
	SHAPE_STRINGS_MAP, /* name -> list of names */
	SHAPE_LIST,
	SHAPE_STRING,
	SHAPE_ANY,
};

struct node;
struct node_keyword;
struct check;
struct marks;

/* 0 valid, JSONSCHEMA_INVALID (said through check_refuse), negative errno. */
typedef int (*keyword_check)(struct check *c, const struct node *n, const struct node_keyword *k,
	const struct json *instance, struct marks *m);

struct keyword {
	const char *name;
	unsigned drafts;
	enum keyword_shape shape;
	keyword_check check; /* NULL: constrains nothing by itself */
	unsigned types; /* bits of the instance types it is about; 0: all */
	int phase; /* 0 first; 1 after all others of the node */
};
extern const struct keyword jsonschema_keywords[]; /* name NULL ends */

struct node_keyword {
	const struct keyword *keyword;
	const struct json *value;
	const struct node **children; /* as many as `value` has members, or one */
	struct pattern **patterns; /* SHAPE_PATTERN: one; SHAPE_PATTERN_MAP: one per member */
	const struct node *target; /* $ref and its kin */
	const char *dynamic; /* $dynamicRef: name to look for in the dynamic scope; NULL: none */
	const struct node_keyword *next;
};

struct resource {
	struct span uri; /* absolute, without fragment; "" for a root without $id */
	const struct node *root;
	bool recursive_anchor;
	struct dynamic_anchor {
		struct span name;
		const struct node *node;
		struct dynamic_anchor *next;
	} * dynamic_anchors;
};

struct node {
	const struct json *schema;
	struct resource *resource;
	const struct node_keyword *keywords;
};

struct jsonschema {
	struct arena *arena;
	enum jsonschema_draft draft;
	const struct node *root;
	bool needs_marks; /* some unevaluated* keyword exists */
	struct pattern **patterns; /* all of them, to be freed */
	size_t pattern_count, pattern_capacity;
};

/* RFC 3986 section 5.2: `ref` against `base`, in the arena; p NULL if out of memory. */
struct span uri_resolve(struct arena *a, struct span base, struct span ref);
/* Up to the first '#', and behind it. */
void uri_split_fragment(struct span uri, struct span *ret_rest, struct span *ret_fragment);

/* ---- checking ---- */

/* Where the check is, as frames of the C stack; texts are made only for a refusal. */
struct step {
	const struct step *up;
	const char *name; /* member or keyword; NULL: index */
	size_t name_length;
	size_t index;
};

struct scope {
	const struct scope *up;
	const struct node *node;
};

struct check {
	const struct jsonschema *schema;
	struct jsonschema_error *error; /* NULL: not wanted */
	const struct step *instance_at;
	const struct step *schema_at;
	const struct scope *scope;
	int silent; /* inside a branch whose refusal is not final */
	int depth;
	int64_t steps;
};

/* Which members or items of the instance at hand were looked at by a schema that passed. */
struct marks {
	size_t count;
	uint8_t *bits; /* NULL: nobody asks */
};
void marks_set(struct marks *m, size_t index);
bool marks_has(const struct marks *m, size_t index);

int check_node(struct check *c, const struct node *n, const struct json *instance,
	struct marks *m) MUST_USE;
/* The same for a member or item of the instance at hand. */
int check_inside(struct check *c, const struct node *n, const struct json *parent,
	const struct json *inside) MUST_USE;
/* The same for the same instance under a keyword with several subschemas. */
int check_branch(struct check *c, const struct node *n, size_t index, const struct json *instance,
	struct marks *m) MUST_USE;
int check_refuse(struct check *c, const char *fmt, ...) PRINTF_LIKE(2, 3) MUST_USE;
int check_charge(struct check *c, size_t steps) MUST_USE;
/* pattern_match, out of the steps of the whole check. */
int check_pattern(struct check *c, const struct pattern *p, struct span subject) MUST_USE;

/* A count; INT64_MAX if it is beyond 63 bits, and so bounds nothing. */
int64_t json_bound(const struct json *v);
const struct node_keyword *node_find(const struct node *n, const char *name);

#define KEYWORD(name) \
	int name(struct check *c, const struct node *n, const struct node_keyword *k, \
		const struct json *instance, struct marks *m)
KEYWORD(keyword_type);
KEYWORD(keyword_enum);
KEYWORD(keyword_const);
KEYWORD(keyword_multiple_of);
KEYWORD(keyword_maximum);
KEYWORD(keyword_minimum);
KEYWORD(keyword_exclusive_maximum);
KEYWORD(keyword_exclusive_minimum);
KEYWORD(keyword_max_length);
KEYWORD(keyword_min_length);
KEYWORD(keyword_pattern);
KEYWORD(keyword_max_count);
KEYWORD(keyword_min_count);
KEYWORD(keyword_unique_items);
KEYWORD(keyword_required);
KEYWORD(keyword_dependent_required);
KEYWORD(keyword_ref);
KEYWORD(keyword_recursive_ref);
KEYWORD(keyword_all_of);
KEYWORD(keyword_any_of);
KEYWORD(keyword_one_of);
KEYWORD(keyword_not);
KEYWORD(keyword_if);
KEYWORD(keyword_dependencies);
KEYWORD(keyword_properties);
KEYWORD(keyword_pattern_properties);
KEYWORD(keyword_additional_properties);
KEYWORD(keyword_property_names);
KEYWORD(keyword_items);
KEYWORD(keyword_prefix_items);
KEYWORD(keyword_additional_items);
KEYWORD(keyword_contains);
KEYWORD(keyword_unevaluated_properties);
KEYWORD(keyword_unevaluated_items);
