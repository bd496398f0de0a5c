/* SPDX-License-Identifier: AGPL-3.0-only */
/* Each cause for which io_uring may be missing is brought about in a child process. */
#include "tests/unit/daemon/rt/in_fiber.h"
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void ring_can_be_had(void **state)
{
	int r = rt_probe_ring();
	if (r < 0)
		test_skip("no io_uring here: %s", err_message(r));
	assert_int_equal(r, 0);
}

static void forbid_ring(unsigned answer)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | answer),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = {.len = ARRAY_LEN(code), .filter = code};
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
		prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog) < 0)
		_exit(2);
}

static void never(void *arg)
{
	_exit(3);
}

/* The setting is the whole machine's: a file stands in for it, in a mount namespace of the child.
 */
static void pretend_sysctl(const char *value)
{
	static const char setting[] = "/proc/sys/kernel/io_uring_disabled";
	char file[] = "/tmp/aegis-sysctl-XXXXXX";
	int fd = mkstemp(file);
	if (fd < 0 || write(fd, value, 1) != 1 || unshare(CLONE_NEWNS) < 0 ||
		mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
		mount(file, setting, NULL, MS_BIND, NULL) < 0)
		_exit(2);
	unlink(file);
}

static const char *pretended; /* value of kernel.io_uring_disabled; NULL: what it is */

/* Runs the probe in a child under a filter; what it said goes to ret_text. */
static void probe_under(unsigned answer, bool whole_run, int *ret_r, char ret_text[256])
{
	int fds[2];
	int status;
	assert_int_equal(pipe(fds), 0);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		struct rt_options options = {.workers = 2};
		if (pretended)
			pretend_sysctl(pretended);
		forbid_ring(answer);
		int r = whole_run ? rt_run(&options, never, NULL) : rt_probe_ring();
		dprintf(fds[1], "%d %s", r, err_message(r));
		_exit(0);
	}
	close(fds[1]);
	char text[512] = "";
	assert_true(read(fds[0], text, sizeof(text) - 1) > 0);
	close(fds[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(sscanf(text, "%d %255[^\n]", ret_r, ret_text), 2);
}

static void a_seccomp_filter_is_named(void **state)
{
	char text[256];
	int r;
	probe_under(EPERM, false, &r, text);
	assert_int_equal(r, -EPERM);
	if (!strstr(text, "io_uring_disabled is 2"))
		assert_non_null(strstr(text, "seccomp"));
	probe_under(ENOSYS, false, &r, text);
	assert_int_equal(r, -ENOSYS);
	assert_non_null(strstr(text, "seccomp"));
}

static void memory_limits_and_old_kernels_are_named(void **state)
{
	char text[256];
	int r;
	probe_under(ENOMEM, false, &r, text);
	assert_int_equal(r, -ENOMEM);
	assert_non_null(strstr(text, "memlock"));
	probe_under(EINVAL, false, &r, text);
	assert_int_equal(r, -ENOSYS);
	assert_non_null(strstr(text, "6.1"));
}

static void a_run_that_cannot_start_says_why(void **state)
{
	char text[256];
	int r;
	probe_under(EPERM, true, &r, text);
	assert_int_equal(r, -EPERM);
	assert_non_null(strstr(text, "io_uring"));
}

static void a_sysctl_is_named(void **state)
{
	char text[256];
	int r;
	if (access("/proc/sys/kernel/io_uring_disabled", F_OK) < 0)
		test_skip("this kernel has no kernel.io_uring_disabled (6.6 has)");
	if (geteuid() != 0)
		test_skip("needs root to put a file in the place of the setting");
	pretended = "2";
	probe_under(EPERM, false, &r, text);
	assert_int_equal(r, -EPERM);
	assert_non_null(strstr(text, "kernel.io_uring_disabled is 2"));
	pretended = "0";
	probe_under(EPERM, false, &r, text);
	assert_null(strstr(text, "io_uring_disabled"));
	assert_non_null(strstr(text, "seccomp"));
	pretended = NULL;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ring_can_be_had),
		cmocka_unit_test(a_seccomp_filter_is_named),
		cmocka_unit_test(memory_limits_and_old_kernels_are_named),
		cmocka_unit_test(a_run_that_cannot_start_says_why),
		cmocka_unit_test(a_sysctl_is_named),
	};
	return cmocka_run_group_tests_name("rt", tests, NULL, NULL);
}
