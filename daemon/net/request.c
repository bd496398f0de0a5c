/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The body of the request on a connection, read on the handler's demand. The framing decoder is the
 * pure one of http_body.c; here are the waiting, the minimum rate, 100 Continue, and what becomes
 * of a body that nobody reads.
 */
#include "daemon/net/conn.h"
#include <errno.h>

static struct conn *conn_of(struct http_request *q)
{
	return container_of(q, struct conn, request);
}

void request_begin(struct conn *c)
{
	c->body = http_body_of(&c->head);
	c->body.done = c->head.framing == HTTP_BODY_NONE;
	c->body_start_ns = c->body.done ? 0 : rt_now_ns();
	c->body_failed = false;
	c->continue_due = c->head.expect_continue;
	c->request = (struct http_request){&c->head, &c->peer, c->arena};
	c->keep = c->head.keep_alive;
}

/* A sender that keeps the minimum rate never meets it. What comes faster earns no more than one
 * grace ahead: who sends much at first cannot be silent for hours. */
int64_t request_body_deadline(const struct conn *c)
{
	const struct http_server_options *o = &c->listener->server->options;
	uint64_t rate = (uint64_t)o->min_bytes_per_s;
	uint64_t earned_s = MIN(c->body.total / rate, (uint64_t)INT32_MAX);
	int64_t deadline_ns =
		c->body_start_ns + o->body_grace_ms * NS_PER_MS + (int64_t)earned_s * NS_PER_S;

	return MIN(deadline_ns, deadline_in_ms(o->body_grace_ms));
}

static int fail(struct conn *c, int r, const char *reason)
{
	c->body_failed = true;
	c->keep = false;
	switch (r) {
	case -ECANCELED:
		return r;
	case -ETIME:
		return err_raise(r, "the request body came slower than %lld bytes per second",
			(long long)c->listener->server->options.min_bytes_per_s);
	case -EBADMSG:
		return err_raise(r, "the request body is malformed: %s", reason);
	default:
		return err_raise(-EPIPE, "the client went away before its request body was whole");
	}
}

static void consume_pending(struct conn *c)
{
	size_t n = c->pending;

	c->pending = 0;
	conn_consume(c, n);
}

static int send_continue(struct conn *c)
{
	c->continue_due = false;
	if (c->reply.begun)
		return 0; /* too late to ask */
	buf_span(&c->out, SPAN("HTTP/1.1 100 Continue\r\n\r\n"));
	return conn_flush(c, NULL, 0);
}

int http_body_some(struct http_request *q, struct span *ret_piece)
{
	struct conn *c = conn_of(q);
	struct http_fault fault = {0};
	int r = 0;

	if (c->body_failed)
		return err_raise(-EPIPE, "the request body has failed before");
	if (c->whole.n) {
		*ret_piece = c->whole;
		c->whole = (struct span){0};
		return 0;
	}
	consume_pending(c);
	if (c->continue_due && !c->body.done)
		r = send_continue(c);
	while (r == 0 && !c->body.done) {
		struct span view, piece;
		size_t used;

		r = conn_peek(c, 0, &view, request_body_deadline(c));
		if (r == 0 && view.n == 0)
			r = -EPIPE;
		if (r < 0)
			break;
		r = http_body_next(&c->body, view, &used, &piece, &fault);
		if (r < 0)
			break;
		if (r == HTTP_DATA) {
			c->pending = used;
			*ret_piece = piece;
			return 0;
		}
		conn_consume(c, used);
		r = 0;
	}
	if (r < 0)
		return fail(c, r, fault.reason);
	c->body.done = true;
	*ret_piece = (struct span){0};
	return 0;
}

static int too_long(struct conn *c, size_t limit)
{
	/* Not the connection's failure: what is left may still be skipped. */
	return err_raise(
		-E2BIG, "the request body is longer than the %zu bytes accepted here", limit);
}

void request_body_release(struct conn *c)
{
	c->listener->server->bodies_bytes -= c->body_counted;
	c->body_counted = 0;
}

/* Room for a body that has grown to n bytes. */
static int count_body(struct conn *c, size_t n)
{
	struct http_server *s = c->listener->server;
	size_t counted = n - MIN(n, (size_t)LIMIT_HTTP_FREE_BODY_BYTES);
	size_t most = c->request.stranger ? s->options.bodies_bytes / 2 : s->options.bodies_bytes;

	if (s->bodies_bytes - c->body_counted + counted > most && counted > c->body_counted)
		return err_raise(-EBUSY,
			"the bodies of all requests take too much memory: try again, or send less");
	s->bodies_bytes += counted - c->body_counted;
	c->body_counted = counted;
	return 0;
}

int http_body_all(struct http_request *q, size_t limit_bytes, struct span *ret_body)
{
	struct conn *c = conn_of(q);
	size_t limit = MIN(limit_bytes, (size_t)LIMIT_HTTP_BODY_BYTES);
	struct span piece;

	if (c->head.framing == HTTP_BODY_LENGTH && c->head.content_length > limit)
		return too_long(c, limit);
	if (c->whole.n)
		return http_body_some(q, ret_body);
	for (;;) {
		int r = http_body_some(q, &piece);
		if (r < 0)
			return err_trace(r);
		if (piece.n == 0)
			break;
		if (piece.n > limit - c->body_bytes.len)
			return too_long(c, limit);
		r = count_body(c, c->body_bytes.len + piece.n);
		if (r < 0)
			return err_trace(r);
		buf_span(&c->body_bytes, piece);
		if (c->body_bytes.error)
			return err_raise(c->body_bytes.error, "no memory for a request body");
	}
	*ret_body = buf_view(&c->body_bytes);
	return 0;
}

int http_body_status(int r)
{
	switch (r) {
	case -E2BIG:
		return 413;
	case -ETIME:
		return 408;
	case -ENOMEM:
	case -EBUSY:
		return 503;
	default:
		return 400;
	}
}

bool request_end_in_sight(const struct conn *c)
{
	if (c->body.done)
		return true;
	/* A client that waits for 100 Continue may send its body, or may not. */
	if (c->body_failed || c->continue_due)
		return false;
	return c->body.framing == HTTP_BODY_CHUNKED ||
		c->body.left <= LIMIT_HTTP_SKIPPED_BODY_BYTES;
}

bool request_skip_body(struct conn *c)
{
	uint64_t most = c->body.total + LIMIT_HTTP_SKIPPED_BODY_BYTES;

	if (!request_end_in_sight(c))
		return false;
	for (;;) {
		struct span piece;

		if (http_body_some(&c->request, &piece) < 0) {
			err_clear();
			return false;
		}
		if (piece.n == 0)
			return true;
		if (c->body.total > most)
			return false;
	}
}
