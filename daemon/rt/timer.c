/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Deadlines of parked fibers in a 4-ary heap. Deadlines tend to be set in rising order, so that
 * starting one seldom moves anything. The ring waits until the earliest: one timeout per wait, no
 * kernel object per operation.
 */
#include "daemon/rt/internal.h"
#include <errno.h>
#include <stdlib.h>

int timers_init(struct timers *t, int max)
{
	*t = (struct timers){.max = max};
	t->heap = calloc((size_t)max, sizeof(*t->heap));
	return t->heap ? 0 : err_raise(-ENOMEM, "no memory for %d timers", max);
}

void timers_fini(struct timers *t)
{
	CHECK(t->count == 0);
	free(t->heap);
	*t = (struct timers){0};
}

static void place(struct timers *t, int i, struct timer x)
{
	t->heap[i] = x;
	x.fiber->timer_index = i;
}

static void sift_up(struct timers *t, int i, struct timer x)
{
	while (i > 0) {
		int parent = (i - 1) / 4;
		if (t->heap[parent].deadline_ns <= x.deadline_ns)
			break;
		place(t, i, t->heap[parent]);
		i = parent;
	}
	place(t, i, x);
}

static void sift_down(struct timers *t, int i, struct timer x)
{
	for (;;) {
		int first = 4 * i + 1;
		int last = MIN(first + 4, t->count);
		int least = -1;
		int64_t least_ns = x.deadline_ns;
		for (int c = first; c < last; c++)
			if (t->heap[c].deadline_ns < least_ns) {
				least = c;
				least_ns = t->heap[c].deadline_ns;
			}
		if (least < 0)
			break;
		place(t, i, t->heap[least]);
		i = least;
	}
	place(t, i, x);
}

void timer_start(struct timers *t, struct fiber *f, int64_t deadline_ns)
{
	/* One timer per fiber, and as many slots as stacks. */
	CHECK(f->timer_index < 0 && t->count < t->max);
	sift_up(t, t->count++, (struct timer){deadline_ns, f});
}

void timer_stop(struct timers *t, struct fiber *f)
{
	int i = f->timer_index;
	if (i < 0)
		return;
	f->timer_index = -1;
	struct timer last = t->heap[--t->count];
	if (i == t->count)
		return;
	if (i > 0 && t->heap[(i - 1) / 4].deadline_ns > last.deadline_ns)
		sift_up(t, i, last);
	else
		sift_down(t, i, last);
}

void timers_expire(struct timers *t, int64_t now_ns)
{
	while (t->count && t->heap[0].deadline_ns <= now_ns) {
		struct fiber *f = t->heap[0].fiber;
		timer_stop(t, f);
		fiber_interrupt(f, -ETIME);
	}
}
