/* SPDX-License-Identifier: AGPL-3.0-only */
#include "daemon/net/url.h"
#include "tests/tap.h"
#include <errno.h>

static void assert_span(struct span got, const char *want)
{
	if (!span_is(got, want))
		fail_msg("got \"" SPAN_FMT "\", want \"%s\"", SPAN_ARG(got), want);
}

static void urls_are_taken_apart(void **state)
{
	struct url u;

	assert_int_equal(url_parse(SPAN("http://api.example:8080/v1?x=%20"), &u), 0);
	assert_false(u.is_https);
	assert_span(u.host, "api.example");
	assert_int_equal(u.port, 8080);
	assert_span(u.authority, "api.example:8080");
	assert_span(u.target, "/v1?x=%20");
	assert_int_equal(url_parse(SPAN("HTTPS://h:443"), &u), 0);
	assert_true(u.is_https);
	assert_int_equal(u.port, 443);
	assert_span(u.authority, "h");
	assert_span(u.target, "/");
	assert_int_equal(url_parse(SPAN("http://[::1]:80/"), &u), 0);
	assert_true(u.is_ipv6_literal);
	assert_span(u.host, "::1");
	assert_span(u.authority, "[::1]");
	assert_int_equal(url_parse(SPAN("https://[::1]:80/"), &u), 0);
	assert_span(u.authority, "[::1]:80");
}

static void bad_urls_are_refused(void **state)
{
	static const char *const bad[] = {
		"",
		"h",
		"/path",
		"ftp://h/",
		"http:/h",
		"http://",
		"http:///p",
		"http://:80/",
		"http://h:/",
		"http://h:0x50/",
		"http://h:65536/",
		"http://h:-1/",
		"http://u@h/",
		"http://u:p@h/",
		"http://h/a b",
		"http://h/a\r\nX: y",
		"http://h/#frag",
		"http://h#frag",
		"http://h?q",
		"http://h /",
		"http://h\\/",
		"http://[::1/",
		"http://[::1]x/",
		"http://[v1.x]/",
		"http://\xc3\xa9/",
		"http://h/\xc3\xa9",
	};
	struct url u;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		if (url_parse(span_cstr(bad[i]), &u) != -EINVAL)
			fail_msg("accepted: %s", bad[i]);
		err_clear();
	}
}

static void messages_do_not_repeat_a_query(void **state)
{
	struct url u;

	assert_int_equal(url_parse(SPAN("http://h/?key=s3cret value"), &u), -EINVAL);
	assert_null(strstr(err_message(-EINVAL), "s3cret"));
	assert_int_equal(url_parse(SPAN("http://user:s3cret@h/"), &u), -EINVAL);
	assert_null(strstr(err_message(-EINVAL), "s3cret"));
	err_clear();
}

static void decoding_is_strict(void **state)
{
	struct arena *a CLEANUP(arena_cleanup) = arena_new(4096);
	static const char *const bad[] = {
		"%", "a%4", "%4", "%zz", "%00", "a%0ab", "%0D", "%7f", "%ff", "%c3", "%ed%a0%80"};
	struct span s = {0};

	assert_int_equal(url_decode(a, SPAN("a%2Fb%c3%A9+"), &s), 0);
	assert_span(s, "a/b\xc3\xa9+");
	assert_int_equal(url_decode_form(a, SPAN("a+b%2B"), &s), 0);
	assert_span(s, "a b+");
	assert_int_equal(url_decode(a, SPAN(""), &s), 0);
	assert_span(s, "");
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		if (url_decode(a, span_cstr(bad[i]), &s) != -EINVAL)
			fail_msg("accepted: %s", bad[i]);
	}
}

static void encoding_is_undone_by_decoding(void **state)
{
	struct arena *a CLEANUP(arena_cleanup) = arena_new(4096);
	struct buf b CLEANUP(buf_fini) = buf_init(4096);
	struct span s = {0};

	url_encode(&b, SPAN("a/b c&d=\xc3\xa9~"));
	assert_string_equal(buf_cstr(&b), "a%2Fb%20c%26d%3D%C3%A9~");
	assert_int_equal(url_decode(a, buf_view(&b), &s), 0);
	assert_span(s, "a/b c&d=\xc3\xa9~");
}

static void queries(void **state)
{
	struct arena *a CLEANUP(arena_cleanup) = arena_new(4096);
	struct span q = SPAN("limit=20&name=a+b%26&flag&off=0&dup=1&dup=2&bad=%ff&%6eame2=x&n=-3");
	struct span s = {0};
	int64_t n = 0;
	bool yes = false;

	assert_int_equal(url_query_get(a, q, "name", &s), 0);
	assert_span(s, "a b&");
	assert_int_equal(url_query_get(a, q, "name2", &s), 0);
	assert_span(s, "x");
	assert_int_equal(url_query_get(a, q, "nam", &s), URL_ABSENT);
	assert_int_equal(url_query_get(a, SPAN(""), "name", &s), URL_ABSENT);
	assert_int_equal(url_query_get(a, q, "dup", &s), -EINVAL);
	assert_non_null(strstr(err_message(-EINVAL), "dup stands twice"));
	assert_int_equal(url_query_get(a, q, "bad", &s), -EINVAL);
	assert_int_equal(url_query_i64(a, q, "limit", 1, 100, 10, &n), 0);
	assert_int_equal(n, 20);
	assert_int_equal(url_query_i64(a, q, "none", 1, 100, 10, &n), 0);
	assert_int_equal(n, 10);
	assert_int_equal(url_query_i64(a, q, "n", 0, 100, 10, &n), -ERANGE);
	assert_non_null(strstr(err_message(-ERANGE), "n is \"-3\", a number from 0 to 100"));
	assert_int_equal(url_query_i64(a, q, "name", 0, 100, 10, &n), -EINVAL);
	assert_int_equal(url_query_bool(a, q, "flag", false, &yes), 0);
	assert_true(yes);
	assert_int_equal(url_query_bool(a, q, "off", true, &yes), 0);
	assert_false(yes);
	assert_int_equal(url_query_bool(a, q, "none", true, &yes), 0);
	assert_true(yes);
	assert_int_equal(url_query_bool(a, q, "limit", true, &yes), -EINVAL);
	err_clear();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(urls_are_taken_apart),
		cmocka_unit_test(bad_urls_are_refused),
		cmocka_unit_test(messages_do_not_repeat_a_query),
		cmocka_unit_test(decoding_is_strict),
		cmocka_unit_test(encoding_is_undone_by_decoding),
		cmocka_unit_test(queries),
	};

	return cmocka_run_group_tests_name("net", tests, NULL, NULL);
}
