/* SPDX-License-Identifier: AGPL-3.0-only */
/* The rules by which an event changes the projections: the same when it happens and at a replay. */
#pragma once

#include "daemon/store/noun.h"

/* Where changes are applied: a connection inside a transaction. */
struct apply {
	struct sql_conn *conn;
	const struct sql_driver *driver;
	const struct store_states *states;
	struct arena *arena;
	char *refusal; /* STORE_REFUSAL_BYTES; written with a positive result */
};

/* 0, STORE_CONFLICT or STORE_NOT_FOUND with *refusal, or a negative errno. `at_ns` is the time of
 * the event: everything that is stamped is stamped with it. */
int apply_change(const struct apply *x, const struct store_change *change, int64_t at_ns) MUST_USE;

/* Changes of one event as the JSON array that its row keeps, and back. */
void changes_put(struct json_writer *w, const struct store_change *changes, size_t count);
int changes_of_json(const struct store_states *states, struct span json, struct arena *a,
	struct store_change **ret, size_t *ret_count) MUST_USE;

/* The state table of a noun's rows. */
const struct state_table *noun_states(const struct store_states *s, enum noun_id id);

enum noun_id change_noun(enum store_change_kind k);
const void *change_row(const struct store_change *c);
