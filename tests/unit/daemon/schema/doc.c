/* SPDX-License-Identifier: AGPL-3.0-only */
/* YAML and JSON text to one tree: what is accepted, what it means, and every refusal word by word.
 */
#include "tests/tap.h"
#include "tests/unit/mutate.h"
#include "daemon/schema/schema.h"
#include <stdlib.h>

struct parsed {
	struct arena *arena;
	struct report report;
	const struct doc *doc;
	int result;
	struct buf text; /* of the report */
};

static struct parsed parse_span(struct span text, bool json)
{
	struct parsed p = {.arena = arena_new(64 << 20), .text = buf_init(1 << 20)};
	assert_int_equal(report_init(&p.report, p.arena, "f"), 0);
	p.result = json ? doc_parse_json(&p.report, text, &p.doc)
			: doc_parse_yaml(&p.report, text, &p.doc);
	report_text(&p.report, &p.text);
	return p;
}

static void parsed_fini(struct parsed *p)
{
	buf_fini(&p->text);
	arena_free(p->arena);
}

static void expect_refusal(struct span text, bool json, const char *want)
{
	struct parsed p = parse_span(text, json);
	assert_int_equal(p.result, DOC_BAD);
	assert_false(report_ok(&p.report));
	assert_string_equal(buf_cstr(&p.text), want);
	parsed_fini(&p);
}

/* The tree as compact JSON. */
static void expect_json(const char *text, bool json, const char *want)
{
	struct parsed p = parse_span(span_cstr(text), json);
	if (p.result)
		print_message("# %s\n", buf_cstr(&p.text));
	assert_int_equal(p.result, 0);
	struct buf b CLEANUP(buf_fini) = buf_init(1 << 20);
	struct json_writer w = json_writer(&b);
	json_put(&w, doc_to_json(p.arena, p.doc));
	assert_string_equal(buf_cstr(&b), want);
	parsed_fini(&p);
}

static void plain_scalars_follow_the_core_schema(void **state)
{
	static const struct {
		const char *yaml, *json;
	} cases[] = {
		{"a: ~", "{\"a\":null}"},
		{"a:", "{\"a\":null}"},
		{"a: null", "{\"a\":null}"},
		{"a: nulL", "{\"a\":\"nulL\"}"},
		{"a: True", "{\"a\":true}"},
		{"a: FALSE", "{\"a\":false}"},
		{"a: yes", "{\"a\":\"yes\"}"},
		{"a: no", "{\"a\":\"no\"}"},
		{"a: on", "{\"a\":\"on\"}"},
		{"a: 12", "{\"a\":12}"},
		{"a: +12", "{\"a\":12}"},
		{"a: -0012", "{\"a\":-12}"},
		{"a: 0", "{\"a\":0}"},
		{"a: 000", "{\"a\":0}"},
		{"a: 0o17", "{\"a\":15}"},
		{"a: 0x1F", "{\"a\":31}"},
		{"a: 0xG", "{\"a\":\"0xG\"}"},
		{"a: 017", "{\"a\":17}"},
		{"a: 3.10", "{\"a\":3.10}"},
		{"a: .5", "{\"a\":0.5}"},
		{"a: 5.", "{\"a\":5.0}"},
		{"a: -.5e3", "{\"a\":-0.5e3}"},
		{"a: 1e", "{\"a\":\"1e\"}"},
		{"a: 1_000", "{\"a\":\"1_000\"}"},
		{"a: 12:30:45", "{\"a\":\"12:30:45\"}"},
		{"a: 2024-01-01", "{\"a\":\"2024-01-01\"}"},
		{"a: 1.0.0", "{\"a\":\"1.0.0\"}"},
		{"a: \"12\"", "{\"a\":\"12\"}"},
		{"a: 'true'", "{\"a\":\"true\"}"},
		{"a: |\n  1\n", "{\"a\":\"1\\n\"}"},
		{"1: a\ntrue: b", "{\"1\":\"a\",\"true\":\"b\"}"},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		expect_json(cases[i].yaml, false, cases[i].json);
}

static void aliases_stand_for_their_value(void **state)
{
	expect_json("a: &x [1, {b: 2}]\nc: *x\nd: {e: *x}", false,
		"{\"a\":[1,{\"b\":2}],\"c\":[1,{\"b\":2}],\"d\":{\"e\":[1,{\"b\":2}]}}");
	expect_json("a: &x 1\nb: &x 2\nc: *x", false, "{\"a\":1,\"b\":2,\"c\":2}");
}

static void json_keeps_its_meaning_and_gains_places(void **state)
{
	expect_json("{\"a\": [1, -2.50, \"\\u00e9\\ud83d\\ude00\", null, true], \"b\": {}}", true,
		"{\"a\":[1,-2.50,\"\xc3\xa9\xf0\x9f\x98\x80\",null,true],\"b\":{}}");
	struct parsed p = parse_span(
		SPAN("{\n  \"a\": [\n    1,\n    {\"\\\"x\": \"}],\"}, \"\xc3\xa9\", 7]}"), true);
	assert_int_equal(p.result, 0);
	const struct doc *d = doc_at(p.doc, "a[1]");
	assert_int_equal(d->at.line, 4);
	assert_int_equal(d->at.column, 5);
	assert_int_equal(d->items[0].key_at.column, 6);
	assert_int_equal(d->items[0].at.column, 13);
	/* columns count characters */
	assert_int_equal(doc_at(p.doc, "a[3]")->at.column, 26);
	assert_int_equal(doc_at(p.doc, "a")->at.column, 8);
	parsed_fini(&p);
}

static void yaml_has_places(void **state)
{
	struct parsed p = parse_span(SPAN("# note\na:\n  - x\n  - {b: \xc3\xa9, c: 2}\n"), false);
	assert_int_equal(p.result, 0);
	assert_int_equal(doc_at(p.doc, "a")->key_at.line, 2);
	assert_int_equal(doc_at(p.doc, "a[1].c")->at.line, 4);
	assert_int_equal(doc_at(p.doc, "a[1].c")->key_at.column, 12);
	assert_null(doc_at(p.doc, "a[2]"));
	assert_null(doc_at(p.doc, "a[x]"));
	assert_null(doc_at(p.doc, "a.b"));
	assert_null(doc_at(p.doc, "a[1].c.d"));
	assert_ptr_equal(doc_at(p.doc, ""), p.doc);
	parsed_fini(&p);
}

static void notation_is_guessed(void **state)
{
	struct arena *a CLEANUP(arena_cleanup) = arena_new(1 << 20);
	struct report r;
	const struct doc *d;
	assert_int_equal(report_init(&r, a, "f"), 0);
	/* a JSON escape that YAML does not have */
	assert_int_equal(doc_parse(&r, SPAN(" \n{\"a\": \"\\ud83d\\ude00\"}"), &d), 0);
	assert_int_equal(doc_parse(&r, SPAN("a: {b: c}"), &d), 0);
	assert_string_equal(doc_at(d, "a.b")->text.p, "c");
}

static void refusals_of_yaml(void **state)
{
	static const struct {
		const char *text, *want;
	} cases[] = {
		{"", "f: the document is empty\n"},
		{"# nothing\n", "f: the document is empty\n"},
		{"a: 1\nb: 2\na: 3\n", "f:3:1: the key \"a\" is written twice, first on line 1\n"},
		{"s:\n  t:\n    a: 1\n    a: 2\n",
			"f:4:5: s.t: the key \"a\" is written twice, first on line 3\n"},
		{"a: 1\n---\nb: 2\n",
			"f:2:1: a second document begins here; accepted: one document per file\n"},
		{"a: *x\n",
			"f:1:4: a: this alias has no finished value in front of it; define its "
			"anchor first\n"},
		{"a: &x [1, *x]\n",
			"f:1:11: a[1]: this alias has no finished value in front of it; define its "
			"anchor first\n"},
		{"b: &k x\n*k : 1\n", "f:2:1: an alias cannot be a key; write the key out\n"},
		{"a: &x {b: 1}\nc:\n  <<: *x\n",
			"f:3:3: c: merge keys (<<) are not part of YAML 1.2; write the fields "
			"out\n"},
		{"a: !!str 1\n", "f:1:4: a: tags (!) are not accepted; quote a text instead\n"},
		{"a: !x {}\n", "f:1:4: a: tags (!) are not accepted; leave it out\n"},
		{"? [a]\n: b\n", "f:1:3: a key must be a text, not a list or a mapping\n"},
		{"~: x\n", "f:1:1: an empty key is not accepted\n"},
		{"a: .inf\n", "f:1:4: a: only finite numbers are accepted; put a text in quotes\n"},
		{"a: \"x\\0y\"\n", "f:1:4: a: a text may not hold a NUL character\n"},
		{"\"x\\0y\": a\n", "f:1:1: a key may not hold a NUL character\n"},
		{"a:\n\t- b\n",
			"f:2:1: a: this is not YAML: found character that cannot start any token "
			"while scanning for the next token; a text that begins with such a "
			"character needs quotes, and tabs do not indent\n"},
		{"a: [1, 2\n",
			"f:2:1: a[2]: this is not YAML: did not find expected ',' or ']' while "
			"parsing a flow sequence\n"},
		{"a: b: c\n",
			"f:1:5: this is not YAML: mapping values are not allowed in this context; "
			"a text that holds \": \" needs quotes, and fields of one object the same "
			"indentation\n"},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		expect_refusal(span_cstr(cases[i].text), false, cases[i].want);
}

static void refusals_of_json(void **state)
{
	expect_refusal(SPAN("{\"a\": 1,}"), true,
		"f:1:9: this is not JSON: unexpected '}'; a key in double quotes is expected\n");
	expect_refusal(
		SPAN("[\"\\u0000\"]"), true, "f:1:2: [0]: a text may not hold a NUL character\n");
}

static void refusals_of_bytes(void **state)
{
	expect_refusal(SPAN("a: b\nc: \xff\n"), false,
		"f:2:4: the byte 0xff is not valid UTF-8 here; save the file as UTF-8\n");
	char *big = malloc(LIMIT_DOC_BYTES + 1);
	memset(big, 'x', LIMIT_DOC_BYTES + 1);
	expect_refusal(span_of(big, LIMIT_DOC_BYTES + 1), false,
		"f: the document has 1048577 bytes; accepted: at most 1048576\n");
	free(big);
}

static void byte_order_mark_is_skipped(void **state)
{
	expect_json("\xef\xbb\xbf"
		    "a: 1",
		false, "{\"a\":1}");
}

/* Nine lines that would stand for a billion values. */
static void laughs_are_bounded(void **state)
{
	struct buf b CLEANUP(buf_fini) = buf_init(1 << 16);
	buf_puts(&b, "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
	for (int i = 1; i < 10; i++) {
		buf_printf(&b, "a%d: &a%d [", i, i);
		for (int j = 0; j < 10; j++)
			buf_printf(&b, "%s*a%d", j ? ", " : "", i - 1);
		buf_puts(&b, "]\n");
	}
	expect_refusal(buf_view(&b), false,
		"f:5:25: a4[3]: the document has too many values; accepted: at most 50000, aliases "
		"expanded\n");
}

static void depth_is_bounded(void **state)
{
	struct buf b CLEANUP(buf_fini) = buf_init(1 << 16);
	for (int i = 0; i < LIMIT_DOC_DEPTH; i++)
		buf_putc(&b, '[');
	for (int i = 0; i < LIMIT_DOC_DEPTH; i++)
		buf_putc(&b, ']');
	struct parsed p = parse_span(buf_view(&b), false);
	assert_int_equal(p.result, 0);
	parsed_fini(&p);
	p = parse_span(buf_view(&b), true);
	assert_int_equal(p.result, 0);
	parsed_fini(&p);

	buf_reset(&b);
	for (int i = 0; i < 100000; i++)
		buf_putc(&b, '[');
	p = parse_span(buf_view(&b), false);
	assert_int_equal(p.result, DOC_BAD);
	assert_non_null(strstr(buf_cstr(&p.text), "nested too deeply; accepted: 48 levels"));
	parsed_fini(&p);
	p = parse_span(buf_view(&b), true);
	assert_int_equal(p.result, DOC_BAD);
	parsed_fini(&p);
}

/* Aliases can also make a tree deep. */
static void depth_through_aliases_is_bounded(void **state)
{
	struct buf b CLEANUP(buf_fini) = buf_init(1 << 16);
	buf_puts(&b, "a0: &a0 [[[[[[[[[[x]]]]]]]]]]\n");
	for (int i = 1; i < 8; i++)
		buf_printf(&b, "a%d: &a%d [[[[[[[[[[*a%d]]]]]]]]]]\n", i, i, i - 1);
	struct parsed p = parse_span(buf_view(&b), false);
	assert_int_equal(p.result, DOC_BAD);
	assert_non_null(strstr(buf_cstr(&p.text), "nested too deeply"));
	parsed_fini(&p);
}

static void parse_damaged(struct span damaged, const char *what, void *arg)
{
	struct parsed p = parse_span(damaged, *(bool *)arg);
	assert_true(p.result == 0 || p.result == DOC_BAD);
	assert_int_equal(p.result == 0, report_ok(&p.report));
	parsed_fini(&p);
}

static void damaged_documents_are_survived(void **state)
{
	bool json = false;
	mutate(SPAN("a: &x [1, \"b\\n\", {c: ~}]\nd: *x\n# e\nf: |\n  g\n"), MUTATE_ALL,
		parse_damaged, &json);
	json = true;
	mutate(SPAN("{\"a\": [1, \"b\\n\", {\"c\": null}], \"d\": -1.5e3}"), MUTATE_ALL,
		parse_damaged, &json);
}

static void findings_are_bounded_and_counted(void **state)
{
	struct buf b CLEANUP(buf_fini) = buf_init(1 << 16);
	for (int i = 0; i < 100; i++)
		buf_puts(&b, "a: 1\n");
	struct parsed p = parse_span(buf_view(&b), false);
	assert_int_equal(p.report.error_count, 99);
	assert_int_equal(p.report.count, LIMIT_REPORT_FINDINGS);
	assert_non_null(strstr(buf_cstr(&p.text), "f: 35 more findings are not shown\n"));
	struct buf s CLEANUP(buf_fini) = buf_init(1 << 16);
	report_summary(&p.report, &s);
	assert_string_equal(buf_cstr(&s),
		"f:2:1: the key \"a\" is written twice, first on line 1 (and 98 more)");
	parsed_fini(&p);
}

static void reports_are_json_too(void **state)
{
	struct parsed p = parse_span(SPAN("a: 1\na: 2\n"), false);
	struct buf b CLEANUP(buf_fini) = buf_init(1 << 16);
	struct json_writer w = json_writer(&b);
	report_json(&p.report, &w);
	assert_string_equal(buf_cstr(&b),
		"[{\"level\":\"error\",\"file\":\"f\",\"line\":2,\"column\":1,\"path\":\"\","
		"\"message\":\"the key \\\"a\\\" is written twice, first on line 1\"}]");
	parsed_fini(&p);
}

/* What was only counted keeps its level, too. */
static void findings_are_taken_over(void **state)
{
	struct arena *a CLEANUP(arena_cleanup) = arena_new(1 << 20);
	struct report from, to;

	(void)state;
	assert_int_equal(report_init(&from, a, "inner"), 0);
	assert_int_equal(report_init(&to, a, "outer"), 0);
	for (int i = 0; i < LIMIT_REPORT_FINDINGS + 3; i++)
		report_warning(&from, (struct report_place){i, 1}, "x", "old");
	report_take(&to, &from);
	assert_true(report_ok(&to));
	assert_int_equal(to.count, LIMIT_REPORT_FINDINGS);
	assert_int_equal(to.warning_count, LIMIT_REPORT_FINDINGS + 3);
	report_error(&from, (struct report_place){1, 1}, "y", "bad");
	report_take(&to, &from);
	assert_int_equal(to.error_count, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(findings_are_taken_over),
		cmocka_unit_test(plain_scalars_follow_the_core_schema),
		cmocka_unit_test(aliases_stand_for_their_value),
		cmocka_unit_test(json_keeps_its_meaning_and_gains_places),
		cmocka_unit_test(yaml_has_places),
		cmocka_unit_test(notation_is_guessed),
		cmocka_unit_test(refusals_of_yaml),
		cmocka_unit_test(refusals_of_json),
		cmocka_unit_test(refusals_of_bytes),
		cmocka_unit_test(byte_order_mark_is_skipped),
		cmocka_unit_test(laughs_are_bounded),
		cmocka_unit_test(depth_is_bounded),
		cmocka_unit_test(depth_through_aliases_is_bounded),
		cmocka_unit_test(damaged_documents_are_survived),
		cmocka_unit_test(findings_are_bounded_and_counted),
		cmocka_unit_test(reports_are_json_too),
	};
	return cmocka_run_group_tests_name("schema", tests, NULL, NULL);
}
