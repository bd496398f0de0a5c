/* SPDX-License-Identifier: AGPL-3.0-only */
#include "tests/unit/mutate.h"
#include "tests/tap.h"

struct seen {
	struct span valid;
	size_t calls;
	bool prefix; /* "ab" was among them */
	bool doubled; /* "abbc" was among them */
};

static void look(struct span damaged, const char *what, void *arg)
{
	struct seen *seen = arg;
	assert_false(span_eq(damaged, seen->valid));
	assert_true(strlen(what) > 0);
	seen->calls++;
	seen->prefix = seen->prefix || span_is(damaged, "ab");
	seen->doubled = seen->doubled || span_is(damaged, "abbc");
}

static void counts_each_kind(void **state)
{
	struct seen seen = {.valid = SPAN("abc")};
	assert_int_equal(mutate(seen.valid, MUTATE_FLIP_BIT, look, &seen), 24);
	assert_int_equal(mutate(seen.valid, MUTATE_FLIP_TWO_BITS, look, &seen), 276);
	assert_int_equal(mutate(seen.valid, MUTATE_FLIP_BYTE, look, &seen), 3);
	assert_int_equal(mutate(seen.valid, MUTATE_DROP_BYTE, look, &seen), 3);
	assert_int_equal(mutate(seen.valid, MUTATE_DOUBLE_BYTE, look, &seen), 3);
	assert_int_equal(mutate(seen.valid, MUTATE_SWAP_BYTES, look, &seen), 2);
	assert_false(seen.prefix && !seen.doubled);
	assert_int_equal(mutate(seen.valid, MUTATE_CUT_END, look, &seen), 3);
	assert_int_equal(mutate(seen.valid, MUTATE_CUT_START, look, &seen), 2);
	assert_true(seen.prefix && seen.doubled);
	assert_true(mutate(seen.valid, MUTATE_SET_BYTE, look, &seen) > 60);
	assert_true(seen.calls > 288);
}

static void copes_with_nothing(void **state)
{
	struct seen seen = {.valid = SPAN("")};
	assert_int_equal(mutate(seen.valid, MUTATE_ALL | MUTATE_FLIP_TWO_BITS, look, &seen), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(counts_each_kind),
		cmocka_unit_test(copes_with_nothing),
	};
	return cmocka_run_group_tests_name("base", tests, NULL, NULL);
}
