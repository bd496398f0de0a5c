/* SPDX-License-Identifier: AGPL-3.0-only */
#include "tools/aegis/verbs.h"
#include "tools/aegis/execute.h"

static int deploy(struct cli *c, struct session *s)
{
	const struct json *v;
	struct buf path CLEANUP(buf_fini) = buf_init(LIMIT_PATH_BYTES);
	const char *scope = cli_value(c, "scope");
	buf_printf(&path, "/v1/agents?force=%s", cli_value(c, "force") ? "true" : "false");
	if (scope)
		buf_printf(&path, "&scope=%s", scope);
	int code = execute_deploy(s, c->args[0], "POST", buf_cstr(&path), &v);
	if (code)
		return code;
	if (c->format == CLI_JSON || c->format == CLI_YAML)
		return cli_print(c, v, NULL);
	struct buf b CLEANUP(buf_fini) = buf_init(LIMIT_DOC_BYTES);
	session_put_notices(&b, c->args[0], v);
	struct span status = json_str(v, "status", SPAN("deployed"));
	buf_printf(&b, SPAN_FMT " " SPAN_FMT " " SPAN_FMT " (" SPAN_FMT ")\n", SPAN_ARG(status),
		SPAN_ARG(json_str(v, "name", SPAN("?"))),
		SPAN_ARG(json_str(v, "version", SPAN("?"))),
		SPAN_ARG(json_str(v, "id", SPAN("?"))));
	return cli_write(buf_view(&b));
}

static int run(struct cli *c)
{
	if (cli_value(c, "validate-only"))
		return verb_agent_validate.run(c);
	struct session s;
	int code = session_open(&s, c);
	if (code == CLI_OK)
		code = deploy(c, &s);
	session_close(&s);
	return code;
}

static const struct cli_option options[] = {
	{"force", 0, NULL, "Replace a version that exists with other content", NULL},
	{"validate-only", 0, NULL, "Check the manifest, and deploy nothing", NULL},
	{"scope", 0, "SCOPE", "Who sees it", "global tenant"},
	{NULL, 0, NULL, NULL, NULL},
};

const struct verb verb_agent_deploy = {
	.group = "agent",
	.name = "deploy",
	.arguments = "FILE",
	.min_args = 1,
	.max_args = 1,
	.options = options,
	.summary = "Deploy an agent, or a new version of it",
	.help = "Checks the manifest and gives it to the daemon. An agent of that name gets the "
		"new version;\n"
		"the same version with other content is a conflict, unless --force is given. What "
		"the manifest\n"
		"asks for without effect yet, and what a run would be refused for, is listed.",
	.examples = "aegis agent deploy agent.yaml\n"
		    "aegis agent deploy agent.yaml --force\n"
		    "aegis agent deploy agent.yaml --validate-only",
	.run = run,
};
