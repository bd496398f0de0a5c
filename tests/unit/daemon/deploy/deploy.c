/* SPDX-License-Identifier: AGPL-3.0-only */
/* Agents over a real store: versions, force, states, and two people at once. */
#include "daemon/deploy/deploy.h"
#include "tests/unit/daemon/rt/in_fiber.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

static const struct state_row execution_rows[] = {{"pending", 0, STATE_FINAL}};
static const struct state_table other_states = {"execution", execution_rows, 1};

struct fixture {
	char dir[64];
	struct store *store;
	struct deploy d;
	struct arena *arena;
	struct report report;
	struct deploy_result result;
	struct span why;
};

static void begin(struct fixture *f)
{
	char url[96];
	*f = (struct fixture){.dir = "/tmp/aegis-deploy-XXXXXX"};
	EXPECT(mkdtemp(f->dir) != NULL);
	snprintf(url, sizeof(url), "sqlite:%s/a.db", f->dir);
	struct store_options o = {
		.url = url, .states = {&agent_states, &other_states, &other_states}};
	EXPECT_INT(store_open(&o, &f->store), 0);
	f->d.store = f->store;
	EXPECT_INT(event_bus_start(&(struct event_bus_options){.store = f->store}, &f->d.bus), 0);
	f->arena = arena_new(64 * 1024 * 1024);
}

static void end(struct fixture *f)
{
	event_bus_stop(f->d.bus);
	store_close(f->store);
	arena_free(f->arena);
	EXPECT_INT(fd_remove_tree(AT_FDCWD, f->dir), 0);
}

static struct span manifest(
	struct fixture *f, const char *name, const char *version, const char *words)
{
	return span_cstr(arena_printf(f->arena,
		"apiVersion: 100monkeys.ai/v1\n"
		"kind: Agent\n"
		"metadata: {name: %s, version: \"%s\", labels: {role: worker}}\n"
		"spec:\n"
		"  runtime: {language: python, version: \"3.11\"}\n"
		"  task: {instruction: \"%s\"}\n"
		"  tools: [fs.read]\n",
		name, version, words));
}

static int put(
	struct fixture *f, const char *name, const char *version, const char *words, bool force)
{
	EXPECT_INT(report_init(&f->report, f->arena, "m"), 0);
	f->why = SPAN("");
	int r = deploy_agent(&f->d, SPAN("local"), manifest(f, name, version, words), SPAN(""),
		force, &f->report, &f->result, &f->why, DEADLINE_NONE);
	if (r == 0)
		agent_manifest_unref(f->result.manifest);
	return r;
}

static void body_versions(void *arg)
{
	struct fixture f;
	struct store_agent agent;
	struct store_agent_versions versions;
	begin(&f);
	EXPECT_INT(put(&f, "a", "1.0.0", "one", false), 0);
	EXPECT(f.result.done == DEPLOY_CREATED);
	struct uuid id = f.result.id;
	EXPECT_INT(put(&f, "a", "1.0.0", "one", false), 0);
	EXPECT(f.result.done == DEPLOY_UNCHANGED && uuid_eq(id, f.result.id));
	EXPECT_INT(put(&f, "a", "1.0.0", "other", false), DEPLOY_EXISTS);
	EXPECT(span_find(f.why, SPAN("version 1.0.0"), 0) >= 0);
	EXPECT_INT(put(&f, "a", "1.0.0", "other", true), 0);
	EXPECT(f.result.done == DEPLOY_UPDATED);
	EXPECT_INT(put(&f, "a", "2.0.0", "two", false), 0);
	EXPECT(f.result.done == DEPLOY_UPDATED && uuid_eq(id, f.result.id));
	EXPECT_INT(deploy_find(&f.d, SPAN("local"), SPAN("a"), f.arena, &agent, DEADLINE_NONE), 0);
	EXPECT(span_is(agent.version, "2.0.0") && span_is(agent.runtime, "python:3.11"));
	EXPECT(span_is(agent.labels, "{\"role\":\"worker\"}"));
	EXPECT(span_find(agent.manifest_yaml, SPAN("two"), 0) > 0);
	EXPECT_INT(store_agent_version_list(
			   f.store, id, (struct store_page){0}, f.arena, &versions, DEADLINE_NONE),
		0);
	EXPECT(versions.count == 2);
	/* Going back to a version that is known makes it the current one. */
	EXPECT_INT(put(&f, "a", "1.0.0", "other", false), 0);
	EXPECT(f.result.done == DEPLOY_UPDATED);
	EXPECT_INT(deploy_find(&f.d, SPAN("local"), SPAN("a"), f.arena, &agent, DEADLINE_NONE), 0);
	EXPECT(span_is(agent.version, "1.0.0"));
	EXPECT_INT(put(&f, "b", "x", "one", false), DEPLOY_INVALID);
	EXPECT(f.report.error_count > 0);
	EXPECT_INT(deploy_find(&f.d, SPAN("local"), SPAN("b"), f.arena, &agent, DEADLINE_NONE),
		DEPLOY_NOT_FOUND);
	EXPECT_INT(deploy_find(&f.d, SPAN("other"), SPAN("a"), f.arena, &agent, DEADLINE_NONE),
		DEPLOY_NOT_FOUND);
	end(&f);
}

static int move(struct fixture *f, struct uuid id, enum agent_state to)
{
	return deploy_set_state(&f->d, id, to, f->arena, &f->why, DEADLINE_NONE);
}

static void body_states(void *arg)
{
	struct fixture f;
	struct store_agent agent;
	struct store_events events;
	begin(&f);
	EXPECT_INT(put(&f, "a", "1.0.0", "one", false), 0);
	struct uuid id = f.result.id;
	EXPECT_INT(move(&f, id, AGENT_PAUSED), 0);
	EXPECT_INT(move(&f, id, AGENT_PAUSED), 0);
	EXPECT_INT(move(&f, id, AGENT_ACTIVE), 0);
	EXPECT_INT(move(&f, id, AGENT_ARCHIVED), 0);
	EXPECT_INT(move(&f, id, AGENT_ACTIVE), DEPLOY_CONFLICT);
	EXPECT(f.why.n > 0);
	EXPECT_INT(move(&f, (struct uuid){{9}}, AGENT_PAUSED), DEPLOY_NOT_FOUND);
	EXPECT_INT(deploy_find(&f.d, SPAN("local"), SPAN("a"), f.arena, &agent, DEADLINE_NONE),
		DEPLOY_NOT_FOUND);
	/* The name is free again, and is another agent. */
	EXPECT_INT(put(&f, "a", "1.0.0", "one", false), 0);
	EXPECT(f.result.done == DEPLOY_CREATED && !uuid_eq(id, f.result.id));
	struct store_event_query q = {.agent_id = id};
	EXPECT_INT(store_event_list(f.store, &q, f.arena, &events, DEADLINE_NONE), 0);
	EXPECT(events.count == 4);
	EXPECT(span_is(events.items[0].type, "AgentDeployed"));
	EXPECT(span_is(events.items[3].type, "AgentRemoved"));
	EXPECT_INT(store_check(f.store, DEADLINE_NONE), 0);
	end(&f);
}

static void body_update(void *arg)
{
	struct fixture f;
	begin(&f);
	EXPECT_INT(put(&f, "a", "1.0.0", "one", false), 0);
	struct uuid id = f.result.id;
	EXPECT_INT(report_init(&f.report, f.arena, "m"), 0);
	EXPECT_INT(deploy_update(&f.d, id, manifest(&f, "b", "2.0.0", "two"), false, &f.report,
			   &f.result, &f.why, DEADLINE_NONE),
		DEPLOY_CONFLICT);
	EXPECT_INT(deploy_update(&f.d, (struct uuid){{9}}, manifest(&f, "a", "2.0.0", "two"), false,
			   &f.report, &f.result, &f.why, DEADLINE_NONE),
		DEPLOY_NOT_FOUND);
	EXPECT_INT(deploy_update(&f.d, id, manifest(&f, "a", "2.0.0", "two"), false, &f.report,
			   &f.result, &f.why, DEADLINE_NONE),
		0);
	EXPECT(f.result.done == DEPLOY_UPDATED && uuid_eq(f.result.id, id));
	agent_manifest_unref(f.result.manifest);
	end(&f);
}

struct racer {
	struct fixture *f;
	const char *version;
	int result;
	bool created;
};

static void racer_run(void *arg)
{
	struct racer *x = arg;
	struct deploy_result result;
	struct report report;
	struct span why;
	EXPECT_INT(report_init(&report, x->f->arena, "m"), 0);
	x->result = deploy_agent(&x->f->d, SPAN("local"), manifest(x->f, "r", x->version, "x"),
		SPAN(""), false, &report, &result, &why, DEADLINE_NONE);
	if (x->result == 0) {
		x->created = result.done == DEPLOY_CREATED;
		agent_manifest_unref(result.manifest);
	}
}

/* Of deployments at once exactly one creates the agent; the others are told, or come after it. */
static void body_race(void *arg)
{
	struct fixture f;
	struct group g;
	struct racer racers[8];
	int created = 0;
	begin(&f);
	group_init(&g);
	for (int i = 0; i < 8; i++) {
		racers[i] = (struct racer){.f = &f, .version = arena_printf(f.arena, "1.0.%d", i)};
		EXPECT_INT(group_spawn(&g, "race", FIBER_LARGE, racer_run, &racers[i]), 0);
	}
	EXPECT_INT(group_join(&g, DEADLINE_NONE), 0);
	for (int i = 0; i < 8; i++) {
		EXPECT(racers[i].result == 0 || racers[i].result == DEPLOY_CONFLICT);
		created += racers[i].created;
	}
	EXPECT_INT(created, 1);
	group_close(&g);
	end(&f);
}

#define IN_FIBER(name) \
	static void name(void **state) \
	{ \
		in_fiber(body_##name); \
	}
IN_FIBER(versions)
IN_FIBER(states)
IN_FIBER(update)
IN_FIBER(race)

static void table_is_sound(void **state)
{
	assert_int_equal(state_table_check(&agent_states), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(table_is_sound),
		cmocka_unit_test(versions),
		cmocka_unit_test(states),
		cmocka_unit_test(update),
		cmocka_unit_test(race),
	};
	return cmocka_run_group_tests_name("daemon/deploy", tests, NULL, NULL);
}
