/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Sandboxes with network: the helper links them, policy stands in the kernel's maps, and each has a
 * resolver of its own here. Denials come back through one ring; their numbers count per CPU, so a
 * gap tells exactly how many could not be reported.
 */
#include "daemon/sandbox/process_internal.h"
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <bpf/libbpf.h>

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

static struct process_sandbox *find_sandbox(struct process_driver *d, uint64_t cgroup)
{
	list_for_each (node, &d->networked) {
		struct process_sandbox *p = list_entry(node, struct process_sandbox, link);
		if (p->base.identity == cgroup)
			return p;
	}
	return NULL;
}

/* Numbers of one CPU come in order; the first one seen begins the count. */
static void count_lost(struct process_driver *d, const struct net_denial *n)
{
	if (n->cpu >= (uint32_t)d->cpus)
		return;
	uint64_t *next = &d->next_sequence[n->cpu];
	if (*next != 0 && n->sequence >= *next)
		d->lost += n->sequence - *next;
	*next = n->sequence + 1;
}

/* An agent makes hundreds of thousands of denials a second if it likes; the journal must not grow
 * with them. The kernel's counters have the sum in any case. */
bool process_denial_is_told(struct process_driver *d, struct denial_budget *b)
{
	int64_t now_ns = rt_now_ns();

	if (now_ns - b->second_ns >= NS_PER_S) {
		b->second_ns = now_ns;
		b->told = 0;
	}
	if (b->told >= LIMIT_DENIALS_PER_SECOND) {
		d->lost++;
		return false;
	}
	b->told++;
	return true;
}

static void on_denial(void *ctx, const struct net_denial *n)
{
	struct process_driver *d = ctx;
	struct process_sandbox *p = find_sandbox(d, n->cgroup);

	count_lost(d, n);
	if (!p || !d->observer.denied)
		return;
	if (process_denial_is_told(d, &p->told_network))
		d->observer.denied(d->observer.ctx, &p->base, n,
			sensor_rule_policy(d->sensor, n->policy, n->rule));
}

void process_tell_lost(struct process_driver *d)
{
	uint64_t lost = d->lost;
	int64_t now_ns = rt_now_ns();

	if (lost == 0 || now_ns - d->lost_told_ns < NS_PER_S)
		return;
	d->lost = 0;
	d->lost_told_ns = now_ns;
	if (d->observer.lost)
		d->observer.lost(
			d->observer.ctx, NULL, lost, "more denials than are told one by one");
}

static void read_denials(void *arg)
{
	struct process_driver *d = arg;

	for (;;) {
		int r = rt_poll(sensor_denials_fd(d->sensor), POLLIN,
			d->lost > 0 ? deadline_in_ms(1000) : DEADLINE_NONE);
		if (r < 0 && r != -ETIME)
			return;
		if (r >= 0)
			r = sensor_denials_take(d->sensor);
		if (r < 0 && r != -ETIME) {
			err_log(r, "read what the kernel denied");
			err_clear();
		}
		process_tell_lost(d);
	}
}

static int open_sensor(struct process_driver *d, int maps[NET_MAPS])
{
	size_t gone = 0;
	int r = sensor_new(maps, &d->sensor);

	if (r < 0)
		return err_trace(r);
	d->cpus = libbpf_num_possible_cpus();
	d->next_sequence = calloc(d->cpus > 0 ? (size_t)d->cpus : 1, sizeof(*d->next_sequence));
	r = d->next_sequence && d->cpus > 0 ? sensor_denials_open(d->sensor, on_denial, d)
					    : err_raise(-ENOMEM, "no memory for %d CPUs", d->cpus);
	if (r == 0)
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
	d->sensor = sensor_free(d->sensor);
	free(d->next_sequence);
	d->next_sequence = NULL;
}

int process_network_policy(struct process_driver *d, const struct kernel_rules *rules,
	struct sensor_policy **ret, int64_t deadline_ns)
{
	int r = fiber_lock_take(&d->opening, deadline_ns);

	if (r < 0)
		return err_trace(r);
	r = ready(d, deadline_ns);
	if (r == 0)
		r = sensor_policy_new(d->sensor, rules, ret);
	fiber_lock_give(&d->opening);
	return err_trace(r);
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
	const struct sandbox_network_observer *o = &process_driver_of(p->base.driver)->observer;

	if (o->resolved)
		o->resolved(o->ctx, &p->base, r);
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

int process_set_network(struct sandbox *s, const struct kernel_rules *rules, int64_t deadline_ns)
{
	struct process_sandbox *p = process_of(s);
	struct process_driver *d = process_driver_of(s->driver);
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

void process_network_end(struct process_sandbox *p, bool alive)
{
	if (!p->agent)
		return;
	p->resolver = resolver_stop(p->resolver);
	p->agent = alive ? sensor_agent_forget(p->agent) : sensor_agent_free(p->agent);
	list_remove(&p->link);
}
