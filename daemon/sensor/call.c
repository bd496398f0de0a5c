/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Dispatched calls with a policy of their own: leases. The kernel's entry names policy and end, so
 * that nothing has to run for a lease to end. An entry is written when its policy and the names
 * that the agent has learned are in the kernel, and is one store, as is its end.
 *
 * Invariant: the kernel's entry of a call leads to a policy whose entries are whole.
 */
#include "daemon/sensor/internal.h"
#include <bpf/bpf.h>
#include <stdlib.h>

static int write_entry(struct sensor_call *c, const struct sensor_policy *p, uint64_t ends_ns)
{
	struct net_call entry = {
		.sandbox = c->agent->cgroup, .ends_ns = ends_ns, .policy = p->number};

	return err_trace(sensor_put(c->agent->sensor, NET_MAP_CALLS, &c->cgroup, &entry));
}

static bool look_up(const struct sensor_agent *a, uint64_t cgroup, struct net_call *ret)
{
	return bpf_map_lookup_elem(a->sensor->maps[NET_MAP_CALLS], &cgroup, ret) == 0;
}

/* A restart must not lengthen what was given before it. A call that was never dispatched has used
 * nothing of its time, though it may have an entry. */
static uint64_t end_of(const struct sensor_call *c, int64_t lasts_ms, bool again)
{
	struct net_call entry;

	if (again)
		return look_up(c->agent, c->cgroup, &entry) ? entry.ends_ns : 0;
	return sensor_boot_ns() + (uint64_t)lasts_ms * 1000000U;
}

int sensor_call_new(struct sensor_agent *a, uint64_t cgroup, struct sensor_policy *p,
	int64_t lasts_ms, bool again, struct sensor_call **ret)
{
	struct sensor_call *c = calloc(1, sizeof(*c));

	if (!c)
		return err_raise(-ENOMEM, "no memory for the lease of a call");
	c->agent = a;
	c->cgroup = cgroup;
	c->ends_ns = end_of(c, lasts_ms, again);
	int r = sensor_agent_enter_names(a, p);
	if (r == 0) {
		r = write_entry(c, p, c->ends_ns);
		if (r < 0)
			sensor_agent_take_out_names(a, p);
	}
	if (r < 0) {
		free(c);
		return err_trace(r);
	}
	c->policy = sensor_policy_ref(p);
	list_push_back(&a->calls, &c->link);
	*ret = c;
	return 0;
}

int sensor_call_set_policy(struct sensor_call *c, struct sensor_policy *p)
{
	if (p == c->policy)
		return 0;
	int r = sensor_agent_enter_names(c->agent, p);
	if (r < 0)
		return err_trace(r);
	r = write_entry(c, p, c->ends_ns);
	if (r < 0) {
		sensor_agent_take_out_names(c->agent, p);
		return err_trace(r);
	}
	sensor_agent_take_out_names(c->agent, c->policy);
	sensor_policy_unref(c->policy);
	c->policy = sensor_policy_ref(p);
	return 0;
}

const struct sensor_policy *sensor_call_policy(const struct sensor_call *c)
{
	return c->policy;
}

int64_t sensor_call_lasts_ms(const struct sensor_call *c)
{
	uint64_t now_ns = sensor_boot_ns();

	return c->ends_ns > now_ns ? (int64_t)((c->ends_ns - now_ns) / 1000000U) : 0;
}

bool sensor_call_is_over(const struct sensor_call *c)
{
	return sensor_boot_ns() >= c->ends_ns;
}

bool sensor_agent_has_call(const struct sensor_agent *a, uint64_t cgroup)
{
	struct net_call entry;

	return look_up(a, cgroup, &entry);
}

void sensor_agent_take_out_call(struct sensor_agent *a, uint64_t cgroup)
{
	sensor_take_out(a->sensor, NET_MAP_CALLS, &cgroup);
}

const struct sensor_call *sensor_agent_call(const struct sensor_agent *a, size_t n)
{
	list_for_each (node, &a->calls) {
		const struct sensor_call *c = list_entry(node, struct sensor_call, link);
		if (!sensor_call_is_over(c) && n-- == 0)
			return c;
	}
	return NULL;
}

int sensor_call_end(struct sensor_call *c)
{
	c->ends_ns = 0;
	return err_trace(write_entry(c, c->policy, 0));
}

static void drop(struct sensor_call *c, bool take_out)
{
	if (take_out) {
		sensor_take_out(c->agent->sensor, NET_MAP_CALLS, &c->cgroup);
		sensor_agent_take_out_names(c->agent, c->policy);
	} else {
		c->policy->kept = true;
	}
	sensor_policy_unref(c->policy);
	list_remove(&c->link);
	free(c);
}

struct sensor_call *sensor_call_free(struct sensor_call *c)
{
	if (c)
		drop(c, true);
	return NULL;
}

void sensor_agent_drop_calls(struct sensor_agent *a, bool take_out)
{
	list_for_each_safe (node, &a->calls)
		drop(list_entry(node, struct sensor_call, link), take_out);
}
