/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The feed: copies the event table into the audit journal, in order of numbers, each event once.
 * Where it stands is the journal's own last event number, and nothing else: the journal takes a
 * group of records whole or not at all, and refuses a number that it has. So after a kill at any
 * instruction the feed goes on with the first event that the journal does not have.
 */
#include "daemon/event/internal.h"

#include <errno.h>

enum {
	FEED_GROUP = 256, /* events at a time */
	RETRY_MS = 200, /* after the journal or the store refused */
	STOP_TRIES = 10, /* the daemon must be able to stop with a full disk */
};

static struct part *part_of_feed(struct event_bus *b)
{
	return &b->parts[worker_index(b->home)];
}

static int record_of(const struct store_event *e, struct arena *a, struct audit_record *ret)
{
	struct buf payload CLEANUP(buf_fini) = buf_init(LIMIT_AUDIT_PAYLOAD_BYTES);
	int r = event_to_record(e, AUDIT_EVENT, &payload, ret);

	if (r < 0)
		return err_trace(r);
	ret->payload = arena_span(a, ret->payload);
	return ret->payload.p ? 0 : err_raise(-ENOMEM, "out of memory");
}

/* One group. 1 if there may be more. */
static int feed_group(struct event_bus *b, struct arena *a)
{
	struct store_event_query q = {
		.after_number = journal_last_event(b->journal), .limit = FEED_GROUP};
	struct store_events events;
	int r = store_event_list(b->store, &q, a, &events, DEADLINE_NONE);

	if (r < 0)
		return r == -ECANCELED ? r : err_trace(r);
	if (events.count == 0)
		return 0;
	if (events.items[0].number != q.after_number + 1)
		return err_raise(-EUCLEAN, "events %llu to %llu are missing in the store",
			(unsigned long long)q.after_number + 1,
			(unsigned long long)events.items[0].number - 1);
	struct audit_record *records = arena_make_array(a, struct audit_record, events.count);
	if (!records)
		return err_raise(-ENOMEM, "out of memory");
	for (size_t i = 0; r == 0 && i < events.count; i++)
		r = sets_announce(b, part_of_feed(b), events.items[i].details, DEADLINE_NONE);
	for (size_t i = 0; r == 0 && i < events.count; i++)
		r = record_of(&events.items[i], a, &records[i]);
	if (r == 0)
		r = journal_append(b->journal, records, events.count, DEADLINE_NONE);
	if (r < 0)
		return r == -ECANCELED ? r : err_trace(r);
	waitq_wake_all(&b->journaled);
	return 1;
}

static bool behind(const struct event_bus *b)
{
	return journal_last_event(b->journal) < atomic_load(&b->head);
}

static int feed_all(struct event_bus *b)
{
	struct arena *a CLEANUP(arena_cleanup) = arena_new(8 * (size_t)LIMIT_STORE_READ_BYTES);
	int r = a ? 1 : err_raise(-ENOMEM, "out of memory");

	while (r == 1 && behind(b)) {
		arena_reset(a);
		r = feed_group(b, a);
	}
	return r < 0 ? r : 0;
}

static void on_wake(struct msg *m)
{
	struct event_bus *b = container_of(m, struct event_bus, feed_wake);

	waitq_wake_all(&b->feed_work);
	atomic_store(&b->feed_wake_sent, false);
}

void feed_wake(struct event_bus *b)
{
	if (!b->journal || atomic_exchange(&b->feed_wake_sent, true))
		return;
	b->feed_wake.fn = on_wake;
	if (worker_post(b->home, &b->feed_wake) < 0)
		atomic_store(&b->feed_wake_sent, false); /* the feed looks again in a while */
}

static void try_checkpoint(struct event_bus *b, int64_t *next_ns, bool now)
{
	if (b->checkpoint_ns == 0 || (!now && rt_now_ns() < *next_ns))
		return;
	*next_ns = rt_now_ns() + b->checkpoint_ns;
	int r = journal_checkpoint(b->journal, rt_now_ns() + b->checkpoint_ns);
	if (r < 0)
		err_log(r, "audit journal: checkpoint");
}

/* Logs a failure once, not at every attempt. */
static void note(int r, int *last)
{
	if (r < 0 && r != -ECANCELED && r != *last)
		err_log(r, "feed of the audit journal");
	else if (r < 0)
		err_clear();
	*last = r;
}

void feed_service(void *arg)
{
	struct event_bus *b = arg;
	int64_t checkpoint_ns = rt_now_ns() + b->checkpoint_ns;
	int last = 0;
	int tries = 0;

	while (!b->stopping || (behind(b) && tries < STOP_TRIES)) {
		int r = feed_all(b);
		note(r, &last);
		tries += b->stopping;
		try_checkpoint(b, &checkpoint_ns, false);
		if (r < 0)
			r = rt_sleep_until(deadline_in_ms(RETRY_MS));
		else if (!behind(b) && !b->stopping)
			r = waitq_wait(&b->feed_work, deadline_in_ms(CHECK_AGAIN_MS));
		if (fiber_cancelled())
			return; /* the next start goes on from here */
	}
	try_checkpoint(b, &checkpoint_ns, true);
}

/* ---- waiting for it ---- */

struct wait_journaled {
	struct event_bus *bus;
	uint64_t number;
	int64_t deadline_ns;
};

static int wait_at_home(void *arg)
{
	struct wait_journaled *x = arg;
	int r = 0;

	while (r == 0 && journal_last_event(x->bus->journal) < x->number)
		r = waitq_wait(&x->bus->journaled, x->deadline_ns);
	return r;
}

int event_journaled(struct event_bus *b, uint64_t number, int64_t deadline_ns)
{
	struct wait_journaled x = {b, number, deadline_ns};

	if (!b->journal)
		return err_raise(-ENOTSUP, "events are not journaled here");
	if (worker_self() == b->home)
		return wait_at_home(&x);
	return worker_call(b->home, "event-journaled", wait_at_home, &x, deadline_ns);
}

uint64_t event_journaled_through(const struct event_bus *b)
{
	return b->journal ? journal_last_event(b->journal) : 0;
}
