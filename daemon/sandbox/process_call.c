/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Dispatched calls: a cgroup each [6], and, where policy says something else within a call than
 * outside of it, rules of their own: leases. Rules are in the kernel before the call is dispatched;
 * they end by the kernel's clock, or with the call, whichever comes first. What is known of a call
 * is kept until its sandbox is let go, because records of it may be late.
 */
#include "daemon/sandbox/process_internal.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

struct process_call {
	struct list link; /* in the sandbox's */
	struct uuid call;
	uint64_t identity;
	struct sensor_call *network; /* NULL: none of its own, or the cgroup is gone */
	bool closed; /* what it has of its own changes, but nothing is given any more */
	bool open; /* a lease that is on record, and its end is not */
	char tool[LIMIT_NAME_BYTES];
	char program[LIMIT_NAME_BYTES];
};

/* ---- leases ---- */

static struct process_call *find(const struct process_sandbox *p, struct uuid call)
{
	list_for_each (node, &p->calls) {
		struct process_call *c = list_entry(node, struct process_call, link);
		if (uuid_eq(c->call, call))
			return c;
	}
	return NULL;
}

void process_call_origin(
	const struct process_sandbox *p, uint64_t call_cgroup, struct sandbox_origin *o)
{
	list_for_each (node, &p->calls) {
		const struct process_call *c = list_entry(node, struct process_call, link);
		if (c->identity != call_cgroup)
			continue;
		o->call = c->call;
		o->call_tool = span_cstr(c->tool);
		o->call_program = span_cstr(c->program);
	}
}

static AWAITS void tell(
	struct process_sandbox *p, const struct process_call *c, const struct sandbox_lease *lease)
{
	const struct sandbox_network_observer *by = &process_driver_of(p->base.driver)->observer;
	struct sandbox_origin o = {.execution = p->base.execution,
		.iteration = p->base.iteration,
		.identity = p->base.identity};

	process_call_origin(p, c->identity, &o);
	if (by->leased)
		by->leased(by->ctx, &o, lease);
}

static size_t permits_of(const struct kernel_rules *rules)
{
	size_t n = 0;

	for (size_t i = 0; i < rules->net_count; i++)
		n += !rules->net[i].forbid;
	return n;
}

static int add_call(struct process_sandbox *p, struct uuid call, uint64_t identity,
	const struct sandbox_call_rules *rules, struct process_call **ret)
{
	struct process_call *c = find(p, call);

	if (!c) {
		c = calloc(1, sizeof(*c));
		if (!c)
			return err_raise(-ENOMEM, "a call");
		c->call = call;
		c->identity = identity;
		/* A name that does not fit is not told: it would be another's. */
		if (rules->tool.n < sizeof(c->tool) && rules->program.n < sizeof(c->program)) {
			snprintf(c->tool, sizeof(c->tool), SPAN_FMT, SPAN_ARG(rules->tool));
			snprintf(
				c->program, sizeof(c->program), SPAN_FMT, SPAN_ARG(rules->program));
		}
		list_push_back(&p->calls, &c->link);
	}
	*ret = c;
	return 0;
}

static AWAITS int enter(struct process_sandbox *p, struct process_call *c,
	const struct sandbox_call_rules *rules, int64_t deadline_ns)
{
	struct process_driver *d = process_driver_of(p->base.driver);
	struct sensor_policy *policy;
	size_t swept;
	int r = process_network_policy(d, rules->network, &policy, deadline_ns);

	if (r < 0)
		return err_trace(r);
	/* While it was entered, the sandbox may have been let go of the network. */
	if (!p->agent)
		r = err_raise(-ESRCH, "the sandbox has ended");
	else if (c->network)
		r = sensor_call_set_policy(c->network, policy);
	else if (!c->closed)
		r = sensor_call_new(
			p->agent, c->identity, policy, rules->lasts_ms, rules->again, &c->network);
	sensor_policy_unref(policy);
	if (r == 0 && rules->again) /* what a former daemon gave it */
		r = sensor_sweep(d->sensor, &swept);
	return err_trace(r);
}

int process_call_set_rules(struct sandbox *s, struct uuid call, uint64_t identity,
	const struct sandbox_call_rules *rules, int64_t deadline_ns)
{
	struct process_sandbox *p = process_of(s);
	struct process_call *c;

	if (!p->agent) { /* nothing leads out of it */
		if (permits_of(rules->network) > 0)
			log_info("a lease of destinations has no effect: the sandbox was started "
				 "without network");
		return 0;
	}
	c = find(p, call);
	if (!rules->own && !(c && c->network) && !sensor_agent_has_call(p->agent, identity))
		return 0;
	int r = add_call(p, call, identity, rules, &c);
	if (r == 0)
		r = enter(p, c, rules, deadline_ns);
	if (r < 0)
		return process_forgive_ended(p, r);
	if (c->network && !c->closed) {
		c->open = true;
		tell(p, c,
			&(struct sandbox_lease){.opened = true,
				.identity = identity,
				.permits = permits_of(rules->network),
				.lasts_ms = sensor_call_lasts_ms(c->network)});
	}
	return 0;
}

static bool same_rule(const struct kernel_net_rule *a, const struct kernel_net_rule *b)
{
	return a->forbid == b->forbid && a->protocol == b->protocol &&
		a->port_first == b->port_first && a->port_last == b->port_last &&
		a->prefix_bits == b->prefix_bits &&
		memcmp(a->address, b->address, sizeof(a->address)) == 0 &&
		span_eq(a->name, b->name);
}

/* Whether all that `of` forbids, or permits, is in `in`, too. Sets are made in the same order, so
 * that each rule is looked for behind the one that was found last. */
static bool has_all(const struct kernel_rules *in, const struct kernel_rules *of, bool forbid)
{
	size_t at = 0, looked;

	for (size_t i = 0; i < of->net_count; i++) {
		if (of->net[i].forbid != forbid)
			continue;
		for (looked = 0; looked < in->net_count; looked++, at = (at + 1) % in->net_count)
			if (same_rule(&in->net[at], &of->net[i]))
				break;
		if (looked == in->net_count)
			return false;
	}
	return true;
}

/* When its rights are over: whether what is left of it needs rules other than the sandbox's. What
 * needs none takes up no room in the kernel's maps, which all sandboxes share. */
static bool is_bound_further(const struct process_sandbox *p, const struct process_call *c)
{
	const struct kernel_rules *inside = sensor_policy_rules(sensor_call_policy(c->network)),
				  *outside = sensor_policy_rules(sensor_agent_policy(p->agent));

	return !has_all(outside, inside, true) || !has_all(inside, outside, false);
}

static AWAITS int end_rights(struct process_sandbox *p, struct uuid call, const char *why)
{
	struct process_call *c = find(p, call);

	if (c)
		c->closed = true;
	if (!c || !c->network)
		return 0;
	bool over = sensor_call_is_over(c->network);
	int r = 0;
	if (is_bound_further(p, c))
		r = sensor_call_end(c->network);
	else
		c->network = sensor_call_free(c->network);
	if (r == 0 && c->open) {
		c->open = false;
		tell(p, c,
			&(struct sandbox_lease){
				.identity = c->identity, .why = over ? "its time was over" : why});
	}
	return err_trace(r);
}

int process_call_end_rights(struct sandbox *s, struct uuid call)
{
	return err_trace(end_rights(process_of(s), call, "it was cancelled"));
}

static bool may_keep_rest(const struct process_sandbox *p, struct uuid call)
{
	const struct process_call *c = find(p, call);
	size_t kept = 0;

	if (!c || !c->network)
		return true;
	list_for_each (node, &p->calls) {
		const struct process_call *other = list_entry(node, struct process_call, link);
		kept += other->closed && other->network;
	}
	if (kept > LIMIT_SANDBOX_KEPT_CALLS)
		log_info("what a call left running is killed: %d calls before it left processes "
			 "that policy has rules of their own for",
			LIMIT_SANDBOX_KEPT_CALLS);
	return kept <= LIMIT_SANDBOX_KEPT_CALLS;
}

/* Of a former daemon's call, which is not taken up: its processes are dead. */
static AWAITS void end_former(struct process_sandbox *p, struct uuid call, uint64_t identity)
{
	struct process_call *c;

	if (!p->agent || !sensor_agent_has_call(p->agent, identity))
		return;
	sensor_agent_take_out_call(p->agent, identity);
	if (add_call(p, call, identity, &(struct sandbox_call_rules){0}, &c) < 0) {
		err_clear(); /* its end is on no record */
		return;
	}
	c->closed = true;
	tell(p, c,
		&(struct sandbox_lease){
			.identity = identity, .why = "it was not taken up after a restart"});
}

/* Its cgroup is: there is nothing left to decide about. */
static void gone(struct process_sandbox *p, struct uuid call)
{
	struct process_call *c = find(p, call);

	if (c)
		c->network = sensor_call_free(c->network);
}

void process_calls_forget(struct process_sandbox *p, bool alive)
{
	list_for_each_safe (node, &p->calls) {
		struct process_call *c = list_entry(node, struct process_call, link);
		if (!alive && c->network && c->open) {
			bool over = sensor_call_is_over(c->network);
			tell(p, c,
				&(struct sandbox_lease){.identity = c->identity,
					.why = over ? "its time was over" : "its sandbox ended"});
		}
		if (!alive)
			c->network = sensor_call_free(c->network);
		list_remove(&c->link);
		free(c);
	}
}

/* ---- their cgroups ---- */

struct ask_call {
	struct helper_request request;
	struct sandbox *sandbox;
	struct uuid call;
	enum helper_call_rest rest;
	bool former; /* by another daemon: its identity is asked for, too; 0: there is none */
	uint64_t identity;
	struct helper_usage usage;
};

static AWAITS int find_call(struct helper *h, struct ask_call *a, int64_t deadline_ns)
{
	struct helper_call *list;
	size_t count;
	int r = helper_call_list(
		h, a->sandbox->id, a->sandbox->execution, &list, &count, deadline_ns);

	if (r < 0)
		return err_trace(r);
	r = -EEXIST;
	for (size_t i = 0; i < count; i++)
		if (uuid_eq(list[i].call, a->call)) {
			a->identity = list[i].cgroup_id;
			r = 0;
		}
	free(list);
	return r < 0 ? err_raise(r, "that call was closed already") : 0;
}

static int do_call_open(struct helper *h, struct helper_request *q, int64_t deadline_ns)
{
	struct ask_call *a = container_of(q, struct ask_call, request);
	int r = helper_call_cgroup_open(
		h, a->sandbox->id, a->sandbox->execution, a->call, &a->identity, deadline_ns);

	if (r == -EEXIST)
		r = find_call(h, a, deadline_ns);
	return err_trace(r);
}

static int do_call_close(struct helper *h, struct helper_request *q, int64_t deadline_ns)
{
	struct ask_call *a = container_of(q, struct ask_call, request);
	int r = a->former ? find_call(h, a, deadline_ns) : 0;

	if (r < 0 && r != -EEXIST)
		return err_trace(r);
	r = helper_call_cgroup_close(
		h, a->sandbox->id, a->sandbox->execution, a->call, a->rest, &a->usage, deadline_ns);

	return r == -ENOENT ? 0 : err_trace(r);
}

int process_call_open(
	struct sandbox *s, struct uuid call, uint64_t *ret_identity, int64_t deadline_ns)
{
	struct ask_call a = {.request.fn = do_call_open, .sandbox = s, .call = call};
	int r = helper_ask(process_driver_of(s->driver)->link, &a.request, deadline_ns);

	if (r == 0)
		*ret_identity = a.identity;
	return err_trace(r);
}

int process_call_close(struct sandbox *s, struct uuid call, bool keep_rest,
	struct sandbox_usage *ret, int64_t deadline_ns)
{
	struct process_sandbox *p = process_of(s);
	/* First, because it needs nobody, and the helper may be away. */
	int ended = end_rights(p, call, "its result came");
	bool keep = keep_rest && may_keep_rest(p, call);
	struct ask_call a = {.request.fn = do_call_close,
		.sandbox = s,
		.call = call,
		.former = p->adopted && !find(p, call),
		.rest = keep ? HELPER_CALL_KEEP : HELPER_CALL_KILL};
	int r = helper_ask(process_driver_of(s->driver)->link, &a.request, deadline_ns);

	if (r < 0 || ended < 0)
		return err_trace(r < 0 ? r : ended);
	if (r != HELPER_CALL_HAD_REST || !keep) {
		gone(p, call);
		if (a.identity)
			end_former(p, call, a.identity);
	}
	*ret = process_usage(&a.usage);
	return r == HELPER_CALL_HAD_REST ? SANDBOX_CALL_HAD_REST : 0;
}
