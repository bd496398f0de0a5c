/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * What the callers read. Success: {protocol, status, payload: {jsonrpc, id, result}}; both SDKs
 * take payload.result. Errors of an envelope: {protocol, status: "error", error: {code, message,
 * ...}}. Errors of an attestation: {status: "error", error_code, message}, with `error` besides,
 * which is where one of the SDKs looks; SMCP's error_code is the name, SEAL's the number.
 */
#include "daemon/smcp/internal.h"

static void begin(struct call *c, struct json_writer *w, const char *status)
{
	buf_reset(c->reply);
	*w = json_writer(c->reply);
	json_object(w);
	json_field_cstr(w, "protocol", smcp_protocol_name(c->q->protocol));
	json_field_cstr(w, "status", status);
}

static void time_put(struct json_writer *w, const char *key, int64_t wall_ns)
{
	char text[CLOCK_RFC3339_BYTES];

	clock_rfc3339(wall_ns, 3, text);
	json_field_cstr(w, key, text);
}

static void error_put(
	struct call *c, struct json_writer *w, int code, struct span message, struct span policy_id)
{
	json_key(w, "error");
	json_object(w);
	json_field_i64(w, "code", code);
	if (code > 0)
		json_field_cstr(w, "name", smcp_code_name(code));
	json_field_span(w, "message", message);
	time_put(w, "timestamp", rt_wall_ns());
	json_key(w, "request_id");
	if (c->envelope.id)
		json_put(w, c->envelope.id);
	else
		json_put_null(w);
	if (policy_id.n) {
		json_key(w, "details");
		json_object(w);
		json_field_span(w, "policy_id", policy_id);
		json_end(w);
	}
	json_end(w);
}

void answer_error(struct call *c, int code, struct span message, struct span policy_id)
{
	struct json_writer w;

	begin(c, &w, "error");
	if (c->q->operation == SMCP_OP_ATTEST) {
		json_key(&w, "error_code");
		if (c->q->protocol == SEAL_V1)
			json_put_i64(&w, code);
		else
			json_put_cstr(&w, smcp_code_name(code));
		json_field_span(&w, "message", message);
	}
	error_put(c, &w, code, message, policy_id);
	json_end(&w);
	*c->status = smcp_code_http(code);
}

void answer_refusal(struct call *c, const struct smcp_refusal *why)
{
	answer_error(c, why->code, span_cstr(why->reason), SPAN(""));
}

void answer_token(struct call *c, const struct session *x, struct span token, const char *status)
{
	struct json_writer w;

	begin(c, &w, status);
	json_field_span(&w, "security_token", token);
	time_put(&w, "expires_at", x->expires_s * NS_PER_S);
	json_field_cstr(&w, "session_id", x->id_text);
	json_field_cstr(&w, "security_context", x->scope);
	json_end(&w);
	*c->status = 200;
}

void answer_provisioned(struct call *c, const struct session *x, struct span token)
{
	struct json_writer w;

	begin(c, &w, "success");
	json_field_cstr(&w, "execution_id", x->id_text);
	json_field_cstr(&w, "session_id", x->id_text);
	json_field_span(&w, "security_token", token);
	time_put(&w, "expires_at", x->expires_s * NS_PER_S);
	json_field_cstr(&w, "security_context_name", x->scope);
	json_field_cstr(&w, "session_status", "Active");
	json_end(&w);
	*c->status = 201;
}

static void payload_begin(struct call *c, struct json_writer *w)
{
	json_key(w, "payload");
	json_object(w);
	json_field_cstr(w, "jsonrpc", "2.0");
	json_key(w, "id");
	json_put(w, c->envelope.id);
}

void answer_result_begin(struct call *c, struct json_writer *w)
{
	begin(c, w, "success");
	payload_begin(c, w);
	json_key(w, "result");
}

void answer_result_end(struct call *c, struct json_writer *w)
{
	json_end(w);
	json_end(w);
	*c->status = 200;
}

void answer_rpc_error(struct call *c, int status, int code, struct span message)
{
	struct json_writer w;

	begin(c, &w, "error");
	error_put(c, &w, code, message, SPAN(""));
	payload_begin(c, &w);
	json_key(&w, "error");
	json_object(&w);
	json_field_i64(&w, "code", code);
	json_field_span(&w, "message", message);
	json_end(&w);
	json_end(&w);
	json_end(&w);
	*c->status = status;
}
