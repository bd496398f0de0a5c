/* SPDX-License-Identifier: AGPL-3.0-only */
#include "daemon/event/internal.h"
#include "proto/aegis_runtime_events.pb-c.h"
#include "tests/tap.h"

#include <errno.h>

static const struct uuid run = {{0x11}};
static const struct uuid agent = {{0x22}};

static void test_every_type_is_named_once(void **state)
{
	for (int t = 0; t < EVENT_TYPE_COUNT; t++) {
		const struct event_info *i = event_info((enum event_type)t);
		assert_int_equal(event_type_parse(span_cstr(i->name)), t);
		assert_int_equal(event_type_parse(span_cstr(i->snake)), t);
		assert_true(i->category[0] && i->stage[0] && i->message[0]);
	}
	assert_int_equal(event_type_parse(SPAN("NoSuchEvent")), -1);
}

/* Every case of the published oneof is an event that we have. */
static void test_every_stream_member_is_a_type(void **state)
{
	const ProtobufCMessageDescriptor *d = &aegis__runtime__v1__execution_event__descriptor;

	assert_string_equal(d->name, "aegis.runtime.v1.ExecutionEvent");
	assert_int_equal(d->n_fields, 8);
	for (unsigned i = 0; i < d->n_fields; i++)
		assert_true(event_type_parse(span_cstr(d->fields[i].name)) >= 0);
}

static void test_an_event_says_what_happened(void **state)
{
	struct arena *a CLEANUP(arena_cleanup) = arena_new(1 << 20);
	struct store_event e = event_of(EVENT_ITERATION_STARTED, run, agent, 3);

	e.details = SPAN("{\"action\":\"write\\nit\"}");
	assert_int_equal(event_fill(&e, a), 0);
	assert_true(span_is(e.message, "Iteration 3 started: write it"));
	e = event_of(EVENT_ITERATION_FAILED, run, agent, 1);
	e.details = SPAN("{\"error\":{\"message\":\"no\"}}");
	assert_int_equal(event_fill(&e, a), 0);
	assert_true(span_is(e.message, "Iteration 1 failed: no"));
	e = event_of(EVENT_EXECUTION_STARTED, run, agent, 0);
	e.message = SPAN("mine");
	assert_int_equal(event_fill(&e, a), 0);
	assert_true(span_is(e.message, "mine"));
	assert_true(span_is(e.category, "execution"));
}

static void test_details_must_be_there(void **state)
{
	struct arena *a CLEANUP(arena_cleanup) = arena_new(1 << 20);
	struct store_event e = event_of(EVENT_TOOL_DENIED, run, agent, 1);

	e.details = SPAN("{\"tool_name\":\"cmd.run\",\"violation_type\":\"x\",\"details\":\"y\"}");
	int r = event_fill(&e, a);
	assert_int_equal(r, -EINVAL);
	assert_string_equal(err_message(r), "event ToolPolicyViolation: details need \"decision\"");
	e = (struct store_event){.type = SPAN("Nonsense")};
	r = event_fill(&e, a);
	assert_int_equal(r, -EINVAL);
	err_clear();
}

static struct store_event sample(struct arena *a)
{
	struct store_event e = event_of(EVENT_EXECUTION_COMPLETED, run, agent, 0);

	e.details = SPAN("{\"final_output\":\"42\",\"total_iterations\":2}");
	e.wall_ns = INT64_C(1772719200) * NS_PER_S;
	e.number = 9;
	e.sequence = 4;
	assert_int_equal(event_fill(&e, a), 0);
	return e;
}

static const struct json *as_json(
	struct arena *a, const struct store_event *e, enum event_form form)
{
	struct buf b CLEANUP(buf_fini) = buf_init(1 << 16);
	struct json_writer w = json_writer(&b);
	const struct json *v;

	event_json(&w, e, form);
	assert_int_equal(json_parse(a, buf_view(&b), NULL, &v), 0);
	return v;
}

static void test_one_line_suits_every_reader(void **state)
{
	struct arena *a CLEANUP(arena_cleanup) = arena_new(1 << 20);
	struct store_event e = sample(a);
	const struct json *v = as_json(a, &e, EVENT_STREAM);

	assert_true(span_is(json_str(v, "type", SPAN("")), "ExecutionCompleted"));
	assert_true(span_is(json_str(v, "event_type", SPAN("")), "execution_completed"));
	assert_true(span_is(json_str(v, "category", SPAN("")), "execution"));
	assert_true(span_is(json_str(v, "stage", SPAN("")), "execution"));
	assert_true(span_is(json_str(v, "timestamp", SPAN("")), "2026-03-05T14:00:00.000000Z"));
	assert_true(span_is(
		json_str(v, "message", SPAN("")), "Execution completed after 2 iterations"));
	assert_int_equal(json_i64(v, "total_iterations", 0), 2);
	assert_int_equal(json_i64(v, "sequence", 0), 4);
	assert_true(span_is(json_str(json_get(v, "details"), "final_output", SPAN("")), "42"));
	assert_true(span_is(json_str(json_get(v, "data"), "result", SPAN("")), "42"));
	const struct json *m = json_get(v, "execution_completed");
	assert_non_null(m);
	assert_int_equal(m->count, 4);
	assert_true(span_is(
		json_str(m, "execution_id", SPAN("")), "11000000-0000-0000-0000-000000000000"));
	assert_true(span_is(json_str(m, "final_output", SPAN("")), "42"));
	assert_int_equal(json_i64(m, "total_iterations", 0), 2);
	assert_true(span_is(json_str(m, "completed_at", SPAN("")), "2026-03-05T14:00:00.000000Z"));
	assert_null(json_get(as_json(a, &e, EVENT_ACTIVITY), "execution_completed"));
}

static void test_types_without_a_member_have_none(void **state)
{
	struct arena *a CLEANUP(arena_cleanup) = arena_new(1 << 20);
	struct store_event e = event_of(EVENT_EXECUTION_CANCELLED, run, agent, 0);
	struct buf b CLEANUP(buf_fini) = buf_init(4096);

	e.details = SPAN("{\"reason\":\"asked\"}");
	assert_int_equal(event_fill(&e, a), 0);
	assert_null(json_get(as_json(a, &e, EVENT_STREAM), "execution_cancelled"));
	assert_int_equal(event_pack(&e, &b), EVENT_NO_MESSAGE);
}

/* The bytes are those of the published contract, written out by hand. */
static void test_bytes_follow_the_contract(void **state)
{
	struct arena *a CLEANUP(arena_cleanup) = arena_new(1 << 20);
	struct store_event e = sample(a);
	struct buf b CLEANUP(buf_fini) = buf_init(4096);
	static const char expected[] = "\x3a\x49" /* execution_completed = 7, 73 bytes */
				       "\x0a\x24"
				       "11000000-0000-0000-0000-000000000000"
				       "\x12\x02"
				       "42"
				       "\x18\x02"
				       "\x22\x1b"
				       "2026-03-05T14:00:00.000000Z";

	assert_int_equal(event_pack(&e, &b), 0);
	assert_int_equal(b.len, sizeof(expected) - 1);
	assert_memory_equal(b.data, expected, sizeof(expected) - 1);
}

static void test_a_nested_error_is_unpacked_by_the_contract(void **state)
{
	struct buf b CLEANUP(buf_fini) = buf_init(4096);
	struct store_event e = event_of(EVENT_ITERATION_FAILED, run, agent, 2);
	static const char *const details[] = {
		"{\"error\":{\"error_type\":\"exit\",\"message\":\"code 1\"}}",
		"{\"error\":\"code 1\"}"};

	for (int i = 0; i < 2; i++) {
		e.details = span_cstr(details[i]);
		buf_reset(&b);
		assert_int_equal(event_pack(&e, &b), 0);
		Aegis__Runtime__V1__ExecutionEvent *m = aegis__runtime__v1__execution_event__unpack(
			NULL, b.len, (const uint8_t *)b.data);
		assert_non_null(m);
		assert_int_equal(
			m->event_case, AEGIS__RUNTIME__V1__EXECUTION_EVENT__EVENT_ITERATION_FAILED);
		assert_int_equal(m->iteration_failed->iteration_number, 2);
		assert_string_equal(m->iteration_failed->error->message, "code 1");
		assert_string_equal(m->iteration_failed->error->error_type, i ? "" : "exit");
		aegis__runtime__v1__execution_event__free_unpacked(m, NULL);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_type_is_named_once),
		cmocka_unit_test(test_every_stream_member_is_a_type),
		cmocka_unit_test(test_an_event_says_what_happened),
		cmocka_unit_test(test_details_must_be_there),
		cmocka_unit_test(test_one_line_suits_every_reader),
		cmocka_unit_test(test_types_without_a_member_have_none),
		cmocka_unit_test(test_bytes_follow_the_contract),
		cmocka_unit_test(test_a_nested_error_is_unpacked_by_the_contract),
	};
	return cmocka_run_group_tests_name("event", tests, NULL, NULL);
}
