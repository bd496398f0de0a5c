/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Ready seats, private to this room: the cgroups of a sandbox that is not there yet, with a process
 * in them that can start it. Where limits are in v1 controllers, each of them is joined by a write
 * that waits, after a moment of quiet, for an RCU grace period of 8 ms and more; a child that is
 * born of a process which has joined already inherits all of them and waits for nothing.
 *
 * The process in the seat is the helper's own code on the helper's own memory. It serves one
 * launch, and is gone before the sandbox runs.
 */
#pragma once

#include "daemon/helper/cgroup.h"
#include "daemon/helper/launch_plan.h"

enum seat_state {
	SEAT_JOINING = 0,
	SEAT_READY = 1,
	SEAT_TOLD = 2, /* to launch */
	SEAT_FAILED = 3,
};

struct seat {
	uint64_t id; /* of the sandbox that will sit here */
	struct cgroup_dirs dirs; /* that sandbox's */
	struct helper_limits limits; /* that are set */
	int parent; /* the helper's pid */
	int pidfd; /* of the process; -1: none */
	volatile uint32_t state; /* enum seat_state */
	/* Of the launch, filled by the process: */
	struct launch_plan *plan;
	void *child_stack_end;
	long launched_pid; /* or -errno */
	int launched_pidfd;
	char *stack; /* SEAT_STACK_BYTES, of its own mapping */
};

enum { SEAT_STACK_BYTES = 16 * 1024 };

/* Puts a process into the cgroups, which are made already; it joins while the caller goes on. */
int seat_start(struct seat *s) MUST_USE;
bool seat_is_ready(const struct seat *s);

/* As launch_child_start, by the process in the seat; which is gone afterwards in any case. */
int seat_launch(struct seat *s, struct launch_plan *plan, void *stack_end, pid_t *ret_pid,
	int *ret_pidfd) MUST_USE;

/* Ends the process, if there is one, and closes what is held. The cgroups stay. */
void seat_stop(struct seat *s);
