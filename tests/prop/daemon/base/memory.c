/* SPDX-License-Identifier: AGPL-3.0-only */
/* Buffers, maps, arenas and pools against models that are too simple to be wrong. */
#include "daemon/base/base.h"
#include "tests/prop/random.h"
#include "tests/tap.h"
#include <errno.h>
#include <stdio.h>

enum { ROUNDS = 200 };

static void assert_seed(uint64_t seed, bool holds, const char *what)
{
	if (!holds)
		fail_msg("seed %llu: %s", (unsigned long long)seed, what);
}

enum { BUF_BYTES = 4096 };

struct buf_model {
	char data[BUF_BYTES];
	size_t len;
	size_t max;
	bool failed;
};

static void model_put(struct buf_model *m, const char *p, size_t n)
{
	m->failed = m->failed || m->len + n > m->max;
	if (m->failed)
		return;
	memcpy(m->data + m->len, p, n);
	m->len += n;
}

static void step_buf(struct random *r, struct buf *b, struct buf_model *m)
{
	char text[300];
	size_t n = random_below(r, random_chance(r, 5) ? sizeof(text) : 20);
	memset(text, 'a' + (int)random_below(r, 26), sizeof(text));
	switch (random_below(r, 7)) {
	case 0:
		buf_put(b, text, n);
		model_put(m, text, n);
		break;
	case 1:
		buf_putc(b, text[0]);
		model_put(m, text, 1);
		break;
	case 2:
		buf_printf(b, "%.*s", (int)n, text);
		model_put(m, text, n);
		break;
	case 3: {
		char *room = buf_reserve(b, n);
		if (room)
			memcpy(room, text, n);
		if (room)
			buf_commit(b, n);
		model_put(m, text, n);
		break;
	}
	case 4:
		n = MIN(n, m->len);
		buf_consume(b, n);
		memmove(m->data, m->data + n, m->len - n);
		m->len -= n;
		break;
	case 5:
		buf_u32be(b, 0x61626364);
		model_put(m, "abcd", 4);
		break;
	default:
		if (!random_chance(r, 10))
			break;
		buf_reset(b);
		m->len = 0;
		m->failed = false;
	}
}

static void buffers_follow_the_model(void **state)
{
	static struct buf_model m;
	for_each_seed (seed, ROUNDS) {
		struct random r = {seed};
		m.len = 0;
		m.failed = false;
		m.max = random_below(&r, BUF_BYTES);
		struct buf b CLEANUP(buf_fini) = buf_init(m.max);
		for (int i = 0; i < 200; i++) {
			step_buf(&r, &b, &m);
			assert_seed(seed, span_eq(buf_view(&b), span_of(m.data, m.len)), "content");
			assert_seed(seed, (b.error == -E2BIG) == m.failed, "failure");
			assert_seed(seed, b.len <= b.cap && b.cap <= b.max, "sizes");
		}
	}
}

static void maps_follow_the_model(void **state)
{
	enum { KEYS = 300 };
	static char names[KEYS][8];
	for (size_t i = 0; i < KEYS; i++)
		snprintf(names[i], sizeof(names[i]), "%zu", i);
	for_each_seed (seed, ROUNDS) {
		struct random r = {seed};
		bool present[KEYS] = {false};
		size_t count = 0, max = random_below(&r, KEYS);
		struct map m CLEANUP(map_fini);
		map_init(&m, max);
		for (int i = 0; i < 2000; i++) {
			size_t k = random_below(&r, KEYS);
			struct span key = span_cstr(names[k]);
			if (random_chance(&r, 2)) {
				int expected = present[k] ? -EEXIST : count >= max ? -ENOSPC : 0;
				assert_seed(seed, map_put(&m, key, names[k]) == expected, "put");
				count += expected == 0;
				present[k] = present[k] || expected == 0;
			} else {
				char *expected = present[k] ? names[k] : NULL;
				assert_seed(seed, map_remove(&m, key) == expected, "remove");
				count -= present[k];
				present[k] = false;
			}
			assert_seed(seed, m.count == count, "count");
		}
		for (size_t k = 0; k < KEYS; k++)
			assert_seed(seed,
				map_get(&m, span_cstr(names[k])) == (present[k] ? names[k] : NULL),
				"get");
	}
}

/* Every allocation is filled with its number and still holds it at the end. */
static void arena_allocations_never_overlap(void **state)
{
	enum { COUNT = 300 };
	for_each_seed (seed, ROUNDS) {
		struct random r = {seed};
		static unsigned char *at[COUNT];
		static size_t bytes[COUNT];
		struct arena *a CLEANUP(arena_cleanup) = arena_new(random_below(&r, 1 << 22) + 1);
		for (int round = 0; round < 2; round++) {
			for (size_t i = 0; i < COUNT; i++) {
				size_t left = arena_left(a);
				bytes[i] = random_u64(&r) % 30000 >> random_below(&r, 15);
				bool plain = random_chance(&r, 2);
				at[i] = plain ? (void *)arena_bytes(a, bytes[i])
					      : arena_alloc(a, bytes[i]);
				size_t cost = plain ? bytes[i] : (bytes[i] + 15) / 16 * 16;
				assert_seed(seed, (at[i] == NULL) == (cost > left), "the limit");
				if (at[i])
					memset(at[i], (int)i, bytes[i]);
			}
			for (size_t i = 0; i < COUNT; i++)
				for (size_t k = 0; at[i] && k < bytes[i]; k++)
					assert_seed(seed, at[i][k] == (unsigned char)i, "overlap");
			arena_reset(a);
		}
	}
}

static void pools_never_give_an_object_twice(void **state)
{
	enum { COUNT = 100 };
	for_each_seed (seed, ROUNDS) {
		struct random r = {seed};
		struct pool p;
		uint64_t *out[COUNT];
		size_t used = 0, count = random_below(&r, COUNT) + 1;
		assert_int_equal(pool_init(&p, sizeof(uint64_t) + random_below(&r, 50), count), 0);
		for (uint64_t i = 1; i < 1000; i++) {
			if (random_chance(&r, 2)) {
				uint64_t *object = pool_get(&p);
				assert_seed(seed, (object == NULL) == (used == count), "empty");
				if (!object)
					continue;
				assert_seed(seed, *object == 0, "handed out twice or not zeroed");
				*object = i;
				out[used++] = object;
			} else if (used > 0) {
				size_t k = random_below(&r, used);
				assert_seed(seed, *out[k] != 0, "overwritten");
				pool_put(&p, out[k]);
				out[k] = out[--used];
			}
		}
		while (used > 0)
			pool_put(&p, out[--used]);
		pool_fini(&p);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(buffers_follow_the_model),
		cmocka_unit_test(maps_follow_the_model),
		cmocka_unit_test(arena_allocations_never_overlap),
		cmocka_unit_test(pools_never_give_an_object_twice),
	};
	return cmocka_run_group_tests_name("base", tests, NULL, NULL);
}
