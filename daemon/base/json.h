/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * JSON (RFC 8259), strict: valid UTF-8 only, duplicate keys and lone surrogates refused, depth and
 * size limited, nothing behind the value. Numbers keep the token they were written with, because
 * signatures are made over tokens (decisions, [25]). A parsed value is immutable and lives in the
 * arena that it was parsed into; strings are decoded copies, number tokens too.
 */
#pragma once

#include "daemon/base/arena.h"
#include "daemon/base/buf.h"
#include "daemon/base/limits.h"

enum json_type { JSON_NULL, JSON_BOOL, JSON_NUMBER, JSON_STRING, JSON_ARRAY, JSON_OBJECT };

struct json {
	enum json_type type;
	bool boolean; /* JSON_BOOL */
	struct span text; /* JSON_STRING: decoded UTF-8, may hold NUL; JSON_NUMBER: the token */
	struct span key; /* decoded, if this value is a member of an object */
	size_t count; /* JSON_ARRAY, JSON_OBJECT */
	const struct json *items; /* count of them, in the order written */
	const struct json **sorted; /* JSON_OBJECT: the members by key, in order of bytes */
};

struct json_limits {
	size_t bytes; /* of the whole text */
	int depth;
};

extern const struct json_limits json_limits_default; /* LIMIT_JSON_BYTES, LIMIT_JSON_DEPTH */

/* -EINVAL with "line L column C: what is wrong, what is accepted"; -E2BIG beyond the limits;
 * -ENOMEM beyond the arena's. limits NULL means the default. */
int json_parse(struct arena *a, struct span text, const struct json_limits *limits,
	const struct json **ret) MUST_USE;

const char *json_type_name(enum json_type t); /* "string", "object", ... */

/* Member of an object, NULL if absent or if v is NULL or no object. Logarithmic. */
const struct json *json_get(const struct json *v, const char *key);
const struct json *json_get_span(const struct json *v, struct span key);

/* Value of a member if it has that type, else the given default. A wrong type counts as absent:
 * use schema tables where that must be an error. */
struct span json_str(const struct json *v, const char *key, struct span otherwise);
int64_t json_i64(const struct json *v, const char *key, int64_t otherwise);
bool json_bool(const struct json *v, const char *key, bool otherwise);

/* The number as an integer: 1, -3, 1e2 and 1.0 all qualify. -EINVAL no integer, -ERANGE. */
int json_number_i64(const struct json *v, int64_t *ret) MUST_USE;
int json_number_double(const struct json *v, double *ret) MUST_USE; /* -ERANGE beyond double */

/* NOLINTBEGIN(bugprone-macro-parentheses): the loop variable's name is no expression */
#define json_for_each(item, v) \
	for (const struct json *item = (v)->items, *item##_end = item ? item + (v)->count : item; \
		item != item##_end; item++)
/* NOLINTEND(bugprone-macro-parentheses) */

/* Deep equality by value: numbers by mathematical value, objects without regard to order. */
bool json_equal(const struct json *a, const struct json *b);

/*
 * Writing. Appends to b; commas and nesting are the writer's care, misuse is a CHECK. Strings are
 * escaped as RFC 8259 asks and no further; bytes that are not UTF-8 become U+FFFD.
 *
 *	struct json_writer w = json_writer(&b);
 *	json_object(&w);
 *	json_key(&w, "status"); json_put_cstr(&w, "ok");
 *	json_end(&w);
 */
struct json_writer {
	struct buf *b;
	int depth;
	bool need_comma;
	bool after_key;
	uint8_t kinds[(LIMIT_JSON_DEPTH + 7) / 8]; /* bit: that level is an object */
};

struct json_writer json_writer(struct buf *b);
void json_object(struct json_writer *w);
void json_array(struct json_writer *w);
void json_end(struct json_writer *w); /* closes the innermost */
void json_key(struct json_writer *w, const char *key);
void json_key_span(struct json_writer *w, struct span key);
void json_put_span(struct json_writer *w, struct span s);
void json_put_cstr(struct json_writer *w, const char *s); /* NULL writes null */
void json_put_i64(struct json_writer *w, int64_t v);
void json_put_u64(struct json_writer *w, uint64_t v);
void json_put_double(struct json_writer *w, double v); /* shortest form that reads back; finite */
void json_put_bool(struct json_writer *w, bool v);
void json_put_null(struct json_writer *w);
void json_put_raw(struct json_writer *w, struct span valid_json); /* trusted to be one value */
void json_put(struct json_writer *w, const struct json *v); /* compact, order kept, tokens kept */

/* key and value in one call */
#define json_field_cstr(w, key, v) (json_key((w), (key)), json_put_cstr((w), (v)))
#define json_field_span(w, key, v) (json_key((w), (key)), json_put_span((w), (v)))
#define json_field_i64(w, key, v) (json_key((w), (key)), json_put_i64((w), (v)))
#define json_field_bool(w, key, v) (json_key((w), (key)), json_put_bool((w), (v)))

/* Canonical form for signatures: members sorted by key in order of UTF-8 bytes at every level, no
 * blanks, minimal escapes (\b \t \n \f \r, else \u00xx lower case), number tokens as written. */
void json_canonical(struct buf *b, const struct json *v);

/* Indented by two blanks, for people. */
void json_pretty(struct buf *b, const struct json *v);
