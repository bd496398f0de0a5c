/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Reads run beside the writer, on connections of their own, each read in one snapshot. There are as
 * many connections as reading threads, so a thread finds one free; callers outside of the workers
 * may have to wait for one.
 */
#include "daemon/store/internal.h"

#include <errno.h>
#include <stdio.h>

struct reading {
	struct store *store;
	read_fn fn;
	void *arg;
	bool ran;
};

static struct sql_conn *take_reader(struct store *s)
{
	pthread_mutex_lock(&s->reader_lock);
	while (s->free_readers == 0)
		pthread_cond_wait(&s->reader_free, &s->reader_lock);
	struct sql_conn *c = s->readers[--s->free_readers];
	pthread_mutex_unlock(&s->reader_lock);
	return c;
}

static void give_reader(struct store *s, struct sql_conn *c)
{
	pthread_mutex_lock(&s->reader_lock);
	s->readers[s->free_readers++] = c;
	pthread_cond_signal(&s->reader_free);
	pthread_mutex_unlock(&s->reader_lock);
}

/* Ending a snapshot cannot fail in a way that matters, and must not write over the trail of a read
 * that failed. */
static void end_snapshot(struct store *s, struct sql_conn *c)
{
	struct err_trail ignored = {0};
	struct err_trail *kept = err_trail_switch(&ignored);

	if (s->driver->in_transaction(c) && s->driver->run(c, "COMMIT", NULL, 0, NULL, NULL) < 0)
		err_clear();
	err_trail_switch(kept);
}

static int run_read(void *arg)
{
	struct reading *x = arg;
	struct sql_conn *c = take_reader(x->store);
	int r = x->store->driver->run(c, "BEGIN", NULL, 0, NULL, NULL);

	x->ran = true;
	if (r == 0)
		r = x->fn(x->store, c, x->arg);
	end_snapshot(x->store, c);
	give_reader(x->store, c);
	return r;
}

int store_read(struct store *s, read_fn fn, void *arg, int64_t deadline_ns)
{
	struct reading x = {s, fn, arg, false};
	int r = s->read_offload ? offload_call(s->read_offload, run_read, &x, deadline_ns)
				: run_read(&x);

	if (r == -EAGAIN && !x.ran)
		return err_raise(r, "%d reads wait for the database", STORE_READS_MAX);
	return x.ran ? err_trace(r) : r;
}
