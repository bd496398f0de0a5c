/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Rules as map entries. A prefix's entry must repeat the rules of every prefix around it, because
 * the kernel finds the longest one only. Sorted by address and then by length, the prefixes around
 * one are a stack: each rule is pushed onto the prefixes that it contains, and popped when the
 * order leaves it. Cost: n log n, and for each prefix the rules that meet in it.
 */
#include "daemon/sensor/sensor.h"
#include <stdlib.h>
#include <string.h>

enum { ADDRESS_BITS = 128 };

static bool contains(const struct kernel_net_rule *outer, const struct kernel_net_rule *inner)
{
	unsigned bits = outer->prefix_bits, bytes = bits / 8, rest = bits % 8;

	if (bits > inner->prefix_bits || memcmp(outer->address, inner->address, bytes) != 0)
		return false;
	return rest == 0 ||
		((outer->address[bytes] ^ inner->address[bytes]) & (0xff << (8 - rest)) & 0xff) ==
		0;
}

static bool beyond_prefix(const struct kernel_net_rule *r)
{
	for (unsigned bit = r->prefix_bits; bit < ADDRESS_BITS; bit++)
		if (r->address[bit / 8] & 0x80 >> bit % 8)
			return true;
	return false;
}

static int check_rule(const struct kernel_net_rule *r)
{
	if (r->port_first > r->port_last)
		return err_raise(-EINVAL, "policy %.*s: ports %u to %u are in reverse",
			(int)r->policy_id.n, r->policy_id.p, r->port_first, r->port_last);
	if (r->prefix_bits > ADDRESS_BITS || beyond_prefix(r))
		return err_raise(-EINVAL,
			"policy %.*s: the address has bits beyond its prefix of %u",
			(int)r->policy_id.n, r->policy_id.p, r->prefix_bits);
	return 0;
}

/* Forbidding rules come first; a rule that an equal one precedes adds nothing. */
static int add_rule(struct net_rules *rules, const struct kernel_net_rule *r, size_t index)
{
	uint32_t at = rules->count;

	for (uint32_t i = 0; i < rules->count; i++) {
		const struct net_rule *have = &rules->rule[i];
		if (have->forbid == r->forbid && have->protocol == r->protocol &&
			have->port_first <= r->port_first && have->port_last >= r->port_last)
			return 0;
	}
	if (rules->count == NET_RULES_MAX)
		return err_raise(-E2BIG,
			"policy %.*s: more than %d rules meet in one place; join their ports or "
			"ranges",
			(int)r->policy_id.n, r->policy_id.p, NET_RULES_MAX);
	if (r->forbid) {
		for (at = 0; at < rules->count && rules->rule[at].forbid;)
			at++;
		memmove(&rules->rule[at + 1], &rules->rule[at],
			(rules->count - at) * sizeof(rules->rule[0]));
	}
	rules->rule[at] = (struct net_rule){
		.port_first = r->port_first,
		.port_last = r->port_last,
		.protocol = r->protocol,
		.forbid = r->forbid,
		.id = (uint32_t)index + 1,
	};
	rules->count++;
	return 0;
}

static int by_place(const void *x, const void *y)
{
	const struct kernel_net_rule *const *a = x, *const *b = y;
	int d = memcmp((*a)->address, (*b)->address, 16);

	if (d == 0)
		d = (*a)->prefix_bits - (*b)->prefix_bits;
	if (d == 0)
		d = *a < *b ? -1 : *a > *b;
	return d;
}

static bool same_place(const struct kernel_net_rule *a, const struct kernel_net_rule *b)
{
	return a->prefix_bits == b->prefix_bits && memcmp(a->address, b->address, 16) == 0;
}

/* The prefixes that lie around the one in hand; each holds the merged rules so far. */
struct nest {
	const struct sensor_prefix *around[ADDRESS_BITS + 1];
	const struct kernel_net_rule *rule[ADDRESS_BITS + 1];
	size_t depth;
};

/* Fills the entry of the prefix that order[*at] begins, and moves *at past its rules. */
static int merge_place(const struct kernel_rules *source, const struct kernel_net_rule **order,
	size_t count, size_t *at, struct nest *nest, struct sensor_prefix *ret)
{
	const struct kernel_net_rule *first = order[*at];
	int r;

	while (nest->depth > 0 && !contains(nest->rule[nest->depth - 1], first))
		nest->depth--;
	ret->key.bits = 32u + first->prefix_bits;
	memcpy(ret->key.address, first->address, 16);
	if (nest->depth > 0)
		ret->rules = nest->around[nest->depth - 1]->rules;
	for (; *at < count && same_place(order[*at], first); ++*at) {
		r = add_rule(&ret->rules, order[*at], (size_t)(order[*at] - source->net));
		if (r < 0)
			return err_trace(r);
	}
	nest->around[nest->depth] = ret;
	nest->rule[nest->depth++] = first;
	return 0;
}

int sensor_compile(const struct kernel_rules *source, struct arena *a, struct sensor_table *ret)
{
	const struct kernel_net_rule **order =
		arena_alloc_array(a, source->net_count, sizeof(*order));
	struct sensor_prefix *prefixes;
	struct nest nest = {.depth = 0};
	size_t count = 0, places = 0;
	int r;

	if (!order && source->net_count > 0)
		return err_raise(-ENOMEM, "order of %zu rules", source->net_count);
	for (size_t i = 0; i < source->net_count; i++) {
		r = check_rule(&source->net[i]);
		if (r < 0)
			return err_trace(r);
		if (source->net[i].name.n == 0)
			order[count++] = &source->net[i];
	}
	if (count > NET_PREFIXES_MAX)
		return err_raise(-E2BIG, "policy %.*s: more than %d address ranges",
			(int)order[NET_PREFIXES_MAX]->policy_id.n,
			order[NET_PREFIXES_MAX]->policy_id.p, NET_PREFIXES_MAX);
	if (count > 0)
		qsort(order, count, sizeof(*order), by_place);
	prefixes = arena_make_array(a, struct sensor_prefix, count);
	if (!prefixes && count > 0)
		return err_raise(-ENOMEM, "entries of %zu rules", count);
	for (size_t at = 0; at < count; places++) {
		r = merge_place(source, order, count, &at, &nest, &prefixes[places]);
		if (r < 0)
			return err_trace(r);
	}
	*ret = (struct sensor_table){
		.prefixes = prefixes, .prefix_count = places, .source = source};
	return 0;
}

/* "*.example.org" covers one label or more in front of ".example.org". */
static bool name_covered(struct span pattern, struct span name)
{
	if (span_eq(pattern, SPAN("*")))
		return true;
	if (!span_starts(pattern, SPAN("*.")))
		return span_eq(pattern, name);
	struct span tail = span_sub(pattern, 1, pattern.n);
	return name.n > tail.n && span_ends(name, tail);
}

int sensor_name_rules(const struct kernel_rules *source, struct span name, struct net_rules *ret)
{
	struct net_rules rules = {.count = 0};

	for (size_t i = 0; i < source->net_count; i++) {
		const struct kernel_net_rule *rule = &source->net[i];
		int r = check_rule(rule);
		if (r < 0)
			return err_trace(r);
		if (rule->name.n == 0 || !name_covered(rule->name, name))
			continue;
		r = add_rule(&rules, rule, i);
		if (r < 0)
			return err_trace(r);
	}
	*ret = rules;
	return 0;
}

bool sensor_may_resolve(const struct net_rules *rules)
{
	for (uint32_t i = 0; i < rules->count; i++) {
		const struct net_rule *r = &rules->rule[i];
		if (!r->forbid)
			return true;
		if (r->protocol == 0 && r->port_first == 0 && r->port_last == UINT16_MAX)
			return false;
	}
	return false;
}

bool sensor_address_permitted(const struct kernel_rules *source, const uint8_t *address)
{
	struct kernel_net_rule host = {.prefix_bits = ADDRESS_BITS};
	struct net_rules rules = {.count = 0};

	memcpy(host.address, address, 16);
	for (size_t i = 0; i < source->net_count; i++) {
		const struct kernel_net_rule *r = &source->net[i];
		if (r->name.n > 0 || !contains(r, &host))
			continue;
		if (add_rule(&rules, r, i) < 0) { /* its entry was refused, too */
			err_clear();
			return false;
		}
	}
	return sensor_may_resolve(&rules);
}
