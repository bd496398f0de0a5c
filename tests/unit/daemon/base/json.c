/* SPDX-License-Identifier: AGPL-3.0-only */
#include "daemon/base/base.h"
#include "tests/tap.h"
#include "tests/unit/daemon/base/dies.h"
#include "tests/unit/mutate.h"
#include <errno.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { ARENA_BYTES = 1 << 20 };

static struct arena *arena;

static int make_arena(void **state)
{
	arena = arena_new(ARENA_BYTES);
	return arena ? 0 : -1;
}

static int free_arena(void **state)
{
	arena = arena_free(arena);
	return 0;
}

static const struct json *parse(const char *text)
{
	const struct json *v = NULL;
	int r = json_parse(arena, span_cstr(text), NULL, &v);
	if (r < 0)
		fail_msg("%s: %s", text, err_message(r));
	return v;
}

static void assert_refused(struct span text, int code, const char *message_part)
{
	const struct json *v = NULL;
	int r = json_parse(arena, text, NULL, &v);
	assert_int_equal(r, code);
	assert_null(v);
	if (!strstr(err_message(r), message_part))
		fail_msg("\"%s\" lacks \"%s\"", err_message(r), message_part);
}

static void assert_text(const struct buf *b, const char *expected)
{
	struct buf copy CLEANUP(buf_fini) = buf_init(SIZE_MAX);
	buf_span(&copy, buf_view(b));
	assert_string_equal(buf_cstr(&copy), expected);
}

static void reads_each_type(void **state)
{
	const struct json *v = parse(
		" { \"s\" : \"x\" , "
		"\"n\":-1.5e2,\"t\":true,\"f\":false,\"z\":null,\"a\":[1,\"two\",[]],\"o\":{} } ");
	assert_int_equal(v->type, JSON_OBJECT);
	assert_int_equal(v->count, 7);
	assert_true(span_is(json_str(v, "s", SPAN("")), "x"));
	assert_true(span_is(json_get(v, "n")->text, "-1.5e2"));
	assert_int_equal(json_i64(v, "n", 0), -150);
	assert_true(json_bool(v, "t", false));
	assert_false(json_bool(v, "f", true));
	assert_int_equal(json_get(v, "z")->type, JSON_NULL);
	const struct json *a = json_get(v, "a");
	assert_int_equal(a->type, JSON_ARRAY);
	assert_int_equal(a->count, 3);
	assert_true(span_is(a->items[1].text, "two"));
	assert_int_equal(a->items[2].count, 0);
	assert_int_equal(json_get(v, "o")->type, JSON_OBJECT);
	assert_int_equal(json_get(v, "o")->count, 0);
	assert_true(span_is(v->items[0].key, "s"));
	assert_true(span_is(v->sorted[0]->key, "a"));
}

static void reads_scalars_as_documents(void **state)
{
	assert_int_equal(parse("null")->type, JSON_NULL);
	assert_true(parse("\ttrue\r\n")->boolean);
	assert_true(span_is(parse("\"\"")->text, ""));
	assert_true(span_is(parse("0")->text, "0"));
}

static void absent_and_wrong_types_give_the_default(void **state)
{
	const struct json *v = parse("{\"s\":1,\"n\":\"1\",\"b\":null,\"big\":1e30,\"half\":0.5}");
	assert_true(span_is(json_str(v, "s", SPAN("d")), "d"));
	assert_int_equal(json_i64(v, "n", 7), 7);
	assert_int_equal(json_i64(v, "big", 7), 7);
	assert_int_equal(json_i64(v, "half", 7), 7);
	assert_true(json_bool(v, "b", true));
	assert_null(json_get(v, "absent"));
	assert_null(json_get(NULL, "x"));
	assert_null(json_get(parse("[]"), "x"));
}

static void decodes_escapes(void **state)
{
	const struct json *v =
		parse("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0041\\u00E9\\u20ac\\ud83d\\uDE00\"");
	assert_true(span_is(v->text, "\"\\/\b\f\n\r\tA\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"));
	v = parse("\"a\\u0000b\"");
	assert_true(span_eq(v->text, SPAN("a\0b")));
	/* each position within a word of eight bytes */
	for (int before = 0; before < 20; before++) {
		char text[64], expected[64];
		snprintf(text, sizeof(text), "\"%.*s\\n%s\"", before, "abcdefghijklmnopqrstuvwxyz",
			"0123456789");
		snprintf(expected, sizeof(expected), "%.*s\n%s", before,
			"abcdefghijklmnopqrstuvwxyz", "0123456789");
		assert_true(span_is(parse(text)->text, expected));
	}
}

static void many_members_are_found_and_sorted(void **state)
{
	enum { MEMBERS = 1000 };
	struct buf b CLEANUP(buf_fini) = buf_init(SIZE_MAX);
	const struct json *v;
	for (int i = 0; i < MEMBERS; i++)
		buf_printf(&b, "%c\"key%d\":%d", i ? ',' : '{', i * 7919 % MEMBERS, i);
	buf_putc(&b, '}');
	assert_int_equal(json_parse(arena, buf_view(&b), NULL, &v), 0);
	assert_int_equal(v->count, MEMBERS);
	for (int i = 0; i < MEMBERS; i++) {
		char key[16];
		snprintf(key, sizeof(key), "key%d", i * 7919 % MEMBERS);
		assert_int_equal(json_i64(v, key, -1), i);
		if (i > 0)
			assert_true(span_cmp(v->sorted[i - 1]->key, v->sorted[i]->key) < 0);
	}
}

static void refuses_duplicate_keys(void **state)
{
	assert_refused(SPAN("{\"a\":1,\n \"b\":2, \"\\u0061\":3}"), -EINVAL,
		"line 2 column 9: the key \"a\" appears a second time");
	struct buf b CLEANUP(buf_fini) = buf_init(SIZE_MAX);
	buf_putc(&b, '{');
	for (int i = 0; i < 200; i++)
		buf_printf(&b, "\"k%d\":0,", i);
	buf_puts(&b, "\n\"k77\":1}");
	assert_refused(buf_view(&b), -EINVAL, "line 2 column 1: the key \"k77\"");
	parse("{\"a\":{\"a\":1},\"b\":{\"a\":1}}");
}

static void refuses_bad_texts_with_their_place(void **state)
{
	static const struct {
		struct span text;
		const char *message;
	} cases[] = {
		{SPAN(""), "line 1 column 1: the text ends here"},
		{SPAN("  \n "), "line 2 column 2: the text ends here"},
		{SPAN("{\n\t\"a\": tru\n}"), "line 2 column 7: unexpected 't'"},
		{SPAN("nul"), "column 1: unexpected 'n'"},
		{SPAN("[1,]"), "column 4: unexpected ']'; a value is expected"},
		{SPAN("[,1]"), "column 2: unexpected ','"},
		{SPAN("[1 2]"), "column 4: unexpected '2'; a comma or ']'"},
		{SPAN("[1}"), "a comma or ']'"},
		{SPAN("{\"a\":1]"), "a comma or '}'"},
		{SPAN("{\"a\"}"), "a colon is expected"},
		{SPAN("{\"a\":}"), "a value is expected"},
		{SPAN("{a:1}"), "a key in double quotes"},
		{SPAN("{\"a\":1,}"), "a key in double quotes"},
		{SPAN("{'a':1}"), "a key in double quotes"},
		{SPAN("1 2"), "nothing may follow"},
		{SPAN("{}{}"), "nothing may follow"},
		{SPAN("null\0"), "unexpected byte 0x00"},
		{SPAN("\xef\xbb\xbf{}"), "byte order mark"},
		{SPAN("01"), "leading zeros"},
		{SPAN("-"), "a digit is expected"},
		{SPAN("+1"), "unexpected '+'"},
		{SPAN("-01"), "leading zeros"},
		{SPAN("1."), "after the point"},
		{SPAN(".5"), "unexpected '.'"},
		{SPAN("1.e3"), "after the point"},
		{SPAN("1e"), "in the exponent"},
		{SPAN("1e+"), "in the exponent"},
		{SPAN("0x10"), "nothing may follow"},
		{SPAN("NaN"), "unexpected 'N'"},
		{SPAN("Infinity"), "unexpected 'I'"},
		{SPAN("\"abc"), "string without an end"},
		{SPAN("\"abc\\"), "unknown escape"},
		{SPAN("\"\\x41\""), "column 2: unknown escape"},
		{SPAN("\"\\u12G4\""), "four hexadecimal digits"},
		{SPAN("\"\\u123"), "four hexadecimal digits"},
		{SPAN("\"\\ud83d\""), "high surrogate without"},
		{SPAN("\"\\ud83d\\u0041\""), "high surrogate without"},
		{SPAN("\"\\ud83d\\ud83d\""), "high surrogate without"},
		{SPAN("\"\\ude00\""), "low surrogate without"},
		{SPAN("\"a\nb\""), "byte 0x0a in a string; write \\u000a"},
		{SPAN("\"\0\""), "byte 0x00 in a string"},
		{SPAN("\"\xc3\xa9\xff\""), "column 3: byte 0xff is not UTF-8"},
		{SPAN("\"\xc0\xaf\""), "byte 0xc0 is not UTF-8"},
		{SPAN("\"\xed\xa0\x80\""), "byte 0xed is not UTF-8"},
		{SPAN("\"\xf4\x90\x80\x80\""), "byte 0xf4 is not UTF-8"},
		{SPAN("\"\xe2\x82\""), "byte 0xe2 is not UTF-8"},
		{SPAN("[1]\xc2\xa0"), "unexpected byte 0xc2"},
		{SPAN("/* */ 1"), "unexpected '/'"},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_refused(cases[i].text, -EINVAL, cases[i].message);
}

static void keeps_its_limits(void **state)
{
	struct buf b CLEANUP(buf_fini) = buf_init(SIZE_MAX);
	const struct json *v;
	for (int extra = 0; extra < 2; extra++) {
		buf_reset(&b);
		for (int i = 0; i < LIMIT_JSON_DEPTH + extra; i++)
			buf_puts(&b, "[");
		for (int i = 0; i < LIMIT_JSON_DEPTH + extra; i++)
			buf_puts(&b, "]");
		if (extra)
			assert_refused(buf_view(&b), -E2BIG, "nested deeper than 128 levels");
		else
			assert_int_equal(json_parse(arena, buf_view(&b), NULL, &v), 0);
	}
	for (int extra = 0; extra < 2; extra++) {
		buf_reset(&b);
		for (int i = 0; i < LIMIT_JSON_NUMBER_BYTES + extra; i++)
			buf_putc(&b, '9');
		if (extra)
			assert_refused(buf_view(&b), -E2BIG, "1025 characters; at most 1024");
		else
			assert_int_equal(json_parse(arena, buf_view(&b), NULL, &v), 0);
	}
	struct json_limits small = {.bytes = 4, .depth = 1};
	assert_int_equal(json_parse(arena, SPAN("[10]"), &small, &v), 0);
	assert_int_equal(json_parse(arena, SPAN("[100]"), &small, &v), -E2BIG);
	assert_int_equal(json_parse(arena, SPAN("[[]]"), &small, &v), -E2BIG);
}

static void stops_at_the_arena_limit(void **state)
{
	struct buf b CLEANUP(buf_fini) = buf_init(SIZE_MAX);
	const struct json *v;
	for (int i = 0; i < 10000; i++)
		buf_puts(&b, i ? ",0" : "[0");
	buf_putc(&b, ']');
	size_t least = 10000 * sizeof(struct json);
	for (size_t limit = 1; limit < least; limit *= 2) {
		struct arena *a CLEANUP(arena_cleanup) = arena_new(limit);
		int r = json_parse(a, buf_view(&b), NULL, &v);
		assert_int_equal(r, -ENOMEM);
		assert_non_null(strstr(err_message(r), "more memory"));
	}
	struct arena *a CLEANUP(arena_cleanup) = arena_new(least * 3);
	assert_int_equal(json_parse(a, buf_view(&b), NULL, &v), 0);
	assert_int_equal(v->count, 10000);
}

static void numbers_as_integers(void **state)
{
	static const struct {
		const char *text;
		int r;
		int64_t value;
	} cases[] = {
		{"0", 0, 0},
		{"-0", 0, 0},
		{"-0.0e5", 0, 0},
		{"0e999999999999999999999999", 0, 0},
		{"1", 0, 1},
		{"-3", 0, -3},
		{"1e2", 0, 100},
		{"1.0", 0, 1},
		{"120e-1", 0, 12},
		{"1.25E+2", 0, 125},
		{"0.001e3", 0, 1},
		{"9223372036854775807", 0, INT64_MAX},
		{"-9223372036854775808", 0, INT64_MIN},
		{"9.223372036854775807e18", 0, INT64_MAX},
		{"-922337203685477580800e-2", 0, INT64_MIN},
		{"9223372036854775808", -ERANGE, 0},
		{"-9223372036854775809", -ERANGE, 0},
		{"1e19", -ERANGE, 0},
		{"1e999999999999999999999999", -ERANGE, 0},
		{"1e-999999999999999999999999", -EINVAL, 0},
		{"1.5", -EINVAL, 0},
		{"1e-1", -EINVAL, 0},
		{"\"1\"", -EINVAL, 0},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		int64_t value = 0;
		int r = json_number_i64(parse(cases[i].text), &value);
		if (r != cases[i].r || (r == 0 && value != cases[i].value))
			fail_msg("%s: %d, %lld", cases[i].text, r, (long long)value);
	}
}

static void numbers_as_doubles(void **state)
{
	double d = 0;
	assert_int_equal(json_number_double(parse("-1.5e300"), &d), 0);
	assert_true(d == -1.5e300);
	assert_int_equal(json_number_double(parse("1e-5000"), &d), 0);
	assert_true(d == 0);
	assert_int_equal(json_number_double(parse("1e309"), &d), -ERANGE);
	assert_int_equal(json_number_double(parse("true"), &d), -EINVAL);
}

static void equality_is_by_value(void **state)
{
	static const struct {
		const char *a, *b;
		bool equal;
	} cases[] = {
		{"1", "1.0", true},
		{"10", "1e1", true},
		{"-0", "0", true},
		{"0.1", "1E-1", true},
		{"1", "-1", false},
		{"1", "10", false},
		{"1e400", "1e401", false},
		{"1e400", "10e399", true},
		{"123456789012345678901", "123456789012345678902", false},
		{"1e9999999999999999999", "1e9999999999999999998", false},
		{"1e9999999999999999999", "1e9999999999999999999", true},
		{"\"a\"", "\"\\u0061\"", true},
		{"\"1\"", "1", false},
		{"null", "false", false},
		{"true", "false", false},
		{"[1,[2,{\"a\":3}]]", "[1.0,[2,{\"a\":3}]]", true},
		{"[1,2]", "[2,1]", false},
		{"[1,2]", "[1,2,3]", false},
		{"{\"a\":1,\"b\":[{}]}", "{\"b\":[{}],\"a\":1}", true},
		{"{\"a\":1}", "{\"b\":1}", false},
		{"{\"a\":{\"b\":1}}", "{\"a\":{\"b\":2}}", false},
		{"[[],1]", "[[1],1]", false},
		{"{}", "[]", false},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const struct json *a = parse(cases[i].a), *b = parse(cases[i].b);
		if (json_equal(a, b) != cases[i].equal || json_equal(b, a) != cases[i].equal)
			fail_msg("%s and %s", cases[i].a, cases[i].b);
	}
}

static void writes_what_it_is_told(void **state)
{
	struct buf b CLEANUP(buf_fini) = buf_init(4096);
	struct json_writer w = json_writer(&b);
	json_object(&w);
	json_field_cstr(&w, "s", "a\"\\/\b\t\n\f\r\x01\x7f\xc3\xa9");
	json_field_cstr(&w, "none", NULL);
	json_field_span(&w, "bad", SPAN("x\xff\xed\xa0\x80y"));
	json_field_i64(&w, "min", INT64_MIN);
	json_key(&w, "max");
	json_put_u64(&w, UINT64_MAX);
	json_field_bool(&w, "t", true);
	json_key_span(&w, SPAN("k\n"));
	json_array(&w);
	json_put_null(&w);
	json_put_raw(&w, SPAN("{\"raw\":1}"));
	json_array(&w);
	json_end(&w);
	json_put(&w, parse("{\"b\":1.50,\"a\":[]}"));
	json_end(&w);
	json_end(&w);
	assert_text(&b,
		"{\"s\":\"a\\\"\\\\/\\b\\t\\n\\f\\r\\u0001\x7f\xc3\xa9\",\"none\":null,"
		"\"bad\":\"x\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbdy\","
		"\"min\":-9223372036854775808,\"max\":18446744073709551615,\"t\":true,"
		"\"k\\n\":[null,{\"raw\":1},[],{\"b\":1.50,\"a\":[]}]}");
}

static void value_without_key(void *arg)
{
	struct json_writer w = json_writer(arg);
	json_object(&w);
	json_put_null(&w);
}

static void key_in_array(void *arg)
{
	struct json_writer w = json_writer(arg);
	json_array(&w);
	json_key(&w, "k");
}

static void two_keys(void *arg)
{
	struct json_writer w = json_writer(arg);
	json_object(&w);
	json_key(&w, "a");
	json_key(&w, "b");
}

static void key_without_value(void *arg)
{
	struct json_writer w = json_writer(arg);
	json_object(&w);
	json_key(&w, "a");
	json_end(&w);
}

static void end_of_nothing(void *arg)
{
	struct json_writer w = json_writer(arg);
	json_end(&w);
}

static void two_documents(void *arg)
{
	struct json_writer w = json_writer(arg);
	json_put_null(&w);
	json_put_null(&w);
}

static void too_deep(void *arg)
{
	struct json_writer w = json_writer(arg);
	for (int i = 0; i <= LIMIT_JSON_DEPTH; i++)
		json_array(&w);
}

static void no_number(void *arg)
{
	struct json_writer w = json_writer(arg);
	json_put_double(&w, INFINITY);
}

static void misuse_of_the_writer_is_a_bug(void **state)
{
	static void (*const misuses[])(void *) = {value_without_key, key_in_array, two_keys,
		key_without_value, end_of_nothing, two_documents, too_deep, no_number};
	struct buf b CLEANUP(buf_fini) = buf_init(4096);
	for (size_t i = 0; i < ARRAY_LEN(misuses); i++)
		assert_true(dies(misuses[i], &b, NULL));
}

static void doubles_are_short_and_read_back(void **state)
{
	static const struct {
		double v;
		const char *text;
	} cases[] = {{0.1, "0.1"}, {1, "1"}, {-0.0, "-0"}, {1e21, "1e+21"},
		{5e-324, "4.94065645841247e-324"}, {DBL_MAX, "1.7976931348623157e+308"},
		{1.0 / 3, "0.3333333333333333"}, {123456.789, "123456.789"}};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct buf b CLEANUP(buf_fini) = buf_init(64);
		struct json_writer w = json_writer(&b);
		json_put_double(&w, cases[i].v);
		assert_text(&b, cases[i].text);
		assert_true(strtod(cases[i].text, NULL) == cases[i].v);
	}
}

static void canonical_form(void **state)
{
	static const struct {
		const char *text, *canonical;
	} cases[] = {
		{" { \"b\" : [ 1.0 , 2E1 ] , \"a\" : { \"d\":null , \"c\":\"\\u00e9\\/\" } } ",
			"{\"a\":{\"c\":\"\xc3\xa9/\",\"d\":null},\"b\":[1.0,2E1]}"},
		{"{\"aa\":1,\"a\":2,\"\":3}", "{\"\":3,\"a\":2,\"aa\":1}"},
		/* by code point: U+FFFD before U+10000, although UTF-16 sorts them the other way */
		{"{\"\\ud800\\udc00\":1,\"\\ufffd\":2}",
			"{\"\xef\xbf\xbd\":2,\"\xf0\x90\x80\x80\":1}"},
		{"\"\\u001F\\u007f\\u0008\"", "\"\\u001f\x7f\\b\""},
		{"[]", "[]"},
		{"-0", "-0"},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct buf b CLEANUP(buf_fini) = buf_init(4096);
		json_canonical(&b, parse(cases[i].text));
		assert_text(&b, cases[i].canonical);
	}
}

static void pretty_form(void **state)
{
	struct buf b CLEANUP(buf_fini) = buf_init(4096);
	json_pretty(&b, parse("{\"b\":[1,{}],\"a\":{\"x\":[]}}"));
	assert_text(&b, "{\n  \"b\": [\n    1,\n    {}\n  ],\n  \"a\": {\n    \"x\": []\n  }\n}");
}

static void try_damaged(struct span damaged, const char *what, void *arg)
{
	const struct json *v;
	struct arena *a CLEANUP(arena_cleanup) = arena_new(ARENA_BYTES);
	int r = json_parse(a, damaged, NULL, &v);
	if (r != 0 && r != -EINVAL)
		fail_msg("%s: %d %s", what, r, err_message(r));
	if (r == 0) {
		struct buf b CLEANUP(buf_fini) = buf_init(SIZE_MAX);
		const struct json *again;
		json_canonical(&b, v);
		assert_int_equal(json_parse(a, buf_view(&b), NULL, &again), 0);
		assert_true(json_equal(v, again));
		(*(size_t *)arg)++;
	}
}

static void damaged_texts_never_break_it(void **state)
{
	struct span valid = SPAN("{\"k\\u00e9\":[1,-2.5e+3,\"\\ud83d\\ude00 "
				 "\xe2\x82\xac\"],\"o\":{\"t\":true,\"n\":null}}");
	size_t accepted = 0;
	size_t copies = mutate(valid, MUTATE_ALL, try_damaged, &accepted);
	assert_true(accepted > 0 && accepted < copies / 2);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, make_arena, free_arena)
	const struct CMUnitTest tests[] = {
		CASE(reads_each_type),
		CASE(reads_scalars_as_documents),
		CASE(absent_and_wrong_types_give_the_default),
		CASE(decodes_escapes),
		CASE(many_members_are_found_and_sorted),
		CASE(refuses_duplicate_keys),
		CASE(refuses_bad_texts_with_their_place),
		CASE(keeps_its_limits),
		CASE(stops_at_the_arena_limit),
		CASE(numbers_as_integers),
		CASE(numbers_as_doubles),
		CASE(equality_is_by_value),
		CASE(writes_what_it_is_told),
		CASE(misuse_of_the_writer_is_a_bug),
		CASE(doubles_are_short_and_read_back),
		CASE(canonical_form),
		CASE(pretty_form),
		CASE(damaged_texts_never_break_it),
	};
	return cmocka_run_group_tests_name("base", tests, NULL, NULL);
}
