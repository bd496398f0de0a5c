/* SPDX-License-Identifier: AGPL-3.0-only */
/* Operators' policies beside rules, explanations, and requests that are kept and asked again. */
#include "policy/context/context.h"
#include "tests/tap.h"

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

static const char policies[] =
	"// Nobody reads keys.\n"
	"@id(\"no-keys\")\n"
	"forbid (principal, action in Action::\"fs\", resource)\n"
	"when { resource.name like \"*.key\" };\n"
	"\n"
	"permit (principal in Agent::\"builder\", action == Action::\"net:connect\", resource)\n"
	"when { context.port == 443 && context.ip.isInRange(ip(\"10.0.0.0/8\")) };\n"
	"@id(\"strict\") forbid (principal, action == Action::\"sys:ptrace\", resource)\n"
	"when { context.missing };\n"
	"@id(\"sys\") permit (principal, action in Action::\"sys\", resource);\n";

static struct rule_set *example(void)
{
	struct rule_set_builder *b = rule_set_builder_new();
	const struct rule_origin o = {.field = "spec.security.filesystem.read[0]", .line = 9};
	assert_int_equal(rule_allow_path(b, "fs:read", "/workspace", o), 0);
	assert_int_equal(
		rule_add_cedar(b, span_of(policies, sizeof(policies) - 1), "policy.d/a.cedar"), 0);
	struct rule_set *s = rule_set_seal(b);
	rule_set_builder_free(b);
	assert_non_null(s);
	return s;
}

static struct decision decide(struct rule_set *s, const struct decision_request *q)
{
	struct decision d;
	assert_int_equal(policy_decide(s, NULL, q, 0, arena, &d), 0);
	return d;
}

static const char *text(struct span s)
{
	return arena_cstr(arena, s);
}

static void forbid_wins(void **state)
{
	(void)state;
	struct rule_set *s = example();
	struct span path = SPAN("/workspace/a.txt"), key = SPAN("/workspace/a.key");
	struct decision_request q = {.action = SPAN("fs:read"), .paths = &path, .path_count = 1};
	assert_true(decide(s, &q).allowed);
	q.paths = &key;
	struct decision d = decide(s, &q);
	assert_int_equal(d.code, DECISION_PATH_NOT_ALLOWED);
	assert_string_equal(text(d.policy_id), "no-keys");
	assert_int_equal(d.policy_count, 1);
	assert_string_equal(text(d.reason), "fs:read of '/workspace/a.key' is denied");
	rule_set_unref(s);
}

static void connections(void **state)
{
	(void)state;
	struct rule_set *s = example();
	struct decision_request q = {.action = SPAN("net:connect"),
		.agent = SPAN("builder"),
		.address = SPAN("10.1.2.3"),
		.port = 443,
		.protocol = SPAN("tcp")};
	struct decision d = decide(s, &q);
	assert_true(d.allowed);
	assert_string_equal(text(d.policy_id), "policy.d/a.cedar:6");
	q.port = 80;
	d = decide(s, &q);
	assert_int_equal(d.code, DECISION_DOMAIN_NOT_ALLOWED);
	q.port = 443;
	q.address = SPAN("11.1.2.3");
	assert_false(decide(s, &q).allowed);
	q.address = SPAN("10.1.2.3");
	q.agent = SPAN("other");
	assert_false(decide(s, &q).allowed);
	q.agent = SPAN("builder");
	q.address = SPAN("10.1.2");
	assert_false(decide(s, &q).allowed);
	q.address = SPAN("");
	assert_false(decide(s, &q).allowed);
	rule_set_unref(s);
}

static bool connects(struct rule_set *s, const char *domain, const char *address, uint16_t port)
{
	return decide(s,
		&(struct decision_request){.action = SPAN("net:connect"),
			.domain = span_cstr(domain),
			.address = span_cstr(address),
			.port = port,
			.protocol = SPAN("tcp")})
		.allowed;
}

static void network_entries(void **state)
{
	(void)state;
	static const char *const allowed[] = {"one.example", "*.below.example:443",
		"10.0.0.0/8:8000-8999", "[2001:db8::/32]:443", "192.0.2.1"};
	static const char *const bad[] = {"", "a b", "x:y", "x:1-", "x:70000", "x:9-8", "[::1",
		"1.2.3", "10.0.0.0/33", "http://x.org", "*x.org", "x.org/24", ":443"};
	struct rule_set_builder *b = rule_set_builder_new();
	const struct rule_origin o = {.field = "spec.security.network.allowlist[0]"};
	for (size_t i = 0; i < ARRAY_LEN(allowed); i++)
		assert_int_equal(rule_allow_connect(b, allowed[i], o), 0);
	assert_int_equal(rule_deny_connect(b, "no.below.example", o), 0);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		assert_int_equal(context_check_connect(bad[i]), -EINVAL);
		assert_non_null(strstr(err_message(-EINVAL), "accepted: a name"));
	}
	struct rule_set *s = rule_set_seal(b);
	assert_non_null(s);
	assert_true(connects(s, "one.example", "203.0.113.1", 1));
	assert_false(connects(s, "a.one.example", "203.0.113.1", 1));
	assert_true(connects(s, "x.below.example", "203.0.113.1", 443));
	assert_false(connects(s, "x.below.example", "203.0.113.1", 80));
	assert_false(connects(s, "below.example", "203.0.113.1", 443));
	assert_false(connects(s, "x.no.below.example", "203.0.113.1", 443));
	assert_true(connects(s, "", "10.1.2.3", 8500));
	assert_false(connects(s, "", "10.1.2.3", 9000));
	assert_false(connects(s, "", "11.1.2.3", 8500));
	assert_true(connects(s, "", "2001:db8::5", 443));
	assert_true(connects(s, "", "192.0.2.1", 9));
	assert_false(connects(s, "", "192.0.2.2", 9));
	rule_set_unref(s);
	/* Any name, and no address by itself. */
	assert_int_equal(rule_allow_connect(b, "*", o), 0);
	s = rule_set_seal(b);
	assert_true(connects(s, "anything.example", "203.0.113.1", 9));
	assert_false(connects(s, "", "203.0.113.1", 9));
	rule_set_unref(s);
	rule_set_builder_free(b);
}

/* Cedar passes a policy over that cannot be evaluated; for a forbid that would fail open. */
static void a_forbid_that_fails_forbids(void **state)
{
	(void)state;
	struct rule_set *s = example();
	assert_true(decide(s, &(struct decision_request){.action = SPAN("sys:read")}).allowed);
	struct decision d = decide(s, &(struct decision_request){.action = SPAN("sys:ptrace")});
	assert_false(d.allowed);
	assert_int_equal(d.code, DECISION_TOOL_DENIED);
	assert_string_equal(text(d.policy_id), "strict");
	assert_non_null(strstr(text(d.reason), "missing"));
	rule_set_unref(s);
}

static void explanations(void **state)
{
	(void)state;
	struct rule_set *s = example();
	struct span key = SPAN("/workspace/a.txt");
	struct decision_request q = {.action = SPAN("fs:read"), .paths = &key, .path_count = 1};
	struct rule_verdict *v;
	struct decision d;
	size_t n;
	assert_int_equal(policy_explain(s, &q, arena, &d, &v, &n), 0);
	assert_true(d.allowed);
	assert_int_equal(n, 5);
	assert_int_equal(v[0].fate, RULE_APPLIES);
	assert_int_equal(v[0].line, 9);
	assert_int_equal(v[1].fate, RULE_CONDITION_FALSE);
	assert_string_equal(text(v[1].detail), "resource.name like \"*.key\"");
	assert_string_equal(text(v[1].file), "policy.d/a.cedar");
	assert_int_equal(v[1].line, 3);
	assert_true(v[1].forbid);
	assert_int_equal(v[2].fate, RULE_OTHER_ACTION);
	q = (struct decision_request){.action = SPAN("net:connect"),
		.agent = SPAN("builder"),
		.address = SPAN("11.0.0.1"),
		.port = 443};
	assert_int_equal(policy_explain(s, &q, arena, &d, &v, &n), 0);
	assert_false(d.allowed);
	assert_int_equal(v[2].fate, RULE_CONDITION_FALSE);
	assert_string_equal(text(v[2].detail), "context.ip.isInRange(ip(\"10.0.0.0/8\"))");
	q.agent = SPAN("other");
	assert_int_equal(policy_explain(s, &q, arena, &d, &v, &n), 0);
	assert_int_equal(v[2].fate, RULE_OTHER_PRINCIPAL);
	rule_set_unref(s);
}

static void refused(void **state)
{
	(void)state;
	static const char *const bad[][2] = {
		{"permit (principal, action, resource)", "a.cedar: line 1 column 37"},
		{"\npermit (principal == ?principal, action, resource);", "a.cedar:2: a template"},
		{"permit (principal, action, resource) when { 1 + };", "a.cedar: line 1"},
	};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct rule_set_builder *b = rule_set_builder_new();
		assert_int_equal(rule_add_cedar(b, span_cstr(bad[i][0]), "a.cedar"), -EINVAL);
		if (!strstr(err_message(-EINVAL), bad[i][1]))
			fail_msg("%s", err_message(-EINVAL));
		rule_set_builder_free(b);
	}
}

static void same_question_again(void **state)
{
	(void)state;
	struct span paths[] = {SPAN("/a"), SPAN("/b \"x\"")}, argv[] = {SPAN("ls"), SPAN("")};
	const struct decision_request q = {.execution_id = SPAN("e"),
		.agent = SPAN("a"),
		.tenant = SPAN("t"),
		.action = SPAN("tool:x"),
		.paths = paths,
		.path_count = 2,
		.volume = SPAN("v"),
		.argv = argv,
		.argv_count = 2,
		.cwd = SPAN("/w"),
		.domain = SPAN("d.org"),
		.address = SPAN("::1"),
		.port = 53,
		.protocol = SPAN("udp")};
	struct decision_request again;
	struct buf one CLEANUP(buf_fini) = buf_init(4096), two CLEANUP(buf_fini) = buf_init(4096);
	struct json_writer w = json_writer(&one);
	const struct json *v;
	decision_request_put(&w, &q);
	assert_int_equal(json_parse(arena, buf_view(&one), NULL, &v), 0);
	assert_int_equal(decision_request_load(arena, v, &again), 0);
	w = json_writer(&two);
	decision_request_put(&w, &again);
	assert_true(span_eq(buf_view(&one), buf_view(&two)));
	assert_int_equal(again.port, 53);
	assert_int_equal(again.argv_count, 2);
	static const char *const bad[] = {"{}", "[]", "{\"action\":1}",
		"{\"action\":\"x\",\"y\":1}", "{\"action\":\"x\",\"paths\":\"/a\"}",
		"{\"action\":\"x\",\"port\":70000}"};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		assert_int_equal(json_parse(arena, span_cstr(bad[i]), NULL, &v), 0);
		assert_int_equal(decision_request_load(arena, v, &again), -EINVAL);
	}
}

static void domains(void **state)
{
	(void)state;
	static const char *const cases[][2] = {
		{"Example.ORG", "example.org"},
		{"example.org.", "example.org"},
		{"b\xc3\xbc"
		 "cher.example",
			"xn--bcher-kva.example"},
		{"_dmarc.example.org", "_dmarc.example.org"},
		{"a b.org", NULL},
		{"a..org", NULL},
		{"", NULL},
		{".", NULL},
		{"-a.org", NULL},
		{"1.2.3.4", NULL},
		{"a/b", NULL},
		{"*.org", NULL},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct span got;
		int r = context_canonical_domain(span_cstr(cases[i][0]), arena, &got);
		assert_int_equal(r, cases[i][1] ? 0 : -EINVAL);
		if (cases[i][1])
			assert_string_equal(text(got), cases[i][1]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(forbid_wins, setup, teardown),
		cmocka_unit_test_setup_teardown(connections, setup, teardown),
		cmocka_unit_test_setup_teardown(network_entries, setup, teardown),
		cmocka_unit_test_setup_teardown(a_forbid_that_fails_forbids, setup, teardown),
		cmocka_unit_test_setup_teardown(explanations, setup, teardown),
		cmocka_unit_test_setup_teardown(refused, setup, teardown),
		cmocka_unit_test_setup_teardown(same_question_again, setup, teardown),
		cmocka_unit_test_setup_teardown(domains, setup, teardown),
	};
	return cmocka_run_group_tests_name("policy/context: policies", tests, NULL, NULL);
}
