/* SPDX-License-Identifier: AGPL-3.0-only */
#include "daemon/sensor/sensor.h"
#include "tests/tap.h"

static struct kernel_net_rule name(const char *text, bool forbid, uint16_t first, uint16_t last)
{
	return (struct kernel_net_rule){.name = span_cstr(text),
		.forbid = forbid,
		.port_first = first,
		.port_last = last,
		.policy_id = SPAN("p")};
}

static uint32_t count_of(const struct kernel_net_rule *rules, size_t n, const char *text)
{
	struct kernel_rules all = {.net = rules, .net_count = n};
	struct net_rules ret;
	assert_int_equal(sensor_name_rules(&all, span_cstr(text), &ret), 0);
	return ret.count;
}

static void patterns_end_at_labels(void **state)
{
	struct kernel_net_rule one[] = {name("*.example.org", false, 443, 443)},
			       exact[] = {name("example.org", false, 443, 443)},
			       any[] = {name("*", false, 443, 443)};

	assert_int_equal(count_of(one, 1, "api.example.org"), 1);
	assert_int_equal(count_of(one, 1, "a.b.example.org"), 1);
	assert_int_equal(count_of(one, 1, "example.org"), 0);
	assert_int_equal(count_of(one, 1, "notexample.org"), 0);
	assert_int_equal(count_of(one, 1, ".example.org"), 0);
	assert_int_equal(count_of(exact, 1, "example.org"), 1);
	assert_int_equal(count_of(exact, 1, "api.example.org"), 0);
	assert_int_equal(count_of(any, 1, "api.example.org"), 1);
}

static void forbidding_comes_first(void **state)
{
	struct kernel_net_rule rules[] = {name("*", false, 0, 65535), name("x.test", true, 25, 25),
		name("*.test", true, 80, 80)};
	struct kernel_rules all = {.net = rules, .net_count = 3};
	struct net_rules ret;

	assert_int_equal(sensor_name_rules(&all, SPAN("x.test"), &ret), 0);
	assert_int_equal(ret.count, 3);
	assert_int_equal(ret.rule[0].forbid, 1);
	assert_int_equal(ret.rule[1].forbid, 1);
	assert_int_equal(ret.rule[2].forbid, 0);
	assert_int_equal(ret.rule[0].id, 2);
	assert_true(sensor_may_resolve(&ret));
	ret.rule[0].port_first = 0;
	ret.rule[0].port_last = 65535;
	assert_false(sensor_may_resolve(&ret));
	ret.count = 0;
	assert_false(sensor_may_resolve(&ret));
}

static void what_does_not_fit_is_refused(void **state)
{
	struct kernel_net_rule rules[NET_RULES_MAX + 1];
	struct kernel_rules all = {.net = rules, .net_count = NET_RULES_MAX + 1};
	struct arena *a = arena_new(1 << 20);
	struct sensor_table table;
	struct net_rules ret;

	for (int i = 0; i <= NET_RULES_MAX; i++)
		rules[i] = name("x.test", false, (uint16_t)(2 * i), (uint16_t)(2 * i));
	rules[NET_RULES_MAX].policy_id = SPAN("the-last");
	int r = sensor_name_rules(&all, SPAN("x.test"), &ret);
	assert_int_equal(r, -E2BIG);
	assert_non_null(strstr(err_message(r), "the-last"));

	for (int i = 0; i <= NET_RULES_MAX; i++)
		rules[i].name = (struct span){0};
	r = sensor_compile(&all, a, &table);
	assert_int_equal(r, -E2BIG);
	assert_non_null(strstr(err_message(r), "the-last"));
	all.net_count = 1;
	rules[0].address[15] = 1;
	assert_int_equal(sensor_compile(&all, a, &table), -EINVAL);
	rules[0].address[15] = 0;
	rules[0].port_first = 9;
	assert_int_equal(sensor_compile(&all, a, &table), -EINVAL);
	arena_free(a);
}

/* The same rule many times, or inside a wider one, takes one place. */
static void repetition_is_folded(void **state)
{
	struct kernel_net_rule rules[40];
	struct kernel_rules all = {.net = rules, .net_count = 40};
	struct arena *a = arena_new(1 << 20);
	struct sensor_table table;

	for (size_t i = 0; i < 40; i++) {
		rules[i] = (struct kernel_net_rule){.port_first = 443, .port_last = 443};
		rules[i].prefix_bits = i % 2 ? 128 : 96;
	}
	assert_int_equal(sensor_compile(&all, a, &table), 0);
	assert_int_equal(table.prefix_count, 2);
	assert_int_equal(table.prefixes[0].rules.count, 1);
	assert_int_equal(table.prefixes[1].rules.count, 1);
	arena_free(a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(patterns_end_at_labels),
		cmocka_unit_test(forbidding_comes_first),
		cmocka_unit_test(what_does_not_fit_is_refused),
		cmocka_unit_test(repetition_is_folded),
	};
	return cmocka_run_group_tests_name("daemon/sensor", tests, NULL, NULL);
}
