/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Stream sockets in memory. Their descriptors are real and really connected, which makes
 * getpeername and getsockopt true; no byte ever passes through them. A descriptor that was closed
 * behind the simulation's back is recognised by its inode and counts as closed from then on.
 */
#include "daemon/rt/sim_internal.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- descriptors ---- */

static bool still_there(const struct sim_object *o)
{
	struct stat st;
	return fstat(o->fd, &st) == 0 && st.st_ino == o->ino && st.st_dev == o->dev;
}

struct sim_object *sim_object_at(struct sim *s, int fd)
{
	struct sim_object *o = fd >= 0 && fd < SIM_FDS ? s->by_fd[fd] : NULL;
	if (!o || still_there(o))
		return o;
	sim_object_close(s, o);
	return NULL;
}

struct sim_object *sim_object_add(struct sim *s, int fd, enum sim_kind kind)
{
	struct stat st;
	struct sim_object *o = calloc(1, sizeof(*o));
	CHECK(fd >= 0 && fd < SIM_FDS && o);
	if (s->by_fd[fd])
		sim_object_close(s, s->by_fd[fd]);
	CHECK(fstat(fd, &st) == 0);
	o->kind = kind;
	o->fd = fd;
	o->dev = st.st_dev;
	o->ino = st.st_ino;
	list_init(&o->link);
	list_init(&o->backlog);
	if (kind == SIM_SOCKET) {
		o->data = malloc(s->socket_bytes);
		CHECK(o->data);
	}
	s->by_fd[fd] = o;
	return o;
}

/* The peer reads what is left and then the end; if it had sent what nobody read, it is reset, and
 * what was on the way to it may be lost: that is TCP. */
static void leave_peer(struct sim *s, struct sim_object *o)
{
	struct sim_object *peer = o->peer;
	if (!peer)
		return;
	peer->peer = NULL;
	if (o->n > 0) {
		peer->reset = true;
		if (sim_chance(s, 500))
			peer->n = 0;
	}
}

void sim_object_close(struct sim *s, struct sim_object *o)
{
	list_for_each_safe (l, &o->backlog) {
		struct sim_object *waiting = list_entry(l, struct sim_object, link);
		int fd = waiting->fd;
		sim_object_close(s, waiting);
		close(fd);
	}
	leave_peer(s, o);
	list_remove(&o->link);
	s->by_fd[o->fd] = NULL;
	free(o->data);
	free(o);
}

int sim_objects_close_all(struct sim *s)
{
	int open = 0;
	for (int fd = 0; fd < SIM_FDS; fd++) {
		struct sim_object *o = sim_object_at(s, fd);
		if (!o)
			continue;
		/* Listening sockets were made by the scenario, not by an operation. */
		bool ours = o->kind != SIM_LISTENER;
		sim_object_close(s, o);
		if (ours) {
			open++;
			close(fd);
		}
	}
	return open;
}

/* ---- connecting ---- */

static void join(struct sim_object *a, struct sim_object *b)
{
	a->peer = b;
	b->peer = a;
}

int sim_socketpair(int ret_fds[2])
{
	struct sim *s = worker_current->sim;
	CHECK(s);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ret_fds) < 0)
		return err_sys(-errno, "make a pair of sockets");
	join(sim_object_add(s, ret_fds[0], SIM_SOCKET), sim_object_add(s, ret_fds[1], SIM_SOCKET));
	return 0;
}

int sim_listen(struct sim *s, int fd)
{
	struct sim_object *o = sim_object_at(s, fd);
	if (o)
		return o->kind == SIM_LISTENER ? 0 : -EINVAL;
	struct sockaddr_storage a = {0};
	socklen_t n = sizeof(a);
	int listening = 0;
	socklen_t listening_n = sizeof(listening);
	if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &listening_n) < 0 ||
		getsockname(fd, (struct sockaddr *)&a, &n) < 0)
		return -errno;
	if (!listening)
		return -EINVAL;
	sim_object_add(s, fd, SIM_LISTENER)->address = a;
	return 0;
}

static bool same_place(const struct sockaddr_storage *at, const struct sockaddr *to)
{
	if (at->ss_family != to->sa_family)
		return false;
	if (to->sa_family == AF_INET)
		return ((const struct sockaddr_in *)at)->sin_port ==
			((const struct sockaddr_in *)to)->sin_port;
	if (to->sa_family == AF_INET6)
		return ((const struct sockaddr_in6 *)at)->sin6_port ==
			((const struct sockaddr_in6 *)to)->sin6_port;
	return strncmp(((const struct sockaddr_un *)at)->sun_path,
		       ((const struct sockaddr_un *)to)->sun_path,
		       sizeof(((const struct sockaddr_un *)to)->sun_path)) == 0;
}

static struct sim_object *listener_at(struct sim *s, const struct sockaddr *to)
{
	for (int fd = 0; fd < SIM_FDS; fd++) {
		struct sim_object *o = s->by_fd[fd];
		if (o && o->kind == SIM_LISTENER && same_place(&o->address, to))
			return sim_object_at(s, fd);
	}
	return NULL;
}

/* The two ends are connected for real too, at once and in the same breath accepted. */
int sim_connect(struct sim *s, int fd, const struct sockaddr *addr, socklen_t len)
{
	struct sim_object *l = listener_at(s, addr);
	if (!l)
		return -ECONNREFUSED;
	int flags = fcntl(fd, F_GETFL);
	if (flags < 0 || fcntl(fd, F_SETFL, flags & ~O_NONBLOCK) < 0)
		return -errno;
	if (connect(fd, addr, len) < 0)
		return -errno;
	(void)fcntl(fd, F_SETFL, flags);
	struct pollfd p = {.fd = l->fd, .events = POLLIN};
	CHECK(poll(&p, 1, -1) == 1);
	int other = accept4(l->fd, NULL, NULL, SOCK_CLOEXEC);
	if (other < 0)
		return -errno;
	struct sim_object *end = sim_object_add(s, other, SIM_SOCKET);
	join(sim_object_add(s, fd, SIM_SOCKET), end);
	list_push_back(&l->backlog, &end->link);
	return 0;
}

int sim_listener_accept(struct sim *s, int fd)
{
	int r = sim_listen(s, fd);
	if (r < 0)
		return r;
	struct list *l = list_pop_front(&s->by_fd[fd]->backlog);
	return l ? list_entry(l, struct sim_object, link)->fd : -EAGAIN;
}

/* ---- bytes ---- */

static size_t bytes_of(const struct iovec *v, int count)
{
	size_t n = 0;
	for (int i = 0; i < count; i++)
		n += v[i].iov_len;
	return n;
}

/* The peer, unless its descriptor has been closed meanwhile. */
static struct sim_object *live_peer(struct sim *s, const struct sim_object *o)
{
	return o->peer ? sim_object_at(s, o->peer->fd) : NULL;
}

int sim_socket_receive(struct sim *s, struct sim_object *o, const struct iovec *v, int count)
{
	struct sim_object *peer = live_peer(s, o);
	if (o->read_shut || bytes_of(v, count) == 0)
		return 0;
	if (o->n == 0) {
		if (o->reset) {
			o->reset = false;
			return -ECONNRESET;
		}
		return peer && !peer->write_shut ? -EAGAIN : 0;
	}
	size_t n = MIN(o->n, bytes_of(v, count));
	size_t at = 0;
	for (int i = 0; i < count && at < n; i++) {
		size_t part = MIN(v[i].iov_len, n - at);
		memcpy(v[i].iov_base, o->data + at, part);
		at += part;
	}
	memmove(o->data, o->data + n, o->n - n);
	o->n -= n;
	return (int)n;
}

int sim_socket_send(struct sim *s, struct sim_object *o, const struct iovec *v, int count)
{
	struct sim_object *peer = live_peer(s, o);
	if (o->write_shut || !peer)
		return -EPIPE;
	size_t wanted = bytes_of(v, count);
	size_t n = MIN(s->socket_bytes - peer->n, wanted);
	if (peer->read_shut || wanted == 0)
		return (int)wanted; /* into the void */
	if (n == 0)
		return -EAGAIN;
	size_t left = n;
	for (int i = 0; i < count && left > 0; i++) {
		size_t part = MIN(v[i].iov_len, left);
		memcpy(peer->data + peer->n, v[i].iov_base, part);
		peer->n += part;
		left -= part;
	}
	return (int)n;
}

short sim_socket_poll(struct sim *s, const struct sim_object *o)
{
	const struct sim_object *peer = live_peer(s, o);
	int events = 0;
	if (o->n > 0 || o->reset || o->read_shut || !peer || peer->write_shut)
		events |= POLLIN;
	if (!peer || o->write_shut || peer->n < s->socket_bytes)
		events |= POLLOUT;
	if (!peer)
		events |= POLLHUP;
	if (o->reset)
		events |= POLLERR;
	return (short)events;
}

void sim_socket_shutdown(struct sim_object *o, int how)
{
	o->read_shut |= how != SHUT_WR;
	o->write_shut |= how != SHUT_RD;
}
