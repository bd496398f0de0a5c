/* SPDX-License-Identifier: AGPL-3.0-only */
#include "tools/aegis/verbs.h"
#include "tools/aegis/session.h"

static int run(struct cli *c)
{
	return session_do(c, "POST", "/v1/agents/", "/resume", "resumed");
}

const struct verb verb_agent_resume = {
	.group = "agent",
	.name = "resume",
	.arguments = "AGENT",
	.min_args = 1,
	.max_args = 1,
	.summary = "Let a paused agent start again",
	.help = "Ends a pause.",
	.examples = "aegis agent resume hello-world",
	.run = run,
};
