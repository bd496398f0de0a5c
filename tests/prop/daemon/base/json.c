/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * One random document is written in two styles (blanks, escapes, order of members). Whatever the
 * style, it means the same, has one canonical form, and survives every way of writing it again.
 */
#include "daemon/base/base.h"
#include "tests/prop/random.h"
#include "tests/tap.h"
#include <math.h>

enum {
	ROUNDS = 400,
	NUMBER_ROUNDS = 8000,
	ARENA_BYTES = 16 << 20,
	TEXT_BYTES = 4 << 20,
	DEPTH = 6,
	MEMBERS = 40,
};

struct style {
	struct random random;
	bool plain; /* no blanks, no needless escapes, members in their order */
};

static void put_blanks(struct buf *b, struct style *s)
{
	while (!s->plain && random_chance(&s->random, 4))
		buf_putc(b, " \t\r\n"[random_below(&s->random, 4)]);
}

static void put_escaped(struct buf *b, struct style *s, uint32_t c)
{
	const char *fmt = random_chance(&s->random, 2) ? "\\u%04x" : "\\u%04X";
	if (c < 0x10000) {
		buf_printf(b, fmt, c);
		return;
	}
	buf_printf(b, fmt, 0xd800 + ((c - 0x10000) >> 10));
	buf_printf(b, fmt, 0xdc00 + ((c - 0x10000) & 0x3ff));
}

static void put_char(struct buf *b, struct style *s, uint32_t c)
{
	bool must = c < 0x20 || c == '"' || c == '\\';
	if (must || (!s->plain && random_chance(&s->random, 6))) {
		put_escaped(b, s, c);
	} else if (c < 0x80) {
		buf_putc(b, (char)c);
	} else if (c < 0x800) {
		buf_printf(b, "%c%c", (int)(0xc0 | c >> 6), (int)(0x80 | (c & 0x3f)));
	} else if (c < 0x10000) {
		buf_printf(b, "%c%c%c", (int)(0xe0 | c >> 12), (int)(0x80 | (c >> 6 & 0x3f)),
			(int)(0x80 | (c & 0x3f)));
	} else {
		buf_printf(b, "%c%c%c%c", (int)(0xf0 | c >> 18), (int)(0x80 | (c >> 12 & 0x3f)),
			(int)(0x80 | (c >> 6 & 0x3f)), (int)(0x80 | (c & 0x3f)));
	}
}

static uint32_t some_char(struct random *r)
{
	static const uint32_t tops[] = {0x20, 0x80, 0x80, 0x80, 0x800, 0x10000, 0x110000};
	uint32_t c = (uint32_t)random_below(r, tops[random_below(r, ARRAY_LEN(tops))]);
	return c >= 0xd800 && c <= 0xdfff ? 0xfffd : c;
}

static void put_string(struct buf *b, struct style *s, struct random *r, int number)
{
	buf_putc(b, '"');
	for (size_t n = random_below(r, random_chance(r, 8) ? 200 : 12); n > 0; n--)
		put_char(b, s, some_char(r));
	if (number >= 0)
		buf_printf(b, ":%d", number); /* makes keys differ */
	buf_putc(b, '"');
}

static void put_number(struct buf *b, struct random *r)
{
	buf_printf(b, "%lld", (long long)random_i64(r));
	if (random_chance(r, 3))
		buf_printf(
			b, ".%0*u", (int)random_below(r, 9) + 1, (unsigned)random_below(r, 1000));
	if (random_chance(r, 4))
		buf_printf(
			b, "%c%s%u", "eE" [random_below(r, 2)],
			(const char *const[]) { "", "+", "-" }[random_below(r, 3)],
			(unsigned)random_below(r, 400));
}

static void put_value(struct buf *b, struct style *s, uint64_t seed, int depth);

static void put_container(struct buf *b, struct style *s, struct random *r, int depth, bool object)
{
	size_t n = random_below(r, random_chance(r, 10) ? MEMBERS : 5);
	size_t first = object && n > 0 && !s->plain ? random_below(&s->random, n) : 0;
	uint64_t seed = random_u64(r);
	buf_putc(b, object ? '{' : '[');
	for (size_t k = 0; k < n; k++) {
		/* A member's content hangs on its number alone, so the order is free. */
		size_t i = (first + k) % n;
		struct random key = {seed ^ i};
		if (k > 0)
			buf_putc(b, ',');
		put_blanks(b, s);
		if (object) {
			put_string(b, s, &key, (int)i);
			put_blanks(b, s);
			buf_putc(b, ':');
		}
		put_value(b, s, seed + i * 31 + 7, depth + 1);
	}
	put_blanks(b, s);
	buf_putc(b, object ? '}' : ']');
}

static void put_value(struct buf *b, struct style *s, uint64_t seed, int depth)
{
	struct random r = {seed};
	put_blanks(b, s);
	switch (random_below(&r, depth == 0 ? 2 : depth < DEPTH ? 8 : 6)) {
	case 0:
		if (depth < DEPTH) {
			put_container(b, s, &r, depth, true);
			break;
		}
		/* fall through */
	case 1:
		if (depth < DEPTH) {
			put_container(b, s, &r, depth, false);
			break;
		}
		/* fall through */
	case 2:
		put_string(b, s, &r, -1);
		break;
	case 3:
		put_number(b, &r);
		break;
	case 4:
		buf_puts(b, random_chance(&r, 2) ? "true" : "false");
		break;
	case 5:
		buf_puts(b, "null");
		break;
	default:
		put_container(b, s, &r, depth, random_chance(&r, 2));
	}
	put_blanks(b, s);
}

static const struct json *parse(struct arena *a, uint64_t seed, const struct buf *b)
{
	const struct json *v = NULL;
	int r = json_parse(a, buf_view(b), NULL, &v);
	if (r < 0)
		fail_msg("seed %llu: %s", (unsigned long long)seed, err_message(r));
	return v;
}

static void assert_seed(uint64_t seed, bool holds, const char *what)
{
	if (!holds)
		fail_msg("seed %llu: %s", (unsigned long long)seed, what);
}

static void check_document(uint64_t seed)
{
	struct arena *a CLEANUP(arena_cleanup) = arena_new(ARENA_BYTES);
	struct buf plain CLEANUP(buf_fini) = buf_init(TEXT_BYTES);
	struct buf styled CLEANUP(buf_fini) = buf_init(TEXT_BYTES);
	struct buf out CLEANUP(buf_fini) = buf_init(TEXT_BYTES);
	struct buf canonical CLEANUP(buf_fini) = buf_init(TEXT_BYTES);
	struct buf again CLEANUP(buf_fini) = buf_init(TEXT_BYTES);
	put_value(&plain, &(struct style){{0}, true}, seed, 0);
	put_value(&styled, &(struct style){{~seed}, false}, seed, 0);
	const struct json *v = parse(a, seed, &plain), *w = parse(a, seed, &styled);
	assert_seed(seed, json_equal(v, w), "two styles are not equal");
	json_canonical(&canonical, v);
	json_canonical(&again, w);
	assert_seed(seed, span_eq(buf_view(&canonical), buf_view(&again)),
		"two styles have two canonical forms");
	buf_reset(&again);
	json_canonical(&again, parse(a, seed, &canonical));
	assert_seed(seed, span_eq(buf_view(&canonical), buf_view(&again)),
		"the canonical form of the canonical form differs");
	struct json_writer writer = json_writer(&out);
	json_put(&writer, w);
	assert_seed(seed, json_equal(v, parse(a, seed, &out)), "json_put changes the value");
	buf_reset(&out);
	json_pretty(&out, w);
	assert_seed(seed, json_equal(v, parse(a, seed, &out)), "json_pretty changes the value");
}

static void every_style_means_the_same(void **state)
{
	for_each_seed (seed, ROUNDS)
		check_document(seed);
}

static void every_member_is_found(void **state)
{
	for_each_seed (seed, ROUNDS) {
		struct arena *a CLEANUP(arena_cleanup) = arena_new(ARENA_BYTES);
		struct buf b CLEANUP(buf_fini) = buf_init(TEXT_BYTES);
		put_value(&b, &(struct style){{seed}, false}, seed, 0);
		const struct json *v = parse(a, seed, &b);
		if (v->type != JSON_OBJECT)
			continue;
		json_for_each (item, v)
			assert_seed(seed, json_get_span(v, item->key) == item, "a member is lost");
	}
}

static void numbers_read_back(void **state)
{
	for_each_seed (seed, NUMBER_ROUNDS) {
		struct random r = {seed};
		struct arena *a CLEANUP(arena_cleanup) = arena_new(4096);
		struct buf b CLEANUP(buf_fini) = buf_init(256);
		uint64_t bits = random_u64(&r);
		double d, back_d = 0;
		int64_t i = random_i64(&r), back_i = 0;
		memcpy(&d, &bits, sizeof(d));
		if (!isfinite(d))
			d = 0.5;
		struct json_writer w = json_writer(&b);
		json_array(&w);
		json_put_double(&w, d);
		json_put_i64(&w, i);
		json_end(&w);
		const struct json *v = parse(a, seed, &b);
		assert_seed(seed, json_number_double(&v->items[0], &back_d) == 0 && back_d == d,
			"a double does not read back");
		assert_seed(seed, json_number_i64(&v->items[1], &back_i) == 0 && back_i == i,
			"an integer does not read back");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_style_means_the_same),
		cmocka_unit_test(every_member_is_found),
		cmocka_unit_test(numbers_read_back),
	};
	return cmocka_run_group_tests_name("base", tests, NULL, NULL);
}
