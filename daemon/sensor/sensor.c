/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The maps, and policies in them. A policy is entered whole under a number of its own before any
 * agent names it, and taken out when none does.
 */
#include "daemon/sensor/internal.h"
#include <bpf/bpf.h>
#include <linux/membarrier.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static const char *const map_names[NET_MAPS] = {
	"net_agents",
	"net_prefixes",
	"net_names",
	"net_addresses",
	"net_flows",
	"net_links",
	"net_counts",
	"net_sequence",
	"net_numbers",
	"net_denials",
	"net_tallies",
	"net_calls",
};

enum { POLICY_ARENA_BYTES = 128 << 20 };

int sensor_put(struct sensor *s, enum net_map map, const void *key, const void *value)
{
	int r = bpf_map_update_elem(s->maps[map], key, value, BPF_ANY);
	return r < 0 ? err_sys(r == -E2BIG ? -ENOSPC : r, "entry of %s", map_names[map]) : 0;
}

int sensor_get(const struct sensor *s, enum net_map map, const void *key, void *ret)
{
	int r = bpf_map_lookup_elem(s->maps[map], key, ret);
	return r < 0 ? err_sys(r, "entry of %s", map_names[map]) : 0;
}

void sensor_take_out(struct sensor *s, enum net_map map, const void *key)
{
	(void)bpf_map_delete_elem(s->maps[map], key);
}

int sensor_next_number(struct sensor *s, enum net_number which, uint32_t *ret)
{
	uint32_t key = which, value;
	int r = sensor_get(s, NET_MAP_NUMBERS, &key, &value);

	if (r < 0)
		return err_trace(r);
	if (value == UINT32_MAX)
		return err_raise(
			-EOVERFLOW, "no number is left: restart the helper without sandboxes");
	value++;
	r = sensor_put(s, NET_MAP_NUMBERS, &key, &value);
	if (r < 0)
		return err_trace(r);
	*ret = value;
	return 0;
}

uint64_t sensor_boot_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_BOOTTIME, &t);
	return (uint64_t)t.tv_sec * 1000000000U + (uint64_t)t.tv_nsec;
}

void sensor_wait_for_programs(void)
{
	/* Programs run within the kernel's RCU, which this waits for. Where it is refused (some
	 * CPUs have no tick), a time that no program takes. */
	if (syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0) < 0)
		(void)nanosleep(&(struct timespec){.tv_nsec = 200000000}, NULL);
}

int sensor_new(int maps[NET_MAPS], struct sensor **ret)
{
	struct sensor *s = calloc(1, sizeof(*s));

	if (!s) {
		for (int i = 0; i < NET_MAPS; i++)
			fd_cleanup(&maps[i]);
		return err_raise(-ENOMEM, "no memory for the sensor");
	}
	memcpy(s->maps, maps, sizeof(s->maps));
	list_init(&s->policies);
	int r = sensor_ring_open(&s->denials, s->maps[NET_MAP_DENIALS]);
	if (r < 0) {
		sensor_free(s);
		return err_trace(r);
	}
	*ret = s;
	return 0;
}

struct sensor *sensor_free(struct sensor *s)
{
	if (!s)
		return NULL;
	CHECK(list_empty(&s->policies));
	sensor_ring_close(&s->denials);
	for (int i = 0; i < NET_MAPS; i++)
		fd_cleanup(&s->maps[i]);
	free(s);
	return NULL;
}

bool sensor_is_idle(const struct sensor *s)
{
	return list_empty(&s->policies);
}

/* ---- policies ---- */

static int copy_rules(struct arena *a, const struct kernel_rules *from, struct kernel_rules *ret)
{
	struct kernel_net_rule *net = arena_make_array(a, struct kernel_net_rule, from->net_count);

	if (!net && from->net_count > 0)
		return err_raise(-ENOMEM, "no memory for %zu rules", from->net_count);
	for (size_t i = 0; i < from->net_count; i++) {
		net[i] = from->net[i];
		net[i].name = arena_span(a, from->net[i].name);
		net[i].policy_id = arena_span(a, from->net[i].policy_id);
		if ((from->net[i].name.n > 0 && !net[i].name.p) ||
			(from->net[i].policy_id.n > 0 && !net[i].policy_id.p))
			return err_raise(-ENOMEM, "no memory for %zu rules", from->net_count);
	}
	*ret = (struct kernel_rules){.net = net, .net_count = from->net_count};
	return 0;
}

static int enter(struct sensor_policy *p)
{
	for (; p->entered < p->table.prefix_count; p->entered++) {
		struct net_prefix_key key = p->table.prefixes[p->entered].key;
		key.policy = p->number;
		int r = sensor_put(
			p->sensor, NET_MAP_PREFIXES, &key, &p->table.prefixes[p->entered].rules);
		if (r < 0)
			return err_trace(r);
	}
	return 0;
}

int sensor_policy_new(
	struct sensor *s, const struct kernel_rules *rules, struct sensor_policy **ret)
{
	struct sensor_policy *p = calloc(1, sizeof(*p));

	if (!p)
		return err_raise(-ENOMEM, "no memory for a policy");
	p->refs = 1;
	p->sensor = s;
	list_push_back(&s->policies, &p->link);
	p->arena = arena_new(POLICY_ARENA_BYTES);
	int r = p->arena ? copy_rules(p->arena, rules, &p->rules)
			 : err_raise(-ENOMEM, "no memory for a policy");
	if (r == 0)
		r = sensor_compile(&p->rules, p->arena, &p->table);
	if (r == 0)
		r = sensor_next_number(s, NET_NUMBER_POLICY, &p->number);
	if (r == 0)
		r = enter(p);
	if (r < 0) {
		sensor_policy_unref(p);
		return err_trace(r);
	}
	*ret = p;
	return 0;
}

struct sensor_policy *sensor_policy_ref(struct sensor_policy *p)
{
	p->refs++;
	return p;
}

struct sensor_policy *sensor_policy_unref(struct sensor_policy *p)
{
	if (!p || --p->refs > 0)
		return NULL;
	/* What contains others first: a program that is still at work finds the right rules or
	 * none, which denies, and never those of a wider prefix instead. */
	for (size_t i = 0; !p->kept && i < p->entered; i++) {
		struct net_prefix_key key = p->table.prefixes[i].key;
		key.policy = p->number;
		sensor_take_out(p->sensor, NET_MAP_PREFIXES, &key);
	}
	list_remove(&p->link);
	arena_free(p->arena);
	free(p);
	return NULL;
}

const struct kernel_rules *sensor_policy_rules(const struct sensor_policy *p)
{
	return &p->rules;
}

uint32_t sensor_policy_number(const struct sensor_policy *p)
{
	return p->number;
}

struct span sensor_rule_policy(const struct sensor *s, uint32_t policy, uint32_t rule)
{
	list_for_each (node, &s->policies) {
		const struct sensor_policy *p = list_entry(node, struct sensor_policy, link);
		if (p->number == policy && rule > 0 && rule <= p->rules.net_count)
			return p->rules.net[rule - 1].policy_id;
	}
	return (struct span){0};
}
