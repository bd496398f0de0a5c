/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The ring that the kernel gives us. One system call per turn submits what has gathered, runs the
 * kernel's deferred work for this thread (DEFER_TASKRUN) and waits, with the earliest deadline as
 * the limit of the wait. Answers are copied out before any callback runs, so that a callback may
 * submit and the ring may be turned again without disturbing an answer.
 */
#include "daemon/rt/internal.h"
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

enum { CQ_PER_SQ = 4 };

static void setup_params(struct io_uring_params *p, unsigned entries)
{
	*p = (struct io_uring_params){
		.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
			IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_CQSIZE | IORING_SETUP_SUBMIT_ALL |
			IORING_SETUP_CLAMP,
		.cq_entries = entries * CQ_PER_SQ,
	};
}

int ring_init_batch(struct ring *r, unsigned cq_entries)
{
	r->batch_max = cq_entries + RING_BATCH;
	r->batch = calloc(r->batch_max, sizeof(*r->batch));
	return r->batch ? 0 : err_raise(-ENOMEM, "no memory for a ring");
}

int ring_init(struct ring *r, unsigned entries)
{
	*r = (struct ring){.uring.ring_fd = -1};
	struct io_uring_params p;
	setup_params(&p, entries);
	int err = io_uring_queue_init_params(entries, &r->uring, &p);
	if (err < 0) {
		r->uring.ring_fd = -1;
		return ring_why_not(err);
	}
	/* Saves looking the descriptor up at each call; without it all is merely slower. */
	(void)io_uring_register_ring_fd(&r->uring);
	err = ring_init_batch(r, p.cq_entries);
	if (err < 0)
		ring_fini(r);
	return err;
}

void ring_fini(struct ring *r)
{
	if (r->uring.ring_fd >= 0)
		io_uring_queue_exit(&r->uring);
	free(r->batch);
	*r = (struct ring){.uring.ring_fd = -1};
}

/* What completed, in order, until the batch holds `max`. */
static void reap(struct ring *r, unsigned max)
{
	unsigned head;
	unsigned n = 0;
	struct io_uring_cqe *cqe;
	io_uring_for_each_cqe(&r->uring, head, cqe)
	{
		if (r->batch_count == max)
			break;
		r->batch[r->batch_count++] =
			(struct completion){cqe->user_data, cqe->res, cqe->flags};
		n++;
	}
	io_uring_cq_advance(&r->uring, n);
}

void ring_push(struct ring *r, const struct io_uring_sqe *sqe)
{
	struct io_uring_sqe *slot = io_uring_get_sqe(&r->uring);
	while (__builtin_expect(!slot, 0)) {
		/* The queue is full of submissions: hand them over. If the kernel has no room for
		 * their answers it refuses, until some are taken out. */
		int err = io_uring_submit(&r->uring);
		CHECK(err >= 0 || err == -EBUSY || err == -EAGAIN || err == -EINTR);
		if (err < 0) {
			CHECK(r->batch_count < r->batch_max);
			reap(r, r->batch_max);
		}
		slot = io_uring_get_sqe(&r->uring);
	}
	*slot = *sqe;
}

static bool kernel_has_work(struct io_uring *u)
{
	return IO_URING_READ_ONCE(*u->sq.kflags) & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW);
}

void ring_turn(struct ring *r, bool wait, int64_t timeout_ns)
{
	struct io_uring *u = &r->uring;
	int err = 0;
	if (r->batch_count > 0)
		wait = false;
	if (!wait) {
		if (io_uring_sq_ready(u) || kernel_has_work(u))
			err = io_uring_submit_and_get_events(u);
	} else if (timeout_ns == DEADLINE_NONE) {
		err = io_uring_submit_and_wait(u, 1);
	} else {
		struct __kernel_timespec ts = {
			.tv_sec = timeout_ns / NS_PER_S,
			.tv_nsec = timeout_ns % NS_PER_S,
		};
		struct io_uring_cqe *cqe;
		err = io_uring_submit_and_wait_timeout(u, &cqe, 1, &ts, NULL);
	}
	CHECK(err >= 0 || err == -ETIME || err == -EINTR || err == -EBUSY || err == -EAGAIN);
	reap(r, RING_BATCH);
}
