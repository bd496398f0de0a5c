/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Runs a scenario over the simulated ring. A scenario is the body of a main fiber: it starts what
 * it needs, plays its part and closes everything again. It says what must hold with SCENARIO_CHECK,
 * which any fiber may use; scenario_faulty() tells it whether operations are made to fail in this
 * run, so that it can ask for less then: not that the work is done, but that a failure is reported
 * and nothing else breaks.
 *
 * In every run: no fiber hangs, no descriptor leaks; and one seed gives one trace, twice.
 */
#pragma once

#include "daemon/rt/rt.h"
#include "daemon/rt/sim.h"
#include "tests/tap.h"

struct scenario {
	const char *name;
	fiber_fn body;
	void *(*make)(void); /* the body's argument, fresh for each run; NULL: none */
	void (*drop)(void *arg); /* after the run, outside of fibers; may be NULL */
	struct sim_options options; /* seed and faults are filled in */
};

/* Seeds 1 to n, without faults; the first half of them in the short run. In a cmocka case. */
void scenario_seeds(const struct scenario *s, int n);

/* For some seeds: every operation that a run without faults does, and each that only such runs
 * do, fails in turn; in the short run each other one. */
void scenario_failures(const struct scenario *s, int seeds);

/* n runs in which operations fail by chance; half as many in the short run. */
void scenario_chaos(const struct scenario *s, int n, int fail_per_mille);

bool scenario_faulty(void);

#define SCENARIO_CHECK(cond) \
	do { \
		if (!(cond)) \
			scenario_failed(#cond, __FILE__, __LINE__); \
	} while (0)

void scenario_failed(const char *what, const char *file, int line);
