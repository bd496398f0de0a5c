/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The daemon goes away after each event in turn and comes back: the end must be the one it would
 * have been, no step may be told twice, and no command may run twice. The sandbox and its agent
 * live on meanwhile, or die, as the test says.
 */
#include "tests/unit/daemon/execution/expect.h"
#include <stdio.h>

static struct bench b; /* too large for a stack */

static void script(void)
{
	b.model.turns[0][0] =
		(struct script_turn){.calls = {{"cmd.run", "{\"command\":\"make one\"}"},
					     {"fs.create_dir", "{\"path\":\"/workspace/out\"}"}}};
	b.model.turns[0][1] = (struct script_turn){
		.calls = {{"cmd.run", "{\"command\":\"make two\"}"},
			{"fs.write", "{\"path\":\"/workspace/no\",\"content\":\"\"}"}}};
	b.model.turns[0][2].content = "bad";
	b.model.turns[1][0].calls[0] = (struct script_call){"cmd.run", "{\"command\":\"make\"}"};
	b.model.turns[1][1].content = "good";
	deploy(&b, "mode: iterative, max_iterations: 3, validation: [{type: regex, pattern: good}]",
		TOOLS);
}

static uint64_t events_now(struct uuid id)
{
	/* Asked often, so not from the bench's own. */
	struct arena *a CLEANUP(arena_cleanup) = arena_new(16 << 20);
	struct store_event_query q = {.execution_id = id, .limit = 1000};
	struct store_events events = {0};
	EXPECT_INT(store_event_list(b.store, &q, a, &events, DEADLINE_NONE), 0);
	return events.count;
}

/* Waits until the execution has n events. False if it ended before. */
static bool wait_events(struct uuid id, uint64_t n)
{
	while (events_now(id) < n) {
		if (execution_wait(b.x, id, deadline_in_ms(1)) == 0)
			return events_now(id) >= n;
	}
	return true;
}

static struct uuid begin(int64_t command_ms)
{
	bench_begin(&b);
	script();
	b.host.command_ms = command_ms;
	return start(&b, "\"work\"");
}

static void restart(void)
{
	daemon_down(&b);
	daemon_up(&b);
}

/* The iteration in which the sandbox died says why, and another one does the work. */
static void end_after(struct uuid id, const char *reason)
{
	wait_end(&b, id);
	EXPECT_TEXT(row_of(&b, id).status, "completed");
	const char *error = detail_of(&b, id, EVENT_ITERATION_FAILED, 0, "error");
	if (!strstr(error, reason))
		expect_text(error, reason, "error", __FILE__, __LINE__);
	bench_end(&b);
}

static const enum event_type once[] = {EVENT_EXECUTION_STARTED, EVENT_ITERATION_STARTED,
	EVENT_INSTANCE_SPAWNED, EVENT_INSTANCE_TERMINATED, EVENT_LLM_INTERACTION,
	EVENT_COMMAND_STARTED, EVENT_COMMAND_COMPLETED, EVENT_TOOL_COMPLETED, EVENT_TOOL_DENIED,
	EVENT_VALIDATION_PERFORMED, EVENT_REFINEMENT_APPLIED, EVENT_ITERATION_FAILED,
	EVENT_ITERATION_COMPLETED, EVENT_EXECUTION_COMPLETED};
static int wanted[ARRAY_LEN(once)];

static void expect_same(struct uuid id, uint64_t cut)
{
	for (size_t i = 0; i < ARRAY_LEN(once); i++) {
		int n = count_of_type(&b, id, once[i]);
		if (n != wanted[i])
			print_message("after event %d: %s\n", (int)cut, history_of(&b, id));
		EXPECT_INT(n, wanted[i]);
	}
	EXPECT_TEXT(output_of(&b, id), "good");
	EXPECT_TEXT(row_of(&b, id).status, "completed");
	EXPECT_INT(row_of(&b, id).current_iteration, 2);
	EXPECT_INT(b.host.started, 2);
	EXPECT_INT(b.host.ran, 3);
	EXPECT_INT(host_boxes(&b.host), 0);
	EXPECT_INT(store_check(b.store, DEADLINE_NONE), 0);
}

static void after_each_event(void *arg)
{
	uint64_t total;

	bench_begin(&b);
	script();
	struct uuid id = start(&b, "\"work\"");
	wait_end(&b, id);
	for (size_t i = 0; i < ARRAY_LEN(once); i++)
		wanted[i] = count_of_type(&b, id, once[i]);
	total = events_now(id);
	EXPECT(total > 25);
	expect_same(id, 0);
	for (uint64_t cut = 1; cut < total; cut++) {
		b.host.started = b.host.ran = 0;
		id = start(&b, "\"work\"");
		EXPECT(wait_events(id, cut));
		restart();
		int r = execution_wait(b.x, id, deadline_in_ms(10000));
		if (r)
			print_message("after event %d: %s\n", (int)cut, history_of(&b, id));
		EXPECT_INT(r, 0);
		expect_same(id, cut);
		if (r)
			break;
	}
	bench_end(&b);
}

/* Down twice in a row, and down again before anything happened. */
static void again_and_again(void *arg)
{
	struct uuid id = begin(30);
	for (int i = 0; i < 20; i++) {
		if (execution_wait(b.x, id, deadline_in_ms(i % 7)) == 0)
			break;
		restart();
	}
	wait_end(&b, id);
	expect_same(id, 0);
	bench_end(&b);
}

/* The command ends while nobody is there, and its result comes in before its call is open again. */
static void result_comes_first(void *arg)
{
	struct uuid id = begin(50);
	wait_type(&b, id, EVENT_COMMAND_STARTED);
	daemon_down(&b);
	EXPECT_INT(rt_sleep_until(deadline_in_ms(100)), 0);
	b.host.call_open_ms = 100;
	daemon_up(&b);
	wait_end(&b, id);
	expect_same(id, 0);
	bench_end(&b);
}

/* The sandbox dies while nobody is there: the iteration is interrupted, the next one works. */
static void sandbox_gone(void *arg)
{
	struct uuid id = begin(10000);
	wait_type(&b, id, EVENT_COMMAND_STARTED);
	daemon_down(&b);
	host_forget(&b.host);
	b.host.command_ms = 0;
	daemon_up(&b);
	end_after(id, "interrupted");
}

/* Killed while nobody was there, but the kernel still tells how it ended. */
static void sandbox_killed(void *arg)
{
	struct uuid id = begin(10000);
	wait_type(&b, id, EVENT_COMMAND_STARTED);
	daemon_down(&b);
	box_kill(host_box(&b.host), 9);
	b.host.command_ms = 0;
	daemon_up(&b);
	end_after(id, "signal 9");
}

/* It dies while a command is on its way in: what ended it is the reason, not the command. */
static void sandbox_killed_before_a_command(void *arg)
{
	bench_begin(&b);
	script();
	b.host.call_open_ms = 100;
	struct uuid id = start(&b, "\"work\"");
	wait_type(&b, id, EVENT_TOOL_STARTED);
	box_kill(host_box(&b.host), 9);
	b.host.call_open_ms = 0;
	end_after(id, "signal 9");
}

/* A model call that was under way is made again, and the record says so. */
static void model_call_repeated(void *arg)
{
	bench_begin(&b);
	deploy(&b, "mode: one-shot", TOOLS);
	b.model.turns[0][0] = (struct script_turn){.content = "hello", .delay_ms = 200};
	struct uuid id = start(&b, "\"work\"");
	while (b.model.requests == 0)
		EXPECT_INT(rt_sleep_until(deadline_in_ms(1)), 0);
	restart();
	wait_end(&b, id);
	EXPECT_INT(b.model.requests, 2);
	EXPECT_INT(count_of_type(&b, id, EVENT_LLM_INTERACTION), 1);
	EXPECT_TEXT(detail_of(&b, id, EVENT_LLM_INTERACTION, 0, "repeated"), "true");
	EXPECT_INT(b.host.started, 1);
	bench_end(&b);
}

/* Pending ones keep their order, and nobody's sandboxes are ended. */
static void queue_and_orphans(void *arg)
{
	struct uuid ids[3];
	bench_begin(&b);
	daemon_down(&b);
	b.running_max = 1;
	daemon_up(&b);
	deploy(&b, "mode: one-shot", TOOLS);
	b.model.turns[0][0].content = "hello";
	b.host.mute = true;
	for (int i = 0; i < 3; i++)
		ids[i] = start(&b, "\"x\"");
	while (b.host.started == 0)
		EXPECT_INT(rt_sleep_until(deadline_in_ms(1)), 0);
	daemon_down(&b);
	b.host.mute = false;
	box_orphan(&b.host);
	daemon_up(&b);
	EXPECT_INT(execution_cancel(b.x, ids[0], SPAN("enough"), true, DEADLINE_NONE), 0);
	wait_end(&b, ids[2]);
	wait_end(&b, ids[1]);
	EXPECT(row_of(&b, ids[1]).completed_ns < row_of(&b, ids[2]).started_ns);
	EXPECT_INT(host_boxes(&b.host), 0);
	bench_end(&b);
}

#define TEST(name) \
	static void test_##name(void **state) \
	{ \
		in_fiber(name); \
	}

TEST(after_each_event)
TEST(again_and_again)
TEST(result_comes_first)
TEST(sandbox_gone)
TEST(sandbox_killed)
TEST(sandbox_killed_before_a_command)
TEST(model_call_repeated)
TEST(queue_and_orphans)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_after_each_event),
		cmocka_unit_test(test_again_and_again),
		cmocka_unit_test(test_result_comes_first),
		cmocka_unit_test(test_sandbox_gone),
		cmocka_unit_test(test_sandbox_killed),
		cmocka_unit_test(test_sandbox_killed_before_a_command),
		cmocka_unit_test(test_model_call_repeated),
		cmocka_unit_test(test_queue_and_orphans),
	};
	return cmocka_run_group_tests_name("execution restart", tests, NULL, NULL);
}
