/* SPDX-License-Identifier: AGPL-3.0-only */
#include "tools/aegis/policy_source.h"
#include "tools/aegis/verbs.h"

static int print(const struct cli *c, const struct policy_snapshot *s)
{
	struct buf b CLEANUP(buf_fini) = buf_init(LIMIT_JSON_BYTES);
	size_t policies = rule_set_count(policy_rules(s)), contexts = policy_context_count(s);

	if (c->format == CLI_TEXT || c->format == CLI_TABLE) {
		buf_printf(&b, "%s: valid: %zu policies, %zu security contexts, set " SPAN_FMT "\n",
			policy_directory(s), policies, contexts,
			SPAN_ARG(rule_set_hash(policy_rules(s))));
		return cli_write(buf_view(&b));
	}
	struct json_writer w = json_writer(&b);
	json_object(&w);
	json_field_cstr(&w, "directory", policy_directory(s));
	json_field_bool(&w, "valid", true);
	json_field_i64(&w, "policies", (int64_t)policies);
	json_field_i64(&w, "security_contexts", (int64_t)contexts);
	json_field_span(&w, "policy_set", rule_set_hash(policy_rules(s)));
	json_end(&w);
	return cli_print_text(c, buf_view(&b), NULL);
}

static int run(struct cli *c)
{
	struct policy_source s = {0};
	int code = policy_source_load(&s, c, c->arg_count ? c->args[0] : NULL);

	if (code == CLI_OK)
		code = print(c, s.snapshot);
	policy_source_close(&s);
	return code;
}

const struct verb verb_policy_check = {
	.group = "policy",
	.name = "check",
	.arguments = "[DIR]",
	.max_args = 1,
	.summary = "Check a folder of policies without the daemon",
	.help = "Reads *.cedar and *.cedarschema of the folder (by default the configuration's\n"
		"policy.d) and the configuration's security contexts, as the daemon does at start "
		"and\n"
		"at `aegis policy reload`: all or nothing. Mistakes are named on standard error "
		"with\n"
		"file, line and column. Exits 0 if the whole is valid, 2 if not.",
	.examples = "aegis policy check\n"
		    "aegis policy check ./policy.d --config node.yaml",
	.run = run,
};
