/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The plain awaits on descriptors: one submission each. Everything about waiting is in ring.c.
 */
#include "daemon/rt/backend.h"
#include "daemon/rt/sanitize.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

/* One operation moves at most this much; callers loop anyway. */
static unsigned op_len(size_t n)
{
	return n > INT32_MAX ? (unsigned)INT32_MAX : (unsigned)n;
}

ssize_t rt_read(int fd, void *p, size_t n, int64_t offset, int64_t deadline_ns)
{
	struct io_uring_sqe sqe = {0};
	io_uring_prep_read(&sqe, fd, p, op_len(n), (uint64_t)offset);
	int r = op_await(&sqe, "read", deadline_ns);
	sanitize_filled(p, r);
	return r;
}

ssize_t rt_write(int fd, const void *p, size_t n, int64_t offset, int64_t deadline_ns)
{
	struct io_uring_sqe sqe = {0};
	io_uring_prep_write(&sqe, fd, p, op_len(n), (uint64_t)offset);
	return op_await(&sqe, "write", deadline_ns);
}

ssize_t rt_recv(int fd, void *p, size_t n, int flags, int64_t deadline_ns)
{
	struct io_uring_sqe sqe = {0};
	io_uring_prep_recv(&sqe, fd, p, op_len(n), flags);
	int r = op_await(&sqe, "recv", deadline_ns);
	sanitize_filled(p, r);
	return r;
}

ssize_t rt_send(int fd, const void *p, size_t n, int flags, int64_t deadline_ns)
{
	struct io_uring_sqe sqe = {0};
	io_uring_prep_send(&sqe, fd, p, op_len(n), flags | MSG_NOSIGNAL);
	return op_await(&sqe, "send", deadline_ns);
}

int rt_send_all(int fd, const void *p, size_t n, int64_t deadline_ns)
{
	const char *at = p;
	while (n > 0) {
		ssize_t r = rt_send(fd, at, n, MSG_WAITALL, deadline_ns);
		if (r < 0)
			return (int)r;
		at += r;
		n -= (size_t)r;
	}
	return 0;
}

ssize_t rt_sendmsg(int fd, const struct msghdr *m, int flags, int64_t deadline_ns)
{
	struct io_uring_sqe sqe = {0};
	io_uring_prep_sendmsg(&sqe, fd, m, (unsigned)flags | MSG_NOSIGNAL);
	return op_await(&sqe, "sendmsg", deadline_ns);
}

ssize_t rt_recvmsg(int fd, struct msghdr *m, int flags, int64_t deadline_ns)
{
	struct io_uring_sqe sqe = {0};
	io_uring_prep_recvmsg(&sqe, fd, m, (unsigned)flags);
	return op_await(&sqe, "recvmsg", deadline_ns);
}

int rt_accept(int fd, int64_t deadline_ns)
{
	struct io_uring_sqe sqe = {0};
	io_uring_prep_accept(&sqe, fd, NULL, NULL, SOCK_CLOEXEC);
	return op_await(&sqe, "accept", deadline_ns);
}

int rt_connect(int fd, const struct sockaddr *addr, socklen_t len, int64_t deadline_ns)
{
	struct io_uring_sqe sqe = {0};
	io_uring_prep_connect(&sqe, fd, addr, len);
	return op_await(&sqe, "connect", deadline_ns);
}

int rt_openat(int dirfd, const char *path, int flags, mode_t mode, int64_t deadline_ns)
{
	struct io_uring_sqe sqe = {0};
	io_uring_prep_openat(&sqe, dirfd, path, flags | O_CLOEXEC, mode);
	return op_await(&sqe, "openat", deadline_ns);
}

int rt_fsync(int fd, bool data_only, int64_t deadline_ns)
{
	struct io_uring_sqe sqe = {0};
	io_uring_prep_fsync(&sqe, fd, data_only ? IORING_FSYNC_DATASYNC : 0);
	return op_await(&sqe, "fsync", deadline_ns);
}

int rt_poll(int fd, short events, int64_t deadline_ns)
{
	struct io_uring_sqe sqe = {0};
	io_uring_prep_poll_add(&sqe, fd, (unsigned short)events);
	return op_await(&sqe, "poll", deadline_ns);
}

void rt_shutdown(int fd, int how)
{
	struct worker *w = worker_current;
	if (w && w->backend)
		w->backend->shutdown(w, fd, how);
	else
		(void)shutdown(fd, how); /* a peer that is gone needs no telling */
}

void rt_close(int fd)
{
	struct worker *w = worker_current;
	if (fd < 0)
		return;
	if (!w) {
		close(fd);
		return;
	}
	/* By the ring: closing the last reference to a file may have to wait for its disk. */
	struct io_uring_sqe sqe = {0};
	io_uring_prep_close(&sqe, fd);
	ring_submit(w, &sqe, NULL);
}
