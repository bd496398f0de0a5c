/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The answer on a connection. Small whole replies are only appended to the connection's `out`, so
 * that the answers to pipelined requests leave in one send, in order; everything else is sent as it
 * comes, behind what is already there.
 *
 * Invariant: a reply that has begun is framed so that the client finds its end, or the connection
 * is closed under it: a reply that breaks off never looks whole.
 */
#include "daemon/net/conn.h"
#include <errno.h>

static struct conn *conn_of(struct http_reply *p)
{
	return container_of(p, struct conn, reply);
}

void http_reply_header(struct http_reply *p, const char *name, struct span value)
{
	if (!http_valid_token(span_cstr(name)) || !http_valid_value(value)) {
		p->bad_header = true;
		return;
	}
	buf_puts(&p->headers, name);
	buf_span(&p->headers, SPAN(": "));
	buf_span(&p->headers, value);
	buf_span(&p->headers, SPAN("\r\n"));
	p->bad_header |= p->headers.error != 0;
}

/* ---- the head ---- */

static void put_number(struct buf *b, uint64_t n)
{
	char digits[20];
	size_t at = sizeof(digits);

	do {
		digits[--at] = (char)('0' + n % 10);
		n /= 10;
	} while (n);
	buf_put(b, digits + at, sizeof(digits) - at);
}

static void put_status_line(struct buf *b, int status)
{
	if (status == 200) {
		buf_span(b, SPAN("HTTP/1.1 200 OK\r\n"));
		return;
	}
	buf_span(b, SPAN("HTTP/1.1 "));
	put_number(b, (uint64_t)status);
	buf_putc(b, ' ');
	buf_puts(b, http_status_text(status));
	buf_span(b, SPAN("\r\n"));
}

static void put_date(struct buf *b, struct http_server *s)
{
	int64_t now_s = rt_wall_ns() / NS_PER_S;

	if (now_s != s->date_s) {
		http_date(now_s * NS_PER_S, s->date);
		s->date_s = now_s;
	}
	buf_span(b, SPAN("Date: "));
	buf_put(b, s->date, HTTP_DATE_BYTES - 1);
	buf_span(b, SPAN("\r\n"));
}

static void put_connection(struct conn *c)
{
	/* Behind a side more answers follow: its connection ends when they are gone. */
	if (!c->parent)
		c->keep &= !c->listener->stopping && request_end_in_sight(c);
	if (!c->keep)
		buf_span(&c->out, SPAN("Connection: close\r\n"));
	else if (c->head.minor_version == 0)
		buf_span(&c->out, SPAN("Connection: keep-alive\r\n"));
}

/* Appends the head to `out`. length -1: not known. */
static void put_head(struct conn *c, int status, const char *content_type, int64_t length)
{
	struct http_reply *p = &c->reply;
	bool no_length = status == 204 || status == 304;

	p->begun = true;
	p->status = status;
	p->left = length;
	p->bodiless = c->head.method == HTTP_HEAD || no_length;
	p->chunked = length < 0 && c->head.minor_version == 1;
	/* To an HTTP/1.0 client the end of the connection is the end of the body. */
	if (length < 0 && !p->chunked && !p->bodiless)
		c->keep = false;
	put_status_line(&c->out, status);
	put_date(&c->out, c->listener->server);
	if (content_type) {
		buf_span(&c->out, SPAN("Content-Type: "));
		buf_puts(&c->out, content_type);
		buf_span(&c->out, SPAN("\r\n"));
	}
	if (p->chunked && !no_length) {
		buf_span(&c->out, SPAN("Transfer-Encoding: chunked\r\n"));
	} else if (length >= 0 && !no_length) {
		buf_span(&c->out, SPAN("Content-Length: "));
		put_number(&c->out, (uint64_t)length);
		buf_span(&c->out, SPAN("\r\n"));
	}
	put_connection(c);
	buf_span(&c->out, buf_view(&p->headers));
	buf_span(&c->out, SPAN("\r\n"));
}

/* A reply that may not be sent as the handler wants it becomes the server's own. */
static int check_reply(struct conn *c, int status, const char *content_type)
{
	CHECK(!c->reply.begun);
	CHECK(status >= 200 && status <= 599);
	if (c->broken)
		return -EPIPE;
	if (!c->reply.bad_header && (!content_type || http_valid_value(span_cstr(content_type))))
		return 0;
	log_error("a reply header has bytes that may not stand in it; answered 500 instead");
	int r = reply_error(c, 500, "the server made a malformed answer");
	return r < 0 ? r : -EPIPE;
}

static int out_error(struct conn *c)
{
	if (!c->out.error)
		return 0;
	c->broken = true;
	return -ENOMEM;
}

/* A reply that has begun and has no end: whoever serves the connection cuts it. */
void http_reply_drop(struct http_reply *p)
{
	p->begun = true;
}

/* ---- whole ---- */

int http_reply(struct http_reply *p, int status, const char *content_type, struct span body)
{
	struct conn *c = conn_of(p);
	int r = check_reply(c, status, content_type);

	if (r < 0)
		return r;
	if (c->out.len > CONN_OUT_BYTES / 2) {
		r = conn_flush(c, NULL, 0);
		if (r < 0)
			return r;
	}
	put_head(c, status, content_type, (int64_t)body.n);
	p->ended = true;
	if (p->bodiless)
		body.n = 0;
	if (body.n <= CONN_COPY_BYTES) {
		buf_span(&c->out, body);
		return out_error(c);
	}
	return conn_flush(c, &(struct iovec){(void *)(uintptr_t)body.p, body.n}, 1);
}

static void default_error(struct buf *body, const char *reason)
{
	struct json_writer w = json_writer(body);

	json_object(&w);
	json_field_cstr(&w, "error", reason);
	json_end(&w);
}

int reply_error(struct conn *c, int status, const char *reason)
{
	const struct http_server_options *o = &c->listener->server->options;
	struct buf body CLEANUP(buf_fini) = buf_init(CONN_COPY_BYTES);

	if (o->write_error)
		o->write_error(o->ctx, status, reason, &body);
	else
		default_error(&body, reason);
	if (body.error)
		buf_reset(&body);
	buf_reset(&c->reply.headers);
	c->reply.bad_header = false;
	return http_reply(&c->reply, status, "application/json", buf_view(&body));
}

/* ---- in pieces ---- */

int http_reply_begin(struct http_reply *p, int status, const char *content_type, int64_t length)
{
	struct conn *c = conn_of(p);
	int r = check_reply(c, status, content_type);

	if (r < 0)
		return r;
	put_head(c, status, content_type, length);
	return out_error(c);
}

static int write_chunk(struct conn *c, struct span piece)
{
	char line[HTTP_CHUNK_LINE_BYTES];
	struct iovec v[3] = {
		{line, http_chunk_line(piece.n, line)},
		{(void *)(uintptr_t)piece.p, piece.n},
		{(void *)(uintptr_t) "\r\n", 2},
	};

	return conn_flush(c, v, 3);
}

int http_reply_write(struct http_reply *p, struct span piece)
{
	struct conn *c = conn_of(p);

	CHECK(p->begun);
	if (c->broken || p->ended) /* ended: by the server, in place of one it could not send */
		return -EPIPE;
	if (p->left >= 0) {
		if (piece.n > (uint64_t)p->left)
			return err_raise(-EOVERFLOW, "a reply is longer than its announced length");
		p->left -= (int64_t)piece.n;
	}
	if (piece.n == 0 || p->bodiless)
		return 0;
	if (p->chunked)
		return write_chunk(c, piece);
	return conn_flush(c, &(struct iovec){(void *)(uintptr_t)piece.p, piece.n}, 1);
}

int http_reply_end(struct http_reply *p)
{
	struct conn *c = conn_of(p);

	CHECK(p->begun);
	if (c->broken || p->ended) /* ended: by the server, in place of one it could not send */
		return -EPIPE;
	if (p->left > 0 && !p->bodiless)
		return err_raise(-EOVERFLOW, "a reply is shorter than its announced length");
	p->ended = true;
	if (p->chunked && !p->bodiless)
		buf_span(&c->out, HTTP_CHUNK_LAST);
	return out_error(c);
}

/* ---- server-sent events ---- */

int http_reply_sse(struct http_reply *p)
{
	int r;

	http_reply_header(p, "Cache-Control", SPAN("no-cache"));
	r = http_reply_begin(p, 200, "text/event-stream", -1);
	return r < 0 ? r : conn_flush(conn_of(p), NULL, 0);
}

/* Looks for the end of input without waiting. Requests that were sent ahead stay where they are. */
static int look_for_client(struct conn *c)
{
	struct span view;
	int r;

	if (c->listener->stopping)
		return -ECANCELED;
	if (c->parent || c->ahead >= RT_STREAM_BUFFER_BYTES / 2)
		return 0;
	r = conn_peek(c, c->ahead, &view, 0);
	if (r == -ETIME)
		return 0;
	if (r < 0 || view.n == 0) {
		c->broken = true;
		return r == -ECANCELED ? r : -EPIPE;
	}
	return 0;
}

static int send_event(struct conn *c)
{
	struct buf *text = &c->reply.event;
	int r;

	if (text->error)
		return text->error;
	r = look_for_client(c);
	if (r == 0)
		r = http_reply_write(&c->reply, buf_view(text));
	return r;
}

int http_reply_event(struct http_reply *p, const struct sse_event *e)
{
	buf_reset(&p->event);
	sse_write(&p->event, e);
	return send_event(conn_of(p));
}

int http_reply_heartbeat(struct http_reply *p)
{
	buf_reset(&p->event);
	sse_write_comment(&p->event, (struct span){0});
	return send_event(conn_of(p));
}
