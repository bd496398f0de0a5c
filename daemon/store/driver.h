/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * What this room asks of a database: connections that run one statement at a time. Everything
 * above it speaks SQL that SQLite and PostgreSQL both understand ($1 parameters, ON CONFLICT,
 * LIMIT/OFFSET; integers are 64 bit, ids and hashes are texts), so a second driver is a second
 * file. Blocking: offload threads and tools only.
 */
#pragma once

#include "daemon/base/base.h"

enum sql_kind { SQL_NULL, SQL_INT, SQL_TEXT, SQL_BYTES };

struct sql_value {
	enum sql_kind kind;
	int64_t i;
	struct span s; /* SQL_TEXT, SQL_BYTES */
};

static inline struct sql_value sql_int(int64_t i)
{
	return (struct sql_value){.kind = SQL_INT, .i = i};
}

static inline struct sql_value sql_text(struct span s)
{
	return (struct sql_value){.kind = SQL_TEXT, .s = s};
}

static inline struct sql_value sql_bytes(struct span s)
{
	return (struct sql_value){.kind = SQL_BYTES, .s = s};
}

static inline struct sql_value sql_null(void)
{
	return (struct sql_value){.kind = SQL_NULL};
}

/* One row; the values are valid during the call. 0 goes on, SQL_STOP ends early, a negative errno
 * ends the statement and is its result. */
enum { SQL_STOP = 1 };
typedef int (*sql_row_fn)(void *ctx, const struct sql_value *columns, size_t count);

enum sql_mode {
	SQL_WRITER, /* the only one; creates the database; -EBUSY if another process has it */
	SQL_READER,
};

struct sql_conn; /* one thread at a time */

struct sql_driver {
	const char *scheme; /* "sqlite" */
	int (*connect)(const char *place, enum sql_mode mode, struct sql_conn **ret);
	/* An empty private database, gone when closed. */
	int (*scratch)(struct sql_conn **ret);
	void (*close)(struct sql_conn *c); /* NULL is allowed */

	/* Statements without parameters or rows, separated by semicolons. */
	int (*script)(struct sql_conn *c, const char *sql);

	/* One statement, prepared once per connection and text. `fn` NULL: rows are not wanted.
	 * -EEXIST for a unique constraint, else as store.h says. */
	int (*run)(struct sql_conn *c, const char *sql, const struct sql_value *params,
		size_t count, sql_row_fn fn, void *ctx);

	/* False after an error that made the database give the transaction up on its own. */
	bool (*in_transaction)(struct sql_conn *c);

	/* quick: structure only. -EUCLEAN with the first finding. */
	int (*check_integrity)(struct sql_conn *c, bool quick);
};

extern const struct sql_driver sqlite_driver;

/* Driver of a URL and what stands behind the scheme. -EINVAL with the schemes that are accepted. */
int sql_driver_of(const char *url, const struct sql_driver **ret, const char **ret_place) MUST_USE;
