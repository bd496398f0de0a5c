/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Namespaces come from the pool that sandboxes' own are taken from. A pin is a bind mount of the
 * namespace's file, as `ip netns` makes it: the one thing that survives everybody's death.
 */
#include "daemon/helper/transport.h"
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum { QUEUE = 8, PIN_BYTES = 400 };

static void pin_path(const struct host *h, const char *name, char ret[PIN_BYTES])
{
	snprintf(ret, PIN_BYTES, "%s/%s", h->transports_path, name);
}

static int pin(const struct host *h, const char *name, int netns)
{
	char path[PIN_BYTES], source[64];
	pin_path(h, name, path);
	snprintf(source, sizeof(source), "/proc/self/fd/%d", netns);
	AUTO_FD file = open(path, O_RDONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0400);
	if (file < 0)
		return err_sys(-errno, "make %s", path);
	if (mount(source, path, NULL, MS_BIND, NULL) < 0) {
		int r = err_sys(-errno, "pin a network namespace at %s", path);
		(void)unlink(path);
		return r;
	}
	return 0;
}

static void unpin(const struct host *h, const char *name)
{
	char path[PIN_BYTES];
	pin_path(h, name, path);
	if (umount2(path, MNT_DETACH) < 0 && errno != EINVAL && errno != ENOENT)
		log_warn("unpin %s: %s", path, strerror(errno));
	if (unlink(path) < 0 && errno != ENOENT)
		log_warn("remove %s: %s", path, strerror(errno));
}

static int make_listener(int *ret_fd)
{
	const struct sockaddr_in a = {.sin_family = AF_INET,
		.sin_port = htons(TRANSPORT_PORT),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	const int on = 1;
	AUTO_FD fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return err_sys(-errno, "socket");
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
		bind(fd, (const struct sockaddr *)&a, sizeof(a)) < 0 || listen(fd, QUEUE) < 0) {
		if (errno == EADDRINUSE)
			return err_raise(-EBUSY, "somebody listens there already");
		return err_sys(-errno, "listen in a transport namespace");
	}
	*ret_fd = TAKE_FD(fd);
	return 0;
}

int transport_listen(const struct host *h, struct transport *t)
{
	if (t->listener >= 0)
		return 0;
	if (setns(t->netns, CLONE_NEWNET) < 0)
		return err_sys(-errno, "enter a transport namespace");
	int r = make_listener(&t->listener);
	CHECK(setns(h->net.own, CLONE_NEWNET) == 0);
	return err_trace(r);
}

int transport_make(struct host *h, const char *name, struct transport *ret)
{
	struct transport t = {-1, -1};
	int r = netpool_take(&h->net, &t.netns);
	if (r == 0)
		r = pin(h, name, t.netns);
	if (r < 0) {
		transport_close(&t);
		return err_trace(r);
	}
	r = transport_listen(h, &t);
	if (r < 0) {
		transport_remove(h, name, &t);
		return err_trace(r);
	}
	*ret = t;
	return 0;
}

int transport_find(const struct host *h, const char *name, struct transport *ret)
{
	char path[PIN_BYTES];
	pin_path(h, name, path);
	AUTO_FD fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return err_sys(-errno, "open %s", path);
	/* The file beneath a pin that is gone is no namespace, and is refused by setns. */
	if (setns(fd, CLONE_NEWNET) < 0)
		return err_sys(-ENOENT, "%s is no network namespace any more", path);
	CHECK(setns(h->net.own, CLONE_NEWNET) == 0);
	*ret = (struct transport){TAKE_FD(fd), -1};
	return 0;
}

void transport_close(struct transport *t)
{
	fd_cleanup(&t->listener);
	fd_cleanup(&t->netns);
}

void transport_remove(const struct host *h, const char *name, struct transport *t)
{
	transport_close(t);
	unpin(h, name);
}

void transport_sweep(const struct host *h, bool (*known)(void *arg, const char *name), void *arg)
{
	DIR *d = opendir(h->transports_path);
	for (struct dirent *e; d && (e = readdir(d));) {
		if (e->d_name[0] != '.' && !known(arg, e->d_name))
			unpin(h, e->d_name);
	}
	if (d)
		closedir(d);
}
