/* SPDX-License-Identifier: AGPL-3.0-only */
#include "tools/aegis/verbs.h"
#include "tools/aegis/events.h"

static int run(struct cli *c)
{
	return events_verb(c, "/v1/agents/", "errors");
}

static const struct cli_option options[] = {
	{"follow", 'f', NULL, "Go on as events happen", NULL},
	{"errors", 0, NULL, "Only failures and denials", NULL},
	{"verbose", 0, NULL, "With all details, prompts and answers included", NULL},
	{NULL, 0, NULL, NULL, NULL},
};

const struct verb verb_agent_logs = {
	.group = "agent",
	.name = "logs",
	.arguments = "AGENT",
	.min_args = 1,
	.max_args = 1,
	.options = options,
	.summary = "Show the events of an agent",
	.help = "Shows what the executions of an agent did, in order. With --follow it goes on "
		"until it is\n"
		"interrupted.",
	.examples = "aegis agent logs hello-world\n"
		    "aegis agent logs hello-world --follow --errors\n"
		    "aegis agent logs hello-world --output json | jq .message",
	.run = run,
};
