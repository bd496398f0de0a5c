/* SPDX-License-Identifier: AGPL-3.0-only */
#include "tools/aegis/daemon_units.h"
#include "tools/aegis/verbs.h"
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

static int run(struct cli *c)
{
	static const char *const disable[] = {
		"disable", "--now", "aegisd.service", "aegis-helper.service", NULL};
	static const char *const reload[] = {"daemon-reload", NULL};
	if (!daemon_unit_installed())
		return cli_fail(CLI_NOT_FOUND, "no service is installed");
	if (geteuid() != 0)
		return cli_fail(
			CLI_DENIED, "system services are root's: sudo aegis daemon uninstall");
	int code = daemon_has_systemd() ? daemon_systemctl(disable) : CLI_OK;
	for (const struct daemon_unit *u = daemon_units; code == CLI_OK && u->name; u++) {
		char path[256];
		snprintf(path, sizeof(path), "%s/%s", DAEMON_UNIT_FOLDER, u->name);
		if (unlink(path) < 0 && errno != ENOENT)
			code = cli_fail(CLI_INTERNAL, "%s: %s", path, strerror(errno));
		else
			printf("removed %s\n", path);
	}
	daemon_forget_sandboxes();
	return code == CLI_OK && daemon_has_systemd() ? daemon_systemctl(reload) : code;
}

const struct verb verb_daemon_uninstall = {
	.group = "daemon",
	.name = "uninstall",
	.arguments = "",
	.summary = "Remove the service",
	.help = "Stops and disables the services and removes their units. Data and sandboxes stay.",
	.examples = "sudo aegis daemon uninstall",
	.run = run,
};
