/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * What the LSM programs deny to sandboxes, on its way to the observer. Rare: seccomp, mounts and
 * Landlock stand in front of them, so whatever gets here has passed by one of those.
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

static void on_denial(void *ctx, const struct lsm_denial *n)
{
	struct process_driver *d = ctx;

	list_for_each (node, &d->alive) {
		struct process_sandbox *p = list_entry(node, struct process_sandbox, alive_link);
		if (p->base.identity != n->cgroup || !d->observer.lsm_denied)
			continue;
		if (process_denial_is_told(d, &p->told_lsm))
			d->observer.lsm_denied(d->observer.ctx, &p->base, n);
		return;
	}
}

static void read_denials(void *arg)
{
	struct process_driver *d = arg;

	for (;;) {
		int r = rt_poll(lsm_sensor_fd(d->lsm), POLLIN,
			d->lost > 0 ? deadline_in_ms(1000) : DEADLINE_NONE);
		if (r < 0 && r != -ETIME)
			return;
		if (r >= 0)
			r = lsm_sensor_take(d->lsm);
		if (r < 0 && r != -ETIME) {
			err_log(r, "read what the LSM programs denied");
			err_clear();
		}
		process_tell_lost(d);
	}
}

void process_lsm_close(struct process_driver *d)
{
	group_close(&d->lsm_group);
	group_init(&d->lsm_group);
	d->lsm = lsm_sensor_free(d->lsm);
	d->lsm_instance = 0;
}

int process_lsm_ready(struct process_driver *d, int64_t deadline_ns)
{
	struct ask_lsm a = {.request.fn = do_lsm, .instance = d->lsm_instance};
	int r = helper_ask(d->link, &a.request, deadline_ns);

	if (r < 0 || a.instance == d->lsm_instance) { /* perhaps by another fiber, meanwhile */
		for (int i = 0; a.opened && i < LSM_MAPS; i++)
			fd_cleanup(&a.maps[i]);
		return err_trace(r);
	}
	process_lsm_close(d); /* of the helper before */
	if (a.opened)
		r = lsm_sensor_new(a.maps, on_denial, d, &d->lsm);
	if (r == 0 && d->lsm)
		r = group_spawn(&d->lsm_group, "LSM denials", FIBER_LARGE, read_denials, d);
	if (r < 0) {
		process_lsm_close(d);
		return err_trace(r);
	}
	d->lsm_instance = a.instance;
	return 0;
}
