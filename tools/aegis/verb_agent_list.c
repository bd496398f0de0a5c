/* SPDX-License-Identifier: AGPL-3.0-only */
#include "tools/aegis/verbs.h"
#include "tools/aegis/session.h"

static const struct cli_column columns[] = {
	{"name", "name"},
	{"version", "version"},
	{"status", "status"},
	{"id", "id"},
	{"updated", "updated_at"},
	{NULL, NULL},
};

static int run(struct cli *c)
{
	struct session s;
	const char *status = cli_value(c, "status"), *limit = cli_value(c, "limit");
	if (cli_check_count(c, "limit", LIMIT_STORE_PAGE) != CLI_OK)
		return CLI_INVALID;
	int code = session_open(&s, c);
	if (code == CLI_OK)
		code = session_show(&s,
			arena_printf(s.arena, "/v1/agents?limit=%s%s%s", limit ? limit : "100",
				status ? "&status=" : "", status ? status : ""),
			columns);
	session_close(&s);
	return code;
}

static const struct cli_option options[] = {
	{"status", 0, "STATUS", "Only these", "active paused archived failed"},
	{"limit", 0, "N", "At most so many (100)", NULL},
	{NULL, 0, NULL, NULL, NULL},
};

const struct verb verb_agent_list = {
	.group = "agent",
	.name = "list",
	.arguments = "",
	.options = options,
	.summary = "List agents",
	.help = "Lists the agents that are deployed; with --status archived also those that were "
		"removed.",
	.examples = "aegis agent list\n"
		    "aegis agent list --status paused\n"
		    "aegis agent list --output json",
	.run = run,
};
