/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * One thread, one poll(2). The story of an agent (ask, run a call, report, ask again) is written
 * straight down and calls loop_step() where it must wait; the services beside it (relay, signals,
 * control socket) are sources that are served in each step.
 */
#pragma once

#include "daemon/base/base.h"
#include <poll.h>

/* Something to wait for. Embedded in its owner; belongs to the loop between add and remove. */
struct source {
	int fd; /* -1: only the deadline counts */
	short events;
	int64_t deadline_ns; /* clock_mono_ns; INT64_MAX: none */
	void (*ready)(struct source *s, short revents); /* 0: the deadline has passed */
};

enum { LOOP_SOURCES_MAX = 160 };

struct loop {
	struct source *sources[LOOP_SOURCES_MAX];
	size_t count;
};

/* A source that finds no place is a bug: the owners' own limits add up to less. */
void loop_add(struct loop *l, struct source *s);
void loop_remove(struct loop *l, struct source *s); /* one that is not there: nothing */

/* Waits until something is ready or `deadline_ns` has passed, and serves what is. Any source may
 * be removed while others are served. -errno of poll. */
int loop_step(struct loop *l, int64_t deadline_ns) MUST_USE;
