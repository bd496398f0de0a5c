/* SPDX-License-Identifier: AGPL-3.0-only */
/* Client and server on one worker (and a fleet on two), over loopback and Unix sockets. */
#include "daemon/net/net.h"
#include "tests/unit/daemon/rt/in_fiber.h"
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static char folder[] = "/tmp/aegis-net-XXXXXX";

struct house {
	struct http_server *server;
	struct http_listener *door;
	struct http_client *client;
	struct arena *arena;
	char url[64];
	int cancelled; /* handlers that were */
	int served;
};

static void handle(void *ctx, struct http_request *q, struct http_reply *p)
{
	struct house *h = ctx;
	struct span body;
	int r;

	h->served++;
	if (span_is(q->head->path, "/tag")) {
		r = http_reply(p, 200, NULL, span_cstr(q->peer->listener_tag));
	} else if (span_is(q->head->path, "/echo")) {
		r = http_body_all(q, LIMIT_HTTP_BODY_BYTES, &body);
		EXPECT_INT(r, 0);
		r = http_reply(p, 200, NULL, body);
	} else {
		r = rt_sleep_until(DEADLINE_NONE);
		h->cancelled += r == -ECANCELED;
	}
	EXPECT(r == 0 || r == -ECANCELED || r == -EPIPE);
}

static int open_door(struct http_server *s, struct http_listener **ret, char *ret_url, size_t bytes)
{
	struct door_tcp o = {.address = "127.0.0.1"};
	uint16_t port;
	int fd;
	int r = door_listen_tcp(&o, &fd, &port);

	snprintf(ret_url, bytes, "http://127.0.0.1:%u", port);
	return r < 0 ? r : http_server_listen(s, fd, &(struct http_listen){.tag = "tcp"}, ret);
}

static void move_in(struct house *h)
{
	struct http_server_options o = {.handler = handle, .ctx = h};

	*h = (struct house){.arena = arena_new(1 << 26)};
	EXPECT_INT(http_server_start(&o, &h->server), 0);
	EXPECT_INT(open_door(h->server, &h->door, h->url, sizeof(h->url)), 0);
	EXPECT_INT(http_client_start(&(struct http_client_options){.tls = NULL}, &h->client), 0);
}

static void move_out(struct house *h)
{
	http_client_stop(h->client);
	http_server_stop(h->server, deadline_in_ms(1000));
	arena_free(h->arena);
}

static int call(struct house *h, const char *path, struct span body, struct span *ret_body)
{
	struct http_call c = {.body = body, .deadline_ns = deadline_in_ms(5000)};
	struct http_answer *answer;
	char url[128];
	int r;

	snprintf(url, sizeof(url), "%s%s", h->url, path);
	c.url = url;
	r = http_call(h->client, h->arena, &c, &answer);
	if (r < 0)
		return r;
	*ret_body = answer->body;
	return answer->status;
}

static void calls_and_answers_body(void *arg)
{
	struct house h;
	struct span body = {0};
	char *block;

	move_in(&h);
	EXPECT_INT(call(&h, "/tag", (struct span){0}, &body), 200);
	EXPECT(span_is(body, "tcp"));
	for (size_t n = 1; n <= 10000000; n *= 10) {
		block = arena_bytes(h.arena, n);
		memset(block, (int)('a' + n % 7), n);
		EXPECT_INT(call(&h, "/echo", span_of(block, n), &body), 200);
		EXPECT(span_eq(body, span_of(block, n)));
		arena_reset(h.arena);
	}
	EXPECT_INT((long)http_server_stats(h.server).connections, 1);
	EXPECT_INT((long)http_server_stats(h.server).requests, 9);
	move_out(&h);
}

static void calls_and_answers(void **state)
{
	in_fiber(calls_and_answers_body);
}

/* As many doors as there may be executions, each with an identity of its own. */
static void many_doors_body(void *arg)
{
	enum { DOORS = 200 };
	static struct http_listener *doors[DOORS];
	static char tags[DOORS][24];
	struct house h;

	move_in(&h);
	for (int i = 0; i < DOORS; i++) {
		char path[64];
		int fd = -1;
		snprintf(tags[i], sizeof(tags[i]), "door %d", i);
		snprintf(path, sizeof(path), "%s/%d", folder, i);
		EXPECT_INT(door_listen_unix(path, 0600, &fd), 0);
		struct http_listen l = {.tag = tags[i]};
		EXPECT_INT(http_server_listen(h.server, fd, &l, &doors[i]), 0);
	}
	for (int i = 0; i < DOORS; i++) {
		char path[64];
		struct http_answer *answer = NULL;
		snprintf(path, sizeof(path), "%s/%d", folder, i);
		struct http_call c = {.url = "http://localhost/tag",
			.unix_path = path,
			.deadline_ns = deadline_in_ms(5000)};
		EXPECT_INT(http_call(h.client, h.arena, &c, &answer), 0);
		EXPECT(answer && span_is(answer->body, tags[i]));
		if (i % 2)
			http_listener_stop(doors[i], deadline_in_ms(1000));
		arena_reset(h.arena);
		EXPECT_INT(unlink(path), 0);
	}
	move_out(&h);
}

static void many_doors(void **state)
{
	in_fiber(many_doors_body);
}

struct caller {
	struct house *house;
	int result;
};

static void call_and_wait(void *arg)
{
	struct caller *c = arg;
	struct span body;

	c->result = call(c->house, "/wait", (struct span){0}, &body);
	err_clear();
}

static void wait_served(const struct house *h, int count)
{
	while (h->served < count)
		EXPECT_INT(rt_sleep_until(deadline_in_ms(1)), 0);
}

static void a_cancelled_call_returns_body(void *arg)
{
	struct house h;
	struct caller c = {&h, 0};
	struct group g;

	move_in(&h);
	group_init(&g);
	EXPECT_INT(group_spawn(&g, "caller", FIBER_SMALL, call_and_wait, &c), 0);
	wait_served(&h, 1);
	group_close(&g);
	EXPECT_INT(c.result, -ECANCELED);
	move_out(&h);
	EXPECT_INT(h.cancelled, 1);
}

static void a_cancelled_call_returns(void **state)
{
	in_fiber(a_cancelled_call_returns_body);
}

static void a_stopped_door_cancels_at_its_deadline_body(void *arg)
{
	struct house h;
	struct caller c[3] = {{&h, 0}, {&h, 0}, {&h, 0}};
	struct group g;
	int64_t start;

	move_in(&h);
	group_init(&g);
	for (int i = 0; i < 3; i++)
		EXPECT_INT(group_spawn(&g, "caller", FIBER_SMALL, call_and_wait, &c[i]), 0);
	wait_served(&h, 3);
	start = rt_now_ns();
	http_listener_stop(h.door, deadline_in_ms(100));
	EXPECT(rt_now_ns() - start >= 90 * NS_PER_MS);
	EXPECT_INT(h.cancelled, 3);
	EXPECT_INT(http_server_stats(h.server).open, 0);
	EXPECT_INT(group_join(&g, deadline_in_ms(60000)), 0);
	/* The handlers were ended without an answer, and so were the calls. */
	for (int i = 0; i < 3; i++)
		EXPECT(c[i].result < 0 || c[i].result == 500);
	group_close(&g);
	move_out(&h);
}

static void a_stopped_door_cancels_at_its_deadline(void **state)
{
	in_fiber(a_stopped_door_cancels_at_its_deadline_body);
}

static void fleet_handle(void *ctx, struct http_request *q, struct http_reply *p)
{
	char text[16];

	snprintf(text, sizeof(text), "%d", worker_index(worker_self()));
	EXPECT_INT(http_reply(p, 200, NULL, span_cstr(text)), 0);
}

static void a_fleet_serves_on_every_worker_body(void *arg)
{
	struct http_server_options o = {.handler = fleet_handle};
	struct door_tcp door = {.address = "127.0.0.1"};
	struct house h = {.arena = arena_new(1 << 20)};
	struct http_fleet *f = NULL;
	bool seen[2] = {false, false};
	struct span body = {0};
	uint16_t port = 0;
	int fd = -1;

	EXPECT_INT(http_fleet_start(&o, &f), 0);
	EXPECT_INT(door_listen_tcp(&door, &fd, &port), 0);
	EXPECT_INT(http_fleet_listen(f, fd, &(struct http_listen){.tag = NULL}), 0);
	snprintf(h.url, sizeof(h.url), "http://127.0.0.1:%u", port);
	/* Each call on a connection of its own; the kernel decides who accepts it. */
	for (int i = 0; i < 2000 && !(seen[0] && seen[1]); i++) {
		EXPECT_INT(http_client_start(&(struct http_client_options){.tls = NULL}, &h.client),
			0);
		EXPECT_INT(call(&h, "/", (struct span){0}, &body), 200);
		seen[body.p[0] == '1'] = true;
		http_client_stop(h.client);
		arena_reset(h.arena);
	}
	EXPECT(seen[0] && seen[1]);
	http_fleet_stop(f, deadline_in_ms(1000));
	arena_free(h.arena);
}

static void a_fleet_serves_on_every_worker(void **state)
{
	in_fiber_with(
		&(struct rt_options){.workers = 2}, a_fleet_serves_on_every_worker_body, NULL);
}

static int make_folder(void **state)
{
	return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
	return rmdir(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(calls_and_answers),
		cmocka_unit_test(many_doors),
		cmocka_unit_test(a_cancelled_call_returns),
		cmocka_unit_test(a_stopped_door_cancels_at_its_deadline),
		cmocka_unit_test(a_fleet_serves_on_every_worker),
	};

	return cmocka_run_group_tests_name("net", tests, make_folder, remove_folder);
}
