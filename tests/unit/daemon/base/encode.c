/* SPDX-License-Identifier: AGPL-3.0-only */
#include "daemon/base/base.h"
#include "tests/tap.h"
#include <errno.h>

static void assert_base64(struct span bytes, enum base64_variant v, const char *text)
{
	struct buf b CLEANUP(buf_fini) = buf_init(64);
	base64_encode(&b, bytes, v);
	assert_string_equal(buf_cstr(&b), text);
	buf_reset(&b);
	buf_puts(&b, "before:");
	assert_int_equal(base64_decode(&b, span_cstr(text), v), 0);
	assert_true(span_starts(buf_view(&b), SPAN("before:")));
	assert_true(span_eq(span_sub(buf_view(&b), 7, b.len), bytes));
}

static void vectors_of_rfc_4648(void **state)
{
	static const struct {
		const char *bytes, *standard, *url;
	} cases[] = {
		{"", "", ""},
		{"f", "Zg==", "Zg"},
		{"fo", "Zm8=", "Zm8"},
		{"foo", "Zm9v", "Zm9v"},
		{"foob", "Zm9vYg==", "Zm9vYg"},
		{"fooba", "Zm9vYmE=", "Zm9vYmE"},
		{"foobar", "Zm9vYmFy", "Zm9vYmFy"},
		{"\xfb\xff\xfe", "+//+", "-__-"},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		assert_base64(span_cstr(cases[i].bytes), BASE64_STANDARD, cases[i].standard);
		assert_base64(span_cstr(cases[i].bytes), BASE64_URL, cases[i].url);
	}
}

static void base64_is_strict(void **state)
{
	static const struct {
		struct span text;
		enum base64_variant v;
	} cases[] = {
		{SPAN("Zg"), BASE64_STANDARD},
		{SPAN("Zg="), BASE64_STANDARD},
		{SPAN("Zg==="), BASE64_STANDARD},
		{SPAN("Z==="), BASE64_STANDARD},
		{SPAN("===="), BASE64_STANDARD},
		{SPAN("="), BASE64_STANDARD},
		{SPAN("Zh=="), BASE64_STANDARD}, /* spare bits set */
		{SPAN("Zm9="), BASE64_STANDARD}, /* spare bits set */
		{SPAN("Zg==Zg=="), BASE64_STANDARD},
		{SPAN("Zm 9v"), BASE64_STANDARD},
		{SPAN("Zm9v\n"), BASE64_STANDARD},
		{SPAN("-__-"), BASE64_STANDARD},
		{SPAN("Zm9\0"), BASE64_STANDARD},
		{SPAN("Zm9\xff"), BASE64_STANDARD},
		{SPAN("Zg=="), BASE64_URL},
		{SPAN("Z"), BASE64_URL},
		{SPAN("Zm9vY"), BASE64_URL},
		{SPAN("Zh"), BASE64_URL},
		{SPAN("+//+"), BASE64_URL},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct buf b CLEANUP(buf_fini) = buf_init(64);
		buf_puts(&b, "kept");
		if (base64_decode(&b, cases[i].text, cases[i].v) != -EINVAL)
			fail_msg("%.*s", SPAN_ARG(cases[i].text));
		assert_true(span_is(buf_view(&b), "kept"));
	}
}

static void a_full_buffer_is_an_error(void **state)
{
	struct buf b CLEANUP(buf_fini) = buf_init(3);
	assert_int_equal(base64_decode(&b, SPAN("Zm9vYg=="), BASE64_STANDARD), -E2BIG);
	buf_reset(&b);
	base64_encode(&b, SPAN("x"), BASE64_STANDARD);
	assert_int_equal(buf_error(&b), -E2BIG);
	buf_reset(&b);
	hex_encode(&b, SPAN("xy"));
	assert_int_equal(buf_error(&b), -E2BIG);
}

static void hexadecimal(void **state)
{
	struct buf b CLEANUP(buf_fini) = buf_init(64);
	uint8_t bytes[4] = {9, 9, 9, 9};
	hex_encode(&b, SPAN("\x00\x7f\xab\xff"));
	assert_string_equal(buf_cstr(&b), "007fabff");
	assert_int_equal(hex_decode(SPAN("0aBcfF00"), bytes, 4), 0);
	assert_memory_equal(bytes, "\x0a\xbc\xff\x00", 4);
	assert_int_equal(hex_decode(SPAN("0aBcfF"), bytes, 4), -EINVAL);
	assert_int_equal(hex_decode(SPAN("0aBcfF0000"), bytes, 4), -EINVAL);
	assert_int_equal(hex_decode(SPAN("0aBcfF0"), bytes, 4), -EINVAL);
	assert_int_equal(hex_decode(SPAN("ffffffxf"), bytes, 4), -EINVAL);
	assert_int_equal(hex_decode(SPAN("ffffff 1"), bytes, 4), -EINVAL);
	assert_memory_equal(bytes, "\x0a\xbc\xff\x00", 4);
	assert_int_equal(hex_decode(SPAN(""), bytes, 0), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(vectors_of_rfc_4648),
		cmocka_unit_test(base64_is_strict),
		cmocka_unit_test(a_full_buffer_is_an_error),
		cmocka_unit_test(hexadecimal),
	};
	return cmocka_run_group_tests_name("base", tests, NULL, NULL);
}
