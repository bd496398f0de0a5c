/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Waiting for other fibers of the same worker: sleep, condition queues, locks, channels. A channel
 * hands an item straight to a waiting receiver, through the pointer that the receiver left in its
 * fiber, so that an item never is on the way to somebody who has given up.
 */
#include "daemon/rt/internal.h"
#include <errno.h>
#include <stdlib.h>

static void sleep_over(struct fiber *f, int reason)
{
	fiber_wake(f, reason == -ETIME ? 0 : reason);
}

int rt_sleep_until(int64_t deadline_ns)
{
	int r = await_check(fiber_self(), deadline_ns);
	if (r < 0)
		return r == -ETIME ? 0 : r;
	return fiber_park("sleep", deadline_ns, sleep_over, NULL);
}

void waitq_init(struct waitq *q)
{
	list_init(&q->fibers);
}

int waitq_wait(struct waitq *q, int64_t deadline_ns)
{
	return fiber_wait_in(&q->fibers, "waitq", deadline_ns, q);
}

bool waitq_wake_one(struct waitq *q)
{
	struct list *l = list_pop_front(&q->fibers);
	if (l)
		fiber_wake(list_entry(l, struct fiber, link), 0);
	return l != NULL;
}

void waitq_wake_all(struct waitq *q)
{
	while (waitq_wake_one(q))
		continue;
}

void fiber_lock_init(struct fiber_lock *l)
{
	l->held = false;
	waitq_init(&l->waiters);
}

int fiber_lock_take(struct fiber_lock *l, int64_t deadline_ns)
{
	int r = await_check(fiber_self(), deadline_ns);
	while (r == 0 && l->held)
		r = waitq_wait(&l->waiters, deadline_ns);
	if (r == 0)
		l->held = true;
	return r;
}

void fiber_lock_give(struct fiber_lock *l)
{
	CHECK(l->held);
	l->held = false;
	waitq_wake_one(&l->waiters);
}

struct chan {
	size_t capacity;
	size_t count;
	size_t first;
	bool closed;
	struct list senders; /* only while full; fiber->waits_on: the item */
	struct list receivers; /* only while empty; fiber->waits_on: where the item goes */
	void *items[];
};

struct chan *chan_new(size_t capacity)
{
	CHECK(capacity > 0 && capacity <= SIZE_MAX / 2 / sizeof(void *));
	struct chan *c = calloc(1, sizeof(*c) + capacity * sizeof(c->items[0]));
	if (!c)
		return NULL;
	c->capacity = capacity;
	list_init(&c->senders);
	list_init(&c->receivers);
	return c;
}

struct chan *chan_free(struct chan *c)
{
	if (c)
		CHECK(list_empty(&c->senders) && list_empty(&c->receivers));
	free(c);
	return NULL;
}

static struct fiber *first_waiting(struct list *queue)
{
	struct list *l = list_pop_front(queue);
	return l ? list_entry(l, struct fiber, link) : NULL;
}

static void put_item(struct chan *c, void *item)
{
	c->items[(c->first + c->count) % c->capacity] = item;
	c->count++;
}

int chan_try_send(struct chan *c, void *item)
{
	if (c->closed)
		return -EPIPE;
	struct fiber *f = first_waiting(&c->receivers);
	if (f) {
		*(void **)f->waits_on = item;
		fiber_wake(f, 0);
		return 0;
	}
	if (c->count == c->capacity)
		return -EAGAIN;
	put_item(c, item);
	return 0;
}

int chan_send(struct chan *c, void *item, int64_t deadline_ns)
{
	int r = await_check(fiber_self(), deadline_ns);
	if (r == 0)
		r = chan_try_send(c, item);
	if (r == -EAGAIN)
		r = fiber_wait_in(&c->senders, "chan_send", deadline_ns, item);
	return r;
}

int chan_recv(struct chan *c, void **ret_item, int64_t deadline_ns)
{
	int r = await_check(fiber_self(), deadline_ns);
	if (r < 0)
		return r;
	if (c->count == 0) {
		void *item = NULL;
		if (c->closed)
			return -EPIPE;
		r = fiber_wait_in(&c->receivers, "chan_recv", deadline_ns, &item);
		if (r == 0)
			*ret_item = item;
		return r;
	}
	*ret_item = c->items[c->first];
	c->first = (c->first + 1) % c->capacity;
	c->count--;
	struct fiber *f = first_waiting(&c->senders);
	if (f) {
		put_item(c, f->waits_on);
		fiber_wake(f, 0);
	}
	return 0;
}

void chan_close(struct chan *c)
{
	c->closed = true;
	for (struct fiber *f; (f = first_waiting(&c->receivers));)
		fiber_wake(f, -EPIPE);
	for (struct fiber *f; (f = first_waiting(&c->senders));)
		fiber_wake(f, -EPIPE);
}
