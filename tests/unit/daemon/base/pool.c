/* SPDX-License-Identifier: AGPL-3.0-only */
#include "daemon/base/base.h"
#include "tests/tap.h"
#include "tests/unit/daemon/base/dies.h"
#include <errno.h>
#include <stdalign.h>

static void gives_each_object_once(void **state)
{
	enum { COUNT = 130, BYTES = 40 };
	struct pool p;
	unsigned char *objects[COUNT];
	assert_int_equal(pool_init(&p, BYTES, COUNT), 0);
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < COUNT; i++) {
			objects[i] = pool_get(&p);
			assert_non_null(objects[i]);
			assert_int_equal((uintptr_t)objects[i] % alignof(max_align_t), 0);
			for (int k = 0; k < BYTES; k++)
				assert_int_equal(objects[i][k], 0);
			memset(objects[i], i + 1, BYTES);
		}
		assert_null(pool_get(&p));
		assert_int_equal(p.used, COUNT);
		for (int i = 0; i < COUNT; i++)
			for (int k = 0; k < BYTES; k++)
				assert_int_equal(objects[i][k], i + 1);
		for (int i = round; i < COUNT + round; i++)
			pool_put(&p, objects[i % COUNT]);
		assert_int_equal(p.used, 0);
	}
	pool_put(&p, NULL);
	pool_fini(&p);
}

static void small_objects_work(void **state)
{
	struct pool p;
	assert_int_equal(pool_init(&p, 1, 2), 0);
	char *a = pool_get(&p), *b = pool_get(&p);
	assert_true(a && b && a != b);
	*a = *b = 1;
	pool_put(&p, a);
	char *c = pool_get(&p);
	assert_ptr_equal(a, c);
	assert_int_equal(*c, 0);
	pool_put(&p, b);
	pool_put(&p, c);
	pool_fini(&p);
	pool_fini(&p);
}

static void impossible_sizes_are_refused(void **state)
{
	struct pool p;
	assert_int_equal(pool_init(&p, SIZE_MAX - 8, 1), -ENOMEM);
	assert_int_equal(pool_init(&p, 1024, SIZE_MAX / 512), -ENOMEM);
	pool_fini(&p);
}

static void put_twice(void *arg)
{
	void *object = pool_get(arg);
	pool_put(arg, object);
	pool_put(arg, object);
}

static void put_stranger(void *arg)
{
	char stranger[64];
	pool_put(arg, stranger);
}

static void put_inside(void *arg)
{
	char *object = pool_get(arg);
	pool_put(arg, object + 16);
}

static void fini_early(void *arg)
{
	CHECK(pool_get(arg));
	pool_fini(arg);
}

static void misuse_is_a_bug(void **state)
{
	struct pool p;
	assert_int_equal(pool_init(&p, 64, 4), 0);
	assert_true(dies(put_twice, &p, NULL));
	assert_true(dies(put_stranger, &p, NULL));
	assert_true(dies(put_inside, &p, NULL));
	assert_true(dies(fini_early, &p, NULL));
	pool_fini(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(gives_each_object_once),
		cmocka_unit_test(small_objects_work),
		cmocka_unit_test(impossible_sizes_are_refused),
		cmocka_unit_test(misuse_is_a_bug),
	};
	return cmocka_run_group_tests_name("base", tests, NULL, NULL);
}
