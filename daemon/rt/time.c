/* SPDX-License-Identifier: AGPL-3.0-only */
/* Time and chance, as fibers see them. */
#include "daemon/rt/backend.h"
#include <errno.h>
#include <sys/random.h>

static const struct backend *backend(void)
{
	return worker_current ? worker_current->backend : NULL;
}

int64_t rt_now_ns(void)
{
	const struct backend *b = backend();
	return b ? b->now_ns(worker_current) : clock_mono_ns();
}

int64_t rt_wall_ns(void)
{
	const struct backend *b = backend();
	return b ? b->wall_ns(worker_current) : clock_wall_ns();
}

void rt_random(void *p, size_t n)
{
	char *at = p;
	const struct backend *b = backend();
	if (b) {
		b->random(worker_current, p, n);
		return;
	}
	while (n > 0) {
		ssize_t r = getrandom(at, n, 0);
		CHECK(r > 0 || errno == EINTR);
		if (r > 0) {
			at += r;
			n -= (size_t)r;
		}
	}
}
