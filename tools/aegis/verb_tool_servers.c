/* SPDX-License-Identifier: AGPL-3.0-only */
#include "tools/aegis/session.h"
#include "tools/aegis/verbs.h"

static const struct cli_column columns[] = {
	{"server", "name"},
	{"transport", "transport"},
	{"state", "state"},
	{"tools", "tools"},
	{"starts", "starts"},
	{"confined", "confined"},
	{"error", "error"},
	{NULL, NULL},
};

static int run(struct cli *c)
{
	struct session s;
	int code = session_open(&s, c);

	if (code == CLI_OK)
		code = session_show(&s, "/v1/tool-servers", columns);
	session_close(&s);
	return code;
}

const struct verb verb_tool_servers = {
	.group = "tool",
	.name = "servers",
	.arguments = "",
	.summary = "List the MCP tool servers and how they fare",
	.help = "Lists the servers of spec.mcp_servers: starting, ready, unhealthy (silent, and "
		"asked "
		"once more),\nbacking_off (down, and started again later), stopped, or failed (its "
		"configuration is at fault), with\nwhat ended it last. A program must stand in the "
		"runtime registry before it can be started; it is "
		"confined by a sandbox\nof its own, a server elsewhere is not.",
	.examples = "aegis tool servers\n"
		    "aegis tool servers --output json",
	.run = run,
};
