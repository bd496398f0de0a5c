/* SPDX-License-Identifier: AGPL-3.0-only */
/* Prints figures in the form that tools/bench reads. */
#pragma once

#include <stdint.h>

struct figure {
	const char *name;
	const char *unit;
	double value;
	const char *peer; /* NULL if there is none */
	double peer_value;
	const char *target; /* NULL if there is none */
};

void figure_print(const struct figure *f);

/* CPU time of the calling thread. */
int64_t thread_cpu_ns(void);

/* Of n values; sorts them. */
double median(double *values, int n);
