/* SPDX-License-Identifier: AGPL-3.0-only */
/* What the files of this room share. */
#pragma once

#include "daemon/store/apply.h"
#include "daemon/store/driver.h"
#include "daemon/store/store.h"
#include <pthread.h>
#include <stdatomic.h>

enum {
	STORE_WRITES_MAX = 4096, /* that wait or run; more are told -EAGAIN */
	STORE_READS_MAX = 4096,
	STORE_GROUP_MAX = 256, /* writes in one transaction of the database */
	STORE_READERS_MAX = 16,
	STORE_WRITE_ARENA_BYTES = 256 * 1024 * 1024, /* what one write may need at most */
};

struct store {
	const struct sql_driver *driver;
	char *place;
	struct store_states states;
	bool read_only;

	pthread_mutex_t write_lock; /* the writer's connection and arena */
	struct sql_conn *writer;
	struct arena *write_arena;
	struct offload *write_offload; /* NULL: opened outside of the workers */
	store_hook hook;
	void *hook_ctx;

	pthread_mutex_t queue_lock;
	struct list queue; /* struct write */
	int writes_in_flight;

	struct offload *read_offload;
	pthread_mutex_t reader_lock;
	pthread_cond_t reader_free;
	struct sql_conn *readers[STORE_READERS_MAX]; /* those that nobody uses */
	int free_readers;
	int reader_count;

	_Atomic uint64_t commits;
	_Atomic uint64_t groups;
	_Atomic uint64_t newest_event;
};

/* ---- writes (writer.c) ---- */

struct write {
	/* Runs inside the group's transaction, on the thread that writes; a result other than 0
	 * undoes what it did. */
	int (*fn)(struct store *s, void *arg);
	void *arg;
	struct store_commit *commit; /* of store_append, for the hook */

	struct list link;
	int result;
	bool done;
	char message[ERR_MESSAGE_BYTES];
};

AWAITS int store_write(struct store *s, struct write *w, int64_t deadline_ns) MUST_USE;
int store_run(struct store *s, const char *sql, const struct sql_value *params, size_t count,
	sql_row_fn fn, void *ctx) MUST_USE; /* on the writer's connection */

/* ---- reads (reader.c) ---- */

/* fn runs on a reader's connection inside one snapshot. */
typedef int (*read_fn)(struct store *s, struct sql_conn *c, void *arg);
AWAITS int store_read(struct store *s, read_fn fn, void *arg, int64_t deadline_ns) MUST_USE;

int64_t store_wall_ns(void);

/* ---- event rows (append.c, query.c) ---- */

#define EVENT_COLUMNS \
	"number, id, sequence_number, event_type, category, stage, message, tenant_id, " \
	"execution_id, agent_id, call_id, iteration_number, event_data, created_at"
enum { EVENT_COLUMN_COUNT = 14 };

int event_read(const struct sql_value *columns, struct arena *a, struct store_event *ret) MUST_USE;
int blob_keep(struct store *s, struct span bytes, struct store_hash *ret) MUST_USE;
int blob_find(struct store *s, struct sql_conn *c, const struct store_hash *hash, struct arena *a,
	struct span *ret) MUST_USE;
