/* SPDX-License-Identifier: AGPL-3.0-only */
/* Policies and names through the sensor, seen by what the kernel's program then decides. */
#include "daemon/sensor/flows.h"
#include "tests/bpf/net/frame.h"
#include <arpa/inet.h>
#include <stdio.h>
#include <unistd.h>

static struct sensor *sensor;

static int set_up(void **state)
{
	int maps[NET_MAPS], r = load_programs(state);

	if (r < 0)
		return r;
	enter_agent(); /* as the helper does for a new sandbox */
	for (int i = 0; i < NET_MAPS; i++)
		maps[i] = dup(programs.maps[i]);
	return sensor_new(maps, &sensor);
}

static int tear_down(void **state)
{
	sensor_free(sensor);
	return unload_programs(state);
}

static struct packet to(const char *ipv4, uint16_t port)
{
	struct packet p = {.port = port, .protocol = IPPROTO_TCP};
	p.address[10] = p.address[11] = 0xff;
	assert_int_equal(inet_pton(AF_INET, ipv4, p.address + 12), 1);
	return p;
}

static bool allowed(const char *ipv4, uint16_t port)
{
	uint8_t frame[FRAME_BYTES];
	struct packet p = to(ipv4, port);
	return run(programs.hooks[0], frame, put_frame(&p, frame)) == 1;
}

static struct kernel_net_rule permit_range(const char *ipv4, uint8_t bits, uint16_t port)
{
	struct packet p = to(ipv4, 0);
	struct kernel_net_rule r = {.prefix_bits = (uint8_t)(96 + bits),
		.port_first = port,
		.port_last = port,
		.policy_id = SPAN("range")};
	memcpy(r.address, p.address, 16);
	return r;
}

static struct kernel_net_rule name_rule(const char *name, uint16_t port, bool forbid)
{
	return (struct kernel_net_rule){.name = span_cstr(name),
		.forbid = forbid,
		.port_first = port,
		.port_last = port,
		.policy_id = SPAN("name")};
}

static struct sensor_policy *enter(const struct kernel_net_rule *rules, size_t count)
{
	struct kernel_rules all = {.net = rules, .net_count = count};
	struct sensor_policy *p = NULL;
	assert_int_equal(sensor_policy_new(sensor, &all, &p), 0);
	return p;
}

static size_t entries(enum net_map map, size_t key_bytes)
{
	uint8_t key[64], next[64];
	size_t n = 0;

	for (void *at = NULL; bpf_map_get_next_key(programs.maps[map], at, next) == 0; n++) {
		memcpy(key, next, key_bytes);
		at = key;
	}
	return n;
}

static void a_policy_is_entered_and_taken_out(void **state)
{
	struct kernel_net_rule rules[] = {
		permit_range("192.0.2.0", 24, 443), permit_range("198.51.100.0", 24, 80)};
	struct sensor_policy *p = enter(rules, 2);
	struct sensor_agent *a;

	assert_false(allowed("192.0.2.9", 443));
	assert_int_equal(sensor_agent_new(sensor, root_cgroup, p, &a), 0);
	assert_true(allowed("192.0.2.9", 443));
	assert_false(allowed("192.0.2.9", 80));
	assert_true(allowed("198.51.100.1", 80));
	assert_int_equal(entries(NET_MAP_PREFIXES, sizeof(struct net_prefix_key)), 2);

	struct sensor_policy *none = enter(NULL, 0);
	assert_int_equal(sensor_agent_set_policy(a, none), 0);
	assert_false(allowed("192.0.2.9", 443));
	sensor_policy_unref(p);
	assert_int_equal(entries(NET_MAP_PREFIXES, sizeof(struct net_prefix_key)), 0);
	sensor_agent_free(a);
	sensor_policy_unref(none);
}

static void nobody_admitted_is_no_agent(void **state)
{
	struct sensor_policy *p = enter(NULL, 0);
	struct sensor_agent *a;
	assert_int_equal(sensor_agent_new(sensor, 12345, p, &a), -ENOENT);
	sensor_policy_unref(p);
}

static void names_follow_the_policy(void **state)
{
	struct kernel_net_rule first[] = {name_rule("*.example.org", 443, false),
		name_rule("bad.example.org", 443, true)},
			       second[] = {name_rule("api.example.org", 8443, false)},
			       third[] = {name_rule("other.test", 443, false)};
	struct sensor_policy *p1 = enter(first, 2), *p2 = enter(second, 1), *p3 = enter(third, 1);
	struct packet good = to("203.0.113.5", 0), bad = to("203.0.113.6", 0);
	struct sensor_agent *a;

	assert_int_equal(sensor_agent_new(sensor, root_cgroup, p1, &a), 0);
	assert_false(allowed("203.0.113.5", 443));
	assert_int_equal(sensor_agent_learn(a, SPAN("api.example.org"), &good.address, 1, 60), 0);
	assert_int_equal(sensor_agent_learn(a, SPAN("bad.example.org"), &bad.address, 1, 60), 0);
	assert_true(allowed("203.0.113.5", 443));
	assert_false(allowed("203.0.113.5", 8443));
	assert_false(allowed("203.0.113.6", 443)); /* learned, and forbidden */

	assert_int_equal(sensor_agent_set_policy(a, p2), 0);
	assert_false(allowed("203.0.113.5", 443));
	assert_true(allowed("203.0.113.5", 8443)); /* without asking for the name again */
	assert_int_equal(sensor_agent_set_policy(a, p3), 0);
	assert_false(allowed("203.0.113.5", 443));
	assert_false(allowed("203.0.113.5", 8443));

	sensor_agent_free(a);
	assert_int_equal(entries(NET_MAP_NAMES, sizeof(struct net_name_key)), 0);
	assert_int_equal(entries(NET_MAP_ADDRESSES, sizeof(struct net_learned_key)), 0);
	sensor_policy_unref(p1);
	sensor_policy_unref(p2);
	sensor_policy_unref(p3);
}

static void one_address_of_two_names(void **state)
{
	struct kernel_net_rule rules[] = {
		name_rule("a.test", 443, false), name_rule("b.test", 443, false)};
	struct sensor_policy *p = enter(rules, 2);
	struct packet shared = to("203.0.113.9", 0);
	struct sensor_agent *a;

	assert_int_equal(sensor_agent_new(sensor, root_cgroup, p, &a), 0);
	assert_int_equal(sensor_agent_learn(a, SPAN("a.test"), &shared.address, 1, 60), 0);
	assert_int_equal(sensor_agent_learn(a, SPAN("b.test"), &shared.address, 1, 60), 0);
	assert_int_equal(sensor_agent_learn(a, SPAN("b.test"), &shared.address, 1, 60), 0);
	assert_int_equal(entries(NET_MAP_ADDRESSES, sizeof(struct net_learned_key)), 1);
	assert_true(allowed("203.0.113.9", 443));
	sensor_agent_free(a);
	assert_int_equal(entries(NET_MAP_ADDRESSES, sizeof(struct net_learned_key)), 0);
	sensor_policy_unref(p);
}

static void limits_hold(void **state)
{
	struct kernel_net_rule any[] = {{.name = SPAN("*"), .port_last = 65535}};
	struct sensor_policy *p = enter(any, 1);
	struct packet at = to("203.0.113.9", 0);
	struct sensor_agent *a;
	char name[32];
	int r = 0, i;

	assert_int_equal(sensor_agent_new(sensor, root_cgroup, p, &a), 0);
	for (i = 0; r == 0 && i <= SENSOR_NAMES_MAX; i++) {
		snprintf(name, sizeof(name), "n%d.test", i);
		r = sensor_agent_learn(a, span_cstr(name), &at.address, 1, 60);
	}
	assert_int_equal(r, -ENOSPC);
	assert_int_equal(i, SENSOR_NAMES_MAX + 1);
	assert_int_equal(entries(NET_MAP_NAMES, sizeof(struct net_name_key)), SENSOR_NAMES_MAX);
	sensor_agent_free(a);
	sensor_policy_unref(p);
}

static void sweep_takes_what_nobody_needs(void **state)
{
	struct kernel_net_rule rules[] = {permit_range("192.0.2.0", 24, 443)};
	struct net_prefix_key stray = {.bits = 64, .policy = 4000000};
	struct net_name_key stray_name = {.policy = 4000000, .name = 1};
	struct net_learned_key stray_address = {.cgroup = 999};
	struct net_rules none = {0};
	struct net_learned entry = {.expires_ns = UINT64_MAX};
	struct sensor_policy *p = enter(rules, 1);
	struct sensor_agent *a;
	size_t gone;

	assert_int_equal(sensor_agent_new(sensor, root_cgroup, p, &a), 0);
	bpf_map_update_elem(programs.maps[NET_MAP_PREFIXES], &stray, &none, BPF_ANY);
	bpf_map_update_elem(programs.maps[NET_MAP_NAMES], &stray_name, &none, BPF_ANY);
	bpf_map_update_elem(programs.maps[NET_MAP_ADDRESSES], &stray_address, &entry, BPF_ANY);
	assert_int_equal(sensor_sweep(sensor, &gone), 0);
	assert_int_equal(gone, 3);
	assert_true(allowed("192.0.2.1", 443));
	sensor_agent_free(a);
	sensor_policy_unref(p);
}

/* ---- conversations ---- */

enum { OVER = 3000, GOING_ON = 100 };

static void put_flow(uint32_t number, bool over)
{
	struct net_flow_key key = {
		.cgroup = over ? 77 : 78, .port = 443, .own_port = (uint16_t)number};
	struct net_flow f = {.state = NET_FLOW_FIN_SENT | NET_FLOW_FIN_RECEIVED, .last_ns = 1};

	key.protocol = IPPROTO_TCP;
	if (!over)
		f = (struct net_flow){.received_packets = 1, .last_ns = 1};
	assert_int_equal(
		bpf_map_update_elem(programs.maps[NET_MAP_FLOWS], &key, &f, BPF_NOEXIST), 0);
}

/* However many are taken out, it is one walk: one that comes again at once is not met again. */
static void conversations_are_taken_in_one_walk(void **state)
{
	struct sensor_flow flows[32];
	size_t taken = 0, n, others = entries(NET_MAP_FLOWS, sizeof(struct net_flow_key));

	for (uint32_t i = 0; i < OVER; i++)
		put_flow(i, true);
	for (uint32_t i = 0; i < GOING_ON; i++)
		put_flow(i, false);
	struct flow_sweep *w = flow_sweep_new(sensor, 0);
	assert_non_null(w);
	do {
		n = flow_sweep_take(w, flows, ARRAY_LEN(flows));
		for (size_t i = 0; i < n; i++) {
			assert_int_equal(flows[i].end, FLOW_CLOSED);
			assert_int_equal(flows[i].key.cgroup, 77);
			put_flow(flows[i].key.own_port, true);
		}
		taken += n;
		assert_true(taken <= OVER);
	} while (n == ARRAY_LEN(flows));
	assert_int_equal(taken, OVER);
	flow_sweep_free(w);
	w = flow_sweep_new(sensor, 78);
	taken = 0;
	while ((n = flow_sweep_take(w, flows, ARRAY_LEN(flows))) > 0) {
		assert_int_equal(flows[0].end, FLOW_SANDBOX_ENDED);
		taken += n;
	}
	assert_int_equal(taken, GOING_ON);
	flow_sweep_free(w);
	assert_int_equal(entries(NET_MAP_FLOWS, sizeof(struct net_flow_key)), others + OVER);
	w = flow_sweep_new(sensor, 77);
	while (flow_sweep_take(w, flows, ARRAY_LEN(flows)) > 0)
		;
	flow_sweep_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_policy_is_entered_and_taken_out),
		cmocka_unit_test(nobody_admitted_is_no_agent),
		cmocka_unit_test(names_follow_the_policy),
		cmocka_unit_test(one_address_of_two_names),
		cmocka_unit_test(limits_hold),
		cmocka_unit_test(conversations_are_taken_in_one_walk),
		cmocka_unit_test(sweep_takes_what_nobody_needs),
	};
	return cmocka_run_group_tests_name("daemon/sensor", tests, set_up, tear_down);
}
