/* SPDX-License-Identifier: AGPL-3.0-only */
/* Inside of daemon/mcp. */
#pragma once

#include "daemon/mcp/mcp.h"

struct mcp_session {
	int refs; /* the map holds one */
	char id[UUID_TEXT_BYTES];
	char *scope;
	char *client; /* name and version as it gave them, for the record */
	uint8_t public_key[32], signing_key[64];
	char public_key_text[48];
	int64_t used_ns; /* rt_now_ns of the last request */
};

struct mcp_service {
	struct mcp_service_options o;
	struct map by_id; /* the id's text -> struct mcp_session */
};

/* JSON-RPC and MCP: what a message that is no fault of the transport is answered with. */
enum rpc_code {
	RPC_PARSE_ERROR = -32700,
	RPC_INVALID_REQUEST = -32600,
	RPC_METHOD_NOT_FOUND = -32601,
	RPC_INVALID_PARAMS = -32602,
	RPC_INTERNAL_ERROR = -32603,
};

struct request {
	struct mcp_service *s;
	struct mcp_exchange *x;
	const struct json *id; /* NULL: none could be read */
	struct span method;
	const struct json *params; /* an object, or NULL */
	struct mcp_session *session; /* a reference, but for initialize */
	struct smcp_rules *rules; /* likewise: what its context allows now */
};

void message_error(struct request *q, int status, enum rpc_code code, const char *fmt, ...)
	PRINTF_LIKE(4, 5);
/* {"jsonrpc","id","result": ...}: begin, write one value, end. */
void message_result_begin(struct request *q, struct json_writer *w);
void message_result_end(struct request *q, struct json_writer *w);

/* SMCP_SCOPE_NOT_FOUND; -ENOSPC: too many. On record when it returns. */
AWAITS int mcp_session_open(struct mcp_service *s, struct span scope, const struct json *client,
	struct mcp_session **ret, int64_t deadline_ns) MUST_USE;
struct mcp_session *mcp_session_find(
	struct mcp_service *s, struct span id); /* a reference, or NULL */
struct mcp_session *mcp_session_unref(struct mcp_session *x); /* NULL */
bool mcp_session_close(struct mcp_service *s, struct span id);

AWAITS int tools_call(struct request *q) MUST_USE;
