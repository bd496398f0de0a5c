/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * One connection of a server, from its first byte to its last, in one fiber: read a head, call the
 * handler, skip what it has left of the body, again.
 *
 * `out` gathers replies while more requests are known to have arrived; it is sent before anything
 * here waits for input. `ahead` counts what is known to have arrived: it may be less than what has,
 * never more.
 */
#include "daemon/net/conn.h"
#include <errno.h>

enum {
	LINGER_MS = 2000,
	LINGER_BYTES = 256 * 1024,
	KEEP_BYTES = 16 * 1024, /* of each buffer, while a connection is idle */
};

/* ---- bytes ---- */

/* Empties b; what a large request has made of it is given back before the connection idles. */
static void release(struct buf *b)
{
	if (b->cap > KEEP_BYTES)
		buf_fini(b);
	buf_reset(b);
}

static int64_t write_deadline(const struct conn *c, size_t bytes)
{
	const struct http_server_options *o = &c->listener->server->options;

	return deadline_in_ms(o->write_timeout_ms) +
		(int64_t)(bytes / (size_t)o->min_bytes_per_s) * NS_PER_S;
}

static int flush(struct conn *c, const struct iovec *pieces, int count)
{
	struct iovec v[4];
	size_t bytes = c->out.len;
	int n = 0, r;

	CHECK(count < (int)ARRAY_LEN(v));
	if (c->broken)
		return -EPIPE;
	if (c->out.error) {
		c->broken = true;
		return c->out.error;
	}
	if (bytes)
		v[n++] = (struct iovec){c->out.data, bytes};
	for (int i = 0; i < count; i++) {
		v[n++] = pieces[i];
		bytes += pieces[i].iov_len;
	}
	if (bytes == 0)
		return 0;
	r = transport_sendv(&c->transport, v, n, write_deadline(c, bytes));
	release(&c->out);
	if (r == 0)
		return 0;
	c->broken = true;
	return r == -ETIME || r == -ECANCELED ? r : -EPIPE;
}

int conn_flush(struct conn *c, const struct iovec *pieces, int count)
{
	int r = c->parent ? beside_await_turn(c) : 0;

	if (r < 0)
		c->broken = true;
	return r < 0 ? r : flush(c, pieces, count);
}

int conn_send_out(struct conn *c)
{
	return flush(c, NULL, 0);
}

int conn_peek(struct conn *c, size_t have, struct span *ret, int64_t deadline_ns)
{
	int r;

	if (have >= c->ahead && c->out.len) {
		r = conn_flush(c, NULL, 0);
		if (r < 0)
			return r;
	}
	r = transport_peek(&c->transport, have, ret, deadline_ns);
	if (r == 0 && ret->n)
		c->ahead = ret->n;
	return r;
}

void conn_consume(struct conn *c, size_t n)
{
	c->ahead -= n;
	transport_consume(&c->transport, n);
}

/* ---- one request ---- */

static int refuse(struct conn *c, int status, const char *reason)
{
	int r;

	/* The request was not understood, so nothing of it may shape the answer. */
	c->head.method = HTTP_GET;
	c->head.minor_version = 1;
	c->body = (struct http_body){0}; /* more of it may be on its way: linger */
	c->keep = false;
	r = reply_error(c, status, reason);
	return r < 0 ? r : -EBADMSG;
}

/* Until when the first byte of a request may come. */
static int64_t first_byte_deadline(const struct conn *c)
{
	const struct http_server_options *o = &c->listener->server->options;

	return deadline_in_ms(c->served ? o->idle_timeout_ms : o->head_timeout_ms);
}

/* The bytes of the next head. 0 with an empty span: the client has left, or is not wanted. */
static int await_head(struct conn *c, struct span *ret_head)
{
	int64_t deadline = first_byte_deadline(c);
	size_t seen = 0, have = 0, bytes = 0;
	struct http_fault fault;
	struct span view = {0};
	int r;

	*ret_head = (struct span){0};
	for (;;) {
		c->idle = have == 0;
		if (c->idle && c->listener->stopping && c->ahead == 0)
			return 0;
		r = conn_peek(c, have, &view, deadline);
		c->idle = false;
		if (r == -ETIME && have)
			return refuse(c, 408, "the head of the request came too slowly");
		if (r < 0 || view.n == 0)
			return r;
		r = http_find_head(view, &seen, LIMIT_HTTP_HEAD_BYTES, &bytes, &fault);
		if (r < 0)
			return refuse(c, fault.status, fault.reason);
		if (r == 0)
			break;
		if (have == 0)
			deadline = deadline_in_ms(c->listener->server->options.head_timeout_ms);
		have = view.n;
	}
	*ret_head = span_sub(view, 0, bytes);
	return 0;
}

/* Copies the head out of the stream, whose view would not survive the body, and parses it. */
static int take_head(struct conn *c, struct span view)
{
	struct http_fault fault;
	struct span head = arena_span(c->arena, view);

	if (!head.p)
		return refuse(c, 503, "out of memory");
	conn_consume(c, view.n);
	if (http_parse_request(head, &c->head, &fault) < 0)
		return refuse(c, fault.status, fault.reason);
	return 0;
}

void conn_forget_request(struct conn *c)
{
	struct http_reply *p = &c->reply;

	arena_reset(c->arena);
	release(&c->body_bytes);
	request_body_release(c);
	release(&p->headers);
	release(&p->event);
	*p = (struct http_reply){.headers = p->headers, .event = p->event};
}

/* 0: the next request may follow. */
static int serve_one(struct conn *c)
{
	struct http_server *s = c->listener->server;
	struct span view;
	int r;

	conn_forget_request(c);
	r = await_head(c, &view);
	if (r == 0 && view.n == 0)
		return -EPIPE;
	if (r == 0)
		r = take_head(c, view);
	if (r < 0)
		return r;
	s->stats.requests++;
	c->served = true;
	request_begin(c);
	if (beside_start(c))
		return c->broken ? -EPIPE : 0;
	beside_wait(c);
	s->options.handler(s->options.ctx, &c->request, &c->reply);
	err_clear();
	if (!c->reply.begun)
		r = reply_error(c, 500, "the server has no answer");
	if (r < 0 || !c->reply.ended || c->broken || !c->keep)
		return r < 0 ? r : -EPIPE;
	return request_skip_body(c) ? 0 : -EPIPE;
}

/* ---- the connection ---- */

/* The peer has not read our last words yet; to close over its unread bytes would destroy them. */
static void linger(struct conn *c)
{
	int64_t deadline = deadline_in_ms(LINGER_MS);
	size_t most = LINGER_BYTES;

	for (;;) {
		struct span view;

		if (transport_peek(&c->transport, 0, &view, deadline) < 0 || view.n == 0)
			break;
		size_t n = MIN(view.n, most);
		most -= n;
		transport_consume(&c->transport, n);
		if (most == 0)
			break;
	}
	err_clear();
}

static int greet(struct conn *c)
{
	struct http_listener *l = c->listener;
	struct buf subject;
	int r = stream_start(TAKE_FD(c->fd), &c->transport.stream);

	if (r < 0 || !l->tls)
		return r;
	r = tls_session_accept(l->tls, c->transport.stream,
		deadline_in_ms(l->server->options.handshake_timeout_ms), &c->transport.tls);
	if (r < 0)
		return r;
	subject = buf_init(sizeof(c->subject));
	tls_session_subject(c->transport.tls, &subject);
	if (!subject.error && subject.len) {
		memcpy(c->subject, subject.data, subject.len);
		c->peer.tls_subject = span_of(c->subject, subject.len);
	}
	buf_fini(&subject);
	return 0;
}

static void part(struct conn *c)
{
	bool complete = c->reply.ended || !c->reply.begun;

	if (!c->transport.stream)
		return;
	if (!c->broken && conn_flush(c, NULL, 0) == 0 && complete) {
		transport_shutdown(&c->transport, deadline_in_ms(LINGER_MS));
		if (!c->body.done || c->ahead > c->pending)
			linger(c);
	}
	transport_stop(&c->transport);
}

static void conn_free(struct conn *c)
{
	struct http_listener *l = c->listener;

	rt_close(c->fd);
	arena_free(c->arena);
	buf_fini(&c->out);
	buf_fini(&c->body_bytes);
	request_body_release(c);
	buf_fini(&c->reply.headers);
	buf_fini(&c->reply.event);
	list_remove(&c->link);
	l->server->stats.open--;
	pool_put(&l->server->conns, c);
	atomic_fetch_sub(&l->open, 1);
}

void conn_main(void *arg)
{
	struct conn *c = arg;
	int r = greet(c);

	if (r == 0) {
		c->arena = arena_new(LIMIT_HTTP_REQUEST_ARENA_BYTES);
		r = c->arena ? 0 : -ENOMEM;
	}
	while (r == 0)
		r = serve_one(c);
	if (c->peer.is_tls && !c->transport.tls && r != -ECANCELED)
		log_debug("%s: %s", c->peer.address, err_message(r));
	err_clear();
	beside_wait(c);
	beside_end(c);
	part(c);
	conn_free(c);
}
