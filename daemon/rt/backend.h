/* SPDX-License-Identifier: AGPL-3.0-only */
/* What the simulator does in place of the kernel. A worker without one is real. */
#pragma once

#include "daemon/rt/internal.h"

struct backend {
	void (*push)(struct worker *w, const struct io_uring_sqe *sqe);
	void (*turn)(struct worker *w, bool wait, int64_t timeout_ns); /* fills the batch */
	struct fiber *(*pick)(struct worker *w); /* one of the ready, which are not none */
	bool (*may_spawn)(struct worker *w); /* false: as if no stack were left */
	int64_t (*now_ns)(struct worker *w);
	int64_t (*wall_ns)(struct worker *w);
	void (*random)(struct worker *w, void *p, size_t n);
	void (*shutdown)(struct worker *w, int fd, int how);
	int (*signal_wait)(struct worker *w, const sigset_t *set, int64_t deadline_ns);
};

/* Runs main_fn in a run of one worker over `b`; the rest as rt_run. */
int run_over(const struct backend *b, struct sim *sim, const struct rt_options *options,
	fiber_fn main_fn, void *arg) MUST_USE;
