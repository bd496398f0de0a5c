/* SPDX-License-Identifier: AGPL-3.0-only */
/* What cannot be decided by a rule is denied by its kind, and names hold as long as they should. */
#include "tests/bpf/net/frame.h"
#include <bpf/libbpf.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

static const uint8_t own_mac[6] = {2, 0, 0, 0, 0, 1};

static struct packet to(const char *ipv4, uint16_t port, uint8_t protocol)
{
	struct packet p = {.port = port, .protocol = protocol};
	unsigned a[4];

	assert_int_equal(sscanf(ipv4, "%u.%u.%u.%u", &a[0], &a[1], &a[2], &a[3]), 4);
	p.address[10] = p.address[11] = 0xff;
	for (int i = 0; i < 4; i++)
		p.address[12 + i] = (uint8_t)a[i];
	return p;
}

static struct packet to6(uint8_t last, uint16_t port, uint8_t protocol)
{
	struct packet p = {.port = port, .protocol = protocol};
	p.address[0] = 0x20;
	p.address[15] = last;
	return p;
}

static uint64_t denied(enum net_verdict v)
{
	struct net_counters per_cpu[64];
	uint32_t slot = SLOT;
	uint64_t all = 0;

	assert_true(libbpf_num_possible_cpus() <= 64);
	assert_int_equal(bpf_map_lookup_elem(programs.maps[NET_MAP_COUNTS], &slot, per_cpu), 0);
	for (int i = 0; i < libbpf_num_possible_cpus(); i++)
		all += per_cpu[i].denied[v];
	return all;
}

/* Denied, and counted under that reason. */
static void expect_denied(int program, const uint8_t *frame, size_t n, enum net_verdict v)
{
	uint64_t before = denied(v);
	int verdict = run(program, frame, n);

	assert_int_equal(verdict, program == programs.link ? 2 /* TC_ACT_SHOT */ : 0);
	assert_int_equal(denied(v), before + 1);
}

static void expect_allowed(int program, const uint8_t *frame, size_t n)
{
	assert_int_equal(run(program, frame, n), program == programs.link ? 0 : 1);
}

/* Everything is permitted, so that only the kind of packet can be the reason. */
static int permit_all(void **state)
{
	struct net_prefix_key key = {.bits = 32, .policy = POLICY};
	struct net_rules any = {.count = 1, .rule = {{.port_last = 65535, .id = 1}}};
	uint32_t interface = 1;
	struct net_link link = {.cgroup = root_cgroup};
	struct packet source = to("10.9.9.9", 0, 0);

	memcpy(link.address, source.address, 16);
	memcpy(link.mac, own_mac, 6);
	enter_agent();
	assert_int_equal(
		bpf_map_update_elem(programs.maps[NET_MAP_PREFIXES], &key, &any, BPF_ANY), 0);
	assert_int_equal(
		bpf_map_update_elem(programs.maps[NET_MAP_LINKS], &interface, &link, BPF_ANY), 0);
	return 0;
}

static int forbid_all(void **state)
{
	struct net_prefix_key key = {.bits = 32, .policy = POLICY};
	assert_int_equal(bpf_map_delete_elem(programs.maps[NET_MAP_PREFIXES], &key), 0);
	return 0;
}

static size_t link_frame(const struct packet *p, uint8_t *frame)
{
	size_t n = put_frame(p, frame);
	memcpy(frame + 6, own_mac, 6);
	return n;
}

static void odd_packets(void **state)
{
	uint8_t frame[FRAME_BYTES], *ip = frame + ETHER_BYTES;
	struct packet tcp = to("192.0.2.1", 443, IPPROTO_TCP), tcp6 = to6(9, 443, IPPROTO_TCP);
	int egress = programs.hooks[0];
	size_t n = put_frame(&tcp, frame);

	expect_allowed(egress, frame, n);
	ip[0] = 0x46;
	expect_denied(egress, frame, n, NET_DENY_OPTIONS);
	put_frame(&tcp, frame);
	ip[6] = 0x20; /* more fragments */
	expect_denied(egress, frame, n, NET_DENY_FRAGMENT);
	put_frame(&tcp, frame);
	ip[7] = 1; /* not the first */
	expect_denied(egress, frame, n, NET_DENY_FRAGMENT);
	put_frame(&tcp, frame);
	ip[6] = 0x40; /* must not be fragmented: a flag, no fragment */
	expect_allowed(egress, frame, n);
	n = put_frame(&tcp, frame);
	expect_denied(egress, frame, n - 1, NET_DENY_MALFORMED); /* half a TCP header */

	static const uint8_t others[] = {1, 2, 4, 41, 47, 50, 132, 136, 255};
	for (size_t i = 0; i < sizeof(others); i++) {
		put_frame(&tcp, frame);
		ip[9] = others[i]; /* with type 0 as ICMP: an echo reply */
		expect_denied(egress, frame, n, NET_DENY_PROTOCOL);
	}
	static const uint8_t extensions[] = {0, 43, 50, 51, 60, 135, 139, 140};
	for (size_t i = 0; i < sizeof(extensions); i++) {
		n = put_frame(&tcp6, frame);
		ip[6] = extensions[i];
		expect_denied(egress, frame, n, NET_DENY_OPTIONS);
	}
	n = put_frame(&tcp6, frame);
	expect_allowed(egress, frame, n);
	ip[6] = 44;
	expect_denied(egress, frame, n, NET_DENY_FRAGMENT);
	ip[6] = 4; /* a tunnel */
	expect_denied(egress, frame, n, NET_DENY_PROTOCOL);
	ip[6] = 58;
	ip[40] = 128; /* echo request */
	expect_denied(egress, frame, n, NET_DENY_PROTOCOL);
}

static void links_are_their_owners(void **state)
{
	uint8_t frame[FRAME_BYTES], *ip = frame + ETHER_BYTES;
	struct packet tcp = to("192.0.2.1", 443, IPPROTO_TCP), tcp6 = to6(9, 443, IPPROTO_TCP);
	int link = programs.link;
	size_t n = link_frame(&tcp, frame);

	expect_allowed(link, frame, n);
	frame[11] = 2;
	expect_denied(link, frame, n, NET_DENY_SOURCE);
	link_frame(&tcp, frame);
	ip[15] ^= 1;
	expect_denied(link, frame, n, NET_DENY_SOURCE);
	n = link_frame(&tcp6, frame);
	expect_denied(link, frame, n, NET_DENY_ETHERTYPE);
	link_frame(&tcp, frame);
	frame[12] = 0x81; /* VLAN */
	frame[13] = 0x00;
	expect_denied(link, frame, n, NET_DENY_ETHERTYPE);
	frame[12] = 0x88; /* MPLS */
	frame[13] = 0x47;
	expect_denied(link, frame, n, NET_DENY_ETHERTYPE);

	memset(frame, 0, sizeof(frame)); /* ARP of its own address, then of another's */
	memcpy(frame + 6, own_mac, 6);
	memcpy(frame + 12, "\x08\x06\x00\x01\x08\x00\x06\x04\x00\x01", 10);
	memcpy(ip + 8, own_mac, 6);
	memcpy(ip + 14, "\x0a\x09\x09\x09", 4);
	expect_allowed(link, frame, ETHER_BYTES + 28);
	ip[17] = 1;
	expect_denied(link, frame, ETHER_BYTES + 28, NET_DENY_SOURCE);
}

static void strangers_are_denied(void **state)
{
	uint8_t frame[FRAME_BYTES];
	struct packet tcp = to("192.0.2.1", 443, IPPROTO_TCP);
	size_t n = put_frame(&tcp, frame);
	uint32_t interface = 1;

	assert_int_equal(bpf_map_delete_elem(programs.maps[NET_MAP_AGENTS], &root_cgroup), 0);
	assert_int_equal(run(programs.hooks[0], frame, n), 0);
	enter_agent();
	expect_allowed(programs.hooks[0], frame, n);
	assert_int_equal(bpf_map_delete_elem(programs.maps[NET_MAP_LINKS], &interface), 0);
	link_frame(&tcp, frame);
	assert_int_equal(run(programs.link, frame, n), 2);
}

/* ---- names ---- */

enum { NAME = 5 };

static void learn(const struct packet *p, int64_t for_ns)
{
	struct net_learned_key key = {.cgroup = root_cgroup};
	struct net_learned value = {.name = NAME};
	struct timespec now;

	clock_gettime(CLOCK_BOOTTIME, &now);
	value.expires_ns = (uint64_t)(now.tv_sec * INT64_C(1000000000) + now.tv_nsec + for_ns);
	memcpy(key.address, p->address, 16);
	assert_int_equal(
		bpf_map_update_elem(programs.maps[NET_MAP_ADDRESSES], &key, &value, BPF_ANY), 0);
}

static void set_name(uint16_t port, bool forbid)
{
	struct net_name_key key = {.policy = POLICY, .name = NAME};
	struct net_rules rules = {.count = 1,
		.rule = {{.port_first = port, .port_last = port, .forbid = forbid, .id = 9}}};

	assert_int_equal(
		bpf_map_update_elem(programs.maps[NET_MAP_NAMES], &key, &rules, BPF_ANY), 0);
}

static void names_lend_addresses(void **state)
{
	uint8_t first[FRAME_BYTES], next[FRAME_BYTES], other[FRAME_BYTES], udp[FRAME_BYTES];
	struct packet tcp = to("198.51.100.7", 443, IPPROTO_TCP),
		      wrong = to("198.51.100.7", 80, IPPROTO_TCP),
		      datagram = to("198.51.100.7", 443, IPPROTO_UDP);
	int egress = programs.hooks[0];
	size_t n = put_frame(&tcp, first);

	enter_agent();
	put_frame(&tcp, next);
	next[ETHER_BYTES + 20 + 13] = 0x10; /* ACK: in the middle of a connection */
	put_frame(&tcp, other);
	other[ETHER_BYTES + 20 + 1] = 1; /* another port of its own */
	other[ETHER_BYTES + 20 + 13] = 0x10;
	put_frame(&datagram, udp);

	expect_denied(egress, first, n, NET_DENY_DEFAULT);
	set_name(443, false);
	learn(&tcp, INT64_C(60000000000));
	expect_allowed(egress, first, n);
	expect_allowed(egress, next, n);
	size_t m = put_frame(&wrong, other);
	expect_denied(egress, other, m, NET_DENY_DEFAULT);

	/* The name's time is over: what it began goes on, nothing new begins. */
	put_frame(&tcp, other);
	other[ETHER_BYTES + 20 + 1] = 1;
	other[ETHER_BYTES + 20 + 13] = 0x10;
	learn(&tcp, -1);
	expect_allowed(egress, next, n);
	expect_denied(egress, first, n, NET_DENY_DEFAULT);
	expect_denied(egress, other, n, NET_DENY_DEFAULT);
	expect_denied(egress, udp, n, NET_DENY_DEFAULT);

	/* A tightened policy cuts it. */
	set_name(443, true);
	expect_denied(egress, next, n, NET_DENY_RULE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(odd_packets, permit_all, forbid_all),
		cmocka_unit_test_setup_teardown(links_are_their_owners, permit_all, forbid_all),
		cmocka_unit_test_setup_teardown(strangers_are_denied, permit_all, forbid_all),
		cmocka_unit_test(names_lend_addresses),
	};
	return cmocka_run_group_tests_name("bpf/net", tests, load_programs, unload_programs);
}
