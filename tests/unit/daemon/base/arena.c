/* SPDX-License-Identifier: AGPL-3.0-only */
#include "daemon/base/base.h"
#include "tests/tap.h"
#include <stdalign.h>
#include <stdlib.h>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#define ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#include <sanitizer/asan_interface.h>
#define ASAN 1
#endif
#endif

static bool aligned(const void *p)
{
	return (uintptr_t)p % alignof(max_align_t) == 0;
}

static void allocations_are_zeroed_aligned_and_apart(void **state)
{
	struct arena *a CLEANUP(arena_cleanup) = arena_new(1 << 20);
	unsigned char *blocks[200];
	for (size_t i = 0; i < ARRAY_LEN(blocks); i++) {
		size_t bytes = i * 7 % 90;
		blocks[i] = arena_alloc(a, bytes);
		assert_non_null(blocks[i]);
		assert_true(aligned(blocks[i]));
		for (size_t k = 0; k < bytes; k++)
			assert_int_equal(blocks[i][k], 0);
		memset(blocks[i], (int)i, bytes);
		assert_non_null(arena_bytes(a, i % 5));
	}
	for (size_t i = 0; i < ARRAY_LEN(blocks); i++)
		for (size_t k = 0; k < i * 7 % 90; k++)
			assert_int_equal(blocks[i][k], i);
}

static void memory_is_zeroed_again_after_reset(void **state)
{
	struct arena *a CLEANUP(arena_cleanup) = arena_new(1 << 20);
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < 100; i++) {
			unsigned char *p = arena_alloc(a, 100);
			for (int k = 0; k < 100; k++)
				assert_int_equal(p[k], 0);
			memset(p, 0xff, 100);
		}
		assert_true(arena_used(a) >= 10000);
		arena_reset(a);
		assert_int_equal(arena_used(a), 0);
	}
	arena_reset(a);
}

static void the_limit_holds(void **state)
{
	struct arena *a CLEANUP(arena_cleanup) = arena_new(1000);
	assert_int_equal(arena_left(a), 1000);
	assert_null(arena_bytes(a, 1001));
	assert_null(arena_bytes(a, SIZE_MAX));
	assert_null(arena_alloc(a, SIZE_MAX - 3));
	assert_null(arena_alloc_array(a, SIZE_MAX / 4, 8));
	assert_null(arena_make_array(a, uint64_t, SIZE_MAX / 8 + 2));
	assert_non_null(arena_bytes(a, 999));
	assert_int_equal(arena_used(a), 999);
	assert_null(arena_bytes(a, 2));
	assert_null(arena_alloc(a, 1)); /* sixteen with its alignment */
	assert_non_null(arena_bytes(a, 1));
	assert_null(arena_bytes(a, 1));
	assert_null(arena_strdup(a, ""));
	assert_null(arena_printf(a, "x"));
	assert_null(arena_span(a, SPAN("x")).p);
	arena_reset(a);
	assert_non_null(arena_bytes(a, 1000));
}

static void large_blocks_and_small_ones_mix(void **state)
{
	struct arena *a CLEANUP(arena_cleanup) = arena_new(64 << 20);
	char *first = arena_bytes(a, 3 << 20);
	memset(first, 'f', 3 << 20);
	for (size_t n = 1; n < (4 << 20); n *= 2) {
		char *p = arena_alloc(a, n);
		memset(p, 'x', n);
		assert_string_equal(arena_strdup(a, "small"), "small");
	}
	assert_int_equal(first[0], 'f');
	assert_int_equal(first[(3 << 20) - 1], 'f');
	arena_reset(a);
	assert_string_equal(arena_strdup(a, "again"), "again");
}

static void copies_texts(void **state)
{
	struct arena *a CLEANUP(arena_cleanup) = arena_new(1 << 16);
	assert_string_equal(arena_strdup(a, "abc"), "abc");
	assert_string_equal(arena_cstr(a, SPAN("de")), "de");
	assert_string_equal(arena_cstr(a, (struct span){NULL, 0}), "");
	assert_true(span_eq(arena_span(a, SPAN("f\0g")), SPAN("f\0g")));
	assert_string_equal(arena_printf(a, "%s-%d", "x", 5), "x-5");
	char *text = arena_printf(a, "%5000d", 1);
	assert_int_equal(strlen(text), 5000);
	assert_null(arena_free(NULL));
}

static void what_was_not_handed_out_is_poisoned(void **state)
{
#ifdef ASAN
	struct arena *a CLEANUP(arena_cleanup) = arena_new(1 << 16);
	char *p = arena_alloc(a, 20);
	assert_false(__asan_address_is_poisoned(p + 19));
	assert_true(__asan_address_is_poisoned(p + 20));
	char *q = arena_bytes(a, 3);
	assert_false(__asan_address_is_poisoned(q + 2));
	assert_true(__asan_address_is_poisoned(q + 3));
	arena_reset(a);
	assert_true(__asan_address_is_poisoned(p));
#else
	test_skip("this build has no AddressSanitizer");
#endif
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(allocations_are_zeroed_aligned_and_apart),
		cmocka_unit_test(memory_is_zeroed_again_after_reset),
		cmocka_unit_test(the_limit_holds),
		cmocka_unit_test(large_blocks_and_small_ones_mix),
		cmocka_unit_test(copies_texts),
		cmocka_unit_test(what_was_not_handed_out_is_poisoned),
	};
	return cmocka_run_group_tests_name("base", tests, NULL, NULL);
}
