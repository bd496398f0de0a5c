/* SPDX-License-Identifier: AGPL-3.0-only */
#include "tools/aegis/verbs.h"

static int run(struct cli *c)
{
	if (c->format == CLI_TEXT || c->format == CLI_TABLE)
		return cli_write(SPAN("aegis " AEGIS_VERSION "\n"));
	return cli_print_text(
		c, SPAN("{\"name\":\"aegis\",\"version\":\"" AEGIS_VERSION "\"}"), NULL);
}

const struct verb verb_version = {
	.name = "version",
	.arguments = "",
	.summary = "Print the version of this program",
	.help = "Prints the version of the command line, which is that of the daemon it comes "
		"with.",
	.examples = "aegis version\naegis version --output json",
	.run = run,
};
