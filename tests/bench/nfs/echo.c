/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The bare peer: reads records off loopback connections and answers each with a reply of the size
 * that the procedure would have, without looking at anything else. What it costs is what a server
 * cannot save. Prints its port.
 */
#include "nfs/rpc/nfs3.h"
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

enum { IN_BYTES = 2 * 1024 * 1024, HEADS_MAX = 256, CONNECTIONS_MAX = 1024 };

struct connection {
	int fd;
	char *in;
	size_t used;
};

static char content[LIMIT_RPC_RECORD_BYTES];

static const uint32_t result_bytes[NFS3_PROC_COUNT] = {[NFS3_GETATTR] = 88,
	[NFS3_LOOKUP] = 220,
	[NFS3_ACCESS] = 96,
	[NFS3_READ] = 104,
	[NFS3_WRITE] = 136,
	[NFS3_CREATE] = 272,
	[NFS3_REMOVE] = 120,
	[NFS3_READDIRPLUS] = 64 * 184 + 120};

static uint32_t word(const char *p)
{
	uint32_t w;
	memcpy(&w, p, sizeof(w));
	return be32toh(w);
}

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static void send_all(int fd, struct iovec *v, int count)
{
	while (count > 0) {
		ssize_t n = writev(fd, v, count);
		if (n <= 0)
			die("writev");
		while (count > 0 && (size_t)n >= v->iov_len) {
			n -= (ssize_t)v->iov_len;
			v++;
			count--;
		}
		if (count > 0) {
			v->iov_base = (char *)v->iov_base + n;
			v->iov_len -= (size_t)n;
		}
	}
}

/* Bytes of results for a call; a READ's count is the last word of its arguments. */
static size_t results_for(const char *call, size_t n)
{
	uint32_t proc = word(call + 20);
	size_t bytes = result_bytes[proc % NFS3_PROC_COUNT];
	return proc == NFS3_READ ? bytes + word(call + n - 4) : bytes;
}

static void answer(struct connection *c)
{
	static char heads[HEADS_MAX][RPC_MARK_BYTES + RPC_ACCEPTED_BYTES];
	static struct iovec v[2 * HEADS_MAX];
	size_t at = 0;
	int count = 0;
	while (count < HEADS_MAX && c->used - at >= RPC_MARK_BYTES) {
		size_t n = rpc_mark_get(c->in + at).bytes;
		if (c->used - at - RPC_MARK_BYTES < n)
			break;
		const char *call = c->in + at + RPC_MARK_BYTES;
		size_t results = results_for(call, n);
		struct xdr x = xdr_encoder(heads[count] + RPC_MARK_BYTES, RPC_ACCEPTED_BYTES);
		rpc_accept(&x, word(call), RPC_SUCCESS);
		rpc_mark_put(heads[count],
			(struct rpc_mark){true, (uint32_t)(RPC_ACCEPTED_BYTES + results)});
		v[2 * count] = (struct iovec){heads[count], sizeof(heads[count])};
		v[2 * count + 1] = (struct iovec){content, results};
		at += RPC_MARK_BYTES + n;
		count++;
	}
	send_all(c->fd, v, 2 * count);
	memmove(c->in, c->in + at, c->used - at);
	c->used -= at;
}

static void add(int ep, struct connection *c)
{
	struct epoll_event ev = {.events = EPOLLIN, .data.ptr = c};
	if (epoll_ctl(ep, EPOLL_CTL_ADD, c->fd, &ev) < 0)
		die("epoll_ctl");
}

static void serve(int ep, struct connection *c, int listening)
{
	if (c->fd == listening) {
		struct connection *n = calloc(1, sizeof(*n));
		n->fd = accept(listening, NULL, NULL);
		n->in = malloc(IN_BYTES);
		add(ep, n);
		return;
	}
	ssize_t n = recv(c->fd, c->in + c->used, IN_BYTES - c->used, 0);
	if (n <= 0) {
		close(c->fd);
		free(c->in);
		free(c);
		return;
	}
	c->used += (size_t)n;
	answer(c);
}

int main(void)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(a);
	struct connection listening = {.fd = socket(AF_INET, SOCK_STREAM, 0)};
	if (bind(listening.fd, (struct sockaddr *)&a, len) < 0 ||
		listen(listening.fd, CONNECTIONS_MAX) < 0 ||
		getsockname(listening.fd, (struct sockaddr *)&a, &len) < 0)
		die("listen");
	printf("%d\n", ntohs(a.sin_port));
	fflush(stdout);
	int ep = epoll_create1(0);
	add(ep, &listening);
	for (;;) {
		struct epoll_event ev[64];
		int n = epoll_wait(ep, ev, 64, -1);
		for (int i = 0; i < n; i++)
			serve(ep, ev[i].data.ptr, listening.fd);
	}
}
