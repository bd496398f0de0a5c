/* SPDX-License-Identifier: AGPL-3.0-only */
/* What the files of this room share. */
#pragma once

#include "daemon/volume/volume.h"

/* One move of one volume: its event and the change of its row in one commit. */
struct volume_move {
	enum event_type type;
	const struct store_volume *row; /* what the row gets; id, and status if that moves */
	struct uuid execution; /* of the event; nil: none */
	int64_t expect_revision; /* 0: the state table alone decides */
	bool creates;
	/* Members of the event; empty: none. */
	struct span reason;
	const char *access_mode;
	struct span name; /* if the row gets none */
	struct span mount_path;
};

/* VOLUME_CONFLICT, VOLUME_NOT_FOUND. */
AWAITS int volume_record(const struct volumes *v, const struct volume_move *m, struct arena *a,
	struct span *ret_why, int64_t deadline_ns) MUST_USE;

static inline int volume_state(const struct store_volume *row)
{
	return state_parse(&volume_states, row->status);
}
static inline const char *volume_word(enum volume_state s)
{
	return volume_states.rows[s].name;
}

/* Why something cannot be, in words: returns `outcome`, or -ENOMEM. */
PRINTF_LIKE(4, 5)
int volume_because(
	struct arena *a, struct span *ret_why, int outcome, const char *fmt, ...) MUST_USE;
AWAITS int volume_read(const struct volumes *v, struct uuid id, struct arena *a,
	struct store_volume *ret, int64_t deadline_ns) MUST_USE; /* VOLUME_NOT_FOUND */

/* Alone with the volume: to write to its files, to lend it for writing, to delete it. */
struct volume_lock;
AWAITS int volume_lock(const struct volumes *v, struct uuid id, struct volume_lock **ret,
	int64_t deadline_ns) MUST_USE;
void volume_unlock(const struct volumes *v, struct volume_lock *lock); /* NULL is allowed */

/* Makes the directory of one that is being created, and ends its creation either way. */
AWAITS int volume_make(
	const struct volumes *v, struct uuid id, struct arena *a, int64_t deadline_ns) MUST_USE;
/* Removes the directory of one that is being deleted, and ends its deletion. */
AWAITS int volume_unmake(
	const struct volumes *v, struct uuid id, struct arena *a, int64_t deadline_ns) MUST_USE;

/* Visits each volume that the query finds; *ret_stays, false before: the query would find it still.
 * One that visit() fails at is said in the log ("`what` volume NAME") and left as it is, for the
 * next start: the others go on. */
typedef AWAITS int (*volume_visit)(
	void *ctx, const struct store_volume *row, struct arena *a, bool *ret_stays);
AWAITS int volumes_each(const struct volumes *v, struct store_volume_query q, const char *what,
	volume_visit visit, void *ctx, int64_t deadline_ns) MUST_USE;
