/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The daemon's end of the dispatch protocol, played from a script, in fibers over a sandbox's
 * listener: each dispatch gets its call, and the call is closed when its result has come.
 */
#pragma once

#include "daemon/sandbox/sandbox.h"
#include "tests/unit/daemon/rt/in_fiber.h"

enum { PLAY_STEPS_MAX = 16, PLAY_ARGS_MAX = 6, PLAY_TEXT_BYTES = 16 * 1024 };

struct play_step {
	const char *argv[PLAY_ARGS_MAX];
	int timeout_s; /* 0: 30 */
	int output_max; /* 0: 64 KiB */
	bool background;
	const struct sandbox_call_rules *rules; /* of its call; NULL: none of its own */
	void (*before_reply)(void *arg); /* NULL: none */
	/* What came of it: */
	uint64_t identity;
	int64_t exit_code;
	char out[PLAY_TEXT_BYTES];
	char err[PLAY_TEXT_BYTES];
	bool truncated;
	int close_result; /* of sandbox_call_close */
};

struct play {
	struct sandbox *sandbox;
	struct play_step *steps;
	int count; /* behind the last one stands the final answer */
	void *arg;
	struct group group;
	int at; /* the step that is under way or comes next */
	int requests;
	bool generated;
	bool reported; /* the agent's own program has ended: */
	int64_t program_exit;
	char program_out[PLAY_TEXT_BYTES];
};

struct uuid play_call(int n); /* of the n-th step */

/* Starts the accept loop in p->group; play_stop joins it. */
void play_start(struct play *p);
AWAITS void play_stop(struct play *p);
