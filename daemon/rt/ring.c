/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Operations: submitting, cancelling, and the await that nearly all of rt.h is made of. Whether
 * the kernel or the simulator takes them is decided here and nowhere else.
 *
 * Invariant: an op lives until its last answer has been dispatched. That is why an interrupted
 * await only asks for cancellation and stays parked: the frame that holds the op and the buffers
 * cannot go away before the kernel has let go of them.
 */
#include "daemon/rt/backend.h"
#include <errno.h>

static void push(struct worker *w, struct io_uring_sqe *sqe, uint64_t user_data)
{
	sqe->user_data = user_data;
	w->inflight++;
	if (__builtin_expect(w->backend != NULL, 0))
		w->backend->push(w, sqe);
	else
		ring_push(&w->ring, sqe);
}

void ring_submit(struct worker *w, struct io_uring_sqe *sqe, struct op *op)
{
	push(w, sqe, op ? (uintptr_t)op | RING_OP : 0);
}

void ring_submit_msg(struct worker *w, struct io_uring_sqe *sqe, struct msg *m)
{
	push(w, sqe, (uintptr_t)m | RING_MSG_SENT);
}

void ring_cancel(struct worker *w, struct op *op)
{
	struct io_uring_sqe sqe = {0};
	io_uring_prep_cancel64(&sqe, (uintptr_t)op | RING_OP, 0);
	push(w, &sqe, 0);
}

static void dispatch_one(struct worker *w, struct completion c)
{
	uint64_t tag = c.user_data & RING_TAGS;
	void *p = (void *)(uintptr_t)(c.user_data & ~(uint64_t)RING_TAGS);
	if (tag == RING_MSG) {
		mailbox_receive(w, p);
		return;
	}
	if (!cqe_more(c.flags))
		w->inflight--;
	if (tag == RING_MSG_SENT) {
		if (c.res < 0)
			mailbox_unsent(p, c.res);
	} else if (p) {
		struct op *op = p;
		op->done(op, c.res, c.flags);
	}
}

void ring_dispatch(struct worker *w)
{
	/* Callbacks submit, and a full queue may then reap behind the batch. */
	for (unsigned i = 0; i < w->ring.batch_count; i++)
		dispatch_one(w, w->ring.batch[i]);
	w->ring.batch_count = 0;
}

struct await {
	struct op op;
	struct fiber *fiber;
	int reason; /* why it was asked to stop: -ECANCELED, -ETIME, or 0 */
};

static void await_done(struct op *op, int res, unsigned flags)
{
	struct await *a = container_of(op, struct await, op);
	fiber_wake(a->fiber, res);
}

static void await_interrupt(struct fiber *f, int reason)
{
	struct await *a = f->waits_on;
	if (a->reason)
		return;
	a->reason = reason;
	ring_cancel(worker_current, &a->op);
}

int op_await(struct io_uring_sqe *sqe, const char *what, int64_t deadline_ns)
{
	struct worker *w = worker_current;
	struct await a = {.op.done = await_done, .fiber = fiber_self()};
	int r = await_check(a.fiber, deadline_ns);
	if (r < 0)
		return r;
	do {
		ring_submit(w, sqe, &a.op);
		r = fiber_park(what, deadline_ns, await_interrupt, &a);
	} while (r == -EINTR && !a.reason);
	/* A result that came in spite of the request counts: nothing that was received is lost. */
	if (r == -ECANCELED || r == -EINTR)
		r = a.reason ? a.reason : -EIO;
	return r;
}
