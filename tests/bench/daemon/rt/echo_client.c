/* SPDX-License-Identifier: AGPL-3.0-only */
/* The load: whatever replies have come on a connection, as many calls leave in one piece. */
#include "tests/bench/daemon/rt/echo.h"
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

static char calls_text[DEPTH * CALL_BYTES];

static void die(const char *what)
{
	perror(what);
	_exit(1);
}

static void send_calls(int fd, size_t count)
{
	size_t n = count * CALL_BYTES;
	if (n > 0 && send(fd, calls_text, n, 0) != (ssize_t)n)
		die("send");
}

struct connection {
	int fd;
	size_t part; /* bytes of a reply that has come in part */
};

static size_t take_replies(struct connection *c)
{
	char got[DEPTH * REPLY_BYTES];
	ssize_t n = recv(c->fd, got, sizeof(got), 0);
	if (n <= 0)
		die("recv");
	size_t sum = c->part + (size_t)n;
	c->part = sum % REPLY_BYTES;
	return sum / REPLY_BYTES;
}

void echo_client(const struct sockaddr_in *addr, int64_t calls)
{
	struct connection c[CONNECTIONS] = {0};
	int ep = epoll_create1(0);
	int64_t sent = 0;
	int64_t answered = 0;
	for (int i = 0; i < DEPTH; i++) {
		memset(calls_text + i * CALL_BYTES, i, CALL_BYTES);
		put_mark(calls_text + i * CALL_BYTES, CALL_BYTES);
	}
	for (int i = 0; i < CONNECTIONS; i++) {
		struct epoll_event e = {.events = EPOLLIN, .data.ptr = &c[i]};
		c[i].fd = socket(AF_INET, SOCK_STREAM, 0);
		if (connect(c[i].fd, (const struct sockaddr *)addr, sizeof(*addr)) < 0)
			die("connect");
		epoll_ctl(ep, EPOLL_CTL_ADD, c[i].fd, &e);
	}
	for (int i = 0; i < CONNECTIONS; i++, sent += DEPTH)
		send_calls(c[i].fd, DEPTH);
	while (answered < sent) {
		struct epoll_event e[CONNECTIONS];
		int n = epoll_wait(ep, e, CONNECTIONS, -1);
		for (int i = 0; i < n; i++) {
			struct connection *x = e[i].data.ptr;
			size_t replies = take_replies(x);
			answered += (int64_t)replies;
			if (sent < calls) {
				send_calls(x->fd, replies);
				sent += (int64_t)replies;
			}
		}
	}
	for (int i = 0; i < CONNECTIONS; i++)
		close(c[i].fd);
}
