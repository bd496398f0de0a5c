/* SPDX-License-Identifier: AGPL-3.0-only */
/* What the node offers to agents and clients: its tools, and the servers that some of them come
 * from. */
#include "daemon/api/call.h"

static AWAITS void tools_list(struct api_call *c)
{
	struct buf b CLEANUP(buf_fini) = api_reply_begin();
	struct json_writer w = json_writer(&b);

	json_object(&w);
	json_key(&w, "items");
	int r = smcp_tools_put(&w, NULL, c->api->deps.source, c->arena);
	if (r < 0) {
		api_failed(c, r, "list the tools");
		return;
	}
	json_end(&w);
	api_reply_end(c, 200, &b);
}

static AWAITS void servers_list(struct api_call *c)
{
	struct buf b CLEANUP(buf_fini) = api_reply_begin();
	struct json_writer w = json_writer(&b);

	json_object(&w);
	json_key(&w, "items");
	if (c->api->deps.tool_servers) {
		c->api->deps.tool_servers(c->api->deps.ctx, &w);
	} else {
		json_array(&w);
		json_end(&w);
	}
	json_end(&w);
	api_reply_end(c, 200, &b);
}

const struct api_route api_routes_tools[] = {
	{HTTP_GET, "/v1/tools", tools_list, 0, false},
	{HTTP_GET, "/v1/tool-servers", servers_list, 0, false},
};
const size_t api_routes_tools_count = ARRAY_LEN(api_routes_tools);
