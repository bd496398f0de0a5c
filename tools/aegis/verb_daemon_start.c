/* SPDX-License-Identifier: AGPL-3.0-only */
#include "tools/aegis/verbs.h"
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* aegisd beside this program, or else in PATH. */
static void find_daemon(char *path, size_t size)
{
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	if (n > 0) {
		self[n] = '\0';
		char *slash = strrchr(self, '/');
		if (slash)
			*slash = '\0';
		int length = snprintf(path, size, "%s/aegisd", self);
		if (length > 0 && (size_t)length < size && access(path, X_OK) == 0)
			return;
	}
	snprintf(path, size, "aegisd");
}

static int run(struct cli *c)
{
	char program[PATH_MAX + 16];
	find_daemon(program, sizeof(program));
	char *argv[8] = {program};
	int n = 1;
	if (c->config) {
		argv[n++] = "--config";
		argv[n++] = (char *)c->config;
	}
	/* The daemon reads the same variables. */
	if (c->log_level)
		setenv("AEGIS_LOG_LEVEL", c->log_level, 1);
	if (c->port)
		setenv("AEGIS_PORT", c->port, 1);
	argv[n] = NULL;
	execvp(program, argv);
	return cli_fail(errno == ENOENT ? CLI_NOT_FOUND : CLI_INTERNAL, "%s cannot be started: %s",
		program, strerror(errno));
}

const struct verb verb_daemon_start = {
	.group = "daemon",
	.name = "start",
	.arguments = "",
	.summary = "Run the daemon in the foreground",
	.help = "Becomes aegisd, the one beside this program or else the one in PATH, and stays "
		"in\n"
		"the foreground. `aegis --daemon` does the same.",
	.examples = "aegis daemon start\naegis daemon start --config /etc/aegis/config.yaml",
	.run = run,
};
