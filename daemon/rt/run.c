/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The run of all workers, from rt_run to its return.
 *
 * The end goes in two steps, because a worker whose own fibers have ended may still serve a call
 * from one whose fibers have not. When the main fiber returns, every worker is told to stop:
 * its services are cancelled, and it reports to worker 0 once no fiber is left on it. When all
 * have reported, nothing can start anywhere any more, and all are told to leave.
 */
#include "daemon/rt/backend.h"
#include <errno.h>
#include <malloc.h>
#include <sched.h>
#include <stdlib.h>

enum { WORKERS_MAX = 256 };

static struct {
	struct worker *workers;
	int count;
	struct rt_options options;
	const struct backend *backend;
	struct sim *sim;
	fiber_fn main_fn;
	void *main_arg;
	int reports; /* on worker 0: how many have no fibers left */

	pthread_mutex_t lock;
	pthread_cond_t changed;
	int expected; /* threads that meet, see meet() */
	int met;
	int meeting; /* number of the meeting */
	int failed; /* errno of the first worker that could not be made */
	struct err_trail failure;
} run = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

int worker_count(void)
{
	return run.count;
}

struct worker *worker_at(int index)
{
	CHECK(index >= 0 && index < run.count);
	return &run.workers[index];
}

/* ---- the end ---- */

static void tell(struct worker *to, struct msg *m, void (*fn)(struct msg *m))
{
	m->fn = fn;
	worker_post_always(to, m);
}

static void on_leave(struct msg *m)
{
	worker_current->leaving = true;
	mailbox_stop(worker_current);
}

/* On worker 0. */
static void on_report(struct msg *m)
{
	if (++run.reports < run.count)
		return;
	for (int i = 0; i < run.count; i++)
		tell(&run.workers[i], &run.workers[i].leave_msg, on_leave);
}

static void on_stop(struct msg *m)
{
	worker_current->stopping = true;
	group_cancel(&worker_current->services);
}

void run_report(struct worker *w)
{
	if (!w->stopping || w->reported || w->alive > 0)
		return;
	w->reported = true;
	tell(&run.workers[0], &w->report_msg, on_report);
}

static void main_fiber(void *arg)
{
	run.main_fn(run.main_arg);
	for (int i = 0; i < run.count; i++)
		tell(&run.workers[i], &run.workers[i].stop_msg, on_stop);
}

/* ---- threads ---- */

/* Waits until every thread is here. */
static void meet(void)
{
	pthread_mutex_lock(&run.lock);
	int meeting = run.meeting;
	if (++run.met >= run.expected) {
		run.met = 0;
		run.meeting++;
		pthread_cond_broadcast(&run.changed);
	}
	while (run.meeting == meeting)
		pthread_cond_wait(&run.changed, &run.lock);
	pthread_mutex_unlock(&run.lock);
}

static void fail(int r, const struct err_trail *trail)
{
	pthread_mutex_lock(&run.lock);
	if (!run.failed) {
		run.failed = r;
		run.failure = *trail;
	}
	pthread_mutex_unlock(&run.lock);
}

static void work(struct worker *w)
{
	int r = worker_init(w, &run.options);
	if (r < 0)
		fail(r, w->loop.trail);
	meet();
	/* Written before the meeting only. */
	if (run.failed == 0) {
		mailbox_start(w);
		if (w->index == 0)
			CHECK(fiber_start(w, &w->services, "main", FIBER_LARGE, main_fiber, NULL) ==
				0);
		while (worker_turn(w))
			continue;
	}
	/* Messages may be under way to this ring until the others have left too. */
	meet();
	worker_fini(w);
}

static void *thread_main(void *arg)
{
	work(arg);
	return NULL;
}

/* A thread that cannot be had makes the whole start fail; those that run must not wait for it. */
static int start_threads(void)
{
	int started = 1;
	for (; started < run.count; started++) {
		int err = pthread_create(
			&run.workers[started].thread, NULL, thread_main, &run.workers[started]);
		if (err == 0)
			continue;
		struct err_trail t = {0};
		struct err_trail *outer = err_trail_switch(&t);
		fail(err_sys(-err, "start the thread of worker %d", started), &t);
		err_trail_switch(outer);
		pthread_mutex_lock(&run.lock);
		run.expected = started;
		pthread_mutex_unlock(&run.lock);
		break;
	}
	return started;
}

static int cores(void)
{
	cpu_set_t set;
	int n = sched_getaffinity(0, sizeof(set), &set) == 0 ? CPU_COUNT(&set) : 1;
	return MIN(MAX(n, 1), WORKERS_MAX);
}

static int run_all(const struct rt_options *options, fiber_fn main_fn, void *arg)
{
	CHECK(!run.workers && !worker_current);
	CHECK(options->workers >= 0 && options->workers <= WORKERS_MAX);
	run.options = *options;
	run.main_fn = main_fn;
	run.main_arg = arg;
	run.count = options->workers ? options->workers : cores();
	run.expected = run.count;
	run.met = run.failed = run.reports = 0;
	run.workers = calloc((size_t)run.count, sizeof(*run.workers));
	if (!run.workers)
		return err_raise(-ENOMEM, "no memory for %d workers", run.count);
	for (int i = 0; i < run.count; i++) {
		run.workers[i].index = i;
		run.workers[i].backend = run.backend;
		run.workers[i].sim = run.sim;
	}
	sigset_t outer;
	signals_block(&outer);
	int started = start_threads();
	work(&run.workers[0]);
	for (int i = 1; i < started; i++)
		pthread_join(run.workers[i].thread, NULL);
	pthread_sigmask(SIG_SETMASK, &outer, NULL);
	free(run.workers);
	run.workers = NULL;
	run.count = 0;
	if (run.failed == 0)
		return 0;
	return err_raise(run.failed, "%s", run.failure.message);
}

enum { HEAP_KEEP_BYTES = 32 * 1024 * 1024, MAP_FROM_BYTES = 4 * 1024 * 1024 };

/* Streams take and give back tens of kilobytes with every burst. What malloc returns to the kernel
 * meanwhile has to be faulted in again, which costs more than all else that is done with it. */
static void keep_heap(void)
{
	(void)mallopt(M_TRIM_THRESHOLD, HEAP_KEEP_BYTES);
	(void)mallopt(M_MMAP_THRESHOLD, MAP_FROM_BYTES);
}

int rt_run(const struct rt_options *options, fiber_fn main_fn, void *arg)
{
	keep_heap();
	run.backend = NULL;
	run.sim = NULL;
	return run_all(options, main_fn, arg);
}

int run_over(const struct backend *b, struct sim *sim, const struct rt_options *options,
	fiber_fn main_fn, void *arg)
{
	CHECK(options->workers == 1);
	run.backend = b;
	run.sim = sim;
	return run_all(options, main_fn, arg);
}
