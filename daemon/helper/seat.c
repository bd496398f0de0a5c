/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The process in a seat runs beside the helper on the helper's memory, without a thread-local
 * storage of its own: it may use no library function, not even one that sets errno, and touches
 * nothing but its struct seat. While it launches, the helper waits for it.
 *
 * Its number of a sandbox's tasks is given back before the sandbox runs a program; that it shares
 * the helper's memory with a cgroup that may run out of it does no harm, because it is there only
 * while nothing else is.
 */
#include "daemon/helper/seat.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <linux/sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static long raw(long number, long a, long b, long c, long d, long e)
{
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	long r;
	__asm__ volatile("syscall"
			 : "=a"(r)
			 : "0"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8)
			 : "rcx", "r11", "memory");
	return r;
}

static bool join(const struct seat *s)
{
	for (int i = 0; i < CGROUP_V1_MAX && s->dirs.join[i] >= 0; i++) {
		if (raw(SYS_write, s->dirs.join[i], (long)"0", 1, 0, 0) != 1)
			return false;
	}
	return true;
}

static void launch(struct seat *s)
{
	pid_t pid = 0;
	int r = launch_child_start(s->plan, s->child_stack_end, &pid, &s->launched_pidfd);
	s->launched_pid = r < 0 ? r : pid;
}

static void seat_main(void *arg)
{
	struct seat *s = arg;
	raw(SYS_prctl, PR_SET_NAME, (long)"aegis-seat", 0, 0,
		0); /* who looks for the helper finds one */
	raw(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	/* A helper that died before that will not be heard of. */
	bool joined = raw(SYS_getppid, 0, 0, 0, 0, 0) == s->parent && join(s);
	s->state = joined ? SEAT_READY : SEAT_FAILED;
	while (s->state == SEAT_READY)
		raw(SYS_futex, (long)&s->state, FUTEX_WAIT_PRIVATE, SEAT_READY, 0, 0);
	if (s->state == SEAT_TOLD)
		launch(s);
	for (;;)
		raw(SYS_exit_group, 0, 0, 0, 0, 0);
}

int seat_start(struct seat *s)
{
	s->pidfd = -1;
	s->parent = getpid();
	s->state = SEAT_JOINING;
	s->stack = mmap(NULL, SEAT_STACK_BYTES, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
	if (s->stack == MAP_FAILED) {
		s->stack = NULL;
		return err_sys(-errno, "a stack of %d bytes", SEAT_STACK_BYTES);
	}
	struct clone_args args = {
		.flags = CLONE_VM | CLONE_FILES | CLONE_PIDFD,
		.pidfd = (uint64_t)(uintptr_t)&s->pidfd,
		.exit_signal = SIGCHLD,
		.stack = (uint64_t)(uintptr_t)s->stack,
		.stack_size = SEAT_STACK_BYTES,
	};
	long pid = launch_clone(&args, sizeof(args), seat_main, s);
	return pid < 0 ? err_sys((int)pid, "clone a process that waits in a cgroup") : 0;
}

bool seat_is_ready(const struct seat *s)
{
	return s->state == SEAT_READY;
}

static void reap(struct seat *s)
{
	siginfo_t info;
	while (waitid(P_PIDFD, (id_t)s->pidfd, &info, WEXITED) < 0 && errno == EINTR)
		;
	fd_cleanup(&s->pidfd);
}

int seat_launch(
	struct seat *s, struct launch_plan *plan, void *stack_end, pid_t *ret_pid, int *ret_pidfd)
{
	s->plan = plan;
	s->child_stack_end = stack_end;
	s->launched_pid = -ECHILD;
	s->state = SEAT_TOLD;
	syscall(SYS_futex, &s->state, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
	reap(s);
	if (s->launched_pid < 0)
		return (int)s->launched_pid;
	*ret_pid = (pid_t)s->launched_pid;
	*ret_pidfd = s->launched_pidfd;
	return 0;
}

void seat_stop(struct seat *s)
{
	if (s->pidfd >= 0) {
		(void)syscall(SYS_pidfd_send_signal, s->pidfd, SIGKILL, NULL, 0);
		reap(s);
	}
	if (s->stack)
		munmap(s->stack, SEAT_STACK_BYTES);
	s->stack = NULL;
	cgroup_dirs_close(&s->dirs);
}
