/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * A server and its clients over everything that rt.h has for them: listener, streams, groups,
 * deadlines, a channel, offload, worker_call. Under every seed each client gets back what it sent;
 * with faults it gets that or an error, and nothing hangs or leaks.
 */
#include "tests/sim/scenario.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { CLIENTS = 4, MESSAGES = 5, MESSAGE_BYTES_MAX = 3000, TIMEOUT_MS = 5000 };

struct world {
	struct sockaddr_in addr;
	int listening;
	struct group connections;
	struct offload *offload;
	struct chan *served; /* one item for each message */
	int echoed; /* messages that came back whole */
};

/* A message is two bytes of length and as many bytes of one value. */
static size_t message_bytes(struct span view)
{
	if (view.n < 2)
		return 0;
	size_t n = 2 + ((size_t)(uint8_t)view.p[0] << 8 | (uint8_t)view.p[1]);
	return view.n >= n ? n : 0;
}

struct connection {
	struct world *world;
	int fd;
};

static int check_message(void *arg)
{
	const struct span *m = arg;
	for (size_t i = 3; i < m->n; i++)
		if (m->p[i] != m->p[2])
			return -EBADMSG;
	return 0;
}

static int count_message(void *arg)
{
	struct world *w = arg;
	int r = chan_try_send(w->served, w);
	return r == -EAGAIN ? 0 : r;
}

static int serve_message(struct connection *c, struct stream *s, struct span m)
{
	int64_t deadline_ns = deadline_in_ms(TIMEOUT_MS);
	int r = offload_call(c->world->offload, check_message, &m, deadline_ns);
	SCENARIO_CHECK(r != -EBADMSG);
	if (r == 0)
		r = worker_call(worker_self(), "count", count_message, c->world, deadline_ns);
	if (r == 0)
		r = stream_send(s, m, deadline_ns);
	return r;
}

static void serve_connection(void *arg)
{
	struct connection *c = arg;
	struct stream *s;
	int r = stream_start(c->fd, &s);
	size_t have = 0;
	if (r < 0) {
		free(c);
		return;
	}
	while (r == 0) {
		struct span view;
		r = stream_peek(s, have, &view, deadline_in_ms(TIMEOUT_MS));
		if (r < 0 || view.n == 0)
			break;
		have = view.n;
		size_t n = message_bytes(view);
		if (n == 0)
			continue;
		r = serve_message(c, s, span_sub(view, 0, n));
		stream_consume(s, n);
		have = 0;
	}
	stream_stop(s);
	free(c);
}

static void accept_all(void *arg)
{
	struct world *w = arg;
	struct listener *l;
	if (listener_start(w->listening, &l) < 0)
		return;
	for (;;) {
		int fd = listener_accept(l, DEADLINE_NONE);
		if (fd == -ECANCELED)
			break;
		if (fd < 0)
			continue;
		struct connection *c = malloc(sizeof(*c));
		*c = (struct connection){w, fd};
		if (group_spawn(&w->connections, "connection", FIBER_SMALL, serve_connection, c) <
			0) {
			rt_close(fd);
			free(c);
		}
	}
	listener_stop(l);
}

/* ---- clients ---- */

static int exchange(int fd, char value)
{
	char out[MESSAGE_BYTES_MAX];
	char in[MESSAGE_BYTES_MAX];
	size_t n = 3 + sim_below(MESSAGE_BYTES_MAX - 3);
	int64_t deadline_ns = deadline_in_ms(TIMEOUT_MS);
	memset(out, value, n);
	out[0] = (char)((n - 2) >> 8);
	out[1] = (char)(n - 2);
	int r = rt_send_all(fd, out, n, deadline_ns);
	size_t got = 0;
	while (r == 0 && got < n) {
		ssize_t part = rt_recv(fd, in + got, n - got, 0, deadline_ns);
		if (part <= 0)
			r = part < 0 ? (int)part : -ECONNRESET;
		else
			got += (size_t)part;
	}
	SCENARIO_CHECK(r < 0 || memcmp(in, out, n) == 0);
	return r;
}

static void be_client(void *arg)
{
	struct world *w = arg;
	int64_t deadline_ns = deadline_in_ms(TIMEOUT_MS);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int r = rt_connect(fd, (struct sockaddr *)&w->addr, sizeof(w->addr), deadline_ns);
	for (int i = 0; r == 0 && i < MESSAGES; i++) {
		r = exchange(fd, (char)('a' + i));
		w->echoed += r == 0;
	}
	SCENARIO_CHECK(r == 0 || scenario_faulty());
	rt_close(fd);
}

static void run_clients(struct world *w)
{
	struct group clients;
	int spawned = 0;
	group_init(&clients);
	for (int i = 0; i < CLIENTS; i++)
		spawned += group_spawn(&clients, "client", FIBER_SMALL, be_client, w) == 0;
	SCENARIO_CHECK(group_join(&clients, DEADLINE_NONE) == 0);
	group_close(&clients);
	if (!scenario_faulty())
		SCENARIO_CHECK(spawned == CLIENTS && w->echoed == CLIENTS * MESSAGES);
}

static void count_served(struct world *w)
{
	void *item;
	int served = 0;
	chan_close(w->served);
	while (chan_recv(w->served, &item, DEADLINE_NONE) == 0)
		served++;
	SCENARIO_CHECK(served >= w->echoed);
}

static void serve_and_call(void *arg)
{
	struct world *w = arg;
	struct group server;
	group_init(&server);
	group_init(&w->connections);
	SCENARIO_CHECK(offload_start("check", 1, 64, &w->offload) == 0);
	if (group_spawn(&server, "server", FIBER_SMALL, accept_all, w) == 0) {
		/* A connect before the listener listens would be refused. */
		SCENARIO_CHECK(rt_sleep_until(deadline_in_ms(500)) == 0);
		run_clients(w);
	} else {
		rt_close(w->listening);
	}
	group_close(&server);
	group_close(&w->connections);
	count_served(w);
	offload_stop(w->offload);
}

static void *make_world(void)
{
	struct world *w = calloc(1, sizeof(*w));
	socklen_t n = sizeof(w->addr);
	w->served = chan_new(CLIENTS * MESSAGES);
	w->listening = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	w->addr = (struct sockaddr_in){
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	assert_int_equal(bind(w->listening, (struct sockaddr *)&w->addr, n), 0);
	assert_int_equal(listen(w->listening, 64), 0);
	assert_int_equal(getsockname(w->listening, (struct sockaddr *)&w->addr, &n), 0);
	return w;
}

static void drop_world(void *arg)
{
	struct world *w = arg;
	chan_free(w->served);
	free(w);
}

static const struct scenario echo = {
	.name = "echo", .body = serve_and_call, .make = make_world, .drop = drop_world};

static void every_client_is_served_under_every_seed(void **state)
{
	scenario_seeds(&echo, 100);
}

static void any_operation_may_fail(void **state)
{
	scenario_failures(&echo, 1);
}

static void many_operations_may_fail(void **state)
{
	scenario_chaos(&echo, 100, 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_client_is_served_under_every_seed),
		cmocka_unit_test(any_operation_may_fail),
		cmocka_unit_test(many_operations_may_fail),
	};
	return cmocka_run_group_tests_name("rt", tests, NULL, NULL);
}
