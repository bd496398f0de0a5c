/* SPDX-License-Identifier: AGPL-3.0-only */
#include "tools/aegis/verbs.h"
#include "tools/aegis/execute.h"

static int run(struct cli *c)
{
	return execute_verb(c, cli_value(c, "wait"));
}

static const struct cli_option options[] = {
	EXECUTE_OPTIONS,
	{"wait", 0, NULL, "Wait for the end", NULL},
	{NULL, 0, NULL, NULL, NULL},
};

const struct verb verb_task_execute = {
	.group = "task",
	.name = "execute",
	.arguments = "AGENT",
	.min_args = 1,
	.max_args = 1,
	.options = options,
	.summary = "Start an execution",
	.help = "Starts an execution of an agent (a name, an id, or the file of a manifest, which "
		"is deployed\n"
		"first) and prints its id. With --wait it waits for the end and prints the output, "
		"with --follow\n"
		"also the events as they happen.",
	.examples = "aegis task execute hello-world --input '{\"task\": \"Write a primality "
		    "check.\"}'\n"
		    "aegis task execute ./agent.yaml --follow",
	.run = run,
};
