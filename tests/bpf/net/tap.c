/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * A guest behind a TAP: what it writes, whatever its own kernel may be, passes the program on the
 * host's end or does not arrive. Nothing is believed but a receiver behind the program: a socket
 * for each kind of frame, where each attempt's token must not be found.
 */
#include "tests/bpf/net/frame.h"
#include <arpa/inet.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>
#include "tests/shell.h"

enum { PORT = 4444, WAIT_MS = 60 * 1000 };

static const uint8_t guest_mac[6] = {2, 0, 0, 0, 0, 1}, guest_ip[4] = {10, 9, 9, 9};
static uint8_t host_mac[6];
static const uint8_t allowed_ip[4] = {192, 0, 2, 1}, denied_ip[4] = {192, 0, 2, 2};
static const uint16_t kinds[] = {
	0x0800, 0x86dd, 0x0806, 0x8100, 0x88a8, 0x8847, 0x8864, 0x88b5, 0x88cc};
static int tap = -1, receivers[ARRAY_LEN(kinds)], udp = -1;
static uint32_t index_of_tap;

static void must(int r, const char *what)
{
	if (r < 0)
		fail_msg("%s: %s", what, strerror(errno));
}

/* ---- frames ---- */

struct frame {
	uint8_t bytes[256];
	size_t n;
};

static void put(struct frame *f, const void *p, size_t n)
{
	assert_true(f->n + n <= sizeof(f->bytes));
	memcpy(f->bytes + f->n, p, n);
	f->n += n;
}

static void put16(struct frame *f, unsigned v)
{
	put(f, (uint8_t[]){(uint8_t)(v >> 8), (uint8_t)v}, 2);
}

static void ether(struct frame *f, unsigned type)
{
	f->n = 0;
	put(f, host_mac, 6);
	put(f, guest_mac, 6);
	put16(f, type);
}

static void checksum(uint8_t *ip, size_t n)
{
	uint32_t sum = 0;
	ip[10] = ip[11] = 0;
	for (size_t i = 0; i < n; i += 2)
		sum += (uint32_t)(ip[i] << 8 | ip[i + 1]);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = ~(sum + (sum >> 16));
	ip[10] = (uint8_t)(sum >> 8);
	ip[11] = (uint8_t)sum;
}

static size_t token_into(struct frame *f, const char *token)
{
	size_t n = strlen(token);
	put(f, token, n);
	return n;
}

/* IPv4 with the token as a UDP datagram's payload, of whichever protocol the header says. */
static void ipv4_at(
	struct frame *f, const uint8_t to[4], unsigned protocol, unsigned port, const char *token)
{
	size_t at = f->n, data = 8 + strlen(token);
	put(f,
		(uint8_t[]){
			0x45, 0, 0, (uint8_t)(20 + data), 0, 1, 0, 0, 64, (uint8_t)protocol, 0, 0},
		12);
	put(f, guest_ip, 4);
	put(f, to, 4);
	checksum(f->bytes + at, 20);
	put16(f, 40000);
	put16(f, port);
	put16(f, (unsigned)data);
	put16(f, 0);
	token_into(f, token);
}

static void ipv4(
	struct frame *f, const uint8_t to[4], unsigned protocol, unsigned port, const char *token)
{
	ether(f, 0x0800);
	ipv4_at(f, to, protocol, port, token);
}

static void ipv6(struct frame *f, unsigned next, const char *token)
{
	ether(f, 0x86dd);
	put(f, (uint8_t[]){0x60, 0, 0, 0, 0, (uint8_t)(8 + strlen(token)), (uint8_t)next, 255}, 8);
	put(f, (uint8_t[16]){0xfe, 0x80, [15] = 9}, 16);
	put(f, (uint8_t[16]){0xff, 2, [15] = 1}, 16);
	put(f, (uint8_t[]){134, 0, 0x11, 0x5c, 0, 0, 0, 0}, 8);
	token_into(f, token);
}

static void arp(struct frame *f, const uint8_t sender[4], const uint8_t mac[6], const char *token)
{
	ether(f, 0x0806);
	put(f, (uint8_t[]){0, 1, 8, 0, 6, 4, 0, 2}, 8);
	put(f, mac, 6);
	put(f, sender, 4);
	put(f, host_mac, 6);
	put(f, (uint8_t[]){10, 9, 9, 1}, 4);
	token_into(f, token); /* as padding */
}

/* ---- the attempts; the number is the class of tools/bypass ---- */

static void udp_denied(struct frame *f, const char *t)
{
	ipv4(f, denied_ip, 17, PORT, t);
}

static void udp_port(struct frame *f, const char *t)
{
	ipv4(f, allowed_ip, 17, PORT + 1, t);
}

static void protocol(struct frame *f, const char *t, unsigned p)
{
	ipv4(f, allowed_ip, p, PORT, t);
}

static void udplite(struct frame *f, const char *t)
{
	protocol(f, t, 136);
}

static void sctp(struct frame *f, const char *t)
{
	protocol(f, t, 132);
}

static void icmp_echo(struct frame *f, const char *t)
{
	protocol(f, t, 1);
	f->bytes[ETHER_BYTES + 20] = 8;
}

static void ipip(struct frame *f, const char *t)
{
	protocol(f, t, 4);
}

static void gre(struct frame *f, const char *t)
{
	protocol(f, t, 47);
}

static void sixinfour(struct frame *f, const char *t)
{
	protocol(f, t, 41);
}

static void esp(struct frame *f, const char *t)
{
	protocol(f, t, 50);
}

static void options(struct frame *f, const char *t)
{
	ipv4(f, allowed_ip, 17, PORT, t);
	memmove(f->bytes + ETHER_BYTES + 24, f->bytes + ETHER_BYTES + 20, f->n - ETHER_BYTES - 20);
	memcpy(f->bytes + ETHER_BYTES + 20, "\x83\x03\x04\x00", 4); /* an empty source route */
	f->bytes[ETHER_BYTES] = 0x46;
	f->bytes[ETHER_BYTES + 3] += 4;
	f->n += 4;
	checksum(f->bytes + ETHER_BYTES, 24);
}

static void fragment(struct frame *f, const char *t, uint8_t high, uint8_t low)
{
	ipv4(f, allowed_ip, 17, PORT, t);
	f->bytes[ETHER_BYTES + 6] = high;
	f->bytes[ETHER_BYTES + 7] = low;
	checksum(f->bytes + ETHER_BYTES, 20);
}

static void first_fragment(struct frame *f, const char *t)
{
	fragment(f, t, 0x20, 0);
}

static void later_fragment(struct frame *f, const char *t)
{
	fragment(f, t, 0, 4);
}

static void vxlan(struct frame *f, const char *t)
{
	ipv4(f, allowed_ip, 17, 4789, t);
}

static void vlan(struct frame *f, const char *t, unsigned type)
{
	ether(f, type);
	put16(f, 5);
	put16(f, 0x0800);
	ipv4_at(f, allowed_ip, 17, PORT, t);
}

static void vlan_tag(struct frame *f, const char *t)
{
	vlan(f, t, 0x8100);
}

static void qinq_tag(struct frame *f, const char *t)
{
	vlan(f, t, 0x88a8);
}

static void other_source(struct frame *f, const char *t)
{
	ipv4(f, allowed_ip, 17, PORT, t);
	f->bytes[ETHER_BYTES + 15] = 77;
	checksum(f->bytes + ETHER_BYTES, 20);
}

static void other_mac(struct frame *f, const char *t)
{
	ipv4(f, allowed_ip, 17, PORT, t);
	f->bytes[11] = 77;
}

static void arp_as_gateway(struct frame *f, const char *t)
{
	arp(f, (uint8_t[]){10, 9, 9, 1}, guest_mac, t);
}

static void arp_with_other_mac(struct frame *f, const char *t)
{
	arp(f, guest_ip, host_mac, t);
}

static void router_advertisement(struct frame *f, const char *t)
{
	ipv6(f, 58, t);
}

static void ipv6_udp(struct frame *f, const char *t)
{
	ipv6(f, 17, t);
}

static void multicast(struct frame *f, const char *t)
{
	ipv4(f, (uint8_t[]){224, 0, 0, 251}, 17, PORT, t);
	memcpy(f->bytes, "\x01\x00\x5e\x00\x00\xfb", 6);
}

static void broadcast(struct frame *f, const char *t)
{
	ipv4(f, (uint8_t[]){255, 255, 255, 255}, 17, PORT, t);
	memset(f->bytes, 0xff, 6);
}

static void of_kind(struct frame *f, const char *t, unsigned type)
{
	ether(f, type);
	token_into(f, t);
	put(f, (uint8_t[40]){0}, 40);
}

static void mpls(struct frame *f, const char *t)
{
	of_kind(f, t, 0x8847);
}

static void pppoe(struct frame *f, const char *t)
{
	of_kind(f, t, 0x8864);
}

static void experimental(struct frame *f, const char *t)
{
	of_kind(f, t, 0x88b5);
}

static void lldp(struct frame *f, const char *t)
{
	of_kind(f, t, 0x88cc);
}

static const struct {
	int class;
	const char *name;
	void (*make)(struct frame *f, const char *token);
} attempts[] = {
	{2, "udp to a denied address", udp_denied},
	{2, "udp to a denied port", udp_port},
	{6, "udplite", udplite},
	{7, "sctp", sctp},
	{8, "icmp echo", icmp_echo},
	{11, "ip options", options},
	{11, "first fragment", first_fragment},
	{11, "later fragment", later_fragment},
	{12, "vxlan", vxlan},
	{12, "ipip", ipip},
	{12, "gre", gre},
	{12, "ipv6 in ipv4", sixinfour},
	{12, "esp", esp},
	{13, "vlan", vlan_tag},
	{13, "vlan in vlan", qinq_tag},
	{13, "another source address", other_source},
	{13, "another mac", other_mac},
	{13, "arp in the gateway's name", arp_as_gateway},
	{13, "arp with another mac", arp_with_other_mac},
	{13, "router advertisement", router_advertisement},
	{1, "ipv6", ipv6_udp},
	{19, "multicast", multicast},
	{19, "broadcast", broadcast},
	{12, "mpls", mpls},
	{12, "pppoe", pppoe},
	{10, "unknown ethertype", experimental},
	{10, "lldp", lldp},
};

/* ---- the node ---- */

static void open_tap(void)
{
	struct ifreq r = {.ifr_flags = IFF_TAP | IFF_NO_PI};
	strcpy(r.ifr_name, "guest0");
	tap = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
	if (tap < 0 || ioctl(tap, TUNSETIFF, &r) < 0)
		test_skip("no TAP here: %s", strerror(errno));
	assert_true(test_shell("ip link set guest0 up && ip addr add 10.9.9.1/24 dev guest0 && "
			       "ip link set lo up && ip addr add 192.0.2.1/32 dev lo && "
			       "ip addr add 192.0.2.2/32 dev lo"));
	index_of_tap = if_nametoindex("guest0");
	int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	must(s, "socket");
	must(ioctl(s, SIOCGIFHWADDR, &r), "address of the TAP");
	memcpy(host_mac, r.ifr_hwaddr.sa_data, 6);
	close(s);
}

static void open_receivers(void)
{
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		struct sockaddr_ll at = {.sll_family = AF_PACKET,
			.sll_protocol = htons(kinds[i]),
			.sll_ifindex = (int)index_of_tap};
		receivers[i] = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		must(receivers[i], "packet socket");
		must(bind(receivers[i], (struct sockaddr *)&at, sizeof(at)), "bind");
	}
	struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons(PORT)};
	udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	must(udp, "socket");
	must(bind(udp, (struct sockaddr *)&any, sizeof(any)), "bind");
}

static void enter_policy(void)
{
	struct net_prefix_key key = {.bits = 32 + 128, .policy = POLICY};
	struct net_rules rules = {.count = 1,
		.rule = {{.port_first = PORT, .port_last = PORT, .protocol = 17, .id = 1}}};
	struct net_link link = {.cgroup = root_cgroup};
	key.address[10] = key.address[11] = link.address[10] = link.address[11] = 0xff;
	memcpy(key.address + 12, allowed_ip, 4);
	memcpy(link.address + 12, guest_ip, 4);
	memcpy(link.mac, guest_mac, 6);
	enter_agent();
	must(bpf_map_update_elem(programs.maps[NET_MAP_PREFIXES], &key, &rules, BPF_ANY), "rules");
	must(bpf_map_update_elem(programs.maps[NET_MAP_LINKS], &index_of_tap, &link, BPF_ANY),
		"link");
}

static int set_up(void **state)
{
	must(unshare(CLONE_NEWNET), "new network namespace");
	return load_programs(state);
}

static void attach(void)
{
	LIBBPF_OPTS(
		bpf_tc_hook, hook, .ifindex = (int)index_of_tap, .attach_point = BPF_TC_INGRESS);
	LIBBPF_OPTS(bpf_tc_opts, opts, .prog_fd = programs.link);
	must(bpf_tc_hook_create(&hook), "clsact on the TAP");
	must(bpf_tc_attach(&hook, &opts), "attach to the TAP");
}

/* ---- what arrived ---- */

static bool holds(int fd, const char *token)
{
	uint8_t data[512];
	ssize_t n;
	bool found = false;
	while ((n = recv(fd, data, sizeof(data), MSG_DONTWAIT)) > 0)
		found |= memmem(data, (size_t)n, token, strlen(token)) != NULL;
	return found;
}

static bool arrived(const char *token)
{
	bool found = holds(udp, token);
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		found |= holds(receivers[i], token);
	return found;
}

static void send_frame(const struct frame *f)
{
	assert_int_equal(write(tap, f->bytes, f->n), f->n);
}

/* A permitted datagram, which must come: everything that was sent before it has had its turn. */
static void mark(const char *token)
{
	struct frame f;
	struct pollfd p = {.fd = udp, .events = POLLIN};
	ipv4(&f, allowed_ip, 17, PORT, token);
	send_frame(&f);
	assert_int_equal(poll(&p, 1, WAIT_MS), 1);
}

static void nothing_but_what_is_permitted_passes(void **state)
{
	struct frame f;
	char token[32], after[32];
	unsigned leaks = 0;

	open_tap();
	open_receivers();
	enter_policy();
	/* Without the program each of them arrives: the receivers see what they must. */
	for (size_t i = 0; i < ARRAY_LEN(attempts); i++) {
		snprintf(token, sizeof(token), "open%02zuend", i);
		attempts[i].make(&f, token);
		send_frame(&f);
		mark("mark-of-the-open-tap");
		if (!arrived(token))
			fail_msg("%s does not arrive without the program", attempts[i].name);
	}
	attach();
	for (size_t i = 0; i < ARRAY_LEN(attempts); i++) {
		snprintf(token, sizeof(token), "shut%02zuend", i);
		snprintf(after, sizeof(after), "mark%02zuend", i);
		attempts[i].make(&f, token);
		send_frame(&f);
		mark(after);
		bool leaked = holds(udp, token);
		for (size_t k = 0; k < ARRAY_LEN(kinds); k++)
			leaked |= holds(receivers[k], token);
		/* tools/bypass reads these lines. */
		print_message("# behind a tap: %s (%d) %s\n", leaked ? "leaked" : "prevented",
			attempts[i].class, attempts[i].name);
		leaks += leaked;
	}
	print_message("# %zu attempts, %u leaked\n", ARRAY_LEN(attempts), leaks);
	assert_int_equal(leaks, 0);
}

static void an_answer_about_itself_passes(void **state)
{
	struct frame f;
	if (tap < 0)
		test_skip("no TAP here");
	arp(&f, guest_ip, guest_mac, "own-arp-answer");
	send_frame(&f);
	mark("after-the-arp");
	assert_true(arrived("own-arp-answer"));
}

static void a_link_that_is_nobodys_carries_nothing(void **state)
{
	struct frame f;
	if (tap < 0)
		test_skip("no TAP here");
	must(bpf_map_delete_elem(programs.maps[NET_MAP_LINKS], &index_of_tap), "link");
	ipv4(&f, allowed_ip, 17, PORT, "of-nobodys-link");
	send_frame(&f);
	enter_policy();
	mark("after-nobodys-link");
	assert_false(arrived("of-nobodys-link"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_but_what_is_permitted_passes),
		cmocka_unit_test(an_answer_about_itself_passes),
		cmocka_unit_test(a_link_that_is_nobodys_carries_nothing),
	};
	return cmocka_run_group_tests_name("guest behind a TAP", tests, set_up, unload_programs);
}
