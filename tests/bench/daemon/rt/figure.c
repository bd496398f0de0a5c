/* SPDX-License-Identifier: AGPL-3.0-only */
#include "tests/bench/daemon/rt/figure.h"
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

void figure_print(const struct figure *f)
{
	printf("{\"area\":\"rt\",\"name\":\"%s\",\"value\":%.4f,\"unit\":\"%s\"", f->name, f->value,
		f->unit);
	if (f->peer)
		printf(",\"peer\":\"%s\",\"peer_value\":%.4f", f->peer, f->peer_value);
	if (f->target)
		printf(",\"target\":\"%s\"", f->target);
	printf("}\n");
	fflush(stdout);
}

int64_t thread_cpu_ns(void)
{
	struct rusage u;
	if (getrusage(RUSAGE_THREAD, &u) < 0)
		abort();
	int64_t s = u.ru_utime.tv_sec + u.ru_stime.tv_sec;
	int64_t us = u.ru_utime.tv_usec + u.ru_stime.tv_usec;
	return s * 1000000000 + us * 1000;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a;
	double y = *(const double *)b;
	return (x > y) - (x < y);
}

double median(double *values, int n)
{
	qsort(values, (size_t)n, sizeof(*values), compare);
	return n % 2 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}
