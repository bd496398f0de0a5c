/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The program that every sandbox of the benchmark starts: without a library, so that its first
 * instruction is its own. It reads the clock and writes what it read into a FIFO.
 *
 * As pid 1 in the place of aegis-bootstrap (recognised by its name) it first waits for its start
 * message; what it reports is still the moment of its own first instruction, or, built with
 * STAMP_AFTER_START, the moment when it knew its start.
 */
#include "daemon/helper/launch.h"
#include <asm/unistd.h>

#define FIFO "/workspace/t"

struct time {
	long s, ns;
};

static long call(long number, long a, long b, long c)
{
	long r;
	__asm__ volatile("syscall"
			 : "=a"(r)
			 : "0"(number), "D"(a), "S"(b), "d"(c)
			 : "rcx", "r11", "memory");
	return r;
}

__attribute__((noreturn, used)) void stamp(const long *stack);

void stamp(const long *stack)
{
	static char packet[4096];
	struct time t;
	call(__NR_clock_gettime, 1 /* CLOCK_MONOTONIC */, (long)&t, 0);
	const char *name = (const char *)stack[1];
	int init = name[0] == 'a' && name[1] == 'e';
	if (init && call(__NR_read, LAUNCH_FD_CONTROL, (long)packet, sizeof(packet)) <= 0)
		call(__NR_exit_group, 1, 0, 0);
#ifdef STAMP_AFTER_START
	call(__NR_clock_gettime, 1, (long)&t, 0);
#endif
	long fd = call(__NR_open, (long)FIFO, 1 /* O_WRONLY */, 0);
	call(__NR_write, fd, (long)&t, sizeof(t));
	if (init) {
		for (;;) /* alive until it is killed, as any other sandbox */
			call(__NR_read, LAUNCH_FD_CONTROL, (long)packet, sizeof(packet));
	}
	call(__NR_exit_group, 0, 0, 0);
	__builtin_unreachable();
}

__asm__(".globl _start\n"
	"_start:\n\t"
	"mov %rsp, %rdi\n\t"
	"and $-16, %rsp\n\t"
	"call stamp\n");
