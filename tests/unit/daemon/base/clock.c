/* SPDX-License-Identifier: AGPL-3.0-only */
#include "daemon/base/base.h"
#include "tests/tap.h"
#include "tests/unit/mutate.h"
#include <errno.h>
#include <time.h>

static void clocks_run(void **state)
{
	int64_t mono = clock_mono_ns();
	assert_true(clock_mono_ns() >= mono);
	assert_true(clock_wall_ns() > INT64_C(1700000000) * NS_PER_S);
}

static void writes_rfc3339(void **state)
{
	static const struct {
		int64_t ns;
		int digits;
		const char *text;
	} cases[] = {
		{0, 0, "1970-01-01T00:00:00Z"},
		{-1, 9, "1969-12-31T23:59:59.999999999Z"},
		{INT64_C(1771338721123456789), 3, "2026-02-17T14:32:01.123Z"},
		{INT64_C(1771338721123456789), 6, "2026-02-17T14:32:01.123456Z"},
		{INT64_C(1771338721123456789), 9, "2026-02-17T14:32:01.123456789Z"},
		{INT64_C(951782400) * NS_PER_S, 0, "2000-02-29T00:00:00Z"},
		{INT64_C(4107542399) * NS_PER_S, 0, "2100-02-28T23:59:59Z"},
		{INT64_C(4107542400) * NS_PER_S, 0, "2100-03-01T00:00:00Z"},
		{INT64_MAX, 9, "2262-04-11T23:47:16.854775807Z"},
		{INT64_MIN, 9, "1677-09-21T00:12:43.145224192Z"},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char text[CLOCK_RFC3339_BYTES];
		int64_t back = 1;
		clock_rfc3339(cases[i].ns, cases[i].digits, text);
		assert_string_equal(text, cases[i].text);
		if (cases[i].digits != 9)
			continue;
		assert_int_equal(clock_parse_rfc3339(span_cstr(text), &back), 0);
		assert_true(back == cases[i].ns);
	}
}

static void agrees_with_the_c_library(void **state)
{
	for (int64_t s = -9000000000; s < 9000000000; s += 7654321) {
		char text[CLOCK_RFC3339_BYTES], expected[64];
		struct tm tm;
		time_t t = s;
		gmtime_r(&t, &tm);
		strftime(expected, sizeof(expected), "%Y-%m-%dT%H:%M:%SZ", &tm);
		clock_rfc3339(s * NS_PER_S, 0, text);
		assert_string_equal(text, expected);
	}
}

static void reads_rfc3339(void **state)
{
	static const struct {
		const char *text;
		const char *utc; /* NULL: refused */
	} cases[] = {
		/* the examples of section 5.8 */
		{"1985-04-12T23:20:50.52Z", "1985-04-12T23:20:50.520000000Z"},
		{"1996-12-19T16:39:57-08:00", "1996-12-20T00:39:57.000000000Z"},
		{"1990-12-31T23:59:60Z", "1991-01-01T00:00:00.000000000Z"},
		{"1990-12-31T15:59:60-08:00", "1991-01-01T00:00:00.000000000Z"},
		{"1937-01-01T12:00:27.87+00:20", "1937-01-01T11:40:27.870000000Z"},
		{"2026-02-17t14:32:01z", "2026-02-17T14:32:01.000000000Z"},
		{"2026-02-17T14:32:01.1234567899Z", "2026-02-17T14:32:01.123456789Z"},
		{"2024-02-29T00:00:00-00:00", "2024-02-29T00:00:00.000000000Z"},
		{"2262-04-11T23:47:16.854775807Z", "2262-04-11T23:47:16.854775807Z"},
		{"1677-09-21T00:12:43.145224192Z", "1677-09-21T00:12:43.145224192Z"},
		{"2023-02-29T00:00:00Z", NULL},
		{"2100-02-29T00:00:00Z", NULL},
		{"2026-00-01T00:00:00Z", NULL},
		{"2026-13-01T00:00:00Z", NULL},
		{"2026-01-00T00:00:00Z", NULL},
		{"2026-04-31T00:00:00Z", NULL},
		{"2026-01-01T24:00:00Z", NULL},
		{"2026-01-01T00:60:00Z", NULL},
		{"2026-01-01T00:00:61Z", NULL},
		{"2026-01-01T12:00:60Z", NULL},
		{"2026-01-01T00:00:00", NULL},
		{"2026-01-01T00:00:00.Z", NULL},
		{"2026-01-01T00:00:00,5Z", NULL},
		{"2026-01-01 00:00:00Z", NULL},
		{"2026-01-01T00:00:00+0100", NULL},
		{"2026-01-01T00:00:00+24:00", NULL},
		{"2026-01-01T00:00:00+01:60", NULL},
		{"2026-1-1T00:00:00Z", NULL},
		{"+026-01-01T00:00:00Z", NULL},
		{"2026-01-01T00:00:00ZZ", NULL},
		{"2026-01-01T00:00Z", NULL},
		{"", NULL},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char text[CLOCK_RFC3339_BYTES];
		int64_t ns = 77;
		int r = clock_parse_rfc3339(span_cstr(cases[i].text), &ns);
		if (!cases[i].utc) {
			if (r != -EINVAL || ns != 77)
				fail_msg("%s: %d", cases[i].text, r);
			continue;
		}
		if (r < 0)
			fail_msg("%s: %d", cases[i].text, r);
		clock_rfc3339(ns, 9, text);
		assert_string_equal(text, cases[i].utc);
	}
	int64_t ns;
	assert_int_equal(clock_parse_rfc3339(SPAN("2262-04-11T23:47:16.854775808Z"), &ns), -ERANGE);
	assert_int_equal(clock_parse_rfc3339(SPAN("1677-09-21T00:12:43.145224191Z"), &ns), -ERANGE);
	assert_int_equal(clock_parse_rfc3339(SPAN("0000-01-01T00:00:00Z"), &ns), -ERANGE);
	assert_int_equal(clock_parse_rfc3339(SPAN("9999-12-31T23:59:59Z"), &ns), -ERANGE);
}

static void try_damaged(struct span damaged, const char *what, void *arg)
{
	int64_t ns;
	char text[CLOCK_RFC3339_BYTES];
	int r = clock_parse_rfc3339(damaged, &ns);
	if (r != 0 && r != -EINVAL && r != -ERANGE)
		fail_msg("%s: %d", what, r);
	if (r == 0)
		clock_rfc3339(ns, 9, text);
}

static void damaged_moments_never_break_it(void **state)
{
	mutate(SPAN("2026-02-17T14:32:01.123456789+01:30"), MUTATE_ALL | MUTATE_FLIP_TWO_BITS,
		try_damaged, NULL);
}

static void reads_durations(void **state)
{
	static const struct {
		const char *text;
		int r;
		int64_t ms;
	} cases[] = {
		{"90s", 0, 90000},
		{"5m", 0, 300000},
		{"1h30m", 0, 5400000},
		{"250ms", 0, 250},
		{"2d", 0, 172800000},
		{"1d2h3m4s5ms", 0, 93784005},
		{"30", 0, 30000},
		{"0", 0, 0},
		{"0s", 0, 0},
		{"1m500ms", 0, 60500},
		{"", -EINVAL, 0},
		{"s", -EINVAL, 0},
		{"-5s", -EINVAL, 0},
		{"-5", -EINVAL, 0},
		{"+5s", -EINVAL, 0},
		{"5 s", -EINVAL, 0},
		{" 5s", -EINVAL, 0},
		{"5s ", -EINVAL, 0},
		{"1.5h", -EINVAL, 0},
		{"1h30", -EINVAL, 0},
		{"30m1h", -EINVAL, 0},
		{"1h1h", -EINVAL, 0},
		{"5S", -EINVAL, 0},
		{"5w", -EINVAL, 0},
		{"5us", -EINVAL, 0},
		{"1hm", -EINVAL, 0},
		{"9223372037s", -ERANGE, 0},
		{"9223372037", -ERANGE, 0},
		{"99999999999999999999999", -ERANGE, 0},
		{"99999999999999999999999s", -ERANGE, 0},
		{"106751d24h", -ERANGE, 0},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		int64_t ns = -7;
		int r = clock_parse_duration(span_cstr(cases[i].text), &ns);
		int64_t expected = cases[i].r ? -7 : cases[i].ms * NS_PER_MS;
		if (r != cases[i].r || ns != expected)
			fail_msg("%s: %d, %lld", cases[i].text, r, (long long)ns);
	}
	int64_t ns;
	assert_int_equal(clock_parse_duration((struct span){NULL, 0}, &ns), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(clocks_run),
		cmocka_unit_test(writes_rfc3339),
		cmocka_unit_test(agrees_with_the_c_library),
		cmocka_unit_test(reads_rfc3339),
		cmocka_unit_test(damaged_moments_never_break_it),
		cmocka_unit_test(reads_durations),
	};
	return cmocka_run_group_tests_name("base", tests, NULL, NULL);
}
