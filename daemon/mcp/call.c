/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * tools/call: decided and run by daemon/tool, signed by the daemon for the record, on record before
 * the answer; a tool that may change something is on record before it runs. What policy refuses
 * and what a tool could not do are results that the model reads, as MCP has it.
 */
#include "daemon/mcp/internal.h"

enum { PUBLISH_MS = 60 * 1000, INLINE_BYTES = 16 * 1024 };

struct invocation {
	struct request *q;
	struct uuid id;
	char id_text[UUID_TEXT_BYTES];
	struct span name;
	struct tool_context tools;
	struct tool_result result;
};

/* ---- records ---- */

static void event_begin(
	struct invocation *v, const struct tool_result *t, struct buf *b, struct json_writer *w)
{
	const struct mcp_session *x = v->q->session;

	*w = json_writer(b);
	json_object(w);
	json_field_cstr(w, "session_id", x->id);
	json_field_cstr(w, "protocol", "mcp");
	json_field_cstr(w, "security_context", x->scope);
	json_field_cstr(w, "invocation_id", v->id_text);
	json_field_span(w, "server_id", t->server);
	json_field_span(w, "tool_name", v->name);
}

static AWAITS int event_end(struct invocation *v, enum event_type type, struct buf *b,
	struct json_writer *w, const struct tool_result *t)
{
	static const struct uuid nil;
	struct store_event e = event_of(type, nil, nil, 0);
	struct store_commit c = {.events = &e, .event_count = 1};
	int r = tool_decision_put(w, &t->decision, t->canonical_request, TOOL_SIGNED_BY_DAEMON);

	if (t->envelope.n && t->envelope.n <= INLINE_BYTES) {
		json_field_span(w, "envelope", t->envelope);
		json_field_span(w, "signature", t->signature);
		json_field_cstr(w, "public_key", v->q->session->public_key_text);
	}
	json_end(w);
	if (r == 0)
		r = buf_error(b);
	if (r < 0)
		return err_trace(r);
	e.tenant_id = span_cstr(v->q->s->o.tenant_id);
	e.call_id = v->id;
	e.details = buf_view(b);
	r = event_publish(v->q->s->o.bus, &c, deadline_in_ms(PUBLISH_MS));
	return r > 0 ? err_raise(-EPROTO, "the store refuses a step: %s", c.refusal) : err_trace(r);
}

/* tool_allowed_fn */
static AWAITS int started_record(void *invocation, const struct tool_result *so_far)
{
	struct invocation *v = invocation;
	struct buf b CLEANUP(buf_fini) = buf_init(LIMIT_STORE_TEXT_BYTES);
	struct json_writer w;

	event_begin(v, so_far, &b, &w);
	return err_trace(event_end(v, EVENT_TOOL_STARTED, &b, &w, so_far));
}

static AWAITS int outcome_record(struct invocation *v)
{
	const struct tool_result *t = &v->result;
	struct buf b CLEANUP(buf_fini) = buf_init(LIMIT_STORE_TEXT_BYTES);
	enum event_type type = EVENT_TOOL_FAILED;
	struct json_writer w;

	event_begin(v, t, &b, &w);
	json_field_i64(&w, "duration_ms", t->duration_ns / NS_PER_MS);
	if (t->status == TOOL_OK) {
		type = EVENT_TOOL_COMPLETED;
		json_field_span(&w, "result", t->content);
	} else if (t->status == TOOL_DENIED) {
		type = EVENT_TOOL_DENIED;
		json_field_cstr(&w, "violation_type", decision_code_name(t->decision.code));
		json_field_span(&w, "details", t->content);
	} else {
		json_field_span(&w, "error", t->content);
		json_field_i64(&w, "code", tool_status_rpc_code(t->status));
	}
	return err_trace(event_end(v, type, &b, &w, t));
}

/* ---- the answer ---- */

static void answer(struct invocation *v)
{
	const struct tool_result *t = &v->result;
	struct json_writer w;

	if (t->status == TOOL_UNKNOWN) {
		message_error(v->q, 200, RPC_INVALID_PARAMS, "Unknown tool: " SPAN_FMT,
			SPAN_ARG(v->name));
		return;
	}
	message_result_begin(v->q, &w);
	json_object(&w);
	json_key(&w, "content");
	json_array(&w);
	json_object(&w);
	json_field_cstr(&w, "type", "text");
	json_field_span(&w, "text", t->content);
	json_end(&w);
	json_end(&w);
	json_field_bool(&w, "isError", t->status != TOOL_OK);
	if (t->status == TOOL_DENIED) {
		json_key(&w, "_meta");
		json_object(&w);
		json_field_i64(&w, "aegis/code", (int64_t)t->decision.code);
		json_field_span(&w, "aegis/policy_id", t->decision.policy_id);
		json_end(&w);
	}
	json_end(&w);
	message_result_end(v->q, &w);
}

/* ---- running ---- */

static int arguments_of(struct request *q, struct span *ret)
{
	const struct json *arguments = json_get(q->params, "arguments");
	struct buf b CLEANUP(buf_fini) = buf_init(2 * (size_t)LIMIT_TOOL_ARGUMENT_BYTES);
	struct json_writer w = json_writer(&b);

	*ret = SPAN("{}");
	if (!arguments)
		return 0;
	json_put(&w, arguments);
	int r = buf_error(&b);
	if (r < 0)
		return err_trace(r);
	*ret = arena_span(q->x->arena, buf_view(&b));
	return ret->p ? 0 : err_raise(-ENOMEM, "call: request memory used up");
}

static AWAITS int run(struct invocation *v)
{
	struct mcp_session *x = v->q->session;
	struct tool_envelope e = {.call_id = span_cstr(v->id_text),
		.name = v->name,
		.signer = TOOL_SIGNED_BY_DAEMON,
		.allowed = started_record,
		.allowed_ctx = v};
	int r = arguments_of(v->q, &e.arguments);

	v->tools = (struct tool_context){
		.execution_id = span_cstr(x->id),
		.agent = span_cstr(x->client),
		.tenant = span_cstr(v->q->s->o.tenant_id),
		.rules = v->q->rules->rules,
		.rate = v->q->rules->rate,
		.workspace_path = SPAN("/workspace"),
		.source = v->q->s->o.source,
		.signing_key = x->signing_key,
	};
	if (r == 0)
		r = tool_invoke(&v->tools, &e, v->q->x->arena, v->q->x->deadline_ns, &v->result);
	if (r == 0)
		r = outcome_record(v);
	return err_trace(r);
}

int tools_call(struct request *q)
{
	struct invocation v = {.q = q, .name = json_str(q->params, "name", SPAN(""))};
	uint8_t random[16];

	if (v.name.n == 0 || v.name.n > LIMIT_NAME_BYTES) {
		message_error(
			q, 200, RPC_INVALID_PARAMS, "params.name: the name of a tool is expected");
		return 0;
	}
	rt_random(random, sizeof(random));
	v.id = uuid_from_random(random);
	uuid_text(v.id, v.id_text);
	int r = run(&v);
	if (r == 0)
		answer(&v);
	return err_trace(r);
}
