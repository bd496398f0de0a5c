/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Sandboxes with network: the helper links them, policy stands in the kernel's maps, and each has a
 * resolver of its own here. What the kernel denies goes the way of process_denials.c.
 */
#include "daemon/sandbox/process_internal.h"
#include <errno.h>
#include <poll.h>

enum { IDLE_LOOK_MS = 5 };

/* ---- maps ---- */

struct ask_maps {
	struct helper_request request;
	uint64_t instance; /* in: of which we have the maps; out: the helper's */
	bool opened;
	int maps[NET_MAPS];
};

static int do_maps(struct helper *h, struct helper_request *q, int64_t deadline_ns)
{
	struct ask_maps *a = container_of(q, struct ask_maps, request);
	uint64_t instance = helper_info(h)->instance;

	if (instance == a->instance)
		return 0;
	int r = helper_network_open(h, a->maps, deadline_ns);
	a->opened = r == 0;
	if (r == 0)
		a->instance = instance;
	return err_trace(r);
}

static void read_denials(void *arg)
{
	struct process_driver *d = arg;

	for (;;) {
		int r = rt_poll(sensor_denials_fd(d->sensor), POLLIN, process_denials_deadline(d));
		if (r < 0 && r != -ETIME)
			return;
		process_take_denials(d);
	}
}

static int open_sensor(struct process_driver *d, int maps[NET_MAPS])
{
	size_t gone = 0;
	int r = sensor_new(maps, &d->sensor);

	if (r < 0)
		return err_trace(r);
	r = group_spawn(&d->group, "kernel denials", FIBER_LARGE, read_denials, d);
	if (r == 0)
		r = sensor_sweep(d->sensor, &gone);
	if (r == 0 && gone > 0)
		log_info("%zu entries of former network policies are taken out", gone);
	if (r < 0)
		process_network_close(d);
	return err_trace(r);
}

/* Whoever is starting a sandbox under a policy in maps that are gone comes back and enters it
 * again. */
static AWAITS int leave_maps(struct process_driver *d, int64_t deadline_ns)
{
	int r = 0;

	if (!list_empty(&d->networked))
		return err_raise(-EBUSY,
			"the helper has lost the maps of sandboxes that live: they must end first");
	while (r == 0 && !sensor_is_idle(d->sensor)) {
		if (rt_now_ns() >= deadline_ns)
			return err_raise(-ETIME, "the network's former policies are still in use");
		r = rt_sleep_until(deadline_earlier(deadline_ns, deadline_in_ms(IDLE_LOOK_MS)));
	}
	if (r == 0)
		process_network_close(d);
	return r;
}

/* The helper's maps, which are new if it was started again while no sandbox had network. */
static AWAITS int ready(struct process_driver *d, int64_t deadline_ns)
{
	struct ask_maps a = {.request.fn = do_maps, .instance = d->sensor ? d->sensor_instance : 0};
	int r = helper_ask(d->link, &a.request, deadline_ns);

	if (r < 0 || !a.opened)
		return err_trace(r);
	if (d->sensor && !sensor_has_maps(d->sensor, a.maps))
		r = leave_maps(d, deadline_ns);
	if (r == 0 && !d->sensor)
		r = open_sensor(d, a.maps); /* has taken the maps */
	else
		for (int i = 0; i < NET_MAPS; i++)
			fd_cleanup(&a.maps[i]);
	if (r == 0)
		d->sensor_instance = a.instance;
	return err_trace(r);
}

void process_network_close(struct process_driver *d)
{
	group_close(&d->group);
	group_init(&d->group);
	process_denials_lock(d);
	d->sensor = sensor_free(d->sensor);
	process_denials_unlock(d);
}

int process_network_policy(struct process_driver *d, const struct kernel_rules *rules,
	struct sensor_policy **ret, int64_t deadline_ns)
{
	int r = process_opening(d, ready, deadline_ns);

	return r < 0 ? err_trace(r) : err_trace(sensor_policy_new(d->sensor, rules, ret));
}

/* ---- one sandbox ---- */

struct ask_resolver {
	struct helper_request request;
	const struct sandbox *sandbox;
	int udp, tcp;
};

static int do_resolver(struct helper *h, struct helper_request *q, int64_t deadline_ns)
{
	struct ask_resolver *a = container_of(q, struct ask_resolver, request);
	return err_trace(helper_resolver_get(
		h, a->sandbox->id, a->sandbox->execution, &a->udp, &a->tcp, deadline_ns));
}

static void on_resolved(void *ctx, const struct resolver_record *r)
{
	const struct process_sandbox *p = ctx;
	const struct process_driver *d = process_driver_of(p->base.driver);
	struct sandbox_origin o = process_origin(d, p->base.identity, 0);

	if (d->observer.resolved)
		d->observer.resolved(d->observer.ctx, &o, r);
}

static AWAITS int start_resolver(struct process_sandbox *p, int64_t deadline_ns)
{
	struct process_driver *d = process_driver_of(p->base.driver);
	struct ask_resolver a = {.request.fn = do_resolver, .sandbox = &p->base};
	struct resolver_options o = {
		.servers = d->resolvers, .observer = on_resolved, .observer_ctx = p};

	if (!d->resolvers)
		return 0;
	int r = helper_ask(d->link, &a.request, deadline_ns);
	if (r < 0)
		return err_trace(r);
	return err_trace(resolver_start(p->agent, a.udp, a.tcp, &o, &p->resolver));
}

int process_network_begin(
	struct process_sandbox *p, struct sensor_policy *policy, int64_t deadline_ns)
{
	struct process_driver *d = process_driver_of(p->base.driver);
	int r = sensor_agent_new(d->sensor, p->base.identity, policy, &p->agent);

	if (r < 0)
		return err_trace(r);
	list_push_back(&d->networked, &p->link);
	r = start_resolver(p, deadline_ns);
	if (r < 0)
		process_network_end(p, false);
	return err_trace(r);
}

static AWAITS int set_network(
	struct process_sandbox *p, const struct kernel_rules *rules, int64_t deadline_ns)
{
	struct process_driver *d = process_driver_of(p->base.driver);
	static const struct kernel_rules nothing;
	struct sensor_policy *policy;

	if (!p->network && rules && rules->net_count > 0)
		return err_raise(-EINVAL, "a sandbox that was started without network gets none");
	if (!p->network)
		return 0;
	int r = process_network_policy(d, rules ? rules : &nothing, &policy, deadline_ns);
	if (r < 0)
		return err_trace(r);
	if (p->agent) {
		r = sensor_agent_set_policy(p->agent, policy);
	} else {
		size_t gone;
		r = process_network_begin(p, policy, deadline_ns);
		if (r == 0) /* the former daemon's policy */
			r = sensor_sweep(d->sensor, &gone);
	}
	sensor_policy_unref(policy);
	return err_trace(r);
}

int process_set_network(struct sandbox *s, const struct kernel_rules *rules, int64_t deadline_ns)
{
	int r = set_network(process_of(s), rules, deadline_ns);

	return process_forgive_ended(process_of(s), r);
}

void process_network_end(struct process_sandbox *p, bool alive)
{
	if (!p->agent)
		return;
	p->resolver = resolver_stop(p->resolver);
	p->agent = alive ? sensor_agent_forget(p->agent) : sensor_agent_free(p->agent);
	list_remove(&p->link);
}
