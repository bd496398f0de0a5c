/* SPDX-License-Identifier: AGPL-3.0-only */
#include "tools/aegis/verbs.h"
#include "tools/aegis/session.h"

static int run(struct cli *c)
{
	return session_do(c, "DELETE", "/v1/volumes/", "", "deleted");
}

const struct verb verb_volume_delete = {
	.group = "volume",
	.name = "delete",
	.arguments = "VOLUME",
	.min_args = 1,
	.max_args = 1,
	.summary = "Delete a volume and all that is in it",
	.help = "Deletes a volume, named by name or id, with its files. One that is attached to an "
		"execution is\n"
		"kept, and the answer says to which.",
	.examples = "aegis volume delete models",
	.run = run,
};
