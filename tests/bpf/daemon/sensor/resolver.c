/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The DNS proxy between a client and a server that this test plays: what is asked for, what is
 * passed on, and what the kernel lets through afterwards.
 */
#include "daemon/sensor/resolver.h"
#include "tests/bpf/net/frame.h"
#include "tests/unit/daemon/rt/in_fiber.h"
#include <arpa/inet.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

static struct {
	struct sensor *sensor;
	struct sensor_policy *policy;
	struct sensor_agent *agent;
	struct resolver *resolver;
	struct resolver_servers servers;
	struct group group;
	int upstream_udp, upstream_tcp;
	int client; /* UDP, connected to the proxy */
	struct sockaddr_in tcp; /* the proxy's TCP side */
	int asked; /* questions that reached the server */
	struct resolver_record last;
} t;

static int udp_on_loopback(struct sockaddr_in *ret)
{
	socklen_t n = sizeof(*ret);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	*ret = (struct sockaddr_in){
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	EXPECT(fd >= 0 && bind(fd, (struct sockaddr *)ret, n) == 0);
	EXPECT(getsockname(fd, (struct sockaddr *)ret, &n) == 0);
	return fd;
}

/* ---- the server ---- */

static void put_alias(struct buf *b, const char *label)
{
	buf_u16be(b, 0xc00c);
	buf_u16be(b, DNS_CNAME);
	buf_u16be(b, 1);
	buf_u32be(b, 60);
	buf_u16be(b, (uint16_t)(strlen(label) + 7));
	buf_putc(b, (char)strlen(label));
	buf_puts(b, label);
	buf_put(b, "\x04test\x00", 6);
}

static void put_address(struct buf *b, const uint8_t *ipv4)
{
	buf_u16be(b, 0xc00c);
	buf_u16be(b, DNS_A);
	buf_u16be(b, 1);
	buf_u32be(b, 60);
	buf_u16be(b, 4);
	buf_put(b, ipv4, 4);
}

static const uint8_t outside[4] = {93, 184, 216, 34}, inside[4] = {10, 1, 2, 3},
		     metadata[4] = {169, 254, 169, 254};

static void serve(struct span message, bool udp, struct buf *b)
{
	struct dns_query q;
	uint16_t id;

	t.asked++;
	EXPECT(dns_query_parse(message, &q, &id) == 0);
	const char *name = q.name.text;
	dns_reply_write(
		b, &q, strcmp(name, "gone.test") == 0 ? DNS_NXDOMAIN : DNS_NOERROR, 0, NULL, 0);
	if (strcmp(name, "alias.test") == 0) {
		put_alias(b, "bad");
		b->data[7]++;
	} else if (strcmp(name, "inner.test") == 0) {
		put_address(b, inside);
		put_address(b, metadata);
		b->data[7] = (char)(b->data[7] + 2);
	} else if (strcmp(name, "big.test") == 0 && udp) {
		b->data[2] |= 0x02;
	} else if (strcmp(name, "gone.test") != 0) {
		put_address(b, outside);
		b->data[7]++;
	}
}

static void serve_udp(void *arg)
{
	for (;;) {
		struct buf b CLEANUP(buf_fini) = buf_init(1024);
		struct sockaddr_in from;
		char message[1024];
		struct iovec io = {message, sizeof(message)};
		struct msghdr m = {.msg_name = &from,
			.msg_namelen = sizeof(from),
			.msg_iov = &io,
			.msg_iovlen = 1};
		ssize_t n = rt_recvmsg(t.upstream_udp, &m, 0, DEADLINE_NONE);
		if (n <= 0)
			return;
		serve(span_of(message, (size_t)n), true, &b);
		b.data[0] ^= 1; /* a forgery first: another id */
		io = (struct iovec){b.data, b.len};
		EXPECT(rt_sendmsg(t.upstream_udp, &m, 0, deadline_in_ms(1000)) > 0);
		b.data[0] ^= 1;
		EXPECT(rt_sendmsg(t.upstream_udp, &m, 0, deadline_in_ms(1000)) > 0);
	}
}

static void serve_tcp(void *arg)
{
	for (;;) {
		struct buf b CLEANUP(buf_fini) = buf_init(1024);
		char message[1024];
		int fd = rt_accept(t.upstream_tcp, DEADLINE_NONE);
		if (fd < 0)
			return;
		ssize_t n = rt_recv(fd, message, sizeof(message), 0, deadline_in_ms(1000));
		EXPECT(n > 2);
		buf_u16be(&b, 0);
		struct buf reply CLEANUP(buf_fini) = buf_init(1024);
		serve(span_of(message + 2, (size_t)n - 2), false, &reply);
		buf_reset(&b);
		buf_u16be(&b, (uint16_t)reply.len);
		buf_span(&b, buf_view(&reply));
		EXPECT(rt_send_all(fd, b.data, b.len, deadline_in_ms(1000)) == 0);
		rt_close(fd);
	}
}

/* ---- the client ---- */

static void on_record(void *ctx, const struct resolver_record *r)
{
	t.last = *r;
}

static struct dns_query question(const char *name, uint16_t type)
{
	struct dns_query q = {.id = 77, .type = type, .recursion = true};
	q.name.n = (uint8_t)snprintf(q.name.text, sizeof(q.name.text), "%s", name);
	return q;
}

static struct dns_answer ask(const char *name, uint16_t type)
{
	struct buf b CLEANUP(buf_fini) = buf_init(1024);
	struct dns_query q = question(name, type);
	struct dns_answer a = {.rcode = DNS_FORMERR};
	char message[2048];

	dns_query_write(&b, &q);
	EXPECT(rt_send(t.client, b.data, b.len, 0, deadline_in_ms(1000)) > 0);
	ssize_t n = rt_recv(t.client, message, sizeof(message), 0, deadline_in_ms(8000));
	EXPECT(n > 0);
	if (n > 0)
		EXPECT(dns_answer_parse(span_of(message, (size_t)n), &q, &a) == 0);
	return a;
}

static bool allowed(const uint8_t *ipv4, uint16_t port)
{
	uint8_t frame[FRAME_BYTES];
	struct packet p = {.port = port, .protocol = IPPROTO_TCP};
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = frame);

	p.address[10] = p.address[11] = 0xff;
	memcpy(p.address + 12, ipv4, 4);
	opts.data_size_in = (uint32_t)put_frame(&p, frame);
	EXPECT(bpf_prog_test_run_opts(programs.hooks[0], &opts) == 0);
	return opts.retval == 1;
}

/* UDP and TCP on one port, which must be free for both. */
static void open_server(void)
{
	struct sockaddr *at = (struct sockaddr *)&t.servers.address[0];

	t.servers.count = 1;
	for (int i = 0; i < 100; i++) {
		t.upstream_udp = udp_on_loopback((struct sockaddr_in *)at);
		t.upstream_tcp = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (bind(t.upstream_tcp, at, sizeof(struct sockaddr_in)) == 0)
			return;
		close(t.upstream_udp);
		close(t.upstream_tcp);
	}
	expect_failed("a port that is free for UDP and TCP", __FILE__, __LINE__);
}

static void start(const struct kernel_net_rule *rules, size_t count)
{
	struct kernel_rules all = {.net = rules, .net_count = count};
	struct resolver_options o = {.servers = &t.servers, .observer = on_record};
	struct sockaddr_in at;
	int maps[NET_MAPS];

	for (int i = 0; i < NET_MAPS; i++)
		maps[i] = fcntl(programs.maps[i], F_DUPFD_CLOEXEC, 3);
	t.asked = 0;
	EXPECT(sensor_new(maps, &t.sensor) == 0);
	EXPECT(sensor_policy_new(t.sensor, &all, &t.policy) == 0);
	EXPECT(sensor_agent_new(t.sensor, root_cgroup, t.policy, &t.agent) == 0);

	open_server();
	EXPECT(listen(t.upstream_tcp, 4) == 0);
	group_init(&t.group);
	EXPECT(group_spawn(&t.group, "server", FIBER_LARGE, serve_udp, NULL) == 0);
	EXPECT(group_spawn(&t.group, "server", FIBER_LARGE, serve_tcp, NULL) == 0);

	int udp = udp_on_loopback(&at), tcp = listen_loopback(&t.tcp, 4);
	struct sockaddr_in own;
	t.client = udp_on_loopback(&own);
	EXPECT(connect(t.client, (struct sockaddr *)&at, sizeof(at)) == 0);
	EXPECT(resolver_start(t.agent, udp, tcp, &o, &t.resolver) == 0);
}

static void stop(void)
{
	resolver_stop(t.resolver);
	group_close(&t.group);
	rt_close(t.client);
	rt_close(t.upstream_udp);
	rt_close(t.upstream_tcp);
	sensor_agent_free(t.agent);
	sensor_policy_unref(t.policy);
	sensor_free(t.sensor);
}

static const struct kernel_net_rule some_names[] = {
	{.name = SPAN("*.test"), .port_first = 443, .port_last = 443, .policy_id = SPAN("tests")},
	{.name = SPAN("bad.test"),
		.forbid = true,
		.port_last = 65535,
		.policy_id = SPAN("not-bad")},
};

static void permitted_name(void *arg)
{
	start(some_names, 2);
	EXPECT(!allowed(outside, 443));
	struct dns_answer a = ask("good.test", DNS_A);
	EXPECT_INT(a.rcode, DNS_NOERROR);
	EXPECT_INT((long)a.count, 1);
	EXPECT(allowed(outside, 443)); /* before the agent could ask */
	EXPECT(!allowed(outside, 80));
	EXPECT_INT(t.asked, 1);
	EXPECT_INT((long)t.last.addresses, 1);
	stop();
	EXPECT(!allowed(outside, 443));
}

static void denied_names_never_leave(void *arg)
{
	start(some_names, 2);
	EXPECT_INT(ask("secret-data.attacker.example", DNS_A).rcode, DNS_REFUSED);
	EXPECT(t.last.denied && t.last.policy_id.n == 0);
	EXPECT_INT(ask("bad.test", DNS_A).rcode, DNS_REFUSED);
	EXPECT(span_is(t.last.policy_id, "not-bad"));
	EXPECT_INT(ask("test", DNS_A).rcode, DNS_REFUSED);
	EXPECT_INT(ask("x.test.evil.example", DNS_AAAA).rcode, DNS_REFUSED);
	EXPECT_INT(ask("good.test", 16 /* TXT */).rcode, DNS_NOERROR);
	EXPECT_INT(t.asked, 0);
	stop();
}

static void answers_are_decided_too(void *arg)
{
	start(some_names, 2);
	EXPECT_INT(ask("alias.test", DNS_A).rcode, DNS_REFUSED);
	EXPECT(span_is(t.last.policy_id, "not-bad"));
	struct dns_answer a = ask("inner.test", DNS_A);
	EXPECT_INT(a.rcode, DNS_NOERROR);
	EXPECT_INT((long)a.count, 0);
	EXPECT_INT((long)t.last.internal, 2);
	EXPECT(!allowed(inside, 443) && !allowed(metadata, 443));
	EXPECT_INT(ask("gone.test", DNS_A).rcode, DNS_NXDOMAIN);
	stop();
}

/* A rule about the address says that the inside is meant. */
static void internal_on_purpose(void *arg)
{
	struct kernel_net_rule rules[] = {some_names[0],
		{.address = {[10] = 0xff, 0xff, 10},
			.prefix_bits = 104,
			.port_first = 443,
			.port_last = 443}};
	start(rules, 2);
	EXPECT_INT((long)ask("inner.test", DNS_A).count, 1);
	EXPECT_INT((long)t.last.internal, 1); /* metadata stays out */
	stop();
}

/* A name that only a call may reach is answered while it has time; internal addresses are not,
 * whatever the call may: they would be learned for the whole sandbox. */
static void names_of_a_lease(void *arg)
{
	struct kernel_net_rule rules[] = {some_names[0], some_names[1],
		{.address = {[10] = 0xff, 0xff, 10}, .prefix_bits = 104, .port_last = 65535}};
	struct kernel_rules all = {.net = rules, .net_count = ARRAY_LEN(rules)};
	struct sensor_policy *p;
	struct sensor_call *c;

	start(NULL, 0);
	EXPECT_INT(ask("good.test", DNS_A).rcode, DNS_REFUSED);
	EXPECT(sensor_policy_new(t.sensor, &all, &p) == 0);
	EXPECT(sensor_call_new(t.agent, 4242, p, 600000, false, &c) == 0);
	sensor_policy_unref(p);
	EXPECT_INT((long)ask("good.test", DNS_A).count, 1);
	EXPECT(t.last.policy_id.n == 0);
	EXPECT(!allowed(outside, 443)); /* outside of the call */
	EXPECT_INT((long)ask("inner.test", DNS_A).count, 0);
	EXPECT_INT(ask("bad.test", DNS_A).rcode, DNS_REFUSED);
	EXPECT(span_is(t.last.policy_id, "not-bad"));
	EXPECT_INT(ask("alias.test", DNS_A).rcode, DNS_REFUSED);
	EXPECT(sensor_call_end(c) == 0);
	EXPECT_INT(ask("good.test", DNS_A).rcode, DNS_REFUSED);
	sensor_call_free(c);
	stop();
}

static void long_answers_come_over_tcp(void *arg)
{
	start(some_names, 2);
	EXPECT_INT((long)ask("big.test", DNS_A).count, 1);
	EXPECT_INT(t.asked, 2);
	stop();
}

static void tcp_is_served(void *arg)
{
	struct buf b CLEANUP(buf_fini) = buf_init(1024);
	struct dns_query q = question("good.test", DNS_A);
	struct dns_answer a;
	char message[1024];

	start(some_names, 2);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	EXPECT(rt_connect(fd, (struct sockaddr *)&t.tcp, sizeof(t.tcp), deadline_in_ms(1000)) == 0);
	for (int i = 0; i < 2; i++) { /* twice on one connection */
		buf_reset(&b);
		buf_u16be(&b, 0);
		dns_query_write(&b, &q);
		b.data[1] = (char)(b.len - 2);
		EXPECT(rt_send_all(fd, b.data, b.len, deadline_in_ms(1000)) == 0);
		ssize_t n = rt_recv(fd, message, sizeof(message), 0, deadline_in_ms(8000));
		EXPECT(n > 2);
		if (n > 2)
			EXPECT(dns_answer_parse(span_of(message + 2, (size_t)n - 2), &q, &a) == 0);
		EXPECT_INT((long)a.count, 1);
	}
	rt_close(fd);
	stop();
}

static void floods_are_refused(void *arg)
{
	int asked = 0;

	start(some_names, 2);
	while (asked < 20 * LIMIT_RESOLVER_BURST && ask("good.test", DNS_A).rcode != DNS_REFUSED)
		asked++;
	EXPECT(asked >= LIMIT_RESOLVER_BURST && asked < 20 * LIMIT_RESOLVER_BURST);
	EXPECT(t.last.denied);
	EXPECT_INT(t.asked, asked);
	stop();
}

static void rubbish_is_answered_or_dropped(void *arg)
{
	start(some_names, 2);
	EXPECT(rt_send(t.client, "\0", 1, 0, deadline_in_ms(1000)) > 0);
	char big[2000] = {0};
	EXPECT(rt_send(t.client, big, sizeof(big), 0, deadline_in_ms(1000)) > 0);
	EXPECT_INT((long)ask("good.test", DNS_A).count, 1); /* it still serves */
	stop();
}

#define IN_FIBER(body) \
	static void body##_(void **state) \
	{ \
		enter_agent(); \
		in_fiber(body); \
	}
IN_FIBER(permitted_name)
IN_FIBER(denied_names_never_leave)
IN_FIBER(answers_are_decided_too)
IN_FIBER(internal_on_purpose)
IN_FIBER(names_of_a_lease)
IN_FIBER(long_answers_come_over_tcp)
IN_FIBER(tcp_is_served)
IN_FIBER(floods_are_refused)
IN_FIBER(rubbish_is_answered_or_dropped)

static void resolv_conf_is_read(void **state)
{
	struct resolver_servers s;

	assert_int_equal(resolver_servers_parse(SPAN("# comment\nsearch example.org\n"
						     "nameserver 192.0.2.53\n"
						     "nameserver\t2001:db8::53 \n"
						     "nameserver rubbish\n"
						     "nameservers 192.0.2.54\n"),
				 &s),
		0);
	assert_int_equal(s.count, 2);
	assert_int_equal(s.address[0].ss_family, AF_INET);
	assert_int_equal(s.address[1].ss_family, AF_INET6);
	assert_int_equal(resolver_servers_parse(SPAN("search example.org\n"), &s), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(permitted_name_),
		cmocka_unit_test(denied_names_never_leave_),
		cmocka_unit_test(answers_are_decided_too_),
		cmocka_unit_test(internal_on_purpose_),
		cmocka_unit_test(names_of_a_lease_),
		cmocka_unit_test(long_answers_come_over_tcp_),
		cmocka_unit_test(tcp_is_served_),
		cmocka_unit_test(floods_are_refused_),
		cmocka_unit_test(rubbish_is_answered_or_dropped_),
		cmocka_unit_test(resolv_conf_is_read),
	};
	return cmocka_run_group_tests_name(
		"daemon/sensor resolver", tests, load_programs, unload_programs);
}
