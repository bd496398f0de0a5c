/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The NFS mount of a volume. The options are those of one node that both writes and watches:
 *
 *	hard			no error reaches an agent because the daemon was restarted
 *	nolock			the server has no NLM; locks are the sandbox's own kernel's
 *	actimeo=0		what a file tool has changed, the next look sees: every use asks the
 *	lookupcache=none	server, which is on this machine
 *
 * Without the last two, 1,000 alternations between the mount and the file tools find stale files
 * and names (tests/vm/mount).
 */
#include "daemon/helper/transport.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PATIENCE_MS = 10000 };

#define TEXT_OF(x) TEXT(x)
#define TEXT(x) #x

static const struct {
	const char *name, *value; /* NULL: a flag */
} options[] = {
	{"vers", "3"},
	{"proto", "tcp"},
	{"mountproto", "tcp"},
	{"addr", "127.0.0.1"},
	{"mountaddr", "127.0.0.1"},
	{"port", TEXT_OF(TRANSPORT_PORT)},
	{"mountport", TEXT_OF(TRANSPORT_PORT)},
	{"hard", NULL},
	{"nolock", NULL},
	{"actimeo", "0"},
	{"lookupcache", "none"},
};

int files_child_begin(const int *keep, size_t count)
{
	unsigned from = 0;
	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0)
		return -errno;
	for (size_t i = 0; i < count; i++) {
		unsigned at = (unsigned)keep[i];
		if (at > from && syscall(SYS_close_range, from, at - 1, 0) < 0)
			return -errno;
		from = at + 1;
	}
	return syscall(SYS_close_range, from, ~0U, 0) < 0 ? -errno : 0;
}

/* What the child says; the mount comes along if the code is 0. */
struct outcome {
	int code;
	char message[ERR_MESSAGE_BYTES];
};

/* What the kernel has to say about a mount that it refuses; "" if nothing. */
static void kernel_words(int fs, char *ret, size_t bytes)
{
	ssize_t n = read(fs, ret, bytes - 1);
	ret[n > 0 ? n : 0] = '\0';
}

static int configure(int fs, const char *source)
{
	if (syscall(SYS_fsconfig, fs, FSCONFIG_SET_STRING, "source", source, 0) < 0)
		return err_sys(-errno, "name the export %s", source);
	for (size_t i = 0; i < ARRAY_LEN(options); i++) {
		unsigned kind = options[i].value ? FSCONFIG_SET_STRING : FSCONFIG_SET_FLAG;
		if (syscall(SYS_fsconfig, fs, kind, options[i].name, options[i].value, 0) < 0)
			return err_sys(-errno, "set the mount option %s", options[i].name);
	}
	return 0;
}

static int mount_export(const struct transport *t, const struct files_export *e, int *ret)
{
	char source[128], volume[UUID_TEXT_BYTES], words[160];
	uuid_text(e->volume, volume);
	snprintf(source, sizeof(source), "127.0.0.1:/%s/%s", e->tenant, volume);
	/* The client keeps the network namespace in which fsopen is called. */
	if (setns(t->netns, CLONE_NEWNET) < 0)
		return err_sys(-errno, "enter a transport namespace");
	int fs = (int)syscall(SYS_fsopen, "nfs", FSOPEN_CLOEXEC);
	if (fs < 0 && errno == ENODEV)
		return err_raise(-EOPNOTSUPP,
			"this kernel has no NFS client, so file operations cannot be mediated: "
			"load the module nfs, or use a kernel with CONFIG_NFS_FS and "
			"CONFIG_NFS_V3");
	if (fs < 0)
		return err_sys(-errno, "open the file system nfs");
	int r = configure(fs, source);
	if (r < 0)
		return err_trace(r);
	if (syscall(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0) {
		r = -errno;
		kernel_words(fs, words, sizeof(words));
		return err_sys(r, "mount %s %s", source, words);
	}
	unsigned attributes =
		MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | (e->read_only ? MOUNT_ATTR_RDONLY : 0);
	*ret = (int)syscall(SYS_fsmount, fs, FSMOUNT_CLOEXEC, attributes);
	return *ret < 0 ? err_sys(-errno, "take the mount of %s", source) : 0;
}

static void tell(int to, const struct outcome *o, int tree)
{
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = {0};
	struct iovec part = {(void *)(uintptr_t)o, sizeof(*o)};
	struct msghdr m = {.msg_iov = &part, .msg_iovlen = 1};
	if (tree >= 0) {
		m.msg_control = &control;
		m.msg_controllen = sizeof(control);
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		control.header.cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(&control.header), &tree, sizeof(tree));
	}
	(void)sendmsg(to, &m, MSG_NOSIGNAL);
}

static __attribute__((noreturn)) void mount_in_child(
	const struct transport *t, const struct files_export *e, int to)
{
	struct outcome o = {0};
	int tree = -1;
	const int keep[] = {MIN(t->netns, to), MAX(t->netns, to)};
	o.code = files_child_begin(keep, ARRAY_LEN(keep));
	if (o.code == 0)
		o.code = mount_export(t, e, &tree);
	if (o.code < 0)
		snprintf(o.message, sizeof(o.message), "%s", err_message(o.code));
	tell(to, &o, tree);
	_exit(0);
}

static int hear(int from, int *ret_tree)
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
		return err_raise(-EIO, "the child that mounts a volume died");
	o.message[sizeof(o.message) - 1] = '\0';
	if (o.code < 0)
		return err_raise(o.code, "%s", o.message);
	if (control.header.cmsg_type != SCM_RIGHTS)
		return err_raise(-EIO, "the child that mounts a volume sent no mount");
	memcpy(ret_tree, CMSG_DATA(&control.header), sizeof(*ret_tree));
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

int files_mount(const struct transport *t, const struct files_export *e, int hangup, int *ret_tree)
{
	int pair[2];
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return err_sys(-errno, "socketpair");
	pid_t pid = fork();
	if (pid == 0)
		mount_in_child(t, e, pair[1]);
	close(pair[1]);
	int r = pid < 0 ? err_sys(-errno, "fork") : wait_for(pair[0], hangup);
	if (r == 0)
		r = hear(pair[0], ret_tree);
	close(pair[0]);
	if (pid > 0) {
		(void)kill(pid, SIGKILL);
		while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
			;
	}
	return err_trace(r);
}
