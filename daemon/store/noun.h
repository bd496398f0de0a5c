/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The rows of the projections as tables of fields: from one description come the SQL that reads
 * and writes a row, and the JSON that an event keeps of it. The JSON makes the event rows
 * sufficient: it is what a replay applies again.
 */
#pragma once

#include "daemon/store/driver.h"
#include "daemon/store/store.h"

enum field_kind {
	FIELD_UUID, /* struct uuid; nil is NULL */
	FIELD_TEXT, /* struct span; empty is NULL */
	FIELD_JSON, /* struct span, one JSON value; empty is NULL */
	FIELD_STATUS, /* const char *, a name of the noun's state table */
	FIELD_HASH, /* struct store_hash; zeros are NULL */
	FIELD_U32,
	FIELD_I64,
};

enum field_flags {
	FIELD_KEY = 1, /* identifies the row */
	FIELD_FIXED = 2, /* given on create, never changed */
	FIELD_OURS = 4, /* kept by the store: never taken from a caller, never in the JSON */
	FIELD_LARGE = 8, /* bounded by LIMIT_STORE_TEXT_BYTES; other texts by LIMIT_PATH_BYTES */
};

struct field {
	const char *column;
	enum field_kind kind;
	size_t offset;
	unsigned flags;
};

enum {
	NOUN_FIELDS_MAX = 28,
	NOUN_SQL_BYTES = 1536,
};

struct noun {
	const char *name; /* "execution" */
	const char *table;
	const struct field *fields;
	size_t field_count;
	size_t row_bytes;
	size_t revision_offset;
	size_t status_offset;
};

enum noun_id { NOUN_AGENT, NOUN_EXECUTION, NOUN_ITERATION, NOUN_SESSION, NOUN_VOLUME, NOUN_COUNT };
extern const struct noun nouns[NOUN_COUNT];

/* Columns in the order of the fields, for SELECT lists: "id, tenant_id, ...". Constant text. */
const char *noun_columns(enum noun_id id);

/* Which fields a row gives: bit per field, those that are not empty, zero or nil. */
uint64_t noun_given(const struct noun *n, const void *row);

/* Copies the fields of `mask` from one row into another of the same noun. */
void noun_copy(const struct noun *n, void *to, const void *from, uint64_t mask);

/* Column of the first field in which two rows differ, or NULL. */
const char *noun_difference(const struct noun *n, const void *a, const void *b);

/* Limits and UTF-8 and JSON of what a caller gives. -EINVAL or -E2BIG, naming noun and field. */
int noun_check(const struct noun *n, const void *row, struct arena *a) MUST_USE;

/* A row from columns as noun_columns lists them; spans are copied into the arena, status names are
 * those of the table. */
int noun_read(const struct noun *n, const struct state_table *states,
	const struct sql_value *columns, struct arena *a, void *ret_row) MUST_USE;

/* The row of that key, locked until the end of the transaction where the database can; 0 or
 * STORE_NOT_FOUND. `key` is a row with its key fields set. */
int noun_find(struct sql_conn *c, const struct sql_driver *d, enum noun_id id,
	const struct state_table *states, const void *key, struct arena *a, void *ret_row) MUST_USE;
int noun_insert(
	struct sql_conn *c, const struct sql_driver *d, enum noun_id id, const void *row) MUST_USE;
/* Writes every field that is not part of the key. */
int noun_update(
	struct sql_conn *c, const struct sql_driver *d, enum noun_id id, const void *row) MUST_USE;

/* The members of an object: what a change gave. */
void noun_put_json(struct json_writer *w, const struct noun *n, const void *row);
int noun_of_json(const struct noun *n, const struct state_table *states, const struct json *v,
	struct arena *a, void *ret_row) MUST_USE;
