/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Nouns: a pair is a connection to the daemon (outer) and, once the daemon has said something
 * there, one to the program (inner). A pair that waits has no inner end.
 *
 * Invariants: as long as there is room, INLET_WAITING pairs wait; each pair holds at most two
 * buffers, so a slow end holds up only its own pair.
 */
#include "tools/aegis-bootstrap/inlet.h"
#include "tools/aegis-bootstrap/gateway.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { AGAIN_MS = 50 }; /* until the program listens */

/* What goes one way. */
struct flow {
	char data[INLET_BUFFER_BYTES];
	size_t from, to;
	bool ended; /* nothing more comes in */
};

enum pair_state {
	PAIR_FREE,
	PAIR_AWAY, /* the daemon does not answer: tried again */
	PAIR_WAITING,
	PAIR_CALLING, /* the program does not listen yet, or the connection is being made */
	PAIR_JOINED,
};

struct pair {
	struct inlet *inlet;
	enum pair_state state;
	int attempts;
	struct source outer, inner;
	struct flow in, out; /* in: towards the program */
};

struct inlet {
	struct loop *loop;
	const char *socket_path;
	uint16_t port;
	bool stopping;
	struct pair pairs[INLET_CONNECTIONS_MAX];
};

static void replenish(struct inlet *i);

static void pair_close(struct pair *p)
{
	loop_remove(p->inlet->loop, &p->outer);
	loop_remove(p->inlet->loop, &p->inner);
	fd_cleanup(&p->outer.fd);
	fd_cleanup(&p->inner.fd);
	p->state = PAIR_FREE;
	if (!p->inlet->stopping)
		replenish(p->inlet);
}

static short wants(const struct flow *reads, const struct flow *writes)
{
	short events = 0;

	if (!reads->ended && reads->from == reads->to)
		events |= POLLIN;
	if (writes->to > writes->from)
		events |= POLLOUT;
	return events;
}

/* What each end waits for follows from the state and the buffers; nothing else sets events. */
static void pair_update(struct pair *p)
{
	if (p->state == PAIR_WAITING) {
		p->outer.events = POLLIN;
	} else if (p->state == PAIR_CALLING) {
		p->outer.events = POLLRDHUP; /* the daemon gives up */
		p->inner.events = p->inner.fd >= 0 ? POLLOUT : 0;
	} else if (p->state == PAIR_JOINED) {
		p->outer.events = wants(&p->in, &p->out);
		p->inner.events = wants(&p->out, &p->in);
	}
}

/* ---- passing bytes on ---- */

/* False: that end is gone. */
static bool flow_read(struct flow *f, int fd)
{
	ssize_t n = recv(fd, f->data, sizeof(f->data), 0);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	f->from = 0;
	f->to = (size_t)n;
	f->ended = n == 0; /* an empty read leaves nothing to be passed on */
	return true;
}

static bool flow_write(struct flow *f, int fd)
{
	while (f->from < f->to) {
		ssize_t n = send(fd, f->data + f->from, f->to - f->from, MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN;
		f->from += (size_t)n;
	}
	return true;
}

/* One end can be read, written or both; what it says goes on to the other end at once. Whichever
 * end closes, the pair is over when the other one has all: neither closes by halves. */
static void pass(
	struct pair *p, struct source *s, short revents, struct flow *reads, struct flow *writes)
{
	struct source *other = s == &p->outer ? &p->inner : &p->outer;
	bool room = !reads->ended && reads->from == reads->to;
	bool ok = !(revents & POLLNVAL);

	if (ok && (revents & POLLOUT))
		ok = flow_write(writes, s->fd) && !(writes->ended && writes->from == writes->to);
	if (ok && room && (revents & (POLLIN | POLLHUP | POLLERR)))
		ok = flow_read(reads, s->fd) && flow_write(reads, other->fd) &&
			!(reads->ended && reads->from == reads->to);
	else if (ok && !(revents & POLLOUT))
		ok = !(revents & (POLLHUP | POLLERR));
	if (ok)
		pair_update(p);
	else
		pair_close(p);
}

/* ---- towards the program ---- */

static int connect_loopback(const struct pair *p, int *ret_fd)
{
	const struct sockaddr_in v4 = {.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
		.sin_port = htons(p->inlet->port)};
	const struct sockaddr_in6 v6 = {.sin6_family = AF_INET6,
		.sin6_addr = IN6ADDR_LOOPBACK_INIT,
		.sin6_port = htons(p->inlet->port)};
	/* Programs that listen on "localhost" may listen on either. */
	bool six = p->attempts % 2;
	AUTO_FD fd =
		socket(six ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	const struct sockaddr *at = six ? (const void *)&v6 : (const void *)&v4;
	if (connect(fd, at, six ? sizeof(v6) : sizeof(v4)) < 0 && errno != EINPROGRESS)
		return -errno;
	*ret_fd = TAKE_FD(fd);
	return 0;
}

static void pair_call(struct pair *p)
{
	p->inner.deadline_ns = INT64_MAX;
	if (connect_loopback(p, &p->inner.fd) < 0)
		p->inner.deadline_ns = clock_mono_ns() + AGAIN_MS * NS_PER_MS;
	p->attempts++;
	pair_update(p);
}

static void pair_joined(struct pair *p)
{
	int error = 0;
	socklen_t n = sizeof(error);

	if (getsockopt(p->inner.fd, SOL_SOCKET, SO_ERROR, &error, &n) < 0 || error) {
		fd_cleanup(&p->inner.fd);
		p->inner.deadline_ns = clock_mono_ns() + AGAIN_MS * NS_PER_MS;
	} else {
		p->state = PAIR_JOINED;
	}
	pair_update(p);
}

static void inner_ready(struct source *s, short revents)
{
	struct pair *p = container_of(s, struct pair, inner);

	if (p->state == PAIR_JOINED)
		pass(p, s, revents, &p->out, &p->in);
	else if (s->fd >= 0)
		pair_joined(p);
	else
		pair_call(p);
}

/* ---- towards the daemon ---- */

static void pair_connect(struct pair *p)
{
	int r = connect_unix(p->inlet->socket_path, &p->outer.fd);

	p->state = r < 0 ? PAIR_AWAY : PAIR_WAITING;
	p->outer.deadline_ns = INT64_MAX;
	if (r < 0) {
		err_clear();
		p->outer.deadline_ns = clock_mono_ns() + backoff_ns(p->attempts++);
	}
	pair_update(p);
}

/* The daemon has spoken, or has gone. */
static void pair_taken(struct pair *p)
{
	char byte;
	ssize_t n = recv(p->outer.fd, &byte, 1, MSG_PEEK);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		fd_cleanup(&p->outer.fd);
		p->state = PAIR_AWAY;
		p->outer.deadline_ns = clock_mono_ns() + backoff_ns(p->attempts++);
		return;
	}
	p->state = PAIR_CALLING;
	p->attempts = 0;
	loop_add(p->inlet->loop, &p->inner);
	pair_call(p);
	replenish(p->inlet);
}

static void outer_ready(struct source *s, short revents)
{
	struct pair *p = container_of(s, struct pair, outer);

	if (p->state == PAIR_AWAY)
		pair_connect(p);
	else if (p->state == PAIR_WAITING)
		pair_taken(p);
	else if (p->state == PAIR_CALLING)
		pair_close(p);
	else
		pass(p, s, revents, &p->in, &p->out);
}

static void pair_open(struct inlet *i, struct pair *p)
{
	p->inlet = i;
	p->attempts = 0;
	p->outer = (struct source){-1, 0, INT64_MAX, outer_ready};
	p->inner = (struct source){-1, 0, INT64_MAX, inner_ready};
	p->in.from = p->in.to = p->out.from = p->out.to = 0;
	p->in.ended = p->out.ended = false;
	loop_add(i->loop, &p->outer);
	pair_connect(p);
}

static void replenish(struct inlet *i)
{
	int waiting = 0;

	for (size_t n = 0; n < INLET_CONNECTIONS_MAX; n++)
		waiting += i->pairs[n].state == PAIR_WAITING || i->pairs[n].state == PAIR_AWAY;
	for (size_t n = 0; n < INLET_CONNECTIONS_MAX && waiting < INLET_WAITING; n++)
		if (i->pairs[n].state == PAIR_FREE) {
			pair_open(i, &i->pairs[n]);
			waiting++;
		}
}

int inlet_start(struct loop *l, const char *socket_path, uint16_t port, struct inlet **ret)
{
	struct inlet *i = calloc(1, sizeof(*i));

	if (!i)
		return err_raise(-ENOMEM, "the way to the program's port");
	i->loop = l;
	i->socket_path = socket_path;
	i->port = port;
	replenish(i);
	*ret = i;
	return 0;
}

void inlet_stop(struct inlet *i)
{
	if (!i)
		return;
	i->stopping = true;
	for (size_t n = 0; n < INLET_CONNECTIONS_MAX; n++)
		if (i->pairs[n].state != PAIR_FREE)
			pair_close(&i->pairs[n]);
	free(i);
}
