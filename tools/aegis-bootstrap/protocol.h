/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The messages of the dispatch protocol, POST /v1/dispatch-gateway: pure text in, text out.
 * Requests: generate, dispatch_result, program_result (ours: how the agent's own program ended).
 * Replies: dispatch, and anything else, which is final.
 */
#pragma once

#include "daemon/base/base.h"

enum {
	LIMIT_DISPATCH_ARGS = 4096,
	LIMIT_DISPATCH_ENV = 256,
	LIMIT_DISPATCH_ID_BYTES = 128,
	LIMIT_DISPATCH_OUTPUT_BYTES = 4 * 1024 * 1024,
	LIMIT_DISPATCH_TIMEOUT_S = 24 * 3600,
	LIMIT_REPLY_ARENA_BYTES = 4 * 8 * 1024 * 1024,
	DISPATCH_TIMEOUT_S = 60, /* where the message names none, as upstream */
	DISPATCH_OUTPUT_BYTES = 512 * 1024,
};

struct dispatch {
	struct span id; /* of the call; echoed in the result */
	struct span action;
	char *const *argv; /* NULL-ended */
	const char *cwd;
	char *const *env; /* "NAME=value" to add or replace; NULL-ended */
	int64_t timeout_ms;
	size_t output_max; /* bytes of both outputs together */
	bool background; /* what it leaves running may stay [6] */
};

enum reply_kind {
	REPLY_FINAL,
	REPLY_DISPATCH,
	REPLY_UNKNOWN_ACTION, /* dispatch.id and dispatch.action are set */
	REPLY_BAD_DISPATCH, /* dispatch.id is set; `problem` says what is wrong with it */
};

struct reply {
	enum reply_kind kind;
	struct span content; /* REPLY_FINAL; may be empty */
	struct dispatch dispatch;
	const char *problem;
};

/* Everything in *ret lives in the arena. -EINVAL if the text is no JSON object, or a dispatch
 * without a usable dispatch_id: then there is nobody to answer to. */
int reply_parse(struct arena *a, struct span text, struct reply *ret) MUST_USE;

/* What a request says about who speaks. aegisd knows it from the socket; upstream's form has it. */
struct speaker {
	const char *agent_id;
	const char *execution_id;
	const char *model_alias;
	int64_t iteration;
};

struct result {
	int64_t exit_code; /* -1: it did not run, or did not end by itself */
	struct span out;
	struct span err;
	int64_t duration_ms;
	bool truncated; /* the beginning of an output was dropped */
};

void write_generate(struct buf *b, const struct speaker *s, const char *prompt);
void write_dispatch_result(
	struct buf *b, const struct speaker *s, struct span dispatch_id, const struct result *r);
void write_program_result(struct buf *b, const struct speaker *s, const struct result *r);
