/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Threads for calls that block. A job lives in the frame of the fiber that waits for it. Until a
 * thread has taken it the fiber may take it back; from then on the fiber cannot leave before the
 * thread's answer has come home as a message. The thread works under the fiber's own error trail
 * and log context, which are idle while the fiber is parked.
 */
#include "daemon/rt/internal.h"
#include <errno.h>
#include <stdlib.h>

enum job_state { JOB_QUEUED, JOB_TAKEN };

struct job {
	struct op delay; /* simulated: how long the thread takes */
	struct list link;
	struct offload *offload;
	struct worker *home;
	struct fiber *fiber;
	enum job_state state; /* under the lock */
	int (*fn)(void *arg);
	void *arg;
	int result;
	struct msg answer;
};

struct offload {
	const char *name;
	pthread_mutex_t lock;
	pthread_cond_t work;
	struct list queue;
	size_t queued;
	size_t queue_max;
	bool stopping;
	int threads;
	int simulated; /* how many threads it would have */
	int busy; /* of those */
	pthread_t thread[];
};

static void on_answer(struct msg *m)
{
	struct job *j = container_of(m, struct job, answer);
	fiber_wake(j->fiber, j->result);
}

static void run_job(struct job *j)
{
	struct err_trail *outer_trail = err_trail_switch(j->fiber->trail);
	struct log_context *outer_log = log_context_switch(j->fiber->log);
	j->result = j->fn(j->arg);
	err_trail_switch(outer_trail);
	log_context_switch(outer_log);
	j->answer.fn = on_answer;
	worker_post_always(j->home, &j->answer);
}

/* Under the simulator there are no threads: a job takes as long as an operation that does nothing,
 * and runs between fibers, on the stack of the worker's loop. */
static void pump(struct offload *o);

static void delay_over(struct op *op, int res, unsigned flags)
{
	struct job *j = container_of(op, struct job, delay);
	struct offload *o = j->offload;
	o->busy--;
	run_job(j);
	pump(o);
}

static void pump(struct offload *o)
{
	while (o->busy < o->simulated && o->queued > 0) {
		struct list *l = list_pop_front(&o->queue);
		CHECK(l);
		struct job *j = list_entry(l, struct job, link);
		struct io_uring_sqe sqe = {0};
		j->state = JOB_TAKEN;
		j->delay.done = delay_over;
		o->queued--;
		o->busy++;
		io_uring_prep_nop(&sqe);
		ring_submit(j->home, &sqe, &j->delay);
	}
}

static void *thread_main(void *arg)
{
	struct offload *o = arg;
	pthread_mutex_lock(&o->lock);
	for (;;) {
		struct list *l = list_pop_front(&o->queue);
		if (l) {
			struct job *j = list_entry(l, struct job, link);
			j->state = JOB_TAKEN;
			o->queued--;
			pthread_mutex_unlock(&o->lock);
			run_job(j);
			pthread_mutex_lock(&o->lock);
		} else if (o->stopping) {
			break;
		} else {
			pthread_cond_wait(&o->work, &o->lock);
		}
	}
	pthread_mutex_unlock(&o->lock);
	return NULL;
}

int offload_start(const char *name, int threads, size_t queue_max, struct offload **ret)
{
	CHECK(threads > 0 && queue_max > 0);
	struct offload *o = calloc(1, sizeof(*o) + (size_t)threads * sizeof(o->thread[0]));
	if (!o)
		return err_raise(-ENOMEM, "no memory for the threads of %s", name);
	o->name = name;
	o->queue_max = queue_max;
	list_init(&o->queue);
	pthread_mutex_init(&o->lock, NULL);
	pthread_cond_init(&o->work, NULL);
	if (worker_current && worker_current->backend) {
		o->simulated = threads;
		threads = 0;
	}
	for (; o->threads < threads; o->threads++) {
		int err = pthread_create(&o->thread[o->threads], NULL, thread_main, o);
		if (err) {
			offload_stop(o);
			return err_sys(-err, "start a thread of %s", name);
		}
		pthread_setname_np(o->thread[o->threads], name);
	}
	*ret = o;
	return 0;
}

void offload_stop(struct offload *o)
{
	if (!o)
		return;
	pthread_mutex_lock(&o->lock);
	CHECK(o->queued == 0 && o->busy == 0);
	o->stopping = true;
	pthread_cond_broadcast(&o->work);
	pthread_mutex_unlock(&o->lock);
	for (int i = 0; i < o->threads; i++)
		pthread_join(o->thread[i], NULL);
	pthread_cond_destroy(&o->work);
	pthread_mutex_destroy(&o->lock);
	free(o);
}

static void take_back(struct fiber *f, int reason)
{
	struct job *j = f->waits_on;
	struct offload *o = j->offload;
	pthread_mutex_lock(&o->lock);
	bool queued = j->state == JOB_QUEUED;
	if (queued) {
		list_remove(&j->link);
		o->queued--;
	}
	pthread_mutex_unlock(&o->lock);
	if (queued)
		fiber_wake(f, reason);
}

int offload_call(struct offload *o, int (*fn)(void *arg), void *arg, int64_t deadline_ns)
{
	struct job j = {
		.offload = o,
		.home = worker_current,
		.fiber = fiber_self(),
		.fn = fn,
		.arg = arg,
	};
	int r = await_check(j.fiber, deadline_ns);
	if (r < 0)
		return r;
	pthread_mutex_lock(&o->lock);
	bool full = o->queued == o->queue_max;
	if (!full) {
		list_push_back(&o->queue, &j.link);
		o->queued++;
		pthread_cond_signal(&o->work);
	}
	pthread_mutex_unlock(&o->lock);
	if (o->simulated)
		pump(o);
	return full ? -EAGAIN : fiber_park(o->name, deadline_ns, take_back, &j);
}
