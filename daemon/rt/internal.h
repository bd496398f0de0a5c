/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * What the files of this room share; nobody outside includes it.
 *
 *	fiber	a stack and what its owner waits for
 *	op	one submission to the ring; answers by callback, once, or many times if multishot
 *	worker	a thread with its ring, fibers, timers, provided buffers and mailbox
 *
 * Order inside a turn of a worker's loop: fibers run until none is ready; gathered sends become
 * submissions; due timers interrupt their fibers; one system call submits everything and waits if
 * nothing is ready; completions are copied out of the ring; then their callbacks run. Callbacks
 * never park and never run inside the reaper, so nothing recurses.
 */
#pragma once

#include "daemon/rt/rt.h"
#include <liburing.h>
#include <pthread.h>
#include <stdatomic.h>

/* ---- fibers ---- */

enum fiber_state { FIBER_READY, FIBER_RUNNING, FIBER_PARKED };

/* How to end a wait early. Runs on the home worker while `f` is parked: either wakes it with
 * `reason` (-ECANCELED, -ETIME), or asks whatever it waits for to finish soon. */
struct fiber;
typedef void (*interrupt_fn)(struct fiber *f, int reason);

struct fiber {
	void *sp; /* while it does not run: where its registers are saved */
	struct list link; /* in the run queue, or in the queue it waits in */
	struct list sibling; /* in group->fibers */
	struct list all; /* in worker->fibers, for gdb and deadlock reports */
	struct group *group;
	fiber_fn fn;
	void *arg;
	const char *name;
	const char *waits_for; /* a literal; NULL unless parked */
	enum fiber_state state;
	int shield; /* depth */
	interrupt_fn interrupt; /* NULL: this wait cannot be cut short */
	void *waits_on; /* belongs to whoever parked it */
	int wake_result;
	int timer_index; /* in worker->timers, -1 if none */
	int slot; /* of its stack in the pool */
	struct stack_pool *pool; /* NULL: the worker's own loop */
	char *stack_low;
	size_t stack_bytes;
	void *asan_fake_stack;
	void *tsan_fiber;
	struct err_trail *trail;
	struct log_context *log;
	struct err_trail own_trail;
	struct log_context own_log;
};

struct fiber *fiber_self(void); /* CHECKs that a fiber is running */
int fiber_start(struct worker *w, struct group *g, const char *name, enum fiber_stack stack,
	fiber_fn fn, void *arg) MUST_USE;

/* 0, or why an await may not even begin: -ECANCELED, -ETIME. */
int await_check(const struct fiber *f, int64_t deadline_ns) MUST_USE;

/* Parks the running fiber until fiber_wake and returns the result given there. */
int fiber_park(const char *what, int64_t deadline_ns, interrupt_fn interrupt, void *waits_on);
void fiber_wake(struct fiber *f, int result);
void fiber_interrupt(struct fiber *f, int reason);

/* Parks at the end of `queue`; an interrupt takes the fiber out. */
int fiber_wait_in(struct list *queue, const char *what, int64_t deadline_ns, void *waits_on);

/* Runs ready fibers; returns when none is left or after a bounded number of switches. */
void fibers_run(struct worker *w);

/* Saves the callee-saved registers on the current stack, its pointer in *save, and goes on at
 * `load`. In fiber_x86_64.S. */
void fiber_switch(void **save, void *load);
void fiber_entry(void); /* where a new stack begins: calls fiber_main(fiber) */
__attribute__((noreturn)) void fiber_main(struct fiber *f);

/* ---- stacks ---- */

struct stack_slot {
	int next_free; /* -1: none */
	unsigned valgrind_id;
};

struct stack_pool {
	char *base; /* reserved, inaccessible until a slot is first used */
	size_t stack_bytes;
	struct stack_slot *slots;
	int max;
	int made; /* slots [0, made) are accessible */
	int first_free;
	int used;
	bool wide; /* the processor has AVX2 */
};

int stack_pool_init(struct stack_pool *p, size_t stack_bytes, int max) MUST_USE;
void stack_pool_fini(struct stack_pool *p);
struct fiber *stack_get(struct stack_pool *p); /* zeroed, on top of its stack; NULL if exhausted */
void stack_put(struct fiber *f); /* wipes what was used */
size_t stack_bytes_of(enum fiber_stack kind);

/* ---- timers: a heap of the deadlines of parked fibers, at most one per fiber ---- */

struct timer {
	int64_t deadline_ns;
	struct fiber *fiber;
};

struct timers {
	struct timer *heap; /* 4-ary, earliest first */
	int count;
	int max;
};

int timers_init(struct timers *t, int max) MUST_USE;
void timers_fini(struct timers *t);
void timer_start(struct timers *t, struct fiber *f, int64_t deadline_ns);
void timer_stop(struct timers *t, struct fiber *f); /* does nothing if it has none */
void timers_expire(struct timers *t, int64_t now_ns); /* interrupts fibers with -ETIME */

static inline int64_t timers_next(const struct timers *t)
{
	return t->count ? t->heap[0].deadline_ns : DEADLINE_NONE;
}

/* ---- operations ---- */

struct op {
	/* `more`: a multishot operation that will answer again. `flags` as in the CQE. */
	void (*done)(struct op *op, int res, unsigned flags);
};

static inline bool cqe_more(unsigned flags)
{
	return flags & IORING_CQE_F_MORE;
}

/* Queues the submission; op lives until its last answer. Never parks. */
void ring_submit(struct worker *w, struct io_uring_sqe *sqe, struct op *op);
void ring_submit_msg(struct worker *w, struct io_uring_sqe *sqe, struct msg *m);
void ring_cancel(struct worker *w, struct op *op); /* asks; op still answers */

/* Submits and waits. Every single-shot I/O await is this. */
AWAITS int op_await(struct io_uring_sqe *sqe, const char *what, int64_t deadline_ns) MUST_USE;

/* What user_data says beside the pointer, in bits that alignment leaves free. */
enum {
	RING_OP = 0, /* struct op, or 0: nobody wants the answer */
	RING_MSG = 1, /* struct msg that arrived */
	RING_MSG_SENT = 2, /* struct msg that was sent from here */
	RING_TAGS = 3,
};

struct completion {
	uint64_t user_data;
	int res;
	unsigned flags;
};

enum { RING_BATCH = 512 };

struct ring {
	struct io_uring uring;
	struct completion *batch;
	unsigned batch_count;
	unsigned batch_max; /* a full completion queue more than a turn takes */
};

int ring_init(struct ring *r, unsigned entries) MUST_USE; /* on the thread that will use it */
int ring_init_batch(struct ring *r, unsigned cq_entries) MUST_USE;
void ring_fini(struct ring *r);
int ring_why_not(int r) MUST_USE; /* raises a failure of setup with its cause */
void ring_push(struct ring *r, const struct io_uring_sqe *sqe);
void ring_turn(struct ring *r, bool wait, int64_t timeout_ns);
void ring_dispatch(struct worker *w); /* runs the callbacks of the last turn */

/* ---- provided buffers: where multishot receives put their data ---- */

enum {
	BUFS_COUNT = 1024, /* a power of two */
	BUFS_BYTES = 4096, /* of one */
	BUFS_GROUP = 1,
	BUFS_SCARCE = BUFS_COUNT / 4, /* with fewer left nobody may keep one */
};

struct bufs {
	struct io_uring_buf_ring *ring;
	char *memory;
	int out; /* held by streams */
};

int bufs_init(struct worker *w) MUST_USE;
void bufs_fini(struct worker *w);
char *bufs_take(struct bufs *b, unsigned flags, size_t n, int *ret_id); /* from a CQE's flags */
void bufs_put(struct bufs *b, int id);

/* ---- workers ---- */

enum { MAILBOX_MAX = 4096 };

struct worker {
	/* what every switch touches */
	struct fiber *current; /* &loop outside of fibers */
	struct list ready;
	int budget; /* switches left before the ring must be looked at */
	struct fiber *dead; /* has run its last instruction; the next context buries it */
	const struct backend *backend; /* NULL: the kernel */
	struct sim *sim; /* the backend's */
	int64_t now_ns; /* a lower bound of the time, read at most once a turn */
	bool now_read;
	struct timers timers;
	struct list flush; /* streams with queued sends */
	unsigned inflight; /* submissions that will still answer */
	struct ring ring;
	struct bufs bufs;

	struct fiber loop;
	struct list fibers;
	int alive; /* fibers */
	struct stack_pool small;
	struct stack_pool large;
	struct group services;
	int streams;
	int streams_max;
	struct list starved; /* streams whose receive ended for want of a buffer */

	int index;
	pthread_t thread;
	struct list mail_local; /* posted by this worker to itself */
	atomic_int mail_count;
	pthread_mutex_t mail_lock;
	struct list mail_foreign; /* under mail_lock */
	int mail_fd; /* eventfd: mail_foreign is not empty */
	uint64_t mail_ticks;
	struct op mail_op;
	bool mail_armed;
	bool stopping; /* the main fiber has ended */
	bool reported; /* told worker 0 that no fiber is left */
	bool leaving; /* no fiber is left anywhere */
	struct msg stop_msg;
	struct msg report_msg;
	struct msg leave_msg;
	struct err_trail *outer_trail; /* of the thread, while it is no worker */
	struct log_context *outer_log;
};

extern _Thread_local struct worker *worker_current;

static inline int64_t worker_now(struct worker *w)
{
	if (!w->now_read) {
		w->now_ns = rt_now_ns();
		w->now_read = true;
	}
	return w->now_ns;
}

int worker_init(struct worker *w, const struct rt_options *options) MUST_USE; /* on its thread */
void worker_fini(struct worker *w);
bool worker_turn(struct worker *w); /* one turn; false when the worker has left */

void mailbox_start(struct worker *w);
void mailbox_stop(struct worker *w);
void mailbox_run_local(struct worker *w);
void mailbox_receive(struct worker *w, struct msg *m); /* runs it */
void mailbox_unsent(struct msg *m, int res); /* MSG_RING refused it */
void worker_post_always(struct worker *to, struct msg *m); /* beyond the limit, for replies */

void streams_flush(struct worker *w);
void streams_feed(struct worker *w); /* receives again where buffers were missing */

/* ---- parts of a worker's life ---- */

int mailbox_init(struct worker *w) MUST_USE;
void mailbox_fini(struct worker *w);
void run_report(struct worker *w); /* to worker 0, once stopping and nothing runs any more */
void signals_block(sigset_t *ret_outer);
