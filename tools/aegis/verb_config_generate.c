/* SPDX-License-Identifier: AGPL-3.0-only */
#include "tools/aegis/verbs.h"
#include "daemon/config/config.h"
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

static int say(const struct cli *c, const char *path)
{
	struct buf b CLEANUP(buf_fini) = buf_init(LIMIT_JSON_BYTES);
	struct json_writer w = json_writer(&b);

	if (c->format == CLI_TEXT || c->format == CLI_TABLE) {
		printf("wrote %s\n", path);
		return CLI_OK;
	}
	json_object(&w);
	json_field_cstr(&w, "wrote", path);
	json_end(&w);
	return cli_print_text(c, buf_view(&b), NULL);
}

static int run(struct cli *c)
{
	struct buf b CLEANUP(buf_fini) = buf_init(LIMIT_JSON_BYTES);
	const char *path = cli_value(c, "out");
	if (!path)
		path = "./aegis-config.yaml";
	config_sample(cli_value(c, "examples") != NULL, &b);
	if (strcmp(path, "-") == 0)
		return cli_write(buf_view(&b));
	if (access(path, F_OK) == 0 && !cli_value(c, "force"))
		return cli_fail(
			CLI_CONFLICT, "%s exists; accepted: another --out, or --force", path);
	int r = fd_replace_file(path, buf_view(&b), 0644);
	if (r < 0)
		return cli_fail_errno(r);
	return say(c, path);
}

static const struct cli_option options[] = {
	{"out", 'o', "FILE", "Where to write it; - is standard output; else ./aegis-config.yaml",
		NULL},
	{"examples", 0, NULL, "All fields, commented, with defaults and example values", NULL},
	{"force", 0, NULL, "Replace a file that exists", NULL},
	{NULL, 0, NULL, NULL, NULL},
};

const struct verb verb_config_generate = {
	.group = "config",
	.name = "generate",
	.arguments = "",
	.options = options,
	.summary = "Write a sample configuration",
	.help = "Writes a node configuration that loads as it stands: the required fields, and "
		"with\n"
		"--examples every other field too, commented out with its meaning and default.",
	.examples = "aegis config generate\n"
		    "aegis config generate --examples --out /etc/aegis/config.yaml\n"
		    "aegis config generate --examples --out -",
	.run = run,
};
