/* SPDX-License-Identifier: AGPL-3.0-only */
/* JSON-RPC 2.0 as MCP uses it, and its framing on a pipe: pure. */
#pragma once

#include "daemon/base/base.h"

enum rpc_kind {
	RPC_REQUEST, /* of the server, to us */
	RPC_NOTIFICATION,
	RPC_RESULT,
	RPC_ERROR,
};

struct rpc_message {
	enum rpc_kind kind;
	const struct json *id; /* RPC_REQUEST: a string or a number */
	int64_t answers; /* RPC_RESULT, RPC_ERROR: our id; -1: none of ours */
	struct span method; /* RPC_REQUEST, RPC_NOTIFICATION */
	const struct json *params; /* of those; an object, or NULL */
	const struct json *result; /* RPC_RESULT: an object */
	int64_t code; /* RPC_ERROR */
	struct span words; /* RPC_ERROR */
};

/* -EINVAL with what is wrong; -E2BIG, -ENOMEM. Views live in the arena. */
int rpc_parse(struct arena *a, struct span text, struct rpc_message *ret) MUST_USE;

/* One message, without a line's end. `params` is JSON, or empty. */
void rpc_put_request(struct buf *b, int64_t id, const char *method, struct span params);
void rpc_put_notification(struct buf *b, const char *method, struct span params);
/* The answer to a request of the server's: an empty result, or an error. */
void rpc_put_empty_result(struct buf *b, const struct json *id);
void rpc_put_error(struct buf *b, const struct json *id, int64_t code, const char *words);

/* Cuts a stream into lines. */
struct rpc_lines {
	struct buf held; /* an unfinished line; max: the longest that is accepted */
	bool whole; /* the last answer was in `held` */
};
struct rpc_lines rpc_lines_init(size_t longest);
void rpc_lines_fini(struct rpc_lines *l);

enum { RPC_LINE = 1 };
/* Takes *ret_used bytes of `in`. RPC_LINE with a line, without its end, valid until the next call
 * and as long as `in` is; 0 if there is none yet: all was taken; -E2BIG. */
int rpc_lines_next(
	struct rpc_lines *l, struct span in, size_t *ret_used, struct span *ret_line) MUST_USE;
