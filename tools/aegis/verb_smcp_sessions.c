/* SPDX-License-Identifier: AGPL-3.0-only */
#include "tools/aegis/verbs.h"
#include "tools/aegis/session.h"

static const struct cli_column columns[] = {
	{"session", "session_id"},
	{"workload", "workload_id"},
	{"context", "security_context_name"},
	{"protocol", "protocol"},
	{"status", "session_status"},
	{"expires", "expires_at"},
	{NULL, NULL},
};

static int run(struct cli *c)
{
	struct session s;
	const char *path = cli_value(c, "all") ? "/v1/smcp/sessions?all=true" : "/v1/smcp/sessions";
	int code = session_open(&s, c);

	if (code == CLI_OK)
		code = session_show(&s, path, columns);
	session_close(&s);
	return code;
}

static const struct cli_option options[] = {
	{"all", 0, NULL, "Expired and revoked ones too", NULL},
	{NULL, 0, NULL, NULL, NULL},
};

const struct verb verb_smcp_sessions = {
	.group = "smcp",
	.name = "sessions",
	.arguments = "",
	.options = options,
	.summary = "List the sessions of callers that sign their tool calls",
	.help = "Lists the active sessions of SMCP and SEAL, the newest first: those of workloads "
		"in\n"
		"sandboxes, which are named by their execution, and those of clients from outside.",
	.examples = "aegis smcp sessions\n"
		    "aegis smcp sessions --all --output json",
	.run = run,
};
