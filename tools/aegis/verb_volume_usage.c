/* SPDX-License-Identifier: AGPL-3.0-only */
#include "tools/aegis/verbs.h"
#include "tools/aegis/session.h"

static int run(struct cli *c)
{
	static const struct cli_column columns[] = {
		{"used_bytes", "used_bytes"},
		{"limit_bytes", "size_limit_bytes"},
		{"used_inodes", "used_inodes"},
		{"limit_inodes", "size_limit_inodes"},
		{NULL, NULL},
	};
	struct session s;
	int code = session_open(&s, c);

	if (code == CLI_OK)
		code = session_show(
			&s, session_path(&s, "/v1/volumes/", c->args[0], "/usage"), columns);
	session_close(&s);
	return code;
}

const struct verb verb_volume_usage = {
	.group = "volume",
	.name = "usage",
	.arguments = "VOLUME",
	.min_args = 1,
	.max_args = 1,
	.summary = "Count what a volume uses",
	.help = "Counts the bytes and inodes that are in a volume now, beside its limits; 0 is no "
		"limit.",
	.examples = "aegis volume usage models",
	.run = run,
};
