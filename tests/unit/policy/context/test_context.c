/* SPDX-License-Identifier: AGPL-3.0-only */
/* policy/context: canonical values, and decisions with the holes that other systems had. */
#include "policy/context/context.h"
#include "tests/tap.h"

static struct arena *arena;

static int setup(void **state)
{
	(void)state;
	arena = arena_new(1024 * 1024);
	return arena ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	arena = arena_free(arena);
	return 0;
}

static void assert_span(struct span got, const char *want)
{
	char *text = arena_cstr(arena, got);
	assert_non_null(text);
	assert_string_equal(text, want);
}

static void canonical_path(void **state)
{
	(void)state;
	static const struct {
		const char *path, *want; /* want NULL: refused */
	} cases[] = {
		{"/workspace/a", "/workspace/a"},
		{"a/b", "/workspace/a/b"},
		{"./a//b/.", "/workspace/a/b"},
		{"/", "/"},
		{".", "/workspace"},
		{"//workspace///x/", "/workspace/x"},
		{"/workspace/..a", "/workspace/..a"},
		{"/workspace/../etc/passwd", NULL},
		{"..", NULL},
		{"a/..", NULL},
		{"", NULL},
		{"a\nb", NULL},
		{"a\x7f", NULL},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct span got;
		int r = context_canonical_path(
			span_cstr(cases[i].path), SPAN("/workspace"), arena, &got);
		assert_int_equal(r, cases[i].want ? 0 : -EINVAL);
		if (cases[i].want)
			assert_span(got, cases[i].want);
	}
	struct span got;
	assert_int_equal(
		context_canonical_path(span_of("a\0b", 3), SPAN("/"), arena, &got), -EINVAL);
	char *huge = arena_bytes(arena, LIMIT_PATH_BYTES + 1);
	memset(huge, 'a', LIMIT_PATH_BYTES + 1);
	assert_int_equal(
		context_canonical_path(span_of(huge, LIMIT_PATH_BYTES + 1), SPAN("/"), arena, &got),
		-EINVAL);
	assert_int_equal(context_canonical_path(span_of(huge, LIMIT_PATH_COMPONENT_BYTES + 1),
				 SPAN("/"), arena, &got),
		-EINVAL);
}

/* argv joined by '|'; "SHELL" and "ERROR" for the other outcomes. */
static const char *split(const char *command)
{
	struct span *argv, why;
	size_t count;
	int r = context_parse_argv(span_cstr(command), arena, &argv, &count, &why);

	if (r == CONTEXT_ARGV_SHELL)
		return "SHELL";
	if (r < 0)
		return "ERROR";
	struct buf b CLEANUP(buf_fini) = buf_init(4096);
	for (size_t i = 0; i < count; i++) {
		if (i)
			buf_putc(&b, '|');
		buf_span(&b, argv[i]);
	}
	return arena_cstr(arena, buf_view(&b));
}

static void argv_as_a_shell_splits_it(void **state)
{
	(void)state;
	static const char *const cases[][2] = {
		{"ls -l", "ls|-l"},
		{"  python3\t a.py  ", "python3|a.py"},
		{"echo 'a b' \"c d\"", "echo|a b|c d"},
		{"echo a'b'\"c\"", "echo|abc"},
		{"echo ''", "echo|"},
		{"echo \\$x a\\ b", "echo|$x|a b"},
		{"echo \"\\$x \\a\"", "echo|$x \\a"},
		{"grep -E 'a|b' f", "grep|-E|a|b|f"},
		{"make -j2 A=1", "make|-j2|A=1"},
		{"echo a#b ~", "SHELL"},
		{"echo a#b a~", "echo|a#b|a~"},
		{"ls && curl evil", "SHELL"},
		{"ls; rm x", "SHELL"},
		{"ls | sh", "SHELL"},
		{"ls > f", "SHELL"},
		{"echo $(id)", "SHELL"},
		{"echo \"$(id)\"", "SHELL"},
		{"echo \"`id`\"", "SHELL"},
		{"echo `id`", "SHELL"},
		{"echo $HOME", "SHELL"},
		{"ls *.py", "SHELL"},
		{"ls\nrm x", "SHELL"},
		{"sleep 1 &", "SHELL"},
		{"PATH=/tmp ls", "SHELL"},
		{"cp {a,b}", "SHELL"},
		{"if true", "SHELL"},
		{"cd /tmp", "SHELL"},
		{"eval ls", "SHELL"},
		{"'if' x", "if|x"},
		{"echo 'a", "ERROR"},
		{"echo \"a", "ERROR"},
		{"echo a\\", "ERROR"},
		{"", "ERROR"},
		{"   ", "ERROR"},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_string_equal(split(cases[i][0]), cases[i][1]);
	struct span *argv, why;
	size_t count;
	assert_int_equal(
		context_parse_argv(span_of("a\0b", 3), arena, &argv, &count, &why), -EINVAL);
}

static void argv_has_limits(void **state)
{
	(void)state;
	struct buf b CLEANUP(buf_fini) = buf_init(128 * 1024);
	for (int i = 0; i <= LIMIT_ARGV_COUNT; i++)
		buf_puts(&b, "a ");
	assert_string_equal(split(buf_cstr(&b)), "ERROR");
	while (b.len <= LIMIT_COMMAND_BYTES)
		buf_puts(&b, "aaaaaaaa");
	assert_string_equal(split(buf_cstr(&b)), "ERROR");
}

static struct rule_origin at(const char *field)
{
	return (struct rule_origin){.field = field, .file = "agent.yaml", .line = 7};
}

static struct rule_set *example(void)
{
	struct rule_set_builder *b = rule_set_builder_new();
	static const char *const git[] = {"status", "diff"};
	static const char *const scripts[] = {"/workspace/scripts", "-m"};

	assert_int_equal(rule_allow_tool(b, "fs.*", at("spec.tools[0]")), 0);
	assert_int_equal(rule_allow_tool(b, "cmd.run", at("spec.tools[1]")), 0);
	assert_int_equal(rule_deny_tool(b, "fs.delete", at("deny_list[0]")), 0);
	assert_int_equal(rule_allow_path(b, "fs:read", "/workspace", at("read[0]")), 0);
	assert_int_equal(rule_allow_path(b, "fs:read", "/data/**/*.csv", at("read[1]")), 0);
	assert_int_equal(rule_allow_path(b, "fs:write", "/workspace/out", at("write[0]")), 0);
	assert_int_equal(rule_allow_command(b, "git", git, ARRAY_LEN(git), at("git")), 0);
	assert_int_equal(
		rule_allow_command(b, "python3", scripts, ARRAY_LEN(scripts), at("python3")), 0);
	assert_int_equal(rule_allow_command(b, "ls", NULL, 0, at("ls")), 0);
	assert_int_equal(rule_rate_limit(b, "fs.write", 2, 1000, at("rate")), 0);
	struct rule_set *s = rule_set_seal(b);
	rule_set_builder_free(b);
	assert_non_null(s);
	return s;
}

static struct decision decide(const struct rule_set *s, struct rate_state *rate,
	const struct decision_request *q, int64_t now_ns)
{
	struct decision d;
	assert_int_equal(policy_decide(s, rate, q, now_ns, arena, &d), 0);
	return d;
}

static struct decision decide_path(const struct rule_set *s, const char *action, const char *path)
{
	struct span p = span_cstr(path);
	return decide(s, NULL,
		&(struct decision_request){
			.action = span_cstr(action), .paths = &p, .path_count = 1},
		0);
}

static struct decision decide_command(const struct rule_set *s, const char *command)
{
	struct span *argv, why;
	size_t count;
	assert_int_equal(context_parse_argv(span_cstr(command), arena, &argv, &count, &why), 0);
	struct decision_request q = {.action = SPAN("tool:cmd.run"),
		.argv = argv,
		.argv_count = count,
		.cwd = SPAN("/workspace/scripts")};
	return decide(s, NULL, &q, 0);
}

static struct decision decide_tool(const struct rule_set *s, const char *action)
{
	return decide(s, NULL, &(struct decision_request){.action = span_cstr(action)}, 0);
}

static void tools(void **state)
{
	(void)state;
	struct rule_set *s = example();
	struct decision d = decide_tool(s, "tool:fs.read");
	assert_true(d.allowed);
	assert_span(d.policy_id, "spec.tools[0]");
	assert_int_equal(d.policy_set.n, 64);
	d = decide_tool(s, "tool:fs.delete");
	assert_int_equal(d.code, DECISION_TOOL_DENIED);
	assert_span(d.policy_id, "deny_list[0]");
	assert_int_equal(decide_tool(s, "tool:fsx.read").code, DECISION_TOOL_NOT_ALLOWED);
	assert_int_equal(decide_tool(s, "tool:fs.").code, DECISION_TOOL_NOT_ALLOWED);
	assert_int_equal(decide_tool(s, "tool:web.fetch").code, DECISION_TOOL_NOT_ALLOWED);
	assert_int_equal(decide_tool(s, "tool:").code, DECISION_TOOL_NOT_ALLOWED);
	assert_false(decide_tool(s, "net:connect").allowed);
	assert_false(decide_tool(s, "").allowed);
	rule_set_unref(s);
}

static void paths(void **state)
{
	(void)state;
	struct rule_set *s = example();
	assert_true(decide_path(s, "fs:read", "/workspace").allowed);
	assert_true(decide_path(s, "fs:read", "/workspace/a/b").allowed);
	assert_false(decide_path(s, "fs:read", "/workspace2/a").allowed);
	assert_false(decide_path(s, "fs:read", "/").allowed);
	assert_false(decide_path(s, "fs:write", "/workspace/a").allowed);
	assert_true(decide_path(s, "fs:write", "/workspace/out/a").allowed);
	assert_true(decide_path(s, "fs:read", "/data/x/y/z.csv").allowed);
	assert_true(decide_path(s, "fs:read", "/data/z.csv").allowed);
	assert_false(decide_path(s, "fs:read", "/data/z.csv/evil").allowed);
	assert_false(decide_path(s, "fs:read", "/data/z.csvx").allowed);
	struct decision d = decide_path(s, "fs:write", "/etc/passwd");
	assert_int_equal(d.code, DECISION_PATH_NOT_ALLOWED);
	assert_span(d.reason, "fs:write of '/etc/passwd' is not allowed; allowed: /workspace/out");
	/* All paths of a request count, and none at all is not a free pass. */
	struct span two[] = {SPAN("/workspace/out/a"), SPAN("/etc/passwd")};
	struct decision_request q = {.action = SPAN("fs:write"), .paths = two, .path_count = 2};
	assert_false(decide(s, NULL, &q, 0).allowed);
	q.path_count = 0;
	assert_false(decide(s, NULL, &q, 0).allowed);
	rule_set_unref(s);
}

static void commands(void **state)
{
	(void)state;
	struct rule_set *s = example();
	assert_true(decide_command(s, "git status").allowed);
	assert_false(decide_command(s, "git push").allowed);
	assert_false(decide_command(s, "git").allowed);
	assert_true(decide_command(s, "ls").allowed);
	assert_true(decide_command(s, "ls -l /").allowed);
	assert_false(decide_command(s, "./ls").allowed);
	assert_false(decide_command(s, "/tmp/git status").allowed);
	assert_true(decide_command(s, "python3 /workspace/scripts/a.py").allowed);
	assert_true(decide_command(s, "python3 a.py").allowed);
	assert_true(decide_command(s, "python3 -m pytest").allowed);
	assert_false(decide_command(s, "python3 -c 'import os'").allowed);
	assert_false(decide_command(s, "python3 ../../etc/x.py").allowed);
	assert_false(decide_command(s, "python3 /workspace/other.py").allowed);
	struct decision d = decide_command(s, "curl http://x");
	assert_int_equal(d.code, DECISION_COMMAND_NOT_ALLOWED);
	assert_span(d.reason,
		"command 'curl http://x' is not allowed; allowed programs: git, python3, ls");
	rule_set_unref(s);
}

static void any_but_a_shell(void **state)
{
	(void)state;
	struct rule_set_builder *b = rule_set_builder_new();
	assert_int_equal(rule_allow_tool(b, "cmd.run", at("spec.tools[0]")), 0);
	assert_int_equal(
		rule_allow_command(b, CONTEXT_ANY_BUT_SHELL, NULL, 0, at("spec.tools[0]")), 0);
	struct rule_set *s = rule_set_seal(b);
	rule_set_builder_free(b);
	assert_non_null(s);
	assert_true(decide_command(s, "git push").allowed);
	assert_span(decide_command(s, "sh -c ls").reason,
		"command 'sh -c' is not allowed; allowed programs: any but a shell");
	rule_set_unref(s);
}

static void rates(void **state)
{
	(void)state;
	struct rule_set *s = example();
	struct rate_state *rate = rate_state_new(s);
	struct decision_request q = {.action = SPAN("tool:fs.write")};
	assert_true(decide(s, rate, &q, 0).allowed);
	assert_true(decide(s, rate, &q, 0).allowed);
	struct decision d = decide(s, rate, &q, 0);
	assert_int_equal(d.code, DECISION_RATE_LIMIT_EXCEEDED);
	assert_span(d.policy_id, "rate");
	assert_false(decide(s, rate, &q, 400 * NS_PER_MS).allowed);
	assert_true(decide(s, rate, &q, 600 * NS_PER_MS).allowed);
	assert_false(decide(s, rate, &q, 600 * NS_PER_MS).allowed);
	/* A clock that goes back gives nothing away. */
	assert_false(decide(s, rate, &q, 0).allowed);
	/* Other tools are not counted. */
	q.action = SPAN("tool:fs.read");
	for (int i = 0; i < 10; i++)
		assert_true(decide(s, rate, &q, 0).allowed);
	rate_state_free(rate);
	rule_set_unref(s);
}

/* Another set with the same limit: what was taken stays taken; a limit that is new is full. */
static void rates_go_over(void **state)
{
	(void)state;
	struct rule_set *first = example(), *second;
	struct rule_set_builder *b = rule_set_builder_new();
	struct decision_request q = {.action = SPAN("tool:fs.write")};
	struct rate_state *rate = rate_state_new(first);

	assert_int_equal(rule_add_set(b, first), 0);
	assert_int_equal(rule_rate_limit(b, "fs.write", 3, 1000, at("another")), 0);
	second = rule_set_seal(b);
	assert_non_null(second);
	assert_true(decide(first, rate, &q, 0).allowed);
	struct rate_state *next = rate_state_renew(rate, second);
	assert_non_null(next);
	assert_true(decide(second, next, &q, 0).allowed);
	struct decision d = decide(second, next, &q, 0);
	assert_false(d.allowed);
	assert_span(d.policy_id, "rate");
	assert_true(decide(second, next, &q, 500 * NS_PER_MS).allowed);
	rate_state_free(next);
	rate_state_free(rate);
	rule_set_unref(second);
	rule_set_unref(first);
	rule_set_builder_free(b);
}

static void empty_set_allows_nothing(void **state)
{
	(void)state;
	struct rule_set_builder *b = rule_set_builder_new();
	struct rule_set *s = rule_set_seal(b);
	rule_set_builder_free(b);
	assert_false(decide_tool(s, "tool:fs.read").allowed);
	assert_false(decide_path(s, "fs:read", "/").allowed);
	assert_false(decide_command(s, "ls").allowed);
	rule_set_unref(s);
}

static void text_gives_the_same_set(void **state)
{
	(void)state;
	struct rule_set *s = example(), *again;
	assert_int_equal(rule_set_load(rule_set_text(s, arena), &again), 0);
	assert_true(span_eq(rule_set_hash(s), rule_set_hash(again)));
	assert_true(span_eq(rule_set_text(s, arena), rule_set_text(again, arena)));
	assert_true(rule_set_generation(s) != rule_set_generation(again));
	assert_int_equal(rule_set_count(s), rule_set_count(again));
	assert_false(decide_command(again, "git push").allowed);
	assert_true(decide_command(again, "git status").allowed);
	assert_true(decide_path(again, "fs:write", "/workspace/out/a").allowed);
	rule_set_unref(again);
	rule_set_unref(s);
	assert_int_equal(rule_set_load(SPAN("{}"), &again), -EINVAL);
	assert_int_equal(
		rule_set_load(SPAN("@code(\"x\") permit (principal, action, resource);"), &again),
		-EINVAL);
	assert_int_equal(
		rule_set_load(
			SPAN("@rate_calls(\"1\") forbid (principal, action, resource);"), &again),
		-EINVAL);
	assert_int_equal(
		rule_set_load(
			SPAN("@max_response_bytes(\"1\") permit (principal, action, resource);"),
			&again),
		-EINVAL);
}

static void builder_refuses(void **state)
{
	(void)state;
	struct rule_set_builder *b = rule_set_builder_new();
	assert_int_equal(rule_allow_tool(b, "f*", at("t")), -EINVAL);
	assert_int_equal(rule_allow_tool(b, "fs.*.x", at("t")), -EINVAL);
	assert_int_equal(rule_allow_tool(b, "", at("t")), -EINVAL);
	assert_int_equal(rule_allow_path(b, "fs:exec", "/a", at("t")), -EINVAL);
	assert_int_equal(rule_allow_path(b, "fs:read", "a", at("t")), -EINVAL);
	assert_int_equal(rule_allow_path(b, "fs:read", "/a/../b", at("t")), -EINVAL);
	assert_string_equal(
		err_message(-EINVAL), "t: path '/a/../b' contains '..': give the path without it");
	assert_int_equal(rule_allow_command(b, "/bin/ls", NULL, 0, at("t")), -EINVAL);
	assert_int_equal(rule_rate_limit(b, "fs.*", 0, 1, at("t")), -EINVAL);
	rule_set_builder_free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(canonical_path, setup, teardown),
		cmocka_unit_test_setup_teardown(argv_as_a_shell_splits_it, setup, teardown),
		cmocka_unit_test_setup_teardown(argv_has_limits, setup, teardown),
		cmocka_unit_test_setup_teardown(tools, setup, teardown),
		cmocka_unit_test_setup_teardown(paths, setup, teardown),
		cmocka_unit_test_setup_teardown(commands, setup, teardown),
		cmocka_unit_test_setup_teardown(any_but_a_shell, setup, teardown),
		cmocka_unit_test_setup_teardown(rates, setup, teardown),
		cmocka_unit_test_setup_teardown(rates_go_over, setup, teardown),
		cmocka_unit_test_setup_teardown(empty_set_allows_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(text_gives_the_same_set, setup, teardown),
		cmocka_unit_test_setup_teardown(builder_refuses, setup, teardown),
	};
	return cmocka_run_group_tests_name("policy/context", tests, NULL, NULL);
}
