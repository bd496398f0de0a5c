/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Opening and closing. In a fiber the work goes to offload threads that belong to the store: one
 * that writes, a few that read. On a plain thread there are none, and the caller's own thread does
 * the work; the same locks make both safe.
 */
#include "daemon/store/internal.h"
#include "daemon/store/schema.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { READERS_DEFAULT = 2 };

int64_t store_wall_ns(void)
{
	return worker_self() ? rt_wall_ns() : clock_wall_ns();
}

struct store_stats store_stats(const struct store *s)
{
	return (struct store_stats){
		atomic_load(&s->commits), atomic_load(&s->groups), atomic_load(&s->newest_event)};
}

void store_set_hook(struct store *s, store_hook fn, void *ctx)
{
	pthread_mutex_lock(&s->write_lock);
	s->hook = fn;
	s->hook_ctx = ctx;
	pthread_mutex_unlock(&s->write_lock);
}

static int keep_newest(void *ctx, const struct sql_value *columns, size_t count)
{
	struct store *s = ctx;

	atomic_store(&s->newest_event, columns[0].kind == SQL_INT ? (uint64_t)columns[0].i : 0);
	return SQL_STOP;
}

static int open_writer(struct store *s)
{
	int r = s->driver->connect(s->place, SQL_WRITER, &s->writer);

	if (r < 0)
		return err_trace(r);
	r = s->driver->check_integrity(s->writer, true);
	if (r == 0)
		r = schema_migrate(
			s->writer, s->driver, schema_steps, schema_step_count, store_wall_ns());
	if (r < 0)
		return err_wrap(r, "database %s", s->place);
	return 0;
}

static int open_readers(struct store *s)
{
	for (; s->free_readers < s->reader_count; s->free_readers++) {
		int r = s->driver->connect(s->place, SQL_READER, &s->readers[s->free_readers]);
		if (r < 0)
			return err_trace(r);
	}
	int r = s->read_only
		? schema_check(s->readers[0], s->driver, schema_steps, schema_step_count)
		: 0;
	if (r == 0)
		r = s->driver->run(s->readers[0], "SELECT max(number) FROM domain_events", NULL, 0,
			keep_newest, s);
	return r < 0 ? err_wrap(r, "database %s", s->place) : 0;
}

static int open_connections(void *arg)
{
	struct store *s = arg;
	int r = s->read_only ? 0 : open_writer(s);

	if (r == 0)
		r = open_readers(s);
	return r < 0 ? err_trace(r) : 0;
}

static int close_connections(void *arg)
{
	struct store *s = arg;

	CHECK(list_empty(&s->queue));
	while (s->free_readers > 0)
		s->driver->close(s->readers[--s->free_readers]);
	s->driver->close(s->writer); /* last: it folds the log into the database */
	return 0;
}

static int start_threads(struct store *s)
{
	int r;

	if (!worker_self())
		return 0;
	r = offload_start("store-read", s->reader_count, STORE_READS_MAX, &s->read_offload);
	if (r == 0 && !s->read_only)
		r = offload_start("store-write", 1, STORE_WRITES_MAX + 1, &s->write_offload);
	return r < 0 ? err_trace(r) : 0;
}

static int open_somewhere(struct store *s)
{
	if (!s->read_offload)
		return open_connections(s);
	fiber_shield_begin();
	int r = offload_call(s->read_offload, open_connections, s, DEADLINE_NONE);
	fiber_shield_end();
	return err_trace(r);
}

static struct store *store_new(const struct store_options *o, int *ret_error)
{
	struct store *s = calloc(1, sizeof(*s));
	const char *place = NULL;

	*ret_error = 0;
	if (!s) {
		*ret_error = err_raise(-ENOMEM, "out of memory");
		return NULL;
	}
	s->states = o->states;
	s->read_only = o->read_only;
	s->reader_count = o->reader_threads ? MIN(o->reader_threads, (int)STORE_READERS_MAX)
					    : READERS_DEFAULT;
	list_init(&s->queue);
	pthread_mutex_init(&s->write_lock, NULL);
	pthread_mutex_init(&s->queue_lock, NULL);
	pthread_mutex_init(&s->reader_lock, NULL);
	pthread_cond_init(&s->reader_free, NULL);
	s->write_arena = arena_new(STORE_WRITE_ARENA_BYTES);
	*ret_error = sql_driver_of(o->url, &s->driver, &place);
	if (*ret_error == 0)
		s->place = strdup(place);
	if (*ret_error == 0 && (!s->place || !s->write_arena))
		*ret_error = err_raise(-ENOMEM, "out of memory");
	return s;
}

int store_open(const struct store_options *o, struct store **ret)
{
	int r;

	CHECK(o->states.agent && o->states.execution && o->states.iteration);
	struct store *s = store_new(o, &r);
	if (r == 0)
		r = start_threads(s);
	if (r == 0)
		r = open_somewhere(s);
	if (r < 0) {
		store_close(s);
		return err_trace(r);
	}
	*ret = s;
	return 0;
}

void store_close(struct store *s)
{
	if (!s)
		return;
	if (s->driver && s->read_offload) {
		fiber_shield_begin();
		int r = offload_call(s->read_offload, close_connections, s, DEADLINE_NONE);
		fiber_shield_end();
		CHECK(r == 0);
	} else if (s->driver) {
		close_connections(s);
	}
	offload_stop(s->write_offload);
	offload_stop(s->read_offload);
	pthread_cond_destroy(&s->reader_free);
	pthread_mutex_destroy(&s->reader_lock);
	pthread_mutex_destroy(&s->queue_lock);
	pthread_mutex_destroy(&s->write_lock);
	arena_free(s->write_arena);
	free(s->place);
	free(s);
}
