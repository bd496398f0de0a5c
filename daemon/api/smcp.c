/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * /v1/smcp and /v1/seal: the same six operations under two names, and what operators see of
 * sessions and keys. Callers that prove themselves by an envelope need no bearer key.
 */
#include "daemon/api/call.h"

static bool is_absent(struct api_call *c)
{
	if (c->api->deps.smcp)
		return false;
	api_error(c, 501, "not_served", "SMCP is not served by this node");
	return true;
}

/* The body is as the protocol wants it; its errors are not the API's. */
static AWAITS void operation(struct api_call *c)
{
	struct buf reply CLEANUP(buf_fini) = api_reply_begin();
	struct smcp_request q = {.body = c->body};
	int status;

	if (is_absent(c))
		return;
	CHECK(smcp_request_of(c->q->head->method == HTTP_POST, c->q->head->path, &q));
	if (q.operation == SMCP_OP_TOOLS) {
		if (!api_query(c, "security_context", &q.context_name))
			return;
		if (q.context_name.n == 0)
			q.context_name = http_header_get(c->q->head, "X-Zaru-Security-Context");
	}
	int r = smcp_serve(c->api->deps.smcp, &q, c->arena, &reply, &status, c->deadline_ns);
	if (r == -ECANCELED) /* what became of it nobody here knows: no answer claims to */
		http_reply_drop(c->p);
	else if (r < 0)
		api_failed(c, r, "serve SMCP");
	else
		api_reply_end(c, status, &reply);
}

static AWAITS void jwks(struct api_call *c)
{
	struct buf b CLEANUP(buf_fini) = api_reply_begin();
	struct json_writer w = json_writer(&b);

	if (is_absent(c))
		return;
	smcp_service_jwks(c->api->deps.smcp, &w);
	api_reply_end(c, 200, &b);
}

static AWAITS void keys_rotate(struct api_call *c)
{
	if (is_absent(c))
		return;
	int r = smcp_service_rotate(c->api->deps.smcp, c->deadline_ns);
	if (r < 0)
		api_failed(c, r, "make new signing keys");
	else
		jwks(c);
}

/* ---- sessions ---- */

static const char *status_word(const char *status)
{
	return strcmp(status, "active") == 0     ? "Active"
		: strcmp(status, "revoked") == 0 ? "Revoked"
						 : "Expired";
}

static void session_put(struct json_writer *w, const struct store_session *v)
{
	json_object(w);
	api_put_uuid(w, "session_id", v->id);
	api_put_uuid(w, "execution_id", v->execution_id);
	api_put_uuid(w, "agent_id", v->agent_id);
	json_field_span(w, "protocol", v->protocol);
	json_field_span(w, "sub", v->subject);
	json_field_span(w, "workload_id", v->workload_id);
	json_field_span(w, "security_context_name", v->security_context);
	json_field_span(w, "tenant_id", v->tenant_id);
	json_field_span(w, "public_key_b64", v->public_key);
	json_field_cstr(w, "session_status", status_word(v->status));
	api_put_time(w, "created_at", v->created_ns);
	api_put_time(w, "expires_at", v->expires_ns);
	api_put_time(w, "ended_at", v->ended_ns);
	json_end(w);
}

static AWAITS void sessions_list(struct api_call *c)
{
	struct store_session_query q = {0};
	struct store_sessions list;
	struct api_list l;
	bool all;

	if (!api_page(c, &q.page) || !api_query_bool(c, "all", false, &all))
		return;
	q.unfinished = !all;
	if (!api_list_begin(c, &l))
		return;
	int r = store_session_list(c->api->deps.store, &q, c->arena, &list, c->deadline_ns);
	if (r < 0) {
		api_failed(c, r, "list the sessions");
		return;
	}
	l.w = json_writer(&l.b);
	json_array(&l.w);
	for (l.count = 0; l.count < list.count; l.count++)
		session_put(&l.w, &list.items[l.count]);
	json_end(&l.w);
	api_list_end(c, &l);
}

/* The sessions that {id} means: one by its own id, or those of an execution. False if answered. */
static AWAITS bool sessions_find(struct api_call *c, struct store_sessions *ret)
{
	struct store_session *one = arena_make(c->arena, struct store_session);
	struct store_session_query q = {0};

	if (!api_id(c, "id", "session", &q.execution_id))
		return false;
	int r = one ? store_session_get(
			      c->api->deps.store, q.execution_id, c->arena, one, c->deadline_ns)
		    : err_raise(-ENOMEM, "session: request memory used up");
	*ret = (struct store_sessions){one, 1};
	if (r == STORE_NOT_FOUND)
		r = store_session_list(c->api->deps.store, &q, c->arena, ret, c->deadline_ns);
	if (r < 0)
		api_failed(c, r, "read the session");
	else if (ret->count == 0)
		api_error(c, 404, "not_found",
			"there is no session, and no execution with one, of the id '" SPAN_FMT
			"' on this node",
			SPAN_ARG(api_param(c, "id")));
	return r >= 0 && ret->count > 0;
}

static AWAITS void session_get(struct api_call *c)
{
	struct buf b CLEANUP(buf_fini) = api_reply_begin();
	struct json_writer w = json_writer(&b);
	struct store_sessions found;

	if (!sessions_find(c, &found))
		return;
	session_put(&w, &found.items[0]); /* the newest */
	api_reply_end(c, 200, &b);
}

static AWAITS void session_delete(struct api_call *c)
{
	struct buf b CLEANUP(buf_fini) = api_reply_begin();
	struct json_writer w = json_writer(&b);
	struct store_sessions found;
	size_t revoked = 0;

	if (is_absent(c) || !sessions_find(c, &found))
		return;
	for (size_t i = 0; i < found.count; i++) {
		int r = smcp_session_revoke(c->api->deps.smcp, found.items[i].id,
			SPAN("an operator asked for it"), c->deadline_ns);
		if (r < 0) {
			api_failed(c, r, "revoke the session");
			return;
		}
		revoked += r == 0;
	}
	json_object(&w);
	json_field_cstr(&w, "status", "success");
	api_put_uuid(&w, "session_id", found.items[0].id);
	api_put_uuid(&w, "execution_id", found.items[0].execution_id);
	json_field_cstr(
		&w, "session_status", revoked ? "Revoked" : status_word(found.items[0].status));
	json_field_i64(&w, "revoked", (int64_t)revoked);
	api_put_time(&w, "revoked_at", revoked ? rt_wall_ns() : found.items[0].ended_ns);
	json_end(&w);
	api_reply_end(c, 200, &b);
}

#define PROTOCOL_ROUTES(base) \
	{HTTP_POST, base "/attest", operation, LIMIT_SMCP_BODY_BYTES, false}, \
		{HTTP_POST, base "/invoke", operation, LIMIT_SMCP_BODY_BYTES, true, \
			LIMIT_SMCP_OPEN_BODY_BYTES}, \
		{HTTP_POST, base "/refresh", operation, LIMIT_SMCP_BODY_BYTES, true, \
			LIMIT_SMCP_OPEN_BODY_BYTES}, \
		{HTTP_POST, base "/revoke", operation, LIMIT_SMCP_BODY_BYTES, true, \
			LIMIT_SMCP_OPEN_BODY_BYTES}, \
		{HTTP_GET, base "/tools", operation, 0, false}, \
		{HTTP_POST, base "/sessions", operation, LIMIT_SMCP_BODY_BYTES, false}, \
		{HTTP_GET, base "/sessions", sessions_list, 0, false}, \
		{HTTP_GET, base "/sessions/{id}", session_get, 0, false}, \
	{ \
		HTTP_DELETE, base "/sessions/{id}", session_delete, 0, false \
	}

const struct api_route api_routes_smcp[] = {
	PROTOCOL_ROUTES("/v1/smcp"),
	PROTOCOL_ROUTES("/v1/seal"),
	{HTTP_POST, "/v1/smcp/keys/rotate", keys_rotate, 1024, false},
	{HTTP_GET, "/.well-known/jwks.json", jwks, 0, true},
};
const size_t api_routes_smcp_count = ARRAY_LEN(api_routes_smcp);
