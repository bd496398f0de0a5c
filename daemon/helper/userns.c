/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * A user namespace exists as soon as somebody is in it and lives as long as somebody holds it: a
 * child enters a new one, waits until its ids are mapped from outside, closes the door to further
 * namespaces from inside (the sysctls belong to the namespace of who writes), and leaves.
 *
 * Each sysctl that was opened in a namespace is an entry of its own in one hash chain of the
 * kernel, which every further open walks; so they are opened only where somebody will live.
 */
#include "daemon/helper/namespaces.h"
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *const sysctls[] = {
	"/proc/sys/user/max_user_namespaces",
	"/proc/sys/user/max_mnt_namespaces",
	"/proc/sys/user/max_pid_namespaces",
	"/proc/sys/user/max_net_namespaces",
	"/proc/sys/user/max_ipc_namespaces",
	"/proc/sys/user/max_uts_namespaces",
	"/proc/sys/user/max_cgroup_namespaces",
	"/proc/sys/user/max_time_namespaces",
};

/* In the child: the exit status is the errno that it met. */
static void close_the_door(int go, bool inhabited)
{
	char c;
	if (read(go, &c, 1) != 1)
		_exit(EPIPE);
	for (size_t i = 0; inhabited && i < ARRAY_LEN(sysctls); i++) {
		int fd = open(sysctls[i], O_WRONLY | O_CLOEXEC);
		if (fd < 0 || write(fd, "0", 1) != 1)
			_exit(errno ? errno : EIO);
		close(fd);
	}
	_exit(0);
}

static int write_proc(pid_t pid, const char *file, const char *text)
{
	char path[64];
	snprintf(path, sizeof(path), "/proc/%d/%s", pid, file);
	AUTO_FD fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return err_sys(-errno, "open %s", path);
	if (write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		return err_sys(-errno, "write \"%s\" to %s", text, path);
	return 0;
}

static int map_ids(pid_t pid, uid_t inside_uid, gid_t inside_gid, uid_t uid, gid_t gid)
{
	char map[64];
	snprintf(map, sizeof(map), "%u %u 1\n", inside_uid, uid);
	int r = write_proc(pid, "uid_map", map);
	if (r == 0)
		r = write_proc(pid, "setgroups", "deny");
	snprintf(map, sizeof(map), "%u %u 1\n", inside_gid, gid);
	if (r == 0)
		r = write_proc(pid, "gid_map", map);
	return err_trace(r);
}

static int finish(pid_t pid, int go, int r)
{
	int status;
	if (r == 0 && write(go, "g", 1) != 1)
		r = err_sys(-errno, "let the namespace's first process go");
	if (r < 0)
		kill(pid, SIGKILL);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (r == 0 && (!WIFEXITED(status) || WEXITSTATUS(status) != 0))
		r = err_sys(WIFEXITED(status) ? -WEXITSTATUS(status) : -EIO,
			"forbid further namespaces in a user namespace");
	return err_trace(r);
}

int userns_make(
	uid_t inside_uid, gid_t inside_gid, uid_t uid, gid_t gid, bool inhabited, int *ret_fd)
{
	int go[2];
	if (pipe2(go, O_CLOEXEC) < 0)
		return err_sys(-errno, "pipe");
	pid_t pid = (pid_t)syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, NULL, NULL, NULL, NULL);
	if (pid == 0) {
		close(go[1]);
		close_the_door(go[0], inhabited);
	}
	close(go[0]);
	if (pid < 0) {
		int r = err_sys(-errno,
			"make a user namespace (sysctl user.max_user_namespaces bounds them)");
		close(go[1]);
		return r;
	}
	char path[64];
	snprintf(path, sizeof(path), "/proc/%d/ns/user", pid);
	AUTO_FD ns = open(path, O_RDONLY | O_CLOEXEC);
	int r = ns < 0 ? err_sys(-errno, "open %s", path)
		       : map_ids(pid, inside_uid, inside_gid, uid, gid);
	r = finish(pid, go[1], r);
	close(go[1]);
	if (r < 0)
		return err_trace(r);
	*ret_fd = TAKE_FD(ns);
	return 0;
}
