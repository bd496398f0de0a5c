/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * One worker: a thread with its ring, its fibers and its turn. What they do together is in run.c.
 */
#include "daemon/rt/backend.h"
#include "daemon/rt/sanitize.h"

enum {
	RING_ENTRIES = 4096,
	SMALL_FIBERS = 8192,
	LARGE_FIBERS = 512,
};

_Thread_local struct worker *worker_current;

struct worker *worker_self(void)
{
	return worker_current;
}

int worker_index(const struct worker *w)
{
	return w->index;
}

struct group *worker_services(void)
{
	CHECK(worker_current);
	return &worker_current->services;
}

/* The thread's own stack is a fiber too, as far as switching goes. */
static void loop_fiber_init(struct worker *w)
{
	struct fiber *f = &w->loop;
	*f = (struct fiber){.name = "loop", .state = FIBER_RUNNING, .timer_index = -1};
	f->trail = &f->own_trail;
	f->log = &f->own_log;
#if defined(RT_ASAN)
	pthread_attr_t attr;
	void *low;
	if (pthread_getattr_np(pthread_self(), &attr) == 0) {
		pthread_attr_getstack(&attr, &low, &f->stack_bytes);
		f->stack_low = low;
		pthread_attr_destroy(&attr);
	}
#endif
#if defined(RT_TSAN)
	f->tsan_fiber = __tsan_get_current_fiber();
#endif
	w->current = f;
}

static int make_parts(struct worker *w, const struct rt_options *options)
{
	int small = options->max_fibers ? options->max_fibers : SMALL_FIBERS;
	int large = MIN(small, LARGE_FIBERS);
	unsigned entries = options->ring_entries ? options->ring_entries : RING_ENTRIES;
	int r = mailbox_init(w);
	if (r == 0)
		r = stack_pool_init(&w->small, stack_bytes_of(FIBER_SMALL), small);
	if (r == 0)
		r = stack_pool_init(&w->large, stack_bytes_of(FIBER_LARGE), large);
	if (r == 0)
		r = timers_init(&w->timers, small + large);
	if (r == 0)
		r = w->backend ? ring_init_batch(&w->ring, entries) : ring_init(&w->ring, entries);
	if (r == 0)
		r = bufs_init(w);
	w->streams_max = small;
	return r;
}

int worker_init(struct worker *w, const struct rt_options *options)
{
	loop_fiber_init(w);
	list_init(&w->ready);
	list_init(&w->flush);
	list_init(&w->fibers);
	list_init(&w->starved);
	group_init(&w->services);
	w->mail_fd = -1;
	w->ring.uring.ring_fd = -1;
	w->outer_trail = err_trail_switch(w->loop.trail);
	w->outer_log = log_context_switch(w->loop.log);
	worker_current = w;
	int r = make_parts(w, options);
	return r < 0 ? err_trace(r) : 0;
}

void worker_fini(struct worker *w)
{
	CHECK(w->alive == 0 && w->inflight == 0);
	ring_fini(&w->ring);
	bufs_fini(w);
	timers_fini(&w->timers);
	stack_pool_fini(&w->large);
	stack_pool_fini(&w->small);
	mailbox_fini(w);
	worker_current = NULL;
	err_trail_switch(w->outer_trail);
	log_context_switch(w->outer_log);
}

/* Between fibers: callbacks that log or fail must not write into the last fiber's trail. */
static void own_trail(struct worker *w)
{
	err_trail_switch(w->loop.trail);
	log_context_switch(w->loop.log);
}

bool worker_turn(struct worker *w)
{
	fibers_run(w);
	own_trail(w);
	streams_flush(w);
	run_report(w);
	if (w->leaving && w->alive == 0 && w->inflight == 0)
		return false;
	int64_t next = timers_next(&w->timers);
	int64_t wait_ns = DEADLINE_NONE;
	if (next != DEADLINE_NONE) {
		int64_t now_ns = rt_now_ns();
		timers_expire(&w->timers, now_ns);
		next = timers_next(&w->timers);
		if (next != DEADLINE_NONE)
			wait_ns = next - now_ns;
	}
	bool idle = list_empty(&w->ready) && list_empty(&w->mail_local);
	w->now_read = false;
	if (w->backend)
		w->backend->turn(w, idle, wait_ns);
	else
		ring_turn(&w->ring, idle, wait_ns);
	ring_dispatch(w);
	streams_feed(w);
	mailbox_run_local(w);
	return true;
}
