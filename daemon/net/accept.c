/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Accepting connections, and sharing them out. The kernel always wakes the same one of several
 * workers that wait at one socket, so only one accepts; a listener with a team hands each
 * connection to the next member that has room, by message.
 *
 * `open` counts a member's connections from the moment that one is meant for it. Only the acceptor
 * adds to it, so the maximum is exact; whoever stops a member waits until it is zero.
 */
#include "daemon/net/conn.h"
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum {
	ACCEPT_PAUSE_MS = 100, /* after a failure to accept */
	REFUSE_MS = 100, /* for the few bytes that say "busy" */
};

static const char busy[] = "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\n"
			   "Content-Length: 0\r\nConnection: close\r\n\r\n";

/* A connection on its way to the worker that will serve it. */
struct arrival {
	struct msg msg;
	struct http_listener *listener;
	int fd;
};

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

/* ---- coming in ---- */

void conn_init(struct conn *c, struct http_listener *l, const struct http_peer *peer)
{
	c->listener = l;
	c->fd = -1;
	c->peer = *peer;
	c->out = buf_init(2 * CONN_OUT_BYTES);
	c->body_bytes = buf_init(LIMIT_HTTP_BODY_BYTES);
	c->reply.headers = buf_init(LIMIT_HTTP_HEAD_BYTES);
	c->reply.event = buf_init(LIMIT_SSE_EVENT_BYTES);
	c->body.done = true;
	beside_init(c);
}

static struct conn *conn_new(struct http_listener *l, int fd, const struct http_peer *peer)
{
	struct conn *c = pool_get(&l->server->conns);

	if (!c)
		return NULL;
	conn_init(c, l, peer);
	c->fd = fd;
	return c;
}

/* On the listener's worker, for a connection that is counted already. If false, the descriptor
 * stays the caller's, and is counted no more. */
static bool welcome(struct http_listener *l, int fd)
{
	struct http_server *s = l->server;
	enum fiber_stack stack = l->tls ? FIBER_LARGE : s->options.stack;
	struct http_peer peer = {0};
	struct conn *c = identify(l, fd, &peer) == 0 ? conn_new(l, fd, &peer) : NULL;

	if (!c || group_spawn(&l->fibers, "http", stack, conn_main, c) < 0) {
		pool_put(&s->conns, c);
		atomic_fetch_sub(&l->open, 1);
		return false;
	}
	list_push_back(&l->conns, &c->link);
	s->stats.open++;
	s->stats.connections++;
	return true;
}

static void on_arrival(struct msg *m)
{
	struct arrival *a = container_of(m, struct arrival, msg);

	if (!welcome(a->listener, a->fd))
		rt_close(a->fd);
	free(a);
}

/* As welcome(), for a listener of another worker. */
static bool send_on(struct http_listener *to, int fd)
{
	struct arrival *a = calloc(1, sizeof(*a));

	if (!a) {
		atomic_fetch_sub(&to->open, 1);
		return false;
	}
	a->msg.fn = on_arrival;
	a->listener = to;
	a->fd = fd;
	if (worker_post(to->server->home, &a->msg) < 0) {
		free(a);
		atomic_fetch_sub(&to->open, 1);
		return false;
	}
	return true;
}

/* ---- accepting ---- */

static bool has_room(const struct http_listener *l)
{
	return atomic_load_explicit(&l->open, memory_order_relaxed) < l->max_connections;
}

/* Who takes the next one; NULL if nobody has room. */
static struct http_listener *choose(struct http_listener *l)
{
	if (l->team_count == 0)
		return has_room(l) ? l : NULL;
	for (int i = 0; i < l->team_count; i++) {
		struct http_listener *member = l->team[l->team_next++ % (unsigned)l->team_count];
		if (has_room(member))
			return member;
	}
	return NULL;
}

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
	struct http_listener *to = choose(l);
	bool served = false;

	if (to) {
		atomic_fetch_add(&to->open, 1);
		served = to == l ? welcome(l, fd) : send_on(to, fd);
	}
	if (!served)
		turn_away(l, fd);
}

void accept_main(void *arg)
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
