/* SPDX-License-Identifier: AGPL-3.0-only */
#include "tools/aegis/verbs.h"
#include "tools/aegis/execute.h"

static int run(struct cli *c)
{
	return execute_verb(c, true);
}

static const struct cli_option options[] = {
	EXECUTE_OPTIONS,
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
