/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Servers and their listeners. Per listener one fiber accepts, and each connection is a fiber of
 * its own (conn.c).
 *
 * To stop means: accept no more, close the input of connections that wait for a request (what they
 * sent before is still served), let the others finish, cancel those that have not at the deadline.
 * Everything here happens on the server's home worker.
 */
#include "daemon/net/conn.h"
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <netinet/tcp.h>

enum {
	ACCEPT_PAUSE_MS = 100, /* after a failure to accept */
	REFUSE_MS = 100, /* for the few bytes that say "busy" */
};

static const char busy[] = "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\n"
			   "Content-Length: 0\r\nConnection: close\r\n\r\n";

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

/* ---- who is there ---- */

static bool is_loopback(const struct sockaddr_storage *a)
{
	const struct sockaddr_in *v4 = (const struct sockaddr_in *)a;
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)a;

	if (a->ss_family == AF_INET)
		return ntohl(v4->sin_addr.s_addr) >> 24 == 127;
	return IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr) ||
		(IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr) && v6->sin6_addr.s6_addr[12] == 127);
}

static void write_address(const struct sockaddr_storage *a, char *text, size_t size)
{
	const struct sockaddr_in *v4 = (const struct sockaddr_in *)a;
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)a;
	char host[INET6_ADDRSTRLEN] = "?";

	if (a->ss_family == AF_INET) {
		inet_ntop(AF_INET, &v4->sin_addr, host, sizeof(host));
		snprintf(text, size, "%s:%u", host, ntohs(v4->sin_port));
	} else {
		inet_ntop(AF_INET6, &v6->sin6_addr, host, sizeof(host));
		snprintf(text, size, "[%s]:%u", host, ntohs(v6->sin6_port));
	}
}

/* Fails closed: a peer that cannot be named is not served. */
static int identify(struct http_listener *l, int fd, struct http_peer *ret)
{
	struct http_peer p = {.listener_tag = l->tag, .is_unix = l->is_unix, .is_tls = l->tls};
	struct sockaddr_storage a = {0};
	socklen_t n = sizeof(a);

	if (l->is_unix) {
		struct ucred who;
		n = sizeof(who);
		if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &n) < 0)
			return -errno;
		p.pid = who.pid;
		p.uid = who.uid;
		p.gid = who.gid;
		snprintf(p.address, sizeof(p.address), "unix");
	} else {
		if (getpeername(fd, (struct sockaddr *)&a, &n) < 0)
			return -errno;
		p.is_loopback = is_loopback(&a);
		write_address(&a, p.address, sizeof(p.address));
	}
	*ret = p;
	return 0;
}

/* ---- accepting ---- */

/* Says so, and reads what has come, because closing over unread bytes would take the answer back.
 */
static void turn_away(struct http_listener *l, int fd)
{
	char unread[1024];

	l->server->stats.refused++;
	if (!l->tls && rt_send_all(fd, busy, sizeof(busy) - 1, deadline_in_ms(REFUSE_MS)) == 0) {
		(void)shutdown(fd, SHUT_WR);
		(void)!rt_recv(fd, unread, sizeof(unread), MSG_DONTWAIT, deadline_in_ms(REFUSE_MS));
	}
	rt_close(fd);
}

static void admit(struct http_listener *l, int fd)
{
	struct http_server *s = l->server;
	enum fiber_stack stack = l->tls ? FIBER_LARGE : s->options.stack;
	struct http_peer peer;
	struct conn *c;
	int r = identify(l, fd, &peer);

	if (r < 0) {
		rt_close(fd);
		return;
	}
	c = l->open < l->max_connections ? pool_get(&s->conns) : NULL;
	if (!c) {
		turn_away(l, fd);
		return;
	}
	c->listener = l;
	c->fd = fd;
	c->peer = peer;
	c->out = buf_init(2 * CONN_OUT_BYTES);
	c->body_bytes = buf_init(LIMIT_HTTP_BODY_BYTES);
	c->reply.headers = buf_init(LIMIT_HTTP_HEAD_BYTES);
	c->reply.event = buf_init(LIMIT_SSE_EVENT_BYTES);
	c->body.done = true;
	r = group_spawn(&l->fibers, "http", stack, conn_main, c);
	if (r < 0) {
		pool_put(&s->conns, c);
		turn_away(l, fd);
		return;
	}
	list_push_back(&l->conns, &c->link);
	l->open++;
	s->stats.open++;
	s->stats.connections++;
}

static void accept_main(void *arg)
{
	struct http_listener *l = arg;

	for (;;) {
		int fd = listener_accept(l->socket, DEADLINE_NONE);
		if (fd == -ECANCELED)
			break;
		if (fd >= 0) {
			admit(l, fd);
			continue;
		}
		log_warn("accepting connections: %s", err_name(fd));
		if (rt_sleep_until(deadline_in_ms(ACCEPT_PAUSE_MS)) < 0)
			break;
	}
}

/* ---- listeners ---- */

static int family_of(int fd, bool *ret_unix)
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
	free(l);
}

int http_server_listen(
	struct http_server *s, int fd, const struct http_listen *o, struct http_listener **ret)
{
	struct http_listener *l = calloc(1, sizeof(*l));
	int r;

	CHECK(s->home == worker_self());
	if (!l) {
		rt_close(fd);
		return err_raise(-ENOMEM, "HTTP listener");
	}
	l->server = s;
	l->tls = tls_server_ref(o->tls);
	l->tag = o->tag;
	l->max_connections = o->max_connections ? o->max_connections : s->options.max_connections;
	list_init(&l->conns);
	group_init(&l->acceptor);
	group_init(&l->fibers);
	list_push_back(&s->listeners, &l->link);
	r = family_of(fd, &l->is_unix);
	if (r < 0)
		rt_close(fd);
	else
		r = listener_start(fd, &l->socket);
	if (r == 0)
		r = group_spawn(&l->acceptor, "accept", FIBER_SMALL, accept_main, l);
	if (r < 0) {
		listener_stop(l->socket);
		listener_free(l);
		return err_wrap(r, "HTTP listener");
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
		log_debug("%d connections are cut off", l->open);
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

void http_server_stop(struct http_server *s, int64_t deadline_ns)
{
	if (!s)
		return;
	CHECK(s->home == worker_self());
	list_for_each (node, &s->listeners)
		wind_down(list_entry(node, struct http_listener, link));
	while (!list_empty(&s->listeners))
		finish(list_first(&s->listeners, struct http_listener, link), deadline_ns);
	pool_fini(&s->conns);
	free(s);
}
