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
	.summary = "Let the daemon load the node's policies again",
	.help = "Loads policy.d and the security contexts of the configuration that holds, as "
		"SIGHUP\n"
		"does. If anything is not valid, the old policies go on to hold, and what is wrong "
		"is\n"
		"said with file, line and column. Running executions go over to the new ones;\n"
		"one that cannot run by them (its security context is gone, or the kernel cannot\n"
		"check a rule) is cancelled, and the reason says so.",
	.examples = "aegis policy reload",
	.run = run,
};
