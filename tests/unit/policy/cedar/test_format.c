/* SPDX-License-Identifier: AGPL-3.0-only */
/* policy/cedar: the formatter, and policy sets as JSON. */
#include "policy/cedar/ast.h"
#include "policy/cedar/format_doc.h"
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

static void formats(void **state)
{
	(void)state;
	static const struct {
		const char *text, *formatted;
	} cases[] = {
		{"", "\n"},
		{"// nothing\n", "\n// nothing\n"},
		{"permit(principal,action,resource);", "permit (principal, action, resource);\n"},
		{"@a(\"b\")forbid(principal==User::\"a\",action,resource)when{007<1};",
			"@a(\"b\")\nforbid (\n  principal == User::\"a\",\n  action,\n  "
			"resource\n)\nwhen { 7 < 1 };\n"},
		{"permit(principal,action,resource) // one\nwhen {\n// two\n context.a // "
		 "three\n};\n"
		 "// four",
			"permit (principal, action, resource) // one\nwhen\n{\n  // two\n  "
			"context.a // three\n};\n// four\n"},
		/* Wide characters count twice. */
		{"permit(principal,action,resource) when { context.a == "
		 "\"\xe6\xbc\xa2\xe6\xbc\xa2\xe6\xbc\xa2\xe6\xbc\xa2\xe6\xbc\xa2\xe6\xbc\xa2\xe6"
		 "\xbc"
		 "\xa2\xe6\xbc\xa2\xe6\xbc\xa2\xe6\xbc\xa2\xe6\xbc\xa2\xe6\xbc\xa2\xe6\xbc\xa2\xe6"
		 "\xbc\xa2\" && context.bcdefghijklmnopqrstuvwxy };",
			"permit (principal, action, resource)\nwhen\n{\n  context.a == "
			"\"\xe6\xbc\xa2\xe6\xbc\xa2\xe6\xbc\xa2\xe6\xbc\xa2\xe6\xbc\xa2\xe6\xbc\xa2"
			"\xe6\xbc\xa2\xe6\xbc\xa2\xe6\xbc\xa2\xe6\xbc\xa2\xe6\xbc\xa2\xe6\xbc\xa2"
			"\xe6\xbc\xa2\xe6\xbc\xa2\" &&\n  context.bcdefghijklmnopqrstuvwxy\n};\n"},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct buf b CLEANUP(buf_fini) = buf_init(4096);
		int r = cedar_format(arena, span_cstr(cases[i].text), &b);
		if (r < 0)
			fail_msg("%s: %s", cases[i].text, err_message(r));
		assert_string_equal(buf_cstr(&b), cases[i].formatted);
	}
}

static void appends_and_refuses(void **state)
{
	(void)state;
	struct buf b CLEANUP(buf_fini) = buf_init(4096);
	buf_puts(&b, "x");
	assert_int_equal(cedar_format(arena, SPAN("permit(principal);"), &b), -EINVAL);
	assert_non_null(strstr(err_message(-EINVAL), "line 1 column 17"));
	assert_int_equal(cedar_format(arena, SPAN("permit(principal,action,resource);"), &b), 0);
	assert_string_equal(buf_cstr(&b), "xpermit (principal, action, resource);\n");
}

static void widths(void **state)
{
	(void)state;
	assert_int_equal(text_width(SPAN("abc")), 3);
	assert_int_equal(text_width(SPAN("e\xcc\x81")), 1); /* with a combining accent */
	assert_int_equal(text_width(SPAN("\xf0\x9f\x98\x80")), 2);
	assert_int_equal(text_width(SPAN("\xc3\xa9")), 1);
}

static int read_set(const char *text, struct cedar_policies *ret)
{
	const struct json *v;
	assert_int_equal(json_parse(arena, span_cstr(text), NULL, &v), 0);
	return cedar_policies_from_json(arena, v, ret);
}

#define SCOPE_JSON \
	"\"effect\":\"permit\",\"principal\":{\"op\":\"All\"},\"action\":{\"op\":\"All\"}," \
	"\"resource\":{\"op\":\"All\"},\"conditions\":[]"
#define TEMPLATE_JSON \
	"{\"effect\":\"permit\",\"principal\":{\"op\":\"==\",\"slot\":\"?principal\"}," \
	"\"action\":{\"op\":\"All\"},\"resource\":{\"op\":\"All\"},\"conditions\":[]}"

static void sets_as_json(void **state)
{
	(void)state;
	static const char text[] =
		"{\"staticPolicies\":{\"a\":{" SCOPE_JSON "}},\"templates\":{\"t\":" TEMPLATE_JSON
		"},\"templateLinks\":[{\"templateId\":\"t\",\"newId\":\"l\","
		"\"values\":{\"?principal\":{\"__entity\":{\"type\":\"User\",\"id\":\"u\"}}}}]}";
	struct buf b CLEANUP(buf_fini) = buf_init(4096);
	struct json_writer w = json_writer(&b);
	struct cedar_policies set;
	assert_int_equal(read_set(text, &set), 0);
	assert_int_equal(set.count, 3);
	assert_true(cedar_policy_is_template(set.items[1]));
	assert_true(span_is(cedar_policy_id(set.items[2]), "l"));
	assert_true(span_is(set.items[2]->principal.uids[0].id, "u"));
	cedar_policies_to_json(&w, &set);
	assert_string_equal(buf_cstr(&b), text);
}

static void sets_as_json_refused(void **state)
{
	(void)state;
	static const struct {
		const char *text, *says;
	} cases[] = {
		{"{}", "staticPolicies: expected an object"},
		{"{\"staticPolicies\":{},\"templates\":{},\"templateLinks\":[],\"x\":1}", "`x`"},
		{"{\"staticPolicies\":{\"a\":{}},\"templates\":{},\"templateLinks\":[]}",
			"staticPolicies.a: effect"},
		{"{\"staticPolicies\":{\"a\":" TEMPLATE_JSON
		 "},\"templates\":{},\"templateLinks\":[]}",
			"staticPolicies.a: expected a policy without slots"},
		{"{\"staticPolicies\":{\"a\":{" SCOPE_JSON "}},\"templates\":{\"a\":" TEMPLATE_JSON
		 "},\"templateLinks\":[]}",
			"`a` is given twice"},
		{"{\"staticPolicies\":{},\"templates\":{},\"templateLinks\":[{\"templateId\":\"t\","
		 "\"newId\":\"l\",\"values\":{}}]}",
			"templateLinks[0]: expected `templateId`"},
		{"{\"staticPolicies\":{},\"templates\":{\"t\":" TEMPLATE_JSON
		 "},\"templateLinks\":[{\"templateId\":\"t\",\"newId\":\"l\",\"values\":{}}]}",
			"for each slot"},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct cedar_policies set;
		int r = read_set(cases[i].text, &set);
		assert_int_equal(r, -EINVAL);
		if (!strstr(err_message(r), cases[i].says))
			fail_msg("%s: %s", cases[i].text, err_message(r));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(formats, setup, teardown),
		cmocka_unit_test_setup_teardown(appends_and_refuses, setup, teardown),
		cmocka_unit_test(widths),
		cmocka_unit_test_setup_teardown(sets_as_json, setup, teardown),
		cmocka_unit_test_setup_teardown(sets_as_json_refused, setup, teardown),
	};
	return cmocka_run_group_tests_name("policy/cedar format", tests, NULL, NULL);
}
