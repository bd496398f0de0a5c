/* SPDX-License-Identifier: AGPL-3.0-only */
#include "tools/aegis/session.h"
#include "tools/aegis/verbs.h"

static const struct cli_column policy_columns[] = {
	{"id", "id"}, {"effect", "effect"}, {"file", "file"}, {"line", "line"}, {NULL, NULL}};
static const struct cli_column context_columns[] = {{"name", "name"},
	{"capabilities", "capabilities"}, {"denied", "deny_list"}, {"line", "line"}, {NULL, NULL}};
static const struct cli_column running_columns[] = {{"execution", "execution_id"},
	{"policy set", "policy_set"}, {"policies", "policies"}, {NULL, NULL}};

static int run(struct cli *c)
{
	struct session s;
	const struct json *v, *list;
	const struct cli_column *columns = policy_columns;
	const char *member = "items";
	int code = session_open(&s, c);

	if (cli_value(c, "contexts")) {
		member = "security_contexts";
		columns = context_columns;
	} else if (cli_value(c, "running")) {
		member = "running";
		columns = running_columns;
	}
	if (code == CLI_OK)
		code = session_call(&s, "GET", "/v1/policy", NULL, SPAN(""), &v);
	if (code == CLI_OK) {
		list = json_get(v, member);
		code = list ? cli_print(c, list, columns)
			    : cli_fail(CLI_INTERNAL, "the daemon's answer has no %s", member);
	}
	session_close(&s);
	return code;
}

static const struct cli_option options[] = {
	{"contexts", 0, NULL, "The security contexts instead", NULL},
	{"running", 0, NULL, "The set that each running execution has made from them", NULL},
	{NULL, 0, NULL, NULL, NULL},
};

const struct verb verb_policy_list = {
	.group = "policy",
	.name = "list",
	.arguments = "",
	.options = options,
	.summary = "List the node's policies",
	.help = "Lists the policies of policy.d that hold now. Each execution has a set of its "
		"own, made "
		"from\n"
		"them, its security context and its manifest: --running lists these.",
	.examples = "aegis policy list\n"
		    "aegis policy list --contexts\n"
		    "aegis policy list --running --output json",
	.run = run,
};
