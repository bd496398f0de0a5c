/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Signals and the dead. As pid 1 this program inherits every orphan; elsewhere it makes itself
 * the reaper of its descendants, so that a call's grandchildren cannot slip away.
 */
#pragma once

#include "daemon/base/base.h"
#include "tools/aegis-bootstrap/loop.h"

struct reaper {
	struct source source; /* the signalfd */
	struct loop *loop;
	pid_t watched; /* the program whose end is waited for; 0: none */
	bool ended; /* it has, with this wait status: */
	int status;
	int stop_signal; /* the first request to end: SIGTERM, SIGINT, SIGHUP, SIGQUIT; 0: none */
};

int reaper_init(struct reaper *r, struct loop *l) MUST_USE;

/* In a forked child: the signal mask and handlers that a program expects. */
void reaper_child(void);

void reaper_watch(struct reaper *r, pid_t pid);

/* Kills and reaps every descendant of this process, until none is left or time is up. For calls
 * that have no cgroup of their own. */
void reaper_kill_descendants(struct reaper *r, int64_t deadline_ns);
