/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Conversations of sandboxes, on their way to the observer: those that are over once a second, all
 * at the sandbox's end. Those that a daemon took out of the kernel and did not live to tell are
 * known by the kernel's count, and become a gap.
 */
#include "daemon/sandbox/process_internal.h"

enum { FLOWS = 32 };

static struct span name_of(const struct process_driver *d, const struct sensor_flow *f)
{
	list_for_each (node, &d->networked) {
		const struct process_sandbox *p = list_entry(node, struct process_sandbox, link);
		if (f->counts.name && p->base.identity == f->key.cgroup)
			return sensor_agent_name(p->agent, f->counts.name);
	}
	return (struct span){0};
}

/* True: there may be more. */
static AWAITS bool tell(struct process_driver *d, struct flow_sweep *w)
{
	struct sensor_flow flows[FLOWS];
	size_t n = flow_sweep_take(w, flows, FLOWS);

	for (size_t i = 0; i < n; i++) {
		struct sandbox_origin o =
			process_origin(d, flows[i].key.cgroup, flows[i].counts.call_cgroup);
		if (d->observer.flow)
			d->observer.flow(d->observer.ctx, &o, &flows[i], name_of(d, &flows[i]));
	}
	if (n > 0 && d->observer.settle)
		d->observer.settle(d->observer.ctx);
	for (size_t i = 0; i < n; i++)
		sensor_flows_told(d->sensor, flows[i].key.cgroup, 1);
	return n == FLOWS;
}

/* The lock of denials keeps the sensor. */
static AWAITS void tell_all(struct process_driver *d, uint64_t cgroup)
{
	struct flow_sweep *w = d->sensor ? flow_sweep_new(d->sensor, cgroup) : NULL;

	while (w && tell(d, w))
		;
	flow_sweep_free(w);
}

void process_flows_sweep(struct process_driver *d)
{
	tell_all(d, 0);
}

void process_flows_end(struct process_sandbox *p)
{
	struct process_driver *d = process_driver_of(p->base.driver);
	uint64_t cgroup = p->base.identity, missing = 0, unlisted = 0;

	tell_all(d, cgroup);
	if (d->sensor)
		sensor_flows_lost(d->sensor, cgroup, &missing, &unlisted);
	struct sandbox_origin o = process_origin(d, cgroup, 0);
	if (missing > 0 && d->observer.lost)
		d->observer.lost(d->observer.ctx, &o, missing,
			"conversations that the daemon did not live to tell");
	if (unlisted > 0 && d->observer.lost)
		d->observer.lost(d->observer.ctx, &o, unlisted,
			"packets of more conversations at once than are counted");
}
