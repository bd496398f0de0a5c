/* SPDX-License-Identifier: AGPL-3.0-only */
/* What clients ask for: a start, a cancellation, the end, the removal. */
#include "daemon/execution/internal.h"
#include <stdio.h>
#include <stdlib.h>

/* ---- start ---- */

struct start {
	struct executions *x;
	const struct execution_request *q;
	struct arena *arena;
	struct span *why;
	struct store_agent agent;
	const struct agent_manifest *manifest;
	const struct json *input;
};

static int outcome(struct start *s, int code, const char *fmt, ...) PRINTF_LIKE(3, 4);
static int outcome(struct start *s, int code, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	char *text = arena_vprintf(s->arena, fmt, args);
	va_end(args);
	if (!text)
		return err_raise(-ENOMEM, "start: request memory used up");
	*s->why = span_cstr(text);
	return code;
}

static int context_check(struct start *s)
{
	const char *name = s->manifest->spec.security_context;
	struct policy_snapshot *now = policies_current(s->x->deps.policies);
	bool known = !name || policy_context_find(now, span_cstr(name));

	policy_unref(now);
	return known
		? 0
		: outcome(s, EXECUTION_REFUSED,
			  "spec.security_context: this node has no security context '%s'", name);
}

static int levels_check(struct start *s)
{
	const struct execution_deps *d = &s->x->deps;
	struct buf why CLEANUP(buf_fini) = buf_init(8192);

	if (s->manifest->spec.require.count == 0)
		return 0;
	if (d->levels && d->levels(d->levels_ctx, &s->manifest->spec, &why))
		return 0;
	return outcome(s, EXECUTION_REFUSED,
		"this host falls short of spec.require: " SPAN_FMT "see `aegis doctor`",
		SPAN_ARG(buf_view(&why)));
}

/* Tool servers are the node's: what a manifest asks of one that is not there would fail only when
 * the model calls it. */
static int servers_check(struct start *s)
{
	const struct tool_source *source = s->x->deps.source;

	for (size_t i = 0; i < s->manifest->spec.tools.count; i++) {
		const char *name = agent_tool_server(&s->manifest->spec.tools.items[i]);
		struct buf known CLEANUP(buf_fini) = buf_init(8192);
		if (!name || (source && source->has_server(source->ctx, span_cstr(name), &known)))
			continue;
		return outcome(s, EXECUTION_REFUSED,
			"ToolNotFound: spec.tools[%zu]: this node has no tool server '%s'; in its "
			"spec.mcp_servers: %s%.*s",
			i, name, known.len ? "" : "none", (int)MIN(known.len, (size_t)2048),
			known.len ? known.data : "");
	}
	return 0;
}

static int manifest_check(struct start *s)
{
	struct report *report = arena_make(s->arena, struct report);
	struct buf b CLEANUP(buf_fini) = buf_init(8192);
	struct span text =
		s->agent.manifest_yaml.n ? s->agent.manifest_yaml : s->agent.manifest_json;

	if (!report || report_init(report, s->arena, "manifest") < 0)
		return err_raise(-ENOMEM, "start: request memory used up");
	int r = agent_manifest_parse(report, text, &s->manifest);
	if (r < 0)
		return err_trace(r);
	if (r == AGENT_INVALID) {
		report_summary(report, &b);
		return outcome(s, EXECUTION_REFUSED, "the agent's manifest is not valid: " SPAN_FMT,
			SPAN_ARG(buf_view(&b)));
	}
	if (s->manifest->refusal_count == 0) {
		r = levels_check(s);
		if (r == 0)
			r = context_check(s);
		return r ? r : servers_check(s);
	}
	for (size_t i = 0; i < s->manifest->refusal_count; i++) {
		const struct agent_notice *n = &s->manifest->refusals[i];
		buf_printf(&b, "%s%s (line %d): %s", i ? "; " : "", n->path, n->line, n->reason);
	}
	return outcome(s, EXECUTION_REFUSED,
		"this node does not enforce what the manifest asks for: " SPAN_FMT,
		SPAN_ARG(buf_view(&b)));
}

static int bad_json(struct start *s, const char *what, int r)
{
	int x = outcome(s, EXECUTION_BAD_INPUT, "%s: %s", what, err_message(r));

	err_clear();
	return x;
}

static int input_check(struct start *s)
{
	const struct json *schema = s->manifest->spec.input_schema, *overrides = NULL;
	struct jsonschema_error error;
	struct jsonschema *compiled;
	int r = 0;

	if (s->q->input.n > LIMIT_EXECUTION_INPUT_BYTES ||
		s->q->context_overrides.n > LIMIT_EXECUTION_INPUT_BYTES ||
		s->q->intent.n > LIMIT_EXECUTION_TEXT_BYTES)
		return outcome(s, EXECUTION_BAD_INPUT,
			"input and context_overrides may have %d bytes, intent %d",
			LIMIT_EXECUTION_INPUT_BYTES, LIMIT_EXECUTION_TEXT_BYTES);
	struct span input = s->q->input.n ? s->q->input : SPAN("null");
	r = json_parse(s->arena, input, NULL, &s->input);
	if (r < 0)
		return r == -ENOMEM ? err_trace(r) : bad_json(s, "input", r);
	if (s->q->context_overrides.n)
		r = json_parse(s->arena, s->q->context_overrides, NULL, &overrides);
	if (r < 0)
		return r == -ENOMEM ? err_trace(r) : bad_json(s, "context_overrides", r);
	if (overrides && overrides->type != JSON_OBJECT)
		return outcome(s, EXECUTION_BAD_INPUT, "context_overrides: an object is expected");
	if (!schema)
		return 0;
	r = jsonschema_new(schema, JSONSCHEMA_2020_12, &compiled);
	if (r < 0) {
		int x = outcome(s, EXECUTION_REFUSED, "spec.input_schema cannot be applied: %s",
			err_message(r));
		err_clear();
		return x;
	}
	r = jsonschema_check(compiled, s->input, &error);
	jsonschema_free(compiled);
	if (r == JSONSCHEMA_INVALID)
		return outcome(s, EXECUTION_BAD_INPUT, "input%s%s: %s",
			error.instance_path[0] ? " at " : "", error.instance_path, error.message);
	return r < 0 ? bad_json(s, "input", r) : 0;
}

/* What a restart needs beside the row: `policy_set` names the set, empty while there is none. */
static int resume_make(struct start *s, struct span policy_set, struct span *ret)
{
	struct buf b CLEANUP(buf_fini) = buf_init(2 * LIMIT_EXECUTION_INPUT_BYTES);
	struct json_writer w = json_writer(&b);

	json_object(&w);
	json_field_span(&w, "intent", s->q->intent);
	if (s->q->context_overrides.n) {
		json_key(&w, "context_overrides");
		json_put_raw(&w, span_trim(s->q->context_overrides));
	}
	if (policy_set.n)
		json_field_span(&w, "policy_set", policy_set);
	json_end(&w);
	int r = buf_error(&b);
	if (r < 0)
		return err_trace(r);
	*ret = arena_span(s->arena, buf_view(&b));
	return ret->p ? 0 : err_raise(-ENOMEM, "start: request memory used up");
}

/* ExecutionStarted with its row and the text of its rules, so that every decision of the run can be
 * decided again. */
static AWAITS int start_record(struct start *s, struct flow *f, const struct store_execution *row)
{
	struct record rec;
	int r = record_begin(f, &rec);

	if (r == 0) {
		record_event(&rec, EVENT_EXECUTION_STARTED, 0);
		json_field_span(&rec.w, "agent_name", s->agent.name);
		json_field_span(&rec.w, "agent_version", s->agent.version);
		json_field_span(&rec.w, "policy_set", rule_set_hash(f->rules));
		if (s->x->deps.node_id.n)
			json_field_span(&rec.w, "node_id", s->x->deps.node_id);
		if (s->q->intent.n)
			json_field_span(&rec.w, "intent", s->q->intent);
		r = record_event_end(&rec);
	}
	rec.execution = *row;
	if (r == 0) {
		record_change(&rec, STORE_EXECUTION_CREATE);
		r = record_rules(&rec, f->rules);
	}
	if (r == 0)
		r = record_publish(&rec);
	record_fini(&rec);
	return err_trace(r);
}

static AWAITS int start_flow(struct start *s, struct uuid *ret_id)
{
	struct executions *x = s->x;
	uint8_t random[16];
	struct store_execution row = {
		.tenant_id = s->agent.tenant_id,
		.agent_id = s->agent.id,
		.agent_version = s->agent.version,
		.manifest_hash = s->agent.manifest_yaml.n ? s->agent.manifest_yaml_hash
							  : s->agent.manifest_hash,
		.input = span_trim(s->q->input.n ? s->q->input : SPAN("null")),
		.security_context_name = span_cstr(s->manifest->spec.security_context),
		.initiating_user_sub = s->q->initiating_user_sub,
		.container_uid = 1000,
		.container_gid = 1000,
		.status = "pending",
		.max_iterations = (uint32_t)s->manifest->spec.execution.max_iterations,
	};
	struct flow *f;

	rt_random(random, sizeof(random));
	row.id = uuid_from_random(random);
	int r = resume_make(s, SPAN(""), &row.resume);
	if (r == 0)
		r = flow_load(x, &row, &f);
	if (r < 0)
		return err_trace(r);
	r = resume_make(s, rule_set_hash(f->rules), &row.resume);
	if (r < 0) {
		flow_unref(f);
		return err_trace(r);
	}
	r = map_put(&x->by_id, span_of(f->id.bytes, sizeof(f->id.bytes)), f);
	if (r == 0) {
		r = start_record(s, f, &row);
		if (r < 0 || x->stopping)
			map_remove(&x->by_id, span_of(f->id.bytes, sizeof(f->id.bytes)));
	}
	if (r < 0 || x->stopping) { /* recorded: the next process takes it up */
		flow_unref(f);
	} else {
		x->queued++;
		list_push_back(&x->queue, &f->link);
		waitq_wake_all(&x->wake);
	}
	*ret_id = row.id;
	return err_trace(r);
}

int execution_start(struct executions *x, const struct execution_request *q, struct arena *a,
	struct uuid *ret_id, struct span *ret_why, int64_t deadline_ns)
{
	struct start s = {.x = x, .q = q, .arena = a, .why = ret_why};

	if (x->stopping)
		return outcome(&s, EXECUTION_BUSY, "the daemon is stopping");
	if (x->queued >= LIMIT_EXECUTION_QUEUE)
		return outcome(&s, EXECUTION_BUSY, "%d executions wait already; come again",
			LIMIT_EXECUTION_QUEUE);
	int r = store_agent_get(x->deps.store, q->agent_id, a, &s.agent, deadline_ns);
	if (r == STORE_NOT_FOUND)
		return outcome(&s, EXECUTION_NOT_FOUND, "there is no agent of that id");
	if (r < 0)
		return err_trace(r);
	if (q->tenant_id.n && !span_eq(q->tenant_id, s.agent.tenant_id))
		return outcome(&s, EXECUTION_NOT_FOUND, "there is no agent of that id");
	if (strcmp(s.agent.status, "active") != 0)
		return outcome(&s, EXECUTION_REFUSED, "the agent is %s; only active ones run",
			s.agent.status);
	r = manifest_check(&s);
	if (r == 0)
		r = input_check(&s);
	if (r == 0)
		r = start_flow(&s, ret_id);
	agent_manifest_unref(s.manifest);
	return err_trace(r);
}

/* ---- after that ---- */

/* Of one that is not in memory: 0 if it has ended, EXECUTION_NOT_FOUND. */
static AWAITS int in_store(struct executions *x, struct uuid id, int64_t deadline_ns)
{
	struct arena *a CLEANUP(arena_cleanup) = arena_new(16 * LIMIT_EXECUTION_INPUT_BYTES);
	struct store_execution row;

	if (!a)
		return err_raise(-ENOMEM, "execution: out of memory");
	int r = store_execution_get(x->deps.store, id, a, &row, deadline_ns);
	return r == STORE_NOT_FOUND ? EXECUTION_NOT_FOUND : err_trace(r);
}

static AWAITS int wait_ended(struct flow *f, int64_t deadline_ns)
{
	while (map_get(&f->x->by_id, span_of(f->id.bytes, sizeof(f->id.bytes))) == f) {
		int r = waitq_wait(&f->ended, deadline_ns);
		if (r < 0)
			return r;
	}
	return f->finished ? 0 : -ECANCELED;
}

int execution_wait(struct executions *x, struct uuid id, int64_t deadline_ns)
{
	struct flow *f = flow_find(x, id);

	if (!f)
		return err_trace(in_store(x, id, deadline_ns));
	int r = wait_ended(f, deadline_ns);
	flow_unref(f);
	return r;
}

int execution_cancel(
	struct executions *x, struct uuid id, struct span reason, bool force, int64_t deadline_ns)
{
	struct flow *f = flow_find(x, id);

	if (!f) {
		int r = in_store(x, id, deadline_ns);
		return r == 0 ? EXECUTION_FINISHED : err_trace(r);
	}
	if (!f->cancel_asked) {
		f->cancel_asked = true;
		f->cancel_force = force;
		snprintf(f->end_reason, sizeof(f->end_reason), "%.*s",
			(int)MIN(reason.n, sizeof(f->end_reason) - 1), reason.n ? reason.p : "");
		if (!reason.n)
			snprintf(f->end_reason, sizeof(f->end_reason), "asked by a client");
	}
	if (!f->running && !list_empty(&f->link)) {
		/* One that waits has no fiber: it gets one out of turn, which ends at once. */
		if (flow_begin(x, f) < 0)
			err_clear(); /* in its turn, then */
	}
	waitq_wake_all(&f->changed);
	int r = wait_ended(f, deadline_ns);
	flow_unref(f);
	return r;
}
