/* SPDX-License-Identifier: AGPL-3.0-only */
/* What the files of this room share among themselves. */
#pragma once

#include "daemon/schema/schema.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* Size and UTF-8; a finding if not. */
bool doc_text_ok(struct report *r, struct span text);

/*
 * A tree is built bottom up: values wait on one stack until their list or map ends, then move into
 * the arena as one array. The builder counts values and depth, and refuses duplicate keys.
 */
struct doc_frame {
	enum doc_type type; /* DOC_LIST or DOC_MAP */
	size_t first; /* where its values begin on the stack */
	struct report_place at;
	struct span key; /* of the value now expected; key.p NULL in a map: a key is expected */
	struct report_place key_at;
};
struct doc_builder {
	struct report *report;
	struct doc *stack; /* malloc'ed */
	size_t count, capacity;
	struct doc_frame frames[LIMIT_DOC_DEPTH];
	int depth;
	size_t values; /* so far, aliases expanded */
};
void doc_builder_fini(struct doc_builder *b);

/* All return 0, DOC_BAD with a finding, or -ENOMEM. Texts are copied. */
int doc_builder_key(struct doc_builder *b, struct span key, struct report_place at) MUST_USE;
int doc_builder_open(struct doc_builder *b, enum doc_type type, struct report_place at) MUST_USE;
/* The value now belongs to the innermost frame; weight and height are its own. */
int doc_builder_value(struct doc_builder *b, struct doc value) MUST_USE;
int doc_builder_scalar(struct doc_builder *b, struct doc value) MUST_USE;
/* Ends the innermost list or map; *ret is the finished value, for anchors. */
int doc_builder_close(struct doc_builder *b, struct doc *ret) MUST_USE;
bool doc_builder_wants_key(const struct doc_builder *b);
/* The whole tree, once every frame is closed. */
int doc_builder_finish(struct doc_builder *b, const struct doc **ret) MUST_USE;
/* Dotted path of the innermost frame, for findings; valid until the next call. */
const char *doc_builder_path(const struct doc_builder *b, struct buf *text);

/* ---- tables ---- */

/* A member's name or an item's number is appended to the path; *_pop restores the length. */
size_t run_push_key(struct table_run *run, struct span key);
size_t run_push_index(struct table_run *run, size_t index);
void run_pop(struct table_run *run, size_t length);
void run_error(struct table_run *run, struct report_place at, const char *fmt, ...)
	PRINTF_LIKE(3, 4);
void run_warning(struct table_run *run, struct report_place at, const char *fmt, ...)
	PRINTF_LIKE(3, 4);

/* A value as a message shows it: quoted, on one line, cut. Lives in the arena. */
const char *shown_text(struct arena *a, struct span s);
const char *shown_doc(struct arena *a, const struct doc *d); /* "the number 3.10" */
/* "one-shot, iterative" */
const char *shown_words(struct arena *a, const char *const *words);

/* Index of a word, -1 if it is not among them. */
int words_find(const char *const *words, struct span s);

/* Does a value of this type suit the field at all (before bounds)? For TABLE_FORMS. */
bool field_suits(const struct table_field *f, enum doc_type type);
const char *field_wants(const struct table_field *f); /* "a string", "a mapping", ... */

const struct table_field *table_find(const struct table *t, struct span name);
const struct table_renamed *table_find_renamed(const struct table *t, struct span name);

enum { TABLE_KIND_UNKNOWN = -1 };
/* Which value of the discriminator this object has; TABLE_KIND_UNKNOWN if none or not valid. */
int table_kind(const struct table *t, const struct doc *d);
static inline bool field_belongs(const struct table_field *f, int kind)
{
	return !f->only || kind == TABLE_KIND_UNKNOWN || (f->only >> kind & 1);
}

/* The default as a document, in the arena; *ret NULL if there is none. */
int field_default(struct arena *a, const struct table_field *f, const struct doc **ret) MUST_USE;

/* Scalars of all types, SECRET and JSON included. 0, DOC_BAD, -ENOMEM. */
int scalar_load(struct table_run *run, const struct table_field *f, const struct doc *d,
	void *dst) MUST_USE;
