/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Sending. Whoever sends queues its pieces and parks; at the end of the worker's turn one
 * operation gathers what is queued, so that the answers to a batch of requests leave together
 * without anybody waiting for company. Pieces are not copied: they stay in the senders' frames,
 * and the senders stay parked, until the kernel has answered.
 *
 * An interrupted sender whose bytes have not started is simply taken out. Once a part of them is
 * on the wire the stream is out of step for good, so it fails: nothing more is sent.
 */
#include "daemon/rt/stream.h"
#include <errno.h>

struct send {
	struct list link;
	const struct iovec *v;
	int count;
	size_t left; /* bytes */
	size_t skip; /* bytes of v[0] that are gone */
	bool started; /* some bytes are gone */
	bool gathered; /* part of the operation under way */
	int reason; /* of the interrupt, 0 if none */
	struct stream *stream;
	struct fiber *fiber;
};

static void flush_later(struct stream *s)
{
	if (!s->send_armed && list_empty(&s->flush_link) && !list_empty(&s->sends))
		list_push_back(&s->home->flush, &s->flush_link);
}

static size_t gather(struct stream *s)
{
	size_t n = 0;
	list_for_each (l, &s->sends) {
		struct send *q = list_entry(l, struct send, link);
		if (n == STREAM_GATHER)
			break;
		q->gathered = true;
		size_t skip = q->skip;
		for (int i = 0; i < q->count && n < STREAM_GATHER; i++, skip = 0) {
			char *base = q->v[i].iov_base;
			s->pieces[n++] = (struct iovec){base + skip, q->v[i].iov_len - skip};
		}
	}
	return n;
}

static void submit(struct stream *s)
{
	struct io_uring_sqe sqe = {0};
	size_t n = gather(s);
	if (n == 1) {
		io_uring_prep_send(&sqe, s->fd, s->pieces[0].iov_base, s->pieces[0].iov_len,
			MSG_NOSIGNAL | MSG_WAITALL);
	} else {
		s->msg = (struct msghdr){.msg_iov = s->pieces, .msg_iovlen = n};
		io_uring_prep_sendmsg(&sqe, s->fd, &s->msg, MSG_NOSIGNAL | MSG_WAITALL);
	}
	s->send_armed = true;
	s->send_cancelling = false;
	ring_submit(s->home, &sqe, &s->send_op);
}

void streams_flush(struct worker *w)
{
	for (struct list *l; (l = list_pop_front(&w->flush));)
		submit(list_entry(l, struct stream, flush_link));
}

static void finish(struct send *q, int r)
{
	list_remove(&q->link);
	fiber_wake(q->fiber, r);
}

/* Counts n bytes off the front of the queue. */
static void account(struct stream *s, size_t n)
{
	while (n > 0) {
		struct send *q = list_first(&s->sends, struct send, link);
		if (n >= q->left) {
			n -= q->left;
			finish(q, 0);
			continue;
		}
		q->started = true;
		q->left -= n;
		q->skip += n;
		n = 0;
		while (q->skip >= q->v[0].iov_len) {
			q->skip -= q->v[0].iov_len;
			q->v++;
			q->count--;
		}
	}
}

static void fail_all(struct stream *s, int error)
{
	s->send_error = error;
	while (!list_empty(&s->sends)) {
		struct send *q = list_first(&s->sends, struct send, link);
		finish(q, q->reason ? q->reason : error);
	}
}

/* Interrupted senders leave; true if one of them leaves half a message on the wire. */
static bool drop_interrupted(struct stream *s)
{
	bool broken = false;
	list_for_each_safe (l, &s->sends) {
		struct send *q = list_entry(l, struct send, link);
		q->gathered = false;
		if (!q->reason)
			continue;
		broken |= q->started;
		finish(q, q->reason);
	}
	return broken;
}

void stream_send_done(struct op *op, int res, unsigned flags)
{
	struct stream *s = container_of(op, struct stream, send_op);
	s->send_armed = false;
	if (res > 0)
		account(s, (size_t)res);
	if (drop_interrupted(s))
		fail_all(s, -EPIPE);
	else if (res < 0 && res != -ECANCELED && res != -EINTR && res != -EAGAIN)
		fail_all(s, res);
	flush_later(s);
	stream_idle(s);
}

static void give_up(struct fiber *f, int reason)
{
	struct send *q = f->waits_on;
	struct stream *s = q->stream;
	if (q->gathered) {
		if (!q->reason)
			q->reason = reason;
		if (!s->send_cancelling)
			ring_cancel(s->home, &s->send_op);
		s->send_cancelling = true;
		return;
	}
	bool broken = q->started;
	finish(q, reason);
	if (list_empty(&s->sends))
		list_remove(&s->flush_link);
	if (broken)
		fail_all(s, -EPIPE);
}

int stream_sendv(struct stream *s, const struct iovec *v, int count, int64_t deadline_ns)
{
	struct send q = {.v = v, .count = count, .stream = s, .fiber = fiber_self()};
	CHECK(s->home == worker_current);
	int r = await_check(q.fiber, deadline_ns);
	if (r < 0)
		return r;
	if (s->send_error)
		return s->send_error;
	for (int i = 0; i < count; i++)
		q.left += v[i].iov_len;
	if (q.left == 0)
		return 0;
	while (v->iov_len == 0)
		v++;
	q.count -= (int)(v - q.v);
	q.v = v;
	list_push_back(&s->sends, &q.link);
	flush_later(s);
	return fiber_park("stream_send", deadline_ns, give_up, &q);
}

int stream_send(struct stream *s, struct span bytes, int64_t deadline_ns)
{
	struct iovec v = {.iov_base = (void *)(uintptr_t)bytes.p, .iov_len = bytes.n};
	return stream_sendv(s, &v, 1, deadline_ns);
}
