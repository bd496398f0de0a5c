/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * A table describes one kind of object: its fields, their types, bounds, defaults and words. From
 * the same table come the check of a document, the C struct it fills, the JSON Schema, the
 * reference text and the commented sample. Tables are constant data of the room that owns the
 * struct.
 *
 * How a field lies in the struct (at `offset`), and what it holds when the document is silent and
 * the field has no default:
 *
 *	TABLE_STRING	const char *		NULL
 *	TABLE_ENUM	int, index in `values`	-1
 *	TABLE_BOOL	bool			false
 *	TABLE_INT	int64_t			0
 *	TABLE_NUMBER	double			0
 *	TABLE_DURATION	int64_t, nanoseconds	0
 *	TABLE_SIZE	int64_t, bytes		0
 *	TABLE_LIST	TABLE_LIST_OF(item)	count 0
 *	TABLE_MAP	TABLE_MAP_OF(item)	count 0
 *	TABLE_OBJECT	the struct itself; with TABLE_POINTER a pointer to it	defaults; NULL
 *	TABLE_FORMS	one of `forms`, chosen by the value's type, each at its own offset
 *	TABLE_JSON	const struct json *	NULL
 *	TABLE_SECRET	struct table_secret	TABLE_SECRET_NONE
 *
 * Everything lives in the report's arena; secrets in the list of the load.
 */
#pragma once

#include "daemon/schema/doc.h"

enum table_type {
	TABLE_STRING,
	TABLE_ENUM,
	TABLE_BOOL,
	TABLE_INT,
	TABLE_NUMBER,
	TABLE_DURATION, /* "90s", "5m", "1h30m", "250ms", or a bare number of seconds */
	TABLE_SIZE, /* "512Mi", "1Gi", "64Ki", "2G", or a bare number of bytes */
	TABLE_LIST,
	TABLE_MAP,
	TABLE_OBJECT,
	TABLE_FORMS,
	TABLE_JSON,
	TABLE_SECRET, /* a string that is never printed: "env:NAME", "secret:PATH", "literal:..." */
};

#define TABLE_LIST_OF(type) \
	struct { \
		size_t count; \
		type *items; \
	}
#define TABLE_MAP_OF(type) \
	struct { \
		size_t count; \
		const char **keys; \
		type *values; /* values[i] belongs to keys[i], in the order written */ \
	}

enum table_secret_from {
	TABLE_SECRET_NONE,
	TABLE_SECRET_LITERAL, /* `value` */
	TABLE_SECRET_ENV, /* `name` of the variable, and its `value` */
	TABLE_SECRET_STORE, /* `name` is the path in the secret store; no value yet */
};
struct table_secret {
	enum table_secret_from from;
	const char *name; /* NULL for TABLE_SECRET_LITERAL */
	const struct secret *value; /* belongs to the load; NULL for TABLE_SECRET_STORE, and for a
				       variable that may be unset and is */
};

enum table_flags {
	TABLE_REQUIRED = 1 << 0,
	TABLE_POINTER = 1 << 1, /* TABLE_OBJECT: optional, NULL if absent */
	TABLE_PLAIN = 1 << 2, /* TABLE_STRING: no env: and literal: prefixes here */
	TABLE_UNIQUE = 1 << 3, /* TABLE_LIST of objects: no two with the same first field */
	TABLE_HIDDEN = 1 << 4, /* accepted and documented in the schema, left out of samples */
};

/* What the program does with a field that the document sets to something else than its default. */
enum table_effect {
	TABLE_ACTED, /* does what it says */
	TABLE_NOTED, /* parsed, without effect yet: named to the user */
	TABLE_GUARDED, /* parsed, without effect yet, and about security: a run is refused */
};

struct table;
struct table_run;

struct table_field {
	const char *name; /* NULL ends a list of fields */
	enum table_type type;
	unsigned flags;
	size_t offset;
	const char *otherwise; /* default, as it would be written; NULL: none */
	const char *doc; /* one sentence, shown to people */
	const char *example; /* for samples, as it would be written */

	const char *const *values; /* TABLE_ENUM: the words, NULL at the end */
	const char *pattern; /* TABLE_STRING: PCRE2 without ^ and $, matches the whole */
	const char *pattern_says; /* the same in words: "lower-case letters, digits and hyphens" */
	int64_t min, max; /* INT, DURATION, SIZE: the value; STRING, LIST, MAP: bytes or items.
			     Both 0: no bound. max 0 with min > 0: no upper bound */
	double least, most; /* TABLE_NUMBER; both 0: no bound */
	const struct table_field *item; /* LIST, MAP: the element, at offset 0 */
	size_t item_bytes; /* LIST, MAP: sizeof the element */
	const struct table *table; /* TABLE_OBJECT */
	const struct table_field *forms; /* TABLE_FORMS: name NULL ends; types differ */

	uint64_t only; /* bit n: belongs to objects whose discriminator has value n; 0: to all */
	enum table_effect effect;
	uint64_t effect_values; /* TABLE_ENUM: the effect holds for these values only; 0: all */
	const char *effect_says; /* why, in a sentence; NULL: a general one */
};

/* Old or foreign names: `write` says what to write instead. */
struct table_renamed {
	const char *name;
	const char *write; /* "spec.security.resources.memory" */
	bool accepted; /* taken as the field `write` of the same object, with a warning */
};

enum table_rule_kind {
	TABLE_RULE_TOGETHER, /* a needs b and b needs a */
	TABLE_RULE_NEEDS, /* a needs b */
	TABLE_RULE_APART, /* a excludes b */
	TABLE_RULE_ONE_OF, /* at least one of a, b */
};
struct table_rule {
	enum table_rule_kind kind;
	const char *a, *b;
	const char *says; /* what to write, for the message */
};

struct table {
	const char *name; /* "Volume": key of its definition in the JSON Schema */
	const char *doc;
	size_t bytes; /* sizeof the C struct */
	const struct table_field *fields;
	const char *discriminator; /* TABLE_ENUM field that `only` refers to; NULL: none */
	const char *shorthand; /* a bare string stands for this field; NULL: not allowed */
	const struct table_rule *rules; /* a == NULL ends; NULL: none */
	const struct table_renamed *renamed; /* name == NULL ends; NULL: none */
	/* The document's root: strings may be `env:NAME` or `literal:TEXT` (not where TABLE_PLAIN).
	 */
	bool credentials;
	/* What a table cannot say; reports through the run. NULL: nothing. Called only if the
	 * object's own fields are without error. */
	void (*check)(struct table_run *run, const struct doc *d, void *object);
};

/* Is this a `kind: KIND` document at all? One finding and DOC_BAD if not: the rest of it would be
 * noise. The table checks apiVersion. */
int table_envelope(struct report *r, const struct doc *d, const char *kind) MUST_USE;

/* One load of a document. */
struct table_run {
	struct report *report;
	const char *(*env)(void *ctx, const char *name); /* NULL result: not set */
	void *env_ctx;
	/* An unset variable is a warning and stays as it is written; to check a file elsewhere. */
	bool env_may_be_unset;
	struct table_secrets *secrets; /* where TABLE_SECRET values go */
	/* Only what the JSON Schema says too: no `check` functions, no TABLE_UNIQUE. */
	bool shape_only;
	/* private */
	bool credentials;
	char path[LIMIT_DOC_PATH_BYTES]; /* of the value at hand */
	size_t path_length;
};

/* Secrets of one load. They are freed together, and what was written of them in the document is
 * wiped: call it before the arena goes. */
struct table_secrets {
	size_t count;
	struct table_secret_kept {
		struct secret *secret;
		struct span written;
	} * items;
};
void table_secrets_fini(struct table_secrets *s);

/* Fills *ret (t->bytes) from the document, absent fields with their defaults. 0, DOC_BAD with
 * findings in the report, -ENOMEM. */
int table_load(
	struct table_run *run, const struct table *t, const struct doc *d, void *ret) MUST_USE;

/* For `check` functions: loads a member of the object at hand by a table of its own. 0 also if the
 * member is absent or null, and then *ret_present is false; DOC_BAD; -ENOMEM. */
int table_load_member(struct table_run *run, const struct doc *object, const char *member,
	const struct table *t, void *ret, bool *ret_present) MUST_USE;

/* For `check` functions: a finding at the member (or at the object, if it is absent or NULL) of the
 * object at hand. */
void table_problem(struct table_run *run, const struct doc *object, const char *member,
	const char *fmt, ...) PRINTF_LIKE(4, 5);
void table_warning(struct table_run *run, const struct doc *object, const char *member,
	const char *fmt, ...) PRINTF_LIKE(4, 5);

/* Calls `fn` for each field that the document sets to something else than its default and whose
 * effect is not TABLE_ACTED, in document order. */
typedef void (*table_effect_fn)(
	void *ctx, const char *path, const struct table_field *f, const struct doc *value);
void table_effects(const struct table *t, const struct doc *d, table_effect_fn fn, void *ctx);

/* JSON Schema, draft 2020-12, of documents that the table accepts. */
void table_json_schema(const struct table *t, const char *id, struct json_writer *w);

/* Markdown: one table of fields per object. */
void table_reference(const struct table *t, struct buf *b);

/* YAML that the table accepts: required fields and, with `all`, every field with its default or
 * example, documented by comments. */
void table_sample(const struct table *t, bool all, struct buf *b);

/* The filled struct as JSON; secrets as their reference or "(redacted)". */
void table_dump(const struct table *t, const void *object, struct json_writer *w);

/* The nearest of `names` (NULL at the end) by edit distance, if it is near enough; else NULL. */
/* "512Mi", "64Ki", "2G", "1024": -EINVAL, -ERANGE. Starts no trail. */
int table_parse_size(struct span s, int64_t *ret_bytes) MUST_USE;
const char *table_nearest(const char *name, const char *const *names);

/* Walks the table itself: defaults parse, discriminators exist, offsets lie inside. For tests. */
int table_selfcheck(const struct table *t) MUST_USE;
