/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Links of sandboxes on a node that this test makes: a network namespace as the node, one as the
 * world outside, and those of two sandboxes. What counts is what arrives.
 */
#include "daemon/helper/harden.h"
#include "daemon/helper/nat.h"
#include "daemon/helper/namespaces.h"
#include "daemon/helper/veth.h"
#include "tests/bpf/net/frame.h"
#include "tests/shell.h"
#include "tests/unit/daemon/helper/node.h"
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { PORT = 4433, FIRST = 3, SECOND = 4, WAIT_MS = 300 };

static struct in_addr range;
static struct node node;
static struct netpool pool;
static struct sandbox {
	int ns;
	uint64_t cgroup;
	uint32_t slot;
	struct veth link;
} first = {.cgroup = 1001, .slot = FIRST}, second = {.cgroup = 1002, .slot = SECOND};

static void enter_ns(int ns)
{
	assert_int_equal(setns(ns, CLONE_NEWNET), 0);
}

/* A socket lives in the namespace in which it was made. */
static int receiver_in(int ns, int type, const char *ipv4, uint16_t port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
	int one = 1;

	inet_pton(AF_INET, ipv4, &a.sin_addr);
	enter_ns(ns);
	int fd = socket(AF_INET, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	enter_ns(node.own);
	assert_true(fd >= 0);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	if (type == SOCK_STREAM)
		assert_int_equal(listen(fd, 4), 0);
	return fd;
}

static int sandbox_up(struct sandbox *s)
{
	struct net_agent agent = {.policy = POLICY, .slot = SLOT};
	int r = netpool_take(&pool, &s->ns);
	struct veth_plan p = {
		.own_netns = node.own,
		.netns = s->ns,
		.range = range,
		.slot = s->slot,
		.cgroup = s->cgroup,
		.links = programs.maps[NET_MAP_LINKS],
		.program = programs.link,
	};

	if (r == 0)
		r = veth_make(&p, &s->link);
	if (r < 0) {
		print_message("# %s\n", err_message(r));
		return r;
	}
	return bpf_map_update_elem(programs.maps[NET_MAP_AGENTS], &s->cgroup, &agent, BPF_ANY);
}

static int set_up(void **state)
{
	inet_pton(AF_INET, "10.231.0.0", &range);
	if (load_programs(state) < 0 || node_up(&node) < 0 || netpool_init(&pool, 0) < 0)
		return -1;
	int r = nat_open(range);
	if (r < 0) {
		print_message("# %s\n", err_message(r));
		return r;
	}
	r = sandbox_up(&first);
	return r < 0 ? r : sandbox_up(&second);
}

static int tear_down(void **state)
{
	close(first.ns);
	close(second.ns);
	netpool_fini(&pool);
	nat_close(range);
	int r = node_down(&node);
	return unload_programs(state) < 0 ? -1 : r;
}

static void permit(uint8_t bits, const char *ipv4, uint16_t first_port, uint16_t last_port)
{
	struct net_prefix_key key = {
		.bits = 32u + 96u + bits, .policy = POLICY, .address = {[10] = 0xff, [11] = 0xff}};
	struct net_rules rules = {
		.count = 1, .rule = {{.port_first = first_port, .port_last = last_port, .id = 1}}};

	inet_pton(AF_INET, ipv4, key.address + 12);
	assert_int_equal(
		bpf_map_update_elem(programs.maps[NET_MAP_PREFIXES], &key, &rules, BPF_ANY), 0);
}

static void permit_nothing(void)
{
	struct net_prefix_key key;
	while (bpf_map_get_next_key(programs.maps[NET_MAP_PREFIXES], NULL, &key) == 0)
		bpf_map_delete_elem(programs.maps[NET_MAP_PREFIXES], &key);
}

/* From a sandbox: 0 if the connection came about. */
static int tcp_from(const struct sandbox *s, const char *ipv4, uint16_t port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};

	inet_pton(AF_INET, ipv4, &a.sin_addr);
	enter_ns(s->ns);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	enter_ns(node.own);
	assert_true(fd >= 0);
	int r = connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0 ? errno : 0;
	if (r == EINPROGRESS) {
		struct pollfd p = {fd, POLLOUT, 0};
		socklen_t n = sizeof(r);
		if (poll(&p, 1, WAIT_MS) == 0)
			r = ETIMEDOUT;
		else
			getsockopt(fd, SOL_SOCKET, SO_ERROR, &r, &n);
	}
	close(fd);
	return r;
}

static void udp_from(const struct sandbox *s, const char *ipv4, uint16_t port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};

	inet_pton(AF_INET, ipv4, &a.sin_addr);
	enter_ns(s->ns);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	enter_ns(node.own);
	(void)!sendto(fd, "x", 1, 0, (struct sockaddr *)&a, sizeof(a));
	close(fd);
}

/* One that came within the time, with where it came from. */
static bool arrived(int fd, struct sockaddr_in *ret_from)
{
	struct pollfd p = {fd, POLLIN, 0};
	socklen_t n = sizeof(*ret_from);
	char byte;
	int type;
	socklen_t type_bytes = sizeof(type);

	if (poll(&p, 1, WAIT_MS) != 1)
		return false;
	getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &type_bytes);
	if (type == SOCK_DGRAM)
		return recvfrom(fd, &byte, 1, 0, (struct sockaddr *)ret_from, &n) == 1;
	int c = accept(fd, (struct sockaddr *)ret_from, &n);
	if (c >= 0)
		close(c);
	return c >= 0;
}

static void only_what_a_rule_permits(void **state)
{
	struct sockaddr_in from;
	int tcp = receiver_in(node.outside, SOCK_STREAM, "203.0.113.2", PORT),
	    udp = receiver_in(node.outside, SOCK_DGRAM, "203.0.113.2", PORT);

	permit_nothing();
	assert_int_not_equal(tcp_from(&first, "203.0.113.2", PORT), 0);
	udp_from(&first, "203.0.113.2", PORT);
	assert_false(arrived(tcp, &from));
	assert_false(arrived(udp, &from));

	permit(32, "203.0.113.2", PORT, PORT);
	assert_int_equal(tcp_from(&first, "203.0.113.2", PORT), 0);
	assert_true(arrived(tcp, &from));
	assert_int_equal(from.sin_addr.s_addr, inet_addr("203.0.113.1")); /* the node's */
	udp_from(&second, "203.0.113.2", PORT);
	assert_true(arrived(udp, &from));
	close(tcp);
	close(udp);
}

static void not_the_node_nor_each_other(void **state)
{
	struct sockaddr_in from;
	char other[INET_ADDRSTRLEN];
	struct in_addr a = veth_address(range, SECOND);
	int own = receiver_in(node.own, SOCK_STREAM, "0.0.0.0", PORT),
	    peer = receiver_in(second.ns, SOCK_DGRAM, "0.0.0.0", PORT);

	permit(0, "0.0.0.0", 0, 65535);
	inet_ntop(AF_INET, &a, other, sizeof(other));
	assert_int_not_equal(tcp_from(&first, "203.0.113.1", PORT), 0);
	assert_int_not_equal(tcp_from(&first, "10.231.0.1", PORT), 0);
	assert_false(arrived(own, &from));
	udp_from(&first, other, PORT);
	assert_false(arrived(peer, &from));
	close(own);
	close(peer);
	permit_nothing();
}

static void nobody_comes_in(void **state)
{
	struct sockaddr_in from;
	struct sandbox outside = {.ns = node.outside};
	char text[INET_ADDRSTRLEN];
	struct in_addr a = veth_address(range, FIRST);
	int tcp = receiver_in(first.ns, SOCK_STREAM, "0.0.0.0", PORT),
	    udp = receiver_in(first.ns, SOCK_DGRAM, "0.0.0.0", PORT);

	permit(0, "0.0.0.0", 0, 65535);
	inet_ntop(AF_INET, &a, text, sizeof(text));
	assert_int_not_equal(tcp_from(&outside, text, PORT), 0);
	udp_from(&outside, text, PORT);
	assert_false(arrived(tcp, &from));
	assert_false(arrived(udp, &from));
	close(tcp);
	close(udp);
	permit_nothing();
}

static void each_resolver_hears_its_own(void **state)
{
	struct sockaddr_in from;
	int udp, tcp, udp2, tcp2;

	permit(32, "10.231.0.1", 53, 53);
	assert_int_equal(veth_resolver_sockets(range, FIRST, &udp, &tcp), 0);
	assert_int_equal(veth_resolver_sockets(range, SECOND, &udp2, &tcp2), 0);
	udp_from(&first, "10.231.0.1", 53);
	assert_true(arrived(udp, &from));
	assert_false(arrived(udp2, &from));
	assert_int_equal(from.sin_addr.s_addr, veth_address(range, FIRST).s_addr);
	assert_int_equal(tcp_from(&second, "10.231.0.1", 53), 0);
	assert_true(arrived(tcp2, &from));
	struct sandbox own = {.ns = node.own};
	udp_from(&own, "10.231.0.1", 53); /* nor the node's own programs */
	assert_false(arrived(udp, &from));
	close(udp);
	close(tcp);
	close(udp2);
	close(tcp2);
	permit_nothing();
}

/* A frame of the sandbox's own making, as its kernel would never send it. */
static void forged_frames_stay(void **state)
{
	struct sockaddr_in from;
	int udp = receiver_in(node.outside, SOCK_DGRAM, "203.0.113.2", PORT);
	uint8_t frame[FRAME_BYTES] = {0x02, 0xa6, 0, 0, 0, 1, 0x02, 0xa6, 0, 0, 0, 2, 0x08, 0x00};
	uint8_t *ip = frame + ETHER_BYTES;

	permit(0, "0.0.0.0", 0, 65535);
	enter_ns(first.ns);
	struct sockaddr_ll to = {
		.sll_family = AF_PACKET, .sll_ifindex = (int)if_nametoindex("eth0")};
	int raw = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	enter_ns(node.own);
	assert_true(raw >= 0 && to.sll_ifindex > 0);
	memcpy(ip,
		"\x45\x00\x00\x1d\x00\x00\x00\x00\x40\x11\x00\x00\x0a\xe7\x01\x04\xcb\x00\x71\x02",
		20);
	uint32_t sum = 0;
	for (int i = 0; i < 20; i += 2)
		sum += (uint32_t)(ip[i] << 8 | ip[i + 1]);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = ~sum & 0xffff;
	ip[10] = (uint8_t)(sum >> 8);
	ip[11] = (uint8_t)sum;
	memcpy(ip + 20, "\x30\x39\x11\x51\x00\x09\x00\x00x", 9);
	/* 10.231.1.4 is the second sandbox's; the first one's own would be 10.231.1.3. */
	assert_int_equal(
		sendto(raw, frame, ETHER_BYTES + 29, 0, (struct sockaddr *)&to, sizeof(to)),
		ETHER_BYTES + 29);
	assert_false(arrived(udp, &from));
	ip[15] = 3; /* its own: the same frame arrives, so it was well made */
	ip[11] = (uint8_t)(ip[11] + 1);
	assert_int_equal(
		sendto(raw, frame, ETHER_BYTES + 29, 0, (struct sockaddr *)&to, sizeof(to)),
		ETHER_BYTES + 29);
	assert_true(arrived(udp, &from));
	close(raw);
	close(udp);
	permit_nothing();
}

static void a_link_goes_with_its_slot(void **state)
{
	int links = programs.maps[NET_MAP_LINKS];
	struct net_link entry;
	struct netpool *p = &pool;
	int old = first.ns;

	assert_int_equal(bpf_map_lookup_elem(links, &first.link.index, &entry), 0);
	uint32_t index = first.link.index;
	assert_int_equal(netpool_take(p, &first.ns), 0);
	assert_int_equal(sandbox_up(&first), 0); /* takes the older one's place */
	assert_int_not_equal(first.link.index, index);
	close(old);
	assert_int_equal(veth_remove(FIRST, links), 0);
	assert_int_equal(if_nametoindex(first.link.name), 0);
	assert_int_not_equal(bpf_map_lookup_elem(links, &first.link.index, &entry), 0);
	assert_int_equal(veth_remove(FIRST, links), 0);
}

static void the_table_is_made_anew(void **state)
{
	assert_int_equal(nat_open(range), 0);
	assert_true(
		test_shell("nft list table ip aegis_0ae70000 | grep -c masquerade | grep -qx 1"));
	/* This node forwarded nothing before: still so after the second time. */
	assert_true(test_shell("nft list table ip aegis_0ae70000 | grep -q 'sandboxes only'"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_what_a_rule_permits),
		cmocka_unit_test(not_the_node_nor_each_other),
		cmocka_unit_test(nobody_comes_in),
		cmocka_unit_test(each_resolver_hears_its_own),
		cmocka_unit_test(forged_frames_stay),
		cmocka_unit_test(the_table_is_made_anew),
		cmocka_unit_test(a_link_goes_with_its_slot),
	};
	/* With what the helper has left of itself, it must still do all this. */
	if (geteuid() == 0 && harden_self() < 0)
		return 1;
	return cmocka_run_group_tests_name("daemon/helper link", tests, set_up, tear_down);
}
