/* SPDX-License-Identifier: AGPL-3.0-only */
/* Every way to end that is no success: deadlines, cancellations, refusals, models and agents that
 * fail. */
#include "tests/unit/daemon/execution/expect.h"
#include <unistd.h>

static struct bench b; /* too large for a stack */

static void clean(void)
{
	EXPECT_INT(host_boxes(&b.host), 0);
	EXPECT_INT(store_check(b.store, DEADLINE_NONE), 0);
	bench_end(&b);
}

/* ---- deadlines ---- */

static void execution_times_out(void *arg)
{
	bench_begin(&b);
	b.timeout = "1s";
	deploy(&b, "mode: one-shot", TOOLS);
	b.host.mute = true;
	struct uuid id = start(&b, "\"x\"");
	wait_end(&b, id);
	EXPECT_TEXT(row_of(&b, id).status, "failed");
	EXPECT_HAS(error_of(&b, id), "the execution took longer than 1 s");
	EXPECT_INT(count_of_type(&b, id, EVENT_EXECUTION_TIMED_OUT), 1);
	EXPECT_HAS(detail_of(&b, id, EVENT_ITERATION_FAILED, 0, "error"), "execution_timeout");
	clean();
}

static void iteration_times_out(void *arg)
{
	bench_begin(&b);
	deploy(&b, "mode: iterative, max_iterations: 2, iteration_timeout: 1s", TOOLS);
	b.host.mute = true;
	b.host.stubborn = true;
	struct uuid id = start(&b, "\"x\"");
	wait_type(&b, id, EVENT_ITERATION_FAILED);
	b.host.mute = false;
	wait_end(&b, id);
	EXPECT_HAS(detail_of(&b, id, EVENT_ITERATION_FAILED, 0, "error"), "iteration_timeout");
	EXPECT_HAS(detail_of(&b, id, EVENT_ITERATION_FAILED, 0, "error"), "longer than 1 s");
	EXPECT_INT(row_of(&b, id).current_iteration, 2);
	clean();
}

static void model_times_out(void *arg)
{
	bench_begin(&b);
	deploy(&b, "mode: one-shot, llm_timeout_seconds: 1", TOOLS);
	b.model.turns[0][0] = (struct script_turn){.content = "late", .delay_ms = 5000};
	struct uuid id = start(&b, "\"x\"");
	wait_end(&b, id);
	EXPECT_TEXT(row_of(&b, id).status, "failed");
	EXPECT_HAS(detail_of(&b, id, EVENT_ITERATION_FAILED, 0, "error"), "llm_timeout");
	EXPECT_TEXT(detail_of(&b, id, EVENT_LLM_CALL_FAILED, 0, "error_class"), "timeout");
	clean();
}

/* ---- cancelling, in each phase ---- */

static void cancelled(struct uuid id, bool force)
{
	EXPECT_INT(execution_cancel(b.x, id, SPAN("enough"), force, deadline_in_ms(10000)), 0);
	EXPECT_TEXT(row_of(&b, id).status, "cancelled");
	EXPECT_TEXT(detail_of(&b, id, EVENT_EXECUTION_CANCELLED, 0, "reason"), "enough");
	EXPECT_INT(execution_cancel(b.x, id, SPAN(""), force, DEADLINE_NONE), EXECUTION_FINISHED);
	EXPECT_INT(host_boxes(&b.host), 0);
}

static void cancel_starting(void *arg)
{
	bench_begin(&b);
	deploy(&b, "mode: one-shot", TOOLS);
	b.host.start_delay_ms = 60000;
	struct uuid id = start(&b, "\"x\"");
	wait_type(&b, id, EVENT_ITERATION_STARTED);
	cancelled(id, false);
	clean();
}

static void cancel_in_model(void *arg)
{
	bench_begin(&b);
	deploy(&b, "mode: one-shot", TOOLS);
	b.model.turns[0][0] = (struct script_turn){.content = "late", .delay_ms = 60000};
	struct uuid id = start(&b, "\"x\"");
	for (int i = 0; i < 5000 && b.model.requests == 0; i++)
		EXPECT_INT(rt_sleep_until(deadline_in_ms(1)), 0);
	cancelled(id, false);
	clean();
}

static void cancel_in_command(void *arg)
{
	bench_begin(&b);
	deploy(&b, "mode: one-shot", TOOLS);
	b.model.turns[0][0].calls[0] = (struct script_call){"cmd.run", "{\"command\":\"make\"}"};
	b.host.command_ms = 60000;
	b.host.stubborn = true;
	for (int force = 0; force < 2; force++) {
		struct uuid id = start(&b, "\"x\"");
		wait_type(&b, id, EVENT_COMMAND_STARTED);
		int64_t began_ns = rt_now_ns();
		b.host.terms = 0;
		cancelled(id, force);
		/* The grace of 200 ms stands between the request and the kill, unless forced. */
		EXPECT_INT(b.host.terms, !force);
		EXPECT(force || rt_now_ns() - began_ns > 190 * NS_PER_MS);
	}
	clean();
}

static void cancel_pending(void *arg)
{
	bench_begin(&b);
	daemon_down(&b);
	b.running_max = 1;
	daemon_up(&b);
	deploy(&b, "mode: one-shot", TOOLS);
	b.host.mute = true;
	struct uuid first = start(&b, "\"x\"");
	wait_type(&b, first, EVENT_INSTANCE_SPAWNED);
	struct uuid second = start(&b, "\"x\"");
	EXPECT_INT(execution_cancel(b.x, second, SPAN("enough"), false, deadline_in_ms(5000)), 0);
	EXPECT_TEXT(row_of(&b, second).status, "cancelled");
	EXPECT_INT(count_of_type(&b, second, EVENT_ITERATION_STARTED), 0);
	EXPECT_INT(host_boxes(&b.host), 1);
	cancelled(first, true);
	clean();
}

/* ---- failures ---- */

static void model_refuses(void *arg)
{
	bench_begin(&b);
	deploy(&b, "mode: iterative, max_iterations: 5", TOOLS);
	b.model.turns[0][0].status = 401;
	struct uuid id = start(&b, "\"x\"");
	wait_end(&b, id);
	EXPECT_TEXT(row_of(&b, id).status, "failed");
	EXPECT_INT(row_of(&b, id).current_iteration, 1); /* another would meet the same */
	EXPECT_HAS(error_of(&b, id), "upstream_refused");
	clean();
}

#define TEN "0123456789"
#define LONG_WORD \
	TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN

static void replay_and_miss(void *arg)
{
	bench_begin(&b);
	daemon_down(&b);
	b.record = true;
	daemon_up(&b);
	deploy(&b, "mode: one-shot", TOOLS);
	b.model.turns[0][0].calls[0] = (struct script_call){"cmd.run", "{\"command\":\"make\"}"};
	b.model.turns[0][1].content = "hello";
	wait_end(&b, start(&b, "\"" LONG_WORD "x\""));
	daemon_down(&b);
	b.record = false;
	b.replay = true;
	daemon_up(&b);
	struct uuid id = start(&b, "\"" LONG_WORD "x\"");
	wait_end(&b, id);
	EXPECT_TEXT(output_of(&b, id), "hello");
	EXPECT_TEXT(detail_of(&b, id, EVENT_LLM_INTERACTION, 1, "replayed"), "true");
	EXPECT_INT(b.model.requests, 2);
	id = start(&b, "\"another\"");
	wait_end(&b, id);
	EXPECT_TEXT(detail_of(&b, id, EVENT_LLM_CALL_FAILED, 0, "error_class"), "replay_miss");
	EXPECT_HAS(error_of(&b, id), "Do another");
	/* Both excerpts are of the place where they differ, however much is the same before. */
	id = start(&b, "\"" LONG_WORD "y\"");
	wait_end(&b, id);
	EXPECT_HAS(error_of(&b, id), "recorded: '...");
	EXPECT_HAS(error_of(&b, id), TEN TEN "x");
	EXPECT_HAS(error_of(&b, id), TEN TEN "y");
	clean();
}

static void endless_tools(void *arg)
{
	bench_begin(&b);
	deploy(&b, "mode: one-shot", TOOLS);
	b.model.turns[0][0] = (struct script_turn){
		.endless = true, .calls = {{"fs.list", "{\"path\":\"/workspace\"}"}}};
	struct uuid id = start(&b, "\"x\"");
	wait_end(&b, id);
	EXPECT_HAS(error_of(&b, id), "50 rounds");
	EXPECT_INT(count_of_type(&b, id, EVENT_LLM_INTERACTION), 50);
	clean();
}

static void agent_dies(void *arg)
{
	bench_begin(&b);
	deploy(&b, "mode: one-shot", TOOLS);
	b.host.ends_without_answer = true;
	struct uuid id = start(&b, "\"x\"");
	wait_end(&b, id);
	EXPECT_HAS(error_of(&b, id), "without an answer (exit status 7)");
	clean();
}

static void no_runtime(void *arg)
{
	bench_begin(&b);
	deploy(&b, "mode: iterative, max_iterations: 5", TOOLS);
	b.host.start_error = -ENOENT;
	struct uuid id = start(&b, "\"x\"");
	wait_end(&b, id);
	EXPECT_HAS(error_of(&b, id), "none is installed");
	EXPECT_INT(row_of(&b, id).current_iteration, 1);
	clean();
}

static void files_and_changes(struct uuid id)
{
	struct execution_changes list;
	char text[16];
	int fd;
	EXPECT_INT(execution_file(b.x, id, SPAN("out/x"), &fd, DEADLINE_NONE), 0);
	EXPECT_INT(read(fd, text, sizeof(text)), 4);
	EXPECT(memcmp(text, "text", 4) == 0);
	rt_close(fd);
	EXPECT_INT(execution_file(b.x, id, SPAN("../x"), &fd, DEADLINE_NONE), EXECUTION_NOT_FOUND);
	EXPECT_INT(execution_changes(b.x, id, 0, b.arena, &list, DEADLINE_NONE), 0);
	EXPECT_INT((long)list.count, 2);
	EXPECT(span_is(list.items[1].path, "out/x") && list.items[1].kind == SNAPSHOT_ADDED);
	EXPECT(list.items[1].kept && list.items[1].size_bytes == 4);
	EXPECT_INT(execution_changes(b.x, id, 1, b.arena, &list, DEADLINE_NONE), 0);
	EXPECT_INT((long)list.count, 0);
	EXPECT_INT(
		execution_changes(b.x, id, 7, b.arena, &list, DEADLINE_NONE), EXECUTION_NOT_FOUND);
}

static void stays_behind(void *arg)
{
	bench_begin(&b);
	deploy(&b, "mode: one-shot", TOOLS);
	b.model.turns[0][0] = (struct script_turn){
		.calls = {{"fs.create_dir", "{\"path\":\"/workspace/out\"}"},
			{"fs.write", "{\"path\":\"/workspace/out/x\",\"content\":\"text\"}"}}};
	b.model.turns[0][1].content = "hello";
	struct uuid id = start(&b, "\"x\"");
	wait_end(&b, id);
	EXPECT_INT(execution_wait(b.x, uuid_new(), DEADLINE_NONE), EXECUTION_NOT_FOUND);
	files_and_changes(id);
	EXPECT_INT(execution_remove(b.x, id, DEADLINE_NONE), 0);
	EXPECT_INT(execution_file(b.x, id, SPAN("out/x"), &(int){-1}, DEADLINE_NONE),
		EXECUTION_NOT_FOUND);
	EXPECT_INT(store_execution_get(
			   b.store, id, b.arena, &(struct store_execution){0}, DEADLINE_NONE),
		STORE_NOT_FOUND);
	EXPECT_INT(count_of_type(&b, id, EVENT_EXECUTION_COMPLETED), 1);
	EXPECT_INT(count_of_type(&b, id, EVENT_EXECUTION_REMOVED), 1);
	EXPECT_INT(store_check(b.store, DEADLINE_NONE), 0);
	EXPECT_INT(execution_remove(b.x, id, DEADLINE_NONE), EXECUTION_NOT_FOUND);
	EXPECT_INT(execution_remove(b.x, uuid_new(), DEADLINE_NONE), EXECUTION_NOT_FOUND);
	clean();
}

/* ---- refusals ---- */

static void refusal(int outcome, const char *input, const char *why_part)
{
	struct execution_request q = {.agent_id = b.agent, .input = span_cstr(input)};
	struct span why = {0};
	struct uuid id;
	EXPECT_INT(execution_start(b.x, &q, b.arena, &id, &why, DEADLINE_NONE), outcome);
	const char *text = arena_cstr(b.arena, why);
	if (!strstr(text, why_part))
		expect_text(text, why_part, "why", __FILE__, __LINE__);
}

static void refused(void *arg)
{
	bench_begin(&b);
	deploy(&b,
		"mode: one-shot, tool_validation: [{type: semantic, judge_agent: j, criteria: c}]",
		TOOLS);
	refusal(EXECUTION_REFUSED, "1", "tool_validation");
	deploy_as(&b, "two", "mode: one-shot",
		TOOLS "\n  input_schema: {type: object, required: [name]}");
	refusal(EXECUTION_BAD_INPUT, "{}", "name");
	refusal(EXECUTION_BAD_INPUT, "{", "line 1");
	b.agent = uuid_new();
	refusal(EXECUTION_NOT_FOUND, "1", "no agent");
	clean();
}

#define TEST(name) \
	static void test_##name(void **state) \
	{ \
		in_fiber(name); \
	}

TEST(execution_times_out)
TEST(iteration_times_out)
TEST(model_times_out)
TEST(cancel_starting)
TEST(cancel_in_model)
TEST(cancel_in_command)
TEST(cancel_pending)
TEST(model_refuses)
TEST(replay_and_miss)
TEST(endless_tools)
TEST(agent_dies)
TEST(no_runtime)
TEST(stays_behind)
TEST(refused)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_execution_times_out),
		cmocka_unit_test(test_iteration_times_out),
		cmocka_unit_test(test_model_times_out),
		cmocka_unit_test(test_cancel_starting),
		cmocka_unit_test(test_cancel_in_model),
		cmocka_unit_test(test_cancel_in_command),
		cmocka_unit_test(test_cancel_pending),
		cmocka_unit_test(test_model_refuses),
		cmocka_unit_test(test_replay_and_miss),
		cmocka_unit_test(test_endless_tools),
		cmocka_unit_test(test_agent_dies),
		cmocka_unit_test(test_no_runtime),
		cmocka_unit_test(test_stays_behind),
		cmocka_unit_test(test_refused),
	};
	return cmocka_run_group_tests_name("execution ends", tests, NULL, NULL);
}
