/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The loop. It waits for aegisd's requests, for the end of sandboxes, and for signals; when there
 * is nothing to do it fills its pools. aegisd is one process: one connection at a time, from its
 * uid only. A packet that breaks a rule ends the connection, and is logged; sandboxes live on.
 */
#include "daemon/helper/monitor.h"
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

enum {
	IDLE_MS = 2, /* so long without a request, and the pools are filled */
	UNFINISHED_MS = 20, /* how often what could not be finished is tried again */
	UNNEEDED_MS = 1000, /* so long without a sandbox, and what hangs for them is taken down */
	UNSERVED_MS = 200, /* how often sandboxes that wait for a server are looked at */
	SEND_TIMEOUT_S = 2, /* an aegisd that does not read its replies for so long is cut off */
};

/* Who an event is for: one of these, or the id of a sandbox. */
enum { WHO_LISTENER = 1, WHO_SIGNALS, WHO_CLIENT };

static int watch_fd(int epoll, int fd, uint64_t who)
{
	struct epoll_event e = {.events = EPOLLIN, .data.u64 = who};
	if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &e) < 0)
		return err_sys(-errno, "watch a descriptor");
	return 0;
}

static void drop_client(struct monitor *m, const char *why)
{
	log_info("aegisd is disconnected: %s", why);
	fd_cleanup(&m->client);
	m->greeted = false;
	m->client_gone = true;
}

static void send_packet(
	struct monitor *m, const struct iovec *parts, int count, const int *fds, int fd_count)
{
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(WIRE_FDS_MAX * sizeof(int))];
	} control = {0};
	struct msghdr h = {
		.msg_iov = (struct iovec *)(uintptr_t)parts, .msg_iovlen = (size_t)count};
	if (fd_count > 0) {
		h.msg_control = &control;
		h.msg_controllen = CMSG_SPACE((size_t)fd_count * sizeof(int));
		struct cmsghdr *c = CMSG_FIRSTHDR(&h);
		CHECK(c);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN((size_t)fd_count * sizeof(int));
		memcpy(CMSG_DATA(c), fds, (size_t)fd_count * sizeof(int));
	}
	ssize_t n;
	do
		n = sendmsg(m->client, &h, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		drop_client(m, errno == EAGAIN ? "it does not read" : "it is gone");
}

static void send_reply(struct monitor *m, const struct wire_header *request, struct reply *y)
{
	struct wire_reply w = {
		.header = *request,
		.code = y->code,
		.count = y->count,
	};
	w.header.type = (uint16_t)(request->type | WIRE_REPLY);
	w.header.bytes = (uint32_t)(sizeof(w) + y->payload_bytes);
	if (y->code < 0)
		snprintf(w.message, sizeof(w.message), "%s", err_message(y->code));
	const struct iovec parts[] = {
		{&w, sizeof(w)},
		{(void *)(uintptr_t)y->payload, y->payload_bytes},
	};
	send_packet(m, parts, ARRAY_LEN(parts), y->fds, y->fd_count);
}

static void answer(struct monitor *m, const struct wire_rule *rule)
{
	const struct wire_header *h = (const struct wire_header *)(void *)m->packet;
	struct reply y = {.fds = {-1, -1, -1}};
	y.code = monitor_handler_of(h->type)(m, m->packet, &y);
	if (y.code < 0)
		log_info("%s: %s", rule->name, err_message(y.code));
	send_reply(m, h, &y);
	for (int i = 0; i < y.fd_count; i++) {
		if (y.own & (1U << i))
			close(y.fds[i]);
	}
	err_clear();
}

/* Closes what came along; a request has no descriptors. */
static int refuse_descriptors(struct msghdr *h)
{
	int count = 0;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(h); c; c = CMSG_NXTHDR(h, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < n; i++, count++) {
			int fd;
			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
			close(fd);
		}
	}
	/* More than fits was closed by the kernel. */
	return h->msg_flags & MSG_CTRUNC ? count + 1 : count;
}

static void read_request(struct monitor *m)
{
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(8 * sizeof(int))];
	} control;
	struct iovec part = {m->packet, WIRE_PACKET_MAX + 1};
	struct msghdr h = {.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control)};
	ssize_t n = recvmsg(m->client, &h, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	int fds = n > 0 ? refuse_descriptors(&h) : 0;
	if (n <= 0) {
		drop_client(m, n == 0 ? "it closed the connection" : "it is gone");
		return;
	}
	const struct wire_rule *rule;
	int r = h.msg_flags & MSG_TRUNC
		? err_raise(-EPROTO, "a packet of more than %d bytes", WIRE_PACKET_MAX)
		: wire_check(m->packet, (size_t)n, fds, m->greeted, &rule);
	if (r < 0) {
		log_warn("a request breaks the rules: %s", err_message(r));
		err_clear();
		drop_client(m, "it broke the rules");
		return;
	}
	answer(m, rule);
}

static void accept_client(struct monitor *m)
{
	AUTO_FD fd = accept4(m->listener, NULL, NULL, SOCK_CLOEXEC);
	struct ucred peer;
	socklen_t n = sizeof(peer);
	const struct timeval timeout = {SEND_TIMEOUT_S, 0};
	if (fd < 0 || getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &n) < 0)
		return;
	if (peer.uid != m->host.options.uid) {
		log_warn("a connection of uid %u, pid %d, is refused: aegisd is uid %u", peer.uid,
			peer.pid, m->host.options.uid);
		return;
	}
	if (m->client >= 0) {
		log_warn("a second connection, of pid %d, is refused", peer.pid);
		return;
	}
	if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout)) < 0 ||
		watch_fd(m->epoll, fd, WHO_CLIENT) < 0)
		return;
	log_info("aegisd is connected: pid %d", peer.pid);
	m->client = TAKE_FD(fd);
	m->greeted = false;
}

static int watch_sandbox(void *arg, const struct sandbox *s)
{
	struct monitor *m = arg;
	return err_trace(watch_fd(m->epoll, s->pidfd, s->mark.id));
}

static void unwatch_sandbox(void *arg, const struct sandbox *s)
{
	struct monitor *m = arg;
	(void)epoll_ctl(m->epoll, EPOLL_CTL_DEL, s->pidfd, NULL);
}

static void sandbox_has_ended(void *arg, struct sandbox *s)
{
	struct monitor *m = arg;
	const struct helper_sandbox v = sandbox_view(&m->sandboxes, s);
	struct wire_event e = {
		.header = {WIRE_MAGIC, WIRE_VERSION, WIRE_EVENT | HELPER_EVENT_SANDBOX_ENDED,
			sizeof(e), 0, 0},
		.sandbox = wire_sandbox_in(&v),
	};
	log_info("sandbox %s has ended: %s %d", s->name,
		v.end == HELPER_END_EXITED           ? "exit status"
			: v.end == HELPER_END_KILLED ? "signal"
						     : "unknown",
		v.end_status);
	if (m->client < 0 || !m->greeted)
		return;
	const struct iovec part = {&e, sizeof(e)};
	send_packet(m, &part, 1, NULL, 0);
}

static void take_signal(struct monitor *m)
{
	struct signalfd_siginfo info;
	if (read(m->signals, &info, sizeof(info)) == (ssize_t)sizeof(info))
		m->stop = true;
}

static void take_event(struct monitor *m, uint64_t who)
{
	struct sandbox *s;
	if (who == WHO_LISTENER)
		accept_client(m);
	else if (who == WHO_SIGNALS)
		take_signal(m);
	else if (who == WHO_CLIENT)
		read_request(m);
	else if ((s = sandbox_by_id(&m->sandboxes, who)))
		sandbox_gone(&m->sandboxes, s);
}

/* Appears under its name when it is ready: aegisd may try to connect at any moment. */
static int open_listener(struct monitor *m)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	char name[sizeof(a.sun_path)];
	snprintf(name, sizeof(name), "%s/helper.sock", m->host.options.run_dir);
	snprintf(a.sun_path, sizeof(a.sun_path), "%s/new.sock", m->host.options.run_dir);
	m->listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (m->listener < 0)
		return err_sys(-errno, "socket");
	unlink(a.sun_path);
	if (bind(m->listener, (const struct sockaddr *)&a, sizeof(a)) < 0)
		return err_sys(-errno, "bind %s", a.sun_path);
	if (chown(a.sun_path, m->host.options.uid, m->host.options.gid) < 0 ||
		chmod(a.sun_path, 0600) < 0 || listen(m->listener, 8) < 0 ||
		rename(a.sun_path, name) < 0)
		return err_sys(-errno, "listen on %s", name);
	return err_trace(watch_fd(m->epoll, m->listener, WHO_LISTENER));
}

static int open_signals(struct monitor *m)
{
	sigset_t set;
	/* What whoever started us ignores would be ignored in every sandbox. */
	for (int signo = 1; signo < SIGRTMIN; signo++)
		signal(signo, SIG_DFL);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	m->signals = signalfd(-1, &set, SFD_CLOEXEC);
	if (m->signals < 0)
		return err_sys(-errno, "signalfd");
	return err_trace(watch_fd(m->epoll, m->signals, WHO_SIGNALS));
}

/* Of the sandboxes that are prepared before the first was asked for. */
static const struct wire_limits first_limits = {
	.memory_bytes = 512U << 20,
	.tmp_bytes = 64U << 20,
	.file_bytes = 1U << 30,
	.cpu_millis = 1000,
	.pids = 128,
	.open_files = 1024,
};

int monitor_open(struct monitor *m, const struct host_options *o)
{
	*m = (struct monitor){.epoll = -1, .listener = -1, .signals = -1, .client = -1};
	sandbox_set_init(&m->sandboxes, &m->host);
	int r = host_open(&m->host, o);
	if (r < 0)
		return err_trace(r);
	m->sandboxes.wanted_limits = first_limits;
	m->sandboxes.watch = watch_sandbox;
	m->sandboxes.unwatch = unwatch_sandbox;
	m->sandboxes.ended = sandbox_has_ended;
	m->sandboxes.arg = m;
	m->packet = malloc(WIRE_PACKET_MAX + 1);
	m->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (!m->packet || m->epoll < 0)
		r = err_raise(-ENOMEM, "no memory for a loop");
	if (r == 0)
		r = open_signals(m);
	if (r == 0)
		r = open_listener(m);
	if (r == 0)
		r = sandbox_adopt_all(&m->sandboxes);
	if (r < 0)
		monitor_close(m);
	return err_trace(r);
}

/* Nothing has happened for a moment: makes one thing that somebody will soon want. */
static bool refill(struct monitor *m)
{
	return netpool_refill_one(&m->host.net) || sandbox_seat_refill_one(&m->sandboxes) ||
		sandbox_pool_refill_one(&m->sandboxes);
}

int monitor_run(struct monitor *m)
{
	struct epoll_event event;
	bool filled = false;
	while (!m->stop) {
		int timeout = !filled             ? IDLE_MS
			: m->sandboxes.unfinished ? UNFINISHED_MS
			: m->sandboxes.unserved   ? UNSERVED_MS
			: m->sandboxes.unneeded   ? UNNEEDED_MS
						  : -1;
		int n = epoll_wait(m->epoll, &event, 1, timeout);
		if (n < 0 && errno != EINTR)
			return err_sys(-errno, "epoll_wait");
		if (n > 0)
			take_event(m, event.data.u64);
		else if (timeout == UNNEEDED_MS)
			sandbox_set_rest(&m->sandboxes);
		if (m->client_gone) {
			m->client_gone = false;
			sandbox_client_gone(&m->sandboxes);
		}
		if (m->sandboxes.unserved)
			sandbox_files_watch(&m->sandboxes);
		sandbox_set_tick(&m->sandboxes);
		filled = n == 0 ? !refill(m) : false;
	}
	return 0;
}

void monitor_close(struct monitor *m)
{
	sandbox_set_fini(&m->sandboxes);
	fd_cleanup(&m->client);
	fd_cleanup(&m->listener);
	fd_cleanup(&m->signals);
	fd_cleanup(&m->epoll);
	free(m->packet);
	m->packet = NULL;
	host_close(&m->host);
}
