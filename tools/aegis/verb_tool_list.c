/* SPDX-License-Identifier: AGPL-3.0-only */
#include "tools/aegis/session.h"
#include "tools/aegis/verbs.h"

static const struct cli_column columns[] = {
	{"tool", "name"},
	{"description", "description"},
	{NULL, NULL},
};

static int run(struct cli *c)
{
	struct session s;
	int code = session_open(&s, c);

	if (code == CLI_OK)
		code = session_show(&s, "/v1/tools", columns);
	session_close(&s);
	return code;
}

const struct verb verb_tool_list = {
	.group = "tool",
	.name = "list",
	.arguments = "",
	.summary = "List the tools of the node",
	.help = "Lists every tool that the node knows: the built-in ones, and those of its tool "
		"servers, "
		"which are\ncalled SERVER.TOOL. Who may call which is a matter of policy; --output "
		"json shows "
		"the schema of the\narguments too.",
	.examples = "aegis tool list\n"
		    "aegis tool list --output json",
	.run = run,
};
