/* SPDX-License-Identifier: AGPL-3.0-only */
#include "tests/bench/smcp/load.h"
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ANSWER_BYTES = 256 * 1024, DEPTH_MAX = 64, EVENTS = 64 };

struct connection {
	int fd;
	char *in;
	size_t have;
	struct span out; /* what is left of the request being sent */
	int under_way;
	int64_t due_ns[DEPTH_MAX]; /* of those under way, a ring */
	unsigned first, last;
};

struct load {
	const struct load_requests *r;
	size_t next;
	struct load_result *ret;
};

static void die(const char *what)
{
	perror(what);
	_exit(1);
}

static int connect_to(uint16_t port, bool blocking)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
	int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0)
		die("connect");
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (!blocking && fcntl(fd, F_SETFL, O_NONBLOCK) < 0)
		die("fcntl");
	return fd;
}

/* Length of the answer at the front, 0 while it is not complete. */
static size_t answer_length(struct span s, int *ret_status, struct span *ret_body)
{
	ssize_t end = span_find(s, SPAN("\r\n\r\n"), 0);
	uint64_t length = 0, status = 0;

	if (end < 0)
		return 0;
	struct span head = span_sub(s, 0, (size_t)end);
	ssize_t at = span_find(head, SPAN("Content-Length: "), 0);
	CHECK(at > 0);
	struct span value = span_sub(head, (size_t)at + 16, head.n);
	ssize_t stop = span_find_byte(value, '\r', 0);
	CHECK(span_to_u64(stop < 0 ? value : span_sub(value, 0, (size_t)stop), &length) == 0);
	CHECK(span_to_u64(span_sub(head, 9, 12), &status) == 0);
	size_t whole = (size_t)end + 4 + length;
	if (s.n < whole)
		return 0;
	*ret_status = (int)status;
	*ret_body = span_sub(s, (size_t)end + 4, whole);
	return whole;
}

struct span load_ask(uint16_t port, struct span request, struct arena *a)
{
	int fd = connect_to(port, true), status;
	char *in = malloc(ANSWER_BYTES);
	struct span body;
	size_t have = 0;

	if (fd_write_all(fd, request) < 0)
		die("write");
	while (answer_length(span_of(in, have), &status, &body) == 0) {
		ssize_t n = read(fd, in + have, ANSWER_BYTES - have);
		if (n <= 0)
			die("read");
		have += (size_t)n;
	}
	body = arena_span(a, body);
	close(fd);
	free(in);
	return body;
}

/* ---- one connection ---- */

static void give(struct load *l, struct connection *c, int64_t due_ns)
{
	c->out = l->r->items[l->next++];
	c->due_ns[c->last++ % DEPTH_MAX] = due_ns;
	c->under_way++;
}

/* False when the socket takes no more. */
static bool push(struct connection *c)
{
	while (c->out.n) {
		ssize_t n = send(c->fd, c->out.p, c->out.n, MSG_NOSIGNAL);
		if (n < 0 && errno == EAGAIN)
			return false;
		if (n < 0)
			die("send");
		c->out = span_sub(c->out, (size_t)n, c->out.n);
	}
	return true;
}

static void fill(struct load *l, struct connection *c, int depth)
{
	while (push(c) && c->under_way < depth && l->next < l->r->count)
		give(l, c, clock_mono_ns());
}

static void take(struct load *l, struct connection *c)
{
	size_t used = 0, length;
	struct span body;
	int status;
	ssize_t n = recv(c->fd, c->in + c->have, ANSWER_BYTES - c->have, 0);

	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0)
		die("the server closed a connection");
	c->have += (size_t)n;
	int64_t now_ns = clock_mono_ns();
	while ((length = answer_length(span_of(c->in + used, c->have - used), &status, &body)) >
		0) {
		used += length;
		c->under_way--;
		l->ret->latencies_ns[l->ret->latency_count++] =
			now_ns - c->due_ns[c->first++ % DEPTH_MAX];
		++*(status == 200 ? &l->ret->good : &l->ret->bad);
		if (status != 200 && l->ret->bad == 1)
			fprintf(stderr, "%d " SPAN_FMT "\n", status, SPAN_ARG(body));
	}
	memmove(c->in, c->in + used, c->have - used);
	c->have -= used;
}

/* ---- all of them ---- */

static struct connection *open_all(uint16_t port, int connections, int ep)
{
	struct connection *c = calloc((size_t)connections, sizeof(*c));

	for (int i = 0; i < connections; i++) {
		struct epoll_event e = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = &c[i]};
		c[i].fd = connect_to(port, false);
		c[i].in = malloc(ANSWER_BYTES);
		if (epoll_ctl(ep, EPOLL_CTL_ADD, c[i].fd, &e) < 0)
			die("epoll_ctl");
	}
	return c;
}

static void close_all(struct connection *c, int connections, int ep)
{
	for (int i = 0; i < connections; i++) {
		close(c[i].fd);
		free(c[i].in);
	}
	free(c);
	close(ep);
}

static int compare(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
	return x < y ? -1 : x > y;
}

static struct load begin(const struct load_requests *r, struct load_result *ret)
{
	*ret = (struct load_result){.latencies_ns = calloc(r->count, sizeof(int64_t))};
	return (struct load){.r = r, .ret = ret};
}

static void end(struct load *l, int64_t began_ns)
{
	l->ret->wall_ns = clock_mono_ns() - began_ns;
	qsort(l->ret->latencies_ns, l->ret->latency_count, sizeof(int64_t), compare);
}

void load_closed(uint16_t port, const struct load_requests *r, int connections, int depth,
	struct load_result *ret)
{
	struct load l = begin(r, ret);
	int ep = epoll_create1(EPOLL_CLOEXEC);
	struct connection *c = open_all(port, connections, ep);
	int64_t began_ns = clock_mono_ns();

	while (ret->latency_count < r->count) {
		struct epoll_event e[EVENTS];
		int n = epoll_wait(ep, e, EVENTS, 1000);
		for (int i = 0; i < n; i++) {
			struct connection *x = e[i].data.ptr;
			take(&l, x);
			fill(&l, x, depth);
		}
	}
	end(&l, began_ns);
	close_all(c, connections, ep);
}

/* A free connection takes what is due; if there is none, the request waits and that counts. */
static void give_due(
	struct load *l, struct connection *c, int connections, int64_t began_ns, double per_second)
{
	int64_t now_ns = clock_mono_ns();

	for (int i = 0; i < connections && l->next < l->r->count; i++) {
		int64_t due_ns = began_ns + (int64_t)((double)l->next * 1e9 / per_second);
		if (due_ns > now_ns)
			return;
		if (c[i].under_way == 0) {
			give(l, &c[i], due_ns);
			push(&c[i]);
		}
	}
}

void load_paced(uint16_t port, const struct load_requests *r, int connections, double per_second,
	struct load_result *ret)
{
	struct load l = begin(r, ret);
	int ep = epoll_create1(EPOLL_CLOEXEC);
	struct connection *c = open_all(port, connections, ep);
	int64_t began_ns = clock_mono_ns();

	while (ret->latency_count < r->count) {
		struct epoll_event e[EVENTS];
		struct timespec pause = {.tv_nsec = 50 * 1000};
		int n = epoll_pwait2(ep, e, EVENTS, &pause, NULL);
		for (int i = 0; i < n; i++) {
			push(e[i].data.ptr);
			take(&l, e[i].data.ptr);
		}
		give_due(&l, c, connections, began_ns, per_second);
	}
	end(&l, began_ns);
	close_all(c, connections, ep);
}
