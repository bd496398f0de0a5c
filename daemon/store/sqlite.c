/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The SQLite driver. A connection keeps its prepared statements by text, so that a statement is
 * parsed once. The writer holds a lock file beside the database as long as it is open: SQLite's own
 * locks last only as long as a transaction, and two daemons on one database must not meet at all.
 *
 * Durability: write-ahead log with synchronous=FULL, so COMMIT returns after the fsync of the log.
 */
#include "daemon/store/driver.h"

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

enum {
	BUSY_TIMEOUT_MS = 5000, /* for a foreign process that reads or backs up */
	STATEMENTS_MAX = 256, /* distinct texts per connection; all are constants of this room */
	COLUMNS_MAX = 32,
	APPLICATION_ID = 0x41454749, /* "AEGI", in the file's header */
};

struct sql_conn {
	sqlite3 *db;
	char *path;
	int lock_fd; /* -1: not the writer */
	struct map statements; /* text -> struct statement */
};

struct statement {
	sqlite3_stmt *prepared;
	char sql[]; /* as it was asked for: the key in the map */
};

static int code_of(int rc)
{
	switch (rc & 0xff) {
	case SQLITE_OK:
	case SQLITE_ROW:
	case SQLITE_DONE:
		return 0;
	case SQLITE_FULL:
		return -ENOSPC;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return -EBUSY;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		return -EUCLEAN;
	case SQLITE_READONLY:
		return -EROFS;
	case SQLITE_NOMEM:
		return -ENOMEM;
	case SQLITE_TOOBIG:
		return -E2BIG;
	case SQLITE_CONSTRAINT:
		return -EEXIST;
	case SQLITE_PERM:
		return -EACCES;
	default:
		return -EIO;
	}
}

static const char *advice_of(int code)
{
	switch (code) {
	case -ENOSPC:
		return " (free some space on that file system; nothing of this write was kept)";
	case -EBUSY:
		return " (another process holds a lock on it; end it, or try again)";
	case -EUCLEAN:
		return " (the file is damaged or no AEGIS database; restore it from a copy)";
	default:
		return "";
	}
}

/* EFBIG: the file system or RLIMIT_FSIZE allows no larger file. */
static bool no_room(int system_errno)
{
	return system_errno == ENOSPC || system_errno == EDQUOT || system_errno == EFBIG;
}

static int failed(struct sql_conn *c, int rc, const char *doing)
{
	int code = code_of(rc);
	int system_errno = sqlite3_system_errno(c->db);

	if ((rc & 0xff) == SQLITE_CANTOPEN && system_errno)
		code = -system_errno;
	/* SQLite reports a full disk found while it syncs or truncates as a mere I/O error. */
	if ((rc & 0xff) == SQLITE_IOERR && no_room(system_errno))
		code = -ENOSPC;
	return err_raise(
		code, "%s: %s: %s%s", c->path, doing, sqlite3_errmsg(c->db), advice_of(code));
}

static int lock_writer(struct sql_conn *c)
{
	char path[LIMIT_PATH_BYTES / 2];
	char holder[32] = "";

	if (snprintf(path, sizeof(path), "%s.lock", c->path) >= (int)sizeof(path))
		return err_raise(-ENAMETOOLONG, "%s: path too long", c->path);
	c->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (c->lock_fd < 0)
		return err_sys(-errno, "open %s", path);
	if (flock(c->lock_fd, LOCK_EX | LOCK_NB) < 0) {
		if (errno != EWOULDBLOCK)
			return err_sys(-errno, "lock %s", path);
		ssize_t n = pread(c->lock_fd, holder, sizeof(holder) - 1, 0);
		if (n <= 0)
			snprintf(holder, sizeof(holder), "unknown");
		return err_raise(-EBUSY,
			"%s is in use by another process (pid %s): one daemon per database",
			c->path, holder);
	}
	int n = snprintf(holder, sizeof(holder), "%d", (int)getpid());
	if (ftruncate(c->lock_fd, 0) < 0 || pwrite(c->lock_fd, holder, (size_t)n, 0) != n)
		return err_sys(-errno, "write %s", path);
	return 0;
}

static int sqlite_script(struct sql_conn *c, const char *sql)
{
	int rc = sqlite3_exec(c->db, sql, NULL, NULL, NULL);

	return rc == SQLITE_OK ? 0 : failed(c, rc, "run");
}

/* A database of something else is refused before anything is written into it. */
static int check_application(struct sql_conn *c, bool writer)
{
	sqlite3_stmt *s = NULL;
	int id = 0;
	int tables = 0;
	int rc = sqlite3_prepare_v2(c->db,
		"SELECT (SELECT application_id FROM pragma_application_id), "
		"(SELECT count(*) FROM sqlite_master)",
		-1, &s, NULL);

	if (rc == SQLITE_OK)
		rc = sqlite3_step(s);
	if (rc == SQLITE_ROW) {
		id = sqlite3_column_int(s, 0);
		tables = sqlite3_column_int(s, 1);
	}
	sqlite3_finalize(s);
	if (rc != SQLITE_ROW)
		return failed(c, rc, "read");
	if (id == APPLICATION_ID)
		return 0;
	if (tables > 0 || !writer)
		return err_raise(-EUCLEAN,
			"%s is an SQLite file, but no AEGIS database (application id %#x, not %#x)",
			c->path, (unsigned)id, APPLICATION_ID);
	return sqlite_script(c, "PRAGMA application_id = 0x41454749");
}

static void statement_free(struct statement *s)
{
	sqlite3_finalize(s->prepared);
	free(s);
}

static void sqlite_close(struct sql_conn *c)
{
	if (!c)
		return;
	map_for_each (slot, &c->statements)
		statement_free(slot->value);
	map_fini(&c->statements);
	if (c->db)
		sqlite3_close(c->db);
	if (c->lock_fd >= 0)
		close(c->lock_fd);
	free(c->path);
	free(c);
}

/* $1 is a name to SQLite, numbered by its first appearance; ?1 is the first parameter. */
static int prepare(struct sql_conn *c, const char *sql, struct statement **ret)
{
	size_t n = strlen(sql);
	struct statement *s = calloc(1, sizeof(*s) + n + 1);
	struct buf text CLEANUP(buf_fini) = buf_init(n + 1);

	if (!s)
		return err_raise(-ENOMEM, "out of memory");
	memcpy(s->sql, sql, n);
	for (size_t i = 0; i < n; i++)
		buf_putc(&text, sql[i] == '$' ? '?' : sql[i]);
	int r = buf_error(&text);
	if (r == 0) {
		int rc = sqlite3_prepare_v3(
			c->db, text.data, (int)n, SQLITE_PREPARE_PERSISTENT, &s->prepared, NULL);
		if (rc != SQLITE_OK)
			r = failed(c, rc, "prepare");
	}
	if (r < 0) {
		free(s);
		return err_trace(r);
	}
	*ret = s;
	return 0;
}

static int statement_of(struct sql_conn *c, const char *sql, sqlite3_stmt **ret)
{
	struct statement *s = map_get(&c->statements, span_cstr(sql));

	if (!s) {
		int r = prepare(c, sql, &s);
		if (r < 0)
			return err_trace(r);
		r = map_put(&c->statements, span_cstr(s->sql), s);
		if (r < 0) {
			statement_free(s);
			return err_wrap(r, "statements of one connection");
		}
	}
	*ret = s->prepared;
	return 0;
}

static int bind(sqlite3_stmt *s, int at, const struct sql_value *v)
{
	switch (v->kind) {
	case SQL_NULL:
		return sqlite3_bind_null(s, at);
	case SQL_INT:
		return sqlite3_bind_int64(s, at, v->i);
	case SQL_TEXT: /* a NULL pointer would bind NULL, not the empty text */
		return sqlite3_bind_text64(
			s, at, v->s.p ? v->s.p : "", v->s.n, SQLITE_STATIC, SQLITE_UTF8);
	case SQL_BYTES:
		return sqlite3_bind_blob64(s, at, v->s.p ? v->s.p : "", v->s.n, SQLITE_STATIC);
	}
	UNREACHABLE();
}

static struct sql_value column(sqlite3_stmt *s, int at)
{
	switch (sqlite3_column_type(s, at)) {
	case SQLITE_NULL:
		return sql_null();
	case SQLITE_INTEGER:
		return sql_int(sqlite3_column_int64(s, at));
	case SQLITE_TEXT: {
		const void *p = sqlite3_column_text(s, at);
		return sql_text(span_of(p, (size_t)sqlite3_column_bytes(s, at)));
	}
	default: {
		const void *p = sqlite3_column_blob(s, at);
		return sql_bytes(span_of(p, (size_t)sqlite3_column_bytes(s, at)));
	}
	}
}

static int step_all(struct sql_conn *c, sqlite3_stmt *s, sql_row_fn fn, void *ctx)
{
	struct sql_value columns[COLUMNS_MAX];
	int count = sqlite3_column_count(s);
	int rc;

	CHECK(count <= COLUMNS_MAX);
	while ((rc = sqlite3_step(s)) == SQLITE_ROW) {
		if (!fn)
			continue;
		for (int i = 0; i < count; i++)
			columns[i] = column(s, i);
		int r = fn(ctx, columns, (size_t)count);
		if (r < 0)
			return err_trace(r);
		if (r == SQL_STOP)
			return 0;
	}
	return rc == SQLITE_DONE ? 0 : failed(c, rc, sqlite3_sql(s));
}

static int sqlite_run(struct sql_conn *c, const char *sql, const struct sql_value *params,
	size_t count, sql_row_fn fn, void *ctx)
{
	sqlite3_stmt *s = NULL;
	int r = statement_of(c, sql, &s);

	if (r < 0)
		return err_trace(r);
	CHECK(sqlite3_bind_parameter_count(s) == (int)count);
	for (size_t i = 0; i < count; i++) {
		int rc = bind(s, (int)i + 1, &params[i]);
		if (rc != SQLITE_OK) {
			sqlite3_clear_bindings(s);
			return failed(c, rc, "bind");
		}
	}
	r = step_all(c, s, fn, ctx);
	sqlite3_reset(s);
	sqlite3_clear_bindings(s);
	return r;
}

struct finding {
	char text[256];
};

static int keep_finding(void *ctx, const struct sql_value *columns, size_t count)
{
	struct finding *f = ctx;

	snprintf(f->text, sizeof(f->text), SPAN_FMT, SPAN_ARG(columns[0].s));
	return SQL_STOP;
}

static int set_up(struct sql_conn *c, enum sql_mode mode)
{
	struct finding journal_mode = {""};
	int r = check_application(c, mode == SQL_WRITER);

	if (r < 0)
		return err_trace(r);
	sqlite3_limit(c->db, SQLITE_LIMIT_LENGTH, LIMIT_STORE_BLOB_BYTES + 4096);
	r = sqlite_script(c,
		"PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON;"
		"PRAGMA synchronous = FULL; PRAGMA temp_store = MEMORY;"
		"PRAGMA journal_size_limit = 67108864");
	if (r < 0)
		return err_trace(r);
	if (mode == SQL_READER)
		return 0;
	r = sqlite_run(c, "PRAGMA journal_mode = WAL", NULL, 0, keep_finding, &journal_mode);
	if (r < 0)
		return err_trace(r);
	if (strcmp(journal_mode.text, "wal") != 0)
		return err_raise(-ENOTSUP,
			"%s: this file system cannot hold a write-ahead log (journal mode is %s); "
			"use a local one",
			c->path, journal_mode.text);
	return 0;
}

static int sqlite_connect(const char *path, enum sql_mode mode, struct sql_conn **ret)
{
	struct sql_conn *c = calloc(1, sizeof(*c));
	int flags = mode == SQL_WRITER ? SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE
				       : SQLITE_OPEN_READONLY;
	int r;

	if (!c)
		return err_raise(-ENOMEM, "out of memory");
	c->lock_fd = -1;
	map_init(&c->statements, STATEMENTS_MAX);
	c->path = strdup(path);
	r = c->path ? 0 : err_raise(-ENOMEM, "out of memory");
	if (r == 0 && mode == SQL_WRITER)
		r = lock_writer(c);
	if (r == 0) {
		int rc = sqlite3_open_v2(path, &c->db, flags | SQLITE_OPEN_NOMUTEX, NULL);
		if (rc != SQLITE_OK)
			r = c->db ? failed(c, rc, "open") : err_raise(-ENOMEM, "out of memory");
	}
	if (r == 0) {
		sqlite3_busy_timeout(c->db, BUSY_TIMEOUT_MS);
		r = set_up(c, mode);
	}
	if (r < 0) {
		sqlite_close(c);
		return err_trace(r);
	}
	*ret = c;
	return 0;
}

static bool sqlite_in_transaction(struct sql_conn *c)
{
	return !sqlite3_get_autocommit(c->db);
}

static int sqlite_check_integrity(struct sql_conn *c, bool quick)
{
	struct finding f = {""};
	const char *sql = quick ? "PRAGMA quick_check(1)" : "PRAGMA integrity_check(1)";
	int r = sqlite_run(c, sql, NULL, 0, keep_finding, &f);

	if (r < 0)
		return err_trace(r);
	if (strcmp(f.text, "ok") != 0)
		return err_raise(
			-EUCLEAN, "%s is damaged: %s%s", c->path, f.text, advice_of(-EUCLEAN));
	return 0;
}

static int sqlite_scratch(struct sql_conn **ret)
{
	struct sql_conn *c = calloc(1, sizeof(*c));

	if (!c)
		return err_raise(-ENOMEM, "out of memory");
	c->lock_fd = -1;
	map_init(&c->statements, STATEMENTS_MAX);
	c->path = strdup("scratch database");
	int rc = c->path
		? sqlite3_open_v2("", &c->db,
			  SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL)
		: SQLITE_NOMEM;
	if (rc != SQLITE_OK) {
		sqlite_close(c);
		return err_raise(code_of(rc), "open a scratch database");
	}
	*ret = c;
	return 0;
}

const struct sql_driver sqlite_driver = {
	.scheme = "sqlite",
	.connect = sqlite_connect,
	.scratch = sqlite_scratch,
	.close = sqlite_close,
	.script = sqlite_script,
	.run = sqlite_run,
	.in_transaction = sqlite_in_transaction,
	.check_integrity = sqlite_check_integrity,
};

int sql_driver_of(const char *url, const struct sql_driver **ret, const char **ret_place)
{
	struct span scheme = SPAN("sqlite:");
	struct span u = span_cstr(url);

	if (!span_starts(u, scheme) || u.n == scheme.n)
		return err_raise(-EINVAL, "database '%s': accepted is sqlite:PATH", url);
	*ret = &sqlite_driver;
	*ret_place = url + scheme.n;
	return 0;
}
