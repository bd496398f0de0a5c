/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The server that the tests of this folder talk to: a handful of routes that show what a handler
 * can do. Listens as its arguments say, prints one line per door ("tcp 4711", "tls 4712",
 * "unix PATH", "ready"), serves until SIGTERM, then stops gracefully and prints its statistics.
 */
#include "daemon/net/net.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static struct {
	bool tcp;
	const char *unix_path;
	struct tls_server_options tls;
	struct http_server_options server;
	int workers;
	int64_t grace_ms, bodies_bytes;
	struct tls_server *tls_server;
	int result;
} settings = {.workers = 1, .grace_ms = 2000};

static int64_t number(struct http_request *q, const char *key, int64_t otherwise)
{
	int64_t n = otherwise;

	if (url_query_i64(q->arena, q->head->query, key, 0, INT64_C(1) << 40, otherwise, &n) < 0)
		err_clear();
	return n;
}

static void hello(struct http_request *q, struct http_reply *p)
{
	(void)!http_reply(p, 200, "application/json", SPAN("{\"message\":\"hello\"}"));
}

static void echo(struct http_request *q, struct http_reply *p)
{
	struct span body;
	q->stranger = number(q, "stranger", 0);
	int r = http_body_all(q, (size_t)number(q, "limit", 1 << 20), &body);

	if (r < 0) {
		int status = http_body_status(r);
		struct span why = arena_span(q->arena, span_cstr(err_message(r)));
		(void)!http_reply(p, status, "text/plain", why);
		return;
	}
	(void)!http_reply(p, 200, "application/octet-stream", body);
}

/* Counts a body of any size without keeping it. */
static void count(struct http_request *q, struct http_reply *p)
{
	uint64_t bytes = 0;
	struct span piece;
	int r;

	while ((r = http_body_some(q, &piece)) == 0 && piece.n)
		bytes += piece.n;
	char *text = arena_printf(q->arena, "%llu", (unsigned long long)bytes);
	(void)!http_reply(p, r < 0 ? http_body_status(r) : 200, "text/plain", span_cstr(text));
}

/* n bytes, in pieces of `step`, of known length or not. */
static void big(struct http_request *q, struct http_reply *p)
{
	int64_t n = number(q, "n", 1000), step = MIN(number(q, "step", 4096), INT64_C(65536));
	bool known = number(q, "known", 0);
	char *block = arena_bytes(q->arena, (size_t)step);
	int r = http_reply_begin(p, 200, "application/octet-stream", known ? n : -1);

	memset(block, 'x', (size_t)step);
	for (; r == 0 && n > 0; n -= step)
		r = http_reply_write(p, span_of(block, (size_t)MIN(n, step)));
	if (r == 0 && !number(q, "break", 0))
		(void)!http_reply_end(p);
}

static void events(struct http_request *q, struct http_reply *p)
{
	int64_t n = number(q, "n", 3), pause_ms = number(q, "pause", 1);
	int r = http_reply_sse(p);

	for (int64_t i = 0; r == 0 && i < n; i++) {
		struct sse_event e = {
			.type = SPAN("tick"),
			.id = span_cstr(arena_printf(q->arena, "%lld", (long long)i)),
			.data = SPAN("{\"line\":1}\nsecond"),
		};
		r = http_reply_event(p, &e);
		if (r == 0)
			r = http_reply_heartbeat(p);
		if (r == 0)
			r = rt_sleep_until(deadline_in_ms(pause_ms));
	}
	if (r < 0) {
		printf("events ended: %s\n", err_name(r));
		fflush(stdout);
		return;
	}
	(void)!http_reply_end(p);
}

static void peer(struct http_request *q, struct http_reply *p)
{
	const struct http_peer *who = q->peer;
	char *text = arena_printf(q->arena,
		"tag=%s unix=%d tls=%d loopback=%d uid=%d pid=%d subject=" SPAN_FMT "\n",
		(const char *)who->listener_tag, who->is_unix, who->is_tls, who->is_loopback,
		who->is_unix ? (int)who->uid : -1, who->is_unix ? (int)who->pid : -1,
		SPAN_ARG(who->tls_subject));

	(void)!http_reply(p, 200, "text/plain", span_cstr(text));
}

static void slow(struct http_request *q, struct http_reply *p)
{
	int r = rt_sleep_until(deadline_in_ms(number(q, "ms", 100)));

	(void)!http_reply(p, r < 0 ? 503 : 200, "text/plain", SPAN("waited\n"));
}

static void headers(struct http_request *q, struct http_reply *p)
{
	http_reply_header(p, "X-Seen", http_header_get(q->head, "X-Sent"));
	http_reply_header(p, "X-Second", SPAN("2"));
	(void)!http_reply(p, 201, NULL, (struct span){0});
}

static void bad_header(struct http_request *q, struct http_reply *p)
{
	http_reply_header(p, "X-Bad", SPAN("a\r\nSet-Cookie: b"));
	(void)!http_reply(p, 200, "text/plain", SPAN("never seen"));
}

static void empty(struct http_request *q, struct http_reply *p)
{
	(void)!http_reply(p, 204, NULL, (struct span){0});
}

static void silent(struct http_request *q, struct http_reply *p)
{
}

/* Echoes when n requests have come here, which none does that runs by itself. */
static void meet(struct http_request *q, struct http_reply *p)
{
	static int met;
	static struct waitq all;
	int64_t n = number(q, "n", 1);
	int r = 0;

	if (!all.fibers.next)
		waitq_init(&all);
	if (++met < n) {
		r = waitq_wait(&all, deadline_in_ms(number(q, "ms", 60000)));
		if (r < 0)
			met = 0;
	} else {
		met = 0;
		waitq_wake_all(&all);
	}
	if (r == 0)
		echo(q, p);
	else
		(void)!http_reply(p, 503, "text/plain", SPAN("alone\n"));
}

static bool beside(void *ctx, const struct http_head *head)
{
	return span_find(head->query, SPAN("beside"), 0) >= 0;
}

static void reload(struct http_request *q, struct http_reply *p)
{
	int r = settings.tls_server ? tls_server_reload(settings.tls_server) : -ENOENT;
	struct span why = r < 0 ? arena_span(q->arena, span_cstr(err_message(r))) : SPAN("ok");

	(void)!http_reply(p, r < 0 ? 500 : 200, "text/plain", why);
}

static void handle(void *ctx, struct http_request *q, struct http_reply *p)
{
	static const struct {
		const char *path;
		void (*fn)(struct http_request *q, struct http_reply *p);
	} routes[] = {
		{"/hello", hello},
		{"/echo", echo},
		{"/count", count},
		{"/big", big},
		{"/events", events},
		{"/peer", peer},
		{"/slow", slow},
		{"/headers", headers},
		{"/bad-header", bad_header},
		{"/empty", empty},
		{"/silent", silent},
		{"/meet", meet},
		{"/reload", reload},
	};

	for (size_t i = 0; i < ARRAY_LEN(routes); i++) {
		if (span_is(q->head->path, routes[i].path)) {
			routes[i].fn(q, p);
			return;
		}
	}
	(void)!http_reply(p, 404, "text/plain", SPAN("no such route\n"));
}

static int listen_tcp(struct http_fleet *f, bool tls)
{
	struct http_listen l = {
		.tag = tls ? "tls" : "tcp", .tls = tls ? settings.tls_server : NULL};
	struct door_tcp door = {.address = "127.0.0.1", .has_tls = tls};
	uint16_t port;
	int fd;
	int r = door_listen_tcp(&door, &fd, &port);

	if (r == 0)
		r = http_fleet_listen(f, fd, &l);
	if (r == 0)
		printf("%s %u\n", (const char *)l.tag, port);
	return r;
}

static int listen_unix(struct http_fleet *f)
{
	struct http_listen l = {.tag = "unix"};
	int fd;
	int r = door_listen_unix(settings.unix_path, 0600, &fd);

	if (r == 0)
		r = http_fleet_listen(f, fd, &l);
	if (r == 0)
		printf("unix %s\n", settings.unix_path);
	return r;
}

static int listen_all(struct http_fleet *f)
{
	int r = 0;

	if (settings.tcp)
		r = listen_tcp(f, false);
	if (r == 0 && settings.tls_server)
		r = listen_tcp(f, true);
	if (r == 0 && settings.unix_path)
		r = listen_unix(f);
	printf("ready\n");
	fflush(stdout);
	return r;
}

static void serve(void *arg)
{
	struct http_fleet *f = NULL;
	struct http_server_stats stats;
	sigset_t set;
	int r;

	settings.server.handler = handle;
	settings.server.beside = beside;
	settings.server.bodies_bytes = (size_t)settings.bodies_bytes;
	r = http_fleet_start(&settings.server, &f);
	if (r == 0)
		r = listen_all(f);
	if (r == 0) {
		sigemptyset(&set);
		sigaddset(&set, SIGTERM);
		r = signal_wait(&set, DEADLINE_NONE);
	}
	if (r < 0)
		err_log(r, "test server");
	settings.result = r < 0;
	if (!f)
		return;
	stats = http_server_stats(http_fleet_here(f));
	http_fleet_stop(f, deadline_in_ms(settings.grace_ms));
	printf("served %llu connections %llu refused %llu\n", (unsigned long long)stats.requests,
		(unsigned long long)stats.connections, (unsigned long long)stats.refused);
}

static void parse(int argc, char **argv)
{
	for (int i = 1; i + 1 < argc; i += 2) {
		const char *name = argv[i], *value = argv[i + 1];
		struct {
			const char *name;
			int64_t *at;
		} numbers[] = {
			{"--head-ms", &settings.server.head_timeout_ms},
			{"--idle-ms", &settings.server.idle_timeout_ms},
			{"--write-ms", &settings.server.write_timeout_ms},
			{"--rate", &settings.server.min_bytes_per_s},
			{"--grace-ms", &settings.grace_ms},
			{"--bodies", &settings.bodies_bytes},
			{"--body-ms", &settings.server.body_grace_ms},
		};

		for (size_t n = 0; n < ARRAY_LEN(numbers); n++) {
			if (strcmp(name, numbers[n].name) == 0)
				*numbers[n].at = strtoll(value, NULL, 10);
		}
		if (strcmp(name, "--tcp") == 0)
			settings.tcp = true;
		if (strcmp(name, "--unix") == 0)
			settings.unix_path = value;
		if (strcmp(name, "--certificate") == 0)
			settings.tls.certificate_file = value;
		if (strcmp(name, "--key") == 0)
			settings.tls.key_file = value;
		if (strcmp(name, "--client-ca") == 0)
			settings.tls.client_ca_file = value;
		if (strcmp(name, "--max") == 0)
			settings.server.max_connections = (int)strtol(value, NULL, 10);
		if (strcmp(name, "--workers") == 0)
			settings.workers = (int)strtol(value, NULL, 10);
	}
	settings.tls.client_certificate_required = settings.tls.client_ca_file;
}

int main(int argc, char **argv)
{
	int r = 0;

	parse(argc, argv);
	log_setup(LOG_INFO, LOG_TEXT, "net-test-server");
	if (settings.tls.certificate_file)
		r = tls_server_new(&settings.tls, &settings.tls_server);
	if (r == 0)
		r = rt_run(&(struct rt_options){.workers = settings.workers}, serve, NULL);
	if (r < 0)
		err_log(r, "test server");
	tls_server_unref(settings.tls_server);
	return r < 0 || settings.result;
}
