/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * A child of the helper's that does what may wait for aegisd: the helper itself must not, because
 * aegisd may be dead, or be another one that first wants something of the helper. The child tells
 * how it went, with a descriptor if it has one, and is killed if it does not.
 */
#include "daemon/helper/transport.h"
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PATIENCE_MS = 10000, KEEP_MAX = 2 + HELPER_PLACES_MAX };

static int ascending(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

int files_child_begin(pid_t parent, int *keep, size_t count)
{
	unsigned from = 0;
	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0)
		return -errno;
	if (getppid() != parent)
		return -ESRCH;
	qsort(keep, count, sizeof(*keep), ascending);
	for (size_t i = 0; i < count; i++) {
		unsigned at = (unsigned)keep[i];
		if (keep[i] < 0)
			continue;
		if (at > from && syscall(SYS_close_range, from, at - 1, 0) < 0)
			return -errno;
		from = at + 1;
	}
	return syscall(SYS_close_range, from, ~0U, 0) < 0 ? -errno : 0;
}

/* What the child says; the descriptor comes along if the code is 0. */
struct outcome {
	int code;
	char message[ERR_MESSAGE_BYTES];
};

static void tell(int to, const struct outcome *o, int fd)
{
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = {0};
	struct iovec part = {(void *)(uintptr_t)o, sizeof(*o)};
	struct msghdr m = {.msg_iov = &part, .msg_iovlen = 1};
	if (fd >= 0) {
		m.msg_control = &control;
		m.msg_controllen = sizeof(control);
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		control.header.cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
	}
	(void)sendmsg(to, &m, MSG_NOSIGNAL);
}

static int hear(const char *what, int from, int *ret_fd)
{
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = {0};
	struct outcome o;
	struct iovec part = {&o, sizeof(o)};
	struct msghdr m = {.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control)};
	if (recvmsg(from, &m, MSG_CMSG_CLOEXEC | MSG_DONTWAIT) != (ssize_t)sizeof(o))
		return err_raise(-EIO, "the child that %s died", what);
	o.message[sizeof(o.message) - 1] = '\0';
	if (o.code < 0)
		return err_raise(o.code, "%s", o.message);
	*ret_fd = -1;
	if (m.msg_controllen > 0 && control.header.cmsg_type == SCM_RIGHTS)
		memcpy(ret_fd, CMSG_DATA(&control.header), sizeof(*ret_fd));
	return 0;
}

/* -ETIMEDOUT if the server does not answer, -ENOTCONN if it is gone. */
static int wait_for(int from, int hangup)
{
	struct pollfd p[] = {{from, POLLIN, 0}, {hangup, POLLRDHUP, 0}};
	int n;
	do
		n = poll(p, ARRAY_LEN(p), PATIENCE_MS);
	while (n < 0 && errno == EINTR);
	if (n > 0 && p[0].revents)
		return 0;
	if (n > 0)
		return err_raise(-ENOTCONN, "aegisd is gone, which was to serve the volume");
	return err_raise(-ETIMEDOUT, "the volume was not served within %d s", PATIENCE_MS / 1000);
}

int files_child_run(const char *what, files_job job, const void *arg, const int *keep,
	size_t keep_count, int hangup, int *ret_fd)
{
	int pair[2], all[KEEP_MAX];
	CHECK(keep_count < KEEP_MAX);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return err_sys(-errno, "socketpair");
	memcpy(all, keep, keep_count * sizeof(*keep));
	all[keep_count] = pair[1];
	pid_t parent = getpid();
	pid_t pid = fork();
	if (pid == 0) {
		struct outcome o = {.code = files_child_begin(parent, all, keep_count + 1)};
		int fd = -1;
		if (o.code == 0)
			o.code = job(arg, &fd);
		if (o.code < 0)
			snprintf(o.message, sizeof(o.message), "%s", err_message(o.code));
		tell(pair[1], &o, fd);
		_exit(0);
	}
	close(pair[1]);
	int r = pid < 0 ? err_sys(-errno, "fork") : wait_for(pair[0], hangup);
	if (r == 0)
		r = hear(what, pair[0], ret_fd);
	close(pair[0]);
	if (pid > 0) {
		(void)kill(pid, SIGKILL);
		while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
			;
	}
	return err_trace(r);
}
