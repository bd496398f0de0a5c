/* SPDX-License-Identifier: AGPL-3.0-only */
/* A chat completions server on loopback that follows a script. */
#pragma once

#include "daemon/net/net.h"

enum { SCRIPT_TURNS = 8, SCRIPT_CALLS = 4, SCRIPT_ITERATIONS = 4 };

struct script_call {
	const char *name; /* as on the wire: "fs_write" is escaped by the provider itself */
	const char *arguments;
};
struct script_turn {
	const char *content;
	struct script_call calls[SCRIPT_CALLS];
	int64_t delay_ms;
	int status; /* 0: 200 */
	bool endless; /* this turn for ever */
};

/* The turn is found from the request alone, so that a repeated request gets the same answer. */
struct fake_model {
	struct script_turn turns[SCRIPT_ITERATIONS][SCRIPT_TURNS];
	int requests;
	char last_tool[4096]; /* content of the newest tool message seen */
	char first_prompt[SCRIPT_ITERATIONS][4096];
	size_t tools_offered;
	uint16_t port;
	struct http_server *server;
};

void model_start(struct fake_model *m);
AWAITS void model_stop(struct fake_model *m);
