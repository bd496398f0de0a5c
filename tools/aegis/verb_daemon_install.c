/* SPDX-License-Identifier: AGPL-3.0-only */
#include "tools/aegis/daemon_units.h"
#include "tools/aegis/verbs.h"
#include <stdio.h>
#include <unistd.h>

static int print_units(const struct daemon_plan *p)
{
	struct buf b CLEANUP(buf_fini) = buf_init(LIMIT_DOC_BYTES);
	for (const struct daemon_unit *u = daemon_units; u->name; u++) {
		buf_printf(&b, "# %s/%s\n", DAEMON_UNIT_FOLDER, u->name);
		int code = daemon_unit_write(p, u, &b);
		if (code)
			return code;
	}
	return cli_write(buf_view(&b));
}

static int install_units(const struct daemon_plan *p)
{
	for (const struct daemon_unit *u = daemon_units; u->name; u++) {
		struct buf b CLEANUP(buf_fini) = buf_init(LIMIT_DOC_BYTES);
		char path[256];
		snprintf(path, sizeof(path), "%s/%s", DAEMON_UNIT_FOLDER, u->name);
		int code = daemon_unit_write(p, u, &b);
		if (code)
			return code;
		int r = fd_replace_file(path, buf_view(&b), 0644);
		if (r < 0)
			return cli_fail_errno(r);
		printf("wrote %s\n", path);
	}
	return CLI_OK;
}

static int install(const struct cli *c, const struct daemon_plan *p)
{
	static const char *const reload[] = {"daemon-reload", NULL};
	static const char *const enable[] = {
		"enable", "aegis-helper.service", "aegisd.service", NULL};
	if (cli_value(c, "print"))
		return print_units(p);
	if (!daemon_has_systemd())
		return cli_fail(CLI_INVALID,
			"systemd does not run this machine; without it: aegis "
			"daemon start");
	if (geteuid() != 0)
		return cli_fail(
			CLI_DENIED, "system services are root's: sudo aegis daemon install");
	int code = install_units(p);
	if (code == CLI_OK)
		code = daemon_systemctl(reload);
	return code == CLI_OK ? daemon_systemctl(enable) : code;
}

static int run(struct cli *c)
{
	struct daemon_plan p;
	int code = daemon_plan_open(&p, c);
	if (code == CLI_OK)
		code = daemon_plan_range(&p, c);
	if (code == CLI_OK)
		code = install(c, &p);
	daemon_plan_close(&p);
	return code;
}

static const struct cli_option options[] = {
	{"print", 0, NULL, "Print the units, and install nothing", NULL},
	DAEMON_NETWORK_OPTION,
	DAEMON_OPTIONS,
	{NULL, 0, NULL, NULL, NULL},
};

const struct verb verb_daemon_install = {
	.group = "daemon",
	.name = "install",
	.arguments = "",
	.options = options,
	.summary = "Make the daemon a service of systemd",
	.help = "Writes aegis-helper.service and aegisd.service and enables them, so that they "
		"start\n"
		"with the machine. Sandboxes stand outside of both and survive the restart of "
		"either.",
	.examples = "sudo aegis daemon install --config /etc/aegis/config.yaml\n"
		    "aegis daemon install --print",
	.run = run,
};
