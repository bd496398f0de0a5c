/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * A network namespace costs some 250 microseconds to make and one to enter, so they are made when
 * nothing else is to be done. The helper steps into a new one, brings lo up, and steps back.
 */
#include "daemon/helper/namespaces.h"
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define OWN_NET "/proc/thread-self/ns/net"

int netpool_init(struct netpool *p, size_t capacity)
{
	*p = (struct netpool){.own = open(OWN_NET, O_RDONLY | O_CLOEXEC), .capacity = capacity};
	if (p->own < 0)
		return err_sys(-errno, "open %s", OWN_NET);
	p->fds = calloc(capacity ? capacity : 1, sizeof(*p->fds));
	return p->fds ? 0 : err_raise(-ENOMEM, "no memory for %zu network namespaces", capacity);
}

void netpool_fini(struct netpool *p)
{
	for (size_t i = 0; i < p->count; i++)
		close(p->fds[i]);
	free(p->fds);
	fd_cleanup(&p->own);
	*p = (struct netpool){.own = -1};
}

static int lo_up(void)
{
	AUTO_FD s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq lo = {.ifr_name = "lo", .ifr_flags = IFF_UP};
	if (s < 0 || ioctl(s, SIOCSIFFLAGS, &lo) < 0)
		return err_sys(-errno, "bring lo up in a new network namespace");
	return 0;
}

static int make(const struct netpool *p, int *ret_fd)
{
	if (unshare(CLONE_NEWNET) < 0)
		return err_sys(-errno, "make a network namespace");
	int r = lo_up();
	AUTO_FD ns = open(OWN_NET, O_RDONLY | O_CLOEXEC);
	if (r == 0 && ns < 0)
		r = err_sys(-errno, "open %s", OWN_NET);
	/* A helper that stayed in a sandbox's network would be a bug with teeth. */
	CHECK(setns(p->own, CLONE_NEWNET) == 0);
	if (r < 0)
		return err_trace(r);
	*ret_fd = TAKE_FD(ns);
	return 0;
}

int netpool_take(struct netpool *p, int *ret_fd)
{
	if (p->count == 0)
		return err_trace(make(p, ret_fd));
	*ret_fd = p->fds[--p->count];
	return 0;
}

bool netpool_refill_one(struct netpool *p)
{
	if (p->count == p->capacity)
		return false;
	int r = make(p, &p->fds[p->count]);
	if (r < 0) {
		err_log(r, "network pool");
		err_clear();
		return false;
	}
	p->count++;
	return true;
}
