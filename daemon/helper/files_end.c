/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * How a mount ends. One child writes back what is dirty: it may wait for the server as long as that
 * takes. Where no server will come, another child stands in for it and answers every call with
 * NFS3ERR_STALE, upon which the kernel drops what it could not write, processes that wait for it
 * can die, and nothing keeps the mount or its namespace.
 *
 * The tombstone reads what comes from the kernel's own client, and of that only a record's mark and
 * the transaction's number; it holds no capability, and no descriptor but its listener.
 */
#include "daemon/helper/transport.h"
#include <arpa/inet.h>
#include <errno.h>
#include <linux/capability.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
	CONNECTIONS = 8,
	KILL_MS = 2000,
	NFS3_STALE = 70,
	LAST_FRAGMENT = 1U << 31,
};

/* ---- children ---- */

static int child_start(pid_t pid, int *ret_pidfd)
{
	int fd = pid < 0 ? -1 : (int)syscall(SYS_pidfd_open, pid, 0);
	if (fd >= 0) {
		*ret_pidfd = fd;
		return 0;
	}
	int r = err_sys(-errno, "make a child");
	if (pid > 0) {
		(void)kill(pid, SIGKILL);
		(void)waitpid(pid, NULL, 0);
	}
	return r;
}

bool files_child_ended(int *pidfd, int timeout_ms)
{
	siginfo_t info = {0};
	struct pollfd p = {*pidfd, POLLIN, 0};
	if (poll(&p, 1, timeout_ms) <= 0)
		return false;
	(void)waitid(P_PIDFD, (id_t)*pidfd, &info, WEXITED | WNOHANG);
	fd_cleanup(pidfd);
	return true;
}

void files_child_kill(int *pidfd)
{
	if (*pidfd < 0)
		return;
	(void)syscall(SYS_pidfd_send_signal, *pidfd, SIGKILL, NULL, 0);
	/* One that waits for a server in the kernel dies when that is over, not now. */
	if (!files_child_ended(pidfd, KILL_MS))
		fd_cleanup(pidfd);
}

int files_flush_start(int *trees, size_t count, int *ret_pidfd)
{
	pid_t parent = getpid();
	pid_t pid = fork();
	if (pid == 0) {
		bool alone = files_child_begin(parent, trees, count) == 0;
		for (size_t i = 0; i < count; i++) {
			if (alone && trees[i] >= 0)
				(void)syncfs(trees[i]);
			/* The last one to let go waits for the client to be taken down. */
			fd_cleanup(&trees[i]);
		}
		_exit(0);
	}
	int r = child_start(pid, ret_pidfd);
	for (size_t i = 0; r == 0 && i < count; i++)
		fd_cleanup(&trees[i]);
	return err_trace(r);
}

/* ---- the tombstone ---- */

/* A connection: where in a record it stands. */
struct peer {
	int fd; /* -1: free */
	uint8_t head[8]; /* mark and xid */
	size_t head_bytes;
	size_t rest; /* bytes of the fragment to be passed over */
	bool middle; /* the fragment is not a record's first */
	bool last;
};

static bool answer(const struct peer *p)
{
	/* Mark, xid, reply, accepted, no verifier, success; then the status, and "no attributes" as
	 * often as any procedure's failure wants it. */
	uint32_t words[12] = {htonl(LAST_FRAGMENT | (uint32_t)(sizeof(words) - 4))};
	memcpy(&words[1], p->head + 4, 4);
	words[2] = htonl(1);
	words[7] = htonl(NFS3_STALE);
	return send(p->fd, words, sizeof(words), MSG_NOSIGNAL | MSG_DONTWAIT) ==
		(ssize_t)sizeof(words);
}

/* Takes bytes into the head; true when that is whole. */
static bool take_head(struct peer *p, const uint8_t **at, const uint8_t *end)
{
	size_t want = p->middle ? 4 : 8;
	while (p->head_bytes < want && *at < end)
		p->head[p->head_bytes++] = *(*at)++;
	return p->head_bytes == want;
}

static bool take(struct peer *p, const uint8_t *at, size_t n)
{
	const uint8_t *end = at + n;
	while (at < end) {
		if (p->rest == 0) {
			uint32_t mark;
			if (!take_head(p, &at, end))
				return true;
			memcpy(&mark, p->head, 4);
			size_t bytes = ntohl(mark) & ~LAST_FRAGMENT;
			p->last = ntohl(mark) & LAST_FRAGMENT;
			if (!p->middle && bytes < 4)
				return false;
			p->rest = bytes - (p->middle ? 0 : 4);
		}
		size_t pass = MIN(p->rest, (size_t)(end - at));
		at += pass;
		p->rest -= pass;
		if (p->rest > 0)
			continue;
		if (p->last && !answer(p))
			return false;
		p->middle = !p->last;
		p->head_bytes = 0;
	}
	return true;
}

static void serve(struct peer *p)
{
	uint8_t bytes[4096];
	ssize_t n = recv(p->fd, bytes, sizeof(bytes), MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0 || !take(p, bytes, (size_t)n))
		fd_cleanup(&p->fd);
}

static void receive(int listener, struct peer *peers)
{
	AUTO_FD fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	for (size_t i = 0; fd >= 0 && i < CONNECTIONS; i++) {
		if (peers[i].fd < 0)
			peers[i] = (struct peer){.fd = TAKE_FD(fd)};
	}
}

static void drop_capabilities(void)
{
	struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct data[2] = {0};
	if (syscall(SYS_capset, &header, data) < 0)
		_exit(1);
}

static __attribute__((noreturn)) void tombstone(pid_t parent, int listener)
{
	struct peer peers[CONNECTIONS];
	struct pollfd p[CONNECTIONS + 1];
	if (files_child_begin(parent, &listener, 1) < 0)
		_exit(1);
	drop_capabilities();
	for (size_t i = 0; i < CONNECTIONS; i++)
		peers[i].fd = -1;
	for (;;) {
		for (size_t i = 0; i < CONNECTIONS; i++)
			p[i] = (struct pollfd){peers[i].fd, POLLIN, 0};
		p[CONNECTIONS] = (struct pollfd){listener, POLLIN, 0};
		if (poll(p, ARRAY_LEN(p), -1) < 0 && errno != EINTR)
			_exit(1);
		for (size_t i = 0; i < CONNECTIONS; i++) {
			if (peers[i].fd >= 0 && p[i].revents)
				serve(&peers[i]);
		}
		if (p[CONNECTIONS].revents)
			receive(listener, peers);
	}
}

int files_tombstone_start(const struct transport *t, int *ret_pidfd)
{
	pid_t parent = getpid();
	pid_t pid = fork();
	if (pid == 0)
		tombstone(parent, t->listener);
	return err_trace(child_start(pid, ret_pidfd));
}
