/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * AEGIS as an MCP server, layer 4: the governed tools for clients that speak the Model Context
 * Protocol over Streamable HTTP (specifications 2025-03-26 to 2025-11-25), without signing their
 * calls. A client shows the bearer key with every request and names a security context when it
 * initializes (decisions, [13]); that context is all it may do. The daemon signs its calls for the
 * record, and the record says so [11].
 *
 * One address: POST takes one JSON-RPC message and answers it with JSON, DELETE ends a session;
 * there is no stream from the server, because it never asks. Sessions live in memory: after a
 * restart, or when the context has as many as it may have and this one was unused for the longest
 * time, a client gets 404 and initializes again, as the protocol has it.
 *
 * Runs on the worker that made it.
 */
#pragma once

#include "daemon/smcp/smcp.h"

struct mcp_service;

struct mcp_service_options {
	struct store *store;
	struct event_bus *bus;
	const char *tenant_id;
	const struct tool_source *source; /* of tools beyond the built-in ones; NULL: none */
	size_t sessions_per_context; /* 0: LIMIT_MCP_SESSIONS_PER_CONTEXT */
	struct smcp_service *smcp; /* on this worker: what contexts allow, and their limits */
};

int mcp_service_new(const struct mcp_service_options *o, struct mcp_service **ret) MUST_USE;
void mcp_service_free(struct mcp_service *s); /* after the last call; NULL is allowed */

struct mcp_exchange {
	struct span body;
	struct span session_id; /* Mcp-Session-Id; empty: none */
	struct span protocol_version; /* MCP-Protocol-Version; empty: none */
	struct span context_name; /* of initialize */
	struct arena *arena;
	int64_t deadline_ns;
	struct buf *reply; /* JSON; empty with 202 */
	int status;
	char new_session[UUID_TEXT_BYTES]; /* after initialize: the header Mcp-Session-Id; else ""
					    */
};

/* Answers a POST. Negative only if there is no answer: -ECANCELED. */
AWAITS int mcp_post(struct mcp_service *s, struct mcp_exchange *x) MUST_USE;

/* Answers a DELETE: the HTTP status. */
int mcp_delete(struct mcp_service *s, struct span session_id);
