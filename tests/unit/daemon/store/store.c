/* SPDX-License-Identifier: AGPL-3.0-only */
#include "tests/unit/daemon/store/fixture.h"

static const struct uuid agent_a = {{0xa}};
static const struct uuid run_1 = {{1}};
static const struct uuid run_2 = {{2}};

static struct store_execution execution_of(struct fixture *f, struct uuid id)
{
	struct store_execution x;
	int r = store_execution_get(f->store, id, f->arena, &x, DEADLINE_NONE);

	if (r != 0)
		fail_msg("store_execution_get: %d %s", r, err_message(r));
	return x;
}

static void test_an_agent_is_kept_with_its_manifest(void **state)
{
	struct fixture *f = *state;
	struct store_agent a;

	assert_int_equal(put_agent(f->store, agent_a, "coder"), 0);
	fixture_reopen(f);
	assert_int_equal(store_agent_get(f->store, agent_a, f->arena, &a, DEADLINE_NONE), 0);
	assert_true(span_is(a.name, "coder"));
	assert_true(span_is(a.manifest_yaml, "kind: Agent\n"));
	assert_true(span_is(a.manifest_json, "{\"kind\":\"Agent\"}"));
	assert_true(span_is(a.labels, "{\"team\":\"a\"}"));
	assert_string_equal(a.status, "active");
	assert_int_equal(a.timeout_ms, 600000);
	assert_int_equal(a.revision, 1);
	assert_true(a.created_ns > 0);
	assert_int_equal(a.removed_ns, 0);

	struct span blob;
	assert_int_equal(
		store_blob_get(f->store, &a.manifest_hash, f->arena, &blob, DEADLINE_NONE), 0);
	assert_true(span_is(blob, "{\"kind\":\"Agent\"}"));
}

static void test_names_are_unique_until_removed(void **state)
{
	struct fixture *f = *state;
	struct uuid other = {{0xb}};
	struct store_agent removed = {.id = agent_a, .status = "archived"};
	struct store_change remove = {.kind = STORE_AGENT_UPDATE, .agent = &removed};
	struct store_agent a;

	assert_int_equal(put_agent(f->store, agent_a, "coder"), 0);
	assert_int_equal(put_agent(f->store, other, "coder"), STORE_CONFLICT);
	assert_int_equal(put(f->store, "AgentRemoved", agent_a, &remove, 1, NULL), 0);
	assert_int_equal(put_agent(f->store, other, "coder"), 0);
	assert_int_equal(store_agent_find(f->store, SPAN("default"), SPAN("coder"), f->arena, &a,
				 DEADLINE_NONE),
		0);
	assert_true(uuid_eq(a.id, other));
	assert_int_equal(store_agent_find(f->store, SPAN("elsewhere"), SPAN("coder"), f->arena, &a,
				 DEADLINE_NONE),
		STORE_NOT_FOUND);
	assert_int_equal(store_agent_get(f->store, agent_a, f->arena, &a, DEADLINE_NONE), 0);
	assert_true(a.removed_ns > 0);
}

static void test_versions_grow_and_can_be_replaced(void **state)
{
	struct fixture *f = *state;
	struct store_agent next = {.id = agent_a,
		.version = SPAN("1.1.0"),
		.manifest_yaml = SPAN("second"),
		.manifest_json = SPAN("{}")};
	struct store_change c = {.kind = STORE_AGENT_UPDATE, .agent = &next};
	struct store_agent_versions v;
	struct store_page all = {0};

	assert_int_equal(put_agent(f->store, agent_a, "coder"), 0);
	assert_int_equal(put(f->store, "AgentUpdated", agent_a, &c, 1, NULL), 0);
	next.manifest_yaml = SPAN("third");
	assert_int_equal(put(f->store, "AgentUpdated", agent_a, &c, 1, NULL), 0);
	assert_int_equal(
		store_agent_version_list(f->store, agent_a, all, f->arena, &v, DEADLINE_NONE), 0);
	assert_int_equal(v.count, 2);
	assert_true(span_is(v.items[0].version, "1.1.0"));
	assert_true(span_is(v.items[0].manifest_yaml, "third"));
	assert_true(span_is(v.items[1].version, "1.0.0"));
}

static void test_an_execution_runs_through_its_states(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(put_agent(f->store, agent_a, "coder"), 0);
	assert_int_equal(put_execution(f->store, run_1, agent_a), 0);
	assert_int_equal(execution_of(f, run_1).started_ns, 0);
	assert_int_equal(move_execution(f->store, run_1, "running", 1), 0);
	assert_true(execution_of(f, run_1).started_ns > 0);
	assert_int_equal(execution_of(f, run_1).completed_ns, 0);
	assert_int_equal(move_execution(f->store, run_1, "completed", 2), 0);
	struct store_execution x = execution_of(f, run_1);
	assert_string_equal(x.status, "completed");
	assert_int_equal(x.revision, 3);
	assert_true(x.completed_ns > 0);
	assert_true(span_is(x.input, "\"do it\""));
	assert_int_equal(x.max_iterations, 10);
}

static void test_a_session_lives_and_ends(void **state)
{
	struct fixture *f = *state;
	struct store_session s = {.id = run_2,
		.protocol = SPAN("smcp/v1"),
		.security_context = SPAN("code-assistant"),
		.subject = SPAN("client"),
		.workload_id = SPAN("client"),
		.public_key = SPAN("AAAA"),
		.expires_ns = 1000,
		.status = "active"};
	struct store_change create = {.kind = STORE_SESSION_CREATE, .session = &s};
	struct store_session next = {.id = run_2, .expires_ns = 2000};
	struct store_change update = {.kind = STORE_SESSION_UPDATE, .session = &next};
	struct store_session_query q = {.unfinished = true};
	struct store_sessions list;
	struct store_session got;

	assert_int_equal(put(f->store, "SessionCreated", (struct uuid){0}, &create, 1, NULL), 0);
	assert_int_equal(put(f->store, "Refreshed", (struct uuid){0}, &update, 1, NULL), 0);
	fixture_reopen(f);
	assert_int_equal(store_session_list(f->store, &q, f->arena, &list, DEADLINE_NONE), 0);
	assert_int_equal(list.count, 1);
	assert_int_equal(list.items[0].expires_ns, 2000);
	assert_true(span_is(list.items[0].security_context, "code-assistant"));
	next = (struct store_session){.id = run_2, .status = "revoked"};
	assert_int_equal(put(f->store, "SessionRevoked", (struct uuid){0}, &update, 1, NULL), 0);
	assert_int_equal(put(f->store, "SessionRevoked", (struct uuid){0}, &update, 1, NULL),
		STORE_CONFLICT);
	assert_int_equal(store_session_list(f->store, &q, f->arena, &list, DEADLINE_NONE), 0);
	assert_int_equal(list.count, 0);
	assert_int_equal(store_session_get(f->store, run_2, f->arena, &got, DEADLINE_NONE), 0);
	assert_string_equal(got.status, "revoked");
	assert_true(got.ended_ns > 0);
	assert_int_equal(store_check(f->store, DEADLINE_NONE), 0);
}

static void test_illegal_moves_are_refused_whole(void **state)
{
	struct fixture *f = *state;
	struct store_execution x = {.id = run_1, .status = "running"};
	struct store_change c = {.kind = STORE_EXECUTION_UPDATE, .execution = &x};
	char refusal[STORE_REFUSAL_BYTES];

	assert_int_equal(put_agent(f->store, agent_a, "coder"), 0);
	assert_int_equal(put_execution(f->store, run_1, agent_a), 0);
	assert_int_equal(move_execution(f->store, run_1, "cancelled", 0), 0);
	uint64_t before = store_stats(f->store).events;
	assert_int_equal(put(f->store, "ExecutionMoved", run_1, &c, 1, refusal), STORE_CONFLICT);
	assert_non_null(strstr(refusal, "is cancelled and cannot become running"));
	x.status = NULL;
	x.final_output = SPAN("late");
	assert_int_equal(put(f->store, "ExecutionMoved", run_1, &c, 1, refusal), STORE_CONFLICT);
	assert_non_null(strstr(refusal, "changes no more"));
	assert_int_equal(store_stats(f->store).events, before);
	assert_int_equal(execution_of(f, run_1).revision, 2);
}

static void test_a_stale_revision_is_refused(void **state)
{
	struct fixture *f = *state;
	struct store_execution x = {.id = run_1, .status = "running"};
	struct store_change c = {
		.kind = STORE_EXECUTION_UPDATE, .expect_revision = 7, .execution = &x};
	char refusal[STORE_REFUSAL_BYTES];

	assert_int_equal(put_agent(f->store, agent_a, "coder"), 0);
	assert_int_equal(put_execution(f->store, run_1, agent_a), 0);
	assert_int_equal(put(f->store, "ExecutionMoved", run_1, &c, 1, refusal), STORE_CONFLICT);
	assert_non_null(strstr(refusal, "at revision 1, not 7"));
	x.id = run_2;
	assert_int_equal(put(f->store, "ExecutionMoved", run_2, &c, 1, refusal), STORE_NOT_FOUND);
}

static void test_nothing_belongs_to_what_is_not_there(void **state)
{
	struct fixture *f = *state;
	struct store_iteration it = {.execution_id = run_1, .number = 1, .status = "running"};
	struct store_change c = {.kind = STORE_ITERATION_CREATE, .iteration = &it};

	assert_int_equal(put_execution(f->store, run_1, agent_a), STORE_NOT_FOUND);
	assert_int_equal(put(f->store, "IterationStarted", run_1, &c, 1, NULL), STORE_NOT_FOUND);
	assert_int_equal(put_agent(f->store, agent_a, "coder"), 0);
	assert_int_equal(put_execution(f->store, run_1, agent_a), 0);
	assert_int_equal(put(f->store, "IterationStarted", run_1, &c, 1, NULL), 0);
	assert_int_equal(put(f->store, "IterationStarted", run_1, &c, 1, NULL), STORE_CONFLICT);
}

static void test_a_refused_commit_leaves_no_trace(void **state)
{
	struct fixture *f = *state;
	struct store_execution good = {.id = run_1, .agent_id = agent_a, .status = "pending"};
	struct store_execution bad = {.id = run_2, .status = "running"};
	struct store_change changes[] = {
		{.kind = STORE_EXECUTION_CREATE, .event = 0, .execution = &good},
		{.kind = STORE_EXECUTION_UPDATE, .event = 1, .execution = &bad},
	};
	struct store_event events[] = {
		{.type = SPAN("One"), .execution_id = run_1},
		{.type = SPAN("Two"), .execution_id = run_2},
	};
	struct span blob = SPAN("left behind?");
	struct store_outbox_entry entry = {.topic = SPAN("webhook"), .payload = SPAN("{}")};
	struct store_commit c = {.events = events,
		.event_count = 2,
		.changes = changes,
		.change_count = 2,
		.blobs = &blob,
		.blob_count = 1,
		.outbox = &entry,
		.outbox_count = 1};
	struct store_execution x;
	struct store_hash hash = store_hash_of(blob);
	struct store_outbox due;

	assert_int_equal(put_agent(f->store, agent_a, "coder"), 0);
	assert_int_equal(store_append(f->store, &c, DEADLINE_NONE), STORE_NOT_FOUND);
	assert_int_equal(events[0].number, 0);
	assert_int_equal(
		store_execution_get(f->store, run_1, f->arena, &x, DEADLINE_NONE), STORE_NOT_FOUND);
	assert_int_equal(
		store_blob_get(f->store, &hash, f->arena, &blob, DEADLINE_NONE), STORE_NOT_FOUND);
	assert_int_equal(store_outbox_due(f->store, SPAN("webhook"), INT64_MAX, 10, f->arena, &due,
				 DEADLINE_NONE),
		0);
	assert_int_equal(due.count, 0);
}

static void test_events_have_places_without_gaps(void **state)
{
	struct fixture *f = *state;
	struct store_events events;
	struct store_event_query of_2 = {.execution_id = run_2};
	struct store_event_query newest = {.limit = 2, .newest_first = true};

	for (int i = 0; i < 4; i++) {
		assert_int_equal(put(f->store, "Tick", run_1, NULL, 0, NULL), 0);
		assert_int_equal(put(f->store, "Tick", run_2, NULL, 0, NULL), 0);
	}
	assert_int_equal(store_event_list(f->store, &of_2, f->arena, &events, DEADLINE_NONE), 0);
	assert_int_equal(events.count, 4);
	assert_int_equal(events.head, 8);
	for (uint64_t i = 0; i < 4; i++) {
		assert_int_equal(events.items[i].sequence, i + 1);
		assert_int_equal(events.items[i].number, 2 * i + 2);
		assert_true(span_is(events.items[i].details, "{}"));
	}
	of_2.after_sequence = 3;
	assert_int_equal(store_event_list(f->store, &of_2, f->arena, &events, DEADLINE_NONE), 0);
	assert_int_equal(events.count, 1);
	assert_int_equal(events.items[0].sequence, 4);
	assert_int_equal(store_event_list(f->store, &newest, f->arena, &events, DEADLINE_NONE), 0);
	assert_int_equal(events.count, 2);
	assert_int_equal(events.items[0].number, 8);
	assert_int_equal(events.items[1].number, 7);
}

static void test_an_event_comes_back_as_it_went(void **state)
{
	struct fixture *f = *state;
	struct uuid call = uuid_new();
	struct store_event e = {
		.type = SPAN("IterationStarted"),
		.category = SPAN("execution"),
		.stage = SPAN("iteration"),
		.message = SPAN("Iteration 1 started: \xe2\x82\xac"),
		.tenant_id = SPAN("default"),
		.execution_id = run_1,
		.agent_id = agent_a,
		.call_id = call,
		.iteration = 3,
		.wall_ns = 1234567890123456789,
		.details = SPAN("{\"action\":\"go\",\"n\":1.50}"),
	};
	struct store_commit c = {.events = &e, .event_count = 1};
	struct store_event back;

	assert_int_equal(store_append(f->store, &c, DEADLINE_NONE), 0);
	assert_int_equal(store_event_get(f->store, e.number, f->arena, &back, DEADLINE_NONE), 0);
	assert_true(uuid_eq(back.id, e.id));
	assert_true(span_eq(back.type, e.type));
	assert_true(span_eq(back.category, e.category));
	assert_true(span_eq(back.stage, e.stage));
	assert_true(span_eq(back.message, e.message));
	assert_true(span_eq(back.tenant_id, e.tenant_id));
	assert_true(span_eq(back.details, e.details));
	assert_true(uuid_eq(back.execution_id, run_1));
	assert_true(uuid_eq(back.agent_id, agent_a));
	assert_true(uuid_eq(back.call_id, call));
	assert_int_equal(back.iteration, 3);
	assert_int_equal(back.wall_ns, e.wall_ns);
	assert_int_equal(
		store_event_get(f->store, 99, f->arena, &back, DEADLINE_NONE), STORE_NOT_FOUND);
}

static void test_bad_commits_say_what_is_wrong(void **state)
{
	struct fixture *f = *state;
	struct {
		struct store_event event;
		const char *says;
	} cases[] = {
		{{.type = {NULL, 0}}, "no type"},
		{{.type = SPAN("T"), .details = SPAN("[]")}, "must be a JSON object, not array"},
		{{.type = SPAN("T"), .details = SPAN("{\"a\":1,\"a\":2}")}, "details"},
		{{.type = SPAN("T"), .message = SPAN("\xff")}, "message must be UTF-8"},
		{{.type = SPAN("T"), .stage = SPAN("a\0b")}, "without NUL"},
	};
	struct store_execution x = {.id = run_1, .agent_id = agent_a, .status = "flying"};
	struct store_change c = {.kind = STORE_EXECUTION_CREATE, .execution = &x};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct store_commit commit = {.events = &cases[i].event, .event_count = 1};
		int r = store_append(f->store, &commit, DEADLINE_NONE);
		assert_int_equal(r, -EINVAL);
		assert_non_null(strstr(err_message(r), cases[i].says));
		err_clear();
	}
	int r = put(f->store, "T", run_1, &c, 1, NULL);
	assert_int_equal(r, -EINVAL);
	assert_non_null(strstr(err_message(r), "execution: no status 'flying'"));
	err_clear();
	assert_int_equal(store_stats(f->store).events, 0);
}

static void test_lists_filter_and_page(void **state)
{
	struct fixture *f = *state;
	struct store_execution_query q = {0};
	struct store_executions found;
	struct uuid other = {{0xb}};

	assert_int_equal(put_agent(f->store, agent_a, "coder"), 0);
	assert_int_equal(put_agent(f->store, other, "tester"), 0);
	for (uint8_t i = 1; i <= 10; i++)
		assert_int_equal(
			put_execution(f->store, (struct uuid){{i}}, i % 2 ? agent_a : other), 0);
	assert_int_equal(move_execution(f->store, (struct uuid){{1}}, "running", 0), 0);
	assert_int_equal(move_execution(f->store, (struct uuid){{2}}, "cancelled", 0), 0);

	q.agent_id = agent_a;
	assert_int_equal(store_execution_list(f->store, &q, f->arena, &found, DEADLINE_NONE), 0);
	assert_int_equal(found.count, 5);
	assert_int_equal(found.items[0].id.bytes[0], 9);
	q = (struct store_execution_query){.status = "running"};
	assert_int_equal(store_execution_list(f->store, &q, f->arena, &found, DEADLINE_NONE), 0);
	assert_int_equal(found.count, 1);
	q = (struct store_execution_query){.unfinished = true, .oldest_first = true};
	assert_int_equal(store_execution_list(f->store, &q, f->arena, &found, DEADLINE_NONE), 0);
	assert_int_equal(found.count, 9);
	assert_int_equal(found.items[0].id.bytes[0], 1);
	assert_int_equal(found.items[1].id.bytes[0], 3);
	q = (struct store_execution_query){.page = {.limit = 3, .offset = 8}};
	assert_int_equal(store_execution_list(f->store, &q, f->arena, &found, DEADLINE_NONE), 0);
	assert_int_equal(found.count, 2);
	q.page.limit = LIMIT_STORE_PAGE + 1;
	assert_int_equal(
		store_execution_list(f->store, &q, f->arena, &found, DEADLINE_NONE), -EINVAL);
	err_clear();

	struct store_agent_query agents = {.tenant_id = SPAN("default")};
	struct store_agents list;
	assert_int_equal(store_agent_list(f->store, &agents, f->arena, &list, DEADLINE_NONE), 0);
	assert_int_equal(list.count, 2);
	assert_int_equal(list.items[0].manifest_yaml.n, 0);
	agents.tenant_id = SPAN("nobody");
	assert_int_equal(store_agent_list(f->store, &agents, f->arena, &list, DEADLINE_NONE), 0);
	assert_int_equal(list.count, 0);
}

static void test_iterations_stand_in_order(void **state)
{
	struct fixture *f = *state;
	struct store_iterations its;

	assert_int_equal(put_agent(f->store, agent_a, "coder"), 0);
	assert_int_equal(put_execution(f->store, run_1, agent_a), 0);
	for (uint32_t n = 1; n <= 3; n++) {
		struct store_iteration it = {
			.execution_id = run_1, .number = n, .status = "running"};
		struct store_change c = {.kind = STORE_ITERATION_CREATE, .iteration = &it};
		assert_int_equal(put(f->store, "IterationStarted", run_1, &c, 1, NULL), 0);
		it = (struct store_iteration){.execution_id = run_1,
			.number = n,
			.status = "success",
			.output = SPAN("done")};
		c.kind = STORE_ITERATION_UPDATE;
		assert_int_equal(put(f->store, "IterationCompleted", run_1, &c, 1, NULL), 0);
	}
	assert_int_equal(store_iteration_list(f->store, run_1, f->arena, &its, DEADLINE_NONE), 0);
	assert_int_equal(its.count, 3);
	for (uint32_t n = 1; n <= 3; n++) {
		assert_int_equal(its.items[n - 1].number, n);
		assert_true(span_is(its.items[n - 1].output, "done"));
		assert_true(its.items[n - 1].ended_ns > 0);
	}
}

static void test_outbox_entries_wait_until_settled(void **state)
{
	struct fixture *f = *state;
	struct store_event e = {.type = SPAN("T"), .wall_ns = 100};
	struct store_outbox_entry entries[] = {
		{.topic = SPAN("webhook"), .payload = SPAN("{\"n\":1}")},
		{.topic = SPAN("webhook"), .payload = SPAN("{\"n\":2}"), .due_ns = 500},
		{.topic = SPAN("mail"), .payload = SPAN("{}")},
	};
	struct store_commit c = {
		.events = &e, .event_count = 1, .outbox = entries, .outbox_count = 3};
	struct store_outbox due;

	assert_int_equal(store_append(f->store, &c, DEADLINE_NONE), 0);
	assert_int_equal(
		store_outbox_due(f->store, SPAN("webhook"), 200, 10, f->arena, &due, DEADLINE_NONE),
		0);
	assert_int_equal(due.count, 1);
	assert_true(span_is(due.items[0].payload, "{\"n\":1}"));
	assert_int_equal(due.items[0].event_number, e.number);
	assert_int_equal(store_outbox_retry(f->store, due.items[0].id, 600, DEADLINE_NONE), 0);
	assert_int_equal(
		store_outbox_due(f->store, SPAN("webhook"), 550, 10, f->arena, &due, DEADLINE_NONE),
		0);
	assert_int_equal(due.count, 1);
	assert_true(span_is(due.items[0].payload, "{\"n\":2}"));
	assert_int_equal(store_outbox_done(f->store, due.items[0].id, DEADLINE_NONE), 0);
	assert_int_equal(
		store_outbox_done(f->store, due.items[0].id, DEADLINE_NONE), STORE_NOT_FOUND);
	assert_int_equal(
		store_outbox_due(f->store, SPAN("webhook"), 600, 10, f->arena, &due, DEADLINE_NONE),
		0);
	assert_int_equal(due.count, 1);
	assert_int_equal(due.items[0].attempts, 1);
}

static void test_keys_and_daemon_state(void **state)
{
	struct fixture *f = *state;
	struct store_key k = {.kind = SPAN("bearer"),
		.name = SPAN("daemon"),
		.hash = SPAN("\x01\x00\x02"),
		.metadata = SPAN("{}")};
	struct store_key back;
	struct store_keys all;
	struct span value;

	assert_int_equal(store_key_put(f->store, &k, DEADLINE_NONE), 0);
	k.revoked = true;
	assert_int_equal(store_key_put(f->store, &k, DEADLINE_NONE), 0);
	assert_int_equal(store_key_get(f->store, SPAN("bearer"), SPAN("daemon"), f->arena, &back,
				 DEADLINE_NONE),
		0);
	assert_true(span_eq(back.hash, k.hash));
	assert_true(back.revoked);
	assert_int_equal(
		store_key_list(f->store, SPAN("bearer"), f->arena, &all, DEADLINE_NONE), 0);
	assert_int_equal(all.count, 1);
	assert_int_equal(
		store_key_remove(f->store, SPAN("bearer"), SPAN("daemon"), DEADLINE_NONE), 0);
	assert_int_equal(store_key_remove(f->store, SPAN("bearer"), SPAN("daemon"), DEADLINE_NONE),
		STORE_NOT_FOUND);

	assert_int_equal(store_kv_get(f->store, SPAN("k"), f->arena, &value, DEADLINE_NONE),
		STORE_NOT_FOUND);
	assert_int_equal(store_kv_put(f->store, SPAN("k"), SPAN("a\0b"), DEADLINE_NONE), 0);
	assert_int_equal(store_kv_get(f->store, SPAN("k"), f->arena, &value, DEADLINE_NONE), 0);
	assert_true(span_eq(value, SPAN("a\0b")));
	assert_int_equal(
		store_kv_put(f->store, SPAN("k"), (struct span){NULL, 0}, DEADLINE_NONE), 0);
	assert_int_equal(store_kv_get(f->store, SPAN("k"), f->arena, &value, DEADLINE_NONE),
		STORE_NOT_FOUND);
}

struct heard {
	uint64_t last;
	size_t calls;
	bool gap;
};

static void hear(void *ctx, const struct store_event *events, size_t count)
{
	struct heard *h = ctx;

	h->calls++;
	for (size_t i = 0; i < count; i++) {
		h->gap |= events[i].number != h->last + 1;
		h->last = events[i].number;
	}
}

static void test_the_hook_hears_every_commit(void **state)
{
	struct fixture *f = *state;
	struct heard h = {0};

	store_set_hook(f->store, hear, &h);
	for (int i = 0; i < 20; i++)
		assert_int_equal(put(f->store, "Tick", run_1, NULL, 0, NULL), 0);
	assert_int_equal(store_kv_put(f->store, SPAN("k"), SPAN("v"), DEADLINE_NONE), 0);
	assert_int_equal(h.last, 20);
	assert_int_equal(h.calls, 20);
	assert_false(h.gap);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
	const struct CMUnitTest tests[] = {
		CASE(test_an_agent_is_kept_with_its_manifest),
		CASE(test_names_are_unique_until_removed),
		CASE(test_versions_grow_and_can_be_replaced),
		CASE(test_an_execution_runs_through_its_states),
		CASE(test_a_session_lives_and_ends),
		CASE(test_illegal_moves_are_refused_whole),
		CASE(test_a_stale_revision_is_refused),
		CASE(test_nothing_belongs_to_what_is_not_there),
		CASE(test_a_refused_commit_leaves_no_trace),
		CASE(test_events_have_places_without_gaps),
		CASE(test_an_event_comes_back_as_it_went),
		CASE(test_bad_commits_say_what_is_wrong),
		CASE(test_lists_filter_and_page),
		CASE(test_iterations_stand_in_order),
		CASE(test_outbox_entries_wait_until_settled),
		CASE(test_keys_and_daemon_state),
		CASE(test_the_hook_hears_every_commit),
	};
	return cmocka_run_group_tests_name("store", tests, NULL, NULL);
}
