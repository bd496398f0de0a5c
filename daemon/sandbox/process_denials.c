/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * What the kernel denied to sandboxes, on its way to the observer. An agent makes hundreds of
 * thousands of denials a second if it likes, and the journal must not grow with them: so many of
 * one sandbox are told one by one in a second, and the rest is counted. What the kernel's rings had
 * no room for, it has counted itself, by sandbox; both counts become gaps within a second, and at
 * the sandbox's end.
 *
 * One fiber at a time takes denials out, and a denial leaves the ring when it is safe.
 */
#include "daemon/sandbox/process_internal.h"
#include <errno.h>

enum {
	LOSSES = 64,
	TELL_MS = 1000,
	ROUNDS = 16, /* more than a ring holds: what comes meanwhile is of the next time */
};

static const char untold_words[] = "more denials than are told one by one";
static const char lost_words[] = "more denials than the kernel had room for";

static struct process_sandbox *find_sandbox(const struct process_driver *d, uint64_t cgroup)
{
	list_for_each (node, &d->alive) {
		struct process_sandbox *p = list_entry(node, struct process_sandbox, alive_link);
		if (p->base.identity == cgroup)
			return p;
	}
	return NULL;
}

struct sandbox_origin process_origin(
	const struct process_driver *d, uint64_t cgroup, uint64_t call_cgroup)
{
	const struct process_sandbox *p = find_sandbox(d, cgroup);
	struct sandbox_origin o = {.identity = cgroup};

	if (p) {
		o.execution = p->base.execution;
		o.iteration = p->base.iteration;
	}
	for (size_t i = 0; !p && i < PROCESS_GONE; i++)
		if (d->gone[i].identity == cgroup) {
			o.execution = d->gone[i].execution;
			o.iteration = d->gone[i].iteration;
		}
	if (d->record && call_cgroup && call_cgroup != cgroup)
		o.call = record_sensor_call(d->record, call_cgroup);
	if (p && call_cgroup && call_cgroup != cgroup)
		process_call_origin(p, call_cgroup, &o);
	return o;
}

/* Whether one more denial goes on record by itself; else it has been counted. */
static bool is_told(struct denial_budget *b, uint64_t *untold)
{
	int64_t now_ns = rt_now_ns();

	if (now_ns - b->second_ns >= NS_PER_S) {
		b->second_ns = now_ns;
		b->told = 0;
	}
	if (b->told >= LIMIT_DENIALS_PER_SECOND) {
		++*untold;
		return false;
	}
	b->told++;
	return true;
}

/* ---- taking ---- */

static AWAITS bool take_network(struct process_driver *d)
{
	const struct net_denial *const *denials;
	size_t n = d->sensor ? sensor_denials_next(d->sensor, &denials) : 0;

	for (size_t i = 0; i < n; i++) {
		const struct net_denial *x = denials[i];
		struct process_sandbox *p = find_sandbox(d, x->cgroup);
		struct sandbox_origin o = process_origin(d, x->cgroup, x->call_cgroup);
		if (d->observer.denied &&
			is_told(p ? &p->told_network : &d->told_strays,
				p ? &p->untold : &d->untold_strays))
			d->observer.denied(d->observer.ctx, &o, x,
				sensor_rule_policy(d->sensor, x->policy, x->rule));
	}
	if (n > 0 && d->observer.settle)
		d->observer.settle(d->observer.ctx);
	if (n > 0)
		sensor_denials_done(d->sensor);
	return n > 0;
}

static AWAITS bool take_lsm(struct process_driver *d, struct lsm_sensor *s)
{
	const struct lsm_denial *const *denials;
	size_t n = s ? lsm_sensor_next(s, &denials) : 0;

	for (size_t i = 0; i < n; i++) {
		const struct lsm_denial *x = denials[i];
		struct process_sandbox *p = find_sandbox(d, x->cgroup);
		struct sandbox_origin o = process_origin(
			d, x->cgroup, x->hook == LSM_HOOK_LEAVE ? 0 : x->call_cgroup);
		if (d->observer.lsm_denied &&
			is_told(p ? &p->told_lsm : &d->told_strays,
				p ? &p->untold : &d->untold_strays))
			d->observer.lsm_denied(d->observer.ctx, &o, x,
				lsm_rule_policy(s, x->policy, x->rule),
				lsm_file_path(s, x->policy, x->device, x->inode));
	}
	if (n > 0 && d->observer.settle)
		d->observer.settle(d->observer.ctx);
	if (n > 0)
		lsm_sensor_done(s);
	return n > 0;
}

/* ---- what was lost ---- */

static AWAITS void tell(
	struct process_driver *d, uint64_t cgroup, uint64_t count, const char *reason)
{
	struct sandbox_origin o = process_origin(d, cgroup, 0);

	if (d->observer.lost)
		d->observer.lost(d->observer.ctx, &o, count, reason);
}

static AWAITS void tell_lsm(struct process_driver *d, struct lsm_sensor *s)
{
	struct sensor_loss losses[LOSSES];
	size_t n = lsm_sensor_losses(s, losses, LOSSES);

	for (size_t i = 0; i < n; i++) {
		tell(d, losses[i].cgroup, losses[i].count, lost_words);
		lsm_sensor_loss_told(s, &losses[i]);
	}
}

static AWAITS void tell_kernels(struct process_driver *d)
{
	struct sensor_loss losses[LOSSES];
	size_t n = d->sensor ? sensor_losses(d->sensor, losses, LOSSES) : 0;

	for (size_t i = 0; i < n; i++) {
		tell(d, losses[i].cgroup, losses[i].count, lost_words);
		sensor_loss_told(d->sensor, &losses[i]);
	}
	if (d->lsm)
		tell_lsm(d, d->lsm);
	/* The list changes only with the lock of denials held. */
	list_for_each (node, &d->guards)
		tell_lsm(d, list_entry(node, struct guard_reader, link)->ring);
}

/* The list may change while something is told. */
static AWAITS void tell_untold(struct process_driver *d)
{
	for (bool again = true; again;) {
		again = false;
		list_for_each (node, &d->alive) {
			struct process_sandbox *p =
				list_entry(node, struct process_sandbox, alive_link);
			uint64_t untold = p->untold;
			if (untold == 0)
				continue;
			p->untold = 0;
			tell(d, p->base.identity, untold, untold_words);
			again = true;
			break;
		}
	}
	uint64_t strays = d->untold_strays;
	d->untold_strays = 0;
	if (strays > 0)
		tell(d, 0, strays, untold_words);
}

void process_denials_lock(struct process_driver *d)
{
	fiber_shield_begin();
	CHECK(fiber_lock_take(&d->denials_lock, DEADLINE_NONE) == 0);
}

void process_denials_unlock(struct process_driver *d)
{
	fiber_lock_give(&d->denials_lock);
	fiber_shield_end();
}

static AWAITS void take(struct process_driver *d, bool tells)
{
	process_denials_lock(d);
	for (int i = 0; i < ROUNDS && take_network(d); i++)
		;
	for (int i = 0; i < ROUNDS && take_lsm(d, d->lsm); i++)
		;
	if (tells) {
		d->losses_told_ns = rt_now_ns();
		tell_kernels(d);
		tell_untold(d);
		process_flows_sweep(d);
	}
	process_denials_unlock(d);
}

void process_take_guard(struct process_driver *d, struct lsm_sensor *guard)
{
	process_denials_lock(d);
	for (int i = 0; i < ROUNDS && take_lsm(d, guard); i++)
		;
	process_denials_unlock(d);
}

void process_take_denials(struct process_driver *d)
{
	take(d, rt_now_ns() - d->losses_told_ns >= NS_PER_S);
}

int64_t process_denials_deadline(const struct process_driver *d)
{
	return list_empty(&d->alive) ? DEADLINE_NONE : deadline_in_ms(TELL_MS);
}

void process_denials_end(struct process_sandbox *p)
{
	struct process_driver *d = process_driver_of(p->base.driver);

	take(d, true);
	process_denials_lock(d);
	process_flows_end(p);
	if (d->sensor)
		sensor_loss_forget(d->sensor, p->base.identity);
	if (d->lsm)
		lsm_sensor_loss_forget(d->lsm, p->base.identity);
	list_for_each (node, &d->guards)
		lsm_sensor_loss_forget(
			list_entry(node, struct guard_reader, link)->ring, p->base.identity);
	process_denials_unlock(d);
}

void process_denials_forget(struct process_sandbox *p)
{
	struct process_driver *d = process_driver_of(p->base.driver);
	struct process_gone *g = &d->gone[d->gone_next++ % PROCESS_GONE];

	d->untold_strays += p->untold;
	*g = (struct process_gone){p->base.identity, p->base.execution, p->base.iteration};
}
