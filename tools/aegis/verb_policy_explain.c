/* SPDX-License-Identifier: AGPL-3.0-only */
#include "tools/aegis/policy_source.h"
#include "tools/aegis/verbs.h"

static bool decided(const struct decision *d, struct span id)
{
	for (size_t i = 0; i < d->policy_count; i++)
		if (span_eq(d->policy_ids[i], id))
			return true;
	return false;
}

static void put_place(struct buf *b, const struct rule_verdict *v)
{
	if (v->file.n)
		buf_printf(b, " (" SPAN_FMT ":%d)", SPAN_ARG(v->file), v->line);
	else if (v->line)
		buf_printf(b, " (line %d)", v->line);
}

static int print_text(const struct decision *d, const struct rule_verdict *list, size_t count)
{
	struct buf b CLEANUP(buf_fini) = buf_init(LIMIT_JSON_BYTES);

	buf_printf(&b, "%s", d->allowed ? "allow" : "deny");
	if (!d->allowed)
		buf_printf(&b, ": %s (%d): " SPAN_FMT, decision_code_name(d->code), (int)d->code,
			SPAN_ARG(d->reason));
	buf_puts(&b, "\n");
	if (!d->policy_count)
		buf_puts(&b, "no policy decided: what none permits is denied\n");
	for (size_t i = 0; i < count; i++) {
		const struct rule_verdict *v = &list[i];
		buf_printf(&b, "%s %s " SPAN_FMT, decided(d, v->id) ? "*" : " ",
			v->forbid ? "forbid" : "permit", SPAN_ARG(v->id));
		put_place(&b, v);
		buf_printf(&b, ": %s", rule_fate_text(v->fate));
		if (v->detail.n)
			buf_printf(&b, ": " SPAN_FMT, SPAN_ARG(v->detail));
		buf_putc(&b, '\n');
	}
	return cli_write(buf_view(&b));
}

static int print_json(const struct cli *c, const struct decision *d,
	const struct rule_verdict *list, size_t count)
{
	static const char *const fates[] = {[RULE_APPLIES] = "applies",
		[RULE_OTHER_PRINCIPAL] = "other_principal",
		[RULE_OTHER_ACTION] = "other_action",
		[RULE_OTHER_RESOURCE] = "other_resource",
		[RULE_CONDITION_FALSE] = "condition_false",
		[RULE_ERROR] = "error"};
	struct buf b CLEANUP(buf_fini) = buf_init(LIMIT_JSON_BYTES);
	struct json_writer w = json_writer(&b);

	json_object(&w);
	policy_put_decision(&w, d);
	json_key(&w, "verdicts");
	json_array(&w);
	for (size_t i = 0; i < count; i++) {
		json_object(&w);
		json_field_span(&w, "id", list[i].id);
		json_field_cstr(&w, "effect", list[i].forbid ? "forbid" : "permit");
		json_field_span(&w, "file", list[i].file);
		json_field_i64(&w, "line", list[i].line);
		json_field_bool(&w, "decided", decided(d, list[i].id));
		json_field_cstr(&w, "fate", fates[list[i].fate]);
		json_field_span(&w, "detail", list[i].detail);
		json_end(&w);
	}
	json_end(&w);
	json_end(&w);
	return cli_print_text(c, buf_view(&b), NULL);
}

static int answer(const struct cli *c, struct policy_source *s, const struct decision_request *q,
	struct decision *ret)
{
	struct rule_verdict *list = NULL;
	size_t count = 0;
	int r = policy_explain(s->rules, q, s->arena, ret, &list, &count);

	if (r < 0)
		return cli_fail_errno(r);
	return c->format == CLI_TEXT || c->format == CLI_TABLE ? print_text(ret, list, count)
							       : print_json(c, ret, list, count);
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

const struct verb verb_policy_explain = {
	.group = "policy",
	.name = "explain",
	.arguments = "[REQUEST]",
	.max_args = 1,
	.options = options,
	.summary = "Say which policy decided a request, and why the others did not",
	.help = "Decides a request as `authorize` does, marks the policies that decided with "
		"\"*\", "
		"and\n"
		"says of each other one what kept it from applying: its principal, action or "
		"resource,\n"
		"or the part of its condition that is false. Exits 0 if it is allowed, 3 if it is "
		"denied.",
	.examples = "aegis policy explain --manifest agent.yaml --command \"npm publish\"\n"
		    "aegis policy explain --context web --action tool:web.fetch --domain "
		    "example.org\n"
		    "aegis policy show HASH > set.cedar && aegis policy explain --set set.cedar "
		    "request.json",
	.run = run,
};
