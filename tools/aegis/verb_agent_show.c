/* SPDX-License-Identifier: AGPL-3.0-only */
#include "tools/aegis/verbs.h"
#include "tools/aegis/session.h"

static int print_text(const struct json *v)
{
	static const char *const members[] = {"name", "version", "status", "id", "description",
		"scope", "runtime", "created_at", "updated_at"};
	struct buf b CLEANUP(buf_fini) = buf_init(LIMIT_JSON_BYTES);
	for (size_t i = 0; i < ARRAY_LEN(members); i++) {
		buf_printf(&b, "%-12s ", members[i]);
		cli_put_safe(&b, json_str(v, members[i], SPAN("-")), false);
		buf_putc(&b, '\n');
	}
	buf_putc(&b, '\n');
	cli_put_safe(&b, json_str(v, "manifest_yaml", SPAN("")), true);
	if (b.len && b.data[b.len - 1] != '\n')
		buf_putc(&b, '\n');
	return cli_write(buf_view(&b));
}

static int run(struct cli *c)
{
	struct session s;
	const struct json *v;
	int code = session_open(&s, c);
	if (code == CLI_OK)
		code = session_call(&s, "GET", session_path(&s, "/v1/agents/", c->args[0], ""),
			NULL, SPAN(""), &v);
	if (code == CLI_OK)
		code = c->format == CLI_TEXT ? print_text(v) : cli_print(c, v, NULL);
	session_close(&s);
	return code;
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
