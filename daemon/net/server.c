/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Servers and their listeners. Per listener one fiber accepts (accept.c), and each connection is a
 * fiber of its own (conn.c).
 *
 * To stop means: accept no more, close the input of connections that wait for a request (what they
 * sent before is still served), let the others finish, cancel those that have not at the deadline.
 * Everything here happens on the server's home worker.
 */
#include "daemon/net/conn.h"
#include <errno.h>
#include <stdlib.h>
#include <netinet/tcp.h>

enum { ARRIVAL_MS = 1 };

#define DEFAULT(field, value) \
	do { \
		if ((field) == 0) \
			(field) = (value); \
	} while (0)

int http_server_start(const struct http_server_options *o, struct http_server **ret)
{
	struct http_server *s = calloc(1, sizeof(*s));
	int r;

	CHECK(o->handler && worker_self());
	if (!s)
		return err_raise(-ENOMEM, "HTTP server");
	s->options = *o;
	s->home = worker_self();
	s->date_s = -1;
	list_init(&s->listeners);
	DEFAULT(s->options.max_connections, 1024);
	DEFAULT(s->options.head_timeout_ms, 10000);
	DEFAULT(s->options.idle_timeout_ms, 75000);
	DEFAULT(s->options.handshake_timeout_ms, 10000);
	DEFAULT(s->options.write_timeout_ms, 30000);
	DEFAULT(s->options.min_bytes_per_s, 1024);
	DEFAULT(s->options.body_grace_ms, 10000);
	DEFAULT(s->options.bodies_bytes, LIMIT_HTTP_BODIES_BYTES);
	r = pool_init(&s->conns, sizeof(struct conn), (size_t)s->options.max_connections);
	if (r < 0) {
		free(s);
		return err_trace(r);
	}
	*ret = s;
	return 0;
}

struct http_server_stats http_server_stats(const struct http_server *s)
{
	return s->stats;
}

/* ---- listeners ---- */

int listener_family(int fd, bool *ret_unix)
{
	struct sockaddr_storage a = {0};
	socklen_t n = sizeof(a);
	int on = 1;

	if (getsockname(fd, (struct sockaddr *)&a, &n) < 0)
		return err_sys(-errno, "listening socket");
	*ret_unix = a.ss_family == AF_UNIX;
	if (!*ret_unix && a.ss_family != AF_INET && a.ss_family != AF_INET6)
		return err_raise(-EAFNOSUPPORT, "listening socket: neither TCP nor Unix");
	/* Accepted connections inherit it. */
	if (!*ret_unix && setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) < 0)
		return err_sys(-errno, "listening socket");
	return 0;
}

static void listener_free(struct http_listener *l)
{
	list_remove(&l->link);
	tls_server_unref(l->tls);
	free(l->team);
	free(l);
}

int listener_open(struct http_server *s, int fd, bool is_unix, const struct http_listen *o,
	struct http_listener **ret)
{
	struct http_listener *l = calloc(1, sizeof(*l));
	int r = 0;

	CHECK(s->home == worker_self());
	if (!l) {
		rt_close(fd);
		return err_raise(-ENOMEM, "HTTP listener");
	}
	l->server = s;
	l->tls = tls_server_ref(o->tls);
	l->tag = o->tag;
	l->is_unix = is_unix;
	l->max_connections = o->max_connections ? o->max_connections : s->options.max_connections;
	list_init(&l->conns);
	group_init(&l->acceptor);
	group_init(&l->fibers);
	list_push_back(&s->listeners, &l->link);
	if (fd >= 0)
		r = listener_start(fd, &l->socket);
	if (r < 0) {
		listener_free(l);
		return err_wrap(r, "HTTP listener");
	}
	*ret = l;
	return 0;
}

int listener_accept_from(struct http_listener *l, struct http_listener **team, int count)
{
	int r;

	l->team = team;
	l->team_count = count;
	r = group_spawn(&l->acceptor, "accept", FIBER_SMALL, accept_main, l);
	return r < 0 ? err_wrap(r, "HTTP listener") : 0;
}

int http_server_listen(
	struct http_server *s, int fd, const struct http_listen *o, struct http_listener **ret)
{
	struct http_listener *l = NULL;
	bool is_unix;
	int r = listener_family(fd, &is_unix);

	if (r < 0) {
		rt_close(fd);
		return err_trace(r);
	}
	r = listener_open(s, fd, is_unix, o, &l);
	if (r < 0)
		return err_trace(r);
	r = listener_accept_from(l, NULL, 0);
	if (r < 0) {
		http_listener_stop(l, 0);
		return err_trace(r);
	}
	if (ret)
		*ret = l;
	return 0;
}

/* First half of stopping: nothing new comes in. */
static void wind_down(struct http_listener *l)
{
	l->stopping = true;
	group_close(&l->acceptor);
	listener_stop(TAKE_PTR(l->socket));
	list_for_each (node, &l->conns) {
		struct conn *c = list_entry(node, struct conn, link);
		/* The fiber sees the end of its input, behind whatever has arrived before. */
		if (c->idle)
			(void)shutdown(stream_fd(c->transport.stream), SHUT_RD);
	}
}

/* Second half: those who are still busy at the deadline are cancelled. */
static void finish(struct http_listener *l, int64_t deadline_ns)
{
	if (group_join(&l->fibers, deadline_ns) < 0)
		log_debug("%d connections are cut off", atomic_load(&l->open));
	group_close(&l->fibers);
	/* Those that another worker has accepted for us may still be on their way. */
	fiber_shield_begin();
	while (atomic_load(&l->open) > 0)
		(void)!rt_sleep_until(deadline_in_ms(ARRIVAL_MS));
	fiber_shield_end();
	group_close(&l->fibers);
	listener_free(l);
}

void http_listener_stop(struct http_listener *l, int64_t deadline_ns)
{
	if (!l)
		return;
	wind_down(l);
	finish(l, deadline_ns);
}

void server_wind_down(struct http_server *s)
{
	CHECK(s->home == worker_self());
	list_for_each (node, &s->listeners)
		wind_down(list_entry(node, struct http_listener, link));
}

void http_server_stop(struct http_server *s, int64_t deadline_ns)
{
	if (!s)
		return;
	server_wind_down(s);
	while (!list_empty(&s->listeners))
		finish(list_first(&s->listeners, struct http_listener, link), deadline_ns);
	pool_fini(&s->conns);
	free(s);
}
