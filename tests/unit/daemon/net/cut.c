/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Connections that end, and calls that are cancelled, at every point of an exchange. Nothing may
 * hang, leak (the sanitizer looks) or be left behind, and a message that was cut must never look
 * whole.
 */
#include "daemon/net/net.h"
#include "tests/unit/daemon/rt/in_fiber.h"
#include <stdio.h>
#include <netinet/in.h>

static void echo(void *ctx, struct http_request *q, struct http_reply *p)
{
	int *whole = ctx;
	struct span body;
	int r = http_body_all(q, 1000, &body);

	if (r < 0) {
		EXPECT_INT(r, -EPIPE);
		return;
	}
	(*whole)++;
	r = http_reply_begin(
		p, 200, "text/plain", span_is(q->head->query, "known") ? (int64_t)body.n : -1);
	if (r == 0)
		r = http_reply_write(p, body);
	if (r == 0)
		r = http_reply_end(p);
	EXPECT(r == 0 || r == -EPIPE || r == -ECANCELED);
}

static int connect_to(const struct sockaddr_in *a)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	EXPECT_INT(rt_connect(fd, (const struct sockaddr *)a, sizeof(*a), deadline_in_ms(1000)), 0);
	return fd;
}

/* With a reset instead of an orderly end. */
static void reset(int fd)
{
	struct linger l = {.l_onoff = 1};

	EXPECT_INT(setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l)), 0);
	rt_close(fd);
}

static void wait_until_empty(struct http_server *s)
{
	int64_t deadline = deadline_in_ms(5000);

	while (http_server_stats(s).open > 0 && rt_now_ns() < deadline)
		EXPECT_INT(rt_sleep_until(rt_now_ns() + 50 * NS_PER_US), 0);
	EXPECT_INT(http_server_stats(s).open, 0);
}

static const struct span requests[] = {
	SPAN("POST /?known HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"),
	SPAN("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
	     "2;x=y\r\nhe\r\n3\r\nllo\r\n0\r\nT: x\r\n\r\n"),
};

static void cut_one_request(struct http_server *s, const struct sockaddr_in *a, struct span text,
	size_t bytes, bool hard)
{
	int fd = connect_to(a);
	char answer[512];

	if (bytes)
		EXPECT_INT(rt_send_all(fd, text.p, bytes, deadline_in_ms(1000)), 0);
	if (hard) {
		/* What a reset finds unread may be lost with it; let the server look first. */
		EXPECT_INT(rt_sleep_until(rt_now_ns() + 200 * NS_PER_US), 0);
		reset(fd);
	} else {
		EXPECT_INT(shutdown(fd, SHUT_WR), 0);
		ssize_t n = rt_recv(fd, answer, sizeof(answer), MSG_WAITALL, deadline_in_ms(2000));
		/* Cut in its body: the handler gave up, and the server said so in its place. */
		bool ok = n > 0 && memmem(answer, (size_t)n, "hello", 5);
		bool gave_up = n == 0 || (n > 0 && memmem(answer, (size_t)n, " 500 ", 5));
		EXPECT(bytes == text.n ? ok : gave_up);
		rt_close(fd);
	}
	wait_until_empty(s);
}

static void requests_that_break_off_body(void *arg)
{
	int whole = 0;
	struct http_server_options o = {.handler = echo, .ctx = &whole};
	struct http_server *s = NULL;
	struct sockaddr_in a;

	EXPECT_INT(http_server_start(&o, &s), 0);
	EXPECT_INT(http_server_listen(
			   s, listen_loopback(&a, 64), &(struct http_listen){.tag = NULL}, NULL),
		0);
	for (size_t i = 0; i < ARRAY_LEN(requests); i++) {
		for (size_t n = 0; n <= requests[i].n; n++) {
			whole = 0;
			cut_one_request(s, &a, requests[i], n, false);
			EXPECT_INT(whole, n == requests[i].n);
			whole = 0;
			cut_one_request(s, &a, requests[i], n, true);
			EXPECT(whole == 0 || n == requests[i].n);
		}
	}
	http_server_stop(s, deadline_in_ms(1000));
}

static void requests_that_break_off(void **state)
{
	in_fiber(requests_that_break_off_body);
}

/* ---- answers ---- */

static const struct span answers[] = {
	SPAN("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"),
	SPAN("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
	     "2;x=y\r\nhe\r\n3\r\nllo\r\n0\r\nT: x\r\n\r\n"),
};

struct broken_server {
	int fd;
	struct span text;
};

/* Answers one connection with the text, and closes. */
static void serve_broken(void *arg)
{
	struct broken_server *b = arg;
	char request[1024];
	int fd = rt_accept(b->fd, deadline_in_ms(2000));

	EXPECT(fd >= 0);
	EXPECT(rt_recv(fd, request, sizeof(request), 0, deadline_in_ms(2000)) > 0);
	if (b->text.n)
		EXPECT_INT(rt_send_all(fd, b->text.p, b->text.n, deadline_in_ms(2000)), 0);
	rt_close(fd);
}

static int call_port(
	struct http_client *c, uint16_t port, struct arena *a, struct http_answer **ret)
{
	char url[64];

	snprintf(url, sizeof(url), "http://127.0.0.1:%u/", port);
	struct http_call call = {
		.url = url, .body = SPAN("hello"), .deadline_ns = deadline_in_ms(3000)};
	return http_call(c, a, &call, ret);
}

static void answers_that_break_off_body(void *arg)
{
	struct arena *arena = arena_new(1 << 20);
	struct http_client *c = NULL;
	struct sockaddr_in a;
	int fd = listen_loopback(&a, 64);
	struct group g;

	group_init(&g);
	EXPECT_INT(http_client_start(&(struct http_client_options){.tls = NULL}, &c), 0);
	for (size_t i = 0; i < ARRAY_LEN(answers); i++) {
		for (size_t n = 0; n <= answers[i].n; n++) {
			struct broken_server b = {fd, span_sub(answers[i], 0, n)};
			struct http_answer *answer = NULL;

			EXPECT_INT(group_spawn(&g, "broken", FIBER_SMALL, serve_broken, &b), 0);
			int r = call_port(c, ntohs(a.sin_port), arena, &answer);
			if (n == answers[i].n)
				EXPECT(r == 0 && span_is(answer->body, "hello"));
			else
				EXPECT_INT(r, -ECONNRESET);
			EXPECT_INT(group_join(&g, deadline_in_ms(3000)), 0);
			/* Let the client see the end of a connection that it has kept. */
			EXPECT_INT(rt_sleep_until(rt_now_ns() + 200 * NS_PER_US), 0);
			arena_reset(arena);
		}
	}
	group_close(&g);
	rt_close(fd);
	http_client_stop(c);
	arena_free(arena);
}

static void answers_that_break_off(void **state)
{
	in_fiber(answers_that_break_off_body);
}

/* ---- cancelling ---- */

struct cancelled_call {
	struct http_client *client;
	struct arena *arena;
	uint16_t port;
	int result;
	bool whole;
};

static void make_call(void *arg)
{
	struct cancelled_call *c = arg;
	struct http_answer *answer = NULL;

	c->result = call_port(c->client, c->port, c->arena, &answer);
	c->whole = c->result == 0 && answer->status == 200 && span_is(answer->body, "hello");
}

/* Cancels after `patience` looks; true if the call was quicker. */
static bool cancel_after(struct cancelled_call *c, int patience)
{
	struct group g;
	bool done;

	group_init(&g);
	c->result = 1;
	EXPECT_INT(group_spawn(&g, "call", FIBER_SMALL, make_call, c), 0);
	for (int i = 0; i < patience && c->result == 1; i++)
		EXPECT_INT(rt_sleep_until(rt_now_ns() + 1), 0);
	done = c->result != 1;
	group_close(&g);
	/* A call may be done when the cancel comes, but nothing in between. */
	EXPECT(c->whole ? c->result == 0 : c->result == -ECANCELED);
	arena_reset(c->arena);
	return done;
}

static void calls_that_are_cancelled_body(void *arg)
{
	int whole = 0;
	struct http_server_options o = {.handler = echo, .ctx = &whole};
	struct cancelled_call c = {.arena = arena_new(1 << 20)};
	struct http_server *s = NULL;
	struct sockaddr_in a;
	int done = 0;

	EXPECT_INT(http_server_start(&o, &s), 0);
	EXPECT_INT(http_server_listen(
			   s, listen_loopback(&a, 64), &(struct http_listen){.tag = NULL}, NULL),
		0);
	c.port = ntohs(a.sin_port);
	for (int patience = 0; done < 3 && patience < 500; patience++) {
		EXPECT_INT(http_client_start(&(struct http_client_options){.tls = NULL}, &c.client),
			0);
		done += cancel_after(&c, patience);
		(void)cancel_after(&c, patience); /* the same on a re-used connection */
		http_client_stop(c.client);
		wait_until_empty(s);
	}
	EXPECT(done >= 3);
	http_server_stop(s, deadline_in_ms(1000));
	arena_free(c.arena);
}

static void calls_that_are_cancelled(void **state)
{
	in_fiber(calls_that_are_cancelled_body);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(requests_that_break_off),
		cmocka_unit_test(answers_that_break_off),
		cmocka_unit_test(calls_that_are_cancelled),
	};

	return cmocka_run_group_tests_name("net", tests, NULL, NULL);
}
