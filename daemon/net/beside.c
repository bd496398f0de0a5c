/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Pipelined requests that run beside each other, where the server's owner allows it for a request
 * (http_server_options.beside). The connection's fiber goes on reading; each such request is a
 * fiber with a struct conn of its own, which shares the transport of its parent and nothing else. A
 * fiber stays for the connection's next requests: a stack that is given back is wiped and partly
 * dropped, which costs more than most answers.
 *
 * Answers that are whole at the same time leave in one send: each is gathered behind the one
 * before, and the last of them sends.
 *
 * Invariants: answers leave in the order in which the requests came: only the first of `sides` may
 * send, and it stays first until its answer is whole. The connection's own fiber answers nothing
 * while a side is under way. A side whose answer breaks off takes the connection with it.
 */
#include "daemon/net/conn.h"
#include <stdlib.h>
#include <sys/socket.h>

enum {
	SIDES_MAX = 16, /* of one connection; then it is not read any more */
	SIDE_BODY_BYTES = 16 * 1024, /* a longer one waits for its turn */
	REST_MS = 20, /* how long a fiber waits for another request */
};

/* ---- a side ---- */

static void side_free(struct conn *x)
{
	arena_free(x->arena);
	buf_fini(&x->out);
	buf_fini(&x->body_bytes);
	buf_fini(&x->reply.headers);
	buf_fini(&x->reply.event);
	free(x);
}

static struct conn *side_new(struct conn *c)
{
	struct conn *x = calloc(1, sizeof(*x));

	if (!x)
		return NULL;
	conn_init(x, c->listener, &c->peer);
	x->parent = c;
	x->transport = c->transport;
	x->arena = arena_new(LIMIT_HTTP_REQUEST_ARENA_BYTES);
	if (x->arena)
		return x;
	side_free(x);
	return NULL;
}

/* One that rests, or a new one that has no fiber yet. */
static struct conn *side_get(struct conn *c)
{
	struct list *l = list_pop_front(&c->spares);

	return l ? list_entry(l, struct conn, link) : side_new(c);
}

static void side_put(struct conn *c, struct conn *x)
{
	if (x->has_fiber)
		list_push_front(&c->spares, &x->link);
	else
		side_free(x);
}

int beside_await_turn(struct conn *x)
{
	struct conn *c = x->parent;

	while (c->sides.next != &x->link) {
		int r = waitq_wait(&x->turn, DEADLINE_NONE);
		if (r < 0)
			return r;
	}
	return c->broken ? -EPIPE : 0;
}

/* The one behind may send; what this one has queued goes first. */
static void pass_turn(struct conn *x)
{
	struct conn *c = x->parent;

	list_remove(&x->link);
	if (!list_empty(&c->sides))
		waitq_wake_all(&list_first(&c->sides, struct conn, link)->turn);
}

static bool next_is_ready(const struct conn *x)
{
	const struct list *next = x->link.next;

	return next != &x->parent->sides && list_entry(next, struct conn, link)->ready;
}

/* In x's turn. True if whoever comes next sends it along; else x->out has all that is to be sent.
 */
static AWAITS bool gather(struct conn *x)
{
	struct conn *c = x->parent;

	/* Those who were woken with x are about to have their answers whole. */
	if (c->gathered.len == 0 && c->side_count > 1 && !next_is_ready(x))
		fiber_yield();
	if (c->gathered.len == 0 && !next_is_ready(x))
		return false;
	buf_span(&c->gathered, buf_view(&x->out));
	buf_reset(&x->out);
	if (next_is_ready(x) && !c->gathered.error && c->gathered.len < CONN_OUT_BYTES / 2)
		return true;
	struct buf all = c->gathered;
	c->gathered = x->out;
	x->out = all;
	return false;
}

static void break_off(struct conn *c)
{
	c->broken = true;
	(void)shutdown(stream_fd(c->transport.stream), SHUT_RDWR);
}

/* The request is whole. */
static AWAITS void side_serve(struct conn *x)
{
	struct conn *c = x->parent;
	struct http_server *s = c->listener->server;

	s->options.handler(s->options.ctx, &x->request, &x->reply);
	err_clear();
	int r = x->reply.begun ? 0 : reply_error(x, 500, "the server has no answer");
	x->ready = r == 0 && x->reply.ended && !x->broken && !x->out.error;
	if (r == 0)
		r = beside_await_turn(x);
	bool whole = r == 0 && x->reply.ended && !x->broken;
	if (!whole && !c->broken)
		break_off(c);
	bool gathered = whole && gather(x);
	pass_turn(x);
	if (whole && !gathered && conn_send_out(x) < 0)
		c->broken = true;
	conn_forget_request(x);
	buf_reset(&x->out);
	x->broken = x->ready = x->busy = false;
	c->side_count--;
	waitq_wake_all(&c->side_done);
}

/* False if no other request comes. */
static AWAITS bool side_rest(struct conn *x)
{
	struct conn *c = x->parent;
	int r = 0;

	list_push_front(&c->spares, &x->link);
	while (!x->busy && !c->over && r == 0)
		r = waitq_wait(&x->work, deadline_in_ms(REST_MS));
	if (!x->busy)
		list_remove(&x->link);
	return x->busy;
}

static void side_main(void *arg)
{
	struct conn *x = arg, *c = x->parent;

	do
		side_serve(x);
	while (side_rest(x));
	side_free(x);
	c->side_fibers--;
	waitq_wake_all(&c->side_done);
}

static void side_start(struct conn *x)
{
	struct conn *c = x->parent;

	x->busy = true;
	if (x->has_fiber) {
		waitq_wake_one(&x->work);
		return;
	}
	x->has_fiber = true;
	c->side_fibers++;
	if (group_spawn(&c->listener->fibers, "http-beside", c->listener->server->options.stack,
		    side_main, x) == 0)
		return;
	err_clear();
	c->side_fibers--;
	side_serve(x);
	side_free(x);
}

/* ---- the connection ---- */

void beside_init(struct conn *c)
{
	list_init(&c->sides);
	list_init(&c->spares);
	c->gathered = buf_init(c->out.max);
	waitq_init(&c->side_done);
	waitq_init(&c->turn);
	waitq_init(&c->work);
}

void beside_end(struct conn *c)
{
	c->over = true;
	list_for_each (l, &c->spares)
		waitq_wake_one(&list_entry(l, struct conn, link)->work);
	fiber_shield_begin();
	while (c->side_fibers > 0)
		(void)!waitq_wait(&c->side_done, DEADLINE_NONE);
	fiber_shield_end();
	buf_fini(&c->gathered);
}

void beside_wait(struct conn *c)
{
	/* They end by themselves: who cancels this fiber cancels theirs. */
	fiber_shield_begin();
	while (c->side_count > 0)
		(void)!waitq_wait(&c->side_done, DEADLINE_NONE);
	fiber_shield_end();
}

/* Whether the request may, and whether anybody gains by it: one request at a time is answered where
 * it was read. */
static bool is_wanted(struct conn *c)
{
	const struct http_server_options *o = &c->listener->server->options;

	if (!o->beside || c->transport.tls || !c->keep || c->continue_due)
		return false;
	if (c->head.framing != HTTP_BODY_LENGTH || c->head.content_length > SIDE_BODY_BYTES)
		return false;
	return (c->side_count > 0 || c->ahead > c->head.content_length) &&
		o->beside(o->ctx, &c->head);
}

/* All of the body, which stays in the stream. A failure is met once more where it is reported. */
static bool await_body(struct conn *c, struct span *ret)
{
	size_t n = (size_t)c->head.content_length;
	struct span view = {0};

	do {
		if (conn_peek(c, view.n, &view, request_body_deadline(c)) < 0 || view.n == 0)
			return false;
	} while (view.n < n);
	*ret = span_sub(view, 0, n);
	return true;
}

static void move_request(struct conn *c, struct conn *x, struct span body)
{
	struct arena *fresh = x->arena;

	x->arena = c->arena;
	c->arena = fresh;
	x->head = c->head;
	request_begin(x);
	x->body.done = true;
	x->whole = body;
}

bool beside_start(struct conn *c)
{
	struct span view;

	if (!is_wanted(c))
		return false;
	while (c->side_count >= SIDES_MAX)
		if (waitq_wait(&c->side_done, DEADLINE_NONE) < 0)
			return false;
	/* What was answered before comes first. */
	if (conn_flush(c, NULL, 0) < 0 || !await_body(c, &view))
		return false;
	struct conn *x = side_get(c);
	struct span body = x ? arena_span(c->arena, view) : (struct span){0};
	if (!body.p) {
		if (x)
			side_put(c, x);
		return false;
	}
	conn_consume(c, view.n);
	move_request(c, x, body);
	list_push_back(&c->sides, &x->link);
	c->side_count++;
	side_start(x);
	return true;
}
