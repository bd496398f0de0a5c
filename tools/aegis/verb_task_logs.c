/* SPDX-License-Identifier: AGPL-3.0-only */
#include "tools/aegis/verbs.h"
#include "tools/aegis/events.h"

static int run(struct cli *c)
{
	return events_verb(c, "/v1/executions/", "errors-only");
}

static const struct cli_option options[] = {
	{"follow", 'f', NULL, "Go on as events happen", NULL},
	{"errors-only", 0, NULL, "Only failures and denials", NULL},
	{"verbose", 0, NULL, "With all details, prompts and answers included", NULL},
	{NULL, 0, NULL, NULL, NULL},
};

const struct verb verb_task_logs = {
	.group = "task",
	.name = "logs",
	.arguments = "EXECUTION",
	.min_args = 1,
	.max_args = 1,
	.options = options,
	.summary = "Show the events of an execution",
	.help = "Shows what an execution did, in order. With --follow it goes on until the "
		"execution ends.",
	.examples = "aegis task logs 0b7c4f5e-3f1d-4a55-9d0c-0b5a1c1f2a33\n"
		    "aegis task logs 0b7c4f5e-3f1d-4a55-9d0c-0b5a1c1f2a33 -f --verbose",
	.run = run,
};
