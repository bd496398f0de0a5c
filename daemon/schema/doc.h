/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Documents that people write. YAML and JSON text become one tree, immutable, in an arena, and each
 * value knows its line and column. Strict: valid UTF-8, one document, string keys, no duplicate
 * key, no NUL, depth, size and number of values limited (LIMIT_DOC_*). YAML is read by the core
 * schema of YAML 1.2: `yes`, `no`, `on`, `off` are strings. Aliases are followed as long as the
 * expanded document stays within the limit; merge keys (`<<`) and tags are refused.
 */
#pragma once

#include "daemon/base/base.h"
#include "daemon/schema/report.h"

enum doc_type { DOC_NULL, DOC_BOOL, DOC_NUMBER, DOC_STRING, DOC_LIST, DOC_MAP };

struct doc {
	enum doc_type type;
	bool boolean; /* DOC_BOOL */
	bool quoted; /* DOC_STRING: written in quotes or as a block */
	struct span text; /* scalars: what was written, decoded; NUL-terminated behind the span */
	struct span number; /* DOC_NUMBER: the same as a JSON token (0x1F is "31") */
	struct span key; /* if this value is a member of a map; NUL-terminated */
	struct report_place key_at;
	struct report_place at;
	size_t count; /* DOC_LIST, DOC_MAP */
	size_t weight; /* values in this tree, itself included, aliases expanded */
	int height; /* levels below this one, aliases expanded */
	const struct doc *items; /* count of them, in the order written */
};

enum { DOC_BAD = 1 }; /* the text is not acceptable; the report says where and why */

/* The tree lives in the report's arena. 0, DOC_BAD, -ENOMEM. */
int doc_parse_yaml(struct report *r, struct span text, const struct doc **ret) MUST_USE;
int doc_parse_json(struct report *r, struct span text, const struct doc **ret) MUST_USE;

/* JSON if the first character that counts is '{' or '[', else YAML. */
int doc_parse(struct report *r, struct span text, const struct doc **ret) MUST_USE;

const char *doc_type_name(enum doc_type t); /* "a string", "a list", ... for messages */
const struct doc *doc_get(const struct doc *d, const char *key); /* NULL if absent or no map */

/* The value at a path as reports print it ("spec.tools[2].name"), NULL if there is none. */
const struct doc *doc_at(const struct doc *d, const char *path);

/* The same value as JSON, in the arena. NULL if out of memory. */
const struct json *doc_to_json(struct arena *a, const struct doc *d);
