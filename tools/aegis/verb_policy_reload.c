/* SPDX-License-Identifier: AGPL-3.0-only */
#include "tools/aegis/session.h"
#include "tools/aegis/verbs.h"
#include <stdio.h>

static int print(const struct cli *c, const struct json *v)
{
	struct buf b CLEANUP(buf_fini) = buf_init(LIMIT_JSON_BYTES);

	if (c->format == CLI_JSON || c->format == CLI_YAML)
		return cli_print(c, v, NULL);
	const struct json *findings = json_get(v, "findings");
	for (size_t i = 0; findings && i < findings->count; i++) {
		cli_put_safe(&b, findings->items[i].text, false);
		buf_putc(&b, '\n');
	}
	buf_printf(&b, "%lld policies and %lld security contexts hold, set " SPAN_FMT "\n",
		(long long)json_i64(v, "policies", 0),
		(long long)json_i64(v, "security_contexts", 0),
		SPAN_ARG(json_str(v, "policy_set", SPAN(""))));
	return cli_write(buf_view(&b));
}

static int run(struct cli *c)
{
	struct session s;
	const struct json *v;
	int code = session_open(&s, c);

	if (code == CLI_OK)
		code = session_call(&s, "POST", "/v1/policy/reload", NULL, SPAN(""), &v);
	if (code == CLI_OK)
		code = print(c, v);
	session_close(&s);
	return code;
}

const struct verb verb_policy_reload = {
	.group = "policy",
	.name = "reload",
	.arguments = "",
	.summary = "Let the daemon load configuration, policies and tool servers again",
	.help = "Loads the configuration, policy.d and the security contexts again, as SIGHUP "
		"does. What is not valid\n"
		"is not taken: the old goes on to hold, and what is wrong is said with file, line "
		"and column.\n"
		"Running executions go over to the new policies; one that cannot run by them (its "
		"security\n"
		"context is gone, or the kernel cannot check a rule) is cancelled, and the reason "
		"says so.\n"
		"Tool servers that were added to spec.mcp_servers start, those taken out end, "
		"those "
		"that changed\n"
		"start again; calls to these end with an error that says so. What only a restart "
		"takes up is named.",
	.examples = "aegis policy reload",
	.run = run,
};
