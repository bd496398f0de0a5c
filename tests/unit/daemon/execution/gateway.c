/* SPDX-License-Identifier: AGPL-3.0-only */
/* What an agent may say at the dispatch gateway, and what it is told when it says something else.
 */
#include "tests/unit/daemon/execution/expect.h"

static struct bench b; /* too large for a stack */

static int say(struct uuid id, const char *request_id, const char *text, const char **ret)
{
	struct buf reply CLEANUP(buf_fini) = buf_init(1 << 20);
	const struct json *message;
	int status = 0;
	EXPECT_INT(json_parse(b.arena, span_cstr(text), NULL, &message), 0);
	EXPECT_INT(execution_dispatch(b.x, id, message, span_cstr(request_id), b.arena, &reply,
			   &status, deadline_in_ms(5000)),
		0);
	*ret = arena_cstr(b.arena, buf_view(&reply));
	return status;
}

static struct uuid mute_run(void)
{
	b.host.mute = true;
	struct uuid id = start(&b, "\"x\"");
	while (count_of_type(&b, id, EVENT_INSTANCE_SPAWNED) == 0)
		EXPECT_INT(rt_sleep_until(deadline_in_ms(1)), 0);
	EXPECT_INT(rt_sleep_until(deadline_in_ms(20)), 0);
	return id;
}

static void stop_run(struct uuid id)
{
	EXPECT_INT(execution_cancel(b.x, id, SPAN(""), true, DEADLINE_NONE), 0);
}

static void refusals(void *arg)
{
	const char *reply;
	bench_begin(&b);
	deploy(&b, "mode: one-shot", TOOLS);
	struct uuid id = mute_run();
	EXPECT_INT(say(id, "1", "{\"type\":\"hello\"}", &reply), 400);
	EXPECT_HAS(reply, "generate, dispatch_result and program_result are accepted");
	EXPECT_INT(say(id, "2",
			   "{\"type\":\"generate\",\"execution_id\":"
			   "\"00000000-0000-4000-8000-000000000000\",\"prompt\":\"x\"}",
			   &reply),
		403);
	EXPECT_INT(
		say(id, "3", "{\"type\":\"dispatch_result\",\"dispatch_id\":\"7\"}", &reply), 400);
	EXPECT_INT(say(id, "4",
			   "{\"type\":\"dispatch_result\",\"dispatch_id\":"
			   "\"00000000-0000-4000-8000-000000000000\"}",
			   &reply),
		409);
	EXPECT_INT(say(id, "5", "{\"type\":\"generate\",\"prompt\":\"x\",\"model_alias\":\"dear\"}",
			   &reply),
		400);
	EXPECT_HAS(reply, "model_alias: 'dear'");
	EXPECT_INT(say(id, "6", "{\"type\":\"generate\",\"prompt\":\"x\",\"messages\":7}", &reply),
		400);
	EXPECT_INT(
		say(id, "7", "{\"type\":\"generate\",\"messages\":[{\"role\":\"judge\"}]}", &reply),
		400);
	/* Of another type than the protocol's: refused, not taken for its default. */
	static const char *const wrong[][2] = {
		{"{\"type\":7}", "type: "},
		{"{\"type\":\"generate\",\"prompt\":[]}", "prompt: a text"},
		{"{\"type\":\"generate\",\"execution_id\":7}", "execution_id: a text"},
		{"{\"type\":\"program_result\",\"exit_code\":\"0\"}", "exit_code: "},
		{"{\"type\":\"program_result\",\"exit_code\":1.5}", "exit_code: "},
		{"{\"type\":\"program_result\",\"exit_code\":2147483648}", "exit_code: "},
		{"{\"type\":\"program_result\",\"stdout\":{}}", "stdout: a text"},
		{"{\"type\":\"program_result\",\"duration_ms\":-1}", "duration_ms: "},
		{"{\"type\":\"program_result\",\"truncated\":\"no\"}", "truncated: "},
	};
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		EXPECT_INT(say(id, "8", wrong[i][0], &reply), 400);
		if (!strstr(reply, wrong[i][1]))
			expect_text(reply, wrong[i][1], wrong[i][0], __FILE__, __LINE__);
	}
	stop_run(id);
	EXPECT_INT(say(id, "8", "{\"type\":\"generate\",\"prompt\":\"x\"}", &reply), 410);
	bench_end(&b);
}

/* The same request id: the same answer, and the model is asked once. */
static void repeated(void *arg)
{
	const char *first, *second;
	bench_begin(&b);
	deploy(&b, "mode: one-shot", TOOLS);
	b.model.turns[0][0].calls[0] = (struct script_call){"cmd.run", "{\"command\":\"make\"}"};
	b.model.turns[0][1].content = "done";
	struct uuid id = mute_run();
	static const char generate[] = "{\"type\":\"generate\",\"prompt\":\"x\"}";
	EXPECT_INT(say(id, "a", generate, &first), 200);
	EXPECT_INT(say(id, "a", generate, &second), 200);
	EXPECT_TEXT(second, first);
	EXPECT_HAS(first, "\"type\":\"dispatch\"");
	EXPECT_HAS(first, "\"command\":\"make\",\"args\":[],\"cwd\":\"/workspace\"");
	EXPECT_INT(b.model.requests, 1);
	/* Another conversation must wait for the first. */
	EXPECT_INT(say(id, "b", generate, &second), 409);
	const char *dispatch = detail_of(&b, id, EVENT_COMMAND_STARTED, 0, "dispatch_id");
	char *result = arena_printf(b.arena,
		"{\"type\":\"dispatch_result\",\"dispatch_id\":\"%s\",\"exit_code\":0,"
		"\"stdout\":\"\\u0000\",\"stderr\":\"\"}",
		dispatch);
	EXPECT_INT(say(id, "c", result, &first), 200);
	EXPECT_INT(say(id, "c", result, &second), 200);
	EXPECT_TEXT(second, first);
	EXPECT_HAS(first,
		"{\"type\":\"final\",\"content\":\"done\",\"tool_calls_executed\":1,"
		"\"conversation\":[");
	EXPECT_INT(b.model.requests, 2);
	stop_run(id);
	bench_end(&b);
}

/* An agent's own program: several conversations, and its output is the result. */
static void own_program(void *arg)
{
	const char *reply;
	bench_begin(&b);
	deploy(&b, "mode: one-shot, validation: [{type: exit_code, expected: 3}]",
		TOOLS "\n  advanced: {bootstrap_path: /usr/local/bin/mine}");
	b.model.turns[0][0].content = "one";
	struct uuid id = mute_run();
	EXPECT_INT(say(id, "a", "{\"type\":\"generate\",\"prompt\":\"x\"}", &reply), 200);
	EXPECT_INT(say(id, "b", "{\"type\":\"generate\",\"prompt\":\"y\"}", &reply), 200);
	EXPECT_INT(say(id, "c",
			   "{\"type\":\"program_result\",\"exit_code\":3,\"stdout\":\"mine\","
			   "\"stderr\":\"\"}",
			   &reply),
		200);
	box_kill(host_box(&b.host), 15);
	wait_end(&b, id);
	EXPECT_TEXT(row_of(&b, id).status, "completed");
	EXPECT_TEXT(output_of(&b, id), "mine");
	EXPECT_INT(count_of_type(&b, id, EVENT_LLM_INTERACTION), 2);
	bench_end(&b);
}

#define TEST(name) \
	static void test_##name(void **state) \
	{ \
		in_fiber(name); \
	}

TEST(refusals)
TEST(repeated)
TEST(own_program)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_repeated),
		cmocka_unit_test(test_own_program),
	};
	return cmocka_run_group_tests_name("execution gateway", tests, NULL, NULL);
}
