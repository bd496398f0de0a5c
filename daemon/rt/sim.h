/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The simulated ring: any code that awaits runs in one thread under virtual time, and everything
 * that the kernel could decide otherwise is decided by a seed: which ready fiber runs, in which
 * order and after what delay operations complete, how much a read or write moves, when a
 * multishot operation ends. One seed gives one trace. Operations can be made to fail one by one.
 *
 * What is simulated, and how:
 *  - stream sockets that rt_connect connects to a listener of the same run, and sim_socketpair:
 *    their bytes travel in memory. The descriptors are real and really connected, so getpeername,
 *    getsockopt and the like answer; but reading, writing and shutting down must go through rt.h
 *    (rt_shutdown, stream_shutdown), and so must closing if the peer shall see it at once.
 *  - everything else (files, pipes, other sockets): the operation is done on the real descriptor,
 *    without blocking, at the time that the seed says. Both ends must be in this process.
 *  - offload: the function runs on the thread of the simulation, at the end of a delay.
 *  - signals: sim_raise. Children: child_spawn answers -ENOSYS.
 *  - one worker; rt_random is seeded; the wall clock starts at SIM_EPOCH_NS.
 */
#pragma once

#include "daemon/rt/rt.h"

#define SIM_EPOCH_NS (INT64_C(1767225600) * NS_PER_S) /* 2026-01-01T00:00:00Z */

enum { SIM_REPORT_BYTES = 2048 };

struct sim_options {
	uint64_t seed;
	int64_t fail_at; /* this operation fails, counted from 1; 0: none */
	int fail_errno; /* with this positive errno; 0: one that the operation can have */
	int fail_per_mille; /* and others fail by chance */
	int short_per_mille; /* transfers cut short; 0: 300, negative: none */
	int64_t delay_max_ns; /* of most operations; 0: 1 ms */
	size_t socket_buffer_bytes; /* 0: by the seed, 256 bytes to 64 KiB */
	int64_t time_limit_ns; /* virtual; 0: one day */
	int max_fibers; /* as in rt_options */
};

struct sim_result {
	uint64_t trace; /* hash of all that happened */
	int64_t operations; /* that could have failed */
	const char *failed; /* what fail_at hit ("recv", "spawn"), NULL if nothing */
	int64_t elapsed_ns; /* virtual */
	int leaked_fds; /* opened by operations and never closed; closed now */
	char report[SIM_REPORT_BYTES]; /* after -EDEADLK, -ETIME: fibers and what they waited for */
};

/*
 * Runs main_fn(arg) as rt_run does. -EDEADLK: all fibers waited for each other; -ETIME: the time
 * limit passed; in both cases everything was then cancelled, so that the run has ended, and the
 * report says who waited. Not from within a run.
 */
int sim_run(const struct sim_options *options, fiber_fn main_fn, void *arg,
	struct sim_result *ret) MUST_USE;

/* In a run: two connected stream sockets. */
int sim_socketpair(int ret_fds[2]) MUST_USE;

/* In a run: whether operations count and fail from here on, as they do at first. A scenario turns
 * it off where it prepares its world, and where it looks at what became of it. */
void sim_faults(bool on);

/* In a run, for what a scenario plays itself (a disk, say): an operation takes place; true if it
 * must fail. */
bool sim_fails(const char *what);

/* In a run: the signal arrives. */
void sim_raise(int signo);

/* In a run: a number below n, from the seed: for choices of the scenario itself. */
uint64_t sim_below(uint64_t n);
