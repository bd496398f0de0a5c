/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Group commit. A write is put in a queue and one call of the offload thread is asked for; the call
 * that comes first takes what has gathered and runs it as one transaction, each write inside a
 * savepoint of its own; the calls that follow find theirs done. So while one fsync runs, the writes
 * of the next group arrive.
 *
 * Invariant: a write that was queued is carried through, and its frame waits for that, so nothing
 * it points to may go away meanwhile; hence the shield.
 */
#include "daemon/store/internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

int store_run(struct store *s, const char *sql, const struct sql_value *params, size_t count,
	sql_row_fn fn, void *ctx)
{
	return s->driver->run(s->writer, sql, params, count, fn, ctx);
}

static int plain(struct store *s, const char *sql)
{
	return store_run(s, sql, NULL, 0, NULL, NULL);
}

static void finish(struct write *w, int result)
{
	w->result = result;
	if (result < 0) {
		snprintf(w->message, sizeof(w->message), "%s", err_message(result));
		err_clear();
	}
}

/* 0 if the transaction goes on, else the error that ended it for all. */
static int run_one(struct store *s, struct write *w)
{
	int r = plain(s, "SAVEPOINT one_write");

	if (r < 0)
		return err_trace(r);
	arena_reset(s->write_arena);
	finish(w, w->fn(s, w->arg));
	if (w->result == 0) {
		r = plain(s, "RELEASE SAVEPOINT one_write");
		return r < 0 ? err_trace(r) : 0;
	}
	if (!s->driver->in_transaction(s->writer))
		return err_raise(w->result, "%s", w->message);
	r = plain(s, "ROLLBACK TO SAVEPOINT one_write");
	if (r == 0)
		r = plain(s, "RELEASE SAVEPOINT one_write");
	return r < 0 ? err_trace(r) : 0;
}

static int run_group(struct store *s, struct list *group)
{
	int r = plain(s, "BEGIN IMMEDIATE");

	if (r < 0)
		return err_trace(r);
	list_for_each (node, group) {
		r = run_one(s, list_entry(node, struct write, link));
		if (r < 0)
			break;
	}
	if (r == 0)
		r = plain(s, "COMMIT");
	if (r < 0 && s->driver->in_transaction(s->writer) && plain(s, "ROLLBACK") < 0)
		CHECK(!s->driver->in_transaction(s->writer));
	return r;
}

/* What was committed becomes known, in order, before anybody is told that it is. */
static void call_hook(struct store *s, struct list *group)
{
	size_t count = 0;

	list_for_each (node, group) {
		struct write *w = list_entry(node, struct write, link);
		if (w->result == 0 && w->commit)
			count += w->commit->event_count;
	}
	if (count == 0)
		return;
	struct store_event *events = calloc(count, sizeof(*events));
	size_t n = 0;
	list_for_each (node, group) {
		struct write *w = list_entry(node, struct write, link);
		if (w->result != 0 || !w->commit)
			continue;
		for (size_t i = 0; i < w->commit->event_count; i++) {
			atomic_store(&s->newest_event, w->commit->events[i].number);
			if (events)
				events[n++] = w->commit->events[i];
		}
	}
	/* Without memory for the news those who listen find it in the table, later. */
	if (events && s->hook)
		s->hook(s->hook_ctx, events, count);
	free(events);
}

static void take_group(struct store *s, struct list *ret_group)
{
	list_init(ret_group);
	pthread_mutex_lock(&s->queue_lock);
	struct list *l;
	for (int i = 0; i < STORE_GROUP_MAX && (l = list_pop_front(&s->queue)); i++)
		list_push_back(ret_group, l);
	pthread_mutex_unlock(&s->queue_lock);
}

/* Needs the write lock. */
static void write_group(struct store *s)
{
	struct list group;
	uint64_t commits = 0;

	take_group(s, &group);
	int r = run_group(s, &group);
	char message[ERR_MESSAGE_BYTES] = "";
	if (r < 0) {
		snprintf(message, sizeof(message), "%s", err_message(r));
		err_clear();
	} else {
		atomic_fetch_add(&s->groups, 1);
		call_hook(s, &group);
	}
	for (struct list *l; (l = list_pop_front(&group));) {
		struct write *w = list_entry(l, struct write, link);
		if (r < 0) {
			w->result = r;
			memcpy(w->message, message, sizeof(message));
		}
		commits += w->result == 0;
		w->done = true; /* its owner reads this under the write lock, or after our return */
	}
	atomic_fetch_add(&s->commits, commits);
}

struct turn {
	struct store *store;
	struct write *write;
};

static int write_until_done(void *arg)
{
	struct turn *t = arg;

	pthread_mutex_lock(&t->store->write_lock);
	while (!t->write->done)
		write_group(t->store);
	pthread_mutex_unlock(&t->store->write_lock);
	return 0;
}

static int enqueue(struct store *s, struct write *w)
{
	bool full;

	pthread_mutex_lock(&s->queue_lock);
	full = s->writes_in_flight >= STORE_WRITES_MAX;
	if (!full) {
		s->writes_in_flight++;
		list_push_back(&s->queue, &w->link);
	}
	pthread_mutex_unlock(&s->queue_lock);
	return full ? err_raise(-EAGAIN, "%d writes wait for the database", STORE_WRITES_MAX) : 0;
}

int store_write(struct store *s, struct write *w, int64_t deadline_ns)
{
	struct turn turn = {s, w};
	int r;

	if (s->read_only)
		return err_raise(-EROFS, "%s was opened for reading only", s->place);
	if (s->write_offload) {
		if (fiber_cancelled())
			return -ECANCELED;
		if (rt_now_ns() >= deadline_ns)
			return -ETIME;
	}
	w->done = false;
	w->message[0] = 0;
	r = enqueue(s, w);
	if (r < 0)
		return err_trace(r);
	if (s->write_offload) {
		fiber_shield_begin();
		r = offload_call(s->write_offload, write_until_done, &turn, DEADLINE_NONE);
		fiber_shield_end();
	} else {
		r = write_until_done(&turn);
	}
	CHECK(r == 0); /* its queue is as long as ours, and nothing can cancel it */
	pthread_mutex_lock(&s->queue_lock);
	s->writes_in_flight--;
	pthread_mutex_unlock(&s->queue_lock);
	return w->result < 0 ? err_raise(w->result, "%s", w->message) : w->result;
}
