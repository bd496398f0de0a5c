/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * One call of the client: the request goes out, the head of the answer comes in, and the caller
 * reads the body at its own pace.
 *
 * Repeating: a re-used connection may be closed by its server at the moment we write to it. If that
 * happens before the first byte of an answer, and sending twice does no harm, the call is made once
 * more on a new connection. Nothing else is ever repeated here.
 */
#include "daemon/net/link.h"
#include <errno.h>

struct http_exchange {
	struct http_client *client;
	struct arena *arena;
	struct http_call call;
	enum http_method method;
	struct target target;
	struct link *link;
	struct http_head head;
	struct http_body body;
	size_t pending; /* bytes of the last piece, to be consumed before the next */
	size_t limit;
	int failed; /* what ended the exchange before its time, or 0 */
	bool closed_early; /* the request was not sent to its end */
	struct sse_parser events;
	bool parsing_events;
	struct span unparsed; /* of the last piece */
};

static int64_t step_deadline(const struct http_exchange *x)
{
	if (!x->call.silence_ms)
		return x->call.deadline_ns;
	return deadline_earlier(x->call.deadline_ns, deadline_in_ms(x->call.silence_ms));
}

/* Puts the call and the step in front of the message. */
static int fail(struct http_exchange *x, int r, const char *step)
{
	if (r == -ETIME)
		r = err_raise(r, "timed out");
	x->failed = r;
	return err_wrap(r, "%s %s: %s", x->call.method, x->target.name, step);
}

/* ---- the request ---- */

static int set_target(struct http_exchange *x)
{
	struct target *t = &x->target;
	const char *url = x->call.url ? x->call.url : "";
	int r = url_parse(span_cstr(url), &t->url);

	if (r < 0)
		return err_trace(r);
	CHECK(t->url.host.n < sizeof(t->host));
	memcpy(t->host, t->url.host.p, t->url.host.n);
	t->unix_path = x->call.unix_path;
	t->dial = x->call.dial;
	if (t->unix_path)
		t->name = arena_strdup(x->arena, t->unix_path);
	else
		t->name = arena_printf(x->arena, t->url.is_ipv6_literal ? "[%s]:%u" : "%s:%u",
			t->host, t->url.port);
	t->key = arena_printf(x->arena, "%s %s:%u %s", t->url.is_https ? "https" : "http", t->host,
		t->url.port, t->unix_path ? t->unix_path : "");
	return t->name && t->key ? 0 : -ENOMEM;
}

static bool is_own_header(struct span name)
{
	static const char *const own[] = {"Host", "Content-Length", "Transfer-Encoding",
		"Connection", "Expect", "Upgrade", "TE", "Trailer"};

	for (size_t i = 0; i < ARRAY_LEN(own); i++) {
		if (span_eq_nocase(name, span_cstr(own[i])))
			return true;
	}
	return false;
}

static int check_call(struct http_exchange *x)
{
	struct http_call *call = &x->call;

	if (!call->method)
		call->method = call->body.p ? "POST" : "GET";
	if (!http_valid_token(span_cstr(call->method)))
		return err_raise(-EINVAL, "the method has a byte that may not stand in it");
	x->method = http_method_parse(span_cstr(call->method));
	for (int i = 0; i < call->header_count; i++) {
		const struct http_header *h = &call->headers[i];
		if (!http_valid_token(h->name) || !http_valid_value(h->value))
			return err_raise(-EINVAL,
				"header %d has a byte that may not stand in its name or value",
				i + 1);
		if (is_own_header(h->name))
			return err_raise(-EINVAL, "header " SPAN_FMT " is the client's own",
				SPAN_ARG(h->name));
	}
	return 0;
}

static void write_head(struct http_exchange *x, struct buf *b)
{
	const struct http_call *call = &x->call;
	bool has_agent = false;

	buf_puts(b, call->method);
	buf_putc(b, ' ');
	buf_span(b, x->target.url.target);
	buf_span(b, SPAN(" HTTP/1.1\r\nHost: "));
	buf_span(b, x->target.url.authority);
	buf_span(b, SPAN("\r\n"));
	for (int i = 0; i < call->header_count; i++) {
		const struct http_header *h = &call->headers[i];
		has_agent |= span_eq_nocase(h->name, SPAN("User-Agent"));
		buf_span(b, h->name);
		buf_span(b, SPAN(": "));
		buf_span(b, h->value);
		buf_span(b, SPAN("\r\n"));
	}
	if (!has_agent)
		buf_printf(b, "User-Agent: %s\r\n", x->client->user_agent);
	if (call->body.p || x->method == HTTP_POST || x->method == HTTP_PUT ||
		x->method == HTTP_PATCH)
		buf_printf(b, "Content-Length: %zu\r\n", call->body.n);
	buf_span(b, SPAN("\r\n"));
}

static int send_request(struct http_exchange *x)
{
	struct buf head CLEANUP(buf_fini) = buf_init(LIMIT_HTTP_URL_BYTES + LIMIT_HTTP_HEAD_BYTES);
	struct iovec v[2];
	int r;

	write_head(x, &head);
	r = buf_error(&head);
	if (r < 0)
		return fail(x, r, "writing the head of the request");
	v[0] = (struct iovec){head.data, head.len};
	v[1] = (struct iovec){(void *)(uintptr_t)x->call.body.p, x->call.body.n};
	r = transport_sendv(&x->link->transport, v, x->call.body.n ? 2 : 1, x->call.deadline_ns);
	/* The secrets of a request do not stay behind in the heap. */
	secret_wipe(head.data, head.len);
	if (r == -ECANCELED || r == -ETIME)
		return fail(x, r, "sending the request");
	/* A server that had enough may have answered before it closed. */
	x->closed_early = r < 0;
	return 0;
}

/* ---- the head of the answer ---- */

/* The next head, interim or final. *ret_any: a byte of it has come. */
static int read_head(struct http_exchange *x, bool *ret_any)
{
	struct transport *t = &x->link->transport;
	size_t seen = 0, have = 0, bytes = 0;
	struct http_fault fault;
	struct span view, head;
	int r;

	for (;;) {
		r = transport_peek(t, have, &view, step_deadline(x));
		if (r == 0 && view.n == 0)
			r = -ECONNRESET;
		if (r < 0)
			return fail(x, r, "waiting for the answer");
		*ret_any = true;
		have = view.n;
		r = http_find_head(view, &seen, LIMIT_HTTP_ANSWER_HEAD_BYTES, &bytes, &fault);
		if (r == 0)
			break;
		if (r < 0)
			return fail(x, err_raise(r, "%s", fault.reason), "the answer is malformed");
	}
	head = arena_span(x->arena, span_sub(view, 0, bytes));
	if (!head.p)
		return fail(x, -ENOMEM, "reading the head of the answer");
	transport_consume(t, bytes);
	if (http_parse_response(head, x->method, &x->head, &fault) < 0)
		return fail(x, err_raise(-EBADMSG, "%s", fault.reason), "the answer is malformed");
	return 0;
}

static int read_final_head(struct http_exchange *x, bool *ret_any)
{
	for (int i = 0; i <= LIMIT_HTTP_INTERIM_ANSWERS; i++) {
		int r = read_head(x, ret_any);
		if (r < 0)
			return err_trace(r);
		if (x->head.status == 101)
			return fail(x,
				err_raise(-EBADMSG, "it switches to a protocol nobody asked for"),
				"the answer is malformed");
		if (x->head.status >= 200)
			return 0;
	}
	return fail(x,
		err_raise(-EBADMSG, "more than %d interim answers", LIMIT_HTTP_INTERIM_ANSWERS),
		"the answer is malformed");
}

static bool may_repeat(const struct http_exchange *x, int r)
{
	bool broke = r == -ECONNRESET || r == -EPIPE;
	bool harmless = x->call.repeatable ||
		(x->method != HTTP_POST && x->method != HTTP_PATCH && x->method != HTTP_OTHER);

	return x->link->reused && broke && harmless;
}

static int attempt(struct http_exchange *x, bool fresh, bool *ret_again)
{
	bool any = false;
	int r;

	*ret_again = false;
	x->failed = 0;
	r = link_get(x->client, &x->target, fresh || x->target.dial, x->call.deadline_ns, &x->link);
	if (r < 0) {
		x->failed = r;
		return err_wrap(r, "%s %s", x->call.method, x->target.name);
	}
	r = send_request(x);
	if (r == 0)
		r = read_final_head(x, &any);
	if (r < 0) {
		*ret_again = !any && may_repeat(x, r);
		link_close(TAKE_PTR(x->link));
	}
	return r;
}

static int begin(struct http_exchange *x)
{
	bool again;
	int r = check_call(x);

	if (r == 0)
		r = set_target(x);
	if (r < 0)
		return err_trace(r);
	r = attempt(x, false, &again);
	if (r < 0 && again)
		r = attempt(x, true, &again);
	if (r < 0)
		return err_trace(r);
	x->body = http_body_of(&x->head);
	x->body.done = x->head.framing == HTTP_BODY_NONE;
	return 0;
}

int http_open(struct http_client *c, struct arena *a, const struct http_call *call,
	struct http_exchange **ret)
{
	struct http_exchange *x = arena_make(a, struct http_exchange);
	int r;

	err_clear(); /* or an old trail with the code of a new failure would lend it its words */
	if (!x)
		return err_raise(-ENOMEM, "no memory for a call");
	x->client = c;
	x->arena = a;
	x->call = *call;
	x->limit = call->max_answer_bytes ? call->max_answer_bytes : LIMIT_HTTP_BODY_BYTES;
	c->exchanges++;
	r = begin(x);
	if (r < 0) {
		c->exchanges--;
		return err_trace(r);
	}
	*ret = x;
	return 0;
}

const struct http_head *http_exchange_head(const struct http_exchange *x)
{
	return &x->head;
}

/* ---- the body of the answer ---- */

static void consume(struct http_exchange *x, size_t n)
{
	if (n)
		transport_consume(&x->link->transport, n);
}

/* The connection has ended. Only one framing says that this is all. */
static int end_of_input(struct http_exchange *x)
{
	if (x->body.framing != HTTP_BODY_UNTIL_CLOSE)
		return fail(x, err_raise(-ECONNRESET, "the connection ended in its midst"),
			"reading the answer");
	x->body.done = true;
	return 0;
}

static int next_piece(struct http_exchange *x, struct span *ret_piece)
{
	struct http_fault fault;
	struct span view;
	size_t used = 0;
	int r = transport_peek(&x->link->transport, 0, &view, step_deadline(x));

	if (r < 0)
		return fail(x, r, "reading the answer");
	if (view.n == 0)
		return end_of_input(x);
	r = http_body_next(&x->body, view, &used, ret_piece, &fault);
	if (r < 0)
		return fail(x, err_raise(r, "%s", fault.reason), "the answer is malformed");
	if (x->body.total > x->limit)
		return fail(x, err_raise(-E2BIG, "more than the %zu bytes accepted", x->limit),
			"the answer is too long");
	if (r == HTTP_DATA) {
		x->pending = used;
		return 0;
	}
	consume(x, used);
	x->body.done = r == 0;
	return 0;
}

int http_exchange_read(struct http_exchange *x, struct span *ret_piece)
{
	size_t before = x->pending;

	err_clear();
	if (x->failed)
		return err_raise(-EPIPE, "%s %s: the call has failed before", x->call.method,
			x->target.name);
	x->pending = 0;
	consume(x, before);
	*ret_piece = (struct span){0};
	if (x->body.framing == HTTP_BODY_LENGTH && x->head.content_length > x->limit)
		return fail(x,
			err_raise(-E2BIG, "%llu bytes, %zu are accepted",
				(unsigned long long)x->head.content_length, x->limit),
			"the answer is too long");
	while (!x->body.done && x->pending == 0) {
		int r = next_piece(x, ret_piece);
		if (r < 0)
			return err_trace(r);
	}
	return 0;
}

int http_exchange_event(struct http_exchange *x, struct sse_event *ret)
{
	if (!x->parsing_events) {
		sse_parser_init(&x->events);
		x->parsing_events = true;
	}
	for (;;) {
		size_t used = 0;
		int r = sse_parse(&x->events, x->unparsed, &used, ret);

		if (r < 0)
			return fail(x, r, "an event of the answer");
		x->unparsed = span_sub(x->unparsed, used, x->unparsed.n);
		if (r == SSE_EVENT)
			return 0;
		r = http_exchange_read(x, &x->unparsed);
		if (r < 0)
			return err_trace(r);
		if (x->unparsed.n == 0)
			return HTTP_EXCHANGE_END;
	}
}

void http_exchange_close(struct http_exchange *x)
{
	bool whole;

	if (!x)
		return;
	whole = !x->failed && x->body.done && x->head.keep_alive && !x->closed_early &&
		!x->call.dial;
	if (x->parsing_events)
		sse_parser_fini(&x->events);
	if (whole) {
		consume(x, x->pending);
		link_keep(x->client, TAKE_PTR(x->link));
	} else {
		link_close(TAKE_PTR(x->link));
	}
	x->client->exchanges--;
}

/* ---- all at once ---- */

static int read_whole(struct http_exchange *x, struct buf *b)
{
	struct span piece;

	for (;;) {
		int r = http_exchange_read(x, &piece);
		if (r < 0)
			return err_trace(r);
		if (piece.n == 0)
			return 0;
		buf_span(b, piece);
		if (b->error)
			return fail(x, b->error, "reading the answer");
	}
}

int http_call(struct http_client *c, struct arena *a, const struct http_call *call,
	struct http_answer **ret)
{
	struct buf body CLEANUP(buf_fini) =
		buf_init(call->max_answer_bytes ? call->max_answer_bytes : LIMIT_HTTP_BODY_BYTES);
	struct http_answer *answer = arena_make(a, struct http_answer);
	struct http_exchange *x = NULL;
	int r;

	if (!answer)
		return err_raise(-ENOMEM, "no memory for an answer");
	r = http_open(c, a, call, &x);
	if (r < 0)
		return err_trace(r);
	r = read_whole(x, &body);
	if (r == 0) {
		answer->status = x->head.status;
		answer->head = x->head;
		answer->body = arena_span(a, buf_view(&body));
		if (!answer->body.p)
			r = fail(x, -ENOMEM, "keeping the answer");
	}
	http_exchange_close(x);
	if (r < 0)
		return err_trace(r);
	*ret = answer;
	return 0;
}
