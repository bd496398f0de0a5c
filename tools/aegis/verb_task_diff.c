/* SPDX-License-Identifier: AGPL-3.0-only */
#include "tools/aegis/verbs.h"
#include "tools/aegis/session.h"

static int print_text(const struct json *v)
{
	struct buf b CLEANUP(buf_fini) = buf_init(2 * (size_t)LIMIT_JSON_BYTES);
	const struct json *items = json_get(v, "items");
	if (items && items->type == JSON_ARRAY) {
		json_for_each (item, items) {
			/* A, C or R, as version control shows it */
			struct span change = json_str(item, "change", SPAN("?"));
			buf_printf(&b, "%c  ", change.n ? change.p[0] - 'a' + 'A' : '?');
			cli_put_safe(&b, json_str(item, "path", SPAN("")), false);
			if (span_is(json_str(item, "type", SPAN("")), "directory"))
				buf_putc(&b, '/');
			else
				buf_printf(&b, "  %lld bytes",
					(long long)json_i64(item, "size_bytes", 0));
			buf_putc(&b, '\n');
		}
	}
	return cli_write(buf_view(&b));
}

static int run(struct cli *c)
{
	struct session s;
	const struct json *v;
	struct buf tail CLEANUP(buf_fini) = buf_init(64);
	const char *since = cli_value(c, "since");
	uint64_t number = 0;
	if (since && span_to_u64(span_cstr(since), &number) < 0)
		return cli_fail(
			CLI_INVALID, "--since %s: the number of an iteration is accepted", since);
	buf_printf(&tail, "/diff?since=%llu", (unsigned long long)number);
	int code = session_open(&s, c);
	if (code == CLI_OK)
		code = session_call(&s, "GET",
			session_path(&s, "/v1/executions/", c->args[0], buf_cstr(&tail)), NULL,
			SPAN(""), &v);
	if (code == CLI_OK)
		code = c->format == CLI_TEXT ? print_text(v)
					     : cli_print(c, json_get(v, "items"), NULL);
	session_close(&s);
	return code;
}

static const struct cli_option options[] = {
	{"since", 0, "ITERATION", "Compare with what that iteration left, not with the beginning",
		NULL},
	{NULL, 0, NULL, NULL, NULL},
};

const struct verb verb_task_diff = {
	.group = "task",
	.name = "diff",
	.arguments = "EXECUTION",
	.min_args = 1,
	.max_args = 1,
	.options = options,
	.summary = "Show what an execution changed in its workspace",
	.help = "Lists the files of /workspace as the returned iteration left them: A added, C "
		"changed,\n"
		"R removed. With --since N, against what iteration N left.",
	.examples = "aegis task diff 0b7c4f5e-3f1d-4a55-9d0c-0b5a1c1f2a33\n"
		    "aegis task diff 0b7c4f5e-3f1d-4a55-9d0c-0b5a1c1f2a33 --since 1 --output json",
	.run = run,
};
