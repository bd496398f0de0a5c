/* SPDX-License-Identifier: AGPL-3.0-only */
/* /mcp: the address of the MCP server (Streamable HTTP). The door has checked key and Origin. */
#include "daemon/api/call.h"

static bool is_absent(struct api_call *c)
{
	if (c->api->deps.mcp)
		return false;
	api_error(c, 501, "not_served", "MCP is not served by this node");
	return true;
}

static AWAITS void post(struct api_call *c)
{
	struct buf reply CLEANUP(buf_fini) = api_reply_begin();
	struct mcp_exchange x = {
		.body = c->body,
		.session_id = http_header_get(c->q->head, "Mcp-Session-Id"),
		.protocol_version = http_header_get(c->q->head, "MCP-Protocol-Version"),
		.arena = c->arena,
		.deadline_ns = c->deadline_ns,
		.reply = &reply,
	};

	if (is_absent(c) || !api_query(c, "security_context", &x.context_name))
		return;
	if (x.context_name.n == 0)
		x.context_name = http_header_get(c->q->head, "X-Aegis-Security-Context");
	int r = mcp_post(c->api->deps.mcp, &x);
	if (r == -ECANCELED) { /* as in SMCP: no answer, where nobody knows one */
		http_reply_drop(c->p);
		return;
	}
	if (r < 0) {
		api_failed(c, r, "serve MCP");
		return;
	}
	if (x.new_session[0])
		http_reply_header(c->p, "Mcp-Session-Id", span_cstr(x.new_session));
	if (reply.len == 0)
		(void)!http_reply(c->p, x.status, NULL, SPAN(""));
	else
		api_reply_end(c, x.status, &reply);
}

static AWAITS void delete_session(struct api_call *c)
{
	if (is_absent(c))
		return;
	int status = mcp_delete(c->api->deps.mcp, http_header_get(c->q->head, "Mcp-Session-Id"));
	if (status == 204)
		(void)!http_reply(c->p, status, NULL, SPAN(""));
	else
		api_error(c, status, "no_session", "Mcp-Session-Id names no session");
}

const struct api_route api_routes_mcp[] = {
	{HTTP_POST, "/mcp", post, LIMIT_API_BODY_BYTES, false},
	{HTTP_DELETE, "/mcp", delete_session, 0, false},
};
const size_t api_routes_mcp_count = ARRAY_LEN(api_routes_mcp);
