/* SPDX-License-Identifier: AGPL-3.0-only */
#include "tools/aegis/daemon_plan.h"
#include "tools/aegis/verbs.h"
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { SLACK_MS = 10000 };

/* Asks it to end and waits; CLI_NOT_FOUND if it does not run. */
static int stop_one(const struct daemon_plan *p, enum daemon_name which)
{
	char path[1200];
	int pidfd = -1;
	pid_t pid = daemon_running(p, which, &pidfd);
	if (!pid)
		return CLI_NOT_FOUND;
	if (syscall(SYS_pidfd_send_signal, pidfd, SIGTERM, NULL, 0) < 0) {
		int code = cli_fail(errno == EPERM ? CLI_DENIED : CLI_INTERNAL, "%s (%d): %s",
			daemon_names[which], pid, strerror(errno));
		close(pidfd);
		return code;
	}
	struct pollfd end = {.fd = pidfd, .events = POLLIN};
	int ready = poll(&end, 1, (int)(p->grace_ms + SLACK_MS));
	close(pidfd);
	if (ready != 1)
		return cli_fail(CLI_INTERNAL, "%s (%d) does not end", daemon_names[which], pid);
	daemon_pid_path(p, which, path, sizeof(path));
	unlink(path);
	printf("%s stopped (%d)\n", daemon_names[which], pid);
	return CLI_OK;
}

static int stop_both(const struct daemon_plan *p)
{
	int aegisd = stop_one(p, DAEMON_AEGISD);
	if (aegisd != CLI_OK && aegisd != CLI_NOT_FOUND)
		return aegisd;
	int helper = stop_one(p, DAEMON_HELPER);
	if (helper != CLI_OK && helper != CLI_NOT_FOUND)
		return helper;
	return aegisd == CLI_NOT_FOUND && helper == CLI_NOT_FOUND
		? cli_fail(CLI_NOT_FOUND, "neither aegisd nor aegis-helper runs")
		: CLI_OK;
}

static int stop(const struct cli *c, const struct daemon_plan *p)
{
	static const char *const units[] = {"stop", "aegisd.service", "aegis-helper.service", NULL};
	bool by_systemd = daemon_has_systemd() && daemon_unit_installed() &&
		!daemon_running(p, DAEMON_AEGISD, NULL);
	int code = by_systemd ? daemon_systemctl(units) : stop_both(p);
	bool all = cli_value(c, "all");
	/* Sandboxes may be there when neither process is. */
	if (code == CLI_OK || (all && code == CLI_NOT_FOUND)) {
		int killed = all ? daemon_kill_sandboxes() : CLI_OK;
		daemon_forget_sandboxes();
		return killed ? killed : code;
	}
	return code;
}

static int run(struct cli *c)
{
	struct daemon_plan p;
	int code = daemon_plan_open(&p, c);
	if (code == CLI_OK)
		code = stop(c, &p);
	daemon_plan_close(&p);
	return code;
}

static const struct cli_option options[] = {
	{"all", 0, NULL, "Kill the sandboxes too", NULL},
	DAEMON_OPTIONS,
	{NULL, 0, NULL, NULL, NULL},
};

const struct verb verb_daemon_stop = {
	.group = "daemon",
	.name = "stop",
	.arguments = "",
	.options = options,
	.summary = "Stop the daemon",
	.help = "Stops aegisd, and then aegis-helper. Sandboxes go on, and the next start takes "
		"them up;\n"
		"with --all they are killed.",
	.examples = "sudo aegis daemon stop\nsudo aegis daemon stop --all",
	.run = run,
};
