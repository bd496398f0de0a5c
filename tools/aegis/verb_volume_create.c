/* SPDX-License-Identifier: AGPL-3.0-only */
#include "tools/aegis/verbs.h"
#include "tools/aegis/session.h"
#include "daemon/schema/schema.h"
#include <stdio.h>
#include <stdlib.h>

/* A number as the daemon wants it; it checks the range. */
static int put_count(
	struct json_writer *w, const struct cli *c, const char *option, const char *key)
{
	const char *text = cli_value(c, option);
	char *end;

	if (!text)
		return CLI_OK;
	long long n = strtoll(text, &end, 10);
	if (end == text || *end || n < 0)
		return cli_fail(CLI_INVALID, "--%s: '%s' is not a whole number", option, text);
	json_field_i64(w, key, n);
	return CLI_OK;
}

static int put_size(struct json_writer *w, const struct cli *c)
{
	const char *text = cli_value(c, "size");
	int64_t bytes = 0;

	if (!text)
		return CLI_OK;
	if (table_parse_size(span_cstr(text), &bytes) < 0)
		return cli_fail(CLI_INVALID,
			"--size %s: accepted: a number of bytes, or one such as 512Mi, 2Gi, 10M",
			text);
	json_field_i64(w, "size_limit_bytes", bytes);
	return CLI_OK;
}

static int make_body(const struct cli *c, struct buf *b)
{
	struct json_writer w = json_writer(b);

	json_object(&w);
	json_field_cstr(&w, "label", c->args[0]);
	int code = put_size(&w, c);
	if (code == CLI_OK)
		code = put_count(&w, c, "inodes", "size_limit_inodes");
	if (code == CLI_OK)
		code = put_count(&w, c, "ttl-hours", "ttl_hours");
	json_end(&w);
	return code;
}

static int run(struct cli *c)
{
	struct buf b CLEANUP(buf_fini) = buf_init(LIMIT_JSON_BYTES);
	const struct json *v;
	struct session s;
	int code = make_body(c, &b);

	if (code != CLI_OK)
		return code;
	code = session_open(&s, c);
	if (code == CLI_OK)
		code = session_call(
			&s, "POST", "/v1/volumes", "application/json", buf_view(&b), &v);
	if (code == CLI_OK && (c->format == CLI_JSON || c->format == CLI_YAML))
		code = cli_print(c, v, NULL);
	else if (code == CLI_OK)
		printf("created %s " SPAN_FMT "\n", c->args[0],
			SPAN_ARG(json_str(v, "id", SPAN("-"))));
	session_close(&s);
	return code;
}

static const struct cli_option options[] = {
	{"size", 0, "SIZE",
		"Most bytes that may be in it, such as 512Mi; without it there is no limit", NULL},
	{"inodes", 0, "NUMBER", "Most files and directories that may be in it", NULL},
	{"ttl-hours", 0, "HOURS", "Delete it after that time", NULL},
	{NULL, 0, NULL, NULL, NULL},
};

const struct verb verb_volume_create = {
	.group = "volume",
	.name = "create",
	.arguments = "NAME",
	.min_args = 1,
	.max_args = 1,
	.options = options,
	.summary = "Create a volume",
	.help = "Creates a volume that outlives executions, and prints its id. An agent works on "
		"it "
		"if its\n"
		"manifest names that id: spec.volumes with mount_path /workspace or a path below, "
		"storage_class\n"
		"persistent and source.volume_id. One execution at a time may write to it, others "
		"may read it. A limit\n"
		"of size is held by the kernel, with a loop device and mkfs.ext4; where a host "
		"cannot, such an\n"
		"execution is refused.",
	.examples = "aegis volume create models\n"
		    "aegis volume create scratch --ttl-hours 24 --size 1073741824",
	.run = run,
};
