/* SPDX-License-Identifier: AGPL-3.0-only */
#include "tools/aegis/verbs.h"
#include "tools/aegis/execute.h"

static int run(struct cli *c)
{
	return execute_agent(c,
		&(struct execute){
			.agent = c->args[0],
			.input = cli_value(c, "input"),
			.force = cli_value(c, "force"),
			.wait = cli_value(c, "wait"),
			.follow = cli_value(c, "follow"),
			.verbose = cli_value(c, "verbose"),
		});
}

static const struct cli_option options[] = {
	{"input", 'i', "INPUT", "JSON, @FILE with JSON, or a text", NULL},
	{"wait", 0, NULL, "Wait for the end", NULL},
	{"follow", 'f', NULL, "Print events as they happen", NULL},
	{"verbose", 0, NULL, "With all details, prompts and answers included", NULL},
	{"force", 0, NULL, "Deploy the file even if its version exists", NULL},
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
