/* SPDX-License-Identifier: AGPL-3.0-only */
#include "daemon/base/base.h"
#include "tests/tap.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static const struct span none = {NULL, 0};

static void compares(void **state)
{
	assert_int_equal(span_cmp(SPAN("a"), SPAN("b")), -1);
	assert_int_equal(span_cmp(SPAN("b"), SPAN("a")), 1);
	assert_int_equal(span_cmp(SPAN("a"), SPAN("ab")), -1);
	assert_int_equal(span_cmp(SPAN("ab"), SPAN("a")), 1);
	assert_int_equal(span_cmp(SPAN("\x7f"), SPAN("\x80")), -1);
	assert_int_equal(span_cmp(none, SPAN("")), 0);
	assert_true(span_eq(none, SPAN("")));
	assert_true(span_eq(SPAN("a\0b"), SPAN("a\0b")));
	assert_false(span_eq(SPAN("a\0b"), SPAN("a\0c")));
	assert_true(span_is(SPAN("x"), "x"));
	assert_true(span_is(none, NULL));
	assert_true(span_eq_nocase(SPAN("Content-TYPE"), SPAN("content-type")));
	assert_false(span_eq_nocase(SPAN("[a"), SPAN("{a"))); /* '[' | 0x20 == '{' */
	assert_false(span_eq_nocase(SPAN("\xc9"), SPAN("\xe9")));
	assert_true(span_starts(SPAN("abc"), SPAN("ab")));
	assert_true(span_starts(none, SPAN("")));
	assert_false(span_starts(SPAN("a"), SPAN("ab")));
	assert_true(span_ends(SPAN("abc"), SPAN("bc")));
	assert_false(span_ends(SPAN("abc"), SPAN("ab")));
	assert_false(span_ends(SPAN("c"), SPAN("bc")));
}

static void cuts(void **state)
{
	assert_true(span_is(span_sub(SPAN("hello"), 1, 3), "el"));
	assert_true(span_is(span_sub(SPAN("hello"), 3, 99), "lo"));
	assert_true(span_is(span_sub(SPAN("hello"), 9, 99), ""));
	assert_true(span_is(span_sub(SPAN("hello"), 3, 1), ""));
	assert_true(span_is(span_sub(none, 0, 5), ""));
	assert_true(span_is(span_trim(SPAN(" \t\r\na b\n ")), "a b"));
	assert_true(span_is(span_trim(SPAN(" \n ")), ""));
	assert_true(span_is(span_trim(SPAN("\vx\v")), "\vx\v"));
	assert_true(span_is(span_trim(none), ""));
}

static void finds(void **state)
{
	assert_int_equal(span_find_byte(SPAN("abca"), 'a', 0), 0);
	assert_int_equal(span_find_byte(SPAN("abca"), 'a', 1), 3);
	assert_int_equal(span_find_byte(SPAN("abca"), 'a', 4), -1);
	assert_int_equal(span_find_byte(SPAN("abca"), 'z', 0), -1);
	assert_int_equal(span_find_byte(none, 'z', 0), -1);
	assert_int_equal(span_find(SPAN("abcabd"), SPAN("abd"), 0), 3);
	assert_int_equal(span_find(SPAN("abcabd"), SPAN("ab"), 1), 3);
	assert_int_equal(span_find(SPAN("abc"), SPAN("abcd"), 0), -1);
	assert_int_equal(span_find(SPAN("abc"), SPAN(""), 3), 3);
	assert_int_equal(span_find(SPAN("abc"), SPAN(""), 4), -1);
	assert_int_equal(span_find(SPAN("abc"), SPAN("c"), 3), -1);
	assert_int_equal(span_find(none, SPAN("c"), 0), -1);
}

static void assert_pieces(const char *text, const char *const *expected, size_t count)
{
	struct span rest = span_cstr(text), piece;
	bool done = false;
	size_t n = 0;
	for (; span_split(&rest, ',', &done, &piece); n++) {
		assert_true(n < count);
		assert_true(span_is(piece, expected[n]));
	}
	assert_int_equal(n, count);
}

static void splits(void **state)
{
	assert_pieces("a,,b", (const char *const[]){"a", "", "b"}, 3);
	assert_pieces("a,", (const char *const[]){"a", ""}, 2);
	assert_pieces(",", (const char *const[]){"", ""}, 2);
	assert_pieces("", (const char *const[]){""}, 1);
	assert_pieces("abc", (const char *const[]){"abc"}, 1);
}

static void reads_numbers(void **state)
{
	uint64_t u = 0;
	int64_t i = 0;
	assert_int_equal(span_to_u64(SPAN("18446744073709551615"), &u), 0);
	assert_true(u == UINT64_MAX);
	u = 5;
	assert_int_equal(span_to_u64(SPAN("18446744073709551616"), &u), -ERANGE);
	assert_int_equal(span_to_u64(SPAN("99999999999999999999999999999"), &u), -ERANGE);
	assert_int_equal(span_to_u64(SPAN("999999999999999999999999999x"), &u), -EINVAL);
	assert_int_equal(span_to_u64(SPAN(""), &u), -EINVAL);
	assert_int_equal(span_to_u64(none, &u), -EINVAL);
	assert_int_equal(span_to_u64(SPAN("-1"), &u), -EINVAL);
	assert_int_equal(span_to_u64(SPAN("+1"), &u), -EINVAL);
	assert_int_equal(span_to_u64(SPAN(" 1"), &u), -EINVAL);
	assert_int_equal(span_to_u64(SPAN("1 "), &u), -EINVAL);
	assert_int_equal(span_to_u64(SPAN("0x1"), &u), -EINVAL);
	assert_int_equal(u, 5);
	assert_int_equal(span_to_i64(SPAN("-9223372036854775808"), &i), 0);
	assert_true(i == INT64_MIN);
	assert_int_equal(span_to_i64(SPAN("9223372036854775807"), &i), 0);
	assert_true(i == INT64_MAX);
	assert_int_equal(span_to_i64(SPAN("9223372036854775808"), &i), -ERANGE);
	assert_int_equal(span_to_i64(SPAN("-9223372036854775809"), &i), -ERANGE);
	assert_int_equal(span_to_i64(SPAN("-"), &i), -EINVAL);
	assert_int_equal(span_to_i64(SPAN("--1"), &i), -EINVAL);
	assert_true(i == INT64_MAX);
	assert_int_equal(span_to_i64(SPAN("-007"), &i), 0);
	assert_true(i == -7);
}

static size_t encode_utf8(uint32_t c, char *out)
{
	if (c < 0x80) {
		out[0] = (char)c;
		return 1;
	}
	if (c < 0x800) {
		out[0] = (char)(0xc0 | c >> 6);
		out[1] = (char)(0x80 | (c & 0x3f));
		return 2;
	}
	if (c < 0x10000) {
		out[0] = (char)(0xe0 | c >> 12);
		out[1] = (char)(0x80 | (c >> 6 & 0x3f));
		out[2] = (char)(0x80 | (c & 0x3f));
		return 3;
	}
	out[0] = (char)(0xf0 | c >> 18);
	out[1] = (char)(0x80 | (c >> 12 & 0x3f));
	out[2] = (char)(0x80 | (c >> 6 & 0x3f));
	out[3] = (char)(0x80 | (c & 0x3f));
	return 4;
}

static void utf8_takes_exactly_the_scalar_values(void **state)
{
	for (uint32_t c = 0; c < 0x120000; c++) {
		char text[8];
		size_t n = encode_utf8(c, text);
		bool scalar = c < 0xd800 || (c > 0xdfff && c < 0x110000);
		assert_int_equal(span_utf8_bad(span_of(text, n)), scalar ? -1 : 0);
		if (n > 1)
			assert_int_equal(span_utf8_bad(span_of(text, n - 1)), 0);
	}
}

static void utf8_says_where(void **state)
{
	assert_int_equal(span_utf8_bad(SPAN("")), -1);
	assert_int_equal(span_utf8_bad(none), -1);
	assert_int_equal(span_utf8_bad(SPAN("0123456789\xff")), 10);
	assert_int_equal(span_utf8_bad(SPAN("01234567\xe2\x82\xac\xe2\x82")), 11);
	assert_int_equal(span_utf8_bad(SPAN("\xc0\x80")), 0); /* overlong NUL */
	assert_int_equal(span_utf8_bad(SPAN("\xe0\x9f\xbf")), 0); /* overlong */
	assert_int_equal(span_utf8_bad(SPAN("\xf0\x8f\xbf\xbf")), 0); /* overlong */
	assert_int_equal(span_utf8_bad(SPAN("a\x80")), 1);
}

static void duplicates(void **state)
{
	char *copy = span_dup(SPAN("ab"));
	assert_string_equal(copy, "ab");
	free(copy);
	copy = span_dup(none);
	assert_string_equal(copy, "");
	free(copy);
}

static void formats(void **state)
{
	char text[32];
	snprintf(text, sizeof(text), "[" SPAN_FMT "][" SPAN_FMT "]", SPAN_ARG(SPAN("xy")),
		SPAN_ARG(none));
	assert_string_equal(text, "[xy][]");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(compares),
		cmocka_unit_test(cuts),
		cmocka_unit_test(finds),
		cmocka_unit_test(splits),
		cmocka_unit_test(reads_numbers),
		cmocka_unit_test(utf8_takes_exactly_the_scalar_values),
		cmocka_unit_test(utf8_says_where),
		cmocka_unit_test(duplicates),
		cmocka_unit_test(formats),
	};
	return cmocka_run_group_tests_name("base", tests, NULL, NULL);
}
