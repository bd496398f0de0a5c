/* SPDX-License-Identifier: AGPL-3.0-only */
/* What a sandbox looks like from inside, said by a program in a real one. */
#include "tests/integration/daemon/helper/fixture.h"
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char *run(struct fixture *f, const char *what, struct wire_sandbox *ret_end)
{
	int fds[3];
	struct wire_sandbox s = fixture_sandbox(f, uuid_new(), what, fds);
	char *log = fixture_log(fds[2], NULL);
	*ret_end = fixture_wait_end(f, s.id);
	for (int i = 0; i < 3; i++)
		close(fds[i]);
	fixture_release(f, ret_end);
	return log;
}

#define SAYS(log, name, value) assert_string_equal(log_value(log, name), value)
#define SAYS_NOT(log, name, value) assert_string_not_equal(log_value(log, name), value)
#define ERRNO(log, name, number) assert_int_equal(atoi(log_value(log, name)), number)

static void check_identity(const char *log)
{
	char map[64];
	SAYS(log, "pid", "1");
	SAYS(log, "sid", "1");
	SAYS(log, "hostname", LAUNCH_HOSTNAME);
	SAYS(log, "Uid", "1000 1000 1000 1000");
	SAYS(log, "Gid", "1000 1000 1000 1000");
	SAYS(log, "Groups", "");
	snprintf(map, sizeof(map), "%10d %10d %10d", LAUNCH_UID, FIXTURE_SLOT_BASE, 1);
	SAYS(log, "uid_map", map);
	SAYS(log, "gid_map", map);
	SAYS(log, "start", "1 1 1");
	SAYS(log, "env", "AEGIS_TEST=yes");
	SAYS(log, "environ", "");
}

static void check_privileges(const char *log)
{
	static const char *const sets[] = {"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"};
	for (size_t i = 0; i < ARRAY_LEN(sets); i++)
		SAYS(log, sets[i], "0000000000000000");
	SAYS(log, "NoNewPrivs", "1");
	SAYS(log, "Seccomp", "2");
	SAYS(log, "securebits", "ef");
	SAYS(log, "SigBlk", "0000000000000000");
	SAYS(log, "SigIgn", "0000000000000000");
	SAYS(log, "max_user_namespaces", "0");
	SAYS(log, "limit/core", "0:0");
	SAYS(log, "limit/nofile", "128:128");
	SAYS(log, "limit/fsize", "16777216:16777216");
	SAYS(log, "limit/nproc", "32:32");
}

static void check_calls(const char *log)
{
	ERRNO(log, "userns", EPERM);
	ERRNO(log, "clone-userns", EPERM);
	ERRNO(log, "clone3", ENOSYS);
	ERRNO(log, "io_uring", EPERM);
	ERRNO(log, "keyctl", EPERM);
	ERRNO(log, "ptrace", EPERM);
	ERRNO(log, "bpf", EPERM);
	ERRNO(log, "unknown-call", ENOSYS);
	ERRNO(log, "setuid", EINVAL); /* 0 is not mapped */
	ERRNO(log, "kill-all", ESRCH); /* nobody else is there to be seen */
	SAYS_NOT(log, "packet-socket", "0");
	SAYS_NOT(log, "vsock", "0");
	ERRNO(log, "compat", SIGSYS);
	ERRNO(log, "x32", SIGSYS);
	ERRNO(log, "loopback", 0);
	ERRNO(log, "outside", ENETUNREACH);
}

/* Empty under its mask, or not there on this kernel. */
static void hidden(const char *log, const char *name)
{
	const char *v = log_value(log, name);
	if (v[0] != '\0' && strcmp(v, "errno 2") != 0)
		fail_msg("%s can be read: %s", name, v);
}

static void check_files(const char *log)
{
	static const char *const written[] = {
		"write/workspace", "write/tmp", "write/shm", "write/null"};
	static const char *const refused[] = {"write/root", "write/usr", "write/etc", "write/run",
		"write/dev", "write/proc", "write/sysctl", "write/sysrq", "mknod", "chown",
		"mount"};
	for (size_t i = 0; i < ARRAY_LEN(written); i++)
		ERRNO(log, written[i], 0);
	for (size_t i = 0; i < ARRAY_LEN(refused); i++)
		SAYS_NOT(log, refused[i], "0");
	SAYS(log, "workspace-owner", "1000:1000");
	SAYS(log, "oom-score", "0"); /* the helper's is negative, where root may make it so */
	hidden(log, "kcore");
	hidden(log, "keys");
	hidden(log, "timer_list");
	assert_null(strstr(log, "\nsys "));
	assert_null(strstr(log, "\nscsi "));
	assert_true(log_has(log, "root workspace"));
	assert_false(log_has(log, "root home"));
	assert_false(log_has(log, "root root"));
	assert_true(log_has(log, "process 1"));
	assert_false(log_has(log, "process 2"));
}

/* Everything mounted is nosuid; devices only below /dev; writable only what must be. */
static void check_mounts(const char *log)
{
	int mounts = 0;
	for (const char *at = strstr(log, "mount-line "); at; at = strstr(at + 1, "mount-line ")) {
		char point[256], options[256];
		if (sscanf(at, "mount-line %*s %255s %*s %255s", point, options) != 2)
			continue;
		mounts++;
		bool writable = strcmp(point, "/workspace") == 0 || strcmp(point, "/tmp") == 0 ||
			strcmp(point, "/dev/shm") == 0 || strncmp(point, "/run/aegis/", 11) == 0;
		bool device = strncmp(point, "/dev/", 5) == 0 || strncmp(point, "/proc/", 6) == 0;
		if (strncmp(options, writable ? "rw," : "ro,", 3) != 0 &&
			strncmp(point, "/proc/", 6) != 0 && strcmp(point, LAUNCH_SOCKET_PATH) != 0)
			fail_msg("%s has %s", point, options);
		if (strcmp(point, LAUNCH_SOCKET_PATH) != 0 && !strstr(options, "nosuid"))
			fail_msg("%s has %s", point, options);
		if (!device && strcmp(point, LAUNCH_SOCKET_PATH) != 0 && !strstr(options, "nodev"))
			fail_msg("%s has %s", point, options);
	}
	assert_true(mounts > 8);
}

static void check_descriptors(const char *log)
{
	int n = 0;
	for (const char *at = strstr(log, "\nfd "); at; at = strstr(at + 1, "\nfd "))
		n++;
	assert_int_equal(n, LAUNCH_FD_END);
	for (int fd = 0; fd < LAUNCH_FD_END; fd++) {
		char line[16];
		snprintf(line, sizeof(line), "fd %d", fd);
		assert_true(log_has(log, line));
	}
}

static void test_confined(void **state)
{
	struct fixture *f = *state;
	struct wire_sandbox end;
	char *log = run(f, "report", &end);
	check_identity(log);
	check_privileges(log);
	check_calls(log);
	check_files(log);
	check_mounts(log);
	check_descriptors(log);
	SAYS(log, "end", "1");
	assert_int_equal(end.end, HELPER_END_EXITED);
	assert_int_equal(end.end_status, 0);
	free(log);
}

/* What the sandbox writes to /workspace is aegisd's on disk. */
static void test_workspace_owner(void **state)
{
	struct fixture *f = *state;
	struct wire_execution w = {.execution = uuid_new()};
	struct answer a;
	struct stat st;
	int fds[3];
	struct wire_sandbox s = fixture_sandbox(f, w.execution, "report", fds);
	free(fixture_log(fds[2], NULL));
	fixture_wait_end(f, s.id);
	fixture_call(f, WIRE_WORKSPACE_OPEN, &w, sizeof(w), &a);
	assert_int_equal(a.fd_count, 1);
	assert_int_equal(fstatat(a.fds[0], "made", &st, 0), 0);
	assert_int_equal(st.st_uid, FIXTURE_UID);
	assert_int_equal(st.st_gid, FIXTURE_UID);
	answer_close(&a);
	for (int i = 0; i < 3; i++)
		close(fds[i]);
	fixture_release(f, &s);
}

static void test_memory(void **state)
{
	struct wire_sandbox end;
	char *log = run(*state, "memory", &end);
	ERRNO(log, "memory", SIGKILL);
	assert_true(end.usage.oom_kills >= 1);
	assert_true(end.usage.memory_peak_bytes <= 64 << 20);
	free(log);
}

static void test_pids(void **state)
{
	struct wire_sandbox end;
	char *log = run(*state, "bomb", &end);
	int made, error;
	assert_int_equal(sscanf(log_value(log, "forked"), "%d %d", &made, &error), 2);
	assert_int_equal(made, 31);
	assert_int_equal(error, EAGAIN);
	free(log);
}

static void test_cpu(void **state)
{
	struct wire_sandbox end;
	char *log = run(*state, "spin", &end);
	int ms = atoi(log_value(log, "cpu-ms"));
	if (ms > 650) /* half a core for a second, and a period's burst */
		fail_msg("%d ms of cpu in a second", ms);
	assert_true(end.usage.cpu_us > 0);
	free(log);
}

static void test_tmp(void **state)
{
	struct wire_sandbox end;
	char *log = run(*state, "tmp", &end);
	long bytes;
	int error;
	assert_int_equal(sscanf(log_value(log, "tmp-bytes"), "%ld %d", &bytes, &error), 2);
	assert_int_equal(bytes, 4 << 20);
	assert_int_equal(error, ENOSPC);
	free(log);
}

static void test_exit_status(void **state)
{
	struct wire_sandbox end;
	char *log = run(*state, "exit", &end);
	assert_int_equal(end.end, HELPER_END_EXITED);
	assert_int_equal(end.end_status, 42);
	free(log);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
#define POOLED(name) \
	{ \
#name "_pooled", name, fixture_setup_pooled, fixture_teardown, NULL \
	}

int main(void)
{
	const struct CMUnitTest helper[] = {
		CASE(test_confined),
		CASE(test_workspace_owner),
		CASE(test_memory),
		CASE(test_pids),
		CASE(test_cpu),
		CASE(test_tmp),
		CASE(test_exit_status),
		POOLED(test_confined),
		POOLED(test_workspace_owner),
		POOLED(test_memory),
		POOLED(test_pids),
		POOLED(test_tmp),
	};
	return cmocka_run_group_tests(helper, NULL, NULL);
}
