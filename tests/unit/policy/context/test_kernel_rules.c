/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Rules for the kernel against the decision itself: for every name, address and port of a small
 * world, what the rules say by their own definition is what policy_decide() says.
 */
#include "policy/context/context.h"
#include "policy/context/kernel_rules.h"
#include "tests/tap.h"
#include <arpa/inet.h>
#include <netinet/in.h>

static struct arena *arena;

static int setup(void **state)
{
	(void)state;
	arena = arena_new(256 << 20);
	return arena ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	arena = arena_free(arena);
	return 0;
}

static struct decision_request who = {
	.execution_id = {"e", 1}, .agent = {"builder", 7}, .tenant = {"t", 1}};
static const char *const names[] = {
	"a.org", "x.a.org", "y.x.a.org", "ba.org", "b.org", "org", "c.com"};
static const char *const addresses[] = {
	"10.0.0.1", "10.1.2.3", "11.0.0.1", "192.0.2.1", "2001:db8::1", "2001:db9::1", "::1"};
static const uint16_t ports[] = {0, 24, 25, 26, 80, 443, 444, 8080, 65535};

static bool name_meets(struct span pattern, struct span name)
{
	if (span_is(pattern, "*"))
		return true;
	if (!span_starts(pattern, SPAN("*.")))
		return span_eq(pattern, name);
	return name.n > pattern.n - 1 && span_ends(name, span_sub(pattern, 1, pattern.n));
}

static bool address_meets(const struct kernel_net_rule *r, const char *text)
{
	uint8_t address[16] = {[10] = 0xff, [11] = 0xff};
	if (inet_pton(AF_INET, text, address + 12) != 1)
		assert_int_equal(inet_pton(AF_INET6, text, address), 1);
	for (unsigned i = 0; i < r->prefix_bits; i++)
		if ((address[i / 8] ^ r->address[i / 8]) & 0x80 >> i % 8)
			return false;
	return true;
}

/* One of name and address is NULL. */
static bool rules_say(const struct kernel_rules *k, const char *name, const char *address,
	uint16_t port, uint8_t protocol)
{
	bool permitted = false;
	for (size_t i = 0; i < k->net_count; i++) {
		const struct kernel_net_rule *r = &k->net[i];
		bool meets = r->name.n ? name && name_meets(r->name, span_cstr(name))
				       : address && address_meets(r, address);
		if (!meets || port < r->port_first || port > r->port_last ||
			(r->protocol && r->protocol != protocol))
			continue;
		if (r->forbid)
			return false;
		permitted = true;
	}
	return permitted;
}

static bool policy_says(const struct rule_set *s, const char *name, const char *address,
	uint16_t port, uint8_t protocol)
{
	struct decision_request q = who;
	struct decision d;
	q.action = SPAN("net:connect");
	q.domain = span_cstr(name);
	q.address = span_cstr(address ? address : "203.0.113.77"); /* a name's; in no block here */
	q.port = port;
	q.protocol = protocol == IPPROTO_TCP ? SPAN("tcp") : SPAN("udp");
	assert_int_equal(policy_decide(s, NULL, &q, 0, arena, &d), 0);
	return d.allowed;
}

static bool may_be_beyond; /* the kernel */
static unsigned beyond;

static void expect_same(struct rule_set *s)
{
	static const uint8_t protocols[] = {IPPROTO_TCP, IPPROTO_UDP};
	struct kernel_rules k;
	int r = rule_set_kernel_rules(s, &who, arena, &k);
	if (r == -EOPNOTSUPP && may_be_beyond) {
		err_clear();
		beyond++;
		rule_set_unref(s);
		return;
	}
	if (r < 0)
		fail_msg("%s\n%s", err_message(r), arena_cstr(arena, rule_set_text(s, arena)));
	for (size_t p = 0; p < ARRAY_LEN(ports); p++)
		for (size_t t = 0; t < 2; t++) {
			for (size_t i = 0; i < ARRAY_LEN(names); i++)
				if (rules_say(&k, names[i], NULL, ports[p], protocols[t]) !=
					policy_says(s, names[i], NULL, ports[p], protocols[t]))
					fail_msg("%s port %u protocol %u\n%s", names[i], ports[p],
						protocols[t],
						arena_cstr(arena, rule_set_text(s, arena)));
			for (size_t i = 0; i < ARRAY_LEN(addresses); i++)
				if (rules_say(&k, NULL, addresses[i], ports[p], protocols[t]) !=
					policy_says(s, NULL, addresses[i], ports[p], protocols[t]))
					fail_msg("%s port %u protocol %u\n%s", addresses[i],
						ports[p], protocols[t],
						arena_cstr(arena, rule_set_text(s, arena)));
		}
	rule_set_unref(s);
}

static struct rule_set *seal(struct rule_set_builder *b)
{
	struct rule_set *s = rule_set_seal(b);
	if (!s)
		fail_msg("%s", err_message(-EINVAL));
	rule_set_builder_free(b);
	return s;
}

static void manifests(void **state)
{
	(void)state;
	static const char *const entries[] = {"a.org", "*.a.org:443", "*", "10.0.0.0/8:80-443",
		"[2001:db8::/32]:25", "192.0.2.1", "x.a.org:8080"};
	/* Every choice of what is allowed, and of one that is denied. */
	for (unsigned allowed = 0; allowed < 1u << ARRAY_LEN(entries); allowed += 3) {
		struct rule_set_builder *b = rule_set_builder_new();
		for (size_t i = 0; i < ARRAY_LEN(entries); i++)
			if (allowed & 1u << i)
				assert_int_equal(rule_allow_connect(b, entries[i],
							 (struct rule_origin){.field = "allow"}),
					0);
		if (allowed & 1)
			assert_int_equal(rule_deny_connect(b, entries[allowed % ARRAY_LEN(entries)],
						 (struct rule_origin){.field = "deny"}),
				0);
		expect_same(seal(b));
	}
}

static void policies(void **state)
{
	(void)state;
	static const char *const texts[] = {
		"permit (principal, action == Action::\"net:connect\", resource);",
		"permit (principal, action, resource) when { context.port == 443 || context.port < "
		"25 };",
		"permit (principal, action in Action::\"net\", resource is Domain) unless { "
		"context.port >= 443 };",
		"permit (principal in Agent::\"builder\", action, resource in Domain::\"a.org\");"
		"permit (principal in Agent::\"other\", action, resource in Domain::\"b.org\");",
		"permit (principal, action, resource); forbid (principal, action == "
		"Action::\"net:connect\", resource) when { context.port == 25 };",
		"permit (principal, action, resource); forbid (principal, action, resource) unless "
		"{ "
		"resource in [Domain::\"a.org\", Domain::\"c.com\"] && context.protocol == \"tcp\" "
		"};",
		"permit (principal, action, resource); forbid (principal, action, resource) unless "
		"{ "
		"context has ip && context.ip.isInRange(ip(\"10.0.0.0/16\")) };",
		"permit (principal, action, resource is Address) when { resource.ip.isInRange("
		"ip(\"10.0.0.0/8\")) && context.protocol != \"udp\" };",
		"permit (principal, action, resource); forbid (principal, action in "
		"[Action::\"exec\", Action::\"fs:read\"], resource);",
		"permit (principal, action, resource) when { principal.agent == Agent::\"builder\" "
		"&& "
		"!(context.port == 80) };",
		"permit (principal, action, resource); forbid (principal, action, resource) when { "
		"principal.nothing };",
		"permit (principal, action, resource is Domain in Domain::\"a.org\");",
		"permit (principal, action, resource == Address::\"10.0.0.1\");",
	};
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		struct rule_set_builder *b = rule_set_builder_new();
		assert_int_equal(rule_add_cedar(b, span_cstr(texts[i]), "a.cedar"), 0);
		expect_same(seal(b));
	}
}

static void contexts(void **state)
{
	(void)state;
	static const char *const domains[] = {"a.org", "*.b.org"},
				 *const denied[] = {"web.*:x.a.org"};
	const struct rule_capability caps[] = {{.tool_pattern = "web.*", .domains = {domains, 2}},
		{.tool_pattern = "fs.*"}, {.tool_pattern = "web.fetch"}, {.tool_pattern = "*"}};
	for (size_t i = 0; i < ARRAY_LEN(caps); i++)
		for (int use = RULE_CONTEXT_GRANTS; use <= RULE_CONTEXT_CEILING; use++)
			for (size_t deny = 0; deny < 2; deny++) {
				const struct rule_context c = {.name = "c",
					.capabilities = &caps[i],
					.capability_count = 1,
					.deny_list = {denied, deny}};
				struct rule_set_builder *b = rule_set_builder_new();
				const struct rule_origin o = {.field = "m"};
				assert_int_equal(
					rule_add_context(b, &c, (enum rule_context_use)use), 0);
				if (use == RULE_CONTEXT_CEILING) {
					assert_int_equal(rule_allow_connect(b, "*", o), 0);
					assert_int_equal(rule_allow_connect(b, "10.0.0.0/8", o), 0);
				}
				expect_same(seal(b));
			}
}

static uint64_t seed = 42;

static unsigned pick(unsigned n)
{
	seed = seed * 6364136223846793005u + 1442695040888963407u;
	return (unsigned)(seed >> 33) % n;
}

static void put_condition(struct buf *b, int depth)
{
	static const char *const atoms[] = {"context.port == 443", "context.port < 25",
		"25 <= context.port", "context.port != 80", "context.protocol == \"tcp\"",
		"context.protocol != \"udp\"", "resource in Domain::\"a.org\"",
		"resource == Domain::\"x.a.org\"", "resource != Domain::\"a.org\"",
		"resource in [Domain::\"a.org\", Domain::\"c.com\"]", "resource is Domain",
		"resource is Address", "context.ip.isInRange(ip(\"10.0.0.0/8\"))",
		"context.ip.isInRange(ip(\"2001:db8::/32\"))", "principal in Agent::\"builder\"",
		"action == Action::\"net:connect\"", "true", "context has call",
		"context has call && context.call.program == \"git\"",
		"[\"git\", \"curl\"].contains(context.call.program)"};
	if (depth == 0 || pick(3) == 0) {
		buf_puts(b, atoms[pick(ARRAY_LEN(atoms))]);
		return;
	}
	buf_puts(b, pick(4) ? "(" : "!(");
	put_condition(b, depth - 1);
	buf_puts(b, pick(2) ? " && " : " || ");
	put_condition(b, depth - 1);
	buf_puts(b, ")");
}

static void random_policies(void **state)
{
	(void)state;
	may_be_beyond = true;
	for (int i = 0; i < 600; i++) {
		struct buf b CLEANUP(buf_fini) = buf_init(65536);
		struct rule_set_builder *builder = rule_set_builder_new();
		unsigned count = 1 + pick(3);
		for (unsigned k = 0; k < count; k++) {
			buf_puts(&b, pick(3) ? "permit" : "forbid");
			buf_puts(&b, " (principal, action, resource) ");
			buf_puts(&b, pick(4) ? "when { " : "unless { ");
			put_condition(&b, 2);
			buf_puts(&b, " };\n");
		}
		assert_int_equal(rule_add_cedar(builder, buf_view(&b), "a.cedar"), 0);
		/* Outside of calls, and in two. */
		static const char *const programs[] = {"", "git", "make"};
		who.call_program = span_cstr(programs[i % 3]);
		who.call_tool = i % 3 ? SPAN("cmd.run") : SPAN("");
		expect_same(seal(builder));
		who.call_program = who.call_tool = SPAN("");
		arena_reset(arena);
	}
	may_be_beyond = false;
	print_message("# %u of 600 sets were beyond the kernel\n", beyond);
	assert_true(beyond < 450);
}

static void what_cannot_be_lowered(void **state)
{
	(void)state;
	static const char *const texts[] = {
		"permit (principal, action, resource) when { resource is Domain && resource.name "
		"like "
		"\"a*\" };",
		"permit (principal, action, resource is Domain) when { context has ip && "
		"context.ip.isInRange(ip(\"10.0.0.0/8\")) };",
		"permit (principal, action, resource) when { context has ip && "
		"!context.ip.isInRange(ip(\"10.0.0.0/8\")) };",
		"permit (principal, action, resource is Domain) unless { resource == "
		"Domain::\"a.org\" };",
		"permit (principal, action, resource is Domain); forbid (principal, action, "
		"resource) unless { context has ip && context.ip.isInRange(ip(\"10.0.0.0/8\")) };",
		"@id(\"odd\") permit (principal, action == Action::\"net:connect\", resource) when "
		"{ "
		"context.port + 1 == 80 };",
	};
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		struct rule_set_builder *b = rule_set_builder_new();
		struct kernel_rules k;
		assert_int_equal(rule_add_cedar(b, span_cstr(texts[i]), "a.cedar"), 0);
		struct rule_set *s = seal(b);
		assert_int_equal(rule_set_kernel_rules(s, &who, arena, &k), -EOPNOTSUPP);
		assert_non_null(strstr(err_message(-EOPNOTSUPP), "a.cedar:1: the kernel cannot"));
		rule_set_unref(s);
	}
	/* What is about other actions is no hindrance. */
	struct rule_set_builder *b = rule_set_builder_new();
	struct kernel_rules k;
	assert_int_equal(rule_add_cedar(b,
				 SPAN("permit (principal, action == Action::\"fs:read\", resource) "
				      "when { resource.name like \"a*\" };"),
				 "a.cedar"),
		0);
	struct rule_set *s = seal(b);
	assert_int_equal(rule_set_kernel_rules(s, &who, arena, &k), 0);
	assert_int_equal(k.net_count, 0);
	rule_set_unref(s);
}

/* Alone, a lease permits nothing; in its calls it does, and forbids go first. */
static void leases(void **state)
{
	static const char *const programs[] = {"git", "/usr/bin/curl"};
	static const char *const called[] = {"git", "/usr/bin/curl", "curl", "./git", "sh", ""};
	struct rule_set_builder *b = rule_set_builder_new();
	struct rule_calls calls;
	(void)state;
	const struct rule_origin o = {.field = "lease"};
	assert_int_equal(rule_allow_connect(b, "a.org:443", o), 0);
	assert_int_equal(rule_deny_connect(b, "x.a.org", o), 0);
	assert_int_equal(rule_lease_connect(b, "*.a.org", "cmd.run", programs, 2, o), 0);
	assert_int_equal(rule_lease_connect(b, "10.0.0.0/8", "cmd.run", programs, 2, o), 0);
	struct rule_set *s = seal(b);
	for (size_t i = 0; i < ARRAY_LEN(called); i++) {
		struct kernel_rules k;
		who.call_program = span_cstr(called[i]);
		who.call_tool = called[i][0] ? SPAN("cmd.run") : SPAN("");
		assert_int_equal(rule_set_kernel_rules(s, &who, arena, &k), 0);
		assert_true(rules_say(&k, "a.org", NULL, 443, IPPROTO_TCP));
		assert_int_equal(rules_say(&k, NULL, "10.0.0.1", 80, IPPROTO_TCP), i < 2);
		assert_int_equal(rules_say(&k, "z.a.org", NULL, 80, IPPROTO_TCP), i < 2);
		assert_false(rules_say(&k, "x.a.org", NULL, 80, IPPROTO_TCP));
		expect_same(rule_set_ref(s));
	}
	who.call_tool = SPAN("other.tool");
	who.call_program = SPAN("git");
	assert_false(policy_says(s, "z.a.org", NULL, 80, IPPROTO_TCP));
	who.call_program = who.call_tool = SPAN("");
	assert_int_equal(rule_set_call_rules(s, &who, arena, &calls), 0);
	assert_true(calls.asked && calls.permitted);
	rule_set_unref(s);
}

static struct rule_calls calls_of(const char *text)
{
	struct rule_set_builder *b = rule_set_builder_new();
	struct rule_calls calls = {0};
	assert_int_equal(rule_add_cedar(b, span_cstr(text), "a.cedar"), 0);
	struct rule_set *s = seal(b);
	assert_int_equal(rule_set_call_rules(s, &who, arena, &calls), 0);
	rule_set_unref(s);
	return calls;
}

static void what_is_said_of_calls(void **state)
{
	(void)state;
	struct rule_calls c = calls_of("permit (principal, action, resource is Domain);");
	assert_true(c.permitted && !c.asked);
	c = calls_of("forbid (principal, action, resource) when { context has call };");
	assert_true(c.asked && !c.permitted);
	c = calls_of("permit (principal in Agent::\"other\", action, resource) when { context has "
		     "call };");
	assert_true(!c.asked && !c.permitted);
	c = calls_of("permit (principal, action, resource) when { context == {port: 1, protocol: "
		     "\"tcp\"} };");
	assert_true(c.asked); /* it sees the call without a name for it */
	c = calls_of("permit (principal, action == Action::\"fs:read\", resource);");
	assert_true(!c.asked && !c.permitted);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(manifests, setup, teardown),
		cmocka_unit_test_setup_teardown(policies, setup, teardown),
		cmocka_unit_test_setup_teardown(contexts, setup, teardown),
		cmocka_unit_test_setup_teardown(random_policies, setup, teardown),
		cmocka_unit_test_setup_teardown(what_cannot_be_lowered, setup, teardown),
		cmocka_unit_test_setup_teardown(leases, setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_said_of_calls, setup, teardown),
	};
	return cmocka_run_group_tests_name("policy/context: kernel rules", tests, NULL, NULL);
}
