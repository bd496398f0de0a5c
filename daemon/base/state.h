/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Durable state machines as tables: the states, the moves that are allowed, and an invariant that
 * holds in each. A flow drives the table; the store persists it; nothing else may set a state.
 */
#pragma once

#include "daemon/base/annotate.h"

enum {
	STATE_FINAL = 1, /* no move leads out; asserted by state_table_check */
};

struct state_row {
	const char *name; /* as stored and as shown to users */
	uint64_t moves; /* bit n: may move to state n */
	unsigned flags;
};

struct state_table {
	const char *noun; /* "execution" */
	const struct state_row *rows;
	int count; /* at most 64 */
};

#define STATE_BIT(s) (UINT64_C(1) << (s))

bool state_allowed(const struct state_table *t, int from, int to);
const char *state_name(const struct state_table *t, int state);
bool state_is_final(const struct state_table *t, int state);

/* State of that name, or -1. */
int state_parse(const struct state_table *t, const char *name);

/* Moves *state, or -EINVAL with a message that names the noun, both states and what is allowed. */
int state_move(const struct state_table *t, int *state, int to) MUST_USE;

/* Walks the table: final states have no moves, every state but the first can be reached, no move
 * leads outside. For tests. 0, or -EINVAL with the reason. */
int state_table_check(const struct state_table *t) MUST_USE;
