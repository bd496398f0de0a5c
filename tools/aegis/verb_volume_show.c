/* SPDX-License-Identifier: AGPL-3.0-only */
#include "tools/aegis/verbs.h"
#include "tools/aegis/session.h"

static int run(struct cli *c)
{
	static const char *const members[] = {"name", "id", "status", "storage_class",
		"execution_id", "attachments", "error", "created_at", "attached_at", "detached_at",
		"expires_at", NULL};
	return session_view(c, "/v1/volumes/", members, NULL);
}

const struct verb verb_volume_show = {
	.group = "volume",
	.name = "show",
	.arguments = "VOLUME",
	.min_args = 1,
	.max_args = 1,
	.summary = "Show a volume",
	.help = "Shows a volume, named by name or id: its state, the executions that have it "
		"(attachments), and\n"
		"the one that attached it last.",
	.examples = "aegis volume show models\n"
		    "aegis volume show models --output json",
	.run = run,
};
