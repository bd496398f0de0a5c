/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * As many policies and ranges as a node may come to have, and a policy that changes while packets
 * are decided: each verdict is that of the policy that holds, and while one is exchanged for
 * another that of one of the two.
 */
#include "daemon/sensor/sensor.h"
#include "tests/bpf/net/frame.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

enum { POLICIES = 1000, RANGES = 100, CHANGES = 1000, WORKERS = 2, PORT = 443 };

static struct sensor *sensor;
static struct sensor_agent *agent;

static int set_up(void **state)
{
	int maps[NET_MAPS], r = load_programs(state);

	if (r < 0)
		return r;
	enter_agent();
	for (int i = 0; i < NET_MAPS; i++)
		maps[i] = dup(programs.maps[i]);
	return sensor_new(maps, &sensor);
}

static int tear_down(void **state)
{
	sensor_free(sensor);
	return unload_programs(state);
}

/* The n-th of all ranges is a /24 of its own. */
static void address_of(unsigned n, uint8_t last, uint8_t *ret)
{
	memset(ret, 0, 16);
	ret[10] = ret[11] = 0xff;
	ret[12] = (uint8_t)(16 + (n >> 16));
	ret[13] = (uint8_t)(n >> 8);
	ret[14] = (uint8_t)n;
	ret[15] = last;
}

static bool allowed(unsigned n, uint8_t last, uint16_t port)
{
	uint8_t frame[FRAME_BYTES];
	struct packet p = {.port = port, .protocol = IPPROTO_TCP};

	address_of(n, last, p.address);
	size_t bytes = put_frame(&p, frame);
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = frame, .data_size_in = (uint32_t)bytes);
	CHECK(bpf_prog_test_run_opts(programs.hooks[0], &opts) == 0);
	return opts.retval == 1;
}

static struct sensor_policy *enter(unsigned first, unsigned count)
{
	static struct kernel_net_rule rules[RANGES];
	struct kernel_rules all = {.net = rules, .net_count = count};
	struct sensor_policy *p = NULL;

	for (unsigned k = 0; k < count; k++) {
		rules[k] = (struct kernel_net_rule){.prefix_bits = 96 + 24,
			.port_first = PORT,
			.port_last = PORT,
			.policy_id = SPAN("scale")};
		address_of(first + k, 0, rules[k].address);
	}
	int r = sensor_policy_new(sensor, &all, &p);
	if (r < 0)
		fail_msg("policy of range %u: %s", first, err_message(r));
	return p;
}

static void each_policy_is_its_own(void **state)
{
	static struct sensor_policy *policies[POLICIES];

	for (unsigned i = 0; i < POLICIES; i++)
		policies[i] = enter(i * RANGES, RANGES);
	assert_int_equal(sensor_agent_new(sensor, root_cgroup, policies[0], &agent), 0);
	for (unsigned i = 0; i < POLICIES; i++) {
		unsigned first = i * RANGES, last = first + RANGES - 1;
		assert_int_equal(sensor_agent_set_policy(agent, policies[i]), 0);
		assert_true(allowed(first, 0, PORT));
		assert_true(allowed(first + RANGES / 2, 77, PORT));
		assert_true(allowed(last, 255, PORT));
		assert_false(allowed(last, 255, PORT + 1));
		assert_false(allowed(last + 1, 0, PORT));
		if (i > 0)
			assert_false(allowed(first - 1, 255, PORT));
	}
	sensor_agent_free(agent);
	for (unsigned i = 0; i < POLICIES; i++)
		sensor_policy_unref(policies[i]);
}

/* ---- a policy that changes ---- */

/* The policy of change c permits range c and the one that all of them permit; `change` is odd while
 * the next one comes, so that who read the same even number before and after knows which held. */
enum { COMMON = 90000, NEVER = 95000 };
static _Atomic unsigned change;
static _Atomic uint64_t certain, wrong;
static _Atomic bool over;

static struct sensor_policy *enter_change(unsigned c)
{
	struct kernel_net_rule rules[2] = {{.prefix_bits = 96 + 24,
						   .port_first = PORT,
						   .port_last = PORT,
						   .policy_id = SPAN("own")},
		{.prefix_bits = 96 + 24,
			.port_first = PORT,
			.port_last = PORT,
			.policy_id = SPAN("common")}};
	struct kernel_rules all = {.net = rules, .net_count = 2};
	struct sensor_policy *p = NULL;

	address_of(c, 0, rules[0].address);
	address_of(COMMON, 0, rules[1].address);
	assert_int_equal(sensor_policy_new(sensor, &all, &p), 0);
	return p;
}

static void decide_once(void)
{
	unsigned before = atomic_load(&change), holds = before / 2;
	bool own = allowed(holds, 9, PORT), next = allowed(holds + 1, 9, PORT),
	     last = holds > 0 && allowed(holds - 1, 9, PORT);

	if (!allowed(COMMON, 9, PORT) || allowed(NEVER, 9, PORT))
		atomic_fetch_add(&wrong, 1);
	if (before % 2 || atomic_load(&change) != before)
		return;
	atomic_fetch_add(&certain, 1);
	if (!own || next || last)
		atomic_fetch_add(&wrong, 1);
}

static void *decide_for_ever(void *arg)
{
	while (!atomic_load(&over))
		decide_once();
	return NULL;
}

static void no_verdict_is_wrong_while_it_changes(void **state)
{
	pthread_t workers[WORKERS];
	struct sensor_policy *now = enter_change(0);

	assert_int_equal(sensor_agent_new(sensor, root_cgroup, now, &agent), 0);
	for (int i = 0; i < WORKERS; i++)
		assert_int_equal(pthread_create(&workers[i], NULL, decide_for_ever, NULL), 0);
	for (unsigned c = 1; c <= CHANGES; c++) {
		decide_once(); /* by each of them, whatever the others come to */
		struct sensor_policy *next = enter_change(c);
		atomic_fetch_add(&change, 1);
		assert_int_equal(sensor_agent_set_policy(agent, next), 0);
		atomic_fetch_add(&change, 1);
		sensor_policy_unref(now);
		now = next;
	}
	atomic_store(&over, true);
	for (int i = 0; i < WORKERS; i++)
		pthread_join(workers[i], NULL);
	print_message("# %llu verdicts of a policy that was certain\n",
		(unsigned long long)atomic_load(&certain));
	assert_int_equal(atomic_load(&wrong), 0);
	assert_true(atomic_load(&certain) >= CHANGES);
	sensor_agent_free(agent);
	sensor_policy_unref(now);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_policy_is_its_own),
		cmocka_unit_test(no_verdict_is_wrong_while_it_changes),
	};
	return cmocka_run_group_tests_name("policies at scale", tests, set_up, tear_down);
}
