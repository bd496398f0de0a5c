/* SPDX-License-Identifier: AGPL-3.0-only */
/* What an earlier daemon left in the maps. */
#include "daemon/sensor/internal.h"
#include <bpf/bpf.h>
#include <stdlib.h>

/* The numbers that some agent's entry, or a policy of ours, names; sorted. */
struct numbers {
	uint32_t *items;
	size_t count, room;
};

static int by_value(const void *x, const void *y)
{
	uint32_t a = *(const uint32_t *)x, b = *(const uint32_t *)y;
	return a < b ? -1 : a > b;
}

static int add_number(struct numbers *n, uint32_t number)
{
	if (n->count == n->room) {
		size_t room = n->room ? 2 * n->room : 64;
		uint32_t *items = reallocarray(n->items, room, sizeof(*items));
		if (!items)
			return err_raise(-ENOMEM, "no memory for %zu numbers", room);
		n->items = items;
		n->room = room;
	}
	n->items[n->count++] = number;
	return 0;
}

static int numbers_in_use(const struct sensor *s, struct numbers *ret)
{
	uint64_t cgroup, *at = NULL, next;
	struct net_agent entry;
	struct net_call call;
	int r = 0;

	while (r == 0 && bpf_map_get_next_key(s->maps[NET_MAP_AGENTS], at, &next) == 0) {
		cgroup = next;
		at = &cgroup;
		if (bpf_map_lookup_elem(s->maps[NET_MAP_AGENTS], &cgroup, &entry) == 0)
			r = add_number(ret, entry.policy);
	}
	at = NULL;
	while (r == 0 && bpf_map_get_next_key(s->maps[NET_MAP_CALLS], at, &next) == 0) {
		cgroup = next;
		at = &cgroup;
		if (bpf_map_lookup_elem(s->maps[NET_MAP_CALLS], &cgroup, &call) == 0)
			r = add_number(ret, call.policy);
	}
	list_for_each (node, &s->policies)
		if (r == 0)
			r = add_number(ret, list_entry(node, struct sensor_policy, link)->number);
	if (r == 0 && ret->count > 0)
		qsort(ret->items, ret->count, sizeof(*ret->items), by_value);
	return err_trace(r);
}

static bool policy_unused(const struct sensor *s, const struct numbers *used, const void *key)
{
	uint32_t policy = ((const struct net_name_key *)key)->policy;
	return used->count == 0 ||
		!bsearch(&policy, used->items, used->count, sizeof(policy), by_value);
}

static bool prefix_unused(const struct sensor *s, const struct numbers *used, const void *key)
{
	struct net_name_key name = {.policy = ((const struct net_prefix_key *)key)->policy};
	return policy_unused(s, used, &name);
}

/* Its sandbox is gone, or its time. */
static bool address_unused(const struct sensor *s, const struct numbers *used, const void *key)
{
	const struct net_learned_key *k = key;
	struct net_learned entry;
	struct net_agent agent;

	return bpf_map_lookup_elem(s->maps[NET_MAP_AGENTS], &k->cgroup, &agent) < 0 ||
		(bpf_map_lookup_elem(s->maps[NET_MAP_ADDRESSES], key, &entry) == 0 &&
			entry.expires_ns <= sensor_boot_ns());
}

static bool call_unused(const struct sensor *s, const struct numbers *used, const void *key)
{
	struct net_call entry;
	struct net_agent agent;

	return bpf_map_lookup_elem(s->maps[NET_MAP_CALLS], key, &entry) == 0 &&
		bpf_map_lookup_elem(s->maps[NET_MAP_AGENTS], &entry.sandbox, &agent) < 0;
}

static size_t sweep_map(struct sensor *s, enum net_map map, const struct numbers *used,
	bool (*unused)(const struct sensor *s, const struct numbers *used, const void *key))
{
	union {
		struct net_prefix_key prefix;
		struct net_name_key name;
		struct net_learned_key address;
		uint64_t call;
	} kept, next;
	bool first = true;
	size_t gone = 0;

	/* The key after one that was taken out is the first again: go on from the last one kept. */
	while (bpf_map_get_next_key(s->maps[map], first ? NULL : &kept, &next) == 0) {
		if (unused(s, used, &next)) {
			sensor_take_out(s, map, &next);
			gone++;
		} else {
			kept = next;
			first = false;
		}
	}
	return gone;
}

int sensor_sweep(struct sensor *s, size_t *ret_gone)
{
	struct numbers used = {0};
	/* First, because its policy is in use as long as it is there. */
	size_t calls = sweep_map(s, NET_MAP_CALLS, &used, call_unused);
	int r = numbers_in_use(s, &used);

	if (r == 0)
		sensor_wait_for_programs();
	if (r == 0)
		*ret_gone = calls + sweep_map(s, NET_MAP_PREFIXES, &used, prefix_unused) +
			sweep_map(s, NET_MAP_NAMES, &used, policy_unused) +
			sweep_map(s, NET_MAP_ADDRESSES, &used, address_unused);
	free(used.items);
	return err_trace(r);
}
