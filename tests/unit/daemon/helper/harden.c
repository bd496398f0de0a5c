/* SPDX-License-Identifier: AGPL-3.0-only */
/* What is left to a process that has hardened itself as the helper does: tried in children. */
#include "daemon/helper/harden.h"
#include "tests/tap.h"
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

/* What the kernel answers a plain process that asks with these arguments is no EPERM. */
static int try_ring(void)
{
	return (int)syscall(SYS_io_uring_setup, 0, NULL);
}

static int try_module(void)
{
	return (int)syscall(SYS_finit_module, -1, "", 0);
}

static int try_other_memory(void)
{
	char a = 1, b;
	struct iovec to = {&b, 1}, from = {&a, 1};
	return (int)syscall(SYS_process_vm_readv, getpid(), &to, 1, &from, 1, 0);
}

static int try_clock(void)
{
	return (int)syscall(SYS_clock_settime, 9999, NULL);
}

static int try_kexec(void)
{
	return (int)syscall(SYS_kexec_file_load, -1, -1, 0, NULL, 0xffff);
}

static int try_key(void)
{
	return (int)syscall(SYS_add_key, NULL, NULL, NULL, 0, 0);
}

static int try_swap(void)
{
	return (int)syscall(SYS_swapoff, NULL);
}

static const struct {
	const char *name;
	int (*fn)(void);
} forbidden[] = {
	{"io_uring_setup", try_ring},
	{"finit_module", try_module},
	{"process_vm_readv", try_other_memory},
	{"clock_settime", try_clock},
	{"kexec_file_load", try_kexec},
	{"add_key", try_key},
	{"swapoff", try_swap},
};

static bool refused(int (*fn)(void))
{
	return fn() < 0 && errno == EPERM;
}

/* The status of a child that ran fn; the number of the check that failed, 0 if none. */
static int in_child(int (*fn)(void))
{
	int status;
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		_exit(fn());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -status;
}

static int plain(void)
{
	for (size_t i = 0; i < ARRAY_LEN(forbidden); i++) {
		if (refused(forbidden[i].fn))
			return (int)i + 1;
	}
	return 0;
}

static int hardened(void)
{
	if (harden_self() < 0)
		return 100;
	for (size_t i = 0; i < ARRAY_LEN(forbidden); i++) {
		if (!refused(forbidden[i].fn))
			return (int)i + 1;
	}
	return 0;
}

static void forbidden_calls_are_refused(void **state)
{
	if (geteuid() != 0)
		test_skip("needs root: only root has capabilities to drop");
	int before = in_child(plain);
	if (before != 0)
		test_skip("this environment refuses some of the calls by itself");
	int r = in_child(hardened);
	if (r != 0)
		fail_msg("%s",
			r <= (int)ARRAY_LEN(forbidden) ? forbidden[r - 1].name : "harden_self");
}

/* What the helper does goes on. */
static int works(void)
{
	if (harden_self() < 0)
		return 100;
	if (unshare(CLONE_NEWNS | CLONE_NEWNET) < 0)
		return 1;
	AUTO_FD fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
	if (fd < 0 || mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED)
		return 2;
	pid_t pid = fork();
	if (pid == 0)
		_exit(setresuid(1, 1, 1) < 0);
	int status;
	return pid < 0 || waitpid(pid, &status, 0) != pid || status != 0 ? 3 : 0;
}

static void its_work_goes_on(void **state)
{
	if (geteuid() != 0)
		test_skip("needs root: only root has capabilities to drop");
	assert_int_equal(in_child(works), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(forbidden_calls_are_refused),
		cmocka_unit_test(its_work_goes_on),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
