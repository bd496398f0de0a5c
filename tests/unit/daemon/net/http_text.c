/* SPDX-License-Identifier: AGPL-3.0-only */
#include "daemon/net/http.h"
#include "daemon/net/http_char.h"
#include "tests/tap.h"
#include <errno.h>

static bool is_alnum(int c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool one_of(int c, const char *set)
{
	return c && strchr(set, c);
}

/* The table, once more, from the grammar. */
static unsigned sets_of(int c)
{
	bool print = c == '\t' || (c >= 0x20 && c <= 0x7e);
	unsigned sets = 0;

	sets |= is_alnum(c) || one_of(c, "!#$%&'*+-.^_`|~") ? CHAR_TOKEN : 0u;
	sets |= is_alnum(c) || one_of(c, "-._~%!$&'()*+,;=:@/?[]") ? CHAR_TARGET : 0u;
	sets |= print ? CHAR_PRINT : 0u;
	sets |= print || c >= 0x80 ? CHAR_VALUE : 0u;
	sets |= is_alnum(c) || one_of(c, "-._~") ? CHAR_HOST | CHAR_UNRESERVED : 0u;
	sets |= one_of(c, "0123456789abcdefABCDEF") ? CHAR_HEX : 0u;
	sets |= is_alnum(c) || one_of(c, "-._~+/") ? CHAR_B64TOKEN : 0u;
	return sets;
}

static void the_table_of_bytes_is_the_grammar(void **state)
{
	for (int c = 0; c < 256; c++) {
		if (http_chars[c] != sets_of(c))
			fail_msg("byte 0x%02x", (unsigned)c);
	}
}

static void dates(void **state)
{
	char text[HTTP_DATE_BYTES];

	http_date(INT64_C(784111777) * NS_PER_S, text);
	assert_string_equal(text, "Sun, 06 Nov 1994 08:49:37 GMT");
	http_date(0, text);
	assert_string_equal(text, "Thu, 01 Jan 1970 00:00:00 GMT");
	http_date(INT64_C(1709164799) * NS_PER_S, text);
	assert_string_equal(text, "Wed, 28 Feb 2024 23:59:59 GMT");
}

static struct http_head *parse(const char *text)
{
	static struct http_head head;
	struct http_fault fault;

	assert_int_equal(http_parse_request(span_cstr(text), &head, &fault), 0);
	return &head;
}

static void headers_are_found_in_any_case(void **state)
{
	struct http_head *h = parse("GET / HTTP/1.1\r\nhost: a\r\nX-One: 1\r\nx-two: a\r\n"
				    "X-TWO: b, c\r\n\r\n");
	struct span value = {0};

	assert_true(span_is(http_header_get(h, "HOST"), "a"));
	assert_true(span_is(http_header_get(h, "x-Two"), "a"));
	assert_null(http_header_get(h, "x-none").p);
	assert_int_equal(http_header_once(h, "x-one", &value), 0);
	assert_true(span_is(value, "1"));
	assert_int_equal(http_header_once(h, "x-none", &value), HTTP_ABSENT);
	assert_int_equal(http_header_once(h, "X-Two", &value), -EBADMSG);
	assert_non_null(strstr(err_message(-EBADMSG), "X-Two stands 2 times"));
	err_clear();
	assert_true(http_header_has_token(h, "x-two", "C"));
	assert_true(http_header_has_token(h, "x-two", "a"));
	assert_false(http_header_has_token(h, "x-two", "b, c"));
}

static void what_we_write_is_checked(void **state)
{
	assert_true(http_valid_token(SPAN("X-Request_ID")));
	assert_false(http_valid_token(SPAN("")));
	assert_false(http_valid_token(SPAN("a b")));
	assert_false(http_valid_token(SPAN("a:")));
	assert_true(http_valid_value(SPAN("")));
	assert_true(http_valid_value(SPAN("text/plain; charset=utf-8")));
	assert_false(http_valid_value(SPAN("a\r\nSet-Cookie: b")));
	assert_false(http_valid_value(SPAN("a\nb")));
	assert_false(http_valid_value(SPAN("a\0b")));
}

static void names_of_methods_and_statuses(void **state)
{
	for (int m = 0; m < HTTP_OTHER; m++) {
		struct span name = span_cstr(http_method_name((enum http_method)m));
		assert_int_equal(http_method_parse(name), m);
	}
	assert_int_equal(http_method_parse(SPAN("get")), HTTP_OTHER);
	assert_int_equal(http_method_parse(SPAN("")), HTTP_OTHER);
	assert_string_equal(http_status_text(404), "Not Found");
	assert_string_equal(http_status_text(299), "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_table_of_bytes_is_the_grammar),
		cmocka_unit_test(dates),
		cmocka_unit_test(headers_are_found_in_any_case),
		cmocka_unit_test(what_we_write_is_checked),
		cmocka_unit_test(names_of_methods_and_statuses),
	};

	return cmocka_run_group_tests_name("net", tests, NULL, NULL);
}
