/* SPDX-License-Identifier: AGPL-3.0-only */
/* A command line of the test's own, for what ip(8) and nft(8) do best. */
#pragma once

#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

/* True if it ended with 0. */
static inline bool test_shell(const char *command)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		execl("/bin/sh", "sh", "-c", command, (char *)NULL);
		_exit(127);
	}
	return pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) &&
		WEXITSTATUS(status) == 0;
}
