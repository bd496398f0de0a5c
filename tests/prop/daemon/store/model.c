/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Random commits against a model of a few lines: which are accepted, which refused and as what, and
 * the rows that come of it. Then the same rows must come of the event table alone (store_check).
 */
#include "tests/prop/random.h"
#include "tests/unit/daemon/store/fixture.h"

#include <stdio.h>

enum { AGENTS = 3, RUNS = 6, ITERATIONS = 3, STEPS = 60 };

struct row {
	bool exists;
	int owner; /* of an execution: index of its agent */
	int state;
	int64_t revision;
	int value; /* the last that was written into a text of the row */
	int version; /* agents: how many */
};

struct model {
	struct row agents[AGENTS];
	struct row runs[RUNS];
	struct row iterations[RUNS][ITERATIONS];
	struct row sessions[RUNS];
	uint64_t events;
};

static struct uuid id_of(char kind, int i)
{
	return (struct uuid){{(uint8_t)kind, (uint8_t)(i + 1)}};
}

/* One planned change, in the model's words. */
struct plan {
	enum store_change_kind kind;
	int at, sub, owner;
	int state; /* -1: not given */
	int64_t expect;
	int value;
};

static const struct state_table *table_of(enum store_change_kind k)
{
	return k <= STORE_AGENT_UPDATE        ? &agent_states
		: k <= STORE_EXECUTION_UPDATE ? &execution_states
		: k <= STORE_ITERATION_UPDATE ? &iteration_states
		: k == STORE_EXECUTION_REMOVE ? &execution_states
					      : test_states.session;
}

static struct plan random_plan(struct random *r, const struct model *m)
{
	struct plan p = {
		.kind = (enum store_change_kind)random_below(r, 9),
		.owner = (int)random_below(r, AGENTS),
		.sub = (int)random_below(r, ITERATIONS),
		.value = (int)random_below(r, 1000) + 1,
	};
	bool agent = p.kind <= STORE_AGENT_UPDATE;
	bool removes = p.kind == STORE_EXECUTION_REMOVE;
	bool creates = !removes && p.kind % 2 == 0;

	p.at = (int)random_below(r, agent ? AGENTS : RUNS);
	p.state = (int)random_below(r, (size_t)table_of(p.kind)->count);
	if (creates && random_chance(r, 2))
		p.state = 0;
	if (removes || (!creates && random_chance(r, 3)))
		p.state = -1;
	const struct row *row = agent              ? &m->agents[p.at]
		: p.kind <= STORE_EXECUTION_UPDATE ? &m->runs[p.at]
		: p.kind <= STORE_ITERATION_UPDATE ? &m->iterations[p.at][p.sub]
						   : &m->sessions[p.at];
	if (!creates && !removes && random_chance(r, 2))
		p.expect = row->revision + (random_chance(r, 5) ? 1 : 0);
	return p;
}

static int model_create(
	struct model *m, const struct plan *p, struct row *row, const struct row *owner)
{
	if (owner && !owner->exists)
		return STORE_NOT_FOUND;
	const struct state_table *t =
		p->kind == STORE_ITERATION_CREATE ? &execution_states : &agent_states;
	if (owner && state_is_final(t, owner->state))
		return STORE_CONFLICT;
	if (row->exists)
		return STORE_CONFLICT;
	*row = (struct row){.exists = true,
		.owner = p->owner,
		.state = p->state,
		.revision = 1,
		.value = p->value,
		.version = 1};
	return 0;
}

static int model_update(const struct plan *p, struct row *row)
{
	const struct state_table *t = table_of(p->kind);
	int to = p->state < 0 ? row->state : p->state;

	if (!row->exists)
		return STORE_NOT_FOUND;
	if (p->expect && p->expect != row->revision)
		return STORE_CONFLICT;
	if (to != row->state ? !state_allowed(t, row->state, to) : state_is_final(t, row->state))
		return STORE_CONFLICT;
	row->state = to;
	row->revision++;
	row->value = p->value;
	row->version++;
	return 0;
}

static int model_remove(struct model *m, int at)
{
	if (!m->runs[at].exists)
		return STORE_NOT_FOUND;
	if (!state_is_final(&execution_states, m->runs[at].state))
		return STORE_CONFLICT;
	m->runs[at] = (struct row){0};
	memset(m->iterations[at], 0, sizeof(m->iterations[at]));
	return 0;
}

static int model_apply(struct model *m, const struct plan *p)
{
	switch (p->kind) {
	case STORE_AGENT_CREATE:
		return model_create(m, p, &m->agents[p->at], NULL);
	case STORE_AGENT_UPDATE:
		return model_update(p, &m->agents[p->at]);
	case STORE_EXECUTION_CREATE:
		return model_create(m, p, &m->runs[p->at], &m->agents[p->owner]);
	case STORE_EXECUTION_UPDATE:
		return model_update(p, &m->runs[p->at]);
	case STORE_ITERATION_CREATE:
		return model_create(m, p, &m->iterations[p->at][p->sub], &m->runs[p->at]);
	case STORE_ITERATION_UPDATE:
		return model_update(p, &m->iterations[p->at][p->sub]);
	case STORE_SESSION_CREATE:
		return model_create(m, p, &m->sessions[p->at], NULL);
	case STORE_SESSION_UPDATE:
		return model_update(p, &m->sessions[p->at]);
	case STORE_EXECUTION_REMOVE:
		return model_remove(m, p->at);
	case STORE_VOLUME_CREATE: /* walked in tests/unit/daemon/volume */
	case STORE_VOLUME_UPDATE:
		break;
	}
	fail();
	return 0;
}

/* ---- the same in the store's words ---- */

union any {
	struct store_agent agent;
	struct store_execution execution;
	struct store_iteration iteration;
	struct store_session session;
};

static struct span text_of(struct arena *a, const char *fmt, int n)
{
	char text[64];

	snprintf(text, sizeof(text), fmt, n);
	return arena_span(a, span_cstr(text));
}

static struct store_change change_of(struct arena *a, const struct plan *p, size_t event)
{
	union any *row = arena_make(a, union any);
	const char *status = p->state < 0 ? NULL : state_name(table_of(p->kind), p->state);

	if (p->kind <= STORE_AGENT_UPDATE) {
		row->agent = (struct store_agent){
			.id = id_of('a', p->at),
			.name = text_of(a, "agent-%d", p->at),
			.version = text_of(a, "1.0.%d", p->value % 5),
			.description = text_of(a, "%d", p->value),
			.manifest_json = text_of(a, "{\"v\":%d}", p->value),
			.status = status,
		};
	} else if (p->kind == STORE_EXECUTION_REMOVE) {
		row->execution = (struct store_execution){.id = id_of('e', p->at)};
	} else if (p->kind <= STORE_EXECUTION_UPDATE) {
		row->execution = (struct store_execution){
			.id = id_of('e', p->at),
			.agent_id = id_of('a', p->owner),
			.final_output = text_of(a, "%d", p->value),
			.resume = text_of(a, "{\"step\":%d}", p->value),
			.status = status,
		};
	} else if (p->kind <= STORE_ITERATION_UPDATE) {
		row->iteration = (struct store_iteration){
			.execution_id = id_of('e', p->at),
			.number = (uint32_t)p->sub + 1,
			.output = text_of(a, "%d", p->value),
			.status = status,
		};
	} else {
		row->session = (struct store_session){
			.id = id_of('s', p->at),
			.subject = text_of(a, "client-%d", p->at),
			.expires_ns = p->value,
			.status = status,
		};
	}
	return (struct store_change){.kind = p->kind,
		.event = event,
		.expect_revision = p->expect,
		.agent = &row->agent};
}

static void one_commit(struct random *r, struct fixture *f, struct model *m, uint64_t seed)
{
	struct model next = *m;
	struct store_event events[3] = {0};
	struct store_change changes[3];
	size_t count = random_below(r, 3) + 1;
	int expected = 0;

	arena_reset(f->arena);
	for (size_t i = 0; i < count; i++) {
		struct plan p = random_plan(r, &next);
		events[i] = (struct store_event){.type = SPAN("Change"),
			.execution_id = id_of('e', p.at),
			.wall_ns = random_chance(r, 2) ? 0 : (int64_t)random_below(r, 1000) + 1};
		changes[i] = change_of(f->arena, &p, i);
		if (expected == 0)
			expected = model_apply(&next, &p);
	}
	struct store_commit c = {
		.events = events, .event_count = count, .changes = changes, .change_count = count};
	int got = store_append(f->store, &c, DEADLINE_NONE);
	if (got != expected)
		fail_msg("seed %llu: store says %d (%s%s), model %d", (unsigned long long)seed, got,
			c.refusal, got < 0 ? err_message(got) : "", expected);
	if (expected != 0)
		return;
	*m = next;
	for (size_t i = 0; i < count; i++)
		assert_int_equal(events[i].number, ++m->events);
}

static void compare_row(uint64_t seed, const struct row *row, int r, const char *status,
	const struct state_table *t, int64_t revision, struct span value)
{
	char text[16];

	snprintf(text, sizeof(text), "%d", row->value);
	if (r != (row->exists ? 0 : STORE_NOT_FOUND))
		fail_msg("seed %llu: found is %d", (unsigned long long)seed, r);
	if (!row->exists)
		return;
	assert_string_equal(status, state_name(t, row->state));
	assert_int_equal(revision, row->revision);
	assert_true(span_is(value, text));
}

static void compare(struct fixture *f, const struct model *m, uint64_t seed)
{
	arena_reset(f->arena);
	for (int i = 0; i < AGENTS; i++) {
		struct store_agent a = {.status = ""};
		int r = store_agent_get(f->store, id_of('a', i), f->arena, &a, DEADLINE_NONE);
		compare_row(
			seed, &m->agents[i], r, a.status, &agent_states, a.revision, a.description);
	}
	for (int i = 0; i < RUNS; i++) {
		struct store_execution x = {.status = ""};
		struct store_iterations its;
		int r = store_execution_get(f->store, id_of('e', i), f->arena, &x, DEADLINE_NONE);
		compare_row(seed, &m->runs[i], r, x.status, &execution_states, x.revision,
			x.final_output);
		assert_int_equal(store_iteration_list(
					 f->store, id_of('e', i), f->arena, &its, DEADLINE_NONE),
			0);
		size_t at = 0;
		for (int n = 0; n < ITERATIONS; n++) {
			const struct row *row = &m->iterations[i][n];
			if (!row->exists)
				continue;
			assert_true(at < its.count);
			compare_row(seed, row, 0, its.items[at].status, &iteration_states,
				its.items[at].revision, its.items[at].output);
			at++;
		}
		assert_int_equal(at, its.count);
		struct store_session v = {.status = ""};
		r = store_session_get(f->store, id_of('s', i), f->arena, &v, DEADLINE_NONE);
		compare_row(seed, &m->sessions[i], r, v.status, test_states.session, v.revision,
			text_of(f->arena, "%d", (int)v.expires_ns));
	}
}

static void test_rows_follow_from_events(void **state)
{
	for_each_seed (seed, 15) {
		struct random r = {seed};
		struct model m = {0};
		void *s;
		assert_int_equal(fixture_setup(&s), 0);
		struct fixture *f = s;
		for (int i = 0; i < STEPS; i++) {
			one_commit(&r, f, &m, seed);
			if (random_chance(&r, 20))
				fixture_reopen(f);
		}
		compare(f, &m, seed);
		int res = store_check(f->store, DEADLINE_NONE);
		if (res < 0)
			fail_msg("seed %llu: %s", (unsigned long long)seed, err_message(res));
		fixture_teardown(&s);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows_follow_from_events),
	};
	return cmocka_run_group_tests_name("store", tests, NULL, NULL);
}
