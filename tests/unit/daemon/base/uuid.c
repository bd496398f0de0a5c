/* SPDX-License-Identifier: AGPL-3.0-only */
#include "daemon/base/base.h"
#include "tests/tap.h"
#include "tests/unit/mutate.h"
#include <errno.h>

static void new_ones_are_version_4_and_differ(void **state)
{
	struct uuid a = uuid_new(), b = uuid_new();
	assert_false(uuid_eq(a, b));
	assert_false(uuid_is_nil(a));
	assert_int_equal(a.bytes[6] >> 4, 4);
	assert_int_equal(a.bytes[8] >> 6, 2);
	uint8_t random[16];
	memset(random, 0xff, sizeof(random));
	char text[UUID_TEXT_BYTES];
	uuid_text(uuid_from_random(random), text);
	assert_string_equal(text, "ffffffff-ffff-4fff-bfff-ffffffffffff");
	memset(random, 0, sizeof(random));
	uuid_text(uuid_from_random(random), text);
	assert_string_equal(text, "00000000-0000-4000-8000-000000000000");
}

/* RFC 9562 appendix A.6: 2022-02-22T19:22:22Z. */
static void ordered_ones_sort_by_their_time(void **state)
{
	int64_t at_ns = INT64_C(1645557742000) * NS_PER_MS;
	struct uuid before = uuid_ordered(at_ns), after = uuid_ordered(at_ns + 1000);
	char text[UUID_TEXT_BYTES];
	uuid_text(before, text);
	assert_true(span_starts(span_cstr(text), SPAN("017f22e2-79b0-7000-")));
	assert_int_equal(before.bytes[8] >> 6, 2);
	assert_true(memcmp(before.bytes, after.bytes, sizeof(before.bytes)) < 0);
}

static void reads_and_writes(void **state)
{
	struct uuid u;
	char text[UUID_TEXT_BYTES];
	assert_int_equal(uuid_parse(SPAN("F81D4FAE-7dec-11D0-a765-00a0c91e6bf6"), &u), 0);
	uuid_text(u, text);
	assert_string_equal(text, "f81d4fae-7dec-11d0-a765-00a0c91e6bf6");
	assert_int_equal(uuid_parse(SPAN("00000000-0000-0000-0000-000000000000"), &u), 0);
	assert_true(uuid_is_nil(u));
}

static void refuses_other_forms(void **state)
{
	static const char *const bad[] = {
		"",
		"f81d4fae7dec11d0a76500a0c91e6bf6",
		"{f81d4fae-7dec-11d0-a765-00a0c91e6bf6}",
		"urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6",
		"f81d4fae-7dec-11d0-a765-00a0c91e6bf",
		"f81d4fae-7dec-11d0-a765-00a0c91e6bf60",
		"f81d4fae-7dec-11d0-a765-00a0c91e6bfg",
		"f81d4fae-7dec-11d0-a76500-a0c91e6bf6",
		"f81d4fae-7dec-11d0-a765_00a0c91e6bf6",
		"f81d4fae-7dec-11d0-a765-00a0c91e-bf6",
		" 81d4fae-7dec-11d0-a765-00a0c91e6bf6",
	};
	struct uuid u = {{7}};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(uuid_parse(span_cstr(bad[i]), &u), -EINVAL);
	assert_int_equal(u.bytes[0], 7);
}

static void try_damaged(struct span damaged, const char *what, void *arg)
{
	struct uuid u;
	char text[UUID_TEXT_BYTES];
	int r = uuid_parse(damaged, &u);
	if (r == 0) {
		uuid_text(u, text);
		assert_true(span_eq_nocase(damaged, span_cstr(text)));
	} else {
		assert_int_equal(r, -EINVAL);
	}
}

static void damaged_ones_never_break_it(void **state)
{
	mutate(SPAN("f81d4fae-7dec-11d0-a765-00a0c91e6bf6"), MUTATE_ALL | MUTATE_FLIP_TWO_BITS,
		try_damaged, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(new_ones_are_version_4_and_differ),
		cmocka_unit_test(ordered_ones_sort_by_their_time),
		cmocka_unit_test(reads_and_writes),
		cmocka_unit_test(refuses_other_forms),
		cmocka_unit_test(damaged_ones_never_break_it),
	};
	return cmocka_run_group_tests_name("base", tests, NULL, NULL);
}
