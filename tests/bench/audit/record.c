/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * What one audit record costs, against SQLite inserting the same bytes into a write-ahead-logged
 * table in the same folder:
 *
 *   synced    each record durable on its own; SQLite: synchronous=FULL, one insert a transaction
 *   batched   64 records made durable together; SQLite: 64 inserts a transaction
 *   shared    64 fibers, each waits for its own record, one fsync for those that meet; SQLite: one
 *             insert a transaction, which is what each of them would have to wait for
 *   unsynced  the work alone, without waiting for the disk; SQLite: synchronous=OFF, all inserts in
 *             one transaction. No target: half of ours is the BLAKE2b hash, which SQLite has not
 *
 * The folder is TMPDIR, else the program's own: a memory file system would make fsync free.
 * Arguments: records per figure (default 1280).
 */
#include "tests/bench/smoke.h"
#include "daemon/audit/audit.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { FIBERS = 64, PAYLOAD_BYTES = 300, ROUNDS = 7 };

static char dir[512];
static char payload[PAYLOAD_BYTES + 1];
static int records = 1280;

static struct audit_record sample(void)
{
	return (struct audit_record){.source = AUDIT_FILE,
		.kind = SPAN("FileRead"),
		.execution_id = {{1}},
		.call_id = {{2}},
		.payload = {payload, PAYLOAD_BYTES}};
}

/* ---- ours ---- */

static struct journal *open_journal(enum journal_sync sync)
{
	char path[600];
	struct journal_options o = {.dir = path, .sync = sync};
	struct journal *j;

	snprintf(path, sizeof(path), "%s/journal", dir);
	int r = fd_remove_tree(AT_FDCWD, path);
	if (r < 0)
		err_clear();
	r = journal_open(&o, &j);
	if (r < 0) {
		err_log(r, "journal");
		exit(1);
	}
	return j;
}

static double ours_by(enum journal_sync sync, int count)
{
	struct audit_record r[FIBERS];
	struct journal *j = open_journal(sync);
	int64_t start = clock_mono_ns();

	for (int i = 0; i < records; i += count) {
		for (int k = 0; k < count; k++)
			r[k] = sample();
		CHECK(journal_append(j, r, (size_t)count, DEADLINE_NONE) == 0);
	}
	double us = (double)(clock_mono_ns() - start) / 1e3 / records;
	journal_close(j);
	return us;
}

static double ours_posted(void)
{
	struct journal *j = open_journal(JOURNAL_SYNC_NONE);
	int64_t start = clock_mono_ns();

	for (int i = 0; i < records; i++) {
		struct audit_record r = sample();
		CHECK(journal_post(j, &r, DEADLINE_NONE) == 0);
	}
	struct audit_record last = sample(); /* written when this one is */
	CHECK(journal_append(j, &last, 1, DEADLINE_NONE) == 0);
	double us = (double)(clock_mono_ns() - start) / 1e3 / records;
	journal_close(j);
	return us;
}

static struct journal *shared;

static void append_share(void *arg)
{
	for (int i = 0; i < records / FIBERS; i++) {
		struct audit_record r = sample();
		CHECK(journal_append(shared, &r, 1, DEADLINE_NONE) == 0);
	}
}

static void shared_main(void *arg)
{
	struct group g;

	shared = open_journal(JOURNAL_SYNC_BATCH);
	int64_t start = clock_mono_ns();
	group_init(&g);
	for (int i = 0; i < FIBERS; i++)
		CHECK(group_spawn(&g, "append", FIBER_LARGE, append_share, NULL) == 0);
	CHECK(group_join(&g, DEADLINE_NONE) == 0);
	*(double *)arg = (double)(clock_mono_ns() - start) / 1e3 / (records);
	fprintf(stderr, "record_shared: %llu records in %llu syncs\n",
		(unsigned long long)journal_stats(shared).records,
		(unsigned long long)journal_stats(shared).syncs);
	journal_close(shared);
}

static double ours_shared(void)
{
	struct rt_options o = {.workers = 1};
	double us = 0;
	int r = rt_run(&o, shared_main, &us);

	if (r < 0) {
		err_log(r, "bench");
		exit(1);
	}
	return us;
}

/* ---- SQLite's ---- */

static void sql(sqlite3 *db, const char *text)
{
	CHECK(sqlite3_exec(db, text, NULL, NULL, NULL) == SQLITE_OK);
}

/* The columns of a record; `per_transaction` 0: all in one. */
static double theirs(const char *synchronous, int per_transaction)
{
	char path[600];
	char pragma[64];
	sqlite3 *db;
	sqlite3_stmt *s;
	static const char ids[16] = {1};

	snprintf(path, sizeof(path), "%s/peer.db", dir);
	unlink(path);
	CHECK(sqlite3_open(path, &db) == SQLITE_OK);
	snprintf(pragma, sizeof(pragma), "PRAGMA synchronous = %s", synchronous);
	sql(db, "PRAGMA journal_mode = WAL");
	sql(db, pragma);
	sql(db,
		"CREATE TABLE r (number INTEGER PRIMARY KEY, wall INTEGER, mono INTEGER, source "
		"INTEGER, kind TEXT, execution BLOB, call BLOB, payload TEXT)");
	CHECK(sqlite3_prepare_v2(db, "INSERT INTO r VALUES (?, ?, ?, 2, 'FileRead', ?, ?, ?)", -1,
		      &s, NULL) == SQLITE_OK);
	int64_t start = clock_mono_ns();
	int group = per_transaction ? per_transaction : records;
	for (int i = 0; i < records; i++) {
		if (i % group == 0)
			sql(db, "BEGIN");
		sqlite3_bind_int64(s, 1, i + 1);
		sqlite3_bind_int64(s, 2, clock_wall_ns());
		sqlite3_bind_int64(s, 3, clock_mono_ns());
		sqlite3_bind_blob(s, 4, ids, sizeof(ids), SQLITE_STATIC);
		sqlite3_bind_blob(s, 5, ids, sizeof(ids), SQLITE_STATIC);
		sqlite3_bind_text(s, 6, payload, PAYLOAD_BYTES, SQLITE_STATIC);
		CHECK(sqlite3_step(s) == SQLITE_DONE);
		sqlite3_reset(s);
		if (i % group == group - 1 || i == records - 1)
			sql(db, "COMMIT");
	}
	double us = (double)(clock_mono_ns() - start) / 1e3 / records;
	sqlite3_finalize(s);
	sqlite3_close(db);
	return us;
}

/* ---- figures: the median of a few rounds of each ---- */

static void report(const char *name, double ours, const char *peer, double peer_us, bool target)
{
	printf("{\"area\":\"audit\",\"name\":\"%s\",\"value\":%.2f,\"unit\":\"us/record\","
	       "\"peer\":\"%s\",\"peer_value\":%.2f,\"ratio\":%.3f,\"target\":%s,"
	       "\"met\":%s}\n",
		name, ours, peer, peer_us, ours / peer_us, target ? "\"<= 1\"" : "null",
		!target                   ? "null"
			: ours <= peer_us ? "true"
					  : "false");
	fflush(stdout);
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a;
	double y = *(const double *)b;

	return x < y ? -1 : x > y;
}

/* In turn, so that a busy disk is busy for both. */
static void measure(const char *name, double (*ours)(void), const char *peer,
	const char *synchronous, int per_transaction, bool target)
{
	double us[ROUNDS];
	double peer_us[ROUNDS];
	const int rounds = bench_count(ROUNDS, 1);

	for (int i = 0; i < rounds; i++) {
		us[i] = ours();
		peer_us[i] = theirs(synchronous, per_transaction);
	}
	qsort(us, (size_t)rounds, sizeof(us[0]), compare);
	qsort(peer_us, (size_t)rounds, sizeof(peer_us[0]), compare);
	report(name, us[rounds / 2], peer, peer_us[rounds / 2], target);
}

static double ours_synced(void)
{
	return ours_by(JOURNAL_SYNC_RECORD, 1);
}

static double ours_batched(void)
{
	return ours_by(JOURNAL_SYNC_BATCH, FIBERS);
}

int main(int argc, char **argv)
{
	const char *parent = getenv("TMPDIR");
	struct span program = span_cstr(argv[0]);

	records = bench_count(records, FIBERS);
	if (argc > 1 && atoi(argv[1]) > FIBERS)
		records = atoi(argv[1]) / FIBERS * FIBERS;
	log_setup(LOG_WARN, LOG_TEXT, "bench");
	memset(payload, 'x', PAYLOAD_BYTES);
	payload[0] = payload[PAYLOAD_BYTES - 1] = '"';
	while (program.n > 0 && program.p[program.n - 1] != '/')
		program.n--;
	if (!parent || !*parent)
		snprintf(dir, sizeof(dir), "%.*saegis-bench-XXXXXX", (int)program.n, program.p);
	else
		snprintf(dir, sizeof(dir), "%.90s/aegis-bench-XXXXXX", parent);
	CHECK(mkdtemp(dir));
	measure("record_synced", ours_synced, "SQLite, FULL, insert per transaction", "FULL", 1,
		true);
	measure("record_batched", ours_batched, "SQLite, FULL, 64 inserts per transaction", "FULL",
		FIBERS, true);
	measure("record_shared", ours_shared, "SQLite, FULL, insert per transaction", "FULL", 1,
		true);
	measure("record_unsynced", ours_posted, "SQLite, OFF, one transaction", "OFF", 0, false);
	int r = fd_remove_tree(AT_FDCWD, dir);
	return r < 0;
}
