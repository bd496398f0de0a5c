/* SPDX-License-Identifier: AGPL-3.0-only */
/* Small text forms: what is written reads back, and what is read has one spelling. */
#include "daemon/base/base.h"
#include "tests/prop/random.h"
#include "tests/tap.h"
#include <errno.h>

enum { ROUNDS = 5000, MANY_ROUNDS = 20000 };

static void assert_seed(uint64_t seed, bool holds, const char *what)
{
	if (!holds)
		fail_msg("seed %llu: %s", (unsigned long long)seed, what);
}

static void base64_reads_back(void **state)
{
	for_each_seed (seed, ROUNDS) {
		struct random r = {seed};
		char bytes[64];
		size_t n = random_below(&r, sizeof(bytes));
		enum base64_variant v = random_chance(&r, 2) ? BASE64_URL : BASE64_STANDARD;
		struct buf text CLEANUP(buf_fini) = buf_init(128);
		struct buf back CLEANUP(buf_fini) = buf_init(64);
		random_bytes(&r, bytes, n);
		base64_encode(&text, span_of(bytes, n), v);
		assert_seed(seed, base64_decode(&back, buf_view(&text), v) == 0, "refused");
		assert_seed(seed, span_eq(buf_view(&back), span_of(bytes, n)), "changed");
	}
}

static void base64_has_one_spelling(void **state)
{
	static const char letters[] = "AQgw+/-_=AZaz09";
	size_t accepted = 0;
	for_each_seed (seed, MANY_ROUNDS) {
		struct random r = {seed};
		char text[12];
		size_t n = random_below(&r, sizeof(text));
		enum base64_variant v = random_chance(&r, 2) ? BASE64_URL : BASE64_STANDARD;
		struct buf bytes CLEANUP(buf_fini) = buf_init(64);
		struct buf again CLEANUP(buf_fini) = buf_init(64);
		for (size_t i = 0; i < n; i++)
			text[i] = letters[random_below(&r, sizeof(letters) - 1)];
		if (base64_decode(&bytes, span_of(text, n), v) < 0)
			continue;
		accepted += n > 0;
		base64_encode(&again, buf_view(&bytes), v);
		assert_seed(seed, span_eq(buf_view(&again), span_of(text, n)), "two spellings");
	}
	assert_true(accepted > 0 || getenv("AEGIS_SEED"));
}

static void hex_and_uuid_read_back(void **state)
{
	for_each_seed (seed, ROUNDS) {
		struct random r = {seed};
		uint8_t bytes[16], back[16];
		char text[UUID_TEXT_BYTES];
		struct uuid u;
		struct buf b CLEANUP(buf_fini) = buf_init(64);
		random_bytes(&r, bytes, sizeof(bytes));
		hex_encode(&b, span_of(bytes, sizeof(bytes)));
		assert_seed(seed, hex_decode(buf_view(&b), back, sizeof(back)) == 0, "hex refused");
		assert_seed(seed, memcmp(bytes, back, sizeof(back)) == 0, "hex changed");
		struct uuid original = uuid_from_random(bytes);
		uuid_text(original, text);
		assert_seed(seed, uuid_parse(span_cstr(text), &u) == 0, "uuid refused");
		assert_seed(seed, uuid_eq(u, original), "uuid changed");
	}
}

static void moments_read_back(void **state)
{
	static const int64_t units[] = {NS_PER_S, 0, 0, NS_PER_MS, 0, 0, NS_PER_US, 0, 0, 1};
	for_each_seed (seed, ROUNDS) {
		struct random r = {seed};
		char text[CLOCK_RFC3339_BYTES];
		int64_t ns = random_i64(&r), back;
		int digits = (int)random_below(&r, 4) * 3;
		int64_t unit = units[digits];
		int64_t down = ns % unit < 0 ? ns % unit + unit : ns % unit;
		if (ns < INT64_MIN + unit)
			continue;
		clock_rfc3339(ns, digits, text);
		assert_seed(seed, clock_parse_rfc3339(span_cstr(text), &back) == 0, "refused");
		assert_seed(seed, back == ns - down, "changed");
	}
}

static void offsets_shift_moments(void **state)
{
	for_each_seed (seed, ROUNDS) {
		struct random r = {seed};
		char text[CLOCK_RFC3339_BYTES];
		int64_t s = random_i64(&r) % INT64_C(4000000000), back = 0;
		int hours = (int)random_below(&r, 24), minutes = (int)random_below(&r, 60);
		bool west = random_chance(&r, 2);
		struct buf b CLEANUP(buf_fini) = buf_init(64);
		clock_rfc3339(s * NS_PER_S, 0, text);
		buf_printf(&b, "%.19s%c%02d:%02d", text, west ? '-' : '+', hours, minutes);
		assert_seed(seed, clock_parse_rfc3339(buf_view(&b), &back) == 0, "refused");
		int64_t shift = (hours * INT64_C(3600) + minutes * INT64_C(60)) * (west ? 1 : -1);
		assert_seed(seed, back == (s + shift) * NS_PER_S, "wrong moment");
	}
}

static void durations_add_up(void **state)
{
	static const struct {
		const char *name;
		int64_t ns;
	} units[] = {{"d", 86400 * NS_PER_S}, {"h", 3600 * NS_PER_S}, {"m", 60 * NS_PER_S},
		{"s", NS_PER_S}, {"ms", NS_PER_MS}};
	for_each_seed (seed, ROUNDS) {
		struct random r = {seed};
		int64_t expected = 0, ns = 0;
		struct buf b CLEANUP(buf_fini) = buf_init(128);
		for (size_t i = 0; i < ARRAY_LEN(units); i++) {
			if (random_chance(&r, 2))
				continue;
			unsigned amount = (unsigned)random_below(&r, 10000);
			buf_printf(&b, "%u%s", amount, units[i].name);
			expected += amount * units[i].ns;
		}
		int r2 = clock_parse_duration(buf_view(&b), &ns);
		assert_seed(seed, r2 == (b.len ? 0 : -EINVAL), "refused");
		assert_seed(seed, ns == expected, "wrong sum");
	}
}

static void integers_read_back(void **state)
{
	for_each_seed (seed, ROUNDS) {
		struct random r = {seed};
		int64_t v = random_i64(&r), back = 0;
		uint64_t u = random_u64(&r) >> random_below(&r, 64), back_u = 0;
		struct buf b CLEANUP(buf_fini) = buf_init(64);
		buf_printf(&b, "%lld", (long long)v);
		assert_seed(seed, span_to_i64(buf_view(&b), &back) == 0 && back == v, "signed");
		buf_reset(&b);
		buf_printf(&b, "%llu", (unsigned long long)u);
		assert_seed(
			seed, span_to_u64(buf_view(&b), &back_u) == 0 && back_u == u, "unsigned");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(base64_reads_back),
		cmocka_unit_test(base64_has_one_spelling),
		cmocka_unit_test(hex_and_uuid_read_back),
		cmocka_unit_test(moments_read_back),
		cmocka_unit_test(offsets_shift_moments),
		cmocka_unit_test(durations_add_up),
		cmocka_unit_test(integers_read_back),
	};
	return cmocka_run_group_tests_name("base", tests, NULL, NULL);
}
