/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * What a sandbox's programs in the kernel cost, per connect, packet, system call, open and exec: in
 * a sandbox and for an unrelated process, beside empty programs on the same hooks, beside nothing,
 * and beside a container with Docker's defaults. Hooks and probes take turns within each round, and
 * the best round of each counts; the medians go to standard error.
 *
 * The kernel holds the policies of POLICIES sandboxes with PREFIXES ranges each.
 */
#include "tests/bench/kernel/places.h"
#include "tests/bench/smoke.h"
#include <sched.h>
#include <stdio.h>

enum {
	ROUNDS = 11,
	CALLS = 200000,
	PACKETS = 20000,
	EXECS = 100,
	NOISE_NS = 2, /* and 2 %: what two measurements of the same thing differ by */
};

enum operation { CALL, CONNECT, PACKET_OUT, PACKET_IN, OPEN, EXEC, OPERATIONS };
static const struct {
	const char *name;
	int count;
} operations[OPERATIONS] = {{"call", CALLS}, {"connect", PACKETS}, {"packet_out", PACKETS},
	{"packet_in", PACKETS}, {"open", PACKETS}, {"exec", EXECS}};

enum who { OUTSIDE, INSIDE, CONFINED, WHO };

static struct sample samples[HOOKS][WHO][OPERATIONS];
static struct probe probes[WHO];

static void measure(enum hooks hooks)
{
	for (int w = 0; w < WHO; w++) {
		if (w == CONFINED && hooks != HOOKS_NONE) /* it is in no sandbox's cgroup */
			continue;
		for (int o = 0; o < OPERATIONS; o++)
			sample_add(&samples[hooks][w][o],
				probe_ns(&probes[w], operations[o].name,
					bench_count(operations[o].count, 10)));
	}
}

static double best(enum hooks h, enum who w, enum operation o)
{
	return sample_best(&samples[h][w][o]);
}

static bool no_more(double value, double limit)
{
	return value <= limit * 1.02 + NOISE_NS;
}

/* What the hooks add, beside what empty ones add. */
static void report_hooks(enum operation o, enum who w, const char *target, double allowed)
{
	char name[64];
	double none = best(HOOKS_NONE, w, o), empty = best(HOOKS_EMPTY, w, o),
	       ours = best(HOOKS_OURS, w, o);
	bool met = w == INSIDE ? ours - empty <= allowed : no_more(ours, empty);

	snprintf(name, sizeof(name), "%s_added_%s", operations[o].name,
		w == INSIDE ? "inside" : "outside");
	figure(name, ours - none, "ns", "empty programs", empty - none, target, met);
}

static void report_network(void)
{
	static const struct {
		enum operation o;
		double allowed;
		const char *target;
	} rows[] = {{CONNECT, 40, "empty + 40 ns"}, {PACKET_OUT, 60, "empty + 60 ns"},
		{PACKET_IN, 60, "empty + 60 ns"}};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		report_hooks(rows[i].o, INSIDE, rows[i].target, rows[i].allowed);
		report_hooks(rows[i].o, OUTSIDE, "no more than empty", 0);
	}
}

static void report_calls(void)
{
	double plain = best(HOOKS_NONE, OUTSIDE, CALL), confined = best(HOOKS_NONE, CONFINED, CALL),
	       outside = best(HOOKS_OURS, OUTSIDE, CALL);

	figure("call_confined", confined, "ns", "unconfined", plain, "unconfined + 35 ns",
		confined - plain <= 35);
	figure("call_outside", outside, "ns", "without any sandbox", plain, "nothing added",
		no_more(outside, plain));
	figure("open_confined", best(HOOKS_NONE, CONFINED, OPEN), "ns", "unconfined",
		best(HOOKS_NONE, OUTSIDE, OPEN), NULL, false);
	figure("exec_confined", best(HOOKS_NONE, CONFINED, EXEC) / 1e3, "us", "unconfined",
		best(HOOKS_NONE, OUTSIDE, EXEC) / 1e3, NULL, false);
	figure("exec_recorded", best(HOOKS_OURS, INSIDE, EXEC) / 1e3, "us", "not recorded",
		best(HOOKS_NONE, INSIDE, EXEC) / 1e3, NULL, false);
	figure("exec_outside", best(HOOKS_OURS, OUTSIDE, EXEC) / 1e3, "us", "without any sandbox",
		best(HOOKS_NONE, OUTSIDE, EXEC) / 1e3, NULL, false);
}

/* What Docker adds by its defaults: seccomp, namespaces, capabilities; no network policy. */
static void report_docker(int rounds)
{
	struct container c;
	struct sample inside[OPERATIONS] = {0}, outside[OPERATIONS] = {0};
	struct probe plain;
	const char *why = container_start(&c);
	char name[64];

	if (!why)
		probe_spawn_local(&plain);
	for (int i = 0; !why && i < rounds; i++)
		for (int o = 0; o < OPERATIONS; o++) {
			long n = bench_count(operations[o].count, 10);
			sample_add(&inside[o], probe_ns(&c.probe, operations[o].name, n));
			sample_add(&outside[o], probe_ns(&plain, operations[o].name, n));
		}
	for (int o = 0; o < OPERATIONS; o++) {
		snprintf(name, sizeof(name), "%s_docker", operations[o].name);
		if (why)
			figure_absent(name, "ns", why);
		else if (sample_best(&inside[o]) < 0)
			figure_absent(name, "ns", "refused in the container");
		else
			figure(name, sample_best(&inside[o]), "ns", "outside of the container",
				sample_best(&outside[o]), NULL, false);
	}
	if (!why)
		probe_stop(&plain);
	container_stop(&c);
}

static void print_medians(void)
{
	static const char *const hooks[] = {"no hooks", "empty hooks", "our hooks"};
	static const char *const who[] = {"outside", "inside", "confined"};
	for (int w = 0; w < WHO; w++)
		for (int h = 0; h < HOOKS; h++) {
			if (!samples[h][w][0].count)
				continue;
			fprintf(stderr, "%-8s %-11s", who[w], hooks[h]);
			for (int o = 0; o < OPERATIONS; o++)
				fprintf(stderr, "  %s %.0f/%.0f", operations[o].name,
					sample_best(&samples[h][w][o]),
					sample_median(&samples[h][w][o]));
			fprintf(stderr, "\n");
		}
}

int main(void)
{
	const int rounds = bench_count(ROUNDS, 1);
	struct place place;

	place_make(&place);
	probe_start(&probes[OUTSIDE], PROBE_OUTSIDE, NULL);
	probe_start(&probes[INSIDE], PROBE_IN_CGROUP, place.sandbox);
	probe_start(&probes[CONFINED], PROBE_CONFINED, NULL);
	for (int i = 0; i < rounds; i++)
		for (int h = 0; h < HOOKS; h++) {
			place_hook(&place, (enum hooks)h);
			measure((enum hooks)h);
			place_hook(&place, HOOKS_NONE);
		}
	for (int w = 0; w < WHO; w++)
		probe_stop(&probes[w]);
	place_remove(&place);
	print_medians();
	report_network();
	report_calls();
	report_docker(rounds);
	return 0;
}
