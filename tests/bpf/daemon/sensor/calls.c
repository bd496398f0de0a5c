/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Leases on real sockets: processes in a sandbox's cgroup and in that of a call below it, in a
 * network namespace whose loopback has addresses that are no loopback addresses. What counts is
 * whether a connection or a byte arrives.
 */
#include "daemon/sensor/sensor.h"
#include "tests/bpf/cgroups.h"
#include "tests/bpf/net/frame.h"
#include "tests/shell.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
	PORT = 4433,
	OWN_PORT = 4434,
	PATIENCE_MS = 20000,
	SHORT_MS = 400,
	LONG_MS = 600000,
	ROUNDS = 400
};

#define OUTSIDE "192.0.2.1" /* permitted outside of calls */
#define LEASED "192.0.2.2" /* within the call */
#define DENIED "192.0.2.3" /* nowhere */

static struct test_cgroups cgroups;
static char call_path[160];
static int listener = -1;
static uint64_t sandbox, call;
static struct sensor *sensor;
static struct sensor_policy *outside_policy;
static struct sensor_agent *agent;

static void open_sensor(void)
{
	int maps[NET_MAPS];
	for (int i = 0; i < NET_MAPS; i++)
		maps[i] = fcntl(programs.maps[i], F_DUPFD_CLOEXEC, 3);
	assert_int_equal(sensor_new(maps, &sensor), 0);
}

static int set_up(void **state)
{
	signal(SIGPIPE, SIG_IGN);
	cgroups_make(&cgroups, "aegis-lease-test");
	sandbox = cgroups.id;
	snprintf(call_path, sizeof(call_path), "%s/call", cgroups.sandbox);
	call = cgroup_make(call_path);
	must(unshare(CLONE_NEWNET), "new network namespace");
	assert_true(test_shell("ip link set lo up && for i in 1 2 3; do ip addr add 192.0.2.$i/32 "
			       "dev lo; done"));
	struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons(PORT)};
	listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	must(bind(listener, (struct sockaddr *)&any, sizeof(any)), "bind");
	must(listen(listener, 64), "listen");
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
	while (rmdir(call_path) < 0)
		if (errno != EBUSY)
			return -1;
		else
			usleep(1000); /* whoever was in it is on the way out */
	return cgroups_remove(&cgroups);
}

/* ---- rules ---- */

static struct kernel_net_rule rule(const char *ipv4, bool forbid)
{
	struct kernel_net_rule r = {.forbid = forbid,
		.prefix_bits = 128,
		.port_last = 65535,
		.address = {[10] = 0xff, 0xff},
		.policy_id = SPAN("lease")};
	assert_int_equal(inet_pton(AF_INET, ipv4, r.address + 12), 1);
	return r;
}

static struct sensor_policy *enter(const struct kernel_net_rule *rules, size_t count)
{
	struct kernel_rules all = {.net = rules, .net_count = count};
	struct sensor_policy *p = NULL;
	assert_int_equal(sensor_policy_new(sensor, &all, &p), 0);
	return p;
}

static struct sensor_call *lease(
	const struct kernel_net_rule *rules, size_t count, int64_t lasts_ms, bool again)
{
	struct sensor_policy *p = enter(rules, count);
	struct sensor_call *c = NULL;
	assert_int_equal(sensor_call_new(agent, call, p, lasts_ms, again, &c), 0);
	sensor_policy_unref(p);
	return c;
}

static struct sensor_call *usual_lease(int64_t lasts_ms)
{
	struct kernel_net_rule rules[] = {rule(OUTSIDE, false), rule(LEASED, false)};
	return lease(rules, 2, lasts_ms, false);
}

static int begin(void **state)
{
	struct net_agent a = {.slot = SLOT};
	struct kernel_net_rule outside = rule(OUTSIDE, false);

	open_sensor();
	assert_int_equal(bpf_map_update_elem(programs.maps[NET_MAP_AGENTS], &sandbox, &a, BPF_ANY),
		0); /* as the helper does */
	outside_policy = enter(&outside, 1);
	assert_int_equal(sensor_agent_new(sensor, sandbox, outside_policy, &agent), 0);
	return 0;
}

static int end(void **state)
{
	agent = sensor_agent_free(agent);
	outside_policy = sensor_policy_unref(outside_policy);
	sensor = sensor_free(sensor);
	(void)bpf_map_delete_elem(programs.maps[NET_MAP_AGENTS], &sandbox);
	return 0;
}

/* ---- processes, which do as they are told ---- */

struct worker {
	pid_t pid; /* what is waited for */
	int fd;
};

struct order {
	char what; /* 'k' make a socket, 'c' connect it, 's' send on it, 'm' move into the call,
		      'u' send a datagram from OWN_PORT, 'x' leave */
	int patience_ms;
	struct in_addr to;
};

static int connect_kept(int fd, const struct order *o)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(PORT), .sin_addr = o->to};
	struct pollfd p = {.fd = fd, .events = POLLOUT};
	int e = 0;
	socklen_t n = sizeof(e);

	if (connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0)
		return 0;
	if (errno != EINPROGRESS)
		return errno;
	if (poll(&p, 1, o->patience_ms) <= 0)
		return ETIMEDOUT;
	return getsockopt(fd, SOL_SOCKET, SO_ERROR, &e, &n) < 0 ? errno : e;
}

static int send_datagram(const struct order *o)
{
	struct sockaddr_in own = {.sin_family = AF_INET, .sin_port = htons(OWN_PORT)},
			   to = {.sin_family = AF_INET, .sin_port = htons(PORT), .sin_addr = o->to};
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	bool sent = bind(fd, (struct sockaddr *)&own, sizeof(own)) == 0 &&
		sendto(fd, "x", 1, 0, (struct sockaddr *)&to, sizeof(to)) == 1;
	int r = sent ? 0 : errno;

	close(fd);
	return r;
}

static void __attribute__((noreturn)) work(int fd)
{
	struct order o;
	int kept = -1;

	while (read(fd, &o, sizeof(o)) == sizeof(o) && o.what != 'x') {
		int answer = 0;
		if (o.what == 'k') {
			close(kept);
			kept = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
			answer = kept < 0 ? errno : 0;
		} else if (o.what == 'c') {
			answer = connect_kept(kept, &o);
		} else if (o.what == 's') {
			answer = send(kept, "x", 1, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 ? errno : 0;
		} else if (o.what == 'u') {
			answer = send_datagram(&o);
		} else if (o.what == 'm') {
			cgroup_enter(call_path);
		}
		if (write(fd, &answer, sizeof(answer)) != sizeof(answer))
			break;
	}
	_exit(0);
}

/* In a cgroup; `daemonized`: by a double fork, in a session of its own. */
static struct worker hire(const char *path, bool daemonized)
{
	int pair[2];
	must(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), "socketpair");
	struct worker w = {.pid = fork(), .fd = pair[0]};
	must(w.pid, "fork");
	if (w.pid == 0) {
		close(pair[0]);
		cgroup_enter(path);
		if (daemonized && (setsid() < 0 || fork() != 0))
			_exit(0);
		work(pair[1]);
	}
	close(pair[1]);
	return w;
}

static int tell(const struct worker *w, struct order o)
{
	int answer = -1;
	assert_true(write(w->fd, &o, sizeof(o)) == sizeof(o));
	assert_true(read(w->fd, &answer, sizeof(answer)) == sizeof(answer));
	return answer;
}

static int reach(const struct worker *w, const char *ipv4, int patience_ms)
{
	struct order o = {.what = 'c', .patience_ms = patience_ms};
	assert_int_equal(inet_pton(AF_INET, ipv4, &o.to), 1);
	return tell(w, o);
}

static int connect_to(const struct worker *w, const char *ipv4)
{
	assert_int_equal(tell(w, (struct order){.what = 'k'}), 0);
	return reach(w, ipv4, PATIENCE_MS);
}

static int send_byte(const struct worker *w)
{
	return tell(w, (struct order){.what = 's'});
}

static void dismiss(struct worker *w)
{
	struct order leave = {.what = 'x'};
	char byte;

	assert_true(write(w->fd, &leave, sizeof(leave)) == sizeof(leave));
	assert_true(read(w->fd, &byte, 1) == 0); /* one that was daemonized is nobody's child */
	close(w->fd);
	must(waitpid(w->pid, NULL, 0), "waitpid");
}

static int visitor(void)
{
	struct pollfd p = {.fd = listener, .events = POLLIN};
	(void)poll(&p, 1, PATIENCE_MS);
	return accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
}

static bool nobody_came(void)
{
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	if (fd >= 0)
		close(fd);
	return fd < 0;
}

static void assert_comes(const struct worker *w, const char *ipv4)
{
	assert_int_equal(connect_to(w, ipv4), 0);
	int fd = visitor();
	assert_true(fd >= 0);
	close(fd);
}

static void assert_stays_out(const struct worker *w, const char *ipv4)
{
	assert_int_not_equal(connect_to(w, ipv4), 0);
	assert_true(nobody_came());
}

static bool byte_within(int fd, int ms)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	char byte;
	return poll(&p, 1, ms) == 1 && recv(fd, &byte, 1, MSG_DONTWAIT) == 1;
}

/* ---- cases ---- */

static void only_processes_of_the_call(void **state)
{
	struct worker main_one = hire(cgroups.sandbox, false), plain = hire(call_path, false),
		      daemonized = hire(call_path, true);

	assert_stays_out(&plain, LEASED);
	struct sensor_call *c = usual_lease(LONG_MS);
	struct worker *both[] = {&plain, &daemonized};
	for (size_t i = 0; i < ARRAY_LEN(both); i++) {
		assert_comes(both[i], LEASED);
		assert_comes(both[i], OUTSIDE);
		assert_stays_out(both[i], DENIED);
	}
	assert_comes(&main_one, OUTSIDE);
	assert_stays_out(&main_one, LEASED);

	assert_int_equal(sensor_call_end(c), 0);
	for (size_t i = 0; i < ARRAY_LEN(both); i++) {
		assert_stays_out(both[i], LEASED);
		assert_comes(both[i], OUTSIDE); /* as outside of calls */
	}
	sensor_call_free(c);
	assert_stays_out(&plain, LEASED);
	dismiss(&main_one);
	dismiss(&plain);
	dismiss(&daemonized);
}

/* Nothing of ours runs when the time is over, and what flows is cut, too. */
static void time_ends_it(void **state)
{
	struct worker w = hire(call_path, true);
	struct sensor_call *c = usual_lease(LONG_MS);

	assert_int_equal(connect_to(&w, LEASED), 0);
	int fd = visitor();
	assert_int_equal(send_byte(&w), 0);
	assert_true(byte_within(fd, PATIENCE_MS));
	sensor_call_free(c);
	c = usual_lease(1);
	while (!sensor_call_is_over(c))
		usleep(1000);
	(void)send_byte(&w);
	assert_false(byte_within(fd, SHORT_MS));
	assert_stays_out(&w, LEASED);
	close(fd);
	sensor_call_free(c);
	dismiss(&w);
}

static const struct net_denial *last_of(enum net_verdict v)
{
	static struct net_denial found;
	const struct net_denial *const *list;
	bool is = false;

	for (size_t n; (n = sensor_denials_next(sensor, &list)) > 0; sensor_denials_done(sensor))
		for (size_t i = 0; i < n; i++)
			if (list[i]->verdict == v) {
				found = *list[i];
				is = true;
			}
	return is ? &found : NULL;
}

static void what_is_over_is_called_so(void **state)
{
	struct worker w = hire(call_path, false);
	struct sensor_call *c = usual_lease(LONG_MS);

	assert_int_equal(sensor_call_end(c), 0);
	(void)last_of(NET_VERDICTS);
	assert_stays_out(&w, LEASED);
	const struct net_denial *d = last_of(NET_DENY_LEASE);
	assert_non_null(d);
	assert_true(d->cgroup == sandbox && d->call_cgroup == call);
	assert_stays_out(&w, DENIED); /* which no lease was about */
	assert_null(last_of(NET_DENY_LEASE));
	sensor_call_free(c);
	dismiss(&w);
}

/* A socket is the call's whose process made it, whoever has it. */
static void sockets_from_elsewhere(void **state)
{
	struct worker w = hire(cgroups.sandbox, false);
	struct sensor_call *c = usual_lease(LONG_MS);

	assert_int_equal(tell(&w, (struct order){.what = 'k'}), 0);
	assert_int_equal(tell(&w, (struct order){.what = 'm'}), 0);
	assert_int_not_equal(reach(&w, LEASED, SHORT_MS), 0);
	assert_true(nobody_came());
	assert_comes(&w, LEASED); /* one that it makes itself */
	sensor_call_free(c);
	dismiss(&w);
}

static void forbid_wins_and_stays(void **state)
{
	struct worker w = hire(call_path, false);
	struct kernel_net_rule rules[] = {
		rule(OUTSIDE, true), rule(LEASED, false), rule(LEASED, true)};
	struct sensor_call *c = lease(rules, 3, LONG_MS, false);

	assert_stays_out(&w, LEASED);
	assert_stays_out(&w, OUTSIDE);
	assert_int_equal(sensor_call_end(c), 0);
	assert_stays_out(&w, OUTSIDE); /* the call's forbid, when its rights are over */
	sensor_call_free(c);
	assert_comes(&w, OUTSIDE);
	dismiss(&w);
}

static void policies_change_meanwhile(void **state)
{
	struct worker w = hire(call_path, false);
	struct sensor_call *c = usual_lease(LONG_MS);
	struct kernel_net_rule other = rule(DENIED, false);
	struct sensor_policy *p = enter(&other, 1);

	assert_int_equal(sensor_call_set_policy(c, p), 0);
	sensor_policy_unref(p);
	assert_comes(&w, DENIED);
	assert_stays_out(&w, LEASED);
	sensor_call_free(c);
	dismiss(&w);
}

static void names_in_a_call(void **state)
{
	struct worker w = hire(call_path, false), main_one = hire(cgroups.sandbox, false);
	struct kernel_net_rule before[] = {
		{.name = SPAN("early.test"), .port_last = 65535, .policy_id = SPAN("n")},
		{.name = SPAN("late.test"), .port_last = 65535, .policy_id = SPAN("n")}};
	struct kernel_net_rule early = rule(LEASED, false), late = rule(DENIED, false);

	assert_int_equal(sensor_agent_learn(agent, SPAN("early.test"),
				 (const uint8_t(*)[16]) & early.address, 1, 600),
		0);
	struct sensor_call *c = lease(before, 2, LONG_MS, false);
	assert_int_equal(sensor_agent_learn(agent, SPAN("late.test"),
				 (const uint8_t(*)[16]) & late.address, 1, 600),
		0);
	assert_comes(&w, LEASED);
	assert_comes(&w, DENIED); /* by its name */
	assert_stays_out(&main_one, LEASED);
	assert_stays_out(&main_one, DENIED);
	sensor_call_free(c);
	assert_stays_out(&w, LEASED);
	dismiss(&w);
	dismiss(&main_one);
}

/* The daemon goes without a word, and comes back. */
static void a_restart_lengthens_nothing(void **state)
{
	struct worker w = hire(call_path, false);
	struct kernel_net_rule rules[] = {rule(OUTSIDE, false), rule(LEASED, false)};
	struct net_call entry;
	size_t gone;

	usual_lease(LONG_MS);
	assert_int_equal(bpf_map_lookup_elem(programs.maps[NET_MAP_CALLS], &call, &entry), 0);
	uint64_t ends_ns = entry.ends_ns;
	agent = sensor_agent_forget(agent);
	sensor_policy_unref(outside_policy);
	sensor_free(sensor);
	assert_comes(&w, LEASED); /* with nobody there */

	open_sensor();
	assert_int_equal(sensor_sweep(sensor, &gone), 0);
	assert_comes(&w, LEASED);
	outside_policy = enter(rules, 1);
	assert_int_equal(sensor_agent_new(sensor, sandbox, outside_policy, &agent), 0);
	struct sensor_call *c = lease(rules, 2, 2 * LONG_MS, true);
	assert_int_equal(sensor_sweep(sensor, &gone), 0);
	assert_true(gone > 0); /* what the former one had entered */
	assert_comes(&w, LEASED);
	assert_int_equal(bpf_map_lookup_elem(programs.maps[NET_MAP_CALLS], &call, &entry), 0);
	assert_true(entry.ends_ns == ends_ns);
	sensor_call_free(c);

	c = lease(rules, 2, LONG_MS, true); /* of which the kernel knows nothing */
	assert_stays_out(&w, LEASED);
	sensor_call_free(c);
	dismiss(&w);
}

/* The daemon went between the lease and the dispatch: none of the call's time has been used. */
static void one_that_never_began_has_all_its_time(void **state)
{
	struct worker w = hire(call_path, false);
	struct kernel_net_rule rules[] = {rule(OUTSIDE, false), rule(LEASED, false)};

	usual_lease(0);
	agent = sensor_agent_forget(agent);
	sensor_policy_unref(outside_policy);
	sensor_free(sensor);

	open_sensor();
	outside_policy = enter(rules, 1);
	assert_int_equal(sensor_agent_new(sensor, sandbox, outside_policy, &agent), 0);
	assert_true(sensor_agent_has_call(agent, call));
	assert_stays_out(&w, LEASED);
	struct sensor_call *c = lease(rules, 2, LONG_MS, false);
	assert_comes(&w, LEASED);
	sensor_call_free(c);
	assert_false(sensor_agent_has_call(agent, call));
	dismiss(&w);
}

/* Datagrams from one port: they are whose socket it is now. */
static void a_port_goes_from_one_to_the_next(void **state)
{
	const char *paths[] = {cgroups.sandbox, call_path};
	const uint64_t whose[] = {sandbox, call};
	struct order o = {.what = 'u'};
	struct net_flow_key key = {
		.cgroup = sandbox, .port = PORT, .own_port = OWN_PORT, .protocol = IPPROTO_UDP};
	struct kernel_net_rule outside = rule(OUTSIDE, false);
	struct net_flow flow;

	memcpy(key.address, outside.address, 16);
	memcpy(&o.to, outside.address + 12, 4);
	for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
		struct worker w = hire(paths[i], false);
		assert_int_equal(tell(&w, o), 0);
		assert_int_equal(bpf_map_lookup_elem(programs.maps[NET_MAP_FLOWS], &key, &flow), 0);
		assert_true(flow.call_cgroup == whose[i]);
		assert_int_equal(flow.sent_packets, i + 1);
		dismiss(&w);
	}
}

static void sweep_takes_calls_of_nobody(void **state)
{
	uint64_t stray = 4242;
	struct net_call entry = {.sandbox = 99, .policy = 12345, .ends_ns = UINT64_MAX};
	size_t gone;

	assert_int_equal(
		bpf_map_update_elem(programs.maps[NET_MAP_CALLS], &stray, &entry, BPF_ANY), 0);
	struct sensor_call *c = usual_lease(LONG_MS);
	assert_int_equal(sensor_sweep(sensor, &gone), 0);
	assert_int_equal(
		bpf_map_lookup_elem(programs.maps[NET_MAP_CALLS], &stray, &entry), -ENOENT);
	assert_int_equal(bpf_map_lookup_elem(programs.maps[NET_MAP_CALLS], &call, &entry), 0);
	sensor_call_free(c);
	assert_int_equal(bpf_map_lookup_elem(programs.maps[NET_MAP_CALLS], &call, &entry), -ENOENT);
}

/* ---- figures ---- */

static int64_t now_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static int by_size(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
	return (x > y) - (x < y);
}

static void put_figures(const char *what, int64_t *ns, size_t n)
{
	qsort(ns, n, sizeof(*ns), by_size);
	int64_t p50_ns = ns[n / 2], p99_ns = ns[n * 99 / 100];
	print_message("# %s: p50 %.1f us, p99 %.1f us\n", what, (double)p50_ns / 1000,
		(double)p99_ns / 1000);
}

static void opening_and_closing(void **state)
{
	static int64_t open_ns[ROUNDS], close_ns[ROUNDS], denied_ns[ROUNDS];
	struct worker w = hire(call_path, false);

	for (int i = 0; i < ROUNDS; i++) {
		int64_t t0 = now_ns();
		struct sensor_call *c = usual_lease(LONG_MS);
		int64_t t1 = now_ns();
		assert_int_equal(sensor_call_end(c), 0);
		int64_t t2 = now_ns();
		if (i % 8 == 0)
			assert_stays_out(&w, LEASED);
		int64_t t3 = now_ns();
		sensor_call_free(c);
		open_ns[i] = t1 - t0;
		close_ns[i] = t2 - t1;
		denied_ns[i] = t3 - t1;
	}
	for (int i = 0; i < ROUNDS / 8; i++)
		denied_ns[i] = denied_ns[i * 8];
	put_figures("lease opened, two destinations", open_ns, ROUNDS);
	put_figures("lease ended", close_ns, ROUNDS);
	put_figures("from revoking to a denial that the process has seen", denied_ns, ROUNDS / 8);
	dismiss(&w);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(only_processes_of_the_call),
		CASE(time_ends_it),
		CASE(what_is_over_is_called_so),
		CASE(sockets_from_elsewhere),
		CASE(forbid_wins_and_stays),
		CASE(policies_change_meanwhile),
		CASE(names_in_a_call),
		CASE(a_restart_lengthens_nothing),
		CASE(one_that_never_began_has_all_its_time),
		CASE(a_port_goes_from_one_to_the_next),
		CASE(sweep_takes_calls_of_nobody),
		CASE(opening_and_closing),
	};
	return cmocka_run_group_tests_name("daemon/sensor calls", tests, set_up, tear_down);
}
