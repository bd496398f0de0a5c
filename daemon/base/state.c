/* SPDX-License-Identifier: AGPL-3.0-only */
/* Tables of states. The first row is where every object begins. */
#include "daemon/base/state.h"
#include "daemon/base/buf.h"
#include "daemon/base/check.h"
#include "daemon/base/err.h"
#include <errno.h>
#include <string.h>

enum { STATES_MAX = 64, MESSAGE_BYTES = 256 };

static bool valid(const struct state_table *t, int state)
{
	return state >= 0 && state < t->count;
}

bool state_allowed(const struct state_table *t, int from, int to)
{
	return valid(t, from) && valid(t, to) && (t->rows[from].moves & STATE_BIT(to));
}

const char *state_name(const struct state_table *t, int state)
{
	return valid(t, state) ? t->rows[state].name : "unknown";
}

bool state_is_final(const struct state_table *t, int state)
{
	return valid(t, state) && (t->rows[state].flags & STATE_FINAL);
}

int state_parse(const struct state_table *t, const char *name)
{
	for (int i = 0; i < t->count; i++)
		if (strcmp(t->rows[i].name, name) == 0)
			return i;
	return -1;
}

COLD static int refuse(const struct state_table *t, int from, int to)
{
	struct buf allowed CLEANUP(buf_fini) = buf_init(MESSAGE_BYTES);
	for (int i = 0; i < t->count; i++)
		if (state_allowed(t, from, i))
			buf_printf(&allowed, "%s%s", allowed.len ? ", " : "", t->rows[i].name);
	const char *list = buf_cstr(&allowed);
	return err_raise(-EINVAL, "%s is %s and cannot become %s; allowed: %s", t->noun,
		state_name(t, from), state_name(t, to), list && *list ? list : "nothing");
}

int state_move(const struct state_table *t, int *state, int to)
{
	if (!state_allowed(t, *state, to))
		return refuse(t, *state, to);
	*state = to;
	return 0;
}

static uint64_t reachable(const struct state_table *t)
{
	uint64_t seen = STATE_BIT(0);
	for (bool more = true; more;) {
		uint64_t next = seen;
		for (int i = 0; i < t->count; i++)
			if (seen & STATE_BIT(i))
				next |= t->rows[i].moves;
		more = next != seen;
		seen = next;
	}
	return seen;
}

int state_table_check(const struct state_table *t)
{
	if (t->count < 1 || t->count > STATES_MAX)
		return err_raise(-EINVAL, "%s: %d states; 1 to %d are possible", t->noun, t->count,
			STATES_MAX);
	uint64_t all = t->count == STATES_MAX ? UINT64_MAX : STATE_BIT(t->count) - 1;
	uint64_t seen = reachable(t);
	for (int i = 0; i < t->count; i++) {
		const struct state_row *row = &t->rows[i];
		if (!row->name || !row->name[0])
			return err_raise(-EINVAL, "%s: state %d has no name", t->noun, i);
		if (state_parse(t, row->name) != i)
			return err_raise(
				-EINVAL, "%s: two states are called %s", t->noun, row->name);
		if (row->moves & ~all)
			return err_raise(
				-EINVAL, "%s: a move from %s leads outside", t->noun, row->name);
		if ((row->flags & STATE_FINAL) && row->moves)
			return err_raise(
				-EINVAL, "%s: %s is final but has moves", t->noun, row->name);
		if (!(row->flags & STATE_FINAL) && !row->moves)
			return err_raise(-EINVAL, "%s: %s has no moves but is not final", t->noun,
				row->name);
		if (!(seen & STATE_BIT(i)))
			return err_raise(-EINVAL, "%s: %s cannot be reached", t->noun, row->name);
	}
	return 0;
}
