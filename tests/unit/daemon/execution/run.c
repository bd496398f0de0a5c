/* SPDX-License-Identifier: AGPL-3.0-only */
/* Whole executions, from the request to the result. */
#include "tests/unit/daemon/execution/expect.h"
#include <sodium.h>

/* Too large for a stack; one test at a time. */
static struct bench b;

static void answers(void *arg)
{
	bench_begin(&b);
	deploy(&b, "mode: one-shot", TOOLS);
	b.model.turns[0][0].content = "hello";
	struct uuid id = start(&b, "\"greet\"");
	wait_end(&b, id);
	EXPECT_TEXT(row_of(&b, id).status, "completed");
	EXPECT_TEXT(output_of(&b, id), "hello");
	EXPECT_TEXT(b.model.first_prompt[0], "Do greet");
	EXPECT_INT((long)b.model.tools_offered, 10);
	EXPECT_TEXT(history_of(&b, id),
		"ExecutionStarted IterationStarted InstanceSpawned LlmInteraction "
		"InstanceTerminated GradientValidationPerformed IterationCompleted "
		"ExecutionCompleted");
	EXPECT_INT(host_boxes(&b.host), 0);
	EXPECT_INT(store_check(b.store, DEADLINE_NONE), 0);
	bench_end(&b);
}

static void works_script(void)
{
	b.model.turns[0][0] = (struct script_turn){
		.calls = {{"fs.create_dir", "{\"path\":\"/workspace/out\"}"},
			{"cmd.run", "{\"command\":\"python3 a.py\"}"},
			{"fs.write", "{\"path\":\"/workspace/out/x\",\"content\":\"text\"}"},
			{"cmd.run", "{\"command\":\"make all\"}"}}};
	b.model.turns[0][1] = (struct script_turn){
		.calls = {{"fs.write", "{\"path\":\"/workspace/no\",\"content\":\"text\"}"},
			{"no.such", "{}"}, {"fs.read", "{\"file\":1}"},
			{"cmd.run", "{\"command\":\"ls && curl x\"}"}}};
	b.model.turns[0][2].content = "done";
}

/* Every call of a turn is answered, in order, commands and file tools mixed. */
static void works(void *arg)
{
	bench_begin(&b);
	deploy(&b, "mode: one-shot", TOOLS);
	works_script();
	struct uuid id = start(&b, "\"work\"");
	wait_end(&b, id);
	EXPECT_TEXT(output_of(&b, id), "done");
	EXPECT_TEXT(history_of(&b, id),
		"ExecutionStarted IterationStarted InstanceSpawned LlmInteraction "
		"InvocationStarted InvocationCompleted "
		"InvocationStarted CommandExecutionStarted CommandExecutionCompleted "
		"InvocationCompleted "
		"InvocationStarted InvocationCompleted "
		"InvocationStarted CommandExecutionStarted CommandExecutionCompleted "
		"InvocationCompleted LlmInteraction "
		"InvocationStarted ToolPolicyViolation InvocationStarted InvocationFailed "
		"InvocationStarted InvocationFailed InvocationStarted ToolPolicyViolation "
		"LlmInteraction InstanceTerminated GradientValidationPerformed "
		"IterationCompleted ExecutionCompleted");
	EXPECT_HAS(detail_of(&b, id, EVENT_TOOL_COMPLETED, 1, "result"), "ran python3 a.py");
	EXPECT_HAS(detail_of(&b, id, EVENT_TOOL_COMPLETED, 3, "result"), "ran make all");
	EXPECT_TEXT(detail_of(&b, id, EVENT_TOOL_DENIED, 0, "violation_type"), "PATH_NOT_ALLOWED");
	EXPECT_TEXT(
		detail_of(&b, id, EVENT_TOOL_DENIED, 1, "violation_type"), "COMMAND_NOT_ALLOWED");
	EXPECT_HAS(detail_of(&b, id, EVENT_TOOL_DENIED, 0, "decision"), "\"signer\":\"daemon\"");
	EXPECT_HAS(detail_of(&b, id, EVENT_TOOL_FAILED, 0, "error"), "Unknown tool");
	EXPECT_HAS(b.model.last_tool, "needs a shell");
	bench_end(&b);
}

/* What [2] asks for: the question, the hash of the rules, whose text is a blob; the signature. */
static void decided_again(void *arg)
{
	uint8_t key[32], signature[64];
	bench_begin(&b);
	deploy(&b, "mode: one-shot", TOOLS);
	works_script();
	struct uuid id = start(&b, "\"work\"");
	wait_end(&b, id);
	struct store_hash hash;
	struct span text;
	const struct json *decision;
	struct rule_set *rules;
	const char *d = detail_of(&b, id, EVENT_TOOL_DENIED, 0, "decision");
	EXPECT_INT(json_parse(b.arena, span_cstr(d), NULL, &decision), 0);
	EXPECT_INT(hex_decode(json_str(decision, "policy_set", SPAN("")), hash.bytes, 32), 0);
	EXPECT_INT(store_blob_get(b.store, &hash, b.arena, &text, DEADLINE_NONE), 0);
	EXPECT_INT(rule_set_load(text, &rules), 0);
	EXPECT(span_eq(rule_set_hash(rules), json_str(decision, "policy_set", SPAN(""))));
	const struct json *request;
	struct decision_request q;
	struct decision again = {.allowed = true};
	EXPECT_INT(json_parse(b.arena, json_str(decision, "request", SPAN("")), NULL, &request), 0);
	EXPECT_INT(decision_request_load(b.arena, request, &q), 0);
	EXPECT_INT(policy_decide(rules, NULL, &q, 0, b.arena, &again), 0);
	EXPECT(!again.allowed && again.code == (enum decision_code)json_i64(decision, "code", 0));
	EXPECT(span_eq(again.reason, json_str(decision, "reason", SPAN(""))));
	rule_set_unref(rules);
	EXPECT_HAS(arena_cstr(b.arena, json_str(decision, "request", SPAN(""))),
		"\"paths\":[\"/workspace/no\"]");
	const char *envelope = detail_of(&b, id, EVENT_TOOL_DENIED, 0, "envelope");
	struct buf raw CLEANUP(buf_fini) = buf_init(256);
	EXPECT_INT(
		base64_decode(&raw, span_cstr(detail_of(&b, id, EVENT_TOOL_DENIED, 0, "signature")),
			BASE64_STANDARD),
		0);
	EXPECT_INT((long)raw.len, 64);
	memcpy(signature, raw.data, 64);
	buf_reset(&raw);
	EXPECT_INT(base64_decode(&raw,
			   span_cstr(detail_of(&b, id, EVENT_INSTANCE_SPAWNED, 0, "public_key")),
			   BASE64_STANDARD),
		0);
	memcpy(key, raw.data, 32);
	EXPECT_INT(crypto_sign_verify_detached(
			   signature, (const uint8_t *)envelope, strlen(envelope), key),
		0);
	bench_end(&b);
}

/* ---- refinement ---- */

static void refines(void *arg)
{
	bench_begin(&b);
	deploy(&b,
		"mode: iterative, max_iterations: 3, validation: [{type: exit_code}, {type: regex, "
		"pattern: good}]",
		TOOLS);
	b.model.turns[0][0].content = "bad";
	b.model.turns[1][0].content = "worse";
	b.model.turns[2][0].content = "good";
	struct uuid id = start(&b, "\"it\"");
	wait_end(&b, id);
	EXPECT_TEXT(row_of(&b, id).status, "completed");
	EXPECT_TEXT(output_of(&b, id), "good");
	EXPECT_INT(row_of(&b, id).current_iteration, 3);
	EXPECT_INT(count_of_type(&b, id, EVENT_REFINEMENT_APPLIED), 2);
	EXPECT_HAS(b.model.first_prompt[2], "# Previous Attempts:");
	EXPECT_HAS(b.model.first_prompt[2], "## Iteration 2:\nOutput:\nworse\n");
	EXPECT_HAS(b.model.first_prompt[2], "Validator: regex");
	EXPECT_HAS(detail_of(&b, id, EVENT_VALIDATION_PERFORMED, 0, "results"), "\"passed\":false");
	EXPECT_INT(store_check(b.store, DEADLINE_NONE), 0);
	bench_end(&b);
}

static void gives_up(void *arg)
{
	bench_begin(&b);
	deploy(&b, "mode: iterative, max_iterations: 2, validation: [{type: regex, pattern: good}]",
		TOOLS);
	b.model.turns[0][0].content = "bad";
	b.model.turns[1][0].content = "bad";
	struct uuid id = start(&b, "\"it\"");
	wait_end(&b, id);
	EXPECT_TEXT(row_of(&b, id).status, "failed");
	EXPECT_HAS(error_of(&b, id), "does not match /good/");
	EXPECT_INT(count_of_type(&b, id, EVENT_ITERATION_FAILED), 2);
	EXPECT_INT(host_boxes(&b.host), 0);
	bench_end(&b);
}

#define TEST(name) \
	static void test_##name(void **state) \
	{ \
		in_fiber(name); \
	}

TEST(answers)
TEST(works)
TEST(decided_again)
TEST(refines)
TEST(gives_up)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_answers),
		cmocka_unit_test(test_works),
		cmocka_unit_test(test_decided_again),
		cmocka_unit_test(test_refines),
		cmocka_unit_test(test_gives_up),
	};
	return cmocka_run_group_tests_name("execution", tests, NULL, NULL);
}
