/* SPDX-License-Identifier: AGPL-3.0-only */
/* The program `aegis`: its tables, and what the environment says. */
#include "tools/aegis/verbs.h"
#include <stdlib.h>

static const char exit_codes[] = "  0   success\n"
				 "  1   not found\n"
				 "  2   invalid input: manifest, configuration, usage\n"
				 "  3   permission denied\n"
				 "  4   conflict, as a name that exists already\n"
				 "  5   the daemon cannot be reached\n"
				 "  10  internal error\n";

static const struct cli_program aegis = {
	.name = "aegis",
	.title = "Runs AI agents that nobody has to trust",
	.purpose = "run AI agents that nobody has to trust",
	.exit_codes = exit_codes,
	.verbs = verbs,
	.groups = cli_groups,
	.globals = cli_globals,
	.if_version = &verb_version,
	.if_daemon = &verb_daemon_start,
};

static const char *environment(const char *name)
{
	const char *value = getenv(name);
	return value && *value ? value : NULL;
}

int main(int argc, char **argv)
{
	struct cli cli = {
		.host = environment("AEGIS_HOST"),
		.port = environment("AEGIS_PORT"),
		.log_level = environment("AEGIS_LOG_LEVEL"),
	};

	return cli_run(&aegis, &cli, argc, argv);
}
