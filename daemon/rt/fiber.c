/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Fibers: who runs, who is ready, who waits. A fiber that parks goes straight to the next ready
 * one; the worker's loop gets the processor when none is ready or when the budget of switches is
 * used up, so that fibers which yield to each other cannot starve the ring.
 *
 * A fiber is in exactly one place: running (worker->current), ready (worker->ready), or parked,
 * where its `interrupt` says how to end the wait. Ready means decided: a cancel or a timer that
 * comes after the wake-up does not change the result of that wait.
 */
#include "daemon/rt/backend.h"
#include "daemon/rt/sanitize.h"
#include <errno.h>

#if !defined(__x86_64__)
#error "fibers switch by fiber_x86_64.S; another processor needs a file of its own beside it"
#endif

enum { SWITCH_BUDGET = 512 };

/* What fiber_switch restores on a new stack, see fiber_x86_64.S. */
struct first_frame {
	uint64_t r15, r14, r13, r12, rbx, rbp;
	void (*entry)(void);
	void *end_of_chain;
};

struct fiber *fiber_self(void)
{
	struct worker *w = worker_current;
	CHECK(w && w->current != &w->loop);
	return w->current;
}

/* The fiber that ended may be wiped once nobody stands on its stack. */
static void bury(struct worker *w)
{
	struct fiber *f = w->dead;
	if (__builtin_expect(f != NULL, 0)) {
		w->dead = NULL;
		stack_put(f);
	}
}

static void switch_to(struct worker *w, struct fiber *from, struct fiber *to, bool last)
{
	if (from == to)
		return;
	w->current = to;
	err_trail_switch(to->trail);
	log_context_switch(to->log);
	sanitize_leave(from, to, last);
	fiber_switch(&from->sp, to->sp);
	sanitize_arrive(from);
	bury(w);
}

static struct fiber *next_ready(struct worker *w)
{
	if (w->budget == 0 || list_empty(&w->ready))
		return &w->loop;
	w->budget--;
	struct fiber *f = list_first(&w->ready, struct fiber, link);
	if (__builtin_expect(w->backend != NULL, 0))
		f = w->backend->pick(w);
	list_remove(&f->link);
	f->state = FIBER_RUNNING;
	return f;
}

void fibers_run(struct worker *w)
{
	w->budget = SWITCH_BUDGET;
	switch_to(w, &w->loop, next_ready(w), false);
}

static void make_ready(struct worker *w, struct fiber *f)
{
	f->state = FIBER_READY;
	list_push_back(&w->ready, &f->link);
}

static void group_leave(struct fiber *f)
{
	struct group *g = f->group;
	list_remove(&f->sibling);
	if (--g->count > 0)
		return;
	for (struct list *l; (l = list_pop_front(&g->waiters));)
		fiber_wake(list_entry(l, struct fiber, link), 0);
}

void fiber_main(struct fiber *f)
{
	struct worker *w = worker_current;
	sanitize_arrive(f);
	bury(w);
	f->fn(f->arg);
	CHECK(f->shield == 0);
	group_leave(f);
	list_remove(&f->all);
	w->alive--;
	w->dead = f;
	switch_to(w, f, next_ready(w), true);
	UNREACHABLE();
}

int fiber_start(struct worker *w, struct group *g, const char *name, enum fiber_stack stack,
	fiber_fn fn, void *arg)
{
	if (g->cancelled)
		return -ECANCELED;
	if (w->backend && !w->backend->may_spawn(w))
		return -EAGAIN;
	struct fiber *f = stack_get(stack == FIBER_LARGE ? &w->large : &w->small);
	if (!f)
		return -EAGAIN;
	f->group = g;
	f->fn = fn;
	f->arg = arg;
	f->name = name;
	f->timer_index = -1;
	f->trail = &f->own_trail;
	f->log = &f->own_log;
	if (w->current->log->execution_id[0] || w->current->log->call_id[0])
		f->own_log = *w->current->log;
	struct first_frame *frame = (struct first_frame *)(void *)f - 1;
	frame->r12 = (uintptr_t)f;
	frame->entry = fiber_entry;
	f->sp = frame;
	list_push_back(&g->fibers, &f->sibling);
	g->count++;
	list_push_back(&w->fibers, &f->all);
	w->alive++;
	make_ready(w, f);
	return 0;
}

int await_check(const struct fiber *f, int64_t deadline_ns)
{
	if (f->group->cancelled && f->shield == 0)
		return -ECANCELED;
	if (deadline_ns == DEADLINE_NONE)
		return 0;
	return deadline_ns <= worker_now(worker_current) ? -ETIME : 0;
}

int fiber_park(const char *what, int64_t deadline_ns, interrupt_fn interrupt, void *waits_on)
{
	struct worker *w = worker_current;
	struct fiber *f = fiber_self();
	f->state = FIBER_PARKED;
	f->waits_for = what;
	f->interrupt = interrupt;
	f->waits_on = waits_on;
	if (deadline_ns != DEADLINE_NONE)
		timer_start(&w->timers, f, deadline_ns);
	switch_to(w, f, next_ready(w), false);
	f->waits_for = NULL;
	return f->wake_result;
}

void fiber_wake(struct fiber *f, int result)
{
	struct worker *w = worker_current;
	CHECK(f->state == FIBER_PARKED);
	timer_stop(&w->timers, f);
	f->interrupt = NULL;
	f->wake_result = result;
	make_ready(w, f);
}

void fiber_interrupt(struct fiber *f, int reason)
{
	if (f->state == FIBER_PARKED && f->interrupt && !(reason == -ECANCELED && f->shield))
		f->interrupt(f, reason);
}

static void leave_queue(struct fiber *f, int reason)
{
	list_remove(&f->link);
	fiber_wake(f, reason);
}

int fiber_wait_in(struct list *queue, const char *what, int64_t deadline_ns, void *waits_on)
{
	struct fiber *f = fiber_self();
	int r = await_check(f, deadline_ns);
	if (r < 0)
		return r;
	list_push_back(queue, &f->link);
	return fiber_park(what, deadline_ns, leave_queue, waits_on);
}

void fiber_yield(void)
{
	struct worker *w = worker_current;
	struct fiber *f = fiber_self();
	make_ready(w, f);
	switch_to(w, f, next_ready(w), false);
}

bool fiber_cancelled(void)
{
	const struct fiber *f = fiber_self();
	return f->group->cancelled && f->shield == 0;
}

bool fiber_told_to_stop(void)
{
	return fiber_self()->group->cancelled;
}

void fiber_shield_begin(void)
{
	fiber_self()->shield++;
}

void fiber_shield_end(void)
{
	struct fiber *f = fiber_self();
	CHECK(f->shield > 0);
	f->shield--;
}
