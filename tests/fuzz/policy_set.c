/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Any bytes as an operator's policies, and behind a NUL a request. A set that seals is the same set
 * when its text is loaded; an explanation decides as the decision does; and what the kernel is told
 * of connections is what policy decides about them, or nothing is told.
 */
#include "policy/context/context.h"
#include "policy/context/kernel_rules.h"
#include <arpa/inet.h>
#include <netinet/in.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { INPUT_BYTES_MAX = 8 * 1024, MEMORY_BYTES = 256 * 1024 * 1024 };

static const struct decision_request who = {
	.execution_id = {"e", 1}, .agent = {"a", 1}, .tenant = {"t", 1}};

static bool decides(struct arena *a, const struct rule_set *s, const struct decision_request *q)
{
	struct decision d, again;
	struct rule_verdict *verdicts;
	size_t count;

	CHECK(policy_decide(s, NULL, q, 0, a, &d) == 0);
	CHECK(policy_explain(s, q, a, &again, &verdicts, &count) == 0);
	CHECK(d.allowed == again.allowed && d.code == again.code);
	CHECK(span_eq(d.policy_id, again.policy_id));
	CHECK(d.allowed == (d.code == DECISION_OK));
	return d.allowed;
}

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
		CHECK(inet_pton(AF_INET6, text, address) == 1);
	for (unsigned i = 0; i < r->prefix_bits; i++)
		if ((address[i / 8] ^ r->address[i / 8]) & 0x80 >> i % 8)
			return false;
	return true;
}

static bool rules_say(
	const struct kernel_rules *k, const char *name, const char *address, uint16_t port)
{
	bool permitted = false;

	for (size_t i = 0; i < k->net_count; i++) {
		const struct kernel_net_rule *r = &k->net[i];
		bool meets = r->name.n ? name && name_meets(r->name, span_cstr(name))
				       : address && address_meets(r, address);
		if (!meets || port < r->port_first || port > r->port_last ||
			(r->protocol && r->protocol != IPPROTO_TCP))
			continue;
		if (r->forbid)
			return false;
		permitted = true;
	}
	return permitted;
}

static bool address_forbidden(const struct kernel_rules *k, const char *address, uint16_t port)
{
	for (size_t i = 0; i < k->net_count; i++) {
		const struct kernel_net_rule *r = &k->net[i];
		if (r->forbid && !r->name.n && address_meets(r, address) && port >= r->port_first &&
			port <= r->port_last && r->protocol != IPPROTO_UDP)
			return true;
	}
	return false;
}

static void connections(struct arena *a, const struct rule_set *s)
{
	static const char *const names[] = {"a.org", "x.a.org", "b.org"};
	static const char *const addresses[] = {"10.0.0.1", "192.0.2.1", "2001:db8::1"};
	static const uint16_t ports[] = {0, 25, 443, 65535};
	struct kernel_rules k;

	if (rule_set_kernel_rules(s, &who, a, &k) < 0) {
		err_clear();
		return;
	}
	for (size_t p = 0; p < ARRAY_LEN(ports); p++) {
		struct decision_request q = who;
		q.action = SPAN("net:connect");
		q.port = ports[p];
		q.protocol = SPAN("tcp");
		for (size_t i = 0; i < ARRAY_LEN(addresses); i++) {
			q.address = span_cstr(addresses[i]);
			CHECK(rules_say(&k, NULL, addresses[i], ports[p]) == decides(a, s, &q));
		}
		q.address = SPAN("203.0.113.77");
		for (size_t i = 0; i < ARRAY_LEN(names); i++) {
			q.domain = span_cstr(names[i]);
			/* The kernel checks the name and what is forbidden of its address. */
			if (rules_say(&k, names[i], NULL, ports[p]) &&
				!address_forbidden(&k, "203.0.113.77", ports[p]))
				CHECK(decides(a, s, &q));
		}
	}
}

static void request(
	struct arena *a, const struct rule_set *s, const struct rule_set *again, struct span text)
{
	struct decision_request q = who;
	const struct json *v;

	q.action = SPAN("tool:x.y");
	if (json_parse(a, text, NULL, &v) < 0 || decision_request_load(a, v, &q) < 0)
		err_clear();
	CHECK(decides(a, s, &q) == decides(a, again, &q));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span all = span_of(data, size);
	struct rule_set *s, *again;
	struct rule_set_builder *b;
	struct arena *a;

	if (size > INPUT_BYTES_MAX)
		return 0;
	ssize_t end = span_find_byte(all, '\0', 0);
	struct span text = span_sub(all, 0, end < 0 ? all.n : (size_t)end);
	struct span rest = span_sub(all, end < 0 ? all.n : (size_t)end + 1, all.n);
	b = rule_set_builder_new();
	CHECK(b);
	s = rule_add_cedar(b, text, "f.cedar") == 0 ? rule_set_seal(b) : NULL;
	rule_set_builder_free(b);
	err_clear();
	if (!s)
		return 0;
	a = arena_new(MEMORY_BYTES);
	CHECK(a);
	CHECK(rule_set_load(rule_set_text(s, a), &again) == 0);
	CHECK(span_eq(rule_set_hash(s), rule_set_hash(again)));
	CHECK(rule_set_count(s) == rule_set_count(again));
	request(a, s, again, rest);
	connections(a, s);
	arena_free(a);
	rule_set_unref(s);
	rule_set_unref(again);
	return 0;
}
