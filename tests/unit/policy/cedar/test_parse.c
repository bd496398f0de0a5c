/* SPDX-License-Identifier: AGPL-3.0-only */
/* policy/cedar: texts, their errors and limits, links, extension values. */
#include "policy/cedar/ast.h"
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

static const struct cedar_policy *parse(const char *text)
{
	const struct cedar_policy *p = NULL;
	int r = cedar_policy_parse(arena, span_cstr(text), (struct span){0}, &p);
	if (r < 0)
		fail_msg("%s", err_message(r));
	return p;
}

static void errors_point_at_the_place(void **state)
{
	(void)state;
	const struct cedar_policy *p;
	const char *text =
		"permit(principal, action, resource)\nwhen { principal.name = \"\xc3\xa9\" };";
	int r = cedar_policy_parse(arena, span_cstr(text), (struct span){0}, &p);
	assert_int_equal(r, -EINVAL);
	assert_string_equal(err_message(r),
		"line 2 column 23: unexpected `=`; expected `==`: a single `=` is no operator\n"
		"  when { principal.name = \"\xc3\xa9\" };\n"
		"                        ^");
}

static void refuses(void **state)
{
	(void)state;
	static const struct {
		const char *text, *says;
	} cases[] = {
		{"permit(principal, action);", "expected `,`"},
		{"permit(principal, action, resource, context);", "expected `)`"},
		{"permit(principal, action, resource) when { };", "cannot be empty"},
		{"permit(principal, action, resource) when { x };", "no variable"},
		{"permit(principal, action, resource) when { 1 < 2 < 3 };", "do not chain"},
		{"permit(principal, action, resource) when { !!!!!true };", "more than 4"},
		{"permit(principal, action, resource) when { principal.if };", "[\"if\"]"},
		{"permit(principal, action, resource) when { [1].contains(1, 2) };", "1 argument"},
		{"permit(principal, action, resource) when { contains(1) };", "is a method"},
		{"permit(principal, action, resource) when { 1.ip() };", "is a function"},
		{"permit(principal, action, resource) when { {a: 1, \"a\": 2} };", "given twice"},
		{"permit(principal, action, resource) when { 9223372036854775808 };", "64 bits"},
		{"permit(principal, action, resource) when { \"\\q\" };", "valid escape"},
		{"permit(principal, action, resource) when { \"a\\*\" == \"a\" };", "valid escape"},
		{"permit(principal, action, resource) when { principal == ?principal };", "scope"},
		{"permit(principal == ?resource, action, resource);", "?principal"},
		{"permit(principal, action == User::\"a\", resource);", "Action"},
		{"@a(\"1\") @a(\"2\") permit(principal, action, resource);", "given twice"},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct cedar_policies set;
		int r = cedar_policies_parse(arena, span_cstr(cases[i].text), &set);
		assert_int_equal(r, -EINVAL);
		if (!strstr(err_message(r), cases[i].says))
			fail_msg("%s: %s", cases[i].text, err_message(r));
	}
}

/* `count` times `piece` inside a condition. */
static int parse_repeated(const char *before, const char *piece, size_t count, const char *after)
{
	struct buf b CLEANUP(buf_fini) = buf_init(1024 * 1024);
	struct cedar_policies set;
	buf_puts(&b, "permit(principal, action, resource) when { ");
	buf_puts(&b, before);
	for (size_t i = 0; i < count; i++)
		buf_puts(&b, piece);
	buf_puts(&b, after);
	buf_puts(&b, " };");
	return cedar_policies_parse(arena, arena_span(arena, buf_view(&b)), &set);
}

static void depth_is_bounded(void **state)
{
	(void)state;
	assert_int_equal(parse_repeated("true", " && true", LIMIT_CEDAR_DEPTH - 1, ""), 0);
	assert_int_equal(parse_repeated("true", " && true", LIMIT_CEDAR_DEPTH, ""), -EINVAL);
	assert_int_equal(parse_repeated("", "(", LIMIT_CEDAR_NESTING, "true"), -EINVAL);
	assert_non_null(strstr(err_message(-EINVAL), "nested more than"));
	assert_int_equal(parse_repeated("", "[", 100 * 1000, ""), -EINVAL);
	assert_int_equal(parse_repeated("context", ".a", 100 * 1000, ""), -EINVAL);
}

static void prints_what_it_read(void **state)
{
	(void)state;
	static const char *const texts[] = {
		"permit(principal, action, resource)\nwhen { (1 + 2) * 3 - (4 - 5) == -(-1) };\n",
		"permit(principal, action, resource)\nwhen { -(1) == -1 && !(-context.a == 1) };\n",
		"permit(principal, action, resource)\nwhen { (true || false) && (if true then 1 "
		"else 2) == 1 };\n",
		"permit(principal, action, resource)\nwhen { (-1).a == (principal has a.b) };\n",
		"@a(\"x\")\n@b\nforbid(principal is N::U in ?principal, action in [Action::\"a\", "
		"Action::\"b\"], resource == R::\"\\\"\\n\")\nunless { context[\"a b\"] like "
		"\"*\\\\*\" };\n",
	};
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		struct buf b CLEANUP(buf_fini) = buf_init(4096);
		cedar_policy_print(&b, parse(texts[i]));
		assert_string_equal(buf_cstr(&b), texts[i]);
	}
}

static void links_fill_slots(void **state)
{
	(void)state;
	const struct cedar_policy *t = parse("permit(principal in ?principal, action, resource);");
	const struct cedar_policy *p = NULL;
	struct cedar_uid alice = cedar_uid_of(SPAN("User"), SPAN("alice"));
	struct buf b CLEANUP(buf_fini) = buf_init(4096);
	assert_true(cedar_policy_is_template(t));
	assert_int_equal(cedar_template_link(arena, t, SPAN("l"), NULL, NULL, &p), -EINVAL);
	assert_int_equal(cedar_template_link(arena, t, SPAN("l"), &alice, &alice, &p), -EINVAL);
	assert_int_equal(cedar_template_link(arena, t, SPAN("l"), &alice, NULL, &p), 0);
	assert_false(cedar_policy_is_template(p));
	cedar_policy_print(&b, p);
	assert_string_equal(
		buf_cstr(&b), "permit(principal in User::\"alice\", action, resource);\n");
}

static void annotations_are_found(void **state)
{
	(void)state;
	const struct cedar_policy *p = parse("@a(\"x\") @b permit(principal, action, resource);");
	assert_true(span_is(cedar_policy_annotation(p, "a"), "x"));
	assert_non_null(cedar_policy_annotation(p, "b").p);
	assert_null(cedar_policy_annotation(p, "c").p);
}

static void json_errors_name_the_path(void **state)
{
	(void)state;
	const struct json *v;
	const struct cedar_policy *p;
	int r = json_parse(arena,
		SPAN("{\"effect\":\"permit\",\"principal\":{\"op\":\"All\"},\"action\":{\"op\":"
		     "\"All\"},"
		     "\"resource\":{\"op\":\"All\"},\"conditions\":[{\"kind\":\"when\",\"body\":"
		     "{\"==\":{\"left\":{\"Var\":\"principal\"},\"right\":{\"Value\":1.5}}}}]}"),
		NULL, &v);
	assert_int_equal(r, 0);
	r = cedar_policy_from_json(arena, v, (struct span){0}, &p);
	assert_int_equal(r, -EINVAL);
	assert_string_equal(err_message(r),
		"conditions[0].body.==.right.Value: expected an integer of 64 bits, without point "
		"or "
		"exponent");
}

static void extension_values(void **state)
{
	(void)state;
	int64_t n;
	struct ext_ip ip, range;
	assert_int_equal(ext_parse_decimal(SPAN("-922337203685477.5808"), &n), 0);
	assert_true(n == INT64_MIN);
	assert_int_equal(ext_parse_decimal(SPAN("922337203685477.5808"), &n), -EINVAL);
	assert_int_equal(ext_parse_decimal(SPAN("1.23456"), &n), -EINVAL);
	assert_int_equal(ext_parse_datetime(SPAN("2024-02-29T23:59:59.999-0130"), &n), 0);
	assert_true(n == 1709256599999);
	assert_int_equal(ext_parse_datetime(SPAN("0000-01-01"), &n), 0);
	assert_true(n == -62167219200000);
	assert_int_equal(ext_parse_datetime(SPAN("2023-02-29"), &n), -EINVAL);
	assert_int_equal(ext_parse_duration(SPAN("-1d2h3m4s5ms"), &n), 0);
	assert_true(n == -93784005);
	assert_int_equal(ext_parse_duration(SPAN("1h1d"), &n), -EINVAL);
	assert_int_equal(ext_parse_duration(SPAN("-"), &n), -EINVAL);
	assert_true(ext_time_of_day(-1) == 86399999);
	assert_int_equal(ext_parse_ip(SPAN("10.1.2.3"), &ip), 0);
	assert_int_equal(ext_parse_ip(SPAN("10.0.0.0/9"), &range), 0);
	assert_true(ext_ip_in_range(&ip, &range) && !ext_ip_in_range(&range, &ip));
	assert_int_equal(ext_parse_ip(SPAN("10.200.2.3"), &ip), 0);
	assert_false(ext_ip_in_range(&ip, &range));
	assert_int_equal(ext_parse_ip(SPAN("::ffff:1.2.3.4"), &ip), -EINVAL);
	assert_int_equal(ext_parse_ip(SPAN("1::2::3"), &ip), -EINVAL);
	assert_int_equal(ext_parse_ip(SPAN("::1"), &ip), 0);
	assert_true(ext_ip_loopback(&ip));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(errors_point_at_the_place, setup, teardown),
		cmocka_unit_test_setup_teardown(refuses, setup, teardown),
		cmocka_unit_test_setup_teardown(depth_is_bounded, setup, teardown),
		cmocka_unit_test_setup_teardown(prints_what_it_read, setup, teardown),
		cmocka_unit_test_setup_teardown(links_fill_slots, setup, teardown),
		cmocka_unit_test_setup_teardown(annotations_are_found, setup, teardown),
		cmocka_unit_test_setup_teardown(json_errors_name_the_path, setup, teardown),
		cmocka_unit_test_setup_teardown(extension_values, setup, teardown),
	};
	return cmocka_run_group_tests_name("policy/cedar", tests, NULL, NULL);
}
