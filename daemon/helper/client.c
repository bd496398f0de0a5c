/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * aegisd's end of the connection: one fiber reads packets and wakes whoever waits for them; any
 * number of fibers send requests, told apart by their number. A waiter that gives up (deadline,
 * cancellation) leaves nothing behind: a reply that nobody waits for is dropped, with its
 * descriptors closed.
 */
#include "daemon/helper/client.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum {
	EVENTS_MAX = 64,
	REPLY_BYTES_MAX = sizeof(struct wire_reply) + WIRE_LIST_MAX * sizeof(struct wire_sandbox),
};

struct helper {
	int fd;
	int lost; /* negative errno once the connection is of no more use */
	uint64_t last_request;
	struct list waiters;
	struct group reader;
	struct helper_info info;
	struct waitq event_waiters;
	struct helper_event events[EVENTS_MAX];
	size_t event_first;
	size_t event_count;
	char *packet; /* REPLY_BYTES_MAX bytes */
};

struct waiter {
	struct list link;
	struct waitq done;
	uint64_t request;
	bool answered;
	struct client_reply *reply;
	char message[WIRE_MESSAGE_BYTES];
};

void client_reply_close(struct client_reply *y)
{
	for (int i = 0; i < WIRE_FDS_MAX; i++)
		fd_cleanup(&y->fds[i]);
	y->fd_count = 0;
}

/* ---- receiving ---- */

static void take_descriptors(struct msghdr *m, int ret_fds[WIRE_FDS_MAX], int *ret_count)
{
	*ret_count = 0;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < n; i++) {
			int fd;
			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
			if (*ret_count < WIRE_FDS_MAX)
				ret_fds[(*ret_count)++] = fd;
			else
				close(fd);
		}
	}
}

static void take_event(struct helper *h, const struct wire_event *e)
{
	if (h->event_count == EVENTS_MAX) {
		h->event_first = (h->event_first + 1) % EVENTS_MAX;
		h->event_count--;
	}
	h->events[(h->event_first + h->event_count++) % EVENTS_MAX] =
		(struct helper_event){HELPER_EVENT_SANDBOX_ENDED, wire_sandbox_out(&e->sandbox)};
	waitq_wake_all(&h->event_waiters);
}

static struct waiter *waiter_of(struct helper *h, uint64_t request)
{
	list_for_each (node, &h->waiters) {
		struct waiter *w = list_entry(node, struct waiter, link);
		if (w->request == request && !w->answered)
			return w;
	}
	return NULL;
}

static void take_reply(
	struct helper *h, const struct wire_reply *r, size_t bytes, int fds[], int fd_count)
{
	struct waiter *w = waiter_of(h, r->header.request);
	size_t payload = bytes - sizeof(*r);
	if (!w || payload > w->reply->payload_max) {
		for (int i = 0; i < fd_count; i++)
			close(fds[i]);
		if (!w)
			return;
		payload = 0;
		w->reply->code = -EPROTO;
	} else {
		w->reply->code = r->code;
		w->reply->fd_count = fd_count;
		memcpy(w->reply->fds, fds, (size_t)fd_count * sizeof(int));
	}
	w->reply->count = r->count;
	w->reply->payload_bytes = payload;
	if (payload > 0)
		memcpy(w->reply->payload, r + 1, payload);
	snprintf(w->message, sizeof(w->message), "%.*s", (int)sizeof(r->message) - 1, r->message);
	w->answered = true;
	waitq_wake_all(&w->done);
}

static int take_packet(struct helper *h, size_t bytes, int fds[], int fd_count)
{
	const struct wire_header *p = (const struct wire_header *)(void *)h->packet;
	bool sane = bytes >= sizeof(*p) && p->magic == WIRE_MAGIC && p->version == WIRE_VERSION &&
		p->bytes == bytes;
	if (sane && (p->type & WIRE_REPLY) && bytes >= sizeof(struct wire_reply)) {
		take_reply(h, (const struct wire_reply *)(const void *)p, bytes, fds, fd_count);
		return 0;
	}
	for (int i = 0; i < fd_count; i++)
		close(fds[i]);
	if (sane && p->type == (WIRE_EVENT | HELPER_EVENT_SANDBOX_ENDED) &&
		bytes == sizeof(struct wire_event)) {
		take_event(h, (const struct wire_event *)(const void *)p);
		return 0;
	}
	return err_raise(
		-EPROTO, "the helper sent a packet of %zu bytes that means nothing", bytes);
}

static void lose(struct helper *h, int why)
{
	h->lost = why;
	list_for_each (node, &h->waiters)
		waitq_wake_all(&list_entry(node, struct waiter, link)->done);
	waitq_wake_all(&h->event_waiters);
}

static AWAITS void read_packets(void *arg)
{
	struct helper *h = arg;
	int r = 0;
	while (r == 0) {
		union {
			struct cmsghdr header;
			char bytes[CMSG_SPACE(WIRE_FDS_MAX * sizeof(int))];
		} control;
		struct iovec part = {h->packet, REPLY_BYTES_MAX};
		struct msghdr m = {.msg_iov = &part,
			.msg_iovlen = 1,
			.msg_control = &control,
			.msg_controllen = sizeof(control)};
		ssize_t n = rt_recvmsg(h->fd, &m, MSG_CMSG_CLOEXEC, DEADLINE_NONE);
		if (n == -EINTR)
			continue;
		if (n <= 0) {
			r = n < 0 ? (int)n : -ENOTCONN;
			break;
		}
		int fds[WIRE_FDS_MAX], fd_count;
		take_descriptors(&m, fds, &fd_count);
		r = take_packet(h, (size_t)n, fds, fd_count);
		if (r < 0)
			err_log(r, "helper");
	}
	err_clear();
	lose(h, r);
}

/* ---- calling ---- */

static AWAITS int await_reply(struct helper *h, struct waiter *w, int64_t deadline_ns)
{
	int r = 0;
	while (r == 0 && !w->answered && h->lost == 0)
		r = waitq_wait(&w->done, deadline_ns);
	if (w->answered)
		return 0;
	return r < 0 ? r : -ENOTCONN;
}

AWAITS int client_call(struct helper *h, enum wire_type type, struct wire_header *request,
	size_t bytes, struct span tail, struct client_reply *y, int64_t deadline_ns)
{
	struct waiter w = {.request = ++h->last_request, .reply = y};
	*request = (struct wire_header){
		WIRE_MAGIC, WIRE_VERSION, (uint16_t)type, (uint32_t)(bytes + tail.n), 0, w.request};
	struct iovec parts[] = {{request, bytes}, {(void *)(uintptr_t)tail.p, tail.n}};
	const struct msghdr m = {.msg_iov = parts, .msg_iovlen = ARRAY_LEN(parts)};
	if (h->lost)
		return err_raise(-ENOTCONN, "the helper is away");
	waitq_init(&w.done);
	list_push_back(&h->waiters, &w.link);
	ssize_t n = rt_sendmsg(h->fd, &m, MSG_NOSIGNAL, deadline_ns);
	int r = n < 0 ? (int)n : await_reply(h, &w, deadline_ns);
	list_remove(&w.link);
	if (r == -EPIPE || r == -ECONNRESET || r == -ENOTCONN)
		return err_raise(-ENOTCONN, "the helper is away");
	if (r < 0)
		return r;
	if (y->code < 0) {
		client_reply_close(y);
		return err_raise(y->code, "helper: %s", w.message);
	}
	return y->code;
}

static AWAITS int greet(struct helper *h, int64_t deadline_ns)
{
	struct wire_plain w;
	struct wire_info info;
	struct client_reply y = {
		.payload = &info, .payload_max = sizeof(info), .fds = {-1, -1, -1}};
	int r = client_call(h, WIRE_HELLO, &w.header, sizeof(w), span_of(NULL, 0), &y, deadline_ns);
	if (r < 0)
		return r;
	if (y.payload_bytes != sizeof(info))
		return err_raise(-EPROTO, "the helper greets with %zu bytes", y.payload_bytes);
	h->info = (struct helper_info){
		.instance = info.instance,
		.cgroup_mode = (enum helper_cgroup_mode)info.cgroup_mode,
		.landlock_abi = (int)info.landlock_abi,
		.sandboxes_max = info.sandboxes_max,
		.network_pool = info.network_pool,
	};
	return 0;
}

/* The helper's socket belongs to us, but what listens behind it must be root. */
static AWAITS int open_socket(const char *path, int *ret_fd, int64_t deadline_ns)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	struct ucred peer;
	socklen_t n = sizeof(peer);
	if (strlen(path) >= sizeof(a.sun_path))
		return err_raise(-EINVAL, "%s: a path of at most %zu bytes is accepted", path,
			sizeof(a.sun_path) - 1);
	memcpy(a.sun_path, path, strlen(path));
	AUTO_FD fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return err_sys(-errno, "socket");
	int r = rt_connect(fd, (const struct sockaddr *)&a, sizeof(a), deadline_ns);
	if (r < 0 && r != -ECANCELED && r != -ETIME)
		return err_sys(r, "connect to the helper at %s", path);
	if (r < 0)
		return r;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &n) < 0 || peer.uid != 0)
		return err_raise(-EACCES, "%s is not served by root: this is not the helper", path);
	*ret_fd = TAKE_FD(fd);
	return 0;
}

AWAITS int helper_connect(const char *socket_path, struct helper **ret, int64_t deadline_ns)
{
	struct helper *h = calloc(1, sizeof(*h));
	if (!h)
		return err_raise(-ENOMEM, "no memory for the helper's connection");
	h->fd = -1;
	list_init(&h->waiters);
	group_init(&h->reader);
	waitq_init(&h->event_waiters);
	h->packet = malloc(REPLY_BYTES_MAX);
	int r = h->packet ? open_socket(socket_path, &h->fd, deadline_ns)
			  : err_raise(-ENOMEM, "no memory for the helper's connection");
	if (r == 0)
		r = group_spawn(&h->reader, "helper", FIBER_SMALL, read_packets, h);
	if (r == 0)
		r = greet(h, deadline_ns);
	if (r < 0) {
		helper_close(h);
		return err_trace(r);
	}
	*ret = h;
	return 0;
}

AWAITS struct helper *helper_close(struct helper *h)
{
	if (!h)
		return NULL;
	group_close(&h->reader);
	CHECK(list_empty(&h->waiters));
	rt_close(h->fd);
	free(h->packet);
	free(h);
	return NULL;
}

const struct helper_info *helper_info(const struct helper *h)
{
	return &h->info;
}

AWAITS int helper_event_next(struct helper *h, struct helper_event *ret, int64_t deadline_ns)
{
	while (h->event_count == 0) {
		if (h->lost)
			return err_raise(-ENOTCONN, "the helper is away");
		int r = waitq_wait(&h->event_waiters, deadline_ns);
		if (r < 0)
			return r;
	}
	*ret = h->events[h->event_first];
	h->event_first = (h->event_first + 1) % EVENTS_MAX;
	h->event_count--;
	return 0;
}
