/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * From the commit to the subscribers. The store's writer calls the hook with each group of events,
 * in order. If anybody listens, the group is copied once and the copy is sent to every worker,
 * where it goes into a ring of recent groups; a subscriber is a place in the order of numbers and
 * reads the ring from there, or the store, when the ring no longer reaches back to it.
 *
 * Because numbers have no gaps, a subscriber always knows whether the ring has what comes next. So
 * nothing here has to be reliable: a message that could not be sent, a group for which there was no
 * memory, a subscriber that slept too long, all end in one more read of the store.
 */
#include "daemon/event/internal.h"

#include <errno.h>
#include <stdlib.h>

struct event_sub {
	struct list link;
	struct part *part;
	struct event_filter filter;
	uint64_t cursor; /* everything up to here was delivered, or did not match */
	struct waitq wake;

	struct arena *arena; /* of the backlog */
	struct store_events backlog; /* read from the store, not yet delivered */
	size_t backlog_next;
};

struct delivery {
	struct msg msg;
	struct part *part;
	struct batch *batch;
};

/* ---- groups of events ---- */

static size_t span_bytes(const struct store_event *e)
{
	return e->type.n + e->category.n + e->stage.n + e->message.n + e->tenant_id.n +
		e->details.n;
}

static struct span keep(char **at, struct span s)
{
	struct span kept = {*at, s.n};

	if (s.n)
		memcpy(*at, s.p, s.n);
	*at += s.n;
	return kept;
}

static struct batch *batch_of(const struct store_event *events, size_t count)
{
	size_t bytes = sizeof(struct batch) + count * sizeof(*events);

	for (size_t i = 0; i < count; i++)
		bytes += span_bytes(&events[i]);
	struct batch *b = malloc(bytes);
	if (!b)
		return NULL;
	atomic_init(&b->refs, 1);
	b->count = count;
	b->bytes = bytes;
	char *at = (char *)&b->events[count];
	for (size_t i = 0; i < count; i++) {
		struct store_event *e = &b->events[i];
		*e = events[i];
		e->type = keep(&at, e->type);
		e->category = keep(&at, e->category);
		e->stage = keep(&at, e->stage);
		e->message = keep(&at, e->message);
		e->tenant_id = keep(&at, e->tenant_id);
		e->details = keep(&at, e->details);
	}
	return b;
}

static struct batch *batch_ref(struct batch *b)
{
	atomic_fetch_add(&b->refs, 1);
	return b;
}

static void batch_unref(struct batch *b)
{
	if (b && atomic_fetch_sub(&b->refs, 1) == 1)
		free(b);
}

/* ---- a worker's ring ---- */

static void ring_drop_oldest(struct part *p)
{
	struct batch *b = p->ring[p->first];

	p->first = (p->first + 1) % RING_BATCHES;
	p->count--;
	p->bytes -= b->bytes;
	batch_unref(b);
}

static void ring_add(struct part *p, struct batch *b)
{
	while (p->count == RING_BATCHES || (p->count > 0 && p->bytes + b->bytes > RING_BYTES))
		ring_drop_oldest(p);
	p->ring[(p->first + p->count) % RING_BATCHES] = b;
	p->count++;
	p->bytes += b->bytes;
}

static struct batch *ring_at(const struct part *p, unsigned i)
{
	return p->ring[(p->first + i) % RING_BATCHES];
}

/* Groups arrive in order, so the one that holds `number` is found by halving. */
static const struct batch *ring_find(const struct part *p, uint64_t number)
{
	unsigned low = 0;
	unsigned high = p->count;

	while (low < high) {
		unsigned middle = (low + high) / 2;
		const struct batch *b = ring_at(p, middle);
		if (number < b->events[0].number)
			high = middle;
		else if (number > b->events[b->count - 1].number)
			low = middle + 1;
		else
			return b;
	}
	return NULL;
}

static bool matches(const struct event_filter *f, const struct store_event *e)
{
	if (!uuid_is_nil(f->execution_id) && !uuid_eq(f->execution_id, e->execution_id))
		return false;
	return uuid_is_nil(f->agent_id) || uuid_eq(f->agent_id, e->agent_id);
}

static bool batch_matches(const struct event_filter *f, const struct batch *b)
{
	for (size_t i = 0; i < b->count; i++)
		if (matches(f, &b->events[i]))
			return true;
	return false;
}

static void on_delivery(struct msg *m)
{
	struct delivery *d = container_of(m, struct delivery, msg);
	struct part *p = d->part;

	if (list_empty(&p->subs)) /* whoever comes later reads the store up to here */
		batch_unref(d->batch);
	else
		ring_add(p, d->batch);
	list_for_each (node, &p->subs) {
		struct event_sub *s = list_entry(node, struct event_sub, link);
		if (batch_matches(&s->filter, d->batch))
			waitq_wake_all(&s->wake);
	}
	atomic_fetch_sub(&p->bus->deliveries, 1);
	free(d);
}

static void deliver(struct part *p, int index, struct batch *b)
{
	struct delivery *d = malloc(sizeof(*d));

	if (!d)
		return;
	*d = (struct delivery){.msg = {.fn = on_delivery}, .part = p, .batch = batch_ref(b)};
	atomic_fetch_add(&p->bus->deliveries, 1);
	if (worker_post(worker_at(index), &d->msg) < 0) {
		atomic_fetch_sub(&p->bus->deliveries, 1);
		batch_unref(b);
		free(d);
	}
}

/* On the thread that writes the store. */
void bus_hook(void *ctx, const struct store_event *events, size_t count)
{
	struct event_bus *bus = ctx;

	atomic_store(&bus->head, events[count - 1].number);
	feed_wake(bus);
	if (atomic_load(&bus->subscribers) == 0)
		return;
	struct batch *b = batch_of(events, count);
	if (!b)
		return;
	for (int i = 0; i < bus->part_count; i++)
		deliver(&bus->parts[i], i, b);
	batch_unref(b);
}

/* ---- subscriptions ---- */

int event_subscribe(struct event_bus *b, const struct event_filter *f, struct event_sub **ret)
{
	struct event_sub *s = calloc(1, sizeof(*s));

	if (s)
		s->arena = arena_new(2 * (size_t)LIMIT_STORE_READ_BYTES);
	if (!s || !s->arena) {
		free(s);
		return err_raise(-ENOMEM, "out of memory");
	}
	s->part = &b->parts[worker_index(worker_self())];
	s->filter = *f;
	s->cursor = MIN(f->after_number, atomic_load(&b->head));
	waitq_init(&s->wake);
	list_push_back(&s->part->subs, &s->link);
	atomic_fetch_add(&b->subscribers, 1);
	*ret = s;
	return 0;
}

void event_unsubscribe(struct event_sub *s)
{
	if (!s)
		return;
	struct part *p = s->part;
	list_remove(&s->link);
	atomic_fetch_sub(&p->bus->subscribers, 1);
	/* Without subscribers nothing is sent, so what the ring holds would only grow old. */
	while (list_empty(&p->subs) && p->count > 0)
		ring_drop_oldest(p);
	arena_free(s->arena);
	free(s);
}

static int copy_event(struct arena *a, const struct store_event *e, struct store_event *ret)
{
	struct span *texts[] = {&ret->type, &ret->category, &ret->stage, &ret->message,
		&ret->tenant_id, &ret->details};

	*ret = *e;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		size_t n = texts[i]->n;
		*texts[i] = arena_span(a, *texts[i]);
		if (n && !texts[i]->p)
			return err_raise(-ENOMEM, "event beyond the arena's limit");
	}
	return 0;
}

/* Moves the cursor through the ring. The next event that matches, or NULL with the cursor where the
 * ring ends, or where it does not reach. */
static const struct store_event *next_in_ring(struct event_sub *s)
{
	const struct batch *b;

	while ((b = ring_find(s->part, s->cursor + 1)) != NULL) {
		size_t i = (size_t)(s->cursor + 1 - b->events[0].number);
		for (; i < b->count; i++) {
			s->cursor = b->events[i].number;
			if (matches(&s->filter, &b->events[i]))
				return &b->events[i];
		}
	}
	return NULL;
}

static int read_backlog(struct event_sub *s, int64_t deadline_ns)
{
	struct store_event_query q = {
		.execution_id = s->filter.execution_id,
		.agent_id = s->filter.agent_id,
		.after_number = s->cursor,
		.limit = 64,
	};
	struct store_events found;

	arena_reset(s->arena);
	s->backlog.count = 0;
	if (!uuid_is_nil(q.execution_id))
		q.agent_id = (struct uuid){{0}}; /* an execution is of one agent */
	int r = store_event_list(s->part->bus->store, &q, s->arena, &found, deadline_ns);
	if (r < 0)
		return r;
	s->backlog = found;
	s->backlog_next = 0;
	if (found.count == 0)
		s->cursor = MAX(s->cursor, found.head);
	return 0;
}

static const struct store_event *next_in_backlog(struct event_sub *s)
{
	while (s->backlog_next < s->backlog.count) {
		const struct store_event *e = &s->backlog.items[s->backlog_next++];
		s->cursor = e->number;
		if (matches(&s->filter, e))
			return e;
	}
	return NULL;
}

static int wait_for_news(struct event_sub *s, int64_t deadline_ns)
{
	int64_t again = deadline_in_ms(CHECK_AGAIN_MS);
	int r = waitq_wait(&s->wake, deadline_earlier(deadline_ns, again));

	return r == -ETIME && rt_now_ns() < deadline_ns ? 0 : r;
}

int event_next(struct event_sub *s, struct arena *a, struct store_event *ret, int64_t deadline_ns)
{
	for (;;) {
		int r = 0;
		const struct store_event *e = next_in_backlog(s);
		if (!e)
			e = next_in_ring(s);
		if (e)
			return copy_event(a, e, ret);
		if (s->cursor < atomic_load(&s->part->bus->head))
			r = read_backlog(s, deadline_ns);
		else
			r = wait_for_news(s, deadline_ns);
		if (r < 0)
			return r;
	}
}

/* ---- life ---- */

static struct event_bus *bus_new(const struct event_bus_options *o)
{
	int workers = worker_count();
	struct event_bus *b = calloc(1, sizeof(*b) + (size_t)workers * sizeof(b->parts[0]));

	if (!b)
		return NULL;
	b->store = o->store;
	b->journal = o->journal;
	b->checkpoint_ns = o->checkpoint_ms * NS_PER_MS;
	b->home = worker_self();
	b->part_count = workers;
	atomic_init(&b->head, store_stats(o->store).events);
	group_init(&b->services);
	waitq_init(&b->feed_work);
	waitq_init(&b->journaled);
	for (int i = 0; i < workers; i++) {
		b->parts[i].bus = b;
		list_init(&b->parts[i].subs);
		list_init(&b->parts[i].to_record);
		sets_init(&b->parts[i]);
	}
	return b;
}

int event_bus_start(const struct event_bus_options *o, struct event_bus **ret)
{
	uint64_t stored = store_stats(o->store).events;
	uint64_t journaled = o->journal ? journal_last_event(o->journal) : 0;

	if (journaled > stored)
		return err_raise(-EUCLEAN,
			"the audit journal has event %llu, the store ends at event %llu: the store "
			"was replaced by an older copy. Restore the newer one, or name another "
			"folder for the journal",
			(unsigned long long)journaled, (unsigned long long)stored);
	struct event_bus *b = bus_new(o);
	if (!b)
		return err_raise(-ENOMEM, "out of memory");
	store_set_hook(o->store, bus_hook, b);
	if (b->journal) {
		int r = group_spawn(&b->services, "event-feed", FIBER_LARGE, feed_service, b);
		if (r < 0) {
			store_set_hook(o->store, NULL, NULL);
			free(b);
			return err_raise(r, "no fiber for the feed of the audit journal");
		}
	}
	*ret = b;
	return 0;
}

void event_bus_stop(struct event_bus *b)
{
	if (!b)
		return;
	CHECK(atomic_load(&b->subscribers) == 0);
	b->stopping = true;
	waitq_wake_all(&b->feed_work);
	fiber_shield_begin();
	int r = group_join(&b->services, DEADLINE_NONE);
	CHECK(r == 0);
	store_set_hook(b->store, NULL, NULL);
	/* Messages under way still point here. */
	while (atomic_load(&b->deliveries) > 0 || atomic_load(&b->feed_wake_sent)) {
		r = rt_sleep_until(deadline_in_ms(1));
		CHECK(r == 0);
	}
	fiber_shield_end();
	for (int i = 0; i < b->part_count; i++) {
		while (b->parts[i].count > 0)
			ring_drop_oldest(&b->parts[i]);
		sets_fini(&b->parts[i]);
	}
	free(b);
}
