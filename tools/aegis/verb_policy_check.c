/* SPDX-License-Identifier: AGPL-3.0-only */
#include "tools/aegis/policy_source.h"
#include "tools/aegis/verbs.h"
#include <errno.h>

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

static int find_context(
	const struct policy_snapshot *s, const char *name, const struct rule_context **ret)
{
	*ret = policy_context_find(s, span_cstr(name));
	return *ret ? CLI_OK : policy_no_context(s, name);
}

/* Whether a context may stand below another, as an agent's child below its parent. */
static int compare(const struct cli *c, const struct policy_snapshot *s)
{
	struct arena *a CLEANUP(arena_cleanup) = arena_new(64 << 20);
	struct buf b CLEANUP(buf_fini) = buf_init(LIMIT_JSON_BYTES);
	const char *inner_name = cli_value(c, "context"), *outer_name = cli_value(c, "within");
	const struct rule_context *inner, *outer;
	struct span doubt = {0};

	if (!inner_name || !outer_name)
		return cli_fail(CLI_INVALID, "--context and --within are given together");
	int code = find_context(s, inner_name, &inner);
	if (code == CLI_OK)
		code = find_context(s, outer_name, &outer);
	if (code)
		return code;
	int r = a ? rule_context_covers(outer, inner, a, &doubt) : -ENOMEM;
	if (r < 0)
		return cli_fail_errno(r);
	if (c->format == CLI_TEXT || c->format == CLI_TABLE) {
		buf_printf(&b, "%s is %swithin %s", inner_name, r ? "not " : "", outer_name);
		buf_printf(&b, r ? ": " SPAN_FMT "\n" : "%.*s\n", SPAN_ARG(doubt));
		code = cli_write(buf_view(&b));
	} else {
		struct json_writer w = json_writer(&b);
		json_object(&w);
		json_field_cstr(&w, "context", inner_name);
		json_field_cstr(&w, "within", outer_name);
		json_field_bool(&w, "covered", r == 0);
		json_field_span(&w, "doubt", doubt);
		json_end(&w);
		code = cli_print_text(c, buf_view(&b), NULL);
	}
	return code == CLI_OK && r ? CLI_DENIED : code;
}

static int run(struct cli *c)
{
	struct policy_source s = {0};
	int code = policy_source_load(&s, c, c->arg_count ? c->args[0] : NULL);

	if (code == CLI_OK)
		code = cli_value(c, "context") || cli_value(c, "within") ? compare(c, s.snapshot)
									 : print(c, s.snapshot);
	policy_source_close(&s);
	return code;
}

static const struct cli_option options[] = {
	{"context", 0, "NAME", "Say whether every permission of this security context ...", NULL},
	{"within", 0, "NAME", "... is one of this", NULL},
	{NULL, 0, NULL, NULL, NULL},
};

const struct verb verb_policy_check = {
	.group = "policy",
	.name = "check",
	.arguments = "[DIR]",
	.max_args = 1,
	.options = options,
	.summary = "Check a folder of policies without the daemon",
	.help = "Reads *.cedar and *.cedarschema of the folder (by default the configuration's\n"
		"policy.d) and the configuration's security contexts, as the daemon does at start "
		"and\n"
		"at `aegis policy reload`: all or nothing. Mistakes are named on standard error "
		"with\n"
		"file, line and column. Exits 0 if the whole is valid, 2 if not.\n"
		"With --context and --within it compares two security contexts instead: 0 if the "
		"one\n"
		"certainly allows nothing beyond the other, 3 with the permission in doubt "
		"otherwise.",
	.examples = "aegis policy check\n"
		    "aegis policy check ./policy.d --config node.yaml\n"
		    "aegis policy check --context research-safe --within coder-default",
	.run = run,
};
