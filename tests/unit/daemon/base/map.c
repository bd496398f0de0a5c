/* SPDX-License-Identifier: AGPL-3.0-only */
#include "daemon/base/base.h"
#include "tests/tap.h"
#include <errno.h>
#include <stdio.h>

static void finds_what_was_put(void **state)
{
	enum { COUNT = 1000 };
	static char keys[COUNT][16];
	struct map m CLEANUP(map_fini);
	map_init(&m, COUNT);
	assert_null(map_get(&m, SPAN("x")));
	assert_null(map_remove(&m, SPAN("x")));
	for (int i = 0; i < COUNT; i++) {
		snprintf(keys[i], sizeof(keys[i]), "k%d", i);
		assert_int_equal(map_put(&m, span_cstr(keys[i]), keys[i]), 0);
	}
	assert_int_equal(m.count, COUNT);
	for (int i = 0; i < COUNT; i++)
		assert_ptr_equal(map_get(&m, span_cstr(keys[i])), keys[i]);
	assert_null(map_get(&m, SPAN("k1000")));
	for (int i = 0; i < COUNT; i += 2)
		assert_ptr_equal(map_remove(&m, span_cstr(keys[i])), keys[i]);
	for (int i = 0; i < COUNT; i++)
		assert_ptr_equal(map_get(&m, span_cstr(keys[i])), i % 2 ? keys[i] : NULL);
	size_t seen = 0;
	map_for_each (slot, &m) {
		assert_ptr_equal(slot->value, slot->key.p);
		seen++;
	}
	assert_int_equal(seen, COUNT / 2);
}

static void refuses_duplicates_and_too_many(void **state)
{
	struct map m CLEANUP(map_fini);
	int value = 0;
	map_init(&m, 2);
	assert_int_equal(map_put(&m, SPAN("a"), &value), 0);
	assert_int_equal(map_put(&m, SPAN("a"), &value), -EEXIST);
	assert_int_equal(map_put(&m, SPAN("b"), &value), 0);
	assert_int_equal(map_put(&m, SPAN("c"), &value), -ENOSPC);
	assert_string_equal(err_message(-ENOSPC), "2 entries are the most that fit");
	assert_ptr_equal(map_remove(&m, SPAN("a")), &value);
	assert_int_equal(map_put(&m, SPAN("c"), &value), 0);
}

static void the_empty_key_is_a_key(void **state)
{
	struct map m CLEANUP(map_fini);
	int value = 0;
	map_init(&m, 10);
	assert_int_equal(map_put(&m, (struct span){NULL, 0}, &value), 0);
	assert_ptr_equal(map_get(&m, SPAN("")), &value);
	assert_int_equal(map_put(&m, SPAN(""), &value), -EEXIST);
	assert_ptr_equal(map_remove(&m, (struct span){NULL, 0}), &value);
	assert_int_equal(m.count, 0);
}

static void hash_is_siphash_2_4(void **state)
{
	/* The reference vector of the SipHash paper, appendix A. */
	uint8_t key[16], text[15];
	for (size_t i = 0; i < sizeof(key); i++)
		key[i] = (uint8_t)i;
	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = (uint8_t)i;
	map_hash_fix_key(key);
	assert_true(map_hash(span_of(text, sizeof(text))) == UINT64_C(0xa129ca6149be45e5));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finds_what_was_put),
		cmocka_unit_test(refuses_duplicates_and_too_many),
		cmocka_unit_test(the_empty_key_is_a_key),
		cmocka_unit_test(hash_is_siphash_2_4),
	};
	return cmocka_run_group_tests_name("base", tests, NULL, NULL);
}
