/* SPDX-License-Identifier: AGPL-3.0-only */
#include "tools/aegis/verbs.h"
#include "tools/aegis/session.h"

static const struct cli_column columns[] = {
	{"name", "name"},
	{"id", "id"},
	{"status", "status"},
	{"class", "storage_class"},
	{"used", "used_bytes"},
	{"limit", "size_limit_bytes"},
	{"execution", "execution_id"},
	{NULL, NULL},
};

static int run(struct cli *c)
{
	struct session s;
	int code = session_open(&s, c);

	if (code == CLI_OK)
		code = session_show(&s, "/v1/volumes", columns);
	session_close(&s);
	return code;
}

const struct verb verb_volume_list = {
	.group = "volume",
	.name = "list",
	.arguments = "",
	.summary = "List volumes",
	.help = "Lists the volumes, the newest first, with the bytes that they use, their limit (0 "
		"is none) and\n"
		"the execution that attached them last.",
	.examples = "aegis volume list\n"
		    "aegis volume list --output json",
	.run = run,
};
