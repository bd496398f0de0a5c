/* SPDX-License-Identifier: AGPL-3.0-only */
#include "tools/aegis/verbs.h"
#include "tools/aegis/execute.h"

static int update(struct cli *c, struct session *s)
{
	const struct json *v;
	const char *after = cli_value(c, "force") ? "?force=true" : "";
	int code = execute_deploy(
		s, c->args[1], "PATCH", session_path(s, "/v1/agents/", c->args[0], after), &v);
	if (code)
		return code;
	if (c->format == CLI_JSON || c->format == CLI_YAML)
		return cli_print(c, v, NULL);
	struct buf b CLEANUP(buf_fini) = buf_init(LIMIT_DOC_BYTES);
	session_put_notices(&b, c->args[1], v);
	buf_printf(&b, SPAN_FMT " " SPAN_FMT " " SPAN_FMT "\n",
		SPAN_ARG(json_str(v, "status", SPAN("updated"))),
		SPAN_ARG(json_str(v, "name", SPAN("?"))),
		SPAN_ARG(json_str(v, "version", SPAN("?"))));
	return cli_write(buf_view(&b));
}

static int run(struct cli *c)
{
	struct session s;
	int code = session_open(&s, c);
	if (code == CLI_OK)
		code = update(c, &s);
	session_close(&s);
	return code;
}

static const struct cli_option options[] = {
	{"force", 0, NULL, "Also if the version is not higher", NULL},
	{NULL, 0, NULL, NULL, NULL},
};

const struct verb verb_agent_update = {
	.group = "agent",
	.name = "update",
	.arguments = "AGENT FILE",
	.min_args = 2,
	.max_args = 2,
	.options = options,
	.summary = "Give an agent another manifest",
	.help = "Replaces the manifest of an agent, named by name or id. The version must rise, "
		"unless --force\n"
		"is given.",
	.examples = "aegis agent update hello-world agent.yaml\n"
		    "aegis agent update hello-world agent.yaml --force",
	.run = run,
};
