/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Agents. A change of policy is one store of the policy's number, made when the names that the
 * agent learned have their entries under the new one. What it learned is its own: names that got a
 * number when they were first asked for, each with the addresses that were given out for it.
 */
#include "daemon/sensor/internal.h"
#include <bpf/bpf.h>
#include <stdlib.h>
#include <string.h>

static int bind_policy(struct sensor_agent *a, const struct sensor_policy *p)
{
	struct net_agent entry;
	int r = sensor_get(a->sensor, NET_MAP_AGENTS, &a->cgroup, &entry);

	if (r < 0)
		return err_trace(r);
	entry.policy = p->number;
	return err_trace(sensor_put(a->sensor, NET_MAP_AGENTS, &a->cgroup, &entry));
}

int sensor_agent_new(
	struct sensor *s, uint64_t cgroup, struct sensor_policy *p, struct sensor_agent **ret)
{
	struct sensor_agent *a = calloc(1, sizeof(*a));

	if (!a)
		return err_raise(-ENOMEM, "no memory for an agent's network");
	a->sensor = s;
	a->cgroup = cgroup;
	list_init(&a->calls);
	list_init(&a->names);
	map_init(&a->by_text, SENSOR_NAMES_MAX);
	int r = bind_policy(a, p);
	if (r < 0) {
		map_fini(&a->by_text);
		free(a);
		return err_trace(r);
	}
	a->policy = sensor_policy_ref(p);
	*ret = a;
	return 0;
}

/* The name's rules under a policy; a name that it does not speak of gets no entry. */
static int enter_name(
	struct sensor_agent *a, const struct sensor_policy *p, const struct learned_name *n)
{
	struct net_name_key key = {.policy = p->number, .name = n->number};
	struct net_rules rules;
	int r = sensor_name_rules(&p->rules, n->text, &rules);

	if (r < 0 || rules.count == 0)
		return err_trace(r);
	return err_trace(sensor_put(a->sensor, NET_MAP_NAMES, &key, &rules));
}

void sensor_agent_take_out_names(struct sensor_agent *a, const struct sensor_policy *p)
{
	list_for_each (node, &a->names) {
		const struct learned_name *n = list_entry(node, struct learned_name, link);
		struct net_name_key key = {.policy = p->number, .name = n->number};
		sensor_take_out(a->sensor, NET_MAP_NAMES, &key);
	}
}

int sensor_agent_enter_names(struct sensor_agent *a, const struct sensor_policy *p)
{
	int r = 0;

	list_for_each (node, &a->names) {
		r = enter_name(a, p, list_entry(node, struct learned_name, link));
		if (r < 0)
			break;
	}
	if (r < 0)
		sensor_agent_take_out_names(a, p);
	return err_trace(r);
}

int sensor_agent_set_policy(struct sensor_agent *a, struct sensor_policy *p)
{
	if (p == a->policy)
		return 0;
	int r = sensor_agent_enter_names(a, p);
	if (r < 0)
		return err_trace(r);
	r = bind_policy(a, p);
	if (r < 0) {
		sensor_agent_take_out_names(a, p);
		return err_trace(r);
	}
	sensor_agent_take_out_names(a, a->policy);
	sensor_policy_unref(a->policy);
	a->policy = sensor_policy_ref(p);
	return 0;
}

struct sensor_policy *sensor_agent_policy(const struct sensor_agent *a)
{
	return a->policy;
}

uint64_t sensor_agent_cgroup(const struct sensor_agent *a)
{
	return a->cgroup;
}

/* ---- what it learned ---- */

/* Under every policy that its packets may be decided by. */
static int enter_name_everywhere(struct sensor_agent *a, const struct learned_name *n)
{
	int r = enter_name(a, a->policy, n);

	list_for_each (node, &a->calls)
		if (r == 0)
			r = enter_name(a, list_entry(node, struct sensor_call, link)->policy, n);
	return err_trace(r);
}

static void take_out_name(
	struct sensor_agent *a, const struct sensor_policy *p, const struct learned_name *n)
{
	struct net_name_key key = {.policy = p->number, .name = n->number};

	sensor_take_out(a->sensor, NET_MAP_NAMES, &key);
}

static void forget_address(
	struct sensor_agent *a, const struct learned_name *n, struct learned_address *l)
{
	struct net_learned_key key = {.cgroup = a->cgroup};
	struct net_learned entry;

	memcpy(key.address, l->address, 16);
	/* Another name may have been given the same address since. */
	if (bpf_map_lookup_elem(a->sensor->maps[NET_MAP_ADDRESSES], &key, &entry) == 0 &&
		entry.name == n->number)
		sensor_take_out(a->sensor, NET_MAP_ADDRESSES, &key);
	list_remove(&l->link);
	free(l);
	a->address_count--;
}

static void sweep_addresses(struct sensor_agent *a, uint64_t now_ns)
{
	list_for_each (node, &a->names) {
		struct learned_name *n = list_entry(node, struct learned_name, link);
		list_for_each_safe (inner, &n->addresses) {
			struct learned_address *l = list_entry(inner, struct learned_address, link);
			if (l->expires_ns <= now_ns)
				forget_address(a, n, l);
		}
	}
}

static int find_or_add_name(struct sensor_agent *a, struct span text, struct learned_name **ret)
{
	struct learned_name *n = map_get(&a->by_text, text);

	if (n) {
		*ret = n;
		return 0;
	}
	n = calloc(1, sizeof(*n) + text.n);
	if (!n)
		return err_raise(-ENOMEM, "no memory for a name");
	memcpy(n->bytes, text.p, text.n);
	n->text = span_of(n->bytes, text.n);
	list_init(&n->addresses);
	int r = sensor_next_number(a->sensor, NET_NUMBER_NAME, &n->number);
	if (r == 0)
		r = enter_name_everywhere(a, n);
	if (r == 0) {
		r = map_put(&a->by_text, n->text, n);
		if (r < 0)
			r = err_raise(-ENOSPC, "more than %d names asked for", SENSOR_NAMES_MAX);
	}
	if (r < 0) {
		take_out_name(a, a->policy, n);
		list_for_each (node, &a->calls)
			take_out_name(a, list_entry(node, struct sensor_call, link)->policy, n);
		free(n);
		return err_trace(r);
	}
	list_push_back(&a->names, &n->link);
	*ret = n;
	return 0;
}

static int learn_one(
	struct sensor_agent *a, struct learned_name *n, const uint8_t *address, uint64_t expires_ns)
{
	struct net_learned_key key = {.cgroup = a->cgroup};
	struct net_learned entry = {.expires_ns = expires_ns, .name = n->number};
	struct learned_address *found = NULL;

	list_for_each (node, &n->addresses) {
		struct learned_address *l = list_entry(node, struct learned_address, link);
		if (memcmp(l->address, address, 16) == 0)
			found = l;
	}
	memcpy(key.address, address, 16);
	if (!found && a->address_count >= SENSOR_ADDRESSES_MAX)
		return err_raise(-ENOSPC, "more than %d addresses given out", SENSOR_ADDRESSES_MAX);
	int r = sensor_put(a->sensor, NET_MAP_ADDRESSES, &key, &entry);
	if (r < 0)
		return err_trace(r);
	if (!found) {
		found = calloc(1, sizeof(*found));
		if (!found) {
			sensor_take_out(a->sensor, NET_MAP_ADDRESSES, &key);
			return err_raise(-ENOMEM, "no memory for an address");
		}
		memcpy(found->address, address, 16);
		list_push_back(&n->addresses, &found->link);
		a->address_count++;
	}
	found->expires_ns = expires_ns;
	return 0;
}

int sensor_agent_learn(struct sensor_agent *a, struct span name, const uint8_t (*addresses)[16],
	size_t count, uint32_t ttl_s)
{
	uint64_t now_ns = sensor_boot_ns(),
		 expires_ns = now_ns + (ttl_s + (uint64_t)SENSOR_GRACE_S) * 1000000000U;
	struct learned_name *n = NULL;

	if (a->address_count + count > SENSOR_ADDRESSES_MAX)
		sweep_addresses(a, now_ns);
	int r = find_or_add_name(a, name, &n);
	for (size_t i = 0; r == 0 && i < count; i++)
		r = learn_one(a, n, addresses[i], expires_ns);
	return err_trace(r);
}

static void free_memory(struct sensor_agent *a, bool take_out)
{
	list_for_each_safe (node, &a->names) {
		struct learned_name *n = list_entry(node, struct learned_name, link);
		list_for_each_safe (inner, &n->addresses) {
			struct learned_address *l = list_entry(inner, struct learned_address, link);
			if (take_out)
				forget_address(a, n, l);
			else
				free(l);
		}
		free(n);
	}
	map_fini(&a->by_text);
	sensor_policy_unref(a->policy);
	free(a);
}

struct sensor_agent *sensor_agent_free(struct sensor_agent *a)
{
	if (!a)
		return NULL;
	sensor_agent_drop_calls(a, true);
	sensor_agent_take_out_names(a, a->policy);
	free_memory(a, true);
	return NULL;
}

struct sensor_agent *sensor_agent_forget(struct sensor_agent *a)
{
	if (!a)
		return NULL;
	a->policy->kept = true;
	sensor_agent_drop_calls(a, false);
	free_memory(a, false);
	return NULL;
}
