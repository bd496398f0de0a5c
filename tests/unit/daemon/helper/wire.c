/* SPDX-License-Identifier: AGPL-3.0-only */
/* The gate: what it lets through keeps every bound that the handlers rely on. */
#include "daemon/helper/wire.h"
#include "tests/tap.h"
#include "tests/unit/mutate.h"
#include <errno.h>
#include <stdlib.h>

static _Alignas(8) char packet[16384];

static struct wire_create *create_packet(size_t *ret_bytes)
{
	static const char tail[] = "program\0argument\0A=1\0LANG=C\0";
	struct wire_create *w = (struct wire_create *)(void *)packet;
	memset(packet, 0, sizeof(packet));
	*w = (struct wire_create){
		.execution = {{1}},
		.workspace = {{1}},
		.iteration = 1,
		.argc = 2,
		.envc = 2,
		.argv_bytes = 17,
		.env_bytes = 11,
		.limits = {8 << 20, 4096, 4096, 10, 2, 16, 0},
		.runtime = "python-3.11",
		.place_count = 2,
		.places = {{{{2}}, 1, 0, "data"}, {{{3}}, 0, 0, "deep/in"}},
	};
	memcpy(w + 1, tail, 28);
	*ret_bytes = sizeof(*w) + 28;
	w->header = (struct wire_header){
		WIRE_MAGIC, WIRE_VERSION, WIRE_SANDBOX_CREATE, (uint32_t)*ret_bytes, 0, 1};
	return w;
}

static int check(const void *p, size_t n)
{
	const struct wire_rule *rule;
	return wire_check(p, n, 0, true, &rule);
}

static void test_valid_create(void **state)
{
	size_t n;
	create_packet(&n);
	assert_int_equal(check(packet, n), 0);
}

/* Whatever damage still passes has not escaped a bound. */
static void damaged_create(struct span damaged, const char *what, void *arg)
{
	int *passed = arg;
	struct wire_create *w = malloc(damaged.n ? damaged.n : 1);
	assert_non_null(w);
	memcpy(w, damaged.p, damaged.n);
	int r = check(w, damaged.n);
	if (r != 0) {
		assert_int_equal(r, -EPROTO);
		err_clear();
	} else if (w->header.type == WIRE_SANDBOX_CREATE) {
		(*passed)++;
		assert_true(w->iteration >= 1 && w->iteration <= HELPER_ITERATION_MAX);
		assert_true(w->place_count <= HELPER_PLACES_MAX);
		for (size_t i = 0; i < w->place_count; i++)
			assert_true(wire_place_ok(w->places[i].at, sizeof(w->places[i].at)));
		assert_int_equal(sizeof(*w) + w->argv_bytes + w->env_bytes, damaged.n);
		assert_true(memchr(w->runtime, 0, sizeof(w->runtime)) != NULL);
		assert_null(strchr(w->runtime, '/'));
		assert_true(w->limits.pids >= 2 && w->limits.cpu_millis >= 10);
		assert_true(w->limits.memory_bytes >= 8 << 20);
		const char *s = (const char *)(w + 1);
		assert_true(wire_strings_ok(s, w->argv_bytes, w->argc));
		assert_true(wire_strings_ok(s + w->argv_bytes, w->env_bytes, w->envc));
	}
	free(w);
}

static void test_damaged_create(void **state)
{
	size_t n;
	int passed = 0;
	create_packet(&n);
	assert_true(mutate(span_of(packet, n), MUTATE_ALL, damaged_create, &passed) > 1000);
	assert_true(passed > 0); /* other ids, other letters */
}

/* One byte more or less, descriptors, before HELLO: refused for every type. */
static void test_every_rule(void **state)
{
	const struct wire_rule *rule;
	for (unsigned type = 0; type < 70000; type++) {
		if (type < WIRE_TYPE_END && wire_rule(type))
			continue;
		struct wire_header *h = (struct wire_header *)(void *)packet;
		*h = (struct wire_header){
			WIRE_MAGIC, WIRE_VERSION, (uint16_t)type, sizeof(*h), 0, 1};
		if (type <= UINT16_MAX)
			assert_int_equal(check(packet, sizeof(*h)), -EPROTO);
		assert_null(wire_rule(type));
	}
	for (unsigned type = WIRE_HELLO; type < WIRE_TYPE_END; type++) {
		assert_non_null(wire_rule(type));
		assert_true(wire_rule(type)->bytes >= sizeof(struct wire_header));
		assert_true(wire_rule(type)->bytes + wire_rule(type)->tail_max <= WIRE_PACKET_MAX);
		assert_int_equal(wire_rule(type)->permission == WIRE_FIRST, type == WIRE_HELLO);
	}
	size_t n;
	create_packet(&n);
	assert_int_equal(wire_check(packet, n, 1, true, &rule), -EPROTO);
	assert_int_equal(wire_check(packet, n, 0, false, &rule), -EPROTO);
	err_clear();
}

static void test_limits(void **state)
{
	const struct wire_limits least = {8 << 20, 4096, 4096, 10, 2, 16, 0};
	const struct wire_limits most = {
		UINT64_C(1) << 40, UINT64_C(1) << 40, INT64_MAX, 1024000, 32768, 1048576, 0};
	assert_int_equal(wire_check_limits(&least), 0);
	assert_int_equal(wire_check_limits(&most), 0);
	for (size_t i = 0; i < 3; i++) {
		struct wire_limits low = least, high = most;
		((uint64_t *)(void *)&low)[i]--;
		((uint64_t *)(void *)&high)[i]++;
		assert_int_equal(wire_check_limits(&low), -ERANGE);
		assert_int_equal(wire_check_limits(&high), -ERANGE);
	}
	for (size_t i = 6; i < 10; i++) {
		struct wire_limits low = least, high = most;
		((uint32_t *)(void *)&low)[i]--;
		((uint32_t *)(void *)&high)[i]++;
		assert_int_equal(wire_check_limits(&low), -ERANGE);
		assert_int_equal(wire_check_limits(&high), -ERANGE);
		assert_non_null(strstr(err_message(-ERANGE), "accepted"));
	}
	err_clear();
}

static void test_strings(void **state)
{
	assert_true(wire_strings_ok("", 0, 0));
	assert_true(wire_strings_ok("a\0b\0", 4, 2));
	assert_true(wire_strings_ok("\0\0", 2, 2));
	assert_false(wire_strings_ok("a\0b", 3, 2));
	assert_false(wire_strings_ok("a\0b", 3, 1));
	assert_false(wire_strings_ok("", 0, 1));
	assert_true(wire_variable_ok("A_1=x"));
	assert_true(wire_variable_ok("_="));
	assert_false(wire_variable_ok("=x"));
	assert_false(wire_variable_ok("1A=x"));
	assert_false(wire_variable_ok("A"));
	assert_false(wire_variable_ok("A-B=x"));
	assert_false(wire_variable_ok(""));
}

static void test_runtime_names(void **state)
{
	char name[HELPER_RUNTIME_BYTES] = "python-3.11";
	assert_true(wire_name_ok(name, sizeof(name)));
	name[40] = 'x'; /* behind the end */
	assert_false(wire_name_ok(name, sizeof(name)));
	static const char *const bad[] = {"", ".", "..", "-x", "a/b", "A", "a b", "a\n"};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		memset(name, 0, sizeof(name));
		memcpy(name, bad[i], strlen(bad[i]));
		assert_false(wire_name_ok(name, sizeof(name)));
	}
	memset(name, 'a', sizeof(name));
	assert_false(wire_name_ok(name, sizeof(name)));
}

static void test_places(void **state)
{
	char at[HELPER_PLACE_BYTES] = "a/b.c/\xc3\xa9";
	assert_true(wire_place_ok(at, sizeof(at)));
	at[sizeof(at) - 1] = 'x'; /* behind the end */
	assert_false(wire_place_ok(at, sizeof(at)));
	static const char *const bad[] = {
		"", "/", "/a", "a/", "a//b", ".", "..", "a/..", "../a", "a/./b", "a/../../etc"};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		memset(at, 0, sizeof(at));
		memcpy(at, bad[i], strlen(bad[i]));
		assert_false(wire_place_ok(at, sizeof(at)));
	}
	memset(at, 'a', sizeof(at));
	assert_false(wire_place_ok(at, sizeof(at)));

	size_t n;
	struct wire_create *w = create_packet(&n);
	w->place_count = HELPER_PLACES_MAX + 1;
	assert_int_equal(check(packet, n), -EPROTO);
	w->place_count = 1; /* and something stands behind it */
	assert_int_equal(check(packet, n), -EPROTO);
	w->place_count = 2;
	w->places[1].read_only = 2;
	assert_int_equal(check(packet, n), -EPROTO);
	w->places[1].read_only = 0;
	w->places[0].volume = (struct uuid){{0}};
	assert_int_equal(check(packet, n), -EPROTO);
	err_clear();
}

static void test_views(void **state)
{
	const struct helper_sandbox s = {
		.id = 1,
		.cgroup_id = 2,
		.execution = {{3}},
		.iteration = 4,
		.state = HELPER_SANDBOX_ENDED,
		.end = HELPER_END_KILLED,
		.end_status = 9,
		.pid = 5,
		.usage = {6, 7, 8},
	};
	const struct wire_sandbox w = wire_sandbox_in(&s);
	const struct helper_sandbox back = wire_sandbox_out(&w);
	assert_int_equal(back.id, s.id);
	assert_int_equal(back.cgroup_id, s.cgroup_id);
	assert_true(uuid_eq(back.execution, s.execution));
	assert_int_equal(back.iteration, s.iteration);
	assert_int_equal(back.state, s.state);
	assert_int_equal(back.end, s.end);
	assert_int_equal(back.end_status, s.end_status);
	assert_int_equal(back.pid, s.pid);
	assert_int_equal(back.usage.cpu_us, 6);
	assert_int_equal(back.usage.memory_peak_bytes, 7);
	assert_int_equal(back.usage.oom_kills, 8);
}

int main(void)
{
	const struct CMUnitTest helper[] = {
		cmocka_unit_test(test_valid_create),
		cmocka_unit_test(test_damaged_create),
		cmocka_unit_test(test_every_rule),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_strings),
		cmocka_unit_test(test_runtime_names),
		cmocka_unit_test(test_places),
		cmocka_unit_test(test_views),
	};
	return cmocka_run_group_tests(helper, NULL, NULL);
}
