/* SPDX-License-Identifier: AGPL-3.0-only */
/* policy.d: what loads, what is refused with which words, and that the old one holds meanwhile. */
#include "daemon/policy/policy.h"
#include "tests/tap.h"
#include <stdlib.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[64];
static struct arena *arena;

static int setup(void **state)
{
	(void)state;
	strcpy(folder, "/tmp/aegis-policy-XXXXXX");
	arena = arena_new(64 << 20);
	return mkdtemp(folder) && arena ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	arena = arena_free(arena);
	return fd_remove_tree(AT_FDCWD, folder);
}

static void write_file(const char *name, const char *text)
{
	char *path = arena_printf(arena, "%s/%s", folder, name);
	assert_int_equal(fd_replace_file(path, span_cstr(text), 0644), 0);
}

static const struct config *config_of(const char *spec)
{
	struct report report;
	const struct config *c = NULL;
	char *text = arena_printf(arena,
		"apiVersion: 100monkeys.ai/v1\nkind: NodeConfig\nmetadata: {name: n}\nspec:\n"
		"  node: {id: n, type: edge}\n%s",
		spec);
	assert_int_equal(report_init(&report, arena, "node.yaml"), 0);
	int r = config_parse(
		"node.yaml", span_cstr(text), &(struct config_environment){0}, &report, &c);
	if (r) {
		struct buf b CLEANUP(buf_fini) = buf_init(8192);
		report_text(&report, &b);
		fail_msg("%s", buf_cstr(&b));
	}
	return c;
}

static struct policy_snapshot *load(const struct config *c)
{
	struct buf findings CLEANUP(buf_fini) = buf_init(65536);
	struct policy_snapshot *s = NULL;
	int r = policy_load(folder, c, &findings, &s);
	if (r)
		fail_msg("%d: %s %s", r, r < 0 ? err_message(r) : "", buf_cstr(&findings));
	return s;
}

static void expect_refused(const struct config *c, const char *finding)
{
	struct buf findings CLEANUP(buf_fini) = buf_init(65536);
	struct policy_snapshot *s = NULL;
	assert_int_equal(policy_load(folder, c, &findings, &s), POLICY_INVALID);
	const char *text = buf_cstr(&findings);
	if (!strstr(text, finding))
		fail_msg("'%s' is not in: %s", finding, text);
}

static struct decision ask(struct rule_set *s, const char *action, const char *path)
{
	struct span p = span_cstr(path);
	struct decision_request q = {
		.action = span_cstr(action), .paths = &p, .path_count = path ? 1 : 0};
	struct decision d;
	assert_int_equal(policy_decide(s, NULL, &q, 0, arena, &d), 0);
	return d;
}

static struct rule_set *set_of(
	struct policy_snapshot *s, const char *context, enum rule_context_use use)
{
	struct rule_set_builder *b;
	assert_int_equal(policy_builder(s, span_cstr(context), use, &b), 0);
	if (use == RULE_CONTEXT_CEILING) {
		assert_int_equal(
			rule_allow_path(b, "fs:read", "/", (struct rule_origin){.field = "m"}), 0);
		assert_int_equal(rule_allow_tool(b, "*", (struct rule_origin){.field = "m"}), 0);
	}
	struct rule_set *set = rule_set_seal(b);
	assert_non_null(set);
	rule_set_builder_free(b);
	return set;
}

static void nothing_is_a_policy_too(void **state)
{
	(void)state;
	struct policy_snapshot *s = load(NULL);
	assert_int_equal(rule_set_count(policy_rules(s)), 0);
	policy_unref(s);
	struct buf findings CLEANUP(buf_fini) = buf_init(1024);
	assert_int_equal(rmdir(folder), 0);
	/* A folder that was asked for must be there. */
	assert_int_equal(policy_load(folder, NULL, &findings, &s), -ENOENT);
	assert_int_equal(mkdir(folder, 0700), 0);
}

static void files_in_order_with_a_schema(void **state)
{
	(void)state;
	write_file("20-b.cedar",
		"@id(\"b\")\npermit (principal, action == Action::\"tool:web.fetch\", "
		"resource) when { context has domain };\n");
	write_file("10-a.cedar",
		"// comment\nforbid (principal, action in Action::\"fs\", resource in "
		"Path::\"/secret\");\n");
	write_file("web.cedarschema",
		"action \"tool:web.*\" in [\"tool\"];\n"
		"action \"tool:web.fetch\" in [\"tool\", \"tool:web.*\"] appliesTo "
		"{ principal: Execution, resource: Tool, context: ToolCall };\n");
	write_file(".hidden.cedar", "nonsense");
	write_file("README", "nonsense");
	struct policy_snapshot *s = load(NULL);
	const struct rule_set *rules = policy_rules(s);
	assert_int_equal(rule_set_count(rules), 2);
	struct rule_policy first = rule_set_policy(rules, 0);
	char *label = arena_printf(arena, "%s/10-a.cedar", strrchr(folder, '/') + 1);
	assert_string_equal(arena_cstr(arena, first.file), label);
	assert_int_equal(first.line, 2);
	assert_string_equal(arena_cstr(arena, first.id), arena_printf(arena, "%s:2", label));
	assert_true(first.forbid);
	struct rule_set *set = set_of(s, "", RULE_CONTEXT_CEILING);
	assert_true(ask(set, "fs:read", "/open/x").allowed);
	assert_false(ask(set, "fs:read", "/secret/x").allowed);
	assert_true(ask(set, "fs:read", "/secrets").allowed);
	rule_set_unref(set);
	policy_unref(s);
}

static void mistakes(void **state)
{
	(void)state;
	write_file("a.cedar", "permit (principal, action, resource)\n  when { 1 + };\n");
	expect_refused(NULL, "a.cedar: line 2 column 14");
	write_file(
		"a.cedar", "permit (principal,\n  action == Action::\"tool:nope\", resource);\n");
	expect_refused(NULL, "a.cedar:2:");
	write_file("a.cedar",
		"permit (principal, action == Action::\"fs:read\", resource)\n"
		"  when { resource.size > 3 };\n");
	expect_refused(NULL, "a.cedar:2:10: ");
	write_file("a.cedar", "permit (principal == ?principal, action, resource);\n");
	expect_refused(NULL, "a.cedar:1: a template");
	write_file("a.cedar",
		"@id(\"x\") permit (principal, action, resource);\n"
		"@id(\"x\") permit (principal, action, resource);\n");
	expect_refused(NULL, "the id 'x'");
	write_file("a.cedar",
		"@rate_calls(\"x\") @rate_window_ms(\"1\") forbid (principal, action, "
		"resource);\n");
	expect_refused(NULL, "@rate_calls(\"x\"): a number");
	write_file("a.cedar", "");
	write_file("b.cedarschema", "entity Tool;\n");
	expect_refused(NULL, "b.cedarschema: line 1 column ");
	write_file("b.cedarschema", "\nentity X in [Nope];\n");
	expect_refused(NULL, "b.cedarschema: line 2 column ");
}

#define CONTEXTS \
	"  security_contexts:\n" \
	"    - name: default\n" \
	"      capabilities: [{tool_pattern: \"fs.*\", path_allowlist: [/workspace]}]\n" \
	"    - name: web\n" \
	"      capabilities:\n" \
	"        - tool_pattern: web.*\n" \
	"          domain_allowlist: [example.org]\n"

static void contexts(void **state)
{
	(void)state;
	const struct config *c = config_of(CONTEXTS);
	struct policy_snapshot *s = load(c);
	struct rule_set_builder *b;
	assert_int_equal(policy_context_count(s), 2);
	assert_int_equal(policy_context_at(s, 1)->capabilities[0].line, 11);
	assert_int_equal(
		policy_builder(s, SPAN("nope"), RULE_CONTEXT_CEILING, &b), POLICY_NO_CONTEXT);
	assert_int_equal(policy_builder(s, SPAN(""), RULE_CONTEXT_GRANTS, &b), POLICY_NO_CONTEXT);
	/* Without a name `default` is the ceiling. */
	struct rule_set *set = set_of(s, "", RULE_CONTEXT_CEILING);
	assert_true(ask(set, "fs:read", "/workspace/x").allowed);
	assert_int_equal(ask(set, "fs:read", "/etc/x").code, DECISION_PATH_NOT_ALLOWED);
	assert_false(ask(set, "tool:web.fetch", NULL).allowed);
	rule_set_unref(set);
	set = set_of(s, "web", RULE_CONTEXT_GRANTS);
	assert_false(ask(set, "fs:read", "/workspace/x").allowed);
	assert_true(span_find(rule_set_text(set, arena),
			    SPAN("@file(\"node.yaml\")\n@line(\"11\")"), 0) >= 0);
	rule_set_unref(set);
	policy_unref(s);
	config_unref(c);
	c = config_of(
		"  security_contexts: [{name: bad, capabilities: [{tool_pattern: \"f*\"}]}]\n");
	expect_refused(c, "spec.security_contexts.bad.capabilities[0]: tool pattern 'f*'");
	config_unref(c);
}

/* However many policies the node has, they are compiled once: what an execution adds is its own. */
static void node_policies_are_shared(void **state)
{
	enum { NODE_POLICIES = 1000 };
	struct buf text CLEANUP(buf_fini) = buf_init(1 << 20);

	for (int i = 0; i < NODE_POLICIES; i++)
		buf_printf(&text,
			"@id(\"n%d\")\nforbid (principal, action == Action::\"fs:read\", resource "
			"in "
			"Path::\"/secret/%d\");\n",
			i, i);
	write_file("many.cedar", buf_cstr(&text));
	struct policy_snapshot *s = load(NULL);
	struct rule_set *first = set_of(s, "", RULE_CONTEXT_CEILING);
	struct rule_set *second = set_of(s, "", RULE_CONTEXT_CEILING);
	struct rule_set *alone;
	assert_int_equal(rule_set_load(rule_set_text(first, arena), &alone), 0);
	print_message("# %zu bytes of the node's, %zu of an execution's, %zu of both as one\n",
		rule_set_bytes(policy_rules(s)), rule_set_bytes(second), rule_set_bytes(alone));
	assert_int_equal(rule_set_count(second), NODE_POLICIES + 2);
	assert_true(rule_set_bytes(policy_rules(s)) > NODE_POLICIES * 100);
	assert_true(rule_set_bytes(second) < 16 * 1024);
	assert_true(rule_set_bytes(second) * 20 < rule_set_bytes(alone));
	/* So it is with one that is loaded again. */
	struct rule_set *again;
	assert_int_equal(rule_set_load_on(policy_rules(s), rule_set_text(first, arena), &again), 0);
	assert_true(span_eq(rule_set_hash(again), rule_set_hash(first)));
	assert_true(rule_set_bytes(again) < 16 * 1024);
	rule_set_unref(again);
	assert_int_equal(rule_set_load_on(policy_rules(s),
				 SPAN("permit (principal, action, resource);"), &again),
		0);
	assert_int_equal(rule_set_count(again), 1);
	rule_set_unref(again);
	policy_unref(s); /* the sets hold what they share */
	rule_set_unref(first);
	assert_true(span_eq(rule_set_hash(second), rule_set_hash(alone)));
	assert_false(ask(second, "fs:read", "/secret/999/x").allowed);
	assert_true(span_is(ask(second, "fs:read", "/secret/999/x").policy_id, "n999"));
	assert_true(ask(second, "fs:read", "/secret/1000").allowed);
	rule_set_unref(second);
	rule_set_unref(alone);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(nothing_is_a_policy_too, setup, teardown),
		cmocka_unit_test_setup_teardown(files_in_order_with_a_schema, setup, teardown),
		cmocka_unit_test_setup_teardown(mistakes, setup, teardown),
		cmocka_unit_test_setup_teardown(contexts, setup, teardown),
		cmocka_unit_test_setup_teardown(node_policies_are_shared, setup, teardown),
	};
	return cmocka_run_group_tests_name("daemon/policy", tests, NULL, NULL);
}
