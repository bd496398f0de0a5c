/* SPDX-License-Identifier: AGPL-3.0-only */
#include "tools/aegis/verbs.h"
#include "tools/aegis/session.h"

static int run(struct cli *c)
{
	return session_do(c, "POST", "/v1/executions/",
		cli_value(c, "force") ? "/cancel?force=true" : "/cancel", "cancelled");
}

static const struct cli_option options[] = {
	{"force", 0, NULL, "Kill it at once", NULL},
	{NULL, 0, NULL, NULL, NULL},
};

const struct verb verb_task_cancel = {
	.group = "task",
	.name = "cancel",
	.arguments = "EXECUTION",
	.min_args = 1,
	.max_args = 1,
	.options = options,
	.summary = "Cancel an execution",
	.help = "Cancels an execution: its agent is asked to stop, and killed if it does not. With "
		"--force it is\n"
		"killed at once.",
	.examples = "aegis task cancel 0b7c4f5e-3f1d-4a55-9d0c-0b5a1c1f2a33\n"
		    "aegis task cancel 0b7c4f5e-3f1d-4a55-9d0c-0b5a1c1f2a33 --force",
	.run = run,
};
