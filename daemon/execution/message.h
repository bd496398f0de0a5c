/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Private to this room: one message of the dispatch protocol as an agent sends it (upstream's
 * assets/bootstrap.py), read strictly. A pure codec: nothing of it is acted on before all of it is
 * well formed.
 */
#pragma once

#include "daemon/base/base.h"

enum message_type { MESSAGE_GENERATE, MESSAGE_DISPATCH_RESULT, MESSAGE_PROGRAM_RESULT };

/* The spans view the JSON value. What a message need not say and does not is empty. */
struct message {
	enum message_type type;
	struct span execution_id; /* as claimed */
	/* generate */
	struct span prompt, model_alias;
	const struct json *messages; /* a list, or NULL */
	/* both results */
	int exit_code; /* -1 if it is not told */
	struct span stdout_text, stderr_text;
	int64_t duration_ms;
	bool truncated;
	/* dispatch_result */
	struct uuid dispatch_id;
};

/* 0, or MESSAGE_BAD with *ret_why: which member, and what is expected. */
enum { MESSAGE_BAD = 1 };
int message_read(const struct json *v, struct message *ret, const char **ret_why) MUST_USE;
