/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The program against the table for every number and many arguments, the table against a list
 * written down here by hand, and the kernel against both in a confined child.
 */
#include "daemon/confine/confine.h"
#include "tests/unit/daemon/confine/bpf_interpret.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <netinet/in.h>
#include <sched.h>
#include <seccomp.h>

#include <signal.h>

#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include "tests/tap.h"

#if defined(__x86_64__)
#define NATIVE AUDIT_ARCH_X86_64
#else
#define NATIVE AUDIT_ARCH_AARCH64
#endif

enum { NUMBERS = 601, X32 = 0x40000000 };

static struct seccomp_program program;

static int build(void **state)
{
	return seccomp_policy_build(&program);
}

static int drop(void **state)
{
	seccomp_program_fini(&program);
	return 0;
}

static uint32_t run(uint32_t arch, int nr, const uint64_t args[6])
{
	struct seccomp_data data = {.nr = nr, .arch = arch};
	uint32_t verdict;

	memcpy(data.args, args, sizeof(data.args));
	assert_int_equal(bpf_interpret(program.filter, program.len, &data, &verdict), 0);
	return verdict;
}

static uint32_t value_of(enum seccomp_verdict v)
{
	switch (v) {
	case SECCOMP_ALLOW:
		return SECCOMP_RET_ALLOW;
	case SECCOMP_REFUSE:
		return SECCOMP_RET_ERRNO | EPERM;
	case SECCOMP_ABSENT:
		return SECCOMP_RET_ERRNO | ENOSYS;
	}
	return 0;
}

static int number(const char *call)
{
	return seccomp_syscall_resolve_name(call);
}

static void expect(const char *call, uint64_t a0, uint64_t a1, uint64_t a2, enum seccomp_verdict v)
{
	const uint64_t args[6] = {a0, a1, a2};

	if (number(call) < 0)
		return; /* this architecture never had it */
	if (run(NATIVE, number(call), args) != value_of(v))
		fail_msg("%s(%llx, %llx, %llx): %x, expected %x", call, (unsigned long long)a0,
			(unsigned long long)a1, (unsigned long long)a2,
			run(NATIVE, number(call), args), value_of(v));
}

/* Values that sit on the edges of every condition in the table, and random ones. */
static uint64_t argument(unsigned i)
{
	static const uint64_t edges[] = {0, 1, 2, 3, 5, 6, 10, 16, 17, 40, 132, 262, UINT32_MAX,
		UINT64_MAX, TIOCSTI, TIOCLINUX, TIOCSTI | UINT64_C(1) << 32, CLONE_NEWUSER,
		CLONE_NEWNS | CLONE_VM, CLONE_VM | CLONE_FS | SIGCHLD, 0x80801, 0x80802, 0x80003,
		010644, 020644, 060644, 0100644, 0140644, 04755, 02755, 0106755, O_CREAT, O_TMPFILE,
		O_CREAT | O_WRONLY};
	if (i % 2)
		return edges[(size_t)random() % ARRAY_LEN(edges)];
	return (uint64_t)random() << (random() % 33);
}

static void program_agrees_with_the_table(void **state)
{
	srandom(1);
	for (int nr = 0; nr < NUMBERS; nr++) {
		char *name = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, nr);
		for (unsigned i = 0; i < 400; i++) {
			uint64_t args[6];
			for (unsigned k = 0; k < 6; k++)
				args[k] = argument((unsigned)random());
			enum seccomp_verdict v =
				seccomp_policy_verdict(name ? name : "?", args, NULL);
			if (run(NATIVE, nr, args) != value_of(v))
				fail_msg("%d (%s): %x, the table says %x", nr, name ? name : "?",
					run(NATIVE, nr, args), value_of(v));
		}
		free(name);
	}
}

static void every_known_call_has_been_thought_about(void **state)
{
	for (int nr = 0; nr < NUMBERS; nr++) {
		char *name = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, nr);
		if (name && !seccomp_policy_names(name))
			fail_msg("the table has no row for %s (%d)", name, nr);
		free(name);
	}
}

static uint32_t keeper_says(const struct seccomp_program *keeper, uint32_t arch, int nr)
{
	struct seccomp_data data = {.nr = nr, .arch = arch, .args = {1, 2, 3}};
	uint32_t verdict;
	assert_int_equal(bpf_interpret(keeper->filter, keeper->len, &data, &verdict), 0);
	return verdict;
}

/* A sandbox inherits the keeper's program: it must not take from it what its own allows. */
static void a_keeper_may_do_what_it_keeps_may_do(void **state)
{
	static const char *const own[] = {"mount", "setns", NULL};
	const uint64_t args[6] = {CLONE_VM, 2, 1};
	struct seccomp_program keeper;
	assert_int_equal(seccomp_keeper_build(own, &keeper), 0);
	for (int nr = 0; nr < NUMBERS; nr++) {
		char *name = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, nr);
		bool mine = name && (strcmp(name, "mount") == 0 || strcmp(name, "setns") == 0);
		uint32_t verdict = keeper_says(&keeper, NATIVE, nr);
		if ((run(NATIVE, nr, args) == SECCOMP_RET_ALLOW || mine) &&
			verdict != SECCOMP_RET_ALLOW)
			fail_msg("%s is taken from sandboxes", name ? name : "?");
		free(name);
	}
	const char *const refused[] = {"init_module", "io_uring_setup", "ptrace", "umount2", "bpf"};
	for (size_t i = 0; i < ARRAY_LEN(refused); i++)
		assert_int_equal(keeper_says(&keeper, NATIVE, number(refused[i])),
			SECCOMP_RET_ERRNO | EPERM);
	assert_int_equal(keeper_says(&keeper, 12345, 1), SECCOMP_RET_KILL_PROCESS);
	seccomp_program_fini(&keeper);
}

static void far_numbers_are_absent(void **state)
{
	const uint64_t none[6] = {0};
	const int numbers[] = {457, 470, 600, 1023, 1024, 4096, 65536, X32 - 1};

	for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
		assert_int_equal(run(NATIVE, numbers[i], none), SECCOMP_RET_ERRNO | ENOSYS);
	/* -1 is what a tracer writes to skip a call; no call runs whatever the verdict. */
	assert_int_equal(run(NATIVE, -1, none), SECCOMP_RET_ERRNO | EPERM);
}

static void other_architectures_are_killed(void **state)
{
	const uint64_t none[6] = {0};
	const uint32_t foreign[] = {AUDIT_ARCH_I386, AUDIT_ARCH_ARM, AUDIT_ARCH_RISCV64,
		NATIVE == AUDIT_ARCH_X86_64 ? AUDIT_ARCH_AARCH64 : AUDIT_ARCH_X86_64, 0,
		UINT32_MAX};

	for (int nr = 0; nr < NUMBERS; nr++)
		for (size_t i = 0; i < ARRAY_LEN(foreign); i++)
			assert_int_equal(run(foreign[i], nr, none), SECCOMP_RET_KILL_PROCESS);
#if defined(__x86_64__)
	for (int nr = 0; nr < NUMBERS; nr++)
		assert_int_equal(run(NATIVE, X32 | nr, none), SECCOMP_RET_KILL_PROCESS);
#endif
}

static void refused_calls_are_refused(void **state)
{
	const char *const calls[] = {"io_uring_setup", "io_uring_enter", "io_uring_register", "bpf",
		"perf_event_open", "keyctl", "add_key", "request_key", "mount", "umount2",
		"pivot_root", "chroot", "open_tree", "move_mount", "fsopen", "fsmount", "fsconfig",
		"fspick", "mount_setattr", "unshare", "setns", "ptrace", "process_vm_readv",
		"process_vm_writev", "kexec_load", "kexec_file_load", "init_module", "finit_module",
		"delete_module", "swapon", "swapoff", "reboot", "userfaultfd", "open_by_handle_at",
		"name_to_handle_at", "pidfd_getfd", "kcmp", "syslog", "settimeofday", "iopl",
		"ioperm"};

	for (size_t i = 0; i < ARRAY_LEN(calls); i++)
		expect(calls[i], 0, 0, 0, SECCOMP_REFUSE);
	expect("clone3", 0, 0, 0, SECCOMP_ABSENT);
	expect("clone3", 1, 88, 0, SECCOMP_ABSENT);
}

static void arguments_decide(void **state)
{
	const uint64_t high = UINT64_C(1) << 32;

	expect("clone", SIGCHLD, 0, 0, SECCOMP_ALLOW);
	expect("clone", CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD, 0, 0,
		SECCOMP_ALLOW);
	const uint64_t namespaces[] = {CLONE_NEWNS, CLONE_NEWCGROUP, CLONE_NEWUTS, CLONE_NEWIPC,
		CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET};
	for (size_t i = 0; i < ARRAY_LEN(namespaces); i++) {
		expect("clone", namespaces[i] | SIGCHLD, 0, 0, SECCOMP_REFUSE);
		expect("clone", namespaces[i] | SIGCHLD | high, 0, 0, SECCOMP_REFUSE);
	}

	expect("personality", 0, 0, 0, SECCOMP_ALLOW);
	expect("personality", 0xffffffff, 0, 0, SECCOMP_ALLOW);
	expect("personality", 0x0040000, 0, 0, SECCOMP_REFUSE); /* ADDR_NO_RANDOMIZE */

	expect("ioctl", 0, TIOCSTI, 0, SECCOMP_REFUSE);
	expect("ioctl", 0, TIOCSTI | high, 0, SECCOMP_REFUSE);
	expect("ioctl", 0, TIOCLINUX, 0, SECCOMP_REFUSE);
	expect("ioctl", 0, TIOCLINUX | high << 7, 0, SECCOMP_REFUSE);
	expect("ioctl", 0, TIOCGWINSZ, 0, SECCOMP_ALLOW);
	expect("ioctl", 0, TCGETS, 0, SECCOMP_ALLOW);
	expect("ioctl", 0, UINT64_MAX, 0, SECCOMP_ALLOW);

	expect("socket", AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, SECCOMP_ALLOW);
	expect("socket", AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0, SECCOMP_ALLOW);
	expect("socket", AF_INET6, SOCK_STREAM, IPPROTO_TCP, SECCOMP_ALLOW);
	expect("socket", AF_INET, SOCK_RAW, IPPROTO_ICMP, SECCOMP_REFUSE);
	expect("socket", AF_INET, SOCK_DGRAM, IPPROTO_ICMP, SECCOMP_REFUSE);
	expect("socket", AF_INET, SOCK_STREAM, 132, SECCOMP_REFUSE); /* SCTP */
	expect("socket", AF_INET, SOCK_STREAM, 262, SECCOMP_REFUSE); /* MPTCP */
	expect("socket", AF_PACKET, SOCK_RAW, 0, SECCOMP_REFUSE);
	expect("socket", AF_PACKET, SOCK_DGRAM, 0, SECCOMP_REFUSE);
	expect("socket", AF_VSOCK, SOCK_STREAM, 0, SECCOMP_REFUSE);
	expect("socket", AF_NETLINK, SOCK_RAW, 0, SECCOMP_ALLOW); /* NETLINK_ROUTE */
	expect("socket", AF_NETLINK, SOCK_RAW, 12, SECCOMP_REFUSE); /* NETLINK_NETFILTER */
	expect("socket", AF_ALG, SOCK_SEQPACKET, 0, SECCOMP_REFUSE);
	expect("socketpair", AF_UNIX, SOCK_STREAM, 0, SECCOMP_ALLOW);
	expect("socketpair", AF_TIPC, SOCK_STREAM, 0, SECCOMP_REFUSE);

	expect("mknodat", 0, 0, S_IFIFO | 0600, SECCOMP_ALLOW);
	expect("mknodat", 0, 0, S_IFCHR | 0600, SECCOMP_REFUSE);
	expect("mknodat", 0, 0, S_IFBLK | 0600, SECCOMP_REFUSE);
	expect("prlimit64", 0, RLIMIT_NOFILE, 0, SECCOMP_ALLOW);
	expect("prlimit64", 1, RLIMIT_NOFILE, 0, SECCOMP_REFUSE);
}

static void set_id_bits_are_refused(void **state)
{
	const uint64_t bits[] = {S_ISUID, S_ISGID, S_ISUID | S_ISGID, S_ISUID | UINT64_C(1) << 32};
	const char *const second[] = {"chmod", "fchmod", "creat", "mkdir"};
	const char *const third[] = {"fchmodat", "fchmodat2", "mkdirat"};

	for (size_t b = 0; b < ARRAY_LEN(bits); b++) {
		const uint64_t mode = bits[b] | 0755;
		for (size_t i = 0; i < ARRAY_LEN(second); i++) {
			expect(second[i], 0, mode, 0, SECCOMP_REFUSE);
			expect(second[i], 0, S_ISVTX | 0777, mode, SECCOMP_ALLOW);
		}
		for (size_t i = 0; i < ARRAY_LEN(third); i++) {
			expect(third[i], 0, 0, mode, SECCOMP_REFUSE);
			expect(third[i], 0, mode, S_ISVTX | 0777, SECCOMP_ALLOW);
		}
		expect("mknod", 0, S_IFREG | mode, 0, SECCOMP_REFUSE);
		expect("mknodat", 0, 0, S_IFIFO | mode, SECCOMP_REFUSE);
		expect("open", 0, O_WRONLY | O_CREAT, mode, SECCOMP_REFUSE);
		expect("open", 0, O_WRONLY | O_TMPFILE, mode, SECCOMP_REFUSE);
		expect("open", 0, O_RDONLY | O_DIRECTORY, mode, SECCOMP_ALLOW);
		expect("openat", 0, 0, O_RDONLY, SECCOMP_ALLOW);
	}
	const uint64_t openat[6] = {0, 0, O_CREAT, 06755};
	assert_int_equal(run(NATIVE, number("openat"), openat), SECCOMP_RET_ERRNO | EPERM);
	expect("openat2", 0, 0, 0, SECCOMP_ABSENT); /* its mode cannot be seen */
}

/* ---- the kernel's word ---- */

static int confined(int (*body)(void))
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || seccomp_program_load(&program))
			_exit(99);
		_exit(body());
	}
	int status;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static int try_calls(void)
{
	const struct {
		int nr;
		long a0;
		int error;
	} calls[] = {
		{SYS_clone3, 0, ENOSYS},
		{SYS_io_uring_setup, 1, EPERM},
		{SYS_unshare, CLONE_NEWUSER, EPERM},
		{SYS_unshare, 0, EPERM},
		{SYS_ptrace, 0, EPERM},
		{SYS_bpf, 0, EPERM},
		{SYS_keyctl, 0, EPERM},
		{SYS_personality, 0x0040000, EPERM},
		{SYS_socket, AF_PACKET, EPERM},
		{SYS_clone, CLONE_NEWNS | SIGCHLD, EPERM},
		{599, 0, ENOSYS},
		{4242, 0, ENOSYS},
		{SYS_getpid, 0, 0},
	};
	for (size_t i = 0; i < ARRAY_LEN(calls); i++) {
		errno = 0;
		(void)syscall(calls[i].nr, calls[i].a0, 0, 0, 0, 0, 0);
		if (errno != calls[i].error)
			return (int)i + 1;
	}
	return 0;
}

static void kernel_agrees(void **state)
{
	int status = confined(try_calls);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static int run_interpreters(void)
{
	execl("/bin/sh", "sh", "-c", "echo $(( $(seq 1 10 | wc -l) + 1 )) | grep -q 11 && exit 7",
		(char *)NULL);
	return 98;
}

static void a_shell_with_pipes_runs(void **state)
{
	int status = confined(run_interpreters);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 7);
}

#if defined(__x86_64__)
static int call_x32(void)
{
	(void)syscall(X32 | SYS_getpid);
	return 0;
}

static int call_compat(void)
{
	int result;

	__asm__ volatile("int $0x80" : "=a"(result) : "a"(20 /* getpid */) : "memory");
	return 0;
}

static void other_doors_kill(void **state)
{
	int (*const bodies[])(void) = {call_x32, call_compat};

	for (size_t i = 0; i < ARRAY_LEN(bodies); i++) {
		int status = confined(bodies[i]);
		assert_true(WIFSIGNALED(status));
		/* SIGSEGV where the kernel has no door for 32-bit calls at all */
		assert_true(WTERMSIG(status) == SIGSYS || WTERMSIG(status) == SIGSEGV);
	}
}
#endif

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(program_agrees_with_the_table),
		cmocka_unit_test(every_known_call_has_been_thought_about),
		cmocka_unit_test(a_keeper_may_do_what_it_keeps_may_do),
		cmocka_unit_test(far_numbers_are_absent),
		cmocka_unit_test(other_architectures_are_killed),
		cmocka_unit_test(refused_calls_are_refused),
		cmocka_unit_test(arguments_decide),
		cmocka_unit_test(set_id_bits_are_refused),
		cmocka_unit_test(kernel_agrees),
		cmocka_unit_test(a_shell_with_pipes_runs),
#if defined(__x86_64__)
		cmocka_unit_test(other_doors_kill),
#endif
	};
	return cmocka_run_group_tests_name("sandbox", tests, build, drop);
}
