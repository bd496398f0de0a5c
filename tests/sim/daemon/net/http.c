/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * An HTTP server and its clients: keep-alive, chunked answers, server-sent events, a body that is
 * not read, a client that pipelines by hand, and a stop while requests are under way. Under every
 * seed each client gets the answer to its own question; with faults it gets that or an error,
 * never another's answer or a part of one that looks whole, and nothing hangs or leaks.
 */
#include "daemon/net/net.h"
#include "tests/sim/scenario.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum {
	CLIENTS = 3,
	CALLS = 5,
	PIPELINED = 3,
	BODY_BYTES_MAX = 5000,
	PIECES = 4,
	EVENTS = 5,
	TIMEOUT_MS = 20000,
};

struct world {
	struct sockaddr_in addr;
	int listening;
	struct http_server *server;
	struct http_client *client;
	int answered; /* calls with a whole answer */
	int interrupted; /* handlers that a stop ended */
};

/* ---- the server ---- */

static char letter_of(struct span query)
{
	return query.n ? query.p[0] : '?';
}

static void echo(struct http_request *q, struct http_reply *p)
{
	struct span body;
	int r = http_body_all(q, BODY_BYTES_MAX, &body);
	SCENARIO_CHECK(r == 0 || scenario_faulty());
	r = r < 0 ? http_reply(p, http_body_status(r), NULL, SPAN("broken"))
		  : http_reply(p, 200, NULL, body);
	SCENARIO_CHECK(r == 0 || scenario_faulty());
}

static void pieces(struct http_request *q, struct http_reply *p)
{
	char block[100];
	memset(block, letter_of(q->head->query), sizeof(block));
	int r = http_reply_begin(p, 200, NULL, -1);
	for (int i = 0; r == 0 && i < PIECES; i++)
		r = http_reply_write(p, span_of(block, sizeof(block)));
	if (r == 0)
		r = http_reply_end(p);
	SCENARIO_CHECK(r == 0 || scenario_faulty());
}

static void events(struct http_request *q, struct http_reply *p)
{
	char id[16], data[24];
	int r = http_reply_sse(p);
	for (int i = 1; r == 0 && i <= EVENTS; i++) {
		snprintf(id, sizeof(id), "%d", i);
		snprintf(data, sizeof(data), "%c\n%d", letter_of(q->head->query), i);
		struct sse_event e = {.id = span_cstr(id), .data = span_cstr(data)};
		r = http_reply_event(p, &e);
		if (r == 0 && sim_below(2))
			r = http_reply_heartbeat(p);
	}
	if (r == 0)
		r = http_reply_end(p);
	SCENARIO_CHECK(r == 0 || scenario_faulty());
}

/* Until the client has gone. */
static void endless(struct http_request *q, struct http_reply *p)
{
	struct sse_event e = {.data = q->head->query};
	int r = http_reply_sse(p);
	while (r == 0) {
		r = http_reply_event(p, &e);
		if (r == 0)
			r = rt_sleep_until(deadline_in_ms(10));
	}
	SCENARIO_CHECK(r == -EPIPE || scenario_faulty());
}

static void handle(void *ctx, struct http_request *q, struct http_reply *p)
{
	struct world *w = ctx;
	if (span_is(q->head->path, "/echo"))
		echo(q, p);
	else if (span_is(q->head->path, "/pieces"))
		pieces(q, p);
	else if (span_is(q->head->path, "/events"))
		events(q, p);
	else if (span_is(q->head->path, "/endless"))
		endless(q, p);
	else if (span_is(q->head->path, "/unread"))
		(void)!http_reply(p, 200, NULL, q->head->query);
	else if (rt_sleep_until(DEADLINE_NONE) == -ECANCELED)
		w->interrupted++;
	err_clear();
}

/* ---- the clients ---- */

struct caller {
	struct world *w;
	char letter;
};

static bool all_of(struct span s, char letter)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] != letter)
			return false;
	return true;
}

/* A failure has a message for people; a success is noted. */
static void settle(struct world *w, int r)
{
	SCENARIO_CHECK(r == 0 || (scenario_faulty() && *err_message(r)));
	w->answered += r == 0;
	err_clear();
}

static int call_whole(struct caller *c, struct arena *a, const char *path, size_t bytes)
{
	char url[96], *body = arena_bytes(a, BODY_BYTES_MAX);
	memset(body, c->letter, BODY_BYTES_MAX);
	snprintf(url, sizeof(url), "http://127.0.0.1:%u%s?%c", ntohs(c->w->addr.sin_port), path,
		c->letter);
	struct http_call call = {
		.url = url, .deadline_ns = deadline_in_ms(TIMEOUT_MS), .repeatable = true};
	if (bytes)
		call.body = span_of(body, bytes);
	struct http_answer *answer;
	int r = http_call(c->w->client, a, &call, &answer);
	if (r < 0)
		return r;
	/* What the server says about a failure is an answer, too. */
	if (answer->status != 200) {
		SCENARIO_CHECK(scenario_faulty() && answer->status >= 400);
		return err_raise(-EIO, "status %d", answer->status);
	}
	SCENARIO_CHECK(all_of(answer->body, c->letter));
	size_t wanted = bytes;
	if (strcmp(path, "/pieces") == 0)
		wanted = (size_t)PIECES * 100;
	if (strcmp(path, "/unread") == 0)
		wanted = 1;
	SCENARIO_CHECK(answer->body.n == wanted);
	return 0;
}

static int read_events(struct http_exchange *x, char letter)
{
	struct sse_event e;
	int r, n = 0;
	char data[24], id[16];
	while ((r = http_exchange_event(x, &e)) == 0) {
		n++;
		snprintf(data, sizeof(data), "%c\n%d", letter, n);
		snprintf(id, sizeof(id), "%d", n);
		SCENARIO_CHECK(span_is(e.data, data) && span_is(e.id, id));
	}
	if (r != HTTP_EXCHANGE_END)
		return r;
	SCENARIO_CHECK(n == EVENTS);
	return 0;
}

/* The events of a stream; or, abandoned, only the first of them: the rest must reach no other. */
static int call_events(struct caller *c, struct arena *a, bool abandon)
{
	char url[96];
	struct http_exchange *x;
	struct sse_event e;
	snprintf(url, sizeof(url), "http://127.0.0.1:%u/%s?%c", ntohs(c->w->addr.sin_port),
		abandon ? "endless" : "events", c->letter);
	struct http_call call = {.url = url, .deadline_ns = deadline_in_ms(TIMEOUT_MS)};
	int r = http_open(c->w->client, a, &call, &x);
	if (r < 0)
		return r;
	if (http_exchange_head(x)->status != 200)
		r = err_raise(-EIO, "status %d", http_exchange_head(x)->status);
	else if (abandon)
		r = http_exchange_event(x, &e);
	else
		r = read_events(x, c->letter);
	http_exchange_close(x);
	return r;
}

static void be_client(void *arg)
{
	struct caller *c = arg;
	for (int i = 0; i < CALLS; i++) {
		struct arena *a = arena_new(1 << 20);
		size_t bytes = 1 + sim_below(BODY_BYTES_MAX - 1);
		int r;
		if (i == 0)
			r = call_whole(c, a, "/echo", bytes);
		else if (i == 1)
			r = call_whole(c, a, "/pieces", 0);
		else if (i == 2 || i == 3)
			r = call_events(c, a, i == 3);
		else
			r = call_whole(c, a, "/unread", bytes);
		settle(c->w, r);
		arena_free(a);
	}
}

/* Three requests in one send; their answers come in their order. */
static int pipeline(int fd, int64_t deadline_ns)
{
	char text[600] = "", got[4096];
	size_t n = 0, have = 0, at = 0;
	for (int i = 0; i < PIPELINED; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n,
			"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n%s\r\n<%d>",
			i == PIPELINED - 1 ? "Connection: close\r\n" : "", i);
	int r = rt_send_all(fd, text, n, deadline_ns);
	while (r == 0) {
		ssize_t part = rt_recv(fd, got + have, sizeof(got) - have, 0, deadline_ns);
		if (part <= 0) {
			r = (int)part;
			break;
		}
		have += (size_t)part;
	}
	if (r < 0)
		return r;
	for (int i = 0; i < PIPELINED; i++) {
		snprintf(text, sizeof(text), "<%d>", i);
		ssize_t found = span_find(span_of(got, have), span_cstr(text), at);
		if (found < 0)
			return -EPIPE;
		at = (size_t)found;
	}
	return 0;
}

static void be_pipeliner(void *arg)
{
	struct caller *c = arg;
	int64_t deadline_ns = deadline_in_ms(TIMEOUT_MS);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int r = rt_connect(fd, (struct sockaddr *)&c->w->addr, sizeof(c->w->addr), deadline_ns);
	if (r == 0)
		r = pipeline(fd, deadline_ns);
	SCENARIO_CHECK(r == 0 || scenario_faulty());
	c->w->answered += r == 0;
	rt_close(fd);
}

/* Its request is still under way when the server stops. */
static void be_patient(void *arg)
{
	struct caller *c = arg;
	struct arena *a = arena_new(1 << 20);
	int r = call_whole(c, a, "/never", 0);
	SCENARIO_CHECK(r < 0 && *err_message(r));
	err_clear();
	arena_free(a);
}

/* ---- the scenario ---- */

static void run_clients(struct world *w)
{
	struct group clients;
	struct caller callers[CLIENTS + 1];
	int spawned = 0;
	group_init(&clients);
	for (int i = 0; i <= CLIENTS; i++) {
		callers[i] = (struct caller){w, (char)('a' + i)};
		spawned += group_spawn(&clients, "client", FIBER_LARGE,
				   i < CLIENTS ? be_client : be_pipeliner, &callers[i]) == 0;
	}
	SCENARIO_CHECK(group_join(&clients, DEADLINE_NONE) == 0);
	group_close(&clients);
	if (!scenario_faulty())
		SCENARIO_CHECK(spawned == CLIENTS + 1 && w->answered == CLIENTS * CALLS + 1);
}

static void stop_under_way(struct world *w)
{
	struct group late;
	struct caller c = {w, 'z'};
	group_init(&late);
	bool asked = group_spawn(&late, "patient", FIBER_LARGE, be_patient, &c) == 0;
	SCENARIO_CHECK(rt_sleep_until(deadline_in_ms(500)) == 0);
	http_server_stop(w->server, deadline_in_ms(100));
	group_close(&late);
	if (!scenario_faulty())
		SCENARIO_CHECK(asked && w->interrupted == 1);
}

static void serve_and_call(void *arg)
{
	struct world *w = arg;
	struct http_server_options o = {.handler = handle, .ctx = w, .stack = FIBER_LARGE};
	struct http_client_options none = {.tls = NULL};
	bool up = http_server_start(&o, &w->server) == 0;
	if (up &&
		http_server_listen(w->server, w->listening, &(struct http_listen){0}, NULL) == 0 &&
		http_client_start(&none, &w->client) == 0) {
		/* A connect before the listener listens would be refused. */
		SCENARIO_CHECK(rt_sleep_until(deadline_in_ms(500)) == 0);
		run_clients(w);
		stop_under_way(w);
	} else {
		SCENARIO_CHECK(scenario_faulty());
		if (!up)
			rt_close(w->listening);
		http_server_stop(w->server, rt_now_ns());
	}
	http_client_stop(w->client);
	err_clear();
}

static void *make_world(void)
{
	struct world *w = calloc(1, sizeof(*w));
	socklen_t n = sizeof(w->addr);
	w->listening = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	w->addr = (struct sockaddr_in){
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	assert_int_equal(bind(w->listening, (struct sockaddr *)&w->addr, n), 0);
	assert_int_equal(listen(w->listening, 64), 0);
	assert_int_equal(getsockname(w->listening, (struct sockaddr *)&w->addr, &n), 0);
	return w;
}

static const struct scenario http = {
	.name = "http", .body = serve_and_call, .make = make_world, .drop = free};

static void every_question_gets_its_answer_under_every_seed(void **state)
{
	scenario_seeds(&http, 60);
}

static void any_operation_may_fail(void **state)
{
	scenario_failures(&http, 2);
}

static void many_operations_may_fail(void **state)
{
	scenario_chaos(&http, 60, 20);
}

int main(void)
{
	log_setup(LOG_ERROR, LOG_TEXT, "http");
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_question_gets_its_answer_under_every_seed),
		cmocka_unit_test(any_operation_may_fail),
		cmocka_unit_test(many_operations_may_fail),
	};
	return cmocka_run_group_tests_name("net", tests, NULL, NULL);
}
