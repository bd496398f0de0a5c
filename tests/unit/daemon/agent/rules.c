/* SPDX-License-Identifier: AGPL-3.0-only */
/* What a manifest's words allow, and the holes that other readers of such manifests had. */
#include "daemon/agent/agent.h"
#include "policy/context/context.h"
#include "tests/tap.h"

struct set {
	struct arena *arena;
	const struct agent_manifest *manifest;
	struct rule_set *rules;
};

static struct set rules_of(const char *spec)
{
	struct set s = {.arena = arena_new(16 << 20)};
	struct report report;
	char *text = arena_printf(s.arena,
		"apiVersion: 100monkeys.ai/v1\nkind: Agent\nmetadata: {name: a, version: 1.0.0}\n"
		"spec:\n  runtime: {language: python, version: \"3.11\"}\n%s",
		spec);

	assert_int_equal(report_init(&report, s.arena, "a"), 0);
	if (agent_manifest_parse(&report, span_cstr(text), &s.manifest) != 0) {
		struct buf b CLEANUP(buf_fini) = buf_init(4096);
		report_text(&report, &b);
		fail_msg("%s", buf_cstr(&b));
	}
	struct rule_set_builder *b = rule_set_builder_new();
	assert_int_equal(agent_rules(s.manifest, b), 0);
	s.rules = rule_set_seal(b);
	rule_set_builder_free(b);
	assert_non_null(s.rules);
	return s;
}

static void done(struct set *s)
{
	rule_set_unref(s->rules);
	agent_manifest_unref(s->manifest);
	arena_free(s->arena);
}

static struct decision ask(struct set *s, const struct decision_request *q)
{
	struct decision d;
	assert_int_equal(policy_decide(s->rules, NULL, q, 0, s->arena, &d), 0);
	return d;
}

static struct decision path(struct set *s, const char *action, const char *p)
{
	struct span one = span_cstr(p);
	return ask(s,
		&(struct decision_request){
			.action = span_cstr(action), .paths = &one, .path_count = 1});
}

static struct decision tool(struct set *s, const char *name)
{
	return ask(s, &(struct decision_request){.action = span_cstr(name)});
}

/* The line as tools decide it: split, or as a shell's. */
static bool command(struct set *s, const char *line)
{
	struct span *argv, why, shell[] = {SPAN("sh"), SPAN("-c"), span_cstr(line)};
	size_t argc;
	int r = context_parse_argv(span_cstr(line), s->arena, &argv, &argc, &why);

	assert_true(r >= 0);
	return ask(s,
		&(struct decision_request){.action = SPAN("tool:cmd.run"),
			.argv = r ? shell : argv,
			.argv_count = r ? 3 : argc,
			.cwd = SPAN("/workspace")})
		.allowed;
}

#define SECURITY \
	"  security:\n    filesystem:\n      read: [/workspace, \"/data/*.csv\"]\n" \
	"      write:\n        - /workspace/out\n"

static void paths(void **state)
{
	struct set s = rules_of(SECURITY "  tools: [\"fs.read\"]\n");
	struct decision d = path(&s, "fs:write", "/workspace/out/x");
	assert_true(d.allowed);
	assert_int_equal(span_cmp(d.policy_id, SPAN("spec.security.filesystem.write[0]")), 0);
	assert_true(path(&s, "fs:read", "/data/a.csv").allowed);
	assert_false(path(&s, "fs:read", "/data/b/a.csv").allowed);
	assert_false(path(&s, "fs:write", "/workspace").allowed);
	assert_false(path(&s, "fs:write", "/workspace/outside").allowed);
	assert_false(path(&s, "fs:read", "/etc/passwd").allowed);
	/* The line that allows is told with the rule. */
	assert_true(span_find(rule_set_text(s.rules, s.arena), SPAN("@line(\"11\")"), 0) >= 0);
	done(&s);
}

static void read_only(void **state)
{
	struct set s =
		rules_of("  security: {filesystem: {read: [/workspace], write: [/workspace], "
			 "read_only: true}}\n");
	assert_true(path(&s, "fs:read", "/workspace/x").allowed);
	assert_false(path(&s, "fs:write", "/workspace/x").allowed);
	done(&s);
	s = rules_of("  security: {filesystem: {read: [/workspace], write: [/workspace]}}\n"
		     "  volumes: [{name: w, storage_class: ephemeral, ttl_hours: 1, mount_path: "
		     "/workspace, "
		     "access_mode: read-only}]\n");
	assert_false(path(&s, "fs:write", "/workspace/x").allowed);
	done(&s);
}

/* Nothing written allows nothing. */
static void empty(void **state)
{
	struct set s = rules_of("");
	assert_false(path(&s, "fs:read", "/workspace/x").allowed);
	assert_false(tool(&s, "tool:fs.read").allowed);
	assert_false(command(&s, "ls"));
	done(&s);
}

static void tools(void **state)
{
	struct set s = rules_of("  tools: [\"fs.read\", \"fs.grep\"]\n");
	assert_true(tool(&s, "tool:fs.read").allowed);
	assert_false(tool(&s, "tool:fs.write").allowed);
	assert_false(tool(&s, "tool:fs.readx").allowed);
	assert_false(command(&s, "ls"));
	done(&s);
	s = rules_of("  tools: [\"fs.*\"]\n");
	assert_true(tool(&s, "tool:fs.delete").allowed);
	assert_false(tool(&s, "tool:fsx.delete").allowed);
	assert_false(tool(&s, "tool:fs").allowed);
	done(&s);
}

static void filesystem_server(void **state)
{
	struct set s = rules_of(SECURITY
		"  tools:\n    - name: filesystem\n      server: \"mcp:filesystem\"\n"
		"      config: {allowed_paths: [/workspace/out], access_mode: read-only}\n");
	assert_true(tool(&s, "tool:fs.read").allowed);
	assert_false(tool(&s, "tool:fs.write").allowed);
	/* What both allow, and nothing beside it. */
	assert_true(path(&s, "fs:read", "/workspace/out/x").allowed);
	assert_false(path(&s, "fs:read", "/workspace/x").allowed);
	assert_false(path(&s, "fs:read", "/data/a.csv").allowed);
	done(&s);
	s = rules_of(SECURITY
		"  tools:\n    - name: filesystem\n      server: \"mcp:filesystem\"\n"
		"      config: {allowed_paths: [/workspace/outside], access_mode: read-write}\n");
	assert_true(tool(&s, "tool:fs.write").allowed);
	assert_false(path(&s, "fs:write", "/workspace/out/x").allowed);
	assert_false(path(&s, "fs:write", "/workspace/outside/x").allowed);
	done(&s);
	/* Read-only is the documented default, however short the tool is written. */
	s = rules_of(SECURITY "  tools: [\"mcp:filesystem\"]\n");
	assert_true(tool(&s, "tool:fs.read").allowed);
	assert_false(tool(&s, "tool:fs.write").allowed);
	done(&s);
}

static bool connects(struct set *s, const char *domain)
{
	return ask(s,
		&(struct decision_request){
			.action = SPAN("net:connect"), .domain = span_cstr(domain), .port = 443})
		.allowed;
}

static void network(void **state)
{
	struct set s = rules_of("  security: {network: {mode: allow, allowlist: [pypi.org, "
				"\"*.org:80\"], denylist: "
				"[x.org]}}\n");
	assert_true(connects(&s, "pypi.org"));
	assert_false(connects(&s, "a.pypi.org"));
	assert_false(connects(&s, "x.org"));
	done(&s);
	s = rules_of("  security: {network: {mode: deny, denylist: [x.org]}}\n");
	assert_true(connects(&s, "pypi.org"));
	assert_false(connects(&s, "a.x.org"));
	done(&s);
	s = rules_of("  security: {network: {mode: none, allowlist: [pypi.org]}}\n");
	assert_false(connects(&s, "pypi.org"));
	done(&s);
}

static void leases(void **state)
{
	struct set s = rules_of("  security: {network: {mode: none}, leases: [{programs: [git], "
				"destinations: [\"pypi.org:443\"]}]}\n  tools: [cmd.run]\n");
	struct decision_request q = {
		.action = SPAN("net:connect"), .domain = SPAN("pypi.org"), .port = 443};

	assert_false(connects(&s, "pypi.org"));
	q.call_tool = SPAN("cmd.run");
	q.call_program = SPAN("git");
	struct decision d = ask(&s, &q);
	assert_true(d.allowed);
	assert_true(span_is(d.policy_id, "spec.security.leases[0].destinations[0]"));
	q.call_program = SPAN("./git"); /* which the agent may have written */
	assert_false(ask(&s, &q).allowed);
	done(&s);
}

/* upstream-surface, row 9: a chain passes where only its first word is looked at. */
static void plain_commands(void **state)
{
	struct set s = rules_of("  tools: [\"cmd.run\"]\n");
	assert_true(command(&s, "python3 /workspace/a.py"));
	assert_true(command(&s, "ls"));
	assert_false(command(&s, "ls && curl http://x"));
	assert_false(command(&s, "ls; rm -r /"));
	assert_false(command(&s, "ls | sh"));
	assert_false(command(&s, "echo $(id)"));
	assert_false(command(&s, "sh -c id"));
	assert_false(command(&s, "/bin/bash x"));
	assert_false(command(&s, "./bash x"));
	done(&s);
}

#define CMD \
	"  tools:\n    - name: shell\n      executor: \"builtin:cmd\"\n      config:\n" \
	"        subcommand_allowlist:\n          git: [status, diff]\n" \
	"          python3: [/workspace/src]\n"

static void subcommands(void **state)
{
	struct set s = rules_of(CMD);
	assert_true(command(&s, "git status -s"));
	assert_true(command(&s, "git 'status'"));
	assert_false(command(&s, "git push"));
	assert_false(command(&s, "git"));
	assert_false(command(&s, "git -c alias.x=!sh x"));
	assert_false(command(&s, "gitx status"));
	assert_false(command(&s, "/tmp/git status"));
	assert_false(command(&s, "GIT status"));
	assert_false(command(&s, "git status && curl http://x"));
	assert_true(command(&s, "python3 src/a.py"));
	assert_false(command(&s, "python3 src/../../etc/x"));
	assert_false(command(&s, "python3 /workspace/srcx/a.py"));
	assert_false(command(&s, "python3 -c 1"));
	assert_false(command(&s, "ls"));
	done(&s);
	s = rules_of(CMD "        allow_shell: true\n");
	assert_true(command(&s, "git status && ls"));
	done(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(paths),
		cmocka_unit_test(read_only),
		cmocka_unit_test(empty),
		cmocka_unit_test(tools),
		cmocka_unit_test(filesystem_server),
		cmocka_unit_test(network),
		cmocka_unit_test(leases),
		cmocka_unit_test(plain_commands),
		cmocka_unit_test(subcommands),
	};
	return cmocka_run_group_tests_name("agent rules", tests, NULL, NULL);
}
