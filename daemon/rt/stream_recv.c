/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Receiving. Data arrives in provided buffers. The first one is lent to the reader as it is, which
 * is all that a request in one piece needs; what arrives behind it is copied into memory of the
 * stream's own and its buffer goes back at once, so a stream never keeps more than one, and none
 * while buffers are scarce or while the reader waits for more.
 *
 * Back-pressure: with HALF of the limit held the multishot operation is stopped, because the
 * kernel may still deliver one burst of buffers after the decision (32 of them at most, which is
 * the other half). A reader that wants more than HALF in one piece gets it by single receives of
 * exactly the room that is left.
 *
 * What is long and has a place already does not go through any of this: stream_read receives into
 * that place. For some peeks after it only heads are received, one at a time, so that what follows
 * a head can be received where it belongs as well.
 */
#include "daemon/rt/stream.h"
#include "daemon/rt/sanitize.h"
#include <errno.h>
#include <stdlib.h>

enum {
	HALF = RT_STREAM_BUFFER_BYTES / 2,
	BURST = 32, /* MULTISHOT_MAX_RETRY in the kernel's io_uring/net.c */
	OWN_KEEP = 16 * 1024, /* own memory beyond this is given back when it is empty */
	HEAD_BYTES = 8 * 1024, /* received at once where a stream_read is likely to follow */
	HEADS = 8, /* that many times, then it was not likely */
};
_Static_assert(HALF + BURST * BUFS_BYTES <= RT_STREAM_BUFFER_BYTES, "room for a burst");

static size_t held(const struct stream *s)
{
	return s->lent_n + s->own_n;
}

/* ---- own memory ---- */

/* A new home for what is own. The reader may still look at the old one. */
static int own_move(struct stream *s, size_t cap)
{
	char *p = malloc(cap);
	if (!p)
		return -ENOMEM;
	if (s->own_n > 0)
		memcpy(p, s->own + s->own_first, s->own_n);
	if (s->viewed)
		s->retired = s->own;
	else
		free(s->own);
	s->viewed = false;
	s->own = p;
	s->own_first = 0;
	s->own_cap = cap;
	return 0;
}

/* Room for n more bytes at the end. */
static int own_reserve(struct stream *s, size_t n)
{
	if (s->own_first + s->own_n + n <= s->own_cap)
		return 0;
	size_t cap = MAX(s->own_cap, (size_t)BUFS_BYTES);
	while (cap < s->own_n + n)
		cap *= 2;
	if (cap > s->own_cap || s->viewed)
		return own_move(s, cap);
	memmove(s->own, s->own + s->own_first, s->own_n);
	s->own_first = 0;
	return 0;
}

/* The reader has done with the last view. */
static void end_view(struct stream *s)
{
	s->viewed = false;
	free(s->retired);
	s->retired = NULL;
}

static int own_append(struct stream *s, const char *p, size_t n)
{
	int r = own_reserve(s, n);
	if (r < 0)
		return r;
	memcpy(s->own + s->own_first + s->own_n, p, n);
	s->own_n += n;
	return 0;
}

/* A single receive has put n bytes at the end. */
static void own_filled(struct stream *s, size_t n)
{
	sanitize_filled(s->own + s->own_first + s->own_n, (ssize_t)n);
	s->own_n += n;
}

static void own_trim(struct stream *s)
{
	if (s->own_n > 0 || s->recv_single)
		return;
	s->own_first = 0;
	if (s->own_cap > OWN_KEEP) {
		free(s->own);
		s->own = NULL;
		s->own_cap = 0;
	}
}

/* ---- the lent buffer ---- */

static void give_back(struct stream *s)
{
	bufs_put(&s->home->bufs, s->lent_id);
	s->lent = NULL;
	s->lent_n = 0;
	s->lent_id = -1;
}

/* Copies what is lent in front of what is own. */
static int own_lent(struct stream *s)
{
	if (s->lent_id < 0)
		return 0;
	size_t n = s->lent_n;
	int r = own_reserve(s, n);
	if (r < 0)
		return r;
	char *at = s->own + s->own_first;
	memmove(at + n, at, s->own_n);
	memcpy(at, s->lent, n);
	s->own_n += n;
	give_back(s);
	return 0;
}

/* ---- the operation ---- */

void stream_recv_arm(struct stream *s)
{
	struct io_uring_sqe sqe = {0};
	io_uring_prep_recv_multishot(&sqe, s->fd, NULL, 0, 0);
	sqe.flags |= IOSQE_BUFFER_SELECT;
	sqe.buf_group = BUFS_GROUP;
	s->recv_armed = true;
	s->recv_single = false;
	s->recv_cancelling = false;
	ring_submit(s->home, &sqe, &s->recv_op);
}

static int arm_single(struct stream *s, size_t room)
{
	int r = own_lent(s);
	if (r == 0)
		r = own_reserve(s, room);
	if (r < 0)
		return r;
	struct io_uring_sqe sqe = {0};
	io_uring_prep_recv(&sqe, s->fd, s->own + s->own_first + s->own_n, room, 0);
	s->recv_armed = true;
	s->recv_single = true;
	s->recv_cancelling = false;
	ring_submit(s->home, &sqe, &s->recv_op);
	return 0;
}

/* Somebody waits, and there is not enough. */
static int arm_for_reader(struct stream *s)
{
	if (held(s) >= HALF)
		return arm_single(s, RT_STREAM_BUFFER_BYTES - held(s));
	if (s->heads && --s->heads)
		return arm_single(s, HEAD_BYTES);
	stream_recv_arm(s);
	return 0;
}

void stream_recv_disarm(struct stream *s)
{
	if (!s->recv_armed || s->recv_cancelling)
		return;
	s->recv_cancelling = true;
	ring_cancel(s->home, &s->recv_op);
}

static void keep(struct stream *s, char *p, size_t n, int id)
{
	struct bufs *b = &s->home->bufs;
	bool may_lend = b->out <= BUFS_COUNT - BUFS_SCARCE && s->lent_id < 0 && s->own_n == 0;
	if (may_lend && n > s->wanted) {
		s->lent = p;
		s->lent_n = n;
		s->lent_id = id;
		return;
	}
	if (own_append(s, p, n) < 0)
		s->recv_end = -ENOMEM;
	bufs_put(b, id);
}

static void take_answer(struct stream *s, int res, unsigned flags)
{
	int id = -1;
	char *p = NULL;
	if (flags & IORING_CQE_F_BUFFER)
		p = bufs_take(&s->home->bufs, flags, res > 0 ? (size_t)res : 0, &id);
	if (res > 0 && p)
		keep(s, p, (size_t)res, id);
	else if (p)
		bufs_put(&s->home->bufs, id);
	else if (res > 0)
		own_filled(s, (size_t)res);
	if (res == 0)
		s->recv_end = 1;
	else if (res < 0 && res != -ENOBUFS && res != -ECANCELED && res != -EINTR)
		s->recv_end = res;
}

static void wake_readers(struct stream *s)
{
	for (struct list *l; (l = list_pop_front(&s->readers));)
		fiber_wake(list_entry(l, struct fiber, link), 0);
}

void stream_recv_done(struct op *op, int res, unsigned flags)
{
	struct stream *s = container_of(op, struct stream, recv_op);
	struct worker *w = s->home;
	take_answer(s, res, flags);
	if (s->recv_end || held(s) > s->wanted)
		wake_readers(s);
	if (cqe_more(flags)) {
		if (held(s) >= HALF)
			stream_recv_disarm(s);
		return;
	}
	s->recv_armed = false;
	s->recv_single = false;
	if (!list_empty(&s->stopping)) {
		stream_idle(s);
	} else if (s->reading) {
		wake_readers(s);
	} else if (res == -ENOBUFS && list_empty(&s->starved_link)) {
		/* Others hold them all; the next turn, at the latest, gives some back. */
		list_push_back(&w->starved, &s->starved_link);
	} else if (!s->recv_end && !s->heads && held(s) < HALF) {
		stream_recv_arm(s);
	} else if (!s->recv_end && !list_empty(&s->readers)) {
		s->recv_end = arm_for_reader(s);
		if (s->recv_end)
			wake_readers(s);
	}
}

void streams_feed(struct worker *w)
{
	while (!list_empty(&w->starved) && w->bufs.out < BUFS_COUNT) {
		struct stream *s = list_first(&w->starved, struct stream, starved_link);
		list_remove(&s->starved_link);
		if (!s->recv_armed && !s->recv_end)
			stream_recv_arm(s);
	}
}

/* ---- reading ---- */

/* What has arrived, if that is more than `have`; also true at the end of the stream. */
static bool view(struct stream *s, size_t have, struct span *ret, int *ret_r)
{
	*ret_r = 0;
	if (held(s) > have) {
		if (s->lent_n > have) {
			*ret = span_of(s->lent, s->lent_n);
			return true;
		}
		*ret_r = own_lent(s);
		if (*ret_r < 0)
			return true;
		*ret = span_of(s->own + s->own_first, s->own_n);
		s->viewed = true;
		return true;
	}
	if (s->recv_end > 0)
		*ret = (struct span){0};
	else
		*ret_r = s->recv_end;
	return s->recv_end != 0;
}

static int ensure_armed(struct stream *s)
{
	return s->recv_armed || !list_empty(&s->starved_link) ? 0 : arm_for_reader(s);
}

int stream_peek(struct stream *s, size_t have, struct span *ret, int64_t deadline_ns)
{
	struct fiber *f = fiber_self();
	CHECK(s->home == worker_current);
	if (f->group->cancelled && f->shield == 0)
		return -ECANCELED;
	end_view(s);
	for (;;) {
		int r;
		if (view(s, have, ret, &r))
			return r;
		if (have >= RT_STREAM_BUFFER_BYTES)
			return err_raise(-E2BIG, "more than %d bytes in one piece of a stream",
				RT_STREAM_BUFFER_BYTES);
		/* Nobody looks at the view while this fiber waits. */
		r = own_lent(s);
		if (r == 0)
			r = ensure_armed(s);
		if (r < 0)
			return r;
		s->wanted = have;
		r = fiber_wait_in(&s->readers, "stream_peek", deadline_ns, s);
		s->wanted = 0;
		if (r < 0)
			return r;
	}
}

static void drop(struct stream *s, size_t n)
{
	CHECK(n <= held(s));
	end_view(s);
	size_t lent = MIN(n, s->lent_n);
	s->lent += lent;
	s->lent_n -= lent;
	if (s->lent_id >= 0 && s->lent_n == 0)
		give_back(s);
	s->own_first += n - lent;
	s->own_n -= n - lent;
	own_trim(s);
}

void stream_consume(struct stream *s, size_t n)
{
	drop(s, n);
	if (!s->recv_armed && !s->recv_end && !s->heads && list_empty(&s->starved_link) &&
		held(s) < HALF)
		stream_recv_arm(s);
}

/* Moves what is held, n bytes at most. */
static size_t take_held(struct stream *s, char *p, size_t n)
{
	size_t lent = MIN(n, s->lent_n), own = MIN(n - lent, s->own_n);

	if (lent)
		memcpy(p, s->lent, lent);
	if (own)
		memcpy(p + lent, s->own + s->own_first, own);
	drop(s, lent + own);
	return lent + own;
}

/* Nothing is received behind this fiber's back any more. */
static int silence(struct stream *s, int64_t deadline_ns)
{
	int r = 0;

	list_remove(&s->starved_link);
	s->reading = true;
	while (r == 0 && s->recv_armed) {
		stream_recv_disarm(s);
		r = fiber_wait_in(&s->readers, "stream_read", deadline_ns, s);
	}
	s->reading = false;
	return r;
}

int stream_read(struct stream *s, char *p, size_t n, int64_t deadline_ns)
{
	CHECK(s->home == worker_current);
	size_t done = take_held(s, p, n);

	s->heads = HEADS;
	while (done < n) {
		if (s->recv_end)
			return s->recv_end < 0 ? s->recv_end : -ECONNRESET;
		ssize_t r = silence(s, deadline_ns);
		if (r < 0)
			return (int)r;
		done += take_held(s, p + done, n - done);
		if (done == n || s->recv_end)
			continue;
		r = rt_recv(s->fd, p + done, n - done, MSG_WAITALL, deadline_ns);
		if (r == -EINTR || r == -EAGAIN)
			continue;
		if (r <= 0)
			return r < 0 ? (int)r : -ECONNRESET;
		done += (size_t)r;
	}
	return 0;
}

void stream_recv_free(struct stream *s)
{
	list_remove(&s->starved_link);
	if (s->lent_id >= 0)
		give_back(s);
	end_view(s);
	free(s->own);
	s->own = NULL;
}
