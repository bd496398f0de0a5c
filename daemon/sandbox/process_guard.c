/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Who left the cgroup of a sandbox, on its way to the observer. Each helper has a guard with a ring
 * of its own; that of a former helper goes on as long as a sandbox that it made, so its ring is
 * read on, too.
 */
#include "daemon/sandbox/process_internal.h"
#include <errno.h>
#include <poll.h>
#include <stdlib.h>

enum { GUARDS_MAX = 8 };

struct ask_guard {
	struct helper_request request;
	uint64_t instance; /* in: whose ring we have; out: the helper's */
	int ring, losses; /* -1: none */
};

static int do_guard(struct helper *h, struct helper_request *q, int64_t deadline_ns)
{
	struct ask_guard *a = container_of(q, struct ask_guard, request);
	uint64_t instance = helper_info(h)->instance;

	if (instance == a->instance)
		return 0;
	int r = helper_guard_open(h, &a->ring, &a->losses, deadline_ns);
	if (r == -EOPNOTSUPP)
		err_clear();
	else if (r < 0)
		return err_trace(r);
	a->instance = instance;
	return 0;
}

static void read_ring(void *arg)
{
	struct guard_reader *g = arg;

	for (;;) {
		int r = rt_poll(lsm_sensor_fd(g->ring), POLLIN, DEADLINE_NONE);
		if (r < 0)
			return;
		process_take_guard(g->driver, g->ring);
	}
}

static void reader_free(struct guard_reader *g)
{
	list_remove(&g->link);
	lsm_sensor_free(g->ring);
	free(g);
}

void process_guard_close(struct process_driver *d)
{
	group_close(&d->guard_group);
	group_init(&d->guard_group);
	process_denials_lock(d);
	list_for_each_safe (node, &d->guards)
		reader_free(list_entry(node, struct guard_reader, link));
	process_denials_unlock(d);
	d->guard_instance = 0;
	d->guard_count = 0;
}

static int reader_new(struct process_driver *d, const struct ask_guard *a)
{
	int maps[LSM_MAPS];
	struct guard_reader *g = calloc(1, sizeof(*g));

	for (int i = 0; i < LSM_MAPS; i++)
		maps[i] = -1;
	maps[LSM_MAP_DENIALS] = a->ring;
	maps[LSM_MAP_LOSSES] = a->losses;
	if (!g) {
		rt_close(a->ring);
		rt_close(a->losses);
		return err_raise(-ENOMEM, "no memory for who leaves a cgroup");
	}
	g->driver = d;
	int r = lsm_sensor_new(maps, &g->ring);
	if (r < 0) {
		free(g);
		return err_trace(r);
	}
	r = group_spawn(&d->guard_group, "guard", FIBER_LARGE, read_ring, g);
	if (r < 0) {
		lsm_sensor_free(g->ring);
		free(g);
		return err_trace(r);
	}
	list_push_back(&d->guards, &g->link);
	d->guard_count++;
	return 0;
}

int process_guard_ready(struct process_driver *d, int64_t deadline_ns)
{
	struct ask_guard a = {
		.request.fn = do_guard, .instance = d->guard_instance, .ring = -1, .losses = -1};
	int r = helper_ask(d->link, &a.request, deadline_ns);

	if (r < 0 || a.instance == d->guard_instance) { /* perhaps by another fiber, meanwhile */
		rt_close(a.ring);
		rt_close(a.losses);
		return err_trace(r);
	}
	if (d->guard_count == GUARDS_MAX) /* sandboxes of that many helpers ago are rare */
		process_guard_close(d);
	r = a.ring >= 0 ? reader_new(d, &a) : 0;
	if (r == 0)
		d->guard_instance = a.instance;
	return err_trace(r);
}
