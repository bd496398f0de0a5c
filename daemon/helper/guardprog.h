/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The guard (bpf/lsm/guard.bpf.c): a task that leaves the cgroup of its sandbox is killed. It hangs
 * on tracepoints of the whole host, which do nothing for others, and only while a sandbox lives
 * (and a moment longer: sandbox_set_rest). Each sandbox's first process keeps it attached beside
 * the helper (LAUNCH_FD_KEEP_GUARD): it goes on when the helper dies, and with the last sandbox
 * that it knows it goes. What a restarted helper attaches knows the new sandboxes.
 */
#pragma once

#include "bpf/lsm/lsm_api.h"
#include "daemon/base/base.h"
#include "daemon/helper/progset.h"

enum { GUARD_HOOKS = 3 };

struct guardprog {
	bool loaded; /* false: this kernel has no tracepoints for it, and the calls below do nothing
		      */
	struct progset programs;
	int links[GUARD_HOOKS]; /* -1: not attached */
};

/* -EOPNOTSUPP says what this kernel lacks. */
int guardprog_load(const struct guard_constants *constants, struct guardprog *ret) MUST_USE;
/* The same, and 0 on such a kernel. */
int guardprog_open(const struct guard_constants *constants, struct guardprog *ret) MUST_USE;
void guardprog_close(struct guardprog *g);

int guardprog_attach(struct guardprog *g) MUST_USE; /* before the first sandbox; again: 0 */
void guardprog_detach(struct guardprog *g); /* no sandbox lives */
