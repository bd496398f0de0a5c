/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * A signed call on its way: authenticated, decided and run by daemon/tool, on record, answered.
 *
 * The record comes first. A tool that may change something is recorded as authorized between the
 * decision and the tool, and its end afterwards; one that only reads is recorded once, with its
 * outcome, before the answer. Each record holds the bytes that were signed, the signature and the
 * key: the caller cannot deny it.
 */
#include "daemon/smcp/internal.h"

enum { INLINE_BYTES = 16 * 1024 }; /* longer envelopes become blobs, named by their hash */

struct invocation {
	struct call *call;
	char id_text[UUID_TEXT_BYTES];
	struct uuid id;
	struct span name;
	struct grant *grant; /* a reference; NULL for a workload in a sandbox */
	bool authorized; /* on record already */
	const struct tool_context *tools; /* the workload's, or `own` */
	struct tool_context own;
	struct tool_result result;
};

/* ---- records ---- */

/* What makes the call undeniable: the signed bytes, the signature, the key. */
static int proof_put(struct entry *e, const struct invocation *v)
{
	const struct call *c = v->call;
	struct buf hex CLEANUP(buf_fini) = buf_init(2 * STORE_HASH_BYTES + 1);

	if (c->signed_bytes.n <= INLINE_BYTES) {
		json_field_span(&e->w, "envelope", c->signed_bytes);
	} else {
		struct store_hash hash = store_hash_of(c->signed_bytes);
		hex_encode(&hex, span_of(hash.bytes, sizeof(hash.bytes)));
		json_field_span(&e->w, "envelope_hash", buf_view(&hex));
		e->blobs[e->blob_count++] = c->signed_bytes;
	}
	json_field_span(&e->w, "signature", c->envelope.signature_text);
	json_field_cstr(&e->w, "public_key", c->session->public_key_text);
	return err_trace(buf_error(&hex));
}

static struct store_event *event_begin(struct entry *e, enum event_type t, struct invocation *v)
{
	struct store_event *event = entry_event(e, t, v->call->s, v->call->session);

	event->call_id = v->id;
	json_field_cstr(&e->w, "invocation_id", v->id_text);
	json_field_span(&e->w, "tool_name", v->name);
	return event;
}

/* `t` is what is known so far: of a read-only tool everything, else the decision. */
static int authorized_event(struct entry *e, struct invocation *v, const struct tool_result *t)
{
	struct store_event *event = event_begin(e, EVENT_SMCP_CALL_AUTHORIZED, v);
	event->id = v->id; /* the one event of this type and call */
	event->message = span_cstr(
		arena_printf(e->arena, "Tool " SPAN_FMT " authorized", SPAN_ARG(v->name)));
	int r = tool_decision_put(&e->w, &t->decision, t->canonical_request, TOOL_SIGNED_BY_AGENT);
	return r < 0 ? err_trace(r) : err_trace(proof_put(e, v));
}

static void outcome_put(struct entry *e, const struct tool_result *t)
{
	json_field_span(&e->w, "server_id", t->server);
	json_field_i64(&e->w, "duration_ms", t->duration_ns / NS_PER_MS);
	if (t->status == TOOL_OK) {
		json_field_span(&e->w, "result", t->content);
	} else {
		json_field_span(&e->w, "error", t->content);
		json_field_i64(&e->w, "code", tool_status_rpc_code(t->status));
	}
}

/* One that ran, read-only, in one event; or the end of one that is on record as authorized. */
static int ran_event(struct entry *e, struct invocation *v)
{
	const struct tool_result *t = &v->result;
	int r = 0;

	if (v->authorized)
		event_begin(e, t->status == TOOL_OK ? EVENT_TOOL_COMPLETED : EVENT_TOOL_FAILED, v);
	else
		r = authorized_event(e, v, t);
	if (r < 0)
		return err_trace(r);
	outcome_put(e, t);
	return err_trace(entry_event_end(e));
}

static int denied_event(struct entry *e, struct invocation *v)
{
	const struct tool_result *t = &v->result;

	event_begin(e, EVENT_POLICY_VIOLATION_BLOCKED, v);
	json_field_cstr(&e->w, "violation_type", decision_code_name(t->decision.code));
	json_field_span(&e->w, "details", t->content);
	int r = tool_decision_put(&e->w, &t->decision, t->canonical_request, TOOL_SIGNED_BY_AGENT);
	if (r == 0)
		r = proof_put(e, v);
	if (r == 0)
		r = entry_event_end(e);
	return err_trace(r);
}

/* Signed, and not a call that could be decided. */
static int failed_event(struct entry *e, struct invocation *v)
{
	event_begin(e, EVENT_TOOL_FAILED, v);
	json_field_span(&e->w, "error", v->result.content);
	json_field_i64(&e->w, "code", tool_status_rpc_code(v->result.status));
	int r = proof_put(e, v);
	return r < 0 ? err_trace(r) : err_trace(entry_event_end(e));
}

static AWAITS int outcome_record(struct invocation *v)
{
	struct entry e;
	int r = entry_begin(&e);

	if (r == 0) {
		switch (v->result.status) {
		case TOOL_OK:
		case TOOL_FAILED:
			r = ran_event(&e, v);
			break;
		case TOOL_DENIED:
			r = denied_event(&e, v);
			break;
		case TOOL_BAD_ARGUMENTS:
		case TOOL_UNKNOWN:
			r = failed_event(&e, v);
			break;
		}
	}
	if (r == 0)
		r = entry_record(
			&e, v->call->s, v->call->q->workload == NULL, deadline_in_ms(PUBLISH_MS));
	entry_fini(&e);
	return err_trace(r);
}

/* tool_allowed_fn: the tool waits until this is durable. */
static AWAITS int authorized_record(void *invocation, const struct tool_result *so_far)
{
	struct invocation *v = invocation;
	struct entry e;
	int r = entry_begin(&e);

	if (r == 0)
		r = authorized_event(&e, v, so_far);
	if (r == 0)
		r = entry_event_end(&e);
	if (r == 0)
		r = entry_record(
			&e, v->call->s, v->call->q->workload == NULL, deadline_in_ms(PUBLISH_MS));
	entry_fini(&e);
	v->authorized = r == 0;
	return err_trace(r);
}

/* ---- answers ---- */

static void answer_content(struct call *c, const struct tool_result *t)
{
	struct json_writer w;

	answer_result_begin(c, &w);
	json_object(&w);
	json_key(&w, "content");
	json_array(&w);
	json_object(&w);
	json_field_cstr(&w, "type", "text");
	json_field_span(&w, "text", t->content);
	json_end(&w);
	json_end(&w);
	json_field_bool(&w, "isError", t->status != TOOL_OK);
	json_end(&w);
	answer_result_end(c, &w);
}

static void answer_outcome(struct call *c, const struct tool_result *t)
{
	switch (t->status) {
	case TOOL_OK:
	case TOOL_FAILED: /* MCP: a tool's own failure is a result that the model reads */
		answer_content(c, t);
		return;
	case TOOL_DENIED:
		answer_error(c, (int)t->decision.code, t->content, t->decision.policy_id);
		return;
	case TOOL_BAD_ARGUMENTS:
		answer_rpc_error(c, 422, -32602, t->content);
		return;
	case TOOL_UNKNOWN:
		answer_error(c, DECISION_TOOL_NOT_ALLOWED, t->content, SPAN(""));
		return;
	}
	UNREACHABLE();
}

/* ---- tools/call ---- */

static int arguments_of(struct call *c, struct span *ret)
{
	const struct json *arguments = json_get(c->envelope.params, "arguments");
	struct buf b CLEANUP(buf_fini) = buf_init(2 * (size_t)LIMIT_SMCP_BODY_BYTES);
	struct json_writer w = json_writer(&b);

	*ret = SPAN("{}");
	if (!arguments)
		return 0;
	json_put(&w, arguments);
	int r = buf_error(&b);
	if (r < 0)
		return err_trace(r);
	*ret = arena_span(c->arena, buf_view(&b));
	return ret->p ? 0 : err_raise(-ENOMEM, "invoke: request memory used up");
}

/* A workload is decided by its execution's rules, which may change while its call waits; a client
 * by its context's, as they were when the call came. */
static AWAITS int tools_of(struct invocation *v)
{
	struct call *c = v->call;
	const struct smcp_workload *w = c->q->workload;
	int r = 0;

	if (w) {
		v->tools = w->tools;
	} else {
		r = session_grant(c->session, &v->grant, c->deadline_ns);
		if (r != 0)
			return err_trace(r);
		v->tools = &v->own;
		v->own = (struct tool_context){
			.execution_id = span_cstr(c->session->id_text),
			.agent = span_cstr(c->session->workload_id),
			.tenant = span_cstr(c->s->o.tenant_id),
			.rules = v->grant->rules->rules,
			.rate = v->grant->rules->rate,
			.workspace_path = SPAN("/workspace"),
			.source = c->s->o.source,
		};
		if (span_starts(v->name, SPAN("fs.")))
			r = workspace_open(c->session, v->grant, c->deadline_ns);
		v->own.workspace = v->grant->workspace;
	}
	return err_trace(r);
}

static AWAITS int call_run(struct invocation *v)
{
	struct call *c = v->call;
	struct span arguments;
	int r = arguments_of(c, &arguments);

	if (r == 0)
		r = tools_of(v);
	if (r == SMCP_SCOPE_NOT_FOUND) {
		answer_error(c, SMCP_SESSION_INACTIVE,
			SPAN("the session's security context exists no more"), SPAN(""));
		return 0;
	}
	if (r < 0)
		return err_trace(r);
	struct tool_envelope e = {
		.call_id = span_cstr(v->id_text),
		.name = v->name,
		.arguments = arguments,
		.signer = TOOL_SIGNED_BY_AGENT,
		.signature = c->envelope.signature_text,
		.canonical = c->signed_bytes,
		.allowed = authorized_record,
		.allowed_ctx = v,
	};
	r = tool_invoke(v->tools, &e, c->arena, c->deadline_ns, &v->result);
	if (r == 0)
		r = outcome_record(v);
	if (r == 0)
		answer_outcome(c, &v->result);
	return err_trace(r);
}

static struct uuid id_new(struct smcp_service *s)
{
	if (s->random_left == 0) {
		rt_random(s->random, sizeof(s->random));
		s->random_left = CALL_IDS;
	}
	return uuid_from_random(s->random[--s->random_left]);
}

static AWAITS int tools_call(struct call *c)
{
	struct invocation v = {.call = c, .name = json_str(c->envelope.params, "name", SPAN(""))};

	if (v.name.n == 0 || v.name.n > LIMIT_NAME_BYTES) {
		answer_rpc_error(
			c, 422, -32602, SPAN("params.name: the name of a tool is expected"));
		return 0;
	}
	v.id = id_new(c->s);
	uuid_text(v.id, v.id_text);
	int r = call_run(&v);
	grant_unref(v.grant);
	return err_trace(r);
}

/* ---- tools/list ---- */

static AWAITS int tools_list(struct call *c)
{
	const struct smcp_workload *workload = c->q->workload;
	struct grant *g = NULL;
	struct json_writer w;
	int r = workload ? 0 : session_grant(c->session, &g, c->deadline_ns);

	if (r == SMCP_SCOPE_NOT_FOUND) {
		answer_error(c, SMCP_SESSION_INACTIVE,
			SPAN("the session's security context exists no more"), SPAN(""));
		return 0;
	}
	if (r < 0)
		return err_trace(r);
	answer_result_begin(c, &w);
	json_object(&w);
	json_key(&w, "tools");
	r = smcp_tools_put(
		&w, workload ? workload->tools->rules : g->rules->rules, c->s->o.source, c->arena);
	grant_unref(g);
	if (r < 0)
		return err_trace(r);
	json_end(&w);
	answer_result_end(c, &w);
	return 0;
}

int invoke_serve(struct call *c)
{
	if (span_is(c->envelope.method, "tools/call"))
		return err_trace(tools_call(c));
	if (span_is(c->envelope.method, "tools/list"))
		return err_trace(tools_list(c));
	answer_rpc_error(c, 200, -32601, SPAN("method: tools/call and tools/list are accepted"));
	return 0;
}
