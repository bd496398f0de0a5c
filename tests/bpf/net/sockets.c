/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The programs on real sockets: a process in a sandbox's cgroup, in a network namespace whose
 * loopback also has 192.0.2.1 and 2001:db8::1, which are no loopback addresses and so are decided.
 * What counts is whether a byte arrives, not which error is returned.
 */
#include "tests/bpf/cgroups.h"
#include "tests/bpf/net/frame.h"
#include "tests/shell.h"
#include <arpa/inet.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PORT = 4433, OTHER_POLICY = 8 };

static struct test_cgroups cgroups;
static int listener = -1, listener6 = -1, receiver = -1;

static struct sockaddr_in at(const char *ipv4)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(PORT)};
	assert_int_equal(inet_pton(AF_INET, ipv4, &a.sin_addr), 1);
	return a;
}

static struct sockaddr_in6 at6(const char *ipv6)
{
	struct sockaddr_in6 a = {.sin6_family = AF_INET6, .sin6_port = htons(PORT)};
	assert_int_equal(inet_pton(AF_INET6, ipv6, &a.sin6_addr), 1);
	return a;
}

/* The test's own sockets stand outside the sandbox's cgroup. */
static void open_receivers(void)
{
	struct sockaddr_in any = at("0.0.0.0");
	struct sockaddr_in6 any6 = at6("::");
	int one = 1;

	listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	receiver = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	listener6 = socket(AF_INET6, SOCK_STREAM | SOCK_NONBLOCK, 0);
	must(setsockopt(listener6, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one)), "v6only");
	must(bind(listener, (struct sockaddr *)&any, sizeof(any)), "bind");
	must(bind(receiver, (struct sockaddr *)&any, sizeof(any)), "bind");
	must(bind(listener6, (struct sockaddr *)&any6, sizeof(any6)), "bind");
	must(listen(listener, 8), "listen");
	must(listen(listener6, 8), "listen");
}

static int set_up(void **state)
{
	cgroups_make(&cgroups, "aegis-bpf-test");
	must(unshare(CLONE_NEWNET), "new network namespace");
	assert_true(test_shell("ip link set lo up && ip addr add 192.0.2.1/32 dev lo && "
			       "ip -6 addr add 2001:db8::1/128 dev lo"));
	open_receivers();
	int r = netprog_load(cgroups.fd, &(struct net_constants){.level = 2}, &programs);
	if (r == 0)
		r = netprog_attach(&programs, cgroups.fd);
	if (r < 0)
		print_message("# %s\n", err_message(r));
	return r;
}

static int tear_down(void **state)
{
	netprog_detach(cgroups.fd);
	netprog_close(&programs);
	close(listener);
	close(listener6);
	close(receiver);
	return cgroups_remove(&cgroups);
}

static void set_agent(uint32_t policy)
{
	struct net_agent a = {.policy = policy, .slot = SLOT};
	assert_int_equal(
		bpf_map_update_elem(programs.maps[NET_MAP_AGENTS], &cgroups.id, &a, BPF_ANY), 0);
}

static void permit(uint32_t policy, const uint8_t *address, uint16_t port)
{
	struct net_prefix_key key = {.bits = 32 + 128, .policy = policy};
	struct net_rules rules = {
		.count = 1, .rule = {{.port_first = port, .port_last = port, .id = 77}}};

	memcpy(key.address, address, 16);
	assert_int_equal(
		bpf_map_update_elem(programs.maps[NET_MAP_PREFIXES], &key, &rules, BPF_ANY), 0);
}

static int (*to_do)(void);

static int in_time(void)
{
	alarm(5);
	return to_do();
}

/* Runs fn as a process of the sandbox's cgroup; its exit status is what fn returns. */
static int inside(int (*fn)(void))
{
	to_do = fn;
	int status = cgroup_run(cgroups.sandbox, in_time, NULL);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static bool tcp_arrived(int l)
{
	int fd = accept4(l, NULL, NULL, SOCK_CLOEXEC);
	if (fd < 0)
		return false;
	close(fd);
	return true;
}

static bool datagram_arrived(void)
{
	char byte;
	return recv(receiver, &byte, 1, 0) == 1;
}

static int tcp_to(const char *ipv4)
{
	struct sockaddr_in a = at(ipv4);
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	if (fd < 0)
		return errno;
	return connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0 ? errno : 0;
}

static int tcp_outside(void)
{
	return tcp_to("192.0.2.1");
}

static int tcp_loopback(void)
{
	return tcp_to("127.0.0.1");
}

static int tcp_wildcard(void)
{
	return tcp_to("0.0.0.0");
}

static int tcp6(void)
{
	struct sockaddr_in6 a = at6("2001:db8::1");
	int fd = socket(AF_INET6, SOCK_STREAM, 0);
	return connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0 ? errno : 0;
}

static int tcp_mapped(void)
{
	struct sockaddr_in6 a = at6("::ffff:192.0.2.1");
	int fd = socket(AF_INET6, SOCK_STREAM, 0);
	return connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0 ? errno : 0;
}

static int tcp_fast_open(void)
{
	struct sockaddr_in a = at("192.0.2.1");
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	return sendto(fd, "x", 1, MSG_FASTOPEN, (struct sockaddr *)&a, sizeof(a)) < 0 ? errno : 0;
}

static int udp_unspec(void)
{
	struct sockaddr_in a = at("192.0.2.1");
	a.sin_family = AF_UNSPEC;
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	return sendto(fd, "x", 1, 0, (struct sockaddr *)&a, sizeof(a)) < 0 ? errno : 0;
}

static int udp(void)
{
	struct sockaddr_in a = at("192.0.2.1");
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	return sendto(fd, "x", 1, 0, (struct sockaddr *)&a, sizeof(a)) < 0 ? errno : 0;
}

static int udp_mapped(void)
{
	struct sockaddr_in6 a = at6("::ffff:192.0.2.1");
	int fd = socket(AF_INET6, SOCK_DGRAM, 0);
	return sendto(fd, "x", 1, 0, (struct sockaddr *)&a, sizeof(a)) < 0 ? errno : 0;
}

static int odd_sockets(void)
{
	static const int kinds[][3] = {{AF_INET, SOCK_RAW, IPPROTO_RAW},
		{AF_INET, SOCK_RAW, IPPROTO_UDP}, {AF_INET, SOCK_DGRAM, IPPROTO_ICMP},
		{AF_INET6, SOCK_DGRAM, IPPROTO_ICMPV6}, {AF_INET, SOCK_DGRAM, IPPROTO_UDPLITE},
		{AF_INET, SOCK_STREAM, 262 /* MPTCP */}, {AF_INET, SOCK_STREAM, IPPROTO_SCTP}};

	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		if (socket(kinds[i][0], kinds[i][1], kinds[i][2]) >= 0)
			return (int)i + 1;
	return 0;
}

static int listen_outside(void)
{
	struct sockaddr_in a = at("192.0.2.1");
	a.sin_port = htons(PORT + 1);
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	return bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 ? errno : 0;
}

static void nothing_without_a_policy(void **state)
{
	assert_int_equal(inside(tcp_outside), EPERM);
	assert_int_equal(inside(tcp_loopback), EPERM);
	assert_int_equal(inside(udp), EBADF); /* no socket at all */
	assert_false(tcp_arrived(listener));
	assert_false(datagram_arrived());
}

static void only_loopback_by_default(void **state)
{
	set_agent(POLICY);
	assert_int_equal(inside(tcp_loopback), 0);
	assert_true(tcp_arrived(listener));
	assert_int_equal(inside(tcp_wildcard), 0);
	assert_true(tcp_arrived(listener));

	int (*const attempts[])(void) = {
		tcp_outside, tcp6, tcp_mapped, tcp_fast_open, udp, udp_mapped, udp_unspec};
	for (size_t i = 0; i < ARRAY_LEN(attempts); i++) {
		assert_int_not_equal(inside(attempts[i]), 0);
		assert_false(tcp_arrived(listener));
		assert_false(tcp_arrived(listener6));
		assert_false(datagram_arrived());
	}
	assert_int_equal(inside(odd_sockets), 0);
	assert_int_equal(inside(listen_outside), EPERM);
}

static void a_rule_opens_what_it_names(void **state)
{
	struct packet p = {.port = PORT};
	p.address[10] = p.address[11] = 0xff;
	memcpy(p.address + 12, "\xc0\x00\x02\x01", 4);
	permit(POLICY, p.address, PORT);
	assert_int_equal(inside(tcp_outside), 0);
	assert_true(tcp_arrived(listener));
	assert_int_equal(inside(tcp_mapped), 0);
	assert_true(tcp_arrived(listener));
	assert_int_equal(inside(udp), 0);
	assert_true(datagram_arrived());
	assert_int_not_equal(inside(tcp6), 0);
	assert_false(tcp_arrived(listener6));
}

static uint32_t attached(enum bpf_attach_type type)
{
	uint32_t ids[8], count = ARRAY_LEN(ids);
	assert_int_equal(bpf_prog_query(cgroups.fd, type, 0, NULL, ids, &count), 0);
	return count;
}

static void a_restarted_helper_goes_on(void **state)
{
	uint32_t number = NET_NUMBER_POLICY, last = 41;
	assert_int_equal(
		bpf_map_update_elem(programs.maps[NET_MAP_NUMBERS], &number, &last, BPF_ANY), 0);
	netprog_close(&programs);
	assert_int_equal(inside(tcp_outside), 0); /* with nobody there */
	assert_true(tcp_arrived(listener));
	assert_int_not_equal(inside(tcp6), 0);
	assert_true(netprog_is_attached(cgroups.fd));
	assert_int_equal(
		netprog_load(cgroups.fd, &(struct net_constants){.level = 2}, &programs), 0);
	assert_int_equal(netprog_attach(&programs, cgroups.fd), 0);
	assert_int_equal(attached(BPF_CGROUP_INET_EGRESS), 1);
	assert_int_equal(attached(BPF_CGROUP_INET4_CONNECT), 1);
	last = 0;
	assert_int_equal(bpf_map_lookup_elem(programs.maps[NET_MAP_NUMBERS], &number, &last), 0);
	assert_int_equal(last, 41);
	assert_int_equal(inside(tcp_outside), 0); /* by the same maps */
	assert_true(tcp_arrived(listener));
}

static int keep_fd;
static int send_on_kept(void)
{
	return send(keep_fd, "later", 5, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 ? errno : 0;
}

static int connect_then_wait(void)
{
	struct sockaddr_in a = at("192.0.2.1");
	char byte;

	keep_fd = socket(AF_INET, SOCK_STREAM, 0);
	if (connect(keep_fd, (struct sockaddr *)&a, sizeof(a)) < 0)
		return errno;
	raise(SIGSTOP); /* the policy changes now */
	(void)send_on_kept();
	usleep(300000); /* and is asked again at each repetition */
	return recv(keep_fd, &byte, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN ? 0 : 1;
}

/* A change of policy is one store, and reaches connections that exist. */
static void tightening_cuts_what_flows(void **state)
{
	pid_t pid = fork();

	must(pid, "fork");
	if (pid == 0)
		_exit(inside(connect_then_wait));
	int fd = -1;
	for (int i = 0; fd < 0 && i < 300; i++, usleep(10000))
		fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	assert_true(fd >= 0);
	set_agent(OTHER_POLICY); /* which permits nothing */
	char procs[192], text[64] = "";
	snprintf(procs, sizeof(procs), "%s/cgroup.procs", cgroups.sandbox);
	FILE *f = fopen(procs, "re");
	assert_non_null(f);
	assert_non_null(fgets(text, sizeof(text), f));
	fclose(f);
	must(kill((pid_t)strtol(text, NULL, 10), SIGCONT), "SIGCONT");
	int status;
	must(waitpid(pid, &status, 0), "waitpid");
	assert_int_equal(WEXITSTATUS(status), 0);
	assert_true(recv(fd, text, 1, 0) <= 0); /* "later" did not arrive */
	close(fd);
	set_agent(POLICY);
}

/* ---- records ---- */

static int denials;
static struct net_denial last_denial;

static int on_denial(void *ctx, void *p, size_t n)
{
	if (n >= sizeof(last_denial)) {
		memcpy(&last_denial, p, sizeof(last_denial));
		denials++;
	}
	return 0;
}

static void a_denial_is_on_record(void **state)
{
	struct ring_buffer *ring =
		ring_buffer__new(programs.maps[NET_MAP_DENIALS], on_denial, NULL, NULL);

	assert_non_null(ring);
	ring_buffer__consume(ring);
	denials = 0;
	assert_int_equal(inside(tcp6), EPERM);
	ring_buffer__consume(ring);
	ring_buffer__free(ring);
	assert_int_equal(denials, 1);
	assert_int_equal(last_denial.verdict, NET_DENY_DEFAULT);
	assert_int_equal(last_denial.hook, NET_HOOK_CONNECT);
	assert_int_equal(last_denial.port, PORT);
	assert_int_equal(last_denial.policy, POLICY);
	assert_true(last_denial.cgroup == cgroups.id);
	assert_true(last_denial.call_cgroup == cgroups.id);
	assert_string_not_equal(last_denial.comm, "");
}

enum { FLOOD = 4000 }; /* more than the ring holds */

static int flood(void)
{
	struct sockaddr_in6 a = at6("2001:db8::1");
	int fd = socket(AF_INET6, SOCK_DGRAM, 0);

	for (int i = 0; i < FLOOD; i++)
		if (connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0 || errno != EPERM)
			return 1;
	return 0;
}

/* With nobody to empty the ring: what is in it and what the kernel counted as lost is all. */
static void what_finds_no_room_is_counted(void **state)
{
	struct net_tally_key key = {.cgroup = cgroups.id, .which = NET_TALLY_LOST};
	uint64_t before = 0, lost = 0;
	struct ring_buffer *ring =
		ring_buffer__new(programs.maps[NET_MAP_DENIALS], on_denial, NULL, NULL);

	assert_non_null(ring);
	ring_buffer__consume(ring);
	denials = 0;
	(void)!bpf_map_lookup_elem(programs.maps[NET_MAP_TALLIES], &key, &before);
	assert_int_equal(inside(flood), 0);
	must(bpf_map_lookup_elem(programs.maps[NET_MAP_TALLIES], &key, &lost), "net_tallies");
	ring_buffer__consume(ring);
	ring_buffer__free(ring);
	assert_true(lost > before && denials > 0);
	assert_int_equal(lost - before + (uint64_t)denials, FLOOD);
}

/* ---- conversations ---- */

static uint64_t tally(enum net_tally which)
{
	struct net_tally_key key = {.cgroup = cgroups.id, .which = which};
	uint64_t n;
	return bpf_map_lookup_elem(programs.maps[NET_MAP_TALLIES], &key, &n) == 0 ? n : 0;
}

static void set_tally(enum net_tally which, uint64_t n)
{
	struct net_tally_key key = {.cgroup = cgroups.id, .which = which};
	must(bpf_map_update_elem(programs.maps[NET_MAP_TALLIES], &key, &n, BPF_ANY), "tally");
}

/* Those in the table; they are gone afterwards. The sum of what was sent in them is added up. */
static size_t take_flows(struct net_flow *sum)
{
	struct net_flow_key key;
	struct net_flow f;
	size_t n = 0;

	while (bpf_map_get_next_key(programs.maps[NET_MAP_FLOWS], NULL, &key) == 0) {
		must(bpf_map_lookup_and_delete_elem(programs.maps[NET_MAP_FLOWS], &key, &f),
			"flow");
		assert_true(key.cgroup == cgroups.id && f.call_cgroup == cgroups.id);
		sum->sent_packets += f.sent_packets;
		sum->sent_bytes += f.sent_bytes;
		sum->state |= f.state;
		n++;
	}
	set_tally(NET_TALLY_FLOWS_OVER, tally(NET_TALLY_FLOWS));
	return n;
}

enum { DATAGRAMS = 7, DATAGRAM_BYTES = 20 + 8 + 1 };

static int talk(void)
{
	struct sockaddr_in a = at("192.0.2.1");
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	for (int i = 0; i < DATAGRAMS; i++)
		if (sendto(fd, "x", 1, 0, (struct sockaddr *)&a, sizeof(a)) < 0)
			return errno;
	return 0;
}

static void what_is_said_is_counted(void **state)
{
	struct net_flow sum = {0};

	(void)take_flows(&sum);
	sum = (struct net_flow){0};
	uint64_t entered = tally(NET_TALLY_FLOWS);
	assert_int_equal(inside(talk), 0);
	assert_int_equal(tally(NET_TALLY_FLOWS) - entered, 1);
	assert_int_equal(take_flows(&sum), 1);
	assert_int_equal(sum.sent_packets, DATAGRAMS);
	assert_int_equal(sum.sent_bytes, DATAGRAMS * DATAGRAM_BYTES);
	while (datagram_arrived())
		;
	sum = (struct net_flow){0};
	assert_int_equal(inside(tcp_outside), 0);
	assert_true(tcp_arrived(listener));
	assert_int_equal(take_flows(&sum), 1);
	assert_true(sum.state != 0); /* its end was seen */
}

/* A sandbox with as many as it may have is not cut off, and what it began is counted. */
static void beyond_its_room_nothing_is_entered(void **state)
{
	struct net_flow sum = {0};

	(void)take_flows(&sum);
	uint64_t unlisted = tally(NET_TALLY_UNLISTED);
	set_tally(NET_TALLY_FLOWS_OVER, 0);
	set_tally(NET_TALLY_FLOWS, NET_AGENT_FLOWS_MAX);
	assert_int_equal(inside(talk), 0);
	assert_true(datagram_arrived());
	while (datagram_arrived())
		;
	assert_int_equal(tally(NET_TALLY_UNLISTED) - unlisted, DATAGRAMS);
	assert_int_equal(take_flows(&sum), 0);
	set_tally(NET_TALLY_FLOWS, NET_AGENT_FLOWS_MAX - 1);
	set_tally(NET_TALLY_FLOWS_OVER, 0);
	assert_int_equal(inside(talk), 0);
	assert_int_equal(take_flows(&sum), 1);
	while (datagram_arrived())
		;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_without_a_policy),
		cmocka_unit_test(only_loopback_by_default),
		cmocka_unit_test(a_rule_opens_what_it_names),
		cmocka_unit_test(a_restarted_helper_goes_on),
		cmocka_unit_test(tightening_cuts_what_flows),
		cmocka_unit_test(a_denial_is_on_record),
		cmocka_unit_test(what_finds_no_room_is_counted),
		cmocka_unit_test(what_is_said_is_counted),
		cmocka_unit_test(beyond_its_room_nothing_is_entered),
	};
	return cmocka_run_group_tests_name("bpf/net sockets", tests, set_up, tear_down);
}
