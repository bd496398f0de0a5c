/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Nouns: a pair is a connection of the agent (inner) and ours to the daemon (outer). What comes
 * from the agent stands in `up`; as long as no byte of an answer has come, what was sent stays
 * there too, so that it can be sent again. A request longer than RELAY_HELD_BYTES flows through and
 * is not repeated.
 *
 * Invariant: a pair holds at most RELAY_HELD_BYTES + RELAY_BUFFER_BYTES, there are at most
 * RELAY_CONNECTIONS_MAX, and a slow or silent agent can hurt only its own connections.
 */
#include "tools/aegis-bootstrap/relay.h"
#include "tools/aegis-bootstrap/gateway.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { LINGER_MS = 2000, LINE_BYTES_MAX = 8192, ID_LINE_BYTES = 80 };

struct pair {
	struct relay *relay;
	bool used;
	struct source inner;
	struct source outer; /* fd -1 while the daemon is away: the deadline is the next attempt */
	int attempts;
	struct buf up;
	size_t up_sent;
	bool tagged; /* the id stands in `up`, or has no place there */
	bool held; /* everything since the first byte is still in `up` */
	bool inner_eof;
	bool up_eof_sent;
	bool up_dead; /* the daemon reads no more; its answer may still come */
	bool closing; /* the answer is complete: linger until the agent has read it */
	size_t down_from, down_to;
	char down[RELAY_BUFFER_BYTES];
};

struct relay {
	struct loop *loop;
	const char *socket_path;
	uint16_t port;
	struct source listener;
	size_t count;
	struct pair pairs[RELAY_CONNECTIONS_MAX];
};

static void pair_close(struct pair *p)
{
	loop_remove(p->relay->loop, &p->inner);
	loop_remove(p->relay->loop, &p->outer);
	fd_cleanup(&p->inner.fd);
	fd_cleanup(&p->outer.fd);
	buf_fini(&p->up);
	p->used = false;
	p->relay->count--;
	p->relay->listener.events = POLLIN;
}

/* What each side waits for follows from what is in the buffers; nothing else sets events. */
static void pair_update(struct pair *p)
{
	bool room = p->up.len + LINE_BYTES_MAX < p->up.max;
	bool to_send = p->tagged && !p->up_dead &&
		(p->up.len > p->up_sent || (p->inner_eof && !p->up_eof_sent));
	short inner = 0, outer = 0;

	if (!p->inner_eof && room)
		inner |= POLLIN;
	if (p->down_to > p->down_from)
		inner |= POLLOUT;
	if (p->outer.fd >= 0 && to_send)
		outer |= POLLOUT;
	if (p->outer.fd >= 0 && p->down_to == p->down_from)
		outer |= POLLIN;
	p->inner.events = inner;
	p->outer.events = outer;
}

/* ---- towards the daemon ---- */

static void pair_connect(struct pair *p)
{
	int r = connect_unix(p->relay->socket_path, &p->outer.fd);

	p->up_sent = 0;
	p->up_eof_sent = p->up_dead = false;
	if (r < 0) {
		err_clear();
		p->outer.deadline_ns = clock_mono_ns() + backoff_ns(p->attempts++);
		return;
	}
	p->outer.deadline_ns = INT64_MAX;
}

/* The daemon went away in the middle. Before the first byte of an answer the request is said
 * again; later the agent must see that the answer was cut. */
static void pair_outer_lost(struct pair *p)
{
	fd_cleanup(&p->outer.fd);
	if (!p->held) {
		pair_close(p);
		return;
	}
	p->outer.deadline_ns = clock_mono_ns() + backoff_ns(p->attempts++);
}

/* Puts the id behind the first line, once that is complete. What does not look like a request of
 * HTTP/1 passes untouched. */
static void pair_tag(struct pair *p)
{
	struct span held = buf_view(&p->up);
	ssize_t lf = span_find_byte(held, '\n', 0);
	char id[UUID_TEXT_BYTES], line[ID_LINE_BYTES];

	if (lf < 0) {
		p->tagged = held.n > LINE_BYTES_MAX || p->inner_eof;
		return;
	}
	p->tagged = true;
	size_t at = (size_t)lf + 1;
	struct span first = span_trim(span_sub(held, 0, at));
	if (first.n < 9 || !span_starts(span_sub(first, first.n - 9, first.n), SPAN(" HTTP/1.")))
		return;
	uuid_text(uuid_new(), id);
	size_t n = (size_t)snprintf(line, sizeof(line), "X-Aegis-Request-Id: %s\r\n", id);
	char *room = buf_reserve(&p->up, n);
	if (!room)
		return;
	buf_commit(&p->up, n);
	memmove(p->up.data + at + n, p->up.data + at, held.n - at);
	memcpy(p->up.data + at, line, n);
}

static void pair_send_up(struct pair *p)
{
	while (p->up_sent < p->up.len) {
		ssize_t n = send(
			p->outer.fd, p->up.data + p->up_sent, p->up.len - p->up_sent, MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			p->up_dead = errno != EAGAIN;
			return;
		}
		p->up_sent += (size_t)n;
	}
	if (p->inner_eof && !p->up_eof_sent) {
		shutdown(p->outer.fd, SHUT_WR);
		p->up_eof_sent = true;
	}
}

/* Lets go of what was sent, when it will not be sent again. */
static void pair_release(struct pair *p)
{
	if (p->held && p->up.len + LINE_BYTES_MAX >= p->up.max && p->up_sent > 0)
		p->held = false;
	if (!p->held) {
		buf_consume(&p->up, p->up_dead ? p->up.len : p->up_sent);
		p->up_sent = 0;
	}
}

/* ---- the two callbacks ---- */

/* False: the pair is gone. */
static bool pair_receive_down(struct pair *p)
{
	ssize_t n = recv(p->outer.fd, p->down, sizeof(p->down), 0);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return true;
	if (n < 0 || (n == 0 && p->held)) {
		pair_outer_lost(p);
		return p->used;
	}
	if (n == 0 && p->inner_eof) {
		pair_close(p);
		return false;
	}
	if (n == 0) {
		fd_cleanup(&p->outer.fd);
		p->closing = true;
		shutdown(p->inner.fd, SHUT_WR);
		p->outer.deadline_ns = clock_mono_ns() + LINGER_MS * NS_PER_MS;
		return true;
	}
	p->held = false;
	p->down_from = 0;
	p->down_to = (size_t)n;
	pair_release(p);
	return true;
}

static void outer_ready(struct source *s, short revents)
{
	struct pair *p = container_of(s, struct pair, outer);

	if (s->fd < 0) {
		if (p->closing) {
			pair_close(p);
			return;
		}
		pair_connect(p);
		pair_update(p);
		return;
	}
	if (revents & POLLOUT)
		pair_send_up(p);
	bool readable = revents & (POLLIN | POLLHUP | POLLERR);
	if (readable && p->down_from == p->down_to && !pair_receive_down(p))
		return;
	pair_release(p);
	pair_update(p);
}

static bool pair_send_down(struct pair *p)
{
	ssize_t n =
		send(p->inner.fd, p->down + p->down_from, p->down_to - p->down_from, MSG_NOSIGNAL);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	p->down_from += (size_t)n;
	return true;
}

static bool pair_receive_up(struct pair *p)
{
	char *room = buf_reserve(&p->up, LINE_BYTES_MAX);
	ssize_t n = room ? recv(p->inner.fd, room, LINE_BYTES_MAX, 0) : -1;

	if (!room)
		return false;
	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	if (n == 0)
		p->inner_eof = true;
	else
		buf_commit(&p->up, (size_t)n);
	if (!p->tagged)
		pair_tag(p);
	return true;
}

static void inner_ready(struct source *s, short revents)
{
	struct pair *p = container_of(s, struct pair, inner);
	bool ok = !(revents & (POLLERR | POLLNVAL));

	/* POLLHUP: both directions are shut, the agent has no use for an answer any more. */
	if ((revents & POLLHUP) && !(revents & POLLIN))
		ok = false;
	if (ok && (revents & POLLOUT))
		ok = pair_send_down(p);
	if (ok && (revents & POLLIN))
		ok = pair_receive_up(p);
	if (ok && p->closing && p->inner_eof && p->down_from == p->down_to)
		ok = false;
	if (!ok)
		pair_close(p);
	else
		pair_update(p);
}

/* ---- listening ---- */

static void listener_ready(struct source *s, short revents)
{
	struct relay *r = container_of(s, struct relay, listener);
	struct pair *p = r->pairs;

	while (p->used)
		p++;
	int fd = accept4(s->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd < 0)
		return;
	memset(p, 0, offsetof(struct pair, down));
	p->relay = r;
	p->used = p->held = true;
	p->up = buf_init(RELAY_HELD_BYTES);
	p->inner = (struct source){fd, POLLIN, INT64_MAX, inner_ready};
	p->outer = (struct source){-1, 0, INT64_MAX, outer_ready};
	loop_add(r->loop, &p->inner);
	loop_add(r->loop, &p->outer);
	pair_connect(p);
	pair_update(p);
	if (++r->count == RELAY_CONNECTIONS_MAX)
		s->events = 0;
}

static int listen_on(uint16_t port, int *ret_fd, uint16_t *ret_port)
{
	struct sockaddr_in at = {.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
		.sin_port = htons(port)};
	socklen_t len = sizeof(at);
	AUTO_FD fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int one = 1;

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0 ||
		bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0 ||
		listen(fd, RELAY_CONNECTIONS_MAX) < 0 ||
		getsockname(fd, (struct sockaddr *)&at, &len) < 0)
		return -errno;
	*ret_fd = TAKE_FD(fd);
	*ret_port = ntohs(at.sin_port);
	return 0;
}

int relay_start(struct loop *l, const char *socket_path, struct relay **ret)
{
	struct relay *r = calloc(1, sizeof(*r));
	int fd = -1;

	if (!r)
		return err_raise(-ENOMEM, "relay");
	int x = listen_on(RELAY_PORT, &fd, &r->port);
	if (x == -EADDRINUSE)
		x = listen_on(0, &fd, &r->port);
	if (x < 0) {
		free(r);
		return err_sys(x, "the relay cannot listen on 127.0.0.1");
	}
	r->loop = l;
	r->socket_path = socket_path;
	r->listener = (struct source){fd, POLLIN, INT64_MAX, listener_ready};
	loop_add(l, &r->listener);
	*ret = r;
	return 0;
}

void relay_stop(struct relay *r)
{
	if (!r)
		return;
	for (size_t i = 0; i < RELAY_CONNECTIONS_MAX; i++)
		if (r->pairs[i].used)
			pair_close(&r->pairs[i]);
	loop_remove(r->loop, &r->listener);
	fd_cleanup(&r->listener.fd);
	free(r);
}

uint16_t relay_port(const struct relay *r)
{
	return r->port;
}
