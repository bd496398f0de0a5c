/* SPDX-License-Identifier: AGPL-3.0-only */
/* Security contexts: what they permit, what they forbid to others, and which holds which. */
#include "policy/context/context.h"
#include "tests/tap.h"
#include <stdio.h>

static struct arena *arena;

static int setup(void **state)
{
	(void)state;
	arena = arena_new(64 << 20);
	return arena ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	arena = arena_free(arena);
	return 0;
}

#define LIST(...) \
	{ \
		.items = (const char *const[]){__VA_ARGS__}, \
		.count = ARRAY_LEN(((const char *const[]){__VA_ARGS__})) \
	}

static const struct rule_command coder_commands[] = {
	{"git", LIST("status", "diff")},
	{"python3", LIST("/workspace/scripts", "-m")},
	{"ls", {0}},
};

static const struct rule_capability coder_capabilities[] = {
	{.tool_pattern = "fs.*", .paths = LIST("/workspace", "/data/**/*.csv"), .line = 4},
	{.tool_pattern = "cmd.run",
		.commands = coder_commands,
		.command_count = ARRAY_LEN(coder_commands)},
	{.tool_pattern = "web.fetch",
		.domains = LIST("pypi.org", "*.Example.org"),
		.calls = 2,
		.window_ms = 1000,
		.max_response_bytes = 1000},
};

static const struct rule_context coder = {.name = "coder",
	.file = "node.yaml",
	.line = 2,
	.capabilities = coder_capabilities,
	.capability_count = ARRAY_LEN(coder_capabilities),
	.deny_list = LIST("fs.delete", "fs.read:/workspace/secret/*", "cmd.run:rm")};

static struct rule_set *set_of(const struct rule_context *c, enum rule_context_use use)
{
	struct rule_set_builder *b = rule_set_builder_new();
	const struct rule_origin o = {.field = "spec.tools"};

	assert_int_equal(rule_add_context(b, c, use), 0);
	if (use == RULE_CONTEXT_CEILING) { /* beside rules that allow everything */
		assert_int_equal(rule_allow_tool(b, "*", o), 0);
		assert_int_equal(rule_allow_command(b, "*", NULL, 0, o), 0);
		assert_int_equal(rule_allow_path(b, "fs:read", "/", o), 0);
		assert_int_equal(rule_allow_path(b, "fs:write", "/", o), 0);
	}
	struct rule_set *s = rule_set_seal(b);
	rule_set_builder_free(b);
	if (!s)
		fail_msg("%s", err_message(-EINVAL));
	return s;
}

static struct decision decide(struct rule_set *s, struct rate_state *rate,
	const struct decision_request *q, int64_t now_ns)
{
	struct decision d;
	assert_int_equal(policy_decide(s, rate, q, now_ns, arena, &d), 0);
	return d;
}

static enum decision_code tool(struct rule_set *s, const char *action, const char *path)
{
	struct span p = span_cstr(path);
	struct decision_request q = {
		.action = span_cstr(action), .paths = &p, .path_count = path ? 1 : 0};
	return decide(s, NULL, &q, 0).code;
}

static enum decision_code web(struct rule_set *s, const char *domain)
{
	struct span name;
	if (context_canonical_domain(span_cstr(domain), arena, &name) < 0) {
		err_clear();
		return DECISION_NO_MATCHING_CAPABILITY;
	}
	return decide(s, NULL,
		&(struct decision_request){.action = SPAN("tool:web.fetch"), .domain = name}, 0)
		.code;
}

static enum decision_code command(struct rule_set *s, const char *action, const char *line)
{
	struct span *argv, why, shell[] = {SPAN("sh"), SPAN("-c"), span_cstr(line)};
	size_t argc;
	int r = context_parse_argv(span_cstr(line), arena, &argv, &argc, &why);

	assert_true(r >= 0);
	struct decision_request q = {.action = span_cstr(action),
		.argv = r ? shell : argv,
		.argv_count = r ? 3 : argc,
		.cwd = SPAN("/workspace")};
	return decide(s, NULL, &q, 0).code;
}

/* The same answers whether the context grants or is a ceiling over rules that allow all. */
static void expect_coder(struct rule_set *s)
{
	assert_int_equal(tool(s, "tool:fs.read", "/workspace/a"), DECISION_OK);
	assert_int_equal(tool(s, "tool:fs.write", "/workspace"), DECISION_OK);
	assert_int_equal(tool(s, "tool:fs.read", "/data/x/y.csv"), DECISION_OK);
	assert_int_equal(tool(s, "tool:fs.read", "/data/x/y.csv/z"), DECISION_PATH_NOT_ALLOWED);
	assert_int_equal(tool(s, "tool:fs.read", "/workspacex/a"), DECISION_PATH_NOT_ALLOWED);
	assert_int_equal(tool(s, "tool:fs.read", "/etc/passwd"), DECISION_PATH_NOT_ALLOWED);
	/* A call without a path is no way around the list. */
	assert_int_equal(tool(s, "tool:fs.read", NULL), DECISION_PATH_NOT_ALLOWED);
	assert_int_equal(tool(s, "tool:fsx.read", "/workspace/a"), DECISION_TOOL_NOT_ALLOWED);
	assert_int_equal(tool(s, "tool:fs.delete", "/workspace/a"), DECISION_TOOL_DENIED);
	assert_int_equal(tool(s, "tool:fs.read", "/workspace/secret/k"), DECISION_TOOL_DENIED);
	assert_int_equal(tool(s, "tool:fs.write", "/workspace/secret/k"), DECISION_OK);

	assert_int_equal(tool(s, "fs:read", "/workspace/a"), DECISION_OK);
	assert_int_equal(tool(s, "fs:write", "/workspace/a"), DECISION_OK);
	assert_int_equal(tool(s, "fs:read", "/workspacex"), DECISION_PATH_NOT_ALLOWED);
	assert_int_equal(tool(s, "fs:read", "/workspace/secret/k"), DECISION_PATH_NOT_ALLOWED);

	assert_int_equal(command(s, "tool:cmd.run", "git status"), DECISION_OK);
	assert_int_equal(command(s, "tool:cmd.run", "git push"), DECISION_COMMAND_NOT_ALLOWED);
	assert_int_equal(command(s, "tool:cmd.run", "git"), DECISION_COMMAND_NOT_ALLOWED);
	assert_int_equal(command(s, "tool:cmd.run", "ls -l"), DECISION_OK);
	assert_int_equal(command(s, "tool:cmd.run", "ls && rm x"), DECISION_TOOL_DENIED);
	assert_int_equal(command(s, "tool:cmd.run", "/bin/rm x"), DECISION_TOOL_DENIED);
	assert_int_equal(command(s, "tool:cmd.run", "python3 scripts/a.py"), DECISION_OK);
	assert_int_equal(
		command(s, "tool:cmd.run", "python3 other.py"), DECISION_COMMAND_NOT_ALLOWED);
	assert_int_equal(command(s, "tool:cmd.run", "python3 scripts/../x.py"),
		DECISION_COMMAND_NOT_ALLOWED);
	assert_int_equal(command(s, "exec", "git status"), DECISION_OK);
	assert_int_equal(command(s, "exec", "curl x"), DECISION_COMMAND_NOT_ALLOWED);

	assert_int_equal(web(s, "pypi.org"), DECISION_OK);
	assert_int_equal(web(s, "PyPI.org."), DECISION_OK);
	assert_int_equal(web(s, "files.pypi.org"), DECISION_OK);
	assert_int_equal(web(s, "evilpypi.org"), DECISION_DOMAIN_NOT_ALLOWED);
	assert_int_equal(web(s, "pypi.org.evil.com"), DECISION_DOMAIN_NOT_ALLOWED);
	assert_int_equal(web(s, "a.example.org"), DECISION_OK);
	assert_int_equal(web(s, "a.b.example.org"), DECISION_OK);
	assert_int_equal(web(s, "example.org"), DECISION_DOMAIN_NOT_ALLOWED);
	assert_int_equal(
		decide(s, NULL, &(struct decision_request){.action = SPAN("tool:web.fetch")}, 0)
			.code,
		DECISION_DOMAIN_NOT_ALLOWED);
	assert_int_equal(web(s, "example.org/x"), DECISION_NO_MATCHING_CAPABILITY);
	assert_int_equal(tool(s, "tool:web.search", NULL), DECISION_TOOL_NOT_ALLOWED);
}

static void grants(void **state)
{
	(void)state;
	struct rule_set *s = set_of(&coder, RULE_CONTEXT_GRANTS);
	expect_coder(s);
	struct span p = SPAN("/etc/x");
	struct decision d = decide(s, NULL,
		&(struct decision_request){
			.action = SPAN("tool:fs.read"), .paths = &p, .path_count = 1},
		0);
	assert_string_equal(arena_cstr(arena, d.reason),
		"tool:fs.read of '/etc/x' is not allowed; allowed: /workspace, /data/**/*.csv");
	/* Where it was written stands with the policy. */
	assert_true(span_find(rule_set_text(s, arena), SPAN("@file(\"node.yaml\")\n@line(\"4\")"),
			    0) >= 0);
	rule_set_unref(s);
}

static void ceiling(void **state)
{
	(void)state;
	struct rule_set *s = set_of(&coder, RULE_CONTEXT_CEILING);
	expect_coder(s);
	struct decision d =
		decide(s, NULL, &(struct decision_request){.action = SPAN("tool:x.y")}, 0);
	assert_string_equal(arena_cstr(arena, d.reason),
		"tool 'x.y' is not allowed; allowed: fs.*, cmd.run, web.fetch");
	assert_string_equal(
		arena_cstr(arena, d.policy_id), "spec.security_contexts.coder.capabilities");
	rule_set_unref(s);
}

static void empty_context_grants_nothing(void **state)
{
	(void)state;
	const struct rule_context none = {.name = "none"};
	for (int use = 0; use < 2; use++) {
		struct rule_set *s = set_of(&none, (enum rule_context_use)use);
		assert_int_equal(tool(s, "tool:fs.read", "/"), DECISION_TOOL_NOT_ALLOWED);
		assert_int_equal(tool(s, "fs:read", "/"), DECISION_PATH_NOT_ALLOWED);
		assert_int_equal(command(s, "exec", "ls"), DECISION_COMMAND_NOT_ALLOWED);
		rule_set_unref(s);
	}
}

static void limits(void **state)
{
	(void)state;
	struct rule_set *s = set_of(&coder, RULE_CONTEXT_GRANTS);
	struct rate_state *root = rate_state_new(s), *a = rate_state_new(s), *b = rate_state_new(s);
	struct decision_request q = {.action = SPAN("tool:web.fetch"), .domain = SPAN("pypi.org")};
	assert_int_equal(decide(s, NULL, &q, 0).max_response_bytes, 1000);
	assert_int_equal(decide(s, a, &q, 0).code, DECISION_OK);
	assert_int_equal(decide(s, a, &q, 0).code, DECISION_OK);
	assert_int_equal(decide(s, a, &q, 0).code, DECISION_RATE_LIMIT_EXCEEDED);
	/* What is denied takes no token. */
	q.domain = SPAN("evil.com");
	assert_int_equal(decide(s, b, &q, 0).code, DECISION_DOMAIN_NOT_ALLOWED);
	q.domain = SPAN("pypi.org");
	assert_int_equal(decide(s, b, &q, 0).code, DECISION_OK);
	assert_int_equal(decide(s, b, &q, 0).code, DECISION_OK);
	/* A swarm shares what its root has. */
	rate_state_free(a);
	rate_state_free(b);
	a = rate_state_new(s);
	b = rate_state_new(s);
	rate_state_set_root(a, root);
	rate_state_set_root(b, root);
	assert_int_equal(decide(s, a, &q, 0).code, DECISION_OK);
	assert_int_equal(decide(s, b, &q, 0).code, DECISION_OK);
	assert_int_equal(decide(s, a, &q, 0).code, DECISION_RATE_LIMIT_EXCEEDED);
	assert_int_equal(decide(s, b, &q, 0).code, DECISION_RATE_LIMIT_EXCEEDED);
	/* That denial took nothing of its own bucket either. */
	rate_state_set_root(a, NULL);
	assert_int_equal(decide(s, a, &q, 0).code, DECISION_OK);
	/* After a restart nothing is given away. */
	rate_state_drain(a, 0);
	assert_int_equal(decide(s, a, &q, 0).code, DECISION_RATE_LIMIT_EXCEEDED);
	assert_int_equal(decide(s, a, &q, 600 * NS_PER_MS).code, DECISION_OK);
	rate_state_free(a);
	rate_state_free(b);
	rate_state_free(root);
	rule_set_unref(s);
}

/* ---- which holds which ---- */

static bool covers(const struct rule_context *outer, const struct rule_context *inner)
{
	struct span why;
	int r = rule_context_covers(outer, inner, arena, &why);
	assert_true(r == 0 || (r == RULE_NOT_COVERED && why.n > 0));
	return r == 0;
}

static bool one_covers(struct rule_capability outer, struct rule_capability inner)
{
	const struct rule_context o = {.name = "o", .capabilities = &outer, .capability_count = 1};
	const struct rule_context i = {.name = "i", .capabilities = &inner, .capability_count = 1};
	return covers(&o, &i);
}

static void subset(void **state)
{
	(void)state;
	const struct rule_context none = {.name = "none"};
	const struct rule_capability all_tools = {.tool_pattern = "*"};
	const struct rule_context all = {
		.name = "all", .capabilities = &all_tools, .capability_count = 1};
	assert_true(covers(&coder, &coder));
	assert_true(covers(&all, &coder));
	assert_false(covers(&coder, &all));
	assert_true(covers(&coder, &none));
	assert_true(covers(&none, &none));
	assert_false(covers(&none, &coder));

#define CAP(pattern, ...) ((struct rule_capability){.tool_pattern = pattern, __VA_ARGS__})
	assert_true(one_covers(CAP("fs.*"), CAP("fs.read")));
	assert_false(one_covers(CAP("fs.read"), CAP("fs.*")));
	assert_false(one_covers(CAP("fs.*"), CAP("fsx.read")));
	assert_true(
		one_covers(CAP("fs.*", .paths = LIST("/a")), CAP("fs.*", .paths = LIST("/a/b"))));
	assert_true(one_covers(
		CAP("fs.*", .paths = LIST("/a")), CAP("fs.*", .paths = LIST("/a/*.c", "/a/**"))));
	assert_false(
		one_covers(CAP("fs.*", .paths = LIST("/a")), CAP("fs.*", .paths = LIST("/ab"))));
	assert_false(
		one_covers(CAP("fs.*", .paths = LIST("/a")), CAP("fs.*", .paths = LIST("/a*"))));
	assert_false(one_covers(
		CAP("fs.*", .paths = LIST("/a/*.c")), CAP("fs.*", .paths = LIST("/a/x.c"))));
	assert_false(one_covers(CAP("fs.*", .paths = LIST("/a")), CAP("fs.*")));
	assert_true(one_covers(CAP("web.*", .domains = LIST("example.org")),
		CAP("web.*", .domains = LIST("*.example.org", "a.EXAMPLE.org"))));
	assert_false(one_covers(CAP("web.*", .domains = LIST("*.example.org")),
		CAP("web.*", .domains = LIST("example.org"))));
	assert_false(one_covers(CAP("web.*", .domains = LIST("example.org")),
		CAP("web.*", .domains = LIST("evilexample.org"))));
	assert_true(one_covers(CAP("web.*", .calls = 10, .window_ms = 1000),
		CAP("web.*", .calls = 5, .window_ms = 1000)));
	assert_false(one_covers(CAP("web.*", .calls = 10, .window_ms = 1000), CAP("web.*")));
	assert_false(one_covers(CAP("web.*", .calls = 10, .window_ms = 1000),
		CAP("web.*", .calls = 5, .window_ms = 100)));
	assert_false(one_covers(CAP("web.*", .max_response_bytes = 10), CAP("web.*")));

	const struct rule_command git = {"git", LIST("status")}, any_git = {"git", {0}};
	assert_true(one_covers(CAP("cmd.run", .commands = &any_git, .command_count = 1),
		CAP("cmd.run", .commands = &git, .command_count = 1)));
	assert_false(one_covers(CAP("cmd.run", .commands = &git, .command_count = 1),
		CAP("cmd.run", .commands = &any_git, .command_count = 1)));
	assert_false(
		one_covers(CAP("cmd.run", .commands = &git, .command_count = 1), CAP("cmd.run")));

	/* What the outer one denies, the inner must deny. */
	const struct rule_capability fs = {.tool_pattern = "fs.*"};
	struct rule_context denying = {.name = "d",
		.capabilities = &fs,
		.capability_count = 1,
		.deny_list = LIST("fs.write")};
	struct rule_context free_fs = {.name = "f", .capabilities = &fs, .capability_count = 1};
	assert_false(covers(&denying, &free_fs));
	assert_true(covers(&free_fs, &denying));
	assert_true(covers(&denying, &denying));
	const struct rule_capability edit = {.tool_pattern = "fs.edit"};
	free_fs.capabilities = &edit; /* it writes, by another tool */
	assert_false(covers(&denying, &free_fs));
	const struct rule_capability list = {.tool_pattern = "fs.list"};
	free_fs.capabilities = &list;
	assert_true(covers(&denying, &free_fs));
}

static void bad_entries(void **state)
{
	(void)state;
	const struct rule_capability bad[] = {
		{.tool_pattern = "f*"},
		{.tool_pattern = "fs.raed"},
		{.tool_pattern = "fs.*", .paths = LIST("workspace")},
		{.tool_pattern = "fs.*", .paths = LIST("/a/../b")},
		{.tool_pattern = "web.*", .domains = LIST("a..b")},
		{.tool_pattern = "web.*", .domains = LIST("10.0.0.1")},
		{.tool_pattern = "web.*", .domains = LIST("a*.b.org")},
	};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		const struct rule_context c = {
			.name = "bad", .capabilities = &bad[i], .capability_count = 1};
		struct rule_set_builder *b = rule_set_builder_new();
		assert_int_equal(rule_add_context(b, &c, RULE_CONTEXT_GRANTS), -EINVAL);
		assert_non_null(strstr(
			err_message(-EINVAL), "spec.security_contexts.bad.capabilities[0]: "));
		rule_set_builder_free(b);
	}
}

/* A misspelt tool in a deny list would deny nothing. */
static void a_denied_tool_exists(void **state)
{
	(void)state;
	const struct rule_context c = {.name = "bad", .deny_list = LIST("fs.delte")};
	struct rule_set_builder *b = rule_set_builder_new();
	assert_int_equal(rule_add_context(b, &c, RULE_CONTEXT_CEILING), -EINVAL);
	assert_non_null(strstr(err_message(-EINVAL), "no tool \"fs.delte\"; accepted: aegis."));
	rule_set_builder_free(b);
}

/* The schema, which operators' policies are checked against, names what is in the list. */
static void the_schema_names_the_tools(void **state)
{
	const struct context_tool *t;
	char action[64];

	(void)state;
	for (size_t i = 0; (t = context_tool_at(i)); i++) {
		snprintf(action, sizeof(action), "\"tool:%s\"", t->name);
		assert_true(span_find(context_schema(), span_cstr(action), 0) >= 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_denied_tool_exists),
		cmocka_unit_test(the_schema_names_the_tools),
		cmocka_unit_test_setup_teardown(grants, setup, teardown),
		cmocka_unit_test_setup_teardown(ceiling, setup, teardown),
		cmocka_unit_test_setup_teardown(empty_context_grants_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(limits, setup, teardown),
		cmocka_unit_test_setup_teardown(subset, setup, teardown),
		cmocka_unit_test_setup_teardown(bad_entries, setup, teardown),
	};
	return cmocka_run_group_tests_name("policy/context: contexts", tests, NULL, NULL);
}
