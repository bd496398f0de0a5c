/* SPDX-License-Identifier: AGPL-3.0-only */
/* Time and chance, as fibers see them. */
#include "daemon/rt/internal.h"
#include <errno.h>
#include <sys/random.h>

int64_t rt_now_ns(void)
{
	return clock_mono_ns();
}

int64_t rt_wall_ns(void)
{
	return clock_wall_ns();
}

void rt_random(void *p, size_t n)
{
	char *at = p;
	while (n > 0) {
		ssize_t r = getrandom(at, n, 0);
		CHECK(r > 0 || errno == EINTR);
		if (r > 0) {
			at += r;
			n -= (size_t)r;
		}
	}
}
