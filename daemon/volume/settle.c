/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * What nobody asks for: finishing what a process that died had begun, and deleting what has
 * expired.
 */
#include "daemon/volume/internal.h"
#include <stdio.h>

enum { ROUND = 100, ARENA_BYTES = 4 * 1024 * 1024 };

/* ---- many of them ---- */

static bool left(int r, const char *what, const struct store_volume *row)
{
	if (r >= 0 || r == -ECANCELED)
		return false;
	char words[96];
	snprintf(words, sizeof(words), "%s volume " SPAN_FMT, what,
		SPAN_ARG(span_sub(row->name, 0, 64)));
	err_log(r, words);
	err_clear();
	return true;
}

/* In rounds; those that the query finds again are passed over by the offset. */
int volumes_each(const struct volumes *v, struct store_volume_query q, const char *what,
	volume_visit visit, void *ctx, int64_t deadline_ns)
{
	struct store_volumes rows;
	int r;

	q.page.limit = ROUND;
	do {
		struct arena *a CLEANUP(arena_cleanup) = arena_new(ARENA_BYTES);
		if (!a)
			return err_raise(-ENOMEM, "volumes: out of memory");
		r = store_volume_list(v->store, &q, a, &rows, deadline_ns);
		for (size_t i = 0; r == 0 && i < rows.count; i++) {
			bool stays = false;
			r = visit(ctx, &rows.items[i], a, &stays);
			if (left(r, what, &rows.items[i])) {
				stays = true;
				r = 0;
			}
			q.page.offset += stays;
		}
	} while (r == 0 && rows.count == ROUND);
	return err_trace(r);
}

/* ---- after a restart ---- */

struct settling {
	const struct volumes *v;
	AWAITS int (*lives)(void *ctx, struct uuid execution, bool *ret);
	void *ctx;
	int64_t deadline_ns;
};

/* Takes it back from those that do not live any more. *ret_stays: somebody has it. */
static AWAITS int settle_loans(
	const struct settling *s, const struct store_volume *row, struct arena *a, bool *ret_stays)
{
	struct volume_loans *loans = arena_make(a, struct volume_loans);
	int r = loans ? volume_loans(row, a, loans) : err_raise(-ENOMEM, "volumes: out of memory");

	*ret_stays = false;
	for (size_t i = 0; r == 0 && i < loans->count; i++) {
		bool lives = true;
		r = s->lives(s->ctx, loans->items[i].execution, &lives);
		*ret_stays |= lives;
		if (r == 0 && !lives)
			r = volume_detach(s->v, row->id, loans->items[i].execution, s->deadline_ns);
	}
	return err_trace(r);
}

static AWAITS int settle_one(
	void *ctx, const struct store_volume *row, struct arena *a, bool *ret_stays)
{
	const struct settling *s = ctx;

	switch ((enum volume_state)volume_state(row)) {
	case VOLUME_CREATING:
		return err_trace(volume_make(s->v, row->id, a, s->deadline_ns));
	case VOLUME_DELETING:
		return err_trace(volume_unmake(s->v, row->id, a, s->deadline_ns));
	case VOLUME_ATTACHED:
		return err_trace(settle_loans(s, row, a, ret_stays));
	default:
		return 0;
	}
}

static AWAITS int settle_state(struct settling *s, enum volume_state state)
{
	const struct store_volume_query q = {.status = volume_states.rows[state].name};

	return err_trace(volumes_each(s->v, q, "settle", settle_one, s, s->deadline_ns));
}

int volumes_settle(const struct volumes *v,
	AWAITS int (*lives)(void *ctx, struct uuid execution, bool *ret), void *ctx,
	int64_t deadline_ns)
{
	struct settling s = {v, lives, ctx, deadline_ns};
	int r = settle_state(&s, VOLUME_CREATING);

	if (r == 0)
		r = settle_state(&s, VOLUME_ATTACHED);
	if (r == 0)
		r = settle_state(&s, VOLUME_DELETING);
	return err_trace(r);
}

/* ---- what has expired ---- */

struct reaping {
	const struct volumes *v;
	int64_t deadline_ns;
};

static AWAITS int reap_one(
	void *ctx, const struct store_volume *row, struct arena *a, bool *ret_stays)
{
	const struct reaping *p = ctx;
	struct store_volume same = {.id = row->id};
	struct volume_move m = {.type = EVENT_VOLUME_EXPIRED, .row = &same};
	struct span why;

	*ret_stays = volume_state(row) == VOLUME_ATTACHED;
	if (*ret_stays)
		return 0;
	int r = volume_record(p->v, &m, a, &why, p->deadline_ns);
	if (r == 0)
		r = volume_delete(p->v, row, a, &why, p->deadline_ns);
	return r > 0 ? 0 : err_trace(r); /* somebody else was first */
}

int volumes_reap(const struct volumes *v, int64_t wall_ns, int64_t deadline_ns)
{
	const struct store_volume_query q = {.expired_by_ns = wall_ns};
	struct reaping p = {v, deadline_ns};

	return err_trace(volumes_each(v, q, "reap", reap_one, &p, deadline_ns));
}
