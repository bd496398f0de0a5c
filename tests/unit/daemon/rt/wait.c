/* SPDX-License-Identifier: AGPL-3.0-only */
#include "tests/unit/daemon/rt/in_fiber.h"

struct waiter {
	struct waitq *q;
	int *woken;
	int place;
	int result;
};

static void wait_in_line(void *arg)
{
	struct waiter *w = arg;
	w->result = waitq_wait(w->q, DEADLINE_NONE);
	w->place = (*w->woken)++;
}

static void body_waitq(void *arg)
{
	enum { N = 5 };
	struct waitq q;
	struct waiter w[N];
	struct group g;
	int woken = 0;
	waitq_init(&q);
	group_init(&g);
	EXPECT(!waitq_wake_one(&q));
	for (int i = 0; i < N; i++) {
		w[i] = (struct waiter){.q = &q, .woken = &woken};
		EXPECT_INT(group_spawn(&g, "wait", FIBER_SMALL, wait_in_line, &w[i]), 0);
	}
	fiber_yield();
	EXPECT_INT(woken, 0);
	EXPECT(waitq_wake_one(&q));
	fiber_yield();
	EXPECT_INT(woken, 1);
	waitq_wake_all(&q);
	EXPECT_INT(group_join(&g, DEADLINE_NONE), 0);
	for (int i = 0; i < N; i++) {
		EXPECT_INT(w[i].place, i);
		EXPECT_INT(w[i].result, 0);
	}
}

static void waiters_wake_in_their_order(void **state)
{
	in_fiber(body_waitq);
}

struct worker_in_turn {
	struct fiber_lock *lock;
	int *inside;
	int done;
};

static void work_in_turn(void *arg)
{
	struct worker_in_turn *w = arg;
	for (int i = 0; i < 3; i++) {
		if (fiber_lock_take(w->lock, DEADLINE_NONE) < 0)
			return;
		EXPECT_INT(++*w->inside, 1);
		fiber_yield();
		--*w->inside;
		fiber_lock_give(w->lock);
		w->done++;
	}
}

static void body_lock(void *arg)
{
	enum { N = 4 };
	struct worker_in_turn w[N];
	struct fiber_lock lock;
	struct group g, late;
	int inside = 0;
	fiber_lock_init(&lock);
	group_init(&g);
	group_init(&late);
	for (int i = 0; i < N; i++) {
		w[i] = (struct worker_in_turn){&lock, &inside, 0};
		EXPECT_INT(group_spawn(&g, "work", FIBER_SMALL, work_in_turn, &w[i]), 0);
	}
	EXPECT_INT(group_join(&g, DEADLINE_NONE), 0);
	for (int i = 0; i < N; i++)
		EXPECT_INT(w[i].done, 3);

	EXPECT_INT(fiber_lock_take(&lock, DEADLINE_NONE), 0);
	EXPECT_INT(fiber_lock_take(&lock, deadline_in_ms(1)), -ETIME);
	w[0].done = 0;
	EXPECT_INT(group_spawn(&late, "work", FIBER_SMALL, work_in_turn, &w[0]), 0);
	fiber_yield();
	group_close(&late); /* whoever gives up leaves the lock to the next */
	EXPECT_INT(w[0].done, 0);
	fiber_lock_give(&lock);
	EXPECT_INT(fiber_lock_take(&lock, DEADLINE_NONE), 0);
	fiber_lock_give(&lock);
}

static void a_lock_is_held_by_one(void **state)
{
	in_fiber(body_lock);
}

/* Who was woken before the cancel came has been woken. */
static void body_woken_then_cancelled(void *arg)
{
	struct waitq q;
	struct group g;
	int woken = 0;
	struct waiter w = {.q = &q, .woken = &woken, .result = 1};
	waitq_init(&q);
	group_init(&g);
	EXPECT_INT(group_spawn(&g, "wait", FIBER_SMALL, wait_in_line, &w), 0);
	fiber_yield();
	waitq_wake_all(&q);
	group_close(&g);
	EXPECT_INT(w.result, 0);
}

static void a_wake_up_is_not_taken_back(void **state)
{
	in_fiber(body_woken_then_cancelled);
}

/* ---- channels ---- */

struct pump {
	struct chan *c;
	intptr_t count;
	intptr_t sum;
	int result;
};

static void send_numbers(void *arg)
{
	struct pump *p = arg;
	for (intptr_t i = 1; i <= p->count; i++)
		EXPECT_INT(chan_send(p->c, (void *)i, deadline_in_ms(10000)), 0);
}

static void receive_numbers(void *arg)
{
	struct pump *p = arg;
	void *item;
	while ((p->result = chan_recv(p->c, &item, deadline_in_ms(10000))) == 0)
		p->sum += (intptr_t)item;
}

static void body_chan(void *arg)
{
	struct chan *c = chan_new(3);
	struct pump senders[4];
	struct pump receivers[3];
	struct group sending;
	struct group receiving;
	intptr_t sum = 0;
	group_init(&sending);
	group_init(&receiving);
	for (int i = 0; i < 3; i++) {
		receivers[i] = (struct pump){.c = c};
		EXPECT_INT(group_spawn(
				   &receiving, "recv", FIBER_SMALL, receive_numbers, &receivers[i]),
			0);
	}
	for (int i = 0; i < 4; i++) {
		senders[i] = (struct pump){.c = c, .count = 500};
		EXPECT_INT(
			group_spawn(&sending, "send", FIBER_SMALL, send_numbers, &senders[i]), 0);
	}
	EXPECT_INT(group_join(&sending, DEADLINE_NONE), 0);
	chan_close(c);
	EXPECT_INT(group_join(&receiving, DEADLINE_NONE), 0);
	for (int i = 0; i < 3; i++) {
		EXPECT_INT(receivers[i].result, -EPIPE);
		sum += receivers[i].sum;
	}
	EXPECT_INT(sum, 4 * 500 * 501 / 2);
	chan_free(c);
}

static void a_channel_delivers_each_item_once(void **state)
{
	in_fiber(body_chan);
}

static void body_chan_order(void *arg)
{
	struct chan *c = chan_new(2);
	void *item = NULL;
	EXPECT_INT(chan_try_send(c, "a"), 0);
	EXPECT_INT(chan_send(c, "b", 1000), -ETIME);
	EXPECT_INT(chan_send(c, "b", DEADLINE_NONE), 0);
	EXPECT_INT(chan_try_send(c, "c"), -EAGAIN);
	EXPECT_INT(chan_send(c, "c", deadline_in_ms(2)), -ETIME);
	chan_close(c);
	EXPECT_INT(chan_try_send(c, "d"), -EPIPE);
	EXPECT_INT(chan_send(c, "d", DEADLINE_NONE), -EPIPE);
	EXPECT_INT(chan_recv(c, &item, DEADLINE_NONE), 0);
	EXPECT(*(char *)item == 'a');
	EXPECT_INT(chan_recv(c, &item, DEADLINE_NONE), 0);
	EXPECT(*(char *)item == 'b');
	EXPECT_INT(chan_recv(c, &item, DEADLINE_NONE), -EPIPE);
	chan_free(c);
}

static void a_closed_channel_is_drained(void **state)
{
	in_fiber(body_chan_order);
}

static void blocked_sender(void *arg)
{
	struct pump *p = arg;
	p->result = chan_send(p->c, p, DEADLINE_NONE);
}

static void body_close_wakes(void *arg)
{
	struct chan *c = chan_new(1);
	struct pump p = {.c = c};
	struct group g;
	void *item;
	group_init(&g);
	EXPECT_INT(chan_try_send(c, c), 0);
	EXPECT_INT(group_spawn(&g, "send", FIBER_SMALL, blocked_sender, &p), 0);
	fiber_yield();
	chan_close(c);
	EXPECT_INT(group_join(&g, DEADLINE_NONE), 0);
	EXPECT_INT(p.result, -EPIPE);
	EXPECT_INT(chan_recv(c, &item, DEADLINE_NONE), 0);
	EXPECT(item == c);
	chan_free(c);
}

static void closing_wakes_blocked_senders(void **state)
{
	in_fiber(body_close_wakes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_lock_is_held_by_one),
		cmocka_unit_test(waiters_wake_in_their_order),
		cmocka_unit_test(a_wake_up_is_not_taken_back),
		cmocka_unit_test(a_channel_delivers_each_item_once),
		cmocka_unit_test(a_closed_channel_is_drained),
		cmocka_unit_test(closing_wakes_blocked_senders),
	};
	return cmocka_run_group_tests_name("rt", tests, NULL, NULL);
}
