/* SPDX-License-Identifier: AGPL-3.0-only */
#include "tools/aegis/verbs.h"
#include "tools/aegis/session.h"

static int run(struct cli *c)
{
	return session_do(c, "POST", "/v1/agents/", "/pause", "paused");
}

const struct verb verb_agent_pause = {
	.group = "agent",
	.name = "pause",
	.arguments = "AGENT",
	.min_args = 1,
	.max_args = 1,
	.summary = "Keep an agent from starting anew",
	.help = "A paused agent accepts no executions; those that run go on.",
	.examples = "aegis agent pause hello-world",
	.run = run,
};
