/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * One connection: its fiber reads what has come, answers what can be answered at once, and sends
 * these replies in one piece. A call that would have to wait is copied and goes on in a fiber of
 * its own, which sends its own reply.
 *
 * A call that is there in one piece is read where it lies in the stream; asking the stream for one
 * piece would make it copy what has come behind. Others are put together: short ones in memory of
 * the connection's own, long ones, and those in several fragments, in one of the server's buffers,
 * which goes with the call if that must wait. What is long and has not arrived yet is received
 * there.
 */
#include "nfs/server/internal.h"
#include <stdlib.h>

enum {
	SEND_BYTES =
		256 * 1024, /* of replies go out before more are made: they are in the caches yet */
};

struct task { /* a call in a fiber of its own */
	struct call call;
	struct span record;
	char *buffer; /* holds the record if it is long, else it stands in `copy` */
	char copy[];
};

/* ---- replies ---- */

static void append_mark(char *at, size_t n)
{
	rpc_mark_put(at, (struct rpc_mark){true, (uint32_t)(n - RPC_MARK_BYTES)});
}

static void drop_large(struct conn *c)
{
	buffers_put(&c->server->buffers, TAKE_PTR(c->large));
	c->large_used = 0;
}

static int flush(struct conn *c)
{
	struct iovec v[] = {{c->small, c->small_used}, {c->large, c->large_used}};
	if (c->small_used + c->large_used == 0)
		return 0;
	int r = stream_sendv(c->stream, v, 2, deadline_in_ms(c->server->options.client_ms));
	c->small_used = 0;
	drop_large(c);
	return r;
}

/* Room for a reply of `need` bytes; sends what stands in the way. */
static int room_for(struct conn *c, size_t need, struct xdr *ret)
{
	if (need <= SMALL_REPLY_BYTES) {
		if (SMALL_ROOM_BYTES - c->small_used < need) {
			int r = flush(c);
			if (r < 0)
				return r;
		}
		*ret = xdr_encoder(c->small + c->small_used, SMALL_ROOM_BYTES - c->small_used);
		return 0;
	}
	if (c->large && (BUFFER_BYTES - c->large_used < need || c->large_used >= SEND_BYTES)) {
		int r = flush(c);
		if (r < 0)
			return r;
	}
	if (!c->large) {
		c->large = buffers_try(&c->server->buffers);
		int r = 0;
		if (!c->large) /* who holds them may wait for this client: first of all, send */
			r = flush(c);
		if (r == 0 && !c->large)
			r = buffers_get(&c->server->buffers, &c->large,
				deadline_in_ms(c->server->options.client_ms));
		if (r < 0)
			return r;
	}
	*ret = xdr_encoder(c->large + c->large_used, BUFFER_BYTES - c->large_used);
	return 0;
}

/* The reply that begins at `start`, a mark's room included, and ends at x->p is complete. */
static void reply_complete(struct conn *c, char *start, const struct xdr *x)
{
	size_t n = (size_t)(x->p - start);
	CHECK(!x->bad);
	append_mark(start, n);
	if (start == c->small + c->small_used)
		c->small_used += n;
	else
		c->large_used += n;
}

/* ---- calls in fibers of their own ---- */

static void task_free(struct task *t)
{
	struct conn *c = t->call.conn;
	buffers_put(&c->server->buffers, t->buffer);
	call_leave(&t->call);
	free(t);
}

static int task_reply(struct task *t, char *room, size_t n)
{
	struct conn *c = t->call.conn;
	struct xdr x = xdr_encoder(room + RPC_MARK_BYTES, n - RPC_MARK_BYTES);
	int r = call_run(&t->call, &x);
	if (r < 0)
		return r;
	CHECK(r == 0 && !x.bad);
	size_t bytes = (size_t)(x.p - room);
	append_mark(room, bytes);
	return stream_send(
		c->stream, span_of(room, bytes), deadline_in_ms(c->server->options.client_ms));
}

static void run_task(void *arg)
{
	struct task *t = arg;
	struct conn *c = t->call.conn;
	char small[SMALL_REPLY_BYTES];
	char *room = small;
	size_t n = call_reply_bytes(&t->call);
	int r = 0;
	if (n > sizeof(small)) {
		n = BUFFER_BYTES;
		r = buffers_get(
			&c->server->buffers, &room, deadline_in_ms(c->server->options.client_ms));
	}
	if (r == 0)
		r = task_reply(t, room, n);
	else
		call_forget(&t->call);
	if (r < 0) /* its reply is lost: the client shall find out and ask again */
		rt_shutdown(stream_fd(c->stream), SHUT_RDWR);
	if (room != small)
		buffers_put(&c->server->buffers, room);
	task_free(t);
}

/* The call goes on without this fiber. Takes c->record_memory along if the record stands there. */
static bool spawn(struct conn *c, const struct call *q, struct span record)
{
	bool own = c->record_memory && record.p == c->record_memory;
	struct task *t = calloc(1, sizeof(*t) + (own ? 0 : record.n));
	if (!t)
		return false;
	t->call = *q;
	t->call.may_park = true;
	t->record = own ? record : span_of(t->copy, record.n);
	if (own)
		t->buffer = c->record_memory;
	else
		memcpy(t->copy, record.p, record.n);
	struct xdr none = {0};
	CHECK(call_read(&t->call, t->record, &none) == 0);
	if (group_spawn(&c->calls, "nfs call", FIBER_SMALL, run_task, t) < 0) {
		free(t);
		return false;
	}
	c->server->stats.own_fibers++;
	if (own)
		c->record_memory = NULL;
	return true;
}

/* ---- records ---- */

static int hand_over(struct conn *c, struct call *q, struct span record)
{
	struct xdr x;
	int r = flush(c); /* what is answered shall not wait for this call's room */
	if (r == 0 && call_admit(q)) {
		if (spawn(c, q, record))
			return 0;
		call_leave(q);
	}
	if (r == 0)
		r = room_for(c, SMALL_REPLY_BYTES, &x);
	if (r < 0) {
		call_forget(q);
		return r;
	}
	char *start = x.p;
	x.p += RPC_MARK_BYTES;
	call_answer_busy(q, &x);
	reply_complete(c, start, &x);
	return 0;
}

static int take_record(struct conn *c, struct span record)
{
	struct call q = {.conn = c, .server = c->server};
	struct xdr x;
	c->server->stats.calls++;
	int r = room_for(c, SMALL_REPLY_BYTES, &x);
	if (r < 0)
		return r;
	char *start = x.p;
	x.p += RPC_MARK_BYTES;
	r = call_read(&q, record, &x);
	if (r == CALL_NO_REPLY)
		return -EPROTO;
	if (r == CALL_ANSWERED) {
		reply_complete(c, start, &x);
		return 0;
	}
	size_t need = call_reply_bytes(&q);
	if (need > SMALL_REPLY_BYTES) {
		r = room_for(c, need, &x);
		if (r < 0)
			return r;
		start = x.p;
		x.p += RPC_MARK_BYTES;
	}
	r = call_run(&q, &x);
	if (r == CALL_WOULD_PARK)
		return hand_over(c, &q, record);
	if (r == 0)
		reply_complete(c, start, &x);
	return r < 0 ? r : 0;
}

/* Bytes of a record that is put together. */
static int take_piece(struct conn *c, struct span in, size_t *ret_used)
{
	int r = rpc_record_feed(&c->record, in, ret_used);
	if (r != RPC_RECORD_COMPLETE)
		return r;
	c->assembling = false;
	r = take_record(c, span_of(c->record.data, c->record.len));
	buffers_put(&c->server->buffers, TAKE_PTR(c->record_memory));
	return r;
}

static int grow_short(struct conn *c, size_t n)
{
	if (c->short_cap >= n && (c->short_cap <= SHORT_KEEP_BYTES || n > SHORT_KEEP_BYTES))
		return 0;
	size_t cap = MAX(n, (size_t)SHORT_KEEP_BYTES);
	char *p = malloc(cap);
	if (!p)
		return -ENOMEM;
	free(c->short_memory);
	c->short_memory = p;
	c->short_cap = cap;
	return 0;
}

static int take_buffer(struct conn *c)
{
	c->record_memory = buffers_try(&c->server->buffers);
	if (c->record_memory)
		return 0;
	/* Who holds them may wait for this client. */
	int r = flush(c);
	return r < 0 ? r
		     : buffers_get(&c->server->buffers, &c->record_memory,
			       deadline_in_ms(c->server->options.client_ms));
}

/* The record that begins with mark `m` is not there in one piece. */
static int begin_record(struct conn *c, struct rpc_mark m)
{
	bool is_short = m.last && m.bytes <= SHORT_RECORD_BYTES;
	int r = is_short ? grow_short(c, m.bytes) : take_buffer(c);
	if (r == 0 && is_short)
		rpc_record_init(&c->record, c->short_memory, c->short_cap);
	else if (r == 0)
		rpc_record_init(&c->record, c->record_memory, BUFFER_BYTES);
	c->assembling = r == 0;
	c->record_deadline_ns = deadline_in_ms(c->server->options.client_ms);
	return r;
}

/* The rest of a long record: its mark is consumed. */
static int read_long(struct conn *c, size_t n)
{
	bool is_short = n <= SHORT_RECORD_BYTES;
	if (n > BUFFER_BYTES)
		return -EMSGSIZE;
	int r = is_short ? grow_short(c, n) : take_buffer(c);
	char *p = is_short ? c->short_memory : c->record_memory;
	if (r == 0)
		r = stream_read(c->stream, p, n, deadline_in_ms(c->server->options.client_ms));
	if (r == 0)
		r = take_record(c, span_of(p, n));
	buffers_put(&c->server->buffers, TAKE_PTR(c->record_memory));
	return r;
}

/* Takes all off the view but the beginning of a mark, and the bytes of a long record, whose mark is
 * taken; *ret_long: how many those are, 0 if there is none. */
static int take_view(struct conn *c, struct span view, size_t *ret_used, size_t *ret_long)
{
	size_t used = 0;
	int r = 0;
	*ret_long = 0;
	while (r == 0 && *ret_long == 0 && view.n - used > 0) {
		struct span rest = span_of(view.p + used, view.n - used);
		if (c->assembling) {
			size_t taken;
			r = take_piece(c, rest, &taken);
			if (taken == 0)
				break;
			used += taken;
			continue;
		}
		if (rest.n < RPC_MARK_BYTES)
			break;
		struct rpc_mark m = rpc_mark_get(rest.p);
		bool whole = rest.n - RPC_MARK_BYTES >= m.bytes;
		if (m.last && !whole && m.bytes > LONG_RECORD_BYTES) {
			*ret_long = m.bytes;
			used += RPC_MARK_BYTES;
			continue;
		}
		if (!m.last || !whole) {
			r = begin_record(c, m);
			continue;
		}
		r = take_record(c, span_of(rest.p + RPC_MARK_BYTES, m.bytes));
		used += RPC_MARK_BYTES + m.bytes;
	}
	*ret_used = used;
	return r;
}

static int64_t patience(const struct conn *c, bool between)
{
	const struct nfs_server_options *o = &c->server->options;
	if (c->assembling)
		return c->record_deadline_ns;
	return deadline_in_ms(between ? o->idle_ms : o->client_ms);
}

static int serve(struct conn *c)
{
	size_t have = 0;
	for (;;) {
		struct span view;
		bool between = have == 0 && !c->assembling;
		int r = stream_peek(c->stream, have, &view, patience(c, between));
		if (r == -ETIME && between)
			return 0;
		if (r < 0)
			return r;
		if (view.n == 0)
			return 0;
		size_t used, more;
		r = take_view(c, view, &used, &more);
		if (r < 0)
			return r;
		stream_consume(c->stream, used);
		have = more ? 0 : view.n - used;
		r = more ? read_long(c, more) : 0;
		if (r == 0)
			r = flush(c);
		if (r < 0)
			return r;
	}
}

static void end(struct conn *c, int r)
{
	struct nfs_server *s = c->server;
	if (r < 0 && r != -ECANCELED && r != -ECONNRESET && r != -EPIPE) {
		s->stats.cut++;
		log_info("nfs: a connection was cut: %s", err_message(r));
	}
	err_clear();
	/* A call that has begun ends, so that it is known what it did; the server's end cancels. */
	if (group_join(&c->calls, DEADLINE_NONE) < 0)
		err_clear();
	group_close(&c->calls);
	buffers_put(&s->buffers, c->record_memory);
	drop_large(c);
	free(c->short_memory);
	stream_stop(c->stream);
	s->connection_count--;
	free(c->small);
	free(c);
}

void conn_serve(void *arg)
{
	struct conn *c = arg;
	group_init(&c->calls);
	waitq_init(&c->call_ended);
	c->small = malloc(SMALL_ROOM_BYTES);
	int r = stream_start(TAKE_FD(c->fd), &c->stream);
	if (r == 0 && !c->small)
		r = -ENOMEM;
	if (r == 0)
		r = serve(c);
	end(c, r);
}
