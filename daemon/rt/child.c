/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Child processes. Between the spawn and the pidfd nobody else may reap the child: this program
 * waits for children by pidfd only, so the pid stays its own until child_wait.
 */
#include "daemon/rt/internal.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

/* Copies of stdio above 2, so that giving one descriptor its place cannot overwrite another that
 * still waits for its own. -1 where /dev/null goes. */
static int lift(const int stdio[3], int ret_fds[3])
{
	for (int i = 0; i < 3; i++) {
		if (stdio[i] < 0)
			continue;
		ret_fds[i] = fcntl(stdio[i], F_DUPFD_CLOEXEC, 3);
		if (ret_fds[i] < 0)
			return err_sys(-errno, "copy descriptor %d for a child", stdio[i]);
	}
	return 0;
}

static int file_actions(posix_spawn_file_actions_t *a, const int fds[3])
{
	int err = 0;
	for (int i = 0; i < 3 && err == 0; i++) {
		if (fds[i] >= 0)
			err = posix_spawn_file_actions_adddup2(a, fds[i], i);
		else
			err = posix_spawn_file_actions_addopen(
				a, i, "/dev/null", i == 0 ? O_RDONLY : O_WRONLY, 0);
	}
	return err ? err : posix_spawn_file_actions_addclosefrom_np(a, 3);
}

/* A child starts as if from a shell: no signal blocked or ignored because we do so. */
static int attributes(posix_spawnattr_t *attr)
{
	sigset_t none;
	sigset_t all;
	sigemptyset(&none);
	sigfillset(&all);
	int err = posix_spawnattr_setsigmask(attr, &none);
	if (err == 0)
		err = posix_spawnattr_setsigdefault(attr, &all);
	if (err == 0)
		err = posix_spawnattr_setflags(
			attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
	return err;
}

static int spawn(
	const char *path, char *const argv[], char *const envp[], const int fds[3], pid_t *ret)
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	int err = posix_spawn_file_actions_init(&actions);
	if (err)
		return -err;
	err = posix_spawnattr_init(&attr);
	if (err == 0) {
		err = file_actions(&actions, fds);
		if (err == 0)
			err = attributes(&attr);
		if (err == 0)
			err = posix_spawn(ret, path, &actions, &attr, argv, envp);
		posix_spawnattr_destroy(&attr);
	}
	posix_spawn_file_actions_destroy(&actions);
	return -err;
}

static void kill_and_reap(pid_t pid)
{
	kill(pid, SIGKILL);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		continue;
}

int child_spawn(const char *path, char *const argv[], char *const envp[], const int stdio[3],
	struct child *ret)
{
	int fds[3] = {-1, -1, -1};
	pid_t pid = -1;
	if (worker_current && worker_current->backend)
		return err_raise(-ENOSYS, "start %s: children are not simulated", path);
	int r = lift(stdio, fds);
	if (r == 0) {
		r = spawn(path, argv, envp, fds, &pid);
		if (r < 0)
			r = err_sys(r, "start %s", path);
	}
	for (int i = 0; i < 3; i++)
		if (fds[i] >= 0)
			close(fds[i]);
	if (r < 0)
		return r;
	int pidfd = pidfd_open(pid, 0);
	if (pidfd < 0) {
		r = err_sys(-errno, "open the pidfd of %s", path);
		kill_and_reap(pid);
		return r;
	}
	*ret = (struct child){.pidfd = pidfd, .pid = pid};
	return 0;
}

int child_wait(int pidfd, int *ret_code, int *ret_status, int64_t deadline_ns)
{
	int r = rt_poll(pidfd, POLLIN, deadline_ns);
	if (r < 0)
		return r;
	siginfo_t info = {0};
	if (waitid(P_PIDFD, (id_t)pidfd, &info, WEXITED | WNOHANG) < 0)
		return err_sys(-errno, "wait for a child");
	CHECK(info.si_pid != 0);
	*ret_code = info.si_code;
	*ret_status = info.si_status;
	return 0;
}
