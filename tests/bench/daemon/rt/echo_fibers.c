/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The same work through daemon/rt, in its two shapes. Per connection: one fiber reads, answers
 * what it finds, and sends the replies in one piece. Per call: a fiber for each call, in the
 * connection's group, with a deadline, that sends its own reply, as a handler that may wait would.
 */
#include "tests/bench/daemon/rt/echo.h"
#include "daemon/rt/rt.h"
#include <stdio.h>
#include <stdlib.h>

enum { TIMEOUT_MS = 30000, CALLS_MAX = 64 };

struct server {
	int listening;
	bool per_call;
	int64_t calls;
};

struct connection {
	struct server *server;
	int fd;
	struct stream *stream;
	struct group calls;
};

/* ---- per connection ---- */

static size_t answer_all(struct connection *c, struct span view, char *out, size_t *ret_out_bytes)
{
	size_t used = 0;
	size_t count = 0;
	for (size_t bytes; count < CALLS_MAX; used += bytes, count++) {
		bytes = record_bytes(view.p + used, view.n - used);
		if (bytes == 0)
			break;
		make_reply(out + count * REPLY_BYTES, view.p + used);
	}
	c->server->calls += (int64_t)count;
	*ret_out_bytes = count * REPLY_BYTES;
	return used;
}

static void read_and_answer(struct connection *c)
{
	static _Thread_local char room[CONNECTIONS][CALLS_MAX * REPLY_BYTES];
	static _Thread_local unsigned next;
	char *out = room[next++ % CONNECTIONS];
	size_t have = 0;
	for (;;) {
		struct span view;
		size_t out_bytes;
		int64_t deadline_ns = deadline_in_ms(TIMEOUT_MS);
		if (stream_peek(c->stream, have, &view, deadline_ns) < 0 || view.n == 0)
			return;
		size_t used = answer_all(c, view, out, &out_bytes);
		stream_consume(c->stream, used);
		have = view.n - used;
		if (stream_send(c->stream, span_of(out, out_bytes), deadline_ns) < 0)
			return;
	}
}

/* ---- per call ---- */

struct call {
	struct connection *connection;
	char text[CALL_BYTES];
	struct call *next_free;
};

static _Thread_local struct call *free_calls;

static struct call *call_new(struct connection *c, const char *text)
{
	struct call *x = free_calls;
	if (x)
		free_calls = x->next_free;
	else
		x = malloc(sizeof(*x));
	x->connection = c;
	memcpy(x->text, text, CALL_BYTES);
	return x;
}

static void handle_call(void *arg)
{
	struct call *x = arg;
	char reply[REPLY_BYTES];
	make_reply(reply, x->text);
	x->connection->server->calls++;
	int64_t deadline_ns = deadline_in_ms(TIMEOUT_MS);
	if (stream_send(x->connection->stream, span_of(reply, sizeof(reply)), deadline_ns) < 0)
		fprintf(stderr, "a reply was lost\n");
	x->next_free = free_calls;
	free_calls = x;
}

static void read_and_spawn(struct connection *c)
{
	size_t have = 0;
	for (;;) {
		struct span view;
		size_t used = 0;
		if (stream_peek(c->stream, have, &view, deadline_in_ms(TIMEOUT_MS)) < 0 ||
			view.n == 0)
			return;
		for (size_t bytes; (bytes = record_bytes(view.p + used, view.n - used));
			used += bytes)
			if (group_spawn(&c->calls, "call", FIBER_SMALL, handle_call,
				    call_new(c, view.p + used)) < 0)
				abort();
		stream_consume(c->stream, used);
		have = view.n - used;
	}
}

/* ---- */

static void serve_connection(void *arg)
{
	struct connection *c = arg;
	group_init(&c->calls);
	if (stream_start(c->fd, &c->stream) < 0)
		abort();
	if (c->server->per_call)
		read_and_spawn(c);
	else
		read_and_answer(c);
	group_close(&c->calls);
	stream_stop(c->stream);
}

static void serve(void *arg)
{
	struct server *s = arg;
	struct connection c[CONNECTIONS];
	struct group connections;
	group_init(&connections);
	for (int i = 0; i < CONNECTIONS; i++) {
		c[i].server = s;
		c[i].fd = rt_accept(s->listening, DEADLINE_NONE);
		if (c[i].fd < 0 ||
			group_spawn(&connections, "connection", FIBER_SMALL, serve_connection,
				&c[i]) < 0)
			abort();
	}
	rt_close(s->listening);
	if (group_join(&connections, DEADLINE_NONE) < 0)
		abort();
}

static int64_t run(int listening, bool per_call)
{
	struct server s = {.listening = listening, .per_call = per_call};
	struct rt_options options = {.workers = 1};
	int r = rt_run(&options, serve, &s);
	if (r < 0) {
		fprintf(stderr, "%s\n", err_message(r));
		exit(1);
	}
	return s.calls;
}

int64_t serve_fiber_per_connection(int listening)
{
	return run(listening, false);
}

int64_t serve_fiber_per_call(int listening)
{
	return run(listening, true);
}
