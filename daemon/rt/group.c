/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Groups: the scopes that fibers live in. Cancelling is one flag that every await looks at, and a
 * nudge to those who are parked. What a cancelled fiber started itself is closed by that fiber on
 * its way out, so cancellation travels down the tree of scopes without anybody keeping the tree.
 */
#include "daemon/rt/internal.h"
#include <errno.h>

void group_init(struct group *g)
{
	*g = (struct group){0};
	list_init(&g->fibers);
	list_init(&g->waiters);
}

int group_spawn(struct group *g, const char *name, enum fiber_stack stack, fiber_fn fn, void *arg)
{
	CHECK(worker_current);
	return fiber_start(worker_current, g, name, stack, fn, arg);
}

void group_cancel(struct group *g)
{
	if (g->cancelled)
		return;
	g->cancelled = true;
	/* An interrupt wakes, it does not run anybody: the list stays as it is. */
	list_for_each (l, &g->fibers)
		fiber_interrupt(list_entry(l, struct fiber, sibling), -ECANCELED);
}

int group_join(struct group *g, int64_t deadline_ns)
{
	CHECK(fiber_self()->group != g);
	if (g->count == 0)
		return 0;
	return fiber_wait_in(&g->waiters, "group", deadline_ns, g);
}

void group_close(struct group *g)
{
	group_cancel(g);
	fiber_shield_begin();
	while (g->count > 0)
		CHECK(group_join(g, DEADLINE_NONE) == 0);
	fiber_shield_end();
}
