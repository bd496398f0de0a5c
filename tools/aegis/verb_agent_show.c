/* SPDX-License-Identifier: AGPL-3.0-only */
#include "tools/aegis/verbs.h"
#include "tools/aegis/session.h"

static void put_manifest(struct buf *b, const struct json *v)
{
	buf_putc(b, '\n');
	cli_put_safe(b, json_str(v, "manifest_yaml", SPAN("")), true);
	if (b->data[b->len - 1] != '\n')
		buf_putc(b, '\n');
}

static int run(struct cli *c)
{
	static const char *const members[] = {"name", "version", "status", "id", "description",
		"scope", "runtime", "created_at", "updated_at", NULL};
	return session_view(c, "/v1/agents/", members, put_manifest);
}

const struct verb verb_agent_show = {
	.group = "agent",
	.name = "show",
	.arguments = "AGENT",
	.min_args = 1,
	.max_args = 1,
	.summary = "Show an agent and its manifest",
	.help = "Shows an agent, named by name or id, and the manifest as it was deployed.",
	.examples = "aegis agent show hello-world\n"
		    "aegis agent show hello-world --output json",
	.run = run,
};
