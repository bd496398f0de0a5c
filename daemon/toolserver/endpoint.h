/* SPDX-License-Identifier: AGPL-3.0-only */
/* A conversation with an address, or a child, that speaks MCP's Streamable HTTP. */
#pragma once

#include "daemon/net/net.h"
#include "daemon/toolserver/client.h"
#include "daemon/toolserver/toolserver.h"

struct mcp_endpoint {
	struct mcp_link link;
	struct mcp_client *client;
	struct http_client *http;
	const struct tool_server_config *config;
	const struct http_dial *dial; /* NULL: by the address */
	char *url;
	char session[256]; /* Mcp-Session-Id; "" if it gave none */
	struct list sending; /* exchanges under way */
};

/* The client has been made with &e->link. With `dial` it is a child of ours. */
int mcp_endpoint_open(struct mcp_endpoint *e, struct mcp_client *c, struct http_client *http,
	const struct tool_server_config *config, const struct http_dial *dial) MUST_USE;
/* Ends the session there, if it can be reached. One that was not opened: nothing. */
AWAITS void mcp_endpoint_close(struct mcp_endpoint *e);

/* The link's two: `send` returns when the whole answer has been delivered. */
void mcp_endpoint_broken(struct mcp_link *l);
AWAITS int mcp_endpoint_send(struct mcp_link *l, struct span message, int64_t deadline_ns);
