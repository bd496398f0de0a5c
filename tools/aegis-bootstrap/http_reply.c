/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * A response that does not parse is an error, never a guess: aegisd wrote it, so a deviation means
 * that something else is talking.
 */
#include "tools/aegis-bootstrap/http_reply.h"
#include <errno.h>

struct http_reply http_reply_init(void)
{
	return (struct http_reply){
		.head = buf_init(LIMIT_REPLY_HEAD_BYTES), .body = buf_init(LIMIT_REPLY_BODY_BYTES)};
}

void http_reply_fini(struct http_reply *r)
{
	buf_fini(&r->head);
	buf_fini(&r->body);
}

static int bad(const struct http_fault *f)
{
	return err_raise(-EBADMSG, "HTTP response: %s", f->reason);
}

static int begin_body(struct http_reply *r, struct span head)
{
	static struct http_head h; /* too large for a frame */
	struct http_fault fault = {0};

	if (http_parse_response(head, HTTP_POST, &h, &fault) < 0)
		return bad(&fault);
	if (h.status < 200) {
		if (h.status == 101 || ++r->interim > LIMIT_HTTP_INTERIM_ANSWERS)
			return err_raise(-EBADMSG, "HTTP response: status %d is not expected here",
				h.status);
		return 0;
	}
	if (h.framing == HTTP_BODY_LENGTH && h.content_length > LIMIT_REPLY_BODY_BYTES)
		return err_raise(-E2BIG,
			"HTTP response: body of %llu bytes, at most %d are accepted",
			(unsigned long long)h.content_length, LIMIT_REPLY_BODY_BYTES);
	r->status = h.status;
	r->decoder = http_body_of(&h);
	return 0;
}

/* Takes as much of *bytes as belongs to the head, and interprets the head when it is complete. */
static int feed_head(struct http_reply *r, struct span *bytes)
{
	struct http_fault fault = {0};
	size_t before = r->head.len, n = MIN(bytes->n, r->head.max - before), head_bytes;

	buf_put(&r->head, bytes->p, n);
	int x = buf_error(&r->head);
	if (x < 0)
		return err_trace(x);
	x = http_find_head(
		buf_view(&r->head), &r->seen, LIMIT_REPLY_HEAD_BYTES, &head_bytes, &fault);
	if (x < 0)
		return bad(&fault);
	if (x == HTTP_MORE) {
		*bytes = span_sub(*bytes, n, bytes->n);
		return 0;
	}
	*bytes = span_sub(*bytes, head_bytes - before, bytes->n);
	x = begin_body(r, span_sub(buf_view(&r->head), 0, head_bytes));
	buf_reset(&r->head);
	r->seen = 0;
	return err_trace(x);
}

/* The rest of the body that is here. */
static int feed_body(struct http_reply *r, struct span bytes)
{
	struct http_fault fault = {0};

	for (;;) {
		struct span piece;
		size_t used;
		int x = http_body_next(&r->decoder, bytes, &used, &piece, &fault);
		if (x < 0)
			return bad(&fault);
		if (x == 0)
			return HTTP_REPLY_DONE;
		if (x == HTTP_MORE)
			return 0;
		buf_span(&r->body, piece);
		if (r->body.error)
			return err_raise(-E2BIG, "HTTP response: body beyond %d bytes",
				LIMIT_REPLY_BODY_BYTES);
		bytes = span_sub(bytes, used, bytes.n);
	}
}

int http_reply_feed(struct http_reply *r, struct span bytes)
{
	while (!r->status && bytes.n > 0) {
		int x = feed_head(r, &bytes);
		if (x < 0)
			return err_trace(x);
	}
	return r->status ? err_trace(feed_body(r, bytes)) : 0;
}

int http_reply_eof(struct http_reply *r)
{
	if (r->status && r->decoder.framing == HTTP_BODY_UNTIL_CLOSE)
		return HTTP_REPLY_DONE;
	return err_raise(-EPIPE, "HTTP response: the connection ended before it was complete");
}
