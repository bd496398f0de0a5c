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
			.wait = true,
			.follow = cli_value(c, "follow"),
			.verbose = cli_value(c, "verbose"),
		});
}

static const struct cli_option options[] = {
	{"input", 'i', "INPUT", "JSON, @FILE with JSON, or a text", NULL},
	{"follow", 'f', NULL, "Print events as they happen", NULL},
	{"verbose", 0, NULL, "With all details, prompts and answers included", NULL},
	{"force", 0, NULL, "Deploy the file even if its version exists", NULL},
	{NULL, 0, NULL, NULL, NULL},
};

const struct verb verb_agent_run = {
	.group = "agent",
	.name = "run",
	.arguments = "AGENT",
	.min_args = 1,
	.max_args = 1,
	.options = options,
	.summary = "Run an agent and wait for its result",
	.help = "Starts an execution of an agent (a name, an id, or the file of a manifest, which "
		"is deployed\n"
		"first), waits for its end, and prints its output. With --follow its events are "
		"printed as they\n"
		"happen. The exit code is 0 only if it completed.",
	.examples = "aegis agent run hello-world --input 'Write a primality check'\n"
		    "aegis agent run ./agent.yaml --input '{\"n\": 7}' --follow\n"
		    "aegis agent run reviewer --input @diff.json --output json",
	.run = run,
};
