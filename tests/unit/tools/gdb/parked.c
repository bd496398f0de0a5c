/* SPDX-License-Identifier: AGPL-3.0-only */
/* Fibers parked in known places, for tools/gdb/fibers.py to find. */
#include "daemon/rt/rt.h"
#include <errno.h>
#include <unistd.h>

enum { TOO_LONG_MS = 600 * 1000 };

__attribute__((noinline)) void everything_is_parked(void);

__attribute__((noinline)) void everything_is_parked(void)
{
	__asm__ volatile("" ::: "memory");
}

__attribute__((noinline)) static int wait_for_byte(int fd)
{
	char c;
	ssize_t r = rt_read(fd, &c, 1, -1, DEADLINE_NONE);
	return (int)r;
}

static void read_pipe(void *arg)
{
	if (wait_for_byte(*(int *)arg) != -ECANCELED)
		_exit(2);
}

static void sleep_long(void *arg)
{
	fiber_shield_begin();
	if (rt_sleep_until(deadline_in_ms(TOO_LONG_MS)) < 0)
		_exit(3);
	fiber_shield_end();
}

static int start_there(void *arg)
{
	return group_spawn(worker_services(), "there", FIBER_LARGE, read_pipe, arg);
}

static void park_all(void *arg)
{
	struct group g;
	int fds[2];
	group_init(&g);
	if (pipe(fds) < 0 || group_spawn(&g, "reader", FIBER_SMALL, read_pipe, &fds[0]) < 0 ||
		group_spawn(&g, "sleeper", FIBER_SMALL, sleep_long, NULL) < 0 ||
		worker_call(worker_at(1), "start", start_there, &fds[0], DEADLINE_NONE) < 0 ||
		rt_sleep_until(deadline_in_ms(50)) < 0)
		_exit(1);
	everything_is_parked();
	_exit(0); /* the sleeper cannot be cancelled */
}

int main(void)
{
	struct rt_options options = {.workers = 2, .max_fibers = 16};
	return rt_run(&options, park_all, NULL) == 0 ? 0 : 1;
}
