/* SPDX-License-Identifier: AGPL-3.0-only */
#include "tools/aegis/policy_source.h"
#include "tools/aegis/verbs.h"

static int print(const struct cli *c, const struct decision *d)
{
	struct buf b CLEANUP(buf_fini) = buf_init(LIMIT_JSON_BYTES);

	if (c->format == CLI_TEXT || c->format == CLI_TABLE) {
		buf_printf(&b, "%s", d->allowed ? "allow" : "deny");
		if (!d->allowed)
			buf_printf(&b, ": %s (%d): " SPAN_FMT, decision_code_name(d->code),
				(int)d->code, SPAN_ARG(d->reason));
		buf_printf(&b, " [policy " SPAN_FMT "]\n", SPAN_ARG(d->policy_id));
		return cli_write(buf_view(&b));
	}
	struct json_writer w = json_writer(&b);
	json_object(&w);
	policy_put_decision(&w, d);
	json_end(&w);
	return cli_print_text(c, buf_view(&b), NULL);
}

static int answer(const struct cli *c, struct policy_source *s, const struct decision_request *q,
	struct decision *ret)
{
	int r = policy_decide(s->rules, NULL, q, 0, s->arena, ret);

	return r < 0 ? cli_fail_errno(r) : print(c, ret);
}

static int run(struct cli *c)
{
	return policy_answer(c, answer);
}

static const struct cli_option options[] = {
	POLICY_SET_OPTIONS,
	POLICY_QUESTION_OPTIONS,
	{NULL, 0, NULL, NULL, NULL},
};

const struct verb verb_policy_authorize = {
	.group = "policy",
	.name = "authorize",
	.arguments = "[REQUEST]",
	.max_args = 1,
	.options = options,
	.summary = "Decide one request without the daemon",
	.help = "Says whether policy allows a request: one that the options make, or a JSON file "
		"as\n"
		"decision records keep it (\"-\" is standard input). The policies are those of the "
		"folder,\n"
		"with a security context, with a manifest, or a whole set. Exits 0 if it is "
		"allowed,\n"
		"3 if it is denied. Rates are not counted.",
	.examples = "aegis policy authorize --manifest agent.yaml --action fs:read --path "
		    "/etc/passwd\n"
		    "aegis policy authorize --context coder-default --command \"git push\"\n"
		    "aegis policy authorize --set set.cedar request.json",
	.run = run,
};
