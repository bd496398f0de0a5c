/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * What the packaged suite does not reach: the two newest drafts, what is refused in a schema, what
 * a refusal says, and the bounds on what a check may cost.
 */
#include "tests/tap.h"
#include "daemon/schema/schema.h"
#include <errno.h>
#include <stdlib.h>
#include <time.h>

struct prepared {
	struct arena *arena;
	struct jsonschema *schema;
	int result;
};

static struct prepared prepare_as(const char *text, enum jsonschema_draft draft)
{
	struct prepared p = {.arena = arena_new(64 << 20)};
	const struct json *v;
	assert_int_equal(json_parse(p.arena, span_cstr(text), NULL, &v), 0);
	p.result = jsonschema_new(v, draft, &p.schema);
	return p;
}

static void prepared_fini(struct prepared *p)
{
	jsonschema_free(p->schema);
	arena_free(p->arena);
}

static int check(struct prepared *p, const char *instance, struct jsonschema_error *e)
{
	const struct json *v;
	assert_int_equal(json_parse(p->arena, span_cstr(instance), NULL, &v), 0);
	return jsonschema_check(p->schema, v, e);
}

struct verdict {
	const char *instance;
	int want;
};

static void expect(enum jsonschema_draft draft, const char *schema, const struct verdict *v)
{
	struct prepared p = prepare_as(schema, draft);
	if (p.result)
		print_message("# %s\n", err_message(p.result));
	assert_int_equal(p.result, 0);
	for (; v->instance; v++) {
		int r = check(&p, v->instance, NULL);
		if (r != v->want)
			print_message("# %s with %s\n", schema, v->instance);
		assert_int_equal(r, v->want);
	}
	prepared_fini(&p);
}

#define VERDICTS(...) ((const struct verdict[]){__VA_ARGS__, {0}})
#define BAD JSONSCHEMA_INVALID

static void unevaluated_properties(void **state)
{
	expect(JSONSCHEMA_2020_12,
		"{\"allOf\":[{\"properties\":{\"a\":true}},{\"if\":{\"properties\":{\"k\":{"
		"\"const\":"
		"1}},\"required\":[\"k\"]},\"then\":{\"properties\":{\"b\":true}}}],"
		"\"patternProperties\":{\"^x\":{\"type\":\"integer\"}},"
		"\"unevaluatedProperties\":false}",
		VERDICTS({"{\"a\":1}", 0}, {"{\"a\":1,\"k\":1,\"b\":2}", 0}, {"{\"b\":2}", BAD},
			{"{\"x1\":2}", 0}, {"{\"c\":2}", BAD}, {"{\"k\":2}", BAD}, {"3", 0}));
	/* a branch that fails has looked at nothing */
	expect(JSONSCHEMA_2019_09,
		"{\"anyOf\":[{\"properties\":{\"a\":{\"type\":\"string\"}},\"required\":[\"a\"]},"
		"{\"properties\":{\"b\":true}}],\"unevaluatedProperties\":{\"type\":\"null\"}}",
		VERDICTS({"{\"a\":\"x\",\"b\":1}", 0}, {"{\"a\":1,\"b\":1}", BAD},
			{"{\"a\":null,\"b\":1}", 0}, {"{\"c\":null}", 0}));
	/* additionalProperties of a cousin does not count for a sibling's unevaluated */
	expect(JSONSCHEMA_2020_12,
		"{\"$ref\":\"#/$defs/b\",\"unevaluatedProperties\":false,"
		"\"$defs\":{\"b\":{\"properties\":{\"a\":true},\"dependentSchemas\":{\"a\":"
		"{\"properties\":{\"z\":true}}}}}}",
		VERDICTS({"{\"a\":1,\"z\":1}", 0}, {"{\"z\":1}", BAD}));
}

static void unevaluated_items(void **state)
{
	expect(JSONSCHEMA_2020_12,
		"{\"prefixItems\":[{\"type\":\"string\"}],\"contains\":{\"type\":\"integer\"},"
		"\"unevaluatedItems\":false}",
		VERDICTS({"[\"a\",1]", 0}, {"[\"a\",1,2]", 0}, {"[\"a\",1,null]", BAD},
			{"[\"a\"]", BAD}));
	/* in 2019-09 contains marks nothing */
	expect(JSONSCHEMA_2019_09,
		"{\"items\":[{\"type\":\"string\"}],\"contains\":{\"type\":\"integer\"},"
		"\"unevaluatedItems\":{\"type\":\"integer\",\"minimum\":5}}",
		VERDICTS({"[\"a\",5]", 0}, {"[\"a\",1]", BAD}));
}

static void contains_is_counted(void **state)
{
	expect(JSONSCHEMA_2020_12,
		"{\"contains\":{\"const\":1},\"minContains\":2,\"maxContains\":3}",
		VERDICTS({"[1]", BAD}, {"[1,2,1]", 0}, {"[1,1,1,1]", BAD}, {"[]", BAD}));
	expect(JSONSCHEMA_2019_09, "{\"contains\":{\"const\":1},\"minContains\":0}",
		VERDICTS({"[]", 0}, {"[2]", 0}));
	/* minContains is no word of draft 7 */
	expect(JSONSCHEMA_DRAFT7, "{\"contains\":{\"const\":1},\"minContains\":2}",
		VERDICTS({"[1]", 0}, {"[2]", BAD}));
}

static void items_have_two_histories(void **state)
{
	expect(JSONSCHEMA_2020_12, "{\"prefixItems\":[{\"type\":\"integer\"}],\"items\":false}",
		VERDICTS({"[1]", 0}, {"[]", 0}, {"[1,2]", BAD}, {"[\"a\"]", BAD}));
	expect(JSONSCHEMA_2019_09,
		"{\"items\":[{\"type\":\"integer\"}],\"additionalItems\":{\"type\":\"string\"}}",
		VERDICTS({"[1,\"a\"]", 0}, {"[1,2]", BAD}));
}

static void dependent_required(void **state)
{
	expect(JSONSCHEMA_2020_12, "{\"dependentRequired\":{\"a\":[\"b\",\"c\"]}}",
		VERDICTS({"{\"a\":1,\"b\":1,\"c\":1}", 0}, {"{\"a\":1,\"b\":1}", BAD}, {"{}", 0}));
}

/* A tree whose nodes an outer schema closes: what $dynamicRef and $recursiveRef are for. */
static void references_in_the_dynamic_scope(void **state)
{
	expect(JSONSCHEMA_2020_12,
		"{\"$id\":\"https://x.test/strict\",\"$dynamicAnchor\":\"node\",\"$ref\":\"tree\","
		"\"unevaluatedProperties\":false,\"$defs\":{\"tree\":{\"$id\":\"tree\","
		"\"$dynamicAnchor\":\"node\",\"type\":\"object\",\"properties\":{\"data\":true,"
		"\"children\":{\"type\":\"array\",\"items\":{\"$dynamicRef\":\"#node\"}}}}}}",
		VERDICTS({"{\"children\":[{\"data\":1}]}", 0},
			{"{\"children\":[{\"daat\":1}]}", BAD}, {"{\"daat\":1}", BAD}));
	expect(JSONSCHEMA_2019_09,
		"{\"$id\":\"https://x.test/strict\",\"$recursiveAnchor\":true,\"$ref\":\"tree\","
		"\"unevaluatedProperties\":false,\"$defs\":{\"tree\":{\"$id\":\"tree\","
		"\"$recursiveAnchor\":true,\"type\":\"object\",\"properties\":{\"data\":true,"
		"\"children\":{\"type\":\"array\",\"items\":{\"$recursiveRef\":\"#\"}}}}}}",
		VERDICTS({"{\"children\":[{\"data\":1}]}", 0},
			{"{\"children\":[{\"daat\":1}]}", BAD}));
	/* without the anchor at the outside the inner one holds */
	expect(JSONSCHEMA_2020_12,
		"{\"$id\":\"https://x.test/loose\",\"$ref\":\"tree\",\"$defs\":{\"tree\":{\"$id\":"
		"\"tree\",\"$dynamicAnchor\":\"node\",\"properties\":{\"children\":{\"items\":"
		"{\"$dynamicRef\":\"#node\"}}}}}}",
		VERDICTS({"{\"children\":[{\"daat\":1}]}", 0}));
}

static void references_find_ids_anchors_and_places(void **state)
{
	expect(JSONSCHEMA_2020_12,
		"{\"$id\":\"https://x.test/a/b.json\",\"properties\":{\"p\":{\"$ref\":\"c.json\"},"
		"\"q\":{\"$ref\":\"#here\"},\"r\":{\"$ref\":\"../a/c.json#/items\"},"
		"\"s\":{\"$ref\":\"#/$defs/a~1b%25\"}},"
		"\"$defs\":{\"c\":{\"$id\":\"c.json\",\"type\":\"array\",\"items\":{\"const\":1}},"
		"\"d\":{\"$anchor\":\"here\",\"type\":\"string\"},\"a/b%\":{\"type\":\"null\"}}}",
		VERDICTS({"{\"p\":[1],\"q\":\"x\",\"r\":1,\"s\":null}", 0}, {"{\"p\":[2]}", BAD},
			{"{\"q\":1}", BAD}, {"{\"r\":2}", BAD}, {"{\"s\":0}", BAD}));
	/* siblings of $ref count from 2019-09 on, and not before */
	expect(JSONSCHEMA_2019_09,
		"{\"$ref\":\"#/$defs/a\",\"maxLength\":1,\"$defs\":{\"a\":{\"type\":\"string\"}}}",
		VERDICTS({"\"ab\"", BAD}, {"\"a\"", 0}));
	expect(JSONSCHEMA_DRAFT7,
		"{\"$ref\":\"#/definitions/a\",\"maxLength\":1,\"definitions\":{\"a\":{\"type\":"
		"\"string\"}}}",
		VERDICTS({"\"ab\"", 0}));
}

static void numbers_are_exact(void **state)
{
	expect(JSONSCHEMA_2020_12, "{\"multipleOf\":0.01}",
		VERDICTS({"0.07", 0}, {"19.99", 0}, {"0.075", BAD}, {"1e2", 0}, {"-0.03", 0}));
	expect(JSONSCHEMA_2020_12, "{\"maximum\":9007199254740993}",
		VERDICTS({"9007199254740993", 0}, {"9007199254740994", BAD},
			{"9007199254740993.0", 0}, {"9.007199254740994e15", BAD}));
	expect(JSONSCHEMA_2020_12, "{\"type\":\"integer\"}",
		VERDICTS({"1.0", 0}, {"1e3", 0}, {"1.5", BAD}, {"1e400", 0},
			{"123456789012345678901234567890", 0}));
	expect(JSONSCHEMA_DRAFT4, "{\"maximum\":3,\"exclusiveMaximum\":true}",
		VERDICTS({"3", BAD}, {"2.9", 0}));
	expect(JSONSCHEMA_2020_12, "{\"uniqueItems\":true}",
		VERDICTS({"[1,1.0]", BAD}, {"[{\"a\":1,\"b\":2},{\"b\":2,\"a\":1}]", BAD},
			{"[[1,2],[2,1]]", 0}, {"[0,-0]", BAD}, {"[\"1\",1,true,null,\"\"]", 0}));
}

static void schemas_that_are_refused(void **state)
{
	static const struct {
		const char *schema;
		const char *want;
	} cases[] = {
		{"[]", "/: wanted a schema: an object, true or false"},
		{"{\"type\":\"strin\"}",
			"/type: wanted null, boolean, object, array, number, string, integer, or a "
			"list of them, found string"},
		{"{\"properties\":{\"a\":{\"minLength\":-1}}}",
			"/properties/a/minLength: wanted an integer, at least 0, found number"},
		{"{\"properties\":[]}", "/properties: wanted an object, found array"},
		{"{\"properties\":{\"a\":3}}",
			"/properties/a: wanted a schema: an object, true or false"},
		{"{\"required\":[1]}", "/required: wanted a list of strings, found array"},
		{"{\"allOf\":[]}", "/allOf: wanted a list of schemas, not empty, found array"},
		{"{\"multipleOf\":0}", "/multipleOf: wanted a number above 0, found number"},
		{"{\"pattern\":\"(\"}",
			"/pattern: the pattern \"(\" does not compile: missing closing parenthesis "
			"(at offset 1)"},
		{"{\"$ref\":\"#/$defs/nope\"}",
			"/$ref: \"#/$defs/nope\" leads nowhere in this schema, and nothing is "
			"fetched; accepted: a place in it (\"#/$defs/NAME\"), an $id or an anchor "
			"of it"},
		{"{\"items\":{\"$ref\":\"http://x.test/other.json\"}}",
			"/items/$ref: \"http://x.test/other.json\" leads nowhere in this schema, "
			"and nothing is fetched; accepted: a place in it (\"#/$defs/NAME\"), an "
			"$id or an anchor of it"},
		{"{\"$schema\":\"http://x.test/mine\"}",
			"/$schema: this dialect is not known; accepted: draft-04, draft-06, "
			"draft-07 (http://json-schema.org/draft-07/schema#), 2019-09, 2020-12 "
			"(https://json-schema.org/draft/2020-12/schema)"},
		{"{\"$defs\":{\"a\":{\"$anchor\":\"x\"},\"b\":{\"$anchor\":\"x\"}}}",
			"the identity \"#x\" is given twice"},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct prepared p = prepare_as(cases[i].schema, JSONSCHEMA_2020_12);
		assert_int_equal(p.result, -EINVAL);
		assert_string_equal(err_message(p.result), cases[i].want);
		prepared_fini(&p);
	}
	err_clear();
}

static void refusals_name_the_place(void **state)
{
	struct jsonschema_error e;
	struct prepared p =
		prepare_as("{\"properties\":{\"a\":{\"items\":{\"maximum\":3}},\"b\":"
			   "{\"oneOf\":[{\"type\":\"null\"},{\"const\":1}]}},\"required\":"
			   "[\"a\"],\"additionalProperties\":false}",
			JSONSCHEMA_2020_12);
	assert_int_equal(p.result, 0);
	assert_int_equal(check(&p, "{\"a\":[1,2,4]}", &e), JSONSCHEMA_INVALID);
	assert_string_equal(e.instance_path, "/a/2");
	assert_string_equal(e.schema_path, "/properties/items/maximum");
	assert_string_equal(e.message, "4 is out of range; accepted: at most 3");
	assert_int_equal(check(&p, "{}", &e), JSONSCHEMA_INVALID);
	assert_string_equal(e.instance_path, "");
	assert_string_equal(e.message, "the member \"a\" is required");
	assert_int_equal(check(&p, "{\"a\":[],\"c\":1}", &e), JSONSCHEMA_INVALID);
	assert_string_equal(e.message, "the member \"c\" is not accepted");
	assert_int_equal(check(&p, "{\"a\":[],\"b\":2}", &e), JSONSCHEMA_INVALID);
	assert_string_equal(e.instance_path, "/b");
	assert_string_equal(e.message, "fits none of the 2 forms that are accepted");
	prepared_fini(&p);
}

static void loops_end(void **state)
{
	struct prepared p = prepare_as("{\"$ref\":\"#\"}", JSONSCHEMA_2020_12);
	assert_int_equal(p.result, 0);
	assert_int_equal(check(&p, "1", NULL), -E2BIG);
	prepared_fini(&p);
	/* through a negation, where "too deep" must not turn into "valid" */
	p = prepare_as("{\"not\":{\"$ref\":\"#\"}}", JSONSCHEMA_2020_12);
	assert_int_equal(check(&p, "1", NULL), -E2BIG);
	prepared_fini(&p);
	p = prepare_as("{\"anyOf\":[{\"$ref\":\"#/$defs/a\"},true],\"$defs\":{\"a\":{\"$ref\":"
		       "\"#/$defs/b\"},\"b\":{\"$ref\":\"#/$defs/a\"}}}",
		JSONSCHEMA_2020_12);
	assert_int_equal(check(&p, "1", NULL), -E2BIG);
	prepared_fini(&p);
	err_clear();
}

/* 2^n branches from n lines. */
static void work_is_bounded(void **state)
{
	struct buf b CLEANUP(buf_fini) = buf_init(1 << 20);
	buf_puts(&b, "{\"$ref\":\"#/$defs/d0\",\"$defs\":{");
	for (int i = 0; i < 40; i++)
		buf_printf(&b,
			"\"d%d\":{\"allOf\":[{\"$ref\":\"#/$defs/d%d\"},{\"$ref\":\"#/$defs/"
			"d%d\"}]},",
			i, i + 1, i + 1);
	buf_puts(&b, "\"d40\":true}}");
	struct prepared p = prepare_as(buf_cstr(&b), JSONSCHEMA_2020_12);
	assert_int_equal(p.result, 0);
	assert_int_equal(check(&p, "1", NULL), -E2BIG);
	prepared_fini(&p);

	p = prepare_as("{\"pattern\":\"^(a+)+$\"}", JSONSCHEMA_2020_12);
	assert_int_equal(
		check(&p, "\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab\"", NULL), -E2BIG);
	prepared_fini(&p);
	err_clear();
}

static void many_items_are_still_quick(void **state)
{
	struct buf b CLEANUP(buf_fini) = buf_init(1 << 20);
	buf_putc(&b, '[');
	for (int i = 0; i < 50000; i++)
		buf_printf(&b, "%s%d", i ? "," : "", i);
	buf_puts(&b, "]");
	struct prepared p = prepare_as(
		"{\"uniqueItems\":true,\"items\":{\"type\":\"integer\"}}", JSONSCHEMA_2020_12);
	assert_int_equal(check(&p, buf_cstr(&b), NULL), 0);
	prepared_fini(&p);
}

static void nesting_of_schemas_is_bounded(void **state)
{
	struct buf b CLEANUP(buf_fini) = buf_init(1 << 20);
	for (int i = 0; i < 60; i++)
		buf_puts(&b, "{\"not\":");
	buf_puts(&b, "true");
	for (int i = 0; i < 60; i++)
		buf_putc(&b, '}');
	struct prepared p = prepare_as(buf_cstr(&b), JSONSCHEMA_2020_12);
	assert_int_equal(p.result, 0);
	assert_int_equal(check(&p, "1", NULL), 0);
	prepared_fini(&p);

	buf_reset(&b);
	for (int i = 0; i < 100; i++)
		buf_puts(&b, "{\"not\":");
	buf_puts(&b, "true");
	for (int i = 0; i < 100; i++)
		buf_putc(&b, '}');
	p = prepare_as(buf_cstr(&b), JSONSCHEMA_2020_12);
	assert_int_equal(p.result, -E2BIG);
	prepared_fini(&p);
	err_clear();
}

static void patterns_stand_alone(void **state)
{
	struct pattern *p;
	assert_int_equal(pattern_new(SPAN("a|ab"), true, &p), 0);
	assert_int_equal(pattern_match(p, SPAN("ab"), NULL), 0);
	assert_int_equal(pattern_match(p, SPAN("abc"), NULL), PATTERN_NO_MATCH);
	assert_int_equal(pattern_match(p, SPAN("a\n"), NULL), PATTERN_NO_MATCH);
	pattern_free(p);
	assert_int_equal(pattern_new(SPAN("^\\u00e9+$"), false, &p), 0);
	assert_int_equal(pattern_match(p, SPAN("\xc3\xa9\xc3\xa9"), NULL), 0);
	assert_int_equal(pattern_match(p, SPAN("\xc3\xa9\n"), NULL), PATTERN_NO_MATCH);
	pattern_free(p);

	char *big = malloc(LIMIT_JSONSCHEMA_PATTERN_BYTES + 1);
	memset(big, 'a', LIMIT_JSONSCHEMA_PATTERN_BYTES + 1);
	assert_int_equal(
		pattern_new(span_of(big, LIMIT_JSONSCHEMA_PATTERN_BYTES + 1), false, &p), -EINVAL);
	free(big);
	assert_int_equal(pattern_new(SPAN("\\C"), false, &p), -EINVAL);
	err_clear();
}

/* Many matches share one budget: none of them costs much by itself. */
static void a_check_is_bounded_whatever_the_pattern(void **state)
{
	static const char *const items[] = {"{\"items\":{\"not\":{\"pattern\":\"^(a|a)+$\"}}}",
		"{\"items\":{\"not\":{\"pattern\":\"(a+)+$\"}}}",
		"{\"items\":{\"not\":{\"pattern\":\"[a-z]+[0-9]\"}}}",
		"{\"items\":{\"not\":{\"pattern\":\"[a-z]{20000}[0-9]\"}}}"};
	enum { LONG = 32 * 1024 };
	struct buf text = buf_init(64 * 1024 * 1024);

	for (size_t i = 0; i < ARRAY_LEN(items); i++) {
		struct arena *a = arena_new(256 * 1024 * 1024);
		const struct json *v;
		struct prepared p = prepare_as(items[i], JSONSCHEMA_2020_12);
		assert_int_equal(p.result, 0);
		buf_reset(&text);
		buf_putc(&text, '[');
		for (int n = 0; n < (i < 2 ? 20000 : 100); n++) {
			buf_puts(&text, n ? ",\"" : "\"");
			for (int m = 0; m < (i < 2 ? 16 : LONG); m++)
				buf_putc(&text, 'a');
			buf_puts(&text, "b\"");
		}
		buf_putc(&text, ']');
		assert_int_equal(json_parse(a, buf_view(&text), NULL, &v), 0);
		clock_t began = clock();
		assert_int_equal(jsonschema_check(p.schema, v, NULL), -E2BIG);
		/* Seconds where a pattern could take hours. */
		assert_true(clock() - began < 20 * CLOCKS_PER_SEC);
		err_clear();
		prepared_fini(&p);
		arena_free(a);
	}
	buf_fini(&text);
}

static void ordinary_patterns_fit(void **state)
{
	struct pattern *p;
	int64_t steps = LIMIT_JSONSCHEMA_STEPS;
	struct buf text = buf_init(1024 * 1024);

	for (int i = 0; i < 2000; i++)
		buf_puts(&text, "The quick brown fox jumps over the lazy dog, says line A-1.\n");
	assert_int_equal(pattern_new(SPAN("[A-Z]{3}-[0-9]+"), false, &p), 0);
	assert_int_equal(pattern_match(p, buf_view(&text), &steps), PATTERN_NO_MATCH);
	buf_puts(&text, "ABC-17");
	assert_int_equal(pattern_match(p, buf_view(&text), &steps), 0);
	assert_true(steps > 0);
	pattern_free(p);
	buf_fini(&text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(unevaluated_properties),
		cmocka_unit_test(unevaluated_items),
		cmocka_unit_test(contains_is_counted),
		cmocka_unit_test(items_have_two_histories),
		cmocka_unit_test(dependent_required),
		cmocka_unit_test(references_in_the_dynamic_scope),
		cmocka_unit_test(references_find_ids_anchors_and_places),
		cmocka_unit_test(numbers_are_exact),
		cmocka_unit_test(schemas_that_are_refused),
		cmocka_unit_test(refusals_name_the_place),
		cmocka_unit_test(loops_end),
		cmocka_unit_test(work_is_bounded),
		cmocka_unit_test(many_items_are_still_quick),
		cmocka_unit_test(nesting_of_schemas_is_bounded),
		cmocka_unit_test(patterns_stand_alone),
		cmocka_unit_test(a_check_is_bounded_whatever_the_pattern),
		cmocka_unit_test(ordinary_patterns_fit),
	};
	return cmocka_run_group_tests_name("schema", tests, NULL, NULL);
}
