/* SPDX-License-Identifier: AGPL-3.0-only */
#include "tools/aegis/verbs.h"
#include "tools/aegis/names.h"

static void put_iteration(struct buf *b, const struct json *v)
{
	buf_printf(b, "iteration %lld  ", (long long)json_i64(v, "number", 0));
	cli_put_safe(b, json_str(v, "status", SPAN("?")), false);
	const struct json *error = json_get(v, "error");
	struct span message = json_str(error, "message", SPAN(""));
	if (message.n) {
		buf_puts(b, "  ");
		cli_put_safe(b, span_sub(message, 0, 200), false);
	} else if (error && error->type != JSON_NULL) {
		struct buf text CLEANUP(buf_fini) = buf_init(LIMIT_JSON_BYTES);
		struct json_writer w = json_writer(&text);
		json_put(&w, error);
		buf_puts(b, "  ");
		cli_put_safe(b, span_sub(buf_view(&text), 0, 200), false);
	}
	buf_putc(b, '\n');
}

static void put_volume(struct buf *b, const struct json *v)
{
	buf_puts(b, "volume         ");
	cli_put_safe(b, json_str(v, "name", SPAN("?")), false);
	buf_puts(b, " at ");
	cli_put_safe(b, json_str(v, "mount_path", SPAN("?")), false);
	buf_puts(b, ", ");
	cli_put_safe(b, json_str(v, "status", SPAN("?")), false);
	buf_putc(b, '\n');
}

static void put_outcome(struct buf *b, const struct json *v)
{
	const struct json *volumes = json_get(v, "volumes");
	if (volumes && volumes->type == JSON_ARRAY)
		json_for_each (volume, volumes)
			put_volume(b, volume);
	const struct json *iterations = json_get(v, "iterations");
	if (iterations && iterations->type == JSON_ARRAY)
		json_for_each (iteration, iterations)
			put_iteration(b, iteration);
	struct span output = json_str(v, "output", SPAN(""));
	if (output.n) {
		buf_putc(b, '\n');
		cli_put_safe(b, output, true);
		buf_putc(b, '\n');
	}
}

static int run(struct cli *c)
{
	static const char *const members[] = {"id", "agent_name", "agent_id", "agent_version",
		"status", "started_at", "ended_at", "file_access", "program_access", "error", NULL};
	struct session s;
	const struct json *v;
	int code = session_open(&s, c);
	if (code == CLI_OK)
		code = session_call(&s, "GET", session_path(&s, "/v1/executions/", c->args[0], ""),
			NULL, SPAN(""), &v);
	if (code == CLI_OK)
		code = names_of_agents(&s, v, &v);
	if (code == CLI_OK)
		code = session_print(c, v, members, put_outcome);
	session_close(&s);
	return code;
}

const struct verb verb_task_status = {
	.group = "task",
	.name = "status",
	.arguments = "EXECUTION",
	.min_args = 1,
	.max_args = 1,
	.summary = "Show an execution",
	.help = "Shows the state of an execution, its iterations, and its output or error.",
	.examples = "aegis task status 0b7c4f5e-3f1d-4a55-9d0c-0b5a1c1f2a33\n"
		    "aegis task status 0b7c4f5e-3f1d-4a55-9d0c-0b5a1c1f2a33 --output json",
	.run = run,
};
