/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Starts probes (probe.c), each in one kind of place, and has them do what is measured; figures in
 * the shape that tools/bench reads. Exits with a message if something cannot be done.
 *
 * A probe runs alone on the last CPU under SCHED_FIFO, so that whatever else the machine does is
 * not in its figures; who asks for it waits meanwhile.
 */
#pragma once

#include "daemon/base/base.h"
#include <sys/types.h>

/* Outside and inside can tell each other's packets apart by the cgroup that made the socket. */
#define PROBE_ADDRESS "192.0.2.1"

enum probe_place {
	PROBE_OUTSIDE = 0,
	PROBE_IN_CGROUP = 1, /* of a sandbox */
	PROBE_CONFINED = 2, /* by the sandbox's system call policy and Landlock */
};

struct probe {
	pid_t pid;
	int to, from;
};

/* `cgroup`: path of a sandbox's, for PROBE_IN_CGROUP. */
void probe_start(struct probe *p, unsigned place, const char *cgroup);
/* Any command that becomes a probe, unpinned. */
void probe_spawn(struct probe *p, char *const argv[]);
void probe_pin(pid_t pid, bool alone); /* else it shares the CPU, as a container must */
/* This process runs before all others on the CPUs that a probe has not. */
void probe_beside(void);
void probe_stop(struct probe *p);
double probe_ns(struct probe *p, const char *operation, long count); /* each; < 0: refused */
const char *probe_program(void); /* path */

/* ---- figures ---- */

/* Best and median of rounds. */
enum { FIGURE_ROUNDS_MAX = 32 };
struct sample {
	double ns[FIGURE_ROUNDS_MAX];
	int count;
};
void sample_add(struct sample *s, double ns);
double sample_best(const struct sample *s);
double sample_median(const struct sample *s);
double percentile(double *values, size_t count, double part); /* sorts them */

/* `peer` NULL: none; `target` NULL: none, and `met` is not looked at. */
void figure(const char *name, double value, const char *unit, const char *peer, double peer_value,
	const char *target, bool met);
void figure_absent(const char *name, const char *unit, const char *why);
void die(const char *what); /* with errno */
