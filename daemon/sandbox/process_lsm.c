/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * What the LSM programs deny to sandboxes, on its way to the observer; and the policies about files
 * that they decide by.
 */
#include "daemon/sandbox/process_internal.h"
#include "daemon/sensor/lsm.h"
#include <errno.h>
#include <poll.h>

struct ask_lsm {
	struct helper_request request;
	uint64_t instance; /* in: of which we have the maps; out: the helper's */
	bool opened;
	int maps[LSM_MAPS];
};

static int do_lsm(struct helper *h, struct helper_request *q, int64_t deadline_ns)
{
	struct ask_lsm *a = container_of(q, struct ask_lsm, request);
	uint64_t instance = helper_info(h)->instance;

	if (instance == a->instance)
		return 0;
	int r = helper_lsm_open(h, a->maps, deadline_ns);
	if (r == -EOPNOTSUPP)
		err_clear();
	else if (r < 0)
		return err_trace(r);
	a->opened = r == 0;
	a->instance = instance;
	return 0;
}

static void read_denials(void *arg)
{
	struct process_driver *d = arg;

	for (;;) {
		int r = rt_poll(lsm_sensor_fd(d->lsm), POLLIN, process_denials_deadline(d));
		if (r < 0 && r != -ETIME)
			return;
		process_take_denials(d);
	}
}

void process_lsm_close(struct process_driver *d)
{
	group_close(&d->lsm_group);
	group_init(&d->lsm_group);
	process_denials_lock(d);
	d->lsm = lsm_sensor_free(d->lsm);
	process_denials_unlock(d);
	d->lsm_instance = 0;
}

/* What stands in the maps half entered must not be taken for something of ours. */
static int open_sensor(struct process_driver *d, int maps[LSM_MAPS])
{
	size_t gone = 0;
	int r = lsm_sensor_new(maps, &d->lsm);

	if (r == 0)
		r = lsm_sweep(d->lsm, &gone);
	if (r == 0 && gone > 0)
		log_info("%zu entries of former policies about files are taken out", gone);
	return err_trace(r);
}

static AWAITS int ready(struct process_driver *d, int64_t deadline_ns)
{
	struct ask_lsm a = {.request.fn = do_lsm, .instance = d->lsm_instance};
	int r = process_guard_ready(d, deadline_ns);

	if (r == 0)
		r = helper_ask(d->link, &a.request, deadline_ns);
	if (r < 0 || a.instance == d->lsm_instance)
		return err_trace(r);
	if (a.opened && d->lsm && lsm_sensor_has_maps(d->lsm, a.maps)) {
		for (int i = 0; i < LSM_MAPS; i++)
			fd_cleanup(&a.maps[i]);
		d->lsm_instance = a.instance; /* it took over what the one before had */
		return 0;
	}
	process_lsm_close(d); /* of the helper before */
	if (a.opened)
		r = open_sensor(d, a.maps);
	if (r == 0 && d->lsm)
		r = group_spawn(&d->lsm_group, "LSM denials", FIBER_LARGE, read_denials, d);
	if (r < 0) {
		process_lsm_close(d);
		return err_trace(r);
	}
	d->lsm_instance = a.instance;
	return 0;
}

int process_lsm_ready(struct process_driver *d, int64_t deadline_ns)
{
	return err_trace(process_opening(d, ready, deadline_ns));
}

/* ---- policies about files ---- */

int process_paths_policy(
	struct process_driver *d, const struct lsm_table *paths, struct lsm_policy_entry **ret)
{
	*ret = NULL;
	if (!paths || lsm_table_is_empty(paths))
		return 0;
	if (!d->lsm)
		return err_raise(-EOPNOTSUPP, "this kernel does not decide by files: no BPF LSM");
	return err_trace(lsm_policy_new(d->lsm, paths, ret));
}

struct lowering {
	const struct kernel_rules *rules;
	const struct runtime *runtime;
	const char *const *programs;
	struct arena *arena;
	struct lsm_table *ret;
};

static int lower(void *arg)
{
	const struct lowering *l = arg;
	struct lsm_place places[LIMIT_RUNTIME_BINDS];

	for (size_t i = 0; i < l->runtime->bind_count; i++)
		places[i] =
			(struct lsm_place){l->runtime->binds[i].host, l->runtime->binds[i].inside};
	return err_trace(lsm_table_make(
		l->rules, places, l->runtime->bind_count, l->programs, l->arena, l->ret));
}

int process_lower_paths(struct sandbox_driver *d, const struct sandbox_paths *q,
	struct lsm_table *ret, int64_t deadline_ns)
{
	struct process_driver *p = process_driver_of(d);
	const char *programs[2] = {NULL, NULL};
	struct lowering l = {
		.rules = q->rules, .programs = programs, .arena = q->arena, .ret = ret};
	int r = process_lsm_ready(p, deadline_ns);

	if (r < 0 || !p->lsm)
		return r < 0 ? err_trace(r) : SANDBOX_PATHS_UNDECIDED;
	r = runtime_registry_match(p->registry, q->language, q->version, &l.runtime);
	if (r < 0)
		return err_trace(r);
	if (q->own_program)
		programs[0] = l.runtime->interpreter[0];
	return err_trace(offload_call(q->offload, lower, &l, deadline_ns));
}

static AWAITS int set_paths(
	struct process_sandbox *p, const struct lsm_table *paths, int64_t deadline_ns)
{
	struct process_driver *d = process_driver_of(p->base.driver);
	struct lsm_policy_entry *next;
	size_t gone;
	int r = process_lsm_ready(d, deadline_ns);

	if (r == 0)
		r = process_paths_policy(d, paths, &next);
	if (r < 0 || !d->lsm)
		return err_trace(r);
	bool former = !p->own_paths;
	r = lsm_agent_set_policy(d->lsm, p->base.identity, next);
	if (r < 0) {
		lsm_policy_unref(next);
		return err_trace(r);
	}
	lsm_policy_unref(p->paths);
	p->paths = next;
	p->own_paths = true;
	return former ? err_trace(lsm_sweep(d->lsm, &gone)) : 0;
}

int process_set_paths(struct sandbox *s, const struct lsm_table *paths, int64_t deadline_ns)
{
	int r = set_paths(process_of(s), paths, deadline_ns);

	return process_forgive_ended(process_of(s), r);
}
