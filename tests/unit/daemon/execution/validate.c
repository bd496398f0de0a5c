/* SPDX-License-Identifier: AGPL-3.0-only */
/* Validators: each with something it accepts, something it refuses, and what it then says. */
#include "daemon/execution/internal.h"
#include "tests/tap.h"

struct judged {
	struct arena *arena;
	const struct agent_manifest *manifest;
	struct validation v;
};

static struct judged judge(const char *validation, int exit_code, const char *out, const char *err)
{
	struct judged j = {.arena = arena_new(64 << 20)};
	struct report report;
	char *text = arena_printf(j.arena,
		"apiVersion: 100monkeys.ai/v1\nkind: Agent\nmetadata: {name: a, version: 1.0.0}\n"
		"spec:\n  runtime: {language: python, version: \"3.11\"}\n"
		"  execution: {mode: one-shot, validation: %s}\n",
		validation);
	struct evidence e = {exit_code, span_cstr(out), span_cstr(err)};

	assert_int_equal(report_init(&report, j.arena, "a"), 0);
	if (agent_manifest_parse(&report, span_cstr(text), &j.manifest) != 0) {
		struct buf b CLEANUP(buf_fini) = buf_init(4096);
		report_text(&report, &b);
		fail_msg("%s", buf_cstr(&b));
	}
	assert_int_equal(validate(j.manifest, &e, j.arena, &j.v), 0);
	return j;
}

static void check(const char *validation, int exit_code, const char *out, const char *err,
	bool passes, const char *says)
{
	struct judged j = judge(validation, exit_code, out, err);
	bool found = !says[0];

	for (size_t i = 0; i < j.v.count; i++)
		found = found || span_find(j.v.verdicts[i].reason, span_cstr(says), 0) >= 0;
	if (j.v.passed != passes || !found)
		fail_msg("%s on '%s' %s; first reason: %.*s", validation, out,
			j.v.passed ? "passes" : "fails", (int)j.v.verdicts[0].reason.n,
			j.v.verdicts[0].reason.p);
	assert_true(j.v.score == (passes ? 1.0 : 0.0));
	agent_manifest_unref(j.manifest);
	arena_free(j.arena);
}

static void exit_codes(void **state)
{
	check("[{type: exit_code}]", 0, "", "", true, "");
	check("[{type: exit_code}]", 3, "", "", false, "exit code 3; 0 was expected");
	check("[{type: exit_code, expected: 3}]", 3, "", "", true, "");
	check("{system: {must_succeed: true}}", 0, "x", " \n", true, "");
	check("{system: {must_succeed: true}}", 0, "x", "oops", false, "written to stderr: oops");
	check("{system: {must_succeed: true, allow_stderr: true}}", 0, "x", "oops", true, "");
}

static void formats(void **state)
{
	check("{output: {format: json}}", 0, " {\"a\":[1]}\n", "", true, "");
	check("{output: {format: json}}", 0, "{\"a\":1,\"a\":2}", "", false, "no valid JSON");
	check("{output: {format: json}}", 0, "", "", false, "no valid JSON");
	check("{output: {format: json}}", 0, "```json\n{}\n```", "", false, "code fence");
	check("{output: {format: yaml}}", 0, "a: [1, 2]\n", "", true, "");
	check("{output: {format: yaml}}", 0, "a: [1, 2\n", "", false, "no valid YAML");
	check("{output: {format: text}}", 0, "words", "", true, "");
	check("{output: {format: csv}}", 0, "a,b\n\"1,\n\"\"x\",2\r\n", "", true, "");
	check("{output: {format: csv}}", 0, "a,b", "", true, "");
	check("{output: {format: csv}}", 0, "a,b\n1,", "", true, "");
	check("{output: {format: csv}}", 0, "a,b\n1,2,", "", false, "line 2");
	check("{output: {format: csv}}", 0, "a\nb\n", "", true, "");
	check("{output: {format: csv}}", 0, "a,b\n1\n", "", false, "line 2");
	check("{output: {format: csv}}", 0, "a,\"b\n1,2\n", "", false, "no valid CSV");
	check("{output: {format: csv}}", 0, "a,b\"c\n", "", false, "line 1");
	check("{output: {format: csv}}", 0, "", "", false, "no valid CSV");
}

static void schemas(void **state)
{
	static const char schema[] =
		"{output: {format: json, schema: {type: object, required: [name]}}}";
	check(schema, 0, "{\"name\":1}", "", true, "");
	check(schema, 0, "{\"nam\":1}", "", false, "name");
	check(schema, 0, "name", "", false, "no valid JSON");
}

static void patterns(void **state)
{
	check("[{type: regex, pattern: \"^ok \\\\d+$\"}]", 0, "ok 12", "", true, "");
	check("[{type: regex, pattern: \"^ok \\\\d+$\"}]", 0, "ok x", "", false,
		"does not match /^ok");
	/* Needs more steps than are allowed: it has not matched. */
	check("[{type: regex, pattern: \"^(a+)+$\"}]", 0,
		"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab", "", false, "limit");
	check("[{type: regex, pattern: \"a\"}]", 0, "a\xff", "", false, "UTF-8");
}

static void several(void **state)
{
	struct judged j = judge("[{type: exit_code}, {type: regex, pattern: x}, {type: semantic, "
				"judge_agent: j, criteria: c}]",
		0, "y", "");
	struct span text;
	assert_int_equal(j.v.count, 3);
	assert_true(j.v.verdicts[0].passed);
	assert_false(j.v.verdicts[1].passed);
	assert_false(j.v.verdicts[2].ran);
	assert_false(j.v.passed);
	assert_int_equal(validation_feedback(&j.v, 2, j.arena, &text), 0);
	assert_true(span_find(text, SPAN("Iteration 2 failed validation."), 0) == 0);
	assert_true(span_find(text, SPAN("Validator: regex\nScore: 0.0 (threshold: 1.0)"), 0) > 0);
	assert_true(span_find(text, SPAN("exit_code"), 0) < 0);
	struct buf b CLEANUP(buf_fini) = buf_init(4096);
	struct json_writer w = json_writer(&b);
	validation_put(&w, &j.v);
	assert_true(span_find(buf_view(&b), SPAN("\"type\":\"semantic\""), 0) > 0);
	assert_true(span_find(buf_view(&b), SPAN("judges are not asked yet"), 0) > 0);
	agent_manifest_unref(j.manifest);
	arena_free(j.arena);
}

static void states(void **state)
{
	assert_int_equal(state_table_check(&execution_states), 0);
	assert_int_equal(state_table_check(&iteration_states), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(exit_codes),
		cmocka_unit_test(formats),
		cmocka_unit_test(schemas),
		cmocka_unit_test(patterns),
		cmocka_unit_test(several),
		cmocka_unit_test(states),
	};
	return cmocka_run_group_tests_name("execution validate", tests, NULL, NULL);
}
