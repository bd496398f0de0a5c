/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The kernel's verdict equals Cedar's (decisions, [16]): random rules are entered into the maps as
 * the sensor compiles them, and written as Cedar policies; random packets, most of them at the
 * rules' boundaries, are given to the program by BPF_PROG_TEST_RUN and to cedar_authorize().
 */
#include "daemon/sensor/sensor.h"
#include "policy/cedar/cedar.h"
#include "tests/bpf/net/frame.h"
#include "tests/prop/random.h"
#include <arpa/inet.h>

enum { RULES = 12, PACKETS = 60 };

/* ---- random rules ---- */

struct world {
	struct random r;
	struct arena *arena;
	struct kernel_net_rule rules[RULES];
	size_t count;
};

static const char *const bases[] = {"10.1.2.3", "10.1.3.0", "192.0.2.255", "2001:db8::1",
	"2001:db8:0:1::", "255.255.255.255", "fe80::1"};

static void base_address(struct random *r, uint8_t *ret)
{
	const char *text = bases[random_below(r, ARRAY_LEN(bases))];

	memset(ret, 0, 16);
	if (strchr(text, ':')) {
		assert_int_equal(inet_pton(AF_INET6, text, ret), 1);
		return;
	}
	ret[10] = ret[11] = 0xff;
	assert_int_equal(inet_pton(AF_INET, text, ret + 12), 1);
}

static bool is_loopback(const uint8_t *address)
{
	static const uint8_t one[16] = {[15] = 1};
	return is_ipv4(address) ? address[12] == 127 : memcmp(address, one, 16) == 0;
}

static void cut(uint8_t *address, unsigned bits)
{
	for (unsigned i = bits; i < 128; i++)
		address[i / 8] &= (uint8_t) ~(0x80 >> i % 8);
}

static const uint16_t ports[] = {0, 1, 53, 80, 443, 444, 8080, 65535};

static void random_rule(struct random *r, struct kernel_net_rule *ret)
{
	uint16_t a = ports[random_below(r, ARRAY_LEN(ports))],
		 b = ports[random_below(r, ARRAY_LEN(ports))];

	*ret = (struct kernel_net_rule){
		.forbid = random_chance(r, 3),
		.protocol = (uint8_t[]){0, IPPROTO_TCP, IPPROTO_UDP}[random_below(r, 3)],
		.port_first = a < b ? a : b,
		.port_last = a < b ? b : a,
		.policy_id = SPAN("p"),
	};
	base_address(r, ret->address);
	ret->prefix_bits =
		(uint8_t)(is_ipv4(ret->address) ? 96 + random_below(r, 33) : random_below(r, 129));
	if (ret->prefix_bits < 96 && random_chance(r, 2))
		ret->prefix_bits = (uint8_t)(ret->prefix_bits / 8 * 8);
	cut(ret->address, ret->prefix_bits);
}

static void random_world(struct world *w)
{
	w->count = 1 + random_below(&w->r, RULES);
	for (size_t i = 0; i < w->count; i++)
		random_rule(&w->r, &w->rules[i]);
}

/* ---- the same rules as Cedar ---- */

static const char *ip_text(const uint8_t *address, char *buf)
{
	if (is_ipv4(address))
		inet_ntop(AF_INET, address + 12, buf, INET6_ADDRSTRLEN);
	else
		inet_ntop(AF_INET6, address, buf, INET6_ADDRSTRLEN);
	return buf;
}

/* A rule whose IPv6 prefix is so short that it contains the mapped addresses speaks of IPv4, too;
 * Cedar's ranges never mix the families, so such a policy names both. */
static void put_range(struct buf *b, const struct kernel_net_rule *r)
{
	char text[INET6_ADDRSTRLEN];
	static const uint8_t mapped[16] = {[10] = 0xff, [11] = 0xff};
	uint8_t head[16];

	if (is_ipv4(r->address) && r->prefix_bits >= 96) {
		buf_printf(b, "context.address.isInRange(ip(\"%s/%u\"))", ip_text(r->address, text),
			r->prefix_bits - 96u);
		return;
	}
	inet_ntop(AF_INET6, r->address, text, sizeof(text));
	buf_printf(b, "(context.address.isInRange(ip(\"%s/%u\"))", text, r->prefix_bits);
	memcpy(head, mapped, 16);
	cut(head, r->prefix_bits);
	if (memcmp(head, r->address, 16) == 0)
		buf_printf(b, " || context.address.isIpv4()");
	buf_printf(b, ")");
}

static const struct cedar_set *as_cedar(struct world *w)
{
	struct buf b CLEANUP(buf_fini) = buf_init(1 << 20);
	const struct cedar_set *set;
	struct cedar_policies policies;

	for (size_t i = 0; i < w->count; i++) {
		const struct kernel_net_rule *r = &w->rules[i];
		buf_printf(&b, "%s(principal, action, resource) when { ",
			r->forbid ? "forbid" : "permit");
		put_range(&b, r);
		buf_printf(&b, " && context.port >= %u && context.port <= %u", r->port_first,
			r->port_last);
		if (r->protocol)
			buf_printf(&b, " && context.protocol == %u", r->protocol);
		buf_printf(&b, " };\n");
	}
	struct span text = arena_span(w->arena, buf_view(&b));
	assert_int_equal(cedar_policies_parse(w->arena, text, &policies), 0);
	assert_int_equal(cedar_set_compile(w->arena, &policies, &set), 0);
	return set;
}

static bool cedar_allows(struct world *w, const struct cedar_set *set, const struct packet *p)
{
	char text[INET6_ADDRSTRLEN];
	const char *json = arena_printf(w->arena,
		"{\"address\":{\"__extn\":{\"fn\":\"ip\",\"arg\":\"%s\"}},\"port\":%u,\"protocol\":"
		"%u}",
		ip_text(p->address, text), p->port, p->protocol);
	const struct json *v, *none;
	struct cedar_request q = {
		.principal = cedar_uid_of(SPAN("Execution"), SPAN("e")),
		.action = cedar_uid_of(SPAN("Action"), SPAN("net:connect")),
		.resource = cedar_uid_of(SPAN("Address"), SPAN("a")),
	};
	const struct cedar_entities *entities;
	struct cedar_answer answer;

	assert_int_equal(json_parse(w->arena, span_cstr(json), NULL, &v), 0);
	assert_int_equal(json_parse(w->arena, SPAN("[]"), NULL, &none), 0);
	assert_int_equal(cedar_context_from_json(w->arena, v, &q.context), 0);
	assert_int_equal(cedar_entities_from_json(w->arena, none, &entities), 0);
	assert_int_equal(cedar_authorize(w->arena, set, entities, &q, &answer), 0);
	assert_int_equal(answer.error_count, 0);
	return answer.allow;
}

/* ---- packets ---- */

static void random_packet(struct world *w, struct packet *ret)
{
	const struct kernel_net_rule *near = &w->rules[random_below(&w->r, w->count)];
	int step = (int)random_below(&w->r, 3) - 1;

	memcpy(ret->address, near->address, 16);
	if (random_chance(&w->r, 2)) /* the last address of the range */
		for (unsigned i = near->prefix_bits; i < 128; i++)
			ret->address[i / 8] |= (uint8_t)(0x80 >> i % 8);
	for (int i = 15; i >= 0 && step; i--) { /* and those beside it */
		int v = ret->address[i] + step;
		ret->address[i] = (uint8_t)v;
		step = v < 0 ? -1 : v > 255;
	}
	if (random_chance(&w->r, 5))
		base_address(&w->r, ret->address);
	ret->protocol = random_chance(&w->r, 2) ? IPPROTO_TCP : IPPROTO_UDP;
	uint16_t port = random_chance(&w->r, 2) ? near->port_first : near->port_last;
	ret->port = (uint16_t)(port + (int)random_below(&w->r, 3) - 1);
}

static void enter(const struct sensor_table *t, bool remove)
{
	for (size_t i = 0; i < t->prefix_count; i++) {
		struct net_prefix_key key = t->prefixes[i].key;
		key.policy = POLICY;
		if (remove)
			assert_int_equal(
				bpf_map_delete_elem(programs.maps[NET_MAP_PREFIXES], &key), 0);
		else
			assert_int_equal(bpf_map_update_elem(programs.maps[NET_MAP_PREFIXES], &key,
						 &t->prefixes[i].rules, BPF_ANY),
				0);
	}
}

static void one_world(uint64_t seed)
{
	struct world w = {.r = {seed}, .arena = arena_new(64 << 20)};
	struct sensor_table table;

	assert_non_null(w.arena);
	random_world(&w);
	struct kernel_rules rules = {.net = w.rules, .net_count = w.count};
	assert_int_equal(sensor_compile(&rules, w.arena, &table), 0);
	const struct cedar_set *set = as_cedar(&w);
	enter(&table, false);
	for (int i = 0; i < PACKETS; i++) {
		uint8_t frame[FRAME_BYTES];
		char text[INET6_ADDRSTRLEN];
		struct packet p;

		random_packet(&w, &p);
		if (is_loopback(p.address)) /* the programs leave it alone */
			continue;
		size_t n = put_frame(&p, frame);
		bool kernel = run(programs.hooks[0], frame, n) == 1,
		     cedar = cedar_allows(&w, set, &p);
		if (kernel != cedar)
			fail_msg("seed %llu: %s port %u protocol %u: kernel %s, Cedar %s",
				(unsigned long long)seed, ip_text(p.address, text), p.port,
				p.protocol, kernel ? "allows" : "denies",
				cedar ? "allows" : "denies");
	}
	enter(&table, true);
	arena_free(w.arena);
}

static void kernel_equals_cedar(void **state)
{
	enter_agent();
	for_each_seed (seed, 300)
		one_world(seed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(kernel_equals_cedar),
	};
	return cmocka_run_group_tests_name("bpf/net", tests, load_programs, unload_programs);
}
