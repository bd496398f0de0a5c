/* SPDX-License-Identifier: AGPL-3.0-only */
#include "tools/aegis/verbs.h"
#include "tools/aegis/session.h"

static int run(struct cli *c)
{
	return session_do(c, "DELETE", "/v1/executions/", "", "removed");
}

const struct verb verb_task_remove = {
	.group = "task",
	.name = "remove",
	.arguments = "EXECUTION",
	.min_args = 1,
	.max_args = 1,
	.summary = "Remove an execution that has ended",
	.help = "Removes the workspace, the snapshots and the record of an execution that has "
		"ended: it is\n"
		"listed no more. What it did stays on record, and its removal too: the audit "
		"journal takes\n"
		"nothing back (aegis-audit tail --execution EXECUTION).",
	.examples = "aegis task remove 0b7c4f5e-3f1d-4a55-9d0c-0b5a1c1f2a33",
	.run = run,
};
