/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * One message: what kind it is, whose session it belongs to, which method it asks for. Faults of
 * the transport (no JSON, no session, an unknown version) have an HTTP status; everything else is
 * a JSON-RPC answer under 200.
 */
#include "daemon/mcp/internal.h"
#include <stdio.h>

/* Newest first. A client that asks for another one is offered the newest. */
static const char *const versions[] = {"2025-11-25", "2025-06-18", "2025-03-26"};

static const char *version_of(struct span s)
{
	for (size_t i = 0; i < ARRAY_LEN(versions); i++)
		if (span_is(s, versions[i]))
			return versions[i];
	return NULL;
}

/* ---- answers ---- */

static void begin(struct request *q, struct json_writer *w)
{
	buf_reset(q->x->reply);
	*w = json_writer(q->x->reply);
	json_object(w);
	json_field_cstr(w, "jsonrpc", "2.0");
	json_key(w, "id");
	if (q->id)
		json_put(w, q->id);
	else
		json_put_null(w);
}

void message_error(struct request *q, int status, enum rpc_code code, const char *fmt, ...)
{
	struct json_writer w;
	char text[512];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	err_clear();
	begin(q, &w);
	json_key(&w, "error");
	json_object(&w);
	json_field_i64(&w, "code", code);
	json_field_cstr(&w, "message", text);
	json_end(&w);
	json_end(&w);
	q->x->status = status;
}

void message_result_begin(struct request *q, struct json_writer *w)
{
	begin(q, w);
	json_key(w, "result");
}

void message_result_end(struct request *q, struct json_writer *w)
{
	json_end(w);
	q->x->status = 200;
}

/* ---- methods ---- */

static void initialize_reply(struct request *q, const char *version, const struct mcp_session *x)
{
	struct json_writer w;

	message_result_begin(q, &w);
	json_object(&w);
	json_field_cstr(&w, "protocolVersion", version);
	json_key(&w, "capabilities");
	json_object(&w);
	json_key(&w, "tools");
	json_object(&w);
	json_field_bool(&w, "listChanged", false);
	json_end(&w);
	json_end(&w);
	json_key(&w, "serverInfo");
	json_object(&w);
	json_field_cstr(&w, "name", "aegis");
	json_field_cstr(&w, "title", "AEGIS");
	json_field_cstr(&w, "version", AEGIS_VERSION);
	json_end(&w);
	/* smcp-v1-specification, section 10.1.1 */
	json_key(&w, "extensions");
	json_object(&w);
	json_key(&w, "smcp");
	json_object(&w);
	json_field_bool(&w, "supported", true);
	json_field_cstr(&w, "version", "v1");
	json_field_cstr(&w, "attestation_endpoint", "/v1/smcp/attest");
	json_end(&w);
	json_end(&w);
	json_end(&w);
	message_result_end(q, &w);
	memcpy(q->x->new_session, x->id, sizeof(x->id));
}

static AWAITS int initialize(struct request *q)
{
	const char *version = version_of(json_str(q->params, "protocolVersion", SPAN("")));
	struct mcp_session *x;
	int r = mcp_session_open(
		q->s, q->x->context_name, json_get(q->params, "clientInfo"), &x, q->x->deadline_ns);

	if (r == SMCP_SCOPE_NOT_FOUND) {
		message_error(q, 403, RPC_INVALID_REQUEST,
			"'" SPAN_FMT "' is no security context of this node: name one with "
			"?security_context= or the header X-Aegis-Security-Context",
			SPAN_ARG(q->x->context_name));
		return 0;
	}
	if (r < 0)
		return err_trace(r);
	initialize_reply(q, version ? version : versions[0], x);
	return 0;
}

static int tools_list(struct request *q)
{
	struct json_writer w;

	message_result_begin(q, &w);
	json_object(&w);
	json_key(&w, "tools");
	int r = smcp_tools_put(&w, q->rules->rules, q->s->o.source, q->x->arena);
	if (r < 0)
		return err_trace(r);
	json_end(&w);
	message_result_end(q, &w);
	return 0;
}

static int ping(struct request *q)
{
	struct json_writer w;

	message_result_begin(q, &w);
	json_object(&w);
	json_end(&w);
	message_result_end(q, &w);
	return 0;
}

static AWAITS int method_serve(struct request *q)
{
	if (span_is(q->method, "tools/call"))
		return err_trace(tools_call(q));
	if (span_is(q->method, "tools/list"))
		return err_trace(tools_list(q));
	if (span_is(q->method, "ping"))
		return ping(q);
	message_error(q, 200, RPC_METHOD_NOT_FOUND,
		"method '" SPAN_FMT "' is not offered: initialize, ping, tools/list and tools/call "
		"are",
		SPAN_ARG(span_sub(q->method, 0, 100)));
	return 0;
}

/* ---- the message ---- */

/* The session's context as it is now: it may have changed, or be gone. */
static AWAITS int rules_take(struct request *q, bool *ret_good)
{
	int r = smcp_rules_of(
		q->s->o.smcp, span_cstr(q->session->scope), &q->rules, q->x->deadline_ns);

	*ret_good = r == 0;
	if (r != SMCP_SCOPE_NOT_FOUND)
		return err_trace(r);
	message_error(q, 403, RPC_INVALID_REQUEST,
		"the security context '%s' exists no more: initialize with another",
		q->session->scope);
	return 0;
}

static bool session_take(struct request *q)
{
	if (q->x->session_id.n == 0) {
		message_error(q, 400, RPC_INVALID_REQUEST,
			"the header Mcp-Session-Id is missing: initialize first");
		return false;
	}
	q->session = mcp_session_find(q->s, q->x->session_id);
	if (!q->session)
		message_error(q, 404, RPC_INVALID_REQUEST,
			"there is no such session any more: initialize again");
	return q->session != NULL;
}

static bool version_check(struct request *q)
{
	if (q->x->protocol_version.n == 0 || version_of(q->x->protocol_version))
		return true;
	message_error(q, 400, RPC_INVALID_REQUEST,
		"MCP-Protocol-Version: %s, %s and %s are accepted", versions[0], versions[1],
		versions[2]);
	return false;
}

/* True if it is a request; else it is answered. */
static bool request_read(struct request *q, const struct json *v)
{
	const struct json *id = json_get(v, "id");

	if (v->type != JSON_OBJECT || !span_is(json_str(v, "jsonrpc", SPAN("")), "2.0")) {
		message_error(q, 400, RPC_INVALID_REQUEST,
			"one JSON-RPC 2.0 message is expected, not %s", json_type_name(v->type));
		return false;
	}
	q->method = json_str(v, "method", SPAN(""));
	if (q->method.n == 0 || !id) { /* a response, or a notification: nothing to say to it */
		if (q->method.n == 0 && !json_get(v, "result") && !json_get(v, "error"))
			message_error(q, 400, RPC_INVALID_REQUEST, "method is missing");
		else if (session_take(q))
			q->x->status = 202;
		return false;
	}
	if (id->type != JSON_STRING && id->type != JSON_NUMBER) {
		message_error(q, 400, RPC_INVALID_REQUEST, "id: a string or a number is expected");
		return false;
	}
	q->id = id;
	q->params = json_get(v, "params");
	if (q->params && q->params->type != JSON_OBJECT) {
		message_error(q, 200, RPC_INVALID_PARAMS, "params: an object is expected");
		return false;
	}
	return true;
}

static AWAITS int post(struct request *q)
{
	const struct json *v;
	int r = json_parse(q->x->arena, q->x->body, NULL, &v);

	if (r == -ENOMEM)
		return err_trace(r);
	if (r < 0) {
		message_error(
			q, 400, RPC_PARSE_ERROR, "no JSON that is accepted: %s", err_message(r));
		return 0;
	}
	if (!request_read(q, v))
		return 0;
	if (span_is(q->method, "initialize"))
		return err_trace(initialize(q));
	if (!version_check(q) || !session_take(q))
		return 0;
	bool good;
	r = rules_take(q, &good);
	return r < 0 || !good ? err_trace(r) : err_trace(method_serve(q));
}

int mcp_post(struct mcp_service *s, struct mcp_exchange *x)
{
	struct request q = {.s = s, .x = x};

	x->new_session[0] = '\0';
	int r = post(&q);
	mcp_session_unref(q.session);
	smcp_rules_unref(q.rules);
	if (r == 0)
		r = buf_error(x->reply);
	if (r == 0 || r == -ECANCELED)
		return r;
	err_log(r, "mcp");
	message_error(&q, r == -ENOSPC || r == -EAGAIN || r == -ETIME ? 503 : 500,
		RPC_INTERNAL_ERROR, "the daemon failed; its log says why");
	return 0;
}

int mcp_delete(struct mcp_service *s, struct span session_id)
{
	if (session_id.n == 0)
		return 400;
	return mcp_session_close(s, session_id) ? 204 : 404;
}
