/* SPDX-License-Identifier: AGPL-3.0-only */
/* For cases about CHECK: runs fn(arg) in a child and says whether it aborted, and what it wrote. */
#pragma once

#include "daemon/base/base.h"
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static inline bool dies(void (*fn)(void *arg), void *arg, struct buf *ret_stderr)
{
	int fd = memfd_create("stderr", MFD_CLOEXEC);
	CHECK(fd >= 0);
	pid_t pid = fork();
	CHECK(pid >= 0);
	if (pid == 0) {
		struct rlimit none = {0, 0};
		setrlimit(RLIMIT_CORE, &none);
		dup2(fd, STDERR_FILENO);
		signal(SIGABRT, SIG_DFL); /* cmocka's would report a failed case */
		fn(arg);
		_exit(0);
	}
	int status;
	CHECK(waitpid(pid, &status, 0) == pid);
	if (ret_stderr) {
		off_t size = lseek(fd, 0, SEEK_END);
		void *room = buf_reserve(ret_stderr, (size_t)size);
		CHECK(room && pread(fd, room, (size_t)size, 0) == size);
		buf_commit(ret_stderr, (size_t)size);
	}
	close(fd);
	return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}
