/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The pool of ready seats. Each has an id, so that its cgroups carry the name of the sandbox that
 * they will be of; to a helper that finds them after a crash they are nobody's, and go.
 */
#include "daemon/helper/sandbox.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static void name_of(uint64_t id, char ret[CGROUP_NAME_BYTES])
{
	snprintf(ret, CGROUP_NAME_BYTES, "s%016llx", (unsigned long long)id);
}

static void abolish(struct sandbox_set *set, struct seat *seat)
{
	char name[CGROUP_NAME_BYTES];
	name_of(seat->id, name);
	seat_stop(seat);
	if (cgroup_remove(&set->host->cgroups, name) < 0) {
		log_warn("cgroup %s is left behind", name);
		err_clear();
	}
}

static int make(struct sandbox_set *set, struct seat *seat)
{
	struct host *h = set->host;
	char name[CGROUP_NAME_BYTES];
	*seat = (struct seat){.id = sandbox_next_id(set),
		.pidfd = -1,
		.limits = launch_limits(&set->wanted_limits)};
	name_of(seat->id, name);
	int r = cgroup_make(&h->cgroups, name, &seat->dirs);
	if (r < 0)
		return err_trace(r);
	r = cgroup_limit(&h->cgroups, name, &seat->limits);
	if (r == 0)
		r = seat_start(seat);
	if (r < 0)
		abolish(set, seat);
	return err_trace(r);
}

/* What could not join is removed, and not made again before the next quiet moment. */
static bool remove_failed(struct sandbox_set *set)
{
	for (size_t i = 0; set->seats && i < set->host->options.seats; i++) {
		struct seat *seat = &set->seats[i];
		if (seat->id == 0 || seat->state != SEAT_FAILED)
			continue;
		log_warn("the cgroups of a seat cannot be joined");
		abolish(set, seat);
		sandbox_seat_used(set, seat);
		return true;
	}
	return false;
}

bool sandbox_seat_refill_one(struct sandbox_set *set)
{
	const struct host *h = set->host;
	if (h->cgroups.mode != HELPER_CGROUP_HYBRID || remove_failed(set) ||
		set->seat_count >= h->options.seats)
		return false;
	if (!set->seats)
		set->seats = calloc(h->options.seats, sizeof(*set->seats));
	if (!set->seats)
		return false;
	/* The process in it has its address, so it is made where it stays. */
	struct seat *seat = set->seats;
	while (seat->id != 0)
		seat++;
	int r = make(set, seat);
	if (r < 0) {
		seat->id = 0;
		err_log(r, "make a seat for a sandbox");
		err_clear();
		return false;
	}
	set->seat_count++;
	return true;
}

struct seat *sandbox_seat_ready(struct sandbox_set *set)
{
	struct seat *best = NULL;
	for (size_t i = 0; set->seats && i < set->host->options.seats; i++) {
		struct seat *seat = &set->seats[i];
		if (seat->id != 0 && seat_is_ready(seat) && (!best || seat->id < best->id))
			best = seat;
	}
	return best;
}

void sandbox_seat_used(struct sandbox_set *set, struct seat *seat)
{
	seat->id = 0;
	set->seat_count--;
}

void sandbox_seats_fini(struct sandbox_set *set)
{
	for (size_t i = 0; set->seats && i < set->host->options.seats; i++) {
		if (set->seats[i].id != 0)
			abolish(set, &set->seats[i]);
	}
	free(set->seats);
	set->seats = NULL;
	set->seat_count = 0;
}
