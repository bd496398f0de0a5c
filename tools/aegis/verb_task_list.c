/* SPDX-License-Identifier: AGPL-3.0-only */
#include "tools/aegis/verbs.h"
#include "tools/aegis/names.h"

static const struct cli_column columns[] = {
	{"id", "id"},
	{"agent", "agent_name"},
	{"status", "status"},
	{"iteration", "current_iteration"},
	{"started", "started_at"},
	{"ended", "ended_at"},
	{NULL, NULL},
};

static int run(struct cli *c)
{
	struct session s;
	const struct json *v;
	struct buf path CLEANUP(buf_fini) = buf_init(LIMIT_PATH_BYTES);
	const char *agent =
		cli_value(c, "agent") ? cli_value(c, "agent") : cli_value(c, "agent-id");
	const char *status = cli_value(c, "status"), *limit = cli_value(c, "limit");
	if (cli_check_count(c, "limit", LIMIT_STORE_PAGE) != CLI_OK)
		return CLI_INVALID;
	buf_puts(&path, "/v1/executions?limit=");
	client_put_segment(&path, limit ? limit : "20");
	if (status)
		buf_printf(&path, "&status=%s", status);
	if (agent) {
		buf_puts(&path, "&agent_id=");
		client_put_segment(&path, agent);
	}
	int code = session_open(&s, c);
	if (code == CLI_OK)
		code = session_call(&s, "GET", buf_cstr(&path), NULL, SPAN(""), &v);
	if (code == CLI_NOT_FOUND && agent)
		names_nearest(&s, session_path(&s, "/v1/agents/", agent, ""));
	const struct json *items = code == CLI_OK ? json_get(v, "items") : NULL;
	if (code == CLI_OK && !items)
		code = cli_fail(CLI_INTERNAL, "%s answered with no list", client_door(s.client));
	if (code == CLI_OK)
		code = names_of_agents(&s, items, &v);
	if (code == CLI_OK)
		code = cli_print(c, v, columns);
	session_close(&s);
	return code;
}

static const struct cli_option options[] = {
	{"agent", 0, "AGENT", "Only of this agent, by name or id", NULL},
	{"agent-id", 0, "ID", "The same, by its older name", NULL},
	{"status", 0, "STATUS", "Only these", "pending running completed failed cancelled"},
	{"limit", 0, "N", "At most so many (20)", NULL},
	{NULL, 0, NULL, NULL, NULL},
};

const struct verb verb_task_list = {
	.group = "task",
	.name = "list",
	.arguments = "",
	.options = options,
	.summary = "List executions",
	.help = "Lists executions, the newest first.",
	.examples = "aegis task list\n"
		    "aegis task list --agent hello-world --status failed --limit 50",
	.run = run,
};
