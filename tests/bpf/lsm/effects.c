/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The LSM programs on a cgroup, by what happens: a child in it tries, its parent looks. Needs a
 * kernel whose BPF LSM loads (the guest's); elsewhere each case says why it does not run.
 *
 * The children are root with all capabilities and no seccomp filter: what stops them is the
 * programs alone. Each act is also done by the parent, outside the cgroup, where it must succeed.
 */
#include "daemon/helper/lsmprog.h"
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/keyctl.h>
#include <linux/magic.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>
#include "tests/bpf/cgroups.h"
#include "tests/tap.h"

static struct lsmprog lsm;
static struct test_cgroups cgroups;
static char why[256], work[64];

static void need_lsm(void)
{
	if (!lsm.loaded)
		test_skip("%s", why);
}

static int set_up(void **state)
{
	cgroups_make(&cgroups, "aegis-lsm-test");
	snprintf(work, sizeof(work), "/tmp/aegis-lsm-test-%d", getpid());
	must(mkdir(work, 0755), work);
	int r = lsmprog_load(cgroups.fd, 2, &lsm);
	if (r < 0) {
		snprintf(why, sizeof(why), "%s", err_message(r));
		err_clear();
		return 0;
	}
	print_message("# %u instructions\n", lsm.programs.instructions);
	r = lsmprog_attach(&lsm, cgroups.fd);
	if (r < 0)
		print_message("# %s\n", err_message(r));
	return r;
}

static int tear_down(void **state)
{
	lsmprog_detach(&lsm, cgroups.fd);
	lsmprog_close(&lsm);
	return rmdir(work) < 0 || cgroups_remove(&cgroups) < 0 ? -1 : 0;
}

/* ---- a child in the cgroup ---- */

/* What act() said in a process of that cgroup (NULL: outside): 0 or an errno. */
static int in_cgroup(const char *cgroup, int (*act)(void))
{
	int status = cgroup_run(cgroup, act, NULL);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void seal(uint32_t policy)
{
	const struct lsm_agent a = {.phase = LSM_SEALED, .policy = policy};
	assert_int_equal(
		bpf_map_update_elem(lsm.programs.maps[LSM_MAP_AGENTS], &cgroups.id, &a, BPF_ANY),
		0);
}

static int result(long r)
{
	return r < 0 ? errno : 0;
}

static int do_mount(void)
{
	int r = result(mount("none", work, "tmpfs", 0, NULL));
	(void)umount2(work, MNT_DETACH);
	return r;
}

static int do_move_mount(void)
{
	int tree = (int)syscall(SYS_open_tree, AT_FDCWD, work, 1 /* OPEN_TREE_CLONE */);
	if (tree < 0)
		return 251;
	int r = result(syscall(SYS_move_mount, tree, "", AT_FDCWD, work, 4 /* F_EMPTY_PATH */));
	(void)umount2(work, MNT_DETACH);
	return r;
}

static int do_bpf(void)
{
	return result(bpf_map_create(BPF_MAP_TYPE_ARRAY, "x", 4, 4, 1, NULL)) ? EPERM : 0;
}

static int do_key(void)
{
	return result(syscall(SYS_add_key, "user", "aegis", "x", 1, KEY_SPEC_PROCESS_KEYRING));
}

static int do_userns(void)
{
	return result(unshare(CLONE_NEWUSER));
}

static int do_packet_socket(void)
{
	return result(socket(AF_PACKET, SOCK_RAW, 0));
}

static int do_unix_socket(void)
{
	return result(socket(AF_UNIX, SOCK_STREAM, 0));
}

static int do_cgroup_file(void)
{
	char path[192];
	snprintf(path, sizeof(path), "%s/cgroup.procs", cgroups.parent);
	return result(open(path, O_RDONLY));
}

static int do_trace(void)
{
	pid_t pid = fork();
	if (pid == 0) {
		pause();
		_exit(0);
	}
	int r = result(ptrace(PTRACE_SEIZE, pid, 0, 0));
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	return r;
}

/* Whether the program ran, not whether execve said so. */
static int run_program(const char *path)
{
	int status;
	pid_t pid = fork();
	if (pid == 0) {
		execl(path, path, (char *)NULL);
		_exit(errno == EPERM || errno == EACCES ? 99 : 98);
	}
	waitpid(pid, &status, 0);
	return WEXITSTATUS(status) == 99 ? EPERM : WEXITSTATUS(status);
}

static char program[128];
static int do_exec(void)
{
	return run_program(program);
}

static int do_exec_by_link(void)
{
	char path[160];
	snprintf(path, sizeof(path), "%s-link", program);
	if (link(program, path) < 0)
		return 251;
	int r = run_program(path);
	unlink(path);
	return r;
}

static char document[128];
static int do_read(void)
{
	return result(open(document, O_RDONLY));
}

static int do_write(void)
{
	return result(open(document, O_WRONLY));
}

/* ---- the cases ---- */

static uint64_t denied(enum lsm_hook hook)
{
	struct lsm_counters all[256];
	uint32_t zero = 0;
	uint64_t sum = 0;
	int cpus = libbpf_num_possible_cpus();
	assert_true(cpus > 0 && cpus <= (int)ARRAY_LEN(all));
	assert_int_equal(bpf_map_lookup_elem(lsm.programs.maps[LSM_MAP_COUNTS], &zero, all), 0);
	for (int i = 0; i < cpus; i++)
		sum += all[i].denied[hook];
	return sum;
}

static const struct act {
	const char *name;
	int (*fn)(void);
	enum lsm_hook hook;
} acts[] = {
	{"mount", do_mount, LSM_HOOK_MOUNT},
	{"move_mount", do_move_mount, LSM_HOOK_MOVE_MOUNT},
	{"bpf", do_bpf, LSM_HOOK_BPF},
	{"add_key", do_key, LSM_HOOK_KEY},
	{"unshare of a user namespace", do_userns, LSM_HOOK_USERNS},
	{"packet socket", do_packet_socket, LSM_HOOK_SOCKET},
	{"file of the cgroup hierarchy", do_cgroup_file, LSM_HOOK_OPEN},
	{"ptrace", do_trace, LSM_HOOK_PTRACE},
};

static void acts_are_refused_in_the_cgroup_alone(void **state)
{
	need_lsm();
	seal(0);
	for (size_t i = 0; i < ARRAY_LEN(acts); i++) {
		uint64_t before = denied(acts[i].hook);
		int outside = in_cgroup(NULL, acts[i].fn);
		int inside = in_cgroup(cgroups.sandbox, acts[i].fn);
		if (outside != 0)
			fail_msg("%s outside: %s", acts[i].name, strerror(outside));
		if (inside != EPERM)
			fail_msg("%s inside: %s", acts[i].name, strerror(inside));
		assert_true(denied(acts[i].hook) > before);
	}
	assert_int_equal(in_cgroup(cgroups.sandbox, do_unix_socket), 0);
}

static void a_sandbox_in_the_making_may(void **state)
{
	need_lsm();
	assert_int_equal(lsmprog_admit(&lsm, cgroups.id), 0);
	for (size_t i = 0; i < ARRAY_LEN(acts); i++)
		assert_int_equal(in_cgroup(cgroups.sandbox, acts[i].fn), 0);
	assert_int_equal(lsmprog_seal(&lsm, cgroups.id), 0);
	assert_int_equal(in_cgroup(cgroups.sandbox, do_userns), EPERM);
}

static void an_unknown_cgroup_may_nothing(void **state)
{
	need_lsm();
	lsmprog_dismiss(&lsm, cgroups.id);
	snprintf(document, sizeof(document), "/etc/passwd");
	snprintf(program, sizeof(program), "/bin/true");
	assert_int_equal(in_cgroup(cgroups.sandbox, do_unix_socket), EPERM);
	assert_int_equal(in_cgroup(cgroups.sandbox, do_read), EPERM);
	assert_int_equal(in_cgroup(cgroups.sandbox, do_exec), EPERM);
}

static void a_call_below_is_the_same_sandbox(void **state)
{
	char call[160];
	need_lsm();
	seal(0);
	snprintf(call, sizeof(call), "%s/call", cgroups.sandbox);
	must(mkdir(call, 0755), call);
	assert_int_equal(in_cgroup(call, do_userns), EPERM);
	assert_int_equal(in_cgroup(call, do_unix_socket), 0);
	must(rmdir(call), call);
}

static void put_file(const char *path, uint32_t policy, uint32_t rights)
{
	struct stat st;
	must(stat(path, &st), path);
	const struct lsm_file_key key = {
		policy, lsm_device(major(st.st_dev), minor(st.st_dev)), st.st_ino};
	const struct lsm_file file = {.rights = rights, .rule = 5};
	assert_int_equal(
		bpf_map_update_elem(lsm.programs.maps[LSM_MAP_FILES], &key, &file, BPF_ANY), 0);
}

static void put_policy(uint32_t number, uint32_t flags)
{
	const struct lsm_policy p = {.flags = flags};
	assert_int_equal(
		bpf_map_update_elem(lsm.programs.maps[LSM_MAP_POLICIES], &number, &p, BPF_ANY), 0);
}

/* A program of the test's own, so that no other process depends on it. */
static void copy_program(void)
{
	struct buf bytes CLEANUP(buf_fini) = buf_init((size_t)16 * 1024 * 1024);
	snprintf(program, sizeof(program), "%s/program", work);
	assert_int_equal(fd_read_file("/bin/true", &bytes), 0);
	assert_int_equal(fd_replace_file(program, buf_view(&bytes), 0755), 0);
}

static void programs_by_their_inode(void **state)
{
	need_lsm();
	copy_program();
	seal(0);
	/* A multi-call binary runs under any of its names; its exit status is not what counts. */
	assert_int_not_equal(in_cgroup(cgroups.sandbox, do_exec), EPERM);
	seal(11); /* of a policy that was not entered nothing is permitted */
	assert_int_equal(in_cgroup(cgroups.sandbox, do_exec), EPERM);
	put_policy(11, 0);
	assert_int_not_equal(in_cgroup(cgroups.sandbox, do_exec), EPERM);
	put_file(program, 11, LSM_FORBID_EXEC);
	assert_int_equal(in_cgroup(cgroups.sandbox, do_exec), EPERM);
	assert_int_equal(in_cgroup(cgroups.sandbox, do_exec_by_link), EPERM);
	put_policy(12, LSM_LISTED_PROGRAMS);
	seal(12);
	assert_int_equal(in_cgroup(cgroups.sandbox, do_exec), EPERM);
	put_file(program, 12, LSM_PERMIT_EXEC);
	assert_int_not_equal(in_cgroup(cgroups.sandbox, do_exec), EPERM);
	must(unlink(program), program);
}

static void files_tighten_while_it_runs(void **state)
{
	need_lsm();
	snprintf(document, sizeof(document), "%s/document", work);
	int fd = open(document, O_WRONLY | O_CREAT | O_EXCL, 0644);
	must(fd, document);
	close(fd);
	put_policy(13, 0);
	seal(13);
	assert_int_equal(in_cgroup(cgroups.sandbox, do_read), 0);
	assert_int_equal(in_cgroup(cgroups.sandbox, do_write), 0);
	put_file(document, 13, LSM_FORBID_WRITE);
	assert_int_equal(in_cgroup(cgroups.sandbox, do_read), 0);
	assert_int_equal(in_cgroup(cgroups.sandbox, do_write), EPERM);
	put_file(document, 13, LSM_FORBID_READ | LSM_FORBID_WRITE);
	assert_int_equal(in_cgroup(cgroups.sandbox, do_read), EPERM);
	assert_int_equal(in_cgroup(NULL, do_write), 0);
	must(unlink(document), document);
}

static void enforcement_outlives_who_attached(void **state)
{
	need_lsm();
	seal(0);
	lsmprog_close(&lsm);
	assert_int_equal(in_cgroup(cgroups.sandbox, do_userns), EPERM);
	assert_int_equal(lsmprog_open(cgroups.fd, 2, &lsm), 0); /* as a restarted helper does */
	assert_true(lsm.loaded && lsm.attached);
	assert_int_equal(in_cgroup(cgroups.sandbox, do_userns), EPERM);
	assert_int_equal(in_cgroup(cgroups.sandbox, do_unix_socket), 0); /* the same maps: known */
	lsmprog_detach(&lsm, cgroups.fd);
	assert_int_equal(in_cgroup(cgroups.sandbox, do_userns), 0);
	assert_int_equal(lsmprog_attach(&lsm, cgroups.fd), 0);
	assert_int_equal(in_cgroup(cgroups.sandbox, do_userns), EPERM);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(acts_are_refused_in_the_cgroup_alone),
		cmocka_unit_test(a_sandbox_in_the_making_may),
		cmocka_unit_test(an_unknown_cgroup_may_nothing),
		cmocka_unit_test(a_call_below_is_the_same_sandbox),
		cmocka_unit_test(programs_by_their_inode),
		cmocka_unit_test(files_tighten_while_it_runs),
		cmocka_unit_test(enforcement_outlives_who_attached),
	};
	return cmocka_run_group_tests_name("lsm effects", tests, set_up, tear_down);
}
