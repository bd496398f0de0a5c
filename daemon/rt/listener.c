/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Accepting by one multishot operation. Accepted connections wait in a queue; when it is long the
 * operation is cancelled and the kernel's backlog holds the rest, which is the back-pressure that
 * a peer can see. The operation takes a whole backlog in one go, so the queue grows to hold what
 * came before the cancel worked. A failure of the operation (no descriptors left) goes to the
 * next listener_accept, whose caller knows whether to wait or to give up.
 */
#include "daemon/rt/internal.h"
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

enum {
	QUEUE_PAUSE = 64, /* waiting connections: accept no more */
	QUEUE_RESUME = QUEUE_PAUSE / 2,
	QUEUE_MAX = 65536,
};

struct listener {
	int fd;
	struct op op;
	bool armed;
	bool cancelling;
	int error; /* not yet told, 0 if none */
	int *queue; /* circular, of `capacity`, which is a power of two */
	unsigned capacity;
	unsigned first;
	unsigned count;
	struct list waiting; /* fibers in listener_accept */
	struct list stopping; /* the fiber in listener_stop */
};

static void arm(struct listener *l)
{
	struct io_uring_sqe sqe = {0};
	io_uring_prep_multishot_accept(&sqe, l->fd, NULL, NULL, SOCK_CLOEXEC);
	ring_submit(worker_current, &sqe, &l->op);
	l->armed = true;
	l->cancelling = false;
}

static void disarm(struct listener *l)
{
	if (!l->armed || l->cancelling)
		return;
	l->cancelling = true;
	ring_cancel(worker_current, &l->op);
}

static struct fiber *first_of(struct list *queue)
{
	struct list *l = list_pop_front(queue);
	return l ? list_entry(l, struct fiber, link) : NULL;
}

static bool grow(struct listener *l)
{
	unsigned capacity = l->capacity ? 2 * l->capacity : QUEUE_PAUSE;
	int *queue = capacity <= QUEUE_MAX ? calloc(capacity, sizeof(*queue)) : NULL;
	if (!queue)
		return false;
	for (unsigned i = 0; i < l->count; i++)
		queue[i] = l->queue[(l->first + i) % l->capacity];
	free(l->queue);
	l->queue = queue;
	l->capacity = capacity;
	l->first = 0;
	return true;
}

static void enqueue(struct listener *l, int fd)
{
	if (l->count == l->capacity && !grow(l)) {
		rt_close(fd);
		return;
	}
	l->queue[(l->first + l->count) % l->capacity] = fd;
	l->count++;
	if (l->count >= QUEUE_PAUSE)
		disarm(l);
}

static void accepted(struct op *op, int res, unsigned flags)
{
	struct listener *l = container_of(op, struct listener, op);
	if (!cqe_more(flags))
		l->armed = false;
	bool asked = l->cancelling && res == -ECANCELED;
	/* A connection that its peer has already given up is no concern of ours. */
	bool stillborn = res == -ECONNABORTED || res == -EINTR || res == -EPROTO;
	struct fiber *f = NULL;
	if (res >= 0 || !(asked || stillborn))
		f = first_of(&l->waiting);
	if (f)
		fiber_wake(f, res);
	else if (res >= 0)
		enqueue(l, res);
	else if (!asked && !stillborn)
		l->error = res;
	if (l->armed)
		return;
	f = first_of(&l->stopping);
	if (f)
		fiber_wake(f, 0);
	else if (!list_empty(&l->waiting) || (stillborn && l->count < QUEUE_PAUSE))
		arm(l);
}

int listener_start(int fd, struct listener **ret)
{
	struct listener *l = calloc(1, sizeof(*l));
	if (!l) {
		rt_close(fd);
		return err_raise(-ENOMEM, "no memory for a listener");
	}
	l->fd = fd;
	l->op.done = accepted;
	list_init(&l->waiting);
	list_init(&l->stopping);
	arm(l);
	*ret = l;
	return 0;
}

static int dequeue(struct listener *l)
{
	int fd = l->queue[l->first];
	l->first = (l->first + 1) % l->capacity;
	l->count--;
	return fd;
}

int listener_accept(struct listener *l, int64_t deadline_ns)
{
	int r = await_check(fiber_self(), deadline_ns);
	if (r < 0)
		return r;
	if (l->count == 0 && l->error) {
		r = l->error;
		l->error = 0;
		return r;
	}
	bool waiting = l->count == 0;
	if (!waiting)
		r = dequeue(l);
	if (!l->armed && l->count <= QUEUE_RESUME)
		arm(l);
	return waiting ? fiber_wait_in(&l->waiting, "accept", deadline_ns, l) : r;
}

void listener_stop(struct listener *l)
{
	if (!l)
		return;
	CHECK(list_empty(&l->waiting));
	disarm(l);
	fiber_shield_begin();
	while (l->armed)
		CHECK(fiber_wait_in(&l->stopping, "listener_stop", DEADLINE_NONE, l) == 0);
	fiber_shield_end();
	while (l->count > 0)
		rt_close(dequeue(l));
	rt_close(l->fd);
	free(l->queue);
	free(l);
}
