/* SPDX-License-Identifier: AGPL-3.0-only */
#include "tests/sim/scenario.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	SHORT_SHARE = 2,
	OPERATIONS_MAX = 20000
}; /* of one run: beyond that failing each would take too long */

static bool faulty;
static char failure[512]; /* the first of the current run */

bool scenario_faulty(void)
{
	return faulty;
}

void scenario_failed(const char *what, const char *file, int line)
{
	if (!failure[0])
		snprintf(failure, sizeof(failure), "%s:%d: %s is false", file, line, what);
}

static void complain(const struct scenario *s, const struct sim_options *o, const char *why)
{
	fail_msg("%s, seed %" PRIu64 ", failing operation %" PRId64 ", %d per mille: %s", s->name,
		o->seed, o->fail_at, o->fail_per_mille, why);
}

static void run_once(
	const struct scenario *s, const struct sim_options *options, struct sim_result *ret)
{
	void *arg = s->make ? s->make() : NULL;
	char why[SIM_REPORT_BYTES + 64];
	failure[0] = '\0';
	faulty = options->fail_at > 0 || options->fail_per_mille > 0;
	int r = sim_run(options, s->body, arg, ret);
	if (s->drop)
		s->drop(arg);
	if (r < 0) {
		snprintf(why, sizeof(why), "%s: %s", err_name(r), ret->report);
		complain(s, options, why);
	}
	if (failure[0])
		complain(s, options, failure);
	if (ret->leaked_fds > 0) {
		snprintf(why, sizeof(why), "%d descriptors leaked", ret->leaked_fds);
		complain(s, options, why);
	}
}

static void run_twice(
	const struct scenario *s, const struct sim_options *options, struct sim_result *ret)
{
	struct sim_result again;
	run_once(s, options, ret);
	run_once(s, options, &again);
	if (again.trace != ret->trace)
		complain(s, options, "the same seed gave another trace");
}

/* One in so many is tried. */
static int share(void)
{
	const char *level = getenv("AEGIS_TEST_LEVEL");
	return level && strcmp(level, "short") == 0 ? SHORT_SHARE : 1;
}

void scenario_seeds(const struct scenario *s, int n)
{
	n = (n + share() - 1) / share();
	struct sim_options options = s->options;
	struct sim_result result;
	uint64_t first = 0;
	int distinct = 0;
	for (int i = 1; i <= n; i++) {
		options.seed = (uint64_t)i;
		run_twice(s, &options, &result);
		if (i == 1)
			first = result.trace;
		distinct += result.trace != first;
	}
	if (n > 10 && distinct == 0)
		complain(s, &options, "all seeds gave the same trace");
}

void scenario_failures(const struct scenario *s, int seeds)
{
	for (int i = 1; i <= seeds; i++) {
		struct sim_options options = s->options;
		struct sim_result result;
		options.seed = (uint64_t)i;
		for (int64_t k = 1;; k += share()) {
			options.fail_at = k;
			run_once(s, &options, &result);
			if (!result.failed)
				break;
			if (k > OPERATIONS_MAX)
				complain(s, &options, "too many operations to fail each");
		}
	}
}

void scenario_chaos(const struct scenario *s, int n, int fail_per_mille)
{
	struct sim_options options = s->options;
	struct sim_result result;
	options.fail_per_mille = fail_per_mille;
	n = (n + share() - 1) / share();
	for (int i = 1; i <= n; i++) {
		options.seed = (uint64_t)i;
		run_twice(s, &options, &result);
	}
}
