/* SPDX-License-Identifier: AGPL-3.0-only */
/* policy/cedar: validation of policies: what is found, where, and what is said of it. */
#include "policy/cedar/ast.h"
#include "tests/tap.h"

static struct arena *arena;
static const struct cedar_schema *schema;

static const char schema_text[] =
	"entity Team;\n"
	"entity User in [Team] = {name: String, age?: Long, boss: User, home: {city: User}}\n"
	"\ttags String;\n"
	"entity Color enum [\"red\", \"green\"];\n"
	"entity Photo in [Team] = {owner: User, labels: Set<String>};\n"
	"action all;\n"
	"action view in [all] appliesTo {principal: User, resource: Photo, context: {n: Long, "
	"when?: datetime}};\n"
	"action edit in [all] appliesTo {principal: [User, Team], resource: [Photo, Team]};\n";

static int setup(void **state)
{
	(void)state;
	arena = arena_new(64 * 1024 * 1024);
	return arena && cedar_schema_parse(arena, span_cstr(schema_text), &schema) == 0 ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	err_clear();
	arena = arena_free(arena);
	return 0;
}

static struct cedar_validation validate(const char *text, int level)
{
	struct cedar_policies set;
	struct cedar_validation v = {0};
	int r = cedar_policies_parse(arena, span_cstr(text), &set);
	if (r == 0)
		r = cedar_validate(arena, schema, &set, level, &v);
	if (r < 0)
		fail_msg("%s: %s", text, err_message(r));
	return v;
}

static struct cedar_validation condition(const char *body, int level)
{
	return validate(arena_printf(arena,
				"permit(principal is User, action == Action::\"view\", resource) "
				"when { %s };",
				body),
		level);
}

static void findings_show_the_place(void **state)
{
	(void)state;
	struct cedar_validation v = validate("permit(principal, action == Action::\"view\", "
					     "resource)\nwhen { 1 < 2 &&\n  principal.nam == "
					     "\"\xc3\xa9\" };",
		CEDAR_NO_LEVEL);
	assert_false(v.valid);
	assert_int_equal(v.count, 1);
	assert_false(v.findings[0].warning);
	assert_true(span_is(v.findings[0].policy, "policy0"));
	assert_int_equal(v.findings[0].line, 3);
	assert_int_equal(v.findings[0].column, 3);
	assert_string_equal(v.findings[0].message,
		"`principal.nam`: User has no attribute `nam`; did you mean `name`?");
	assert_string_equal(v.findings[0].excerpt, "    principal.nam == \"\xc3\xa9\" };\n    ^");
}

static void refuses(void **state)
{
	(void)state;
	static const struct {
		const char *body, *says;
	} cases[] = {
		{"principal.age > 1", "`principal has age && ...` in front"},
		{"principal has age || principal.age > 1", "optional"},
		{"(if context.n == 1 then principal has age else true) && principal.age > 1",
			"optional"},
		{"principal.getTag(\"a\") == \"b\"", "`principal.hasTag(\"a\") && ...` in front"},
		{"principal.hasTag(\"b\") && principal.getTag(\"a\") == \"b\"", "may be missing"},
		{"context.n", "is of type Long; expected Bool"},
		{"principal.name + 1 == 2", "Strings cannot be joined"},
		{"principal.name == 1", "String and Long"},
		{"resource.labels.contains(1)", "String and Long"},
		{"[].isEmpty()", "an empty set literal has no type"},
		{"[1, \"a\"].contains(1)", "has elements of types Long and String"},
		{"principal == User::\"a\" && resource in [User::\"a\", Team::\"b\"]",
			"entities of different types"},
		{"ip(principal.name).isIpv4()", "expected a string literal"},
		{"ip(\"300.0.0.1\").isIpv4()", "is no address"},
		{"context.n < datetime(\"2024-01-01\")", "is of type datetime; expected Long"},
		{"principal in Tem::\"a\"", "no entity type `Tem`; did you mean `Team`?"},
		{"principal is Uzer", "no entity type `Uzer`; did you mean `User`?"},
		{"action == Action::\"views\"", "did you mean Action::\"view\"?"},
		{"Color::\"blue\" == Color::\"red\"", "none of the ids"},
		{"false && Foo::\"a\" == principal", "no entity type `Foo`"},
		{"resource.labels.containsAll(\"a\")", "Use `contains`"},
		{"principal.name has x", "Use `like`"},
		{"{a: 1} == {b: 1}", "the records have different attributes"},
		{"(if context.n == 1 then 1 else true) == 1", "the branches are of types"},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct cedar_validation v = condition(cases[i].body, CEDAR_NO_LEVEL);
		bool said = false;
		for (size_t j = 0; j < v.count; j++)
			said |= !v.findings[j].warning &&
				strstr(v.findings[j].message, cases[i].says);
		if (v.valid || !said)
			fail_msg("%s: %s", cases[i].body,
				v.count ? v.findings[0].message : "validates");
	}
}

static void accepts(void **state)
{
	(void)state;
	static const char *const bodies[] = {
		"principal has age && principal.age > 1",
		"!(principal has age) || principal.name like \"a*\" && resource.owner == principal",
		"if principal has age then principal.age > 1 else false",
		"principal has age && (context.n == 1 || principal.age > 1)",
		"(principal has age && context.n == 1 || principal has age) && principal.age > 1",
		"principal has boss.age && principal.boss.age > 1",
		"principal.hasTag(\"a\") && principal.getTag(\"a\") == \"b\"",
		"false && principal.age > 1", /* never evaluated */
		"principal has nonsense && principal.nonsense",
		"1 == \"a\" || context.n == 1", /* literals decide it */
		"context has when && context.when < datetime(\"2024-01-01\")",
		"principal in Team::\"a\" && resource.labels.contains(\"x\")",
		"action in Action::\"all\"",
	};
	for (size_t i = 0; i < ARRAY_LEN(bodies); i++) {
		struct cedar_validation v = condition(bodies[i], CEDAR_NO_LEVEL);
		if (!v.valid)
			fail_msg("%s: %s", bodies[i], v.findings[0].message);
	}
}

static void one_condition_guards_the_next(void **state)
{
	(void)state;
	assert_true(validate("permit(principal is User, action, resource) when { principal has age "
			     "} when { principal.age == 1 };",
		CEDAR_NO_LEVEL)
			    .valid);
	assert_false(validate("permit(principal is User, action, resource) unless { principal has "
			      "age } when { principal.age == 1 };",
		CEDAR_NO_LEVEL)
			     .valid);
}

static void every_environment_is_checked(void **state)
{
	(void)state;
	/* Edited by teams too, which have no name. */
	struct cedar_validation v =
		validate("permit(principal, action, resource) when { principal.name == \"a\" };",
			CEDAR_NO_LEVEL);
	assert_false(v.valid);
	assert_int_equal(v.count, 1); /* once, though two types of resource meet it */
	assert_non_null(strstr(v.findings[0].message, "Team has no attribute"));
}

static void warns(void **state)
{
	(void)state;
	struct cedar_validation v =
		validate("permit(principal == Team::\"a\", action == Action::\"view\", resource);",
			CEDAR_NO_LEVEL);
	assert_true(v.valid);
	assert_int_equal(v.count, 2);
	assert_true(v.findings[0].warning && v.findings[1].warning);
	assert_non_null(strstr(v.findings[0].message, "no action"));
	assert_non_null(strstr(v.findings[1].message, "never applies"));
	v = condition("context.n == 1 && !true", CEDAR_NO_LEVEL);
	assert_true(v.valid);
	assert_int_equal(v.count, 1);
}

static void warns_of_misleading_text(void **state)
{
	(void)state;
	struct cedar_validation v = condition("principal.name == \"a\\u{202e}b\"", CEDAR_NO_LEVEL);
	assert_true(v.valid);
	assert_int_equal(v.count, 1);
	assert_non_null(strstr(v.findings[0].message, "U+202E"));
	/* A Cyrillic letter in a Latin word. */
	v = condition("principal in Team::\"\xd0\xb0"
		      "dmin\"",
		CEDAR_NO_LEVEL);
	assert_int_equal(v.count, 1);
	assert_non_null(strstr(v.findings[0].message, "Cyrillic"));
	assert_int_equal(
		condition("principal.name == \"\xd0\xb0 \xe6\xbc\xa2\"", CEDAR_NO_LEVEL).count, 0);
}

static void templates_and_links(void **state)
{
	(void)state;
	const struct cedar_policy *t, *link;
	struct cedar_uid wrong = cedar_uid_of(SPAN("Teem"), SPAN("a"));
	struct cedar_validation v;
	assert_true(validate(
		"permit(principal in ?principal, action, resource == ?resource);", CEDAR_NO_LEVEL)
			    .valid);
	assert_int_equal(
		cedar_policy_parse(arena,
			SPAN("permit(principal in ?principal, action, resource);"), SPAN("t"), &t),
		0);
	assert_int_equal(cedar_template_link(arena, t, SPAN("link"), &wrong, NULL, &link), 0);
	const struct cedar_policy *items[] = {t, link};
	struct cedar_policies set = {items, 2};
	assert_int_equal(cedar_validate(arena, schema, &set, CEDAR_NO_LEVEL, &v), 0);
	assert_false(v.valid);
	assert_true(span_is(v.findings[0].policy, "link"));
	assert_non_null(strstr(v.findings[0].message, "did you mean `Team`?"));
}

static void levels(void **state)
{
	(void)state;
	static const struct {
		const char *body;
		int least;
	} cases[] = {
		{"context.n == 1", 0},
		{"principal == User::\"a\"", 0},
		{"principal.name == \"a\"", 1},
		{"principal in Team::\"a\"", 1},
		{"principal has age", 1},
		{"principal.hasTag(\"a\")", 1},
		{"principal.boss.name == \"a\"", 2},
		{"principal.boss == User::\"a\"", 1},
		{"principal.home.city.name == \"a\"", 2},
		{"{a: principal}.a.boss.name == \"a\"", 2},
		{"{a: principal, b: resource.owner.name}.a.name == \"a\"", 2},
		{"principal has boss.boss.age", 3},
		{"principal.home has city.age", 2},
		{"(if resource.owner.name == \"a\" then principal else principal.boss).name == "
		 "\"a\"",
			2},
		{"resource.owner.hasTag(principal.name)", 2},
		{"false && principal.boss.boss.name == \"a\"", 0},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		for (int level = 0; level < 4; level++) {
			struct cedar_validation v = condition(cases[i].body, level);
			if (v.valid != (level >= cases[i].least))
				fail_msg("%s at level %d", cases[i].body, level);
		}
	struct cedar_validation v = condition("User::\"a\".name == \"b\"", 3);
	assert_false(v.valid);
	assert_non_null(strstr(v.findings[0].message, "reached from a variable"));
}

static void findings_are_bounded(void **state)
{
	(void)state;
	struct buf b CLEANUP(buf_fini) = buf_init(1024 * 1024);
	struct cedar_policies set;
	struct cedar_validation v;
	for (size_t i = 0; i < 2 * LIMIT_CEDAR_FINDINGS; i++)
		buf_puts(&b, "permit(principal == Foo::\"a\", action, resource);\n");
	assert_int_equal(cedar_policies_parse(arena, arena_span(arena, buf_view(&b)), &set), 0);
	assert_int_equal(cedar_validate(arena, schema, &set, CEDAR_NO_LEVEL, &v), 0);
	assert_false(v.valid);
	assert_int_equal(v.count, LIMIT_CEDAR_FINDINGS);
	assert_non_null(strstr(v.findings[v.count - 1].message, "more than"));
}

/* Conditions, the last of them a chain. */
static int parse_deep(size_t conditions, size_t links, struct cedar_policies *ret)
{
	struct buf b CLEANUP(buf_fini) = buf_init(1024 * 1024);
	buf_puts(&b, "permit(principal is User, action == Action::\"view\", resource)");
	for (size_t i = 1; i < conditions; i++)
		buf_puts(&b, " when { principal has age }");
	buf_puts(&b, " when { true");
	for (size_t i = 0; i < links; i++)
		buf_puts(&b, " && principal.age == 1");
	buf_puts(&b, " };");
	return cedar_policies_parse(arena, arena_span(arena, buf_view(&b)), ret);
}

static void deep_conditions_are_checked(void **state)
{
	(void)state;
	struct cedar_policies set;
	struct cedar_validation v;
	for (size_t half = 10; half < LIMIT_CEDAR_DEPTH; half += 960) {
		assert_int_equal(parse_deep(half, LIMIT_CEDAR_DEPTH - half - 10, &set), 0);
		assert_int_equal(cedar_validate(arena, schema, &set, 1, &v), 0);
		assert_true(v.valid);
	}
	assert_int_equal(parse_deep(501, 500, &set), -EINVAL);
	assert_non_null(strstr(err_message(-EINVAL), "joined by &&"));
	assert_int_equal(parse_deep(10 * 1000, 1, &set), -EINVAL);
}

/* What is written once is walked once, however deep it nests: 2^90 steps would not end. */
static void nesting_costs_no_more(void **state)
{
	(void)state;
	static const struct {
		const char *before, *after;
	} cases[] = {
		{"(if ", " is User in Team::\"a\" then principal else principal)"},
		{"(if true then ", " else principal)"},
		{"(", " is User in Team::\"a\")"},
		{"(", " has name && principal)"},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct buf b CLEANUP(buf_fini) = buf_init(1024 * 1024);
		for (size_t j = 0; j < 45; j++)
			buf_puts(&b, cases[i].before);
		buf_puts(&b, "principal");
		for (size_t j = 0; j < 45; j++)
			buf_puts(&b, cases[i].after);
		buf_puts(&b, " == principal");
		assert_int_equal(condition(buf_cstr(&b), 1).valid, i < 2);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(findings_show_the_place, setup, teardown),
		cmocka_unit_test_setup_teardown(refuses, setup, teardown),
		cmocka_unit_test_setup_teardown(accepts, setup, teardown),
		cmocka_unit_test_setup_teardown(one_condition_guards_the_next, setup, teardown),
		cmocka_unit_test_setup_teardown(every_environment_is_checked, setup, teardown),
		cmocka_unit_test_setup_teardown(warns, setup, teardown),
		cmocka_unit_test_setup_teardown(warns_of_misleading_text, setup, teardown),
		cmocka_unit_test_setup_teardown(templates_and_links, setup, teardown),
		cmocka_unit_test_setup_teardown(levels, setup, teardown),
		cmocka_unit_test_setup_teardown(findings_are_bounded, setup, teardown),
		cmocka_unit_test_setup_teardown(deep_conditions_are_checked, setup, teardown),
		cmocka_unit_test_setup_teardown(nesting_costs_no_more, setup, teardown),
	};
	return cmocka_run_group_tests_name("policy/cedar validate", tests, NULL, NULL);
}
