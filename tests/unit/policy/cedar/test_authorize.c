/* SPDX-License-Identifier: AGPL-3.0-only */
/* policy/cedar: decisions, reasons, errors, and what entities may be. */
#include "policy/cedar/cedar.h"
#include "tests/tap.h"

static struct arena *arena;

static int setup(void **state)
{
	(void)state;
	arena = arena_new(64 * 1024 * 1024);
	return arena ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	err_clear();
	arena = arena_free(arena);
	return 0;
}

static const struct json *json(const char *text)
{
	const struct json *v = NULL;
	assert_int_equal(json_parse(arena, span_cstr(text), NULL, &v), 0);
	return v;
}

/* alice, of group g1, which is of g2; a document that she owns. */
static const char world[] =
	"[{\"uid\":{\"type\":\"User\",\"id\":\"alice\"},\"attrs\":{\"age\":30,\"ip\":{\"__extn\":"
	"{\"fn\":\"ip\",\"arg\":\"10.1.2.3\"}}},\"parents\":[{\"type\":\"Group\",\"id\":\"g1\"}],"
	"\"tags\":{\"team\":\"red\"}},"
	"{\"uid\":{\"type\":\"Group\",\"id\":\"g1\"},\"attrs\":{},\"parents\":"
	"[{\"type\":\"Group\",\"id\":\"g2\"}]},"
	"{\"uid\":{\"type\":\"Doc\",\"id\":\"d\"},\"attrs\":{\"owner\":{\"__entity\":"
	"{\"type\":\"User\",\"id\":\"alice\"}}},\"parents\":[]}]";

static struct cedar_answer ask(const char *text)
{
	struct cedar_policies policies;
	const struct cedar_entities *entities = NULL;
	const struct cedar_set *set = NULL;
	struct cedar_answer answer = {0};
	struct cedar_request q = {.principal = cedar_uid_of(SPAN("User"), SPAN("alice")),
		.action = cedar_uid_of(SPAN("Action"), SPAN("read")),
		.resource = cedar_uid_of(SPAN("Doc"), SPAN("d"))};
	if (cedar_policies_parse(arena, span_cstr(text), &policies) < 0)
		fail_msg("%s", err_message(-EINVAL));
	assert_int_equal(cedar_set_compile(arena, &policies, &set), 0);
	assert_int_equal(cedar_entities_from_json(arena, json(world), &entities), 0);
	assert_int_equal(cedar_context_from_json(arena, json("{\"n\": 7}"), &q.context), 0);
	assert_int_equal(cedar_authorize(arena, set, entities, &q, &answer), 0);
	return answer;
}

static void default_is_deny(void **state)
{
	(void)state;
	struct cedar_answer a = ask("");
	assert_false(a.allow);
	assert_int_equal(a.reason_count, 0);
}

static void forbid_wins(void **state)
{
	(void)state;
	struct cedar_answer a = ask("permit(principal, action, resource);"
				    "forbid(principal in Group::\"g2\", action, resource);");
	assert_false(a.allow);
	assert_int_equal(a.reason_count, 1);
	assert_true(span_is(a.reasons[0], "policy1"));
}

static void errors_are_passed_over_and_reported(void **state)
{
	(void)state;
	struct cedar_answer a =
		ask("permit(principal, action, resource);"
		    "forbid(principal, action, resource) when { principal.nosuch };"
		    "forbid(principal == User::\"bob\", action, resource) when { 1 };"
		    "forbid(principal, action, resource) when { false } when { 1 };");
	assert_true(a.allow);
	assert_int_equal(a.error_count, 1);
	assert_true(span_is(a.errors[0].policy, "policy1"));
	assert_non_null(strstr(a.errors[0].message, "nosuch"));
}

static void conditions(void **state)
{
	(void)state;
	static const struct {
		const char *condition;
		bool allow, error;
	} cases[] = {
		{"resource.owner == principal", true, false},
		{"principal in [Group::\"x\", Group::\"g2\"]", true, false},
		{"principal in [Group::\"g2\", 1]", false, true},
		{"principal is User in Group::\"g1\"", true, false},
		{"principal is Doc in 1", false, false},
		{"principal has age.x", false, true},
		{"principal has nosuch.x", false, false},
		{"Doc::\"none\" has a || principal.getTag(\"team\") == \"red\"", true, false},
		{"Doc::\"none\".a == 1", false, true},
		{"Doc::\"none\" in Doc::\"none\"", true, false},
		{"principal.ip.isInRange(ip(\"10.0.0.0/8\"))", true, false},
		{"principal.ip == ip(\"10.1.2.3/32\")", true, false},
		{"9223372036854775807 + 1 == 0", false, true},
		{"-(-9223372036854775808) == 0", false, true},
		{"[1, 2, 2, \"a\"] == [\"a\", 2, 1]", true, false},
		{"{a: 1, b: [2]} == {b: [2, 2], a: 1}", true, false},
		{"[1, 2].containsAll([]) && ![1].containsAny([]) && [].isEmpty()", true, false},
		{"true || 1", true, false},
		{"false || 1", false, true},
		{"if context.n == 7 then true else 1 + \"a\" == 2", true, false},
		{"\"a*bc\" like \"a\\**\" && \"abab\" like \"*ab\" && !(\"aba\" like \"*ab\")",
			true, false},
		{"\"\" like \"*\" && \"\" like \"\" && !(\"a\" like \"\")", true, false},
		{"1 < \"a\"", false, true},
		{"duration(\"1h\") > duration(\"59m\")", true, false},
		{"ip(\"nonsense\") == 1", false, true},
		{"ip() == 1", false, true},
		{"context", false, true},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct cedar_answer a = ask(arena_printf(arena,
			"permit(principal, action, resource) when { %s };", cases[i].condition));
		if (a.allow != cases[i].allow || (a.error_count > 0) != cases[i].error)
			fail_msg("%s: %d %s", cases[i].condition, a.allow,
				a.error_count ? a.errors[0].message : "");
	}
}

/* The evaluator's stack is its own: a deep tree needs none of ours. */
static void deep_conditions_are_decided(void **state)
{
	(void)state;
	struct buf b CLEANUP(buf_fini) = buf_init(1024 * 1024);
	buf_puts(&b, "permit(principal, action, resource) when { 0");
	for (int i = 0; i < LIMIT_CEDAR_DEPTH - 2; i++)
		buf_puts(&b, " + 1");
	buf_printf(&b, " == %d };", LIMIT_CEDAR_DEPTH - 2);
	assert_true(ask(buf_cstr(&b)).allow);
}

/* Sets are in order and hold each element once, however they were written. */
static void large_sets(void **state)
{
	(void)state;
	struct buf b CLEANUP(buf_fini) = buf_init(1024 * 1024);
	buf_puts(&b, "permit(principal, action, resource) when { ");
	for (int list = 0; list < 2; list++) {
		buf_puts(&b, list ? " == [context.n" : "[7");
		for (int i = 0; i < 500; i++)
			buf_printf(&b, ", %d", list ? i * 7 % 250 : 499 - i < 250 ? 499 - i : i);
		buf_puts(&b, "]");
	}
	buf_puts(&b, " };");
	assert_true(ask(buf_cstr(&b)).allow);
}

static void entities_refused(void **state)
{
	(void)state;
	static const struct {
		const char *text, *says;
	} cases[] = {
		{"{}", "array"},
		{"[{\"uid\":{\"type\":\"A\",\"id\":\"1\"},\"attrs\":{}}]", "`parents`"},
		{"[{\"uid\":{\"type\":\"in\",\"id\":\"1\"},\"attrs\":{},\"parents\":[]}]",
			"reserved"},
		{"[{\"uid\":{\"type\":\"A\",\"id\":\"1\"},\"attrs\":{\"a\":null},\"parents\":[]}]",
			"`attrs`: `a`: null"},
		{"[{\"uid\":{\"type\":\"A\",\"id\":\"1\"},\"attrs\":{\"a\":1.5},\"parents\":[]}]",
			"integer"},
		{"[{\"uid\":{\"type\":\"A\",\"id\":\"1\"},\"attrs\":{},\"parents\":[]},"
		 "{\"uid\":{\"type\":\"A\",\"id\":\"1\"},\"attrs\":{\"a\":1},\"parents\":[]}]",
			"twice"},
		{"[{\"uid\":{\"type\":\"A\",\"id\":\"1\"},\"attrs\":{},\"parents\":"
		 "[{\"type\":\"A\",\"id\":\"1\"}]}]",
			"its own ancestor"},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const struct cedar_entities *e;
		int r = cedar_entities_from_json(arena, json(cases[i].text), &e);
		assert_int_equal(r, -EINVAL);
		if (!strstr(err_message(r), cases[i].says))
			fail_msg("%s: %s", cases[i].says, err_message(r));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(default_is_deny, setup, teardown),
		cmocka_unit_test_setup_teardown(forbid_wins, setup, teardown),
		cmocka_unit_test_setup_teardown(
			errors_are_passed_over_and_reported, setup, teardown),
		cmocka_unit_test_setup_teardown(conditions, setup, teardown),
		cmocka_unit_test_setup_teardown(deep_conditions_are_decided, setup, teardown),
		cmocka_unit_test_setup_teardown(large_sets, setup, teardown),
		cmocka_unit_test_setup_teardown(entities_refused, setup, teardown),
	};
	return cmocka_run_group_tests_name("policy/cedar", tests, NULL, NULL);
}
