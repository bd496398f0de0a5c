/* SPDX-License-Identifier: AGPL-3.0-only */
#include "tools/aegis/verbs.h"
#include "tools/aegis/session.h"

static int run(struct cli *c)
{
	return session_do(c, "DELETE", "/v1/agents/", "", "removed");
}

const struct verb verb_agent_remove = {
	.group = "agent",
	.name = "remove",
	.arguments = "AGENT",
	.min_args = 1,
	.max_args = 1,
	.summary = "Remove an agent",
	.help = "Removes an agent. Executions that run go on, and the records of past ones stay.",
	.examples = "aegis agent remove hello-world",
	.run = run,
};
