/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Are the projections what the events say? Each event row's changes are applied, in order, to empty
 * tables in a scratch database, by the same code that applied them first; then both sides are
 * compared row by row. This is the proof that the event table alone is the truth.
 */
#include "daemon/store/internal.h"
#include "daemon/store/schema.h"

#include <errno.h>
#include <sodium.h>

enum { REPLAY_ARENA_BYTES = STORE_WRITE_ARENA_BYTES };

struct check {
	struct store *store;
	struct sql_conn *live;
	struct sql_conn *scratch;
	struct arena *arena;
	uint64_t last; /* number of the newest event that was replayed */
	enum noun_id noun; /* being compared */
	int64_t rows;
};

static int replay_changes(struct check *x, struct span text, int64_t at_ns)
{
	char refusal[STORE_REFUSAL_BYTES] = "";
	struct apply apply = {x->scratch, &sqlite_driver, &x->store->states, x->arena, refusal};
	struct store_change *changes;
	size_t count;
	int r = changes_of_json(&x->store->states, text, x->arena, &changes, &count);

	for (size_t i = 0; r == 0 && i < count; i++)
		r = apply_change(&apply, &changes[i], at_ns);
	if (r > 0)
		return err_raise(-EUCLEAN, "event %llu cannot have happened: %s",
			(unsigned long long)x->last, refusal);
	return r < 0 ? err_wrap(r, "event %llu", (unsigned long long)x->last) : 0;
}

static int replay_event(void *ctx, const struct sql_value *columns, size_t count)
{
	struct check *x = ctx;
	uint64_t number = (uint64_t)columns[0].i;

	if (number != x->last + 1)
		return err_raise(-EUCLEAN, "events %llu to %llu are missing",
			(unsigned long long)x->last + 1, (unsigned long long)number - 1);
	x->last = number;
	if (columns[1].kind == SQL_NULL)
		return 0;
	arena_reset(x->arena);
	return replay_changes(x, columns[1].s, columns[2].i);
}

static int compare_row(void *ctx, const struct sql_value *columns, size_t count)
{
	struct check *x = ctx;
	const struct noun *n = &nouns[x->noun];

	arena_reset(x->arena);
	void *live = arena_alloc(x->arena, n->row_bytes);
	void *replayed = arena_alloc(x->arena, n->row_bytes);
	if (!live || !replayed)
		return err_raise(-ENOMEM, "out of memory");
	x->rows++;
	int r = noun_read(n, noun_states(&x->store->states, x->noun), columns, x->arena, live);
	if (r == 0)
		r = noun_find(x->scratch, &sqlite_driver, x->noun,
			noun_states(&x->store->states, x->noun), live, x->arena, replayed);
	if (r < 0)
		return err_trace(r);
	const char *column =
		r == STORE_NOT_FOUND ? "every column" : noun_difference(n, live, replayed);
	if (!column)
		return 0;
	return err_raise(-EUCLEAN, "%s " SPAN_FMT ": %s is not what the events say", n->name,
		SPAN_ARG(columns[0].s), column);
}

static int keep_count(void *ctx, const struct sql_value *columns, size_t count)
{
	*(int64_t *)ctx = columns[0].i;
	return SQL_STOP;
}

static int compare_noun(struct check *x, enum noun_id id)
{
	const struct sql_driver *d = x->store->driver;
	const struct noun *n = &nouns[id];
	char sql[NOUN_SQL_BYTES];
	int64_t replayed = 0;

	x->noun = id;
	x->rows = 0;
	snprintf(sql, sizeof(sql), "SELECT %s FROM %s", noun_columns(id), n->table);
	int r = d->run(x->live, sql, NULL, 0, compare_row, x);
	snprintf(sql, sizeof(sql), "SELECT count(*) FROM %s", n->table);
	if (r == 0)
		r = sqlite_driver.run(x->scratch, sql, NULL, 0, keep_count, &replayed);
	if (r < 0)
		return err_trace(r);
	if (replayed != x->rows)
		return err_raise(-EUCLEAN, "%lld rows in %s, %lld by the events",
			(long long)x->rows, n->table, (long long)replayed);
	return 0;
}

static int digest_row(void *ctx, const struct sql_value *columns, size_t count)
{
	crypto_generichash_state *state = ctx;

	for (size_t i = 0; i < count; i++) {
		uint64_t frame[3] = {columns[i].kind, (uint64_t)columns[i].i, columns[i].s.n};
		crypto_generichash_update(state, (const uint8_t *)frame, sizeof(frame));
		crypto_generichash_update(state, (const uint8_t *)columns[i].s.p, columns[i].s.n);
	}
	return 0;
}

static int digest_versions(
	const struct sql_driver *d, struct sql_conn *c, uint8_t ret[STORE_HASH_BYTES])
{
	crypto_generichash_state state;

	crypto_generichash_init(&state, NULL, 0, STORE_HASH_BYTES);
	int r = d->run(c,
		"SELECT agent_id, version, manifest_hash, manifest_yaml_hash, created_at"
		" FROM agent_versions ORDER BY agent_id, version",
		NULL, 0, digest_row, &state);
	crypto_generichash_final(&state, ret, STORE_HASH_BYTES);
	return r < 0 ? err_trace(r) : 0;
}

static int compare_versions(struct check *x)
{
	uint8_t live[STORE_HASH_BYTES];
	uint8_t replayed[STORE_HASH_BYTES];
	int r = digest_versions(x->store->driver, x->live, live);

	if (r == 0)
		r = digest_versions(&sqlite_driver, x->scratch, replayed);
	if (r < 0)
		return err_trace(r);
	if (memcmp(live, replayed, sizeof(live)) != 0)
		return err_raise(-EUCLEAN, "agent_versions is not what the events say");
	return 0;
}

static int replay_and_compare(struct check *x)
{
	int r = sqlite_driver.script(x->scratch, schema_projections);

	if (r == 0)
		r = sqlite_driver.script(x->scratch, "BEGIN");
	if (r == 0)
		r = x->store->driver->run(x->live,
			"SELECT number, changes, created_at FROM domain_events ORDER BY number",
			NULL, 0, replay_event, x);
	for (int id = 0; r == 0 && id < NOUN_COUNT; id++)
		r = compare_noun(x, (enum noun_id)id);
	if (r == 0)
		r = compare_versions(x);
	return r < 0 ? err_trace(r) : 0;
}

static int check_all(struct store *s, struct sql_conn *c, void *arg)
{
	struct check x = {.store = s, .live = c, .arena = arena_new(REPLAY_ARENA_BYTES)};
	int r = x.arena ? s->driver->check_integrity(c, false)
			: err_raise(-ENOMEM, "out of memory");

	if (r == 0)
		r = sqlite_driver.scratch(&x.scratch);
	if (r == 0) {
		r = replay_and_compare(&x);
		sqlite_driver.close(x.scratch);
	}
	arena_free(x.arena);
	return r < 0 ? err_trace(r) : 0;
}

int store_check(struct store *s, int64_t deadline_ns)
{
	return store_read(s, check_all, NULL, deadline_ns);
}
