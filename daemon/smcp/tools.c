/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The tools that somebody may use, as MCP lists them. A tool is left out if the rules never allow
 * it; one that is allowed on some paths, domains or commands is in.
 */
#include "daemon/smcp/internal.h"
#include <stdio.h>

/* Asked without its arguments: a permit that is about this tool, whatever its condition, may allow
 * it; a forbid without a condition does not. */
static int may_use(const struct rule_set *rules, const char *name, struct arena *a, bool *ret)
{
	static const struct span any_program = {"-", 1};
	struct decision_request q = {.execution_id = SPAN("tools"),
		.agent = SPAN("tools"),
		.argv = &any_program,
		.argv_count = strcmp(name, "cmd.run") == 0};
	struct rule_verdict *verdicts;
	struct decision decision;
	size_t count;
	bool near = false;
	char *action = arena_printf(a, "tool:%s", name);

	if (!action)
		return err_raise(-ENOMEM, "tools: request memory used up");
	q.action = span_cstr(action);
	int r = policy_explain(rules, &q, a, &decision, &verdicts, &count);
	if (r < 0)
		return err_trace(r);
	for (size_t i = 0; i < count; i++) {
		bool about = verdicts[i].fate == RULE_APPLIES ||
			verdicts[i].fate == RULE_CONDITION_FALSE || verdicts[i].fate == RULE_ERROR;
		near |= about && !verdicts[i].forbid;
	}
	*ret = decision.allowed || (near && decision.code != DECISION_TOOL_DENIED);
	return 0;
}

static int offers_put(struct json_writer *w, const struct rule_set *rules,
	const struct tool_catalog *catalog, struct arena *a)
{
	bool usable = true;

	for (size_t i = 0; i < catalog->count; i++) {
		const struct tool_offer *o = &catalog->items[i];
		int r = rules ? may_use(rules, o->name, a, &usable) : 0;
		if (r < 0)
			return err_trace(r);
		if (!usable)
			continue;
		json_object(w);
		json_field_cstr(w, "name", o->name);
		json_field_cstr(w, "description", o->description);
		json_key(w, "inputSchema");
		json_put_raw(w, o->schema);
		json_end(w);
	}
	return 0;
}

int smcp_tools_put(struct json_writer *w, const struct rule_set *rules,
	const struct tool_source *source, struct arena *a)
{
	const struct tool_description *d;
	bool usable = true;

	json_array(w);
	for (size_t i = 0; (d = tool_at(i)); i++) {
		int r = rules ? may_use(rules, d->name, a, &usable) : 0;
		if (r < 0)
			return err_trace(r);
		if (!usable)
			continue;
		json_object(w);
		json_field_cstr(w, "name", d->name);
		json_field_cstr(w, "description", d->description);
		json_key(w, "inputSchema");
		tool_schema_put(w, d);
		json_key(w, "annotations");
		json_object(w);
		json_field_bool(w, "readOnlyHint", d->read_only);
		json_end(w);
		json_end(w);
	}
	if (source) {
		struct tool_catalog *catalog = source->catalog(source->ctx);
		int r = offers_put(w, rules, catalog, a);
		tool_catalog_unref(catalog);
		if (r < 0)
			return err_trace(r);
	}
	json_end(w);
	return 0;
}

static int list_put(struct call *c, struct span context, const struct rule_set *rules)
{
	const char *base = c->q->protocol == SEAL_V1 ? "/v1/seal" : "/v1/smcp";
	struct json_writer w = json_writer(c->reply);
	char path[32];

	buf_reset(c->reply);
	json_object(&w);
	json_field_cstr(&w, "protocol", smcp_protocol_name(c->q->protocol));
	snprintf(path, sizeof(path), "%s/attest", base);
	json_field_cstr(&w, "attestation_endpoint", path);
	snprintf(path, sizeof(path), "%s/invoke", base);
	json_field_cstr(&w, "invoke_endpoint", path);
	json_key(&w, "security_context");
	if (context.n)
		json_put_span(&w, context);
	else
		json_put_null(&w);
	json_key(&w, "tools");
	int r = smcp_tools_put(&w, rules, c->s->o.source, c->arena);
	if (r < 0)
		return err_trace(r);
	json_end(&w);
	*c->status = 200;
	return 0;
}

int tools_serve(struct call *c)
{
	const struct smcp_workload *w = c->q->workload;
	struct rule_set *rules = NULL;

	if (w)
		return err_trace(
			list_put(c, w->security_context.n ? w->security_context : SPAN("default"),
				w->tools->rules));
	struct span name = c->q->context_name;
	if (name.n == 0)
		return err_trace(list_put(c, name, NULL));
	int r = smcp_scope_name_valid(name)
		? c->s->o.context(c->s->o.context_ctx, name, &rules, c->deadline_ns)
		: SMCP_SCOPE_NOT_FOUND;
	if (r == SMCP_SCOPE_NOT_FOUND) {
		answer_error(c, r,
			SPAN("security_context: the name of one of the node's security contexts is "
			     "expected"),
			SPAN(""));
		return 0;
	}
	if (r == 0)
		r = list_put(c, name, rules);
	rule_set_unref(rules);
	return err_trace(r);
}
