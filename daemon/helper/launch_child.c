/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * From root to nobody: the steps between clone3 and execve, in the only order that works.
 *
 * The child is made with shared memory (CLONE_VM | CLONE_VFORK): the helper sleeps until execve,
 * and no page table is copied. So nothing here may allocate, lock or touch what the helper will
 * read, but the plan. It runs on a stack of its own.
 *
 * Why this order: cgroups are joined before anything is opened, so that every object is charged to
 * them; mounts are made while still root of the host, so that mount, pid and network namespaces
 * stay owned by the host's user namespace, where no capability inside reaches; ids are changed
 * after entering the user namespace; seccomp comes last because it forbids all of the above.
 */
#include "daemon/helper/launch_plan.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/close_range.h>
#include <linux/keyctl.h>
#include <linux/sched.h>
#include <linux/securebits.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x00000080
#endif
#define MOVE_FROM_EMPTY_PATH 0x00000004 /* MOVE_MOUNT_F_EMPTY_PATH */

/* From <sched.h>, whose other names clash with linux/sched.h. */
int unshare(int flags);
int setns(int fd, int nstype);

static int table_own(struct launch_plan *p)
{
	return close_range(PLAN_FD_END, ~0U, CLOSE_RANGE_UNSHARE);
}

static int cgroups_join(struct launch_plan *p)
{
	for (int i = 0; i < p->join_count; i++) {
		if (write(PLAN_FD_JOIN + i, "0", 1) != 1)
			return -1;
	}
	/* Only now: a namespace made at clone would show the v1 directories as /../.. */
	return unshare(CLONE_NEWCGROUP);
}

/* While the host's /proc is still to be seen, and before there are children to inherit it. */
static int oom_plain(struct launch_plan *p)
{
	if (!p->spared)
		return 0;
	int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : write(fd, "0", 1);
	close(fd);
	return n == 1 ? 0 : -1;
}

static int session_own(struct launch_plan *p)
{
	const uint64_t no_signals = 0;
	umask(022);
	/* The helper's own habits are not the sandbox's. */
	syscall(SYS_rt_sigprocmask, SIG_SETMASK, &no_signals, NULL, sizeof(no_signals));
	signal(SIGPIPE, SIG_DFL);
	return setsid() < 0 || sethostname(LAUNCH_HOSTNAME, sizeof(LAUNCH_HOSTNAME) - 1) < 0 ? -1
											     : 0;
}

static int network_enter(struct launch_plan *p)
{
	return setns(PLAN_FD_NET, CLONE_NEWNET);
}

/* A copy of the template is the root: there is nothing left to build but what is private. */
static int root_enter(struct launch_plan *p)
{
	return setns(PLAN_FD_ROOT, CLONE_NEWNS) < 0 ? -1 : unshare(CLONE_NEWNS);
}

static int proc_mount(struct launch_plan *p)
{
	const unsigned long flags = MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_RDONLY;
	if (mount("proc", "/proc", "proc", flags, NULL) < 0)
		return -1;
	for (size_t i = 0; i < p->mask_count; i++) {
		const char *with = p->masks[i].folder ? "/run/aegis/empty" : "/dev/null";
		if (mount(with, p->masks[i].path, NULL, MS_BIND, NULL) < 0)
			return -1;
	}
	return 0;
}

static int tmp_mount(struct launch_plan *p)
{
	const unsigned long flags = MS_NOSUID | MS_NODEV;
	if (mount("tmpfs", "/tmp", "tmpfs", flags, p->tmp_options) < 0)
		return -1;
	return mount("tmpfs", "/dev/shm", "tmpfs", flags | MS_NOEXEC, p->shm_options);
}

static int socket_mount(struct launch_plan *p)
{
	return (int)syscall(SYS_move_mount, PLAN_FD_SOCKET, "", AT_FDCWD, LAUNCH_SOCKET_PATH,
		MOVE_FROM_EMPTY_PATH);
}

static int groups_drop(struct launch_plan *p)
{
	/* Raw calls from here on: the C library's change the ids of every thread it knows of. */
	return (int)syscall(SYS_setgroups, 0, NULL);
}

static int user_enter(struct launch_plan *p)
{
	if (setns(PLAN_FD_USER, CLONE_NEWUSER) < 0)
		return -1;
	if (syscall(SYS_setresgid, LAUNCH_UID, LAUNCH_UID, LAUNCH_UID) < 0)
		return -1;
	return (int)syscall(SYS_setresuid, LAUNCH_UID, LAUNCH_UID, LAUNCH_UID);
}

static int keyring_own(struct launch_plan *p)
{
	long r = syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL);
	/* A kernel without keys has none to leak. */
	return r < 0 && errno != ENOSYS ? -1 : 0;
}

static int limits_set(struct launch_plan *p)
{
	const struct rlimit none = {0, 0};
	if (syscall(SYS_prlimit64, 0, RLIMIT_CORE, &none, NULL) < 0)
		return -1;
	for (int i = 0; i < PLAN_LIMITS; i++) {
		if (syscall(SYS_prlimit64, 0, p->limits[i].resource, &p->limits[i].limit, NULL) < 0)
			return -1;
	}
	return 0;
}

static int capabilities_drop(struct launch_plan *p)
{
	const unsigned long bits = SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_NO_SETUID_FIXUP |
		SECBIT_NO_SETUID_FIXUP_LOCKED | SECBIT_KEEP_CAPS_LOCKED |
		SECBIT_NO_CAP_AMBIENT_RAISE | SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED;
	/* The setresuid above has dropped the effective set but left the permitted one only if ids
	 * were kept; entering a user namespace gives all, so the bounding set can be dropped. */
	for (int cap = 0; cap <= 63; cap++) {
		if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0) {
			if (errno == EINVAL)
				break; /* beyond the kernel's last */
			return -1;
		}
	}
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0 ||
		prctl(PR_SET_SECUREBITS, bits, 0, 0, 0) < 0)
		return -1;
	struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct none[2] = {{0, 0, 0}, {0, 0, 0}};
	return (int)syscall(SYS_capset, &header, none);
}

static int descriptors_place(struct launch_plan *p)
{
	static const struct {
		int from, to;
	} places[] = {
		{PLAN_FD_NULL, LAUNCH_FD_NULL},
		{PLAN_FD_LOG, LAUNCH_FD_LOG},
		{PLAN_FD_LOG, LAUNCH_FD_LOG + 1},
		{PLAN_FD_CONTROL, LAUNCH_FD_CONTROL},
		{PLAN_FD_KEEP_CONTROL, LAUNCH_FD_KEEP_CONTROL},
		{PLAN_FD_KEEP_LISTENER, LAUNCH_FD_KEEP_LISTENER},
		{PLAN_FD_KEEP_GUARD, LAUNCH_FD_KEEP_GUARD},
		{PLAN_FD_KEEP_GUARD + 1, LAUNCH_FD_KEEP_GUARD + 1},
		{PLAN_FD_KEEP_GUARD + 2, LAUNCH_FD_KEEP_GUARD + 2},
	};
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		if (dup2(places[i].from, places[i].to) < 0)
			return -1;
	}
	if (dup3(PLAN_FD_BOOTSTRAP, LAUNCH_FD_END, O_CLOEXEC) < 0)
		return -1;
	return close_range(LAUNCH_FD_END + 1, ~0U, 0);
}

static int privileges_lock(struct launch_plan *p)
{
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}

static int seccomp_enter(struct launch_plan *p)
{
	int r = seccomp_program_load(p->seccomp);
	if (r == 0)
		return 0;
	errno = -r;
	return -1;
}

static int bootstrap_execute(struct launch_plan *p)
{
	static char *const argv[] = {"aegis-bootstrap", NULL};
	static char *const envp[] = {NULL};
	return (int)syscall(SYS_execveat, LAUNCH_FD_END, "", argv, envp, AT_EMPTY_PATH);
}

static const struct {
	const char *name;
	int (*take)(struct launch_plan *p);
} steps[] = {
	{"a descriptor table of its own", table_own},
	{"join the cgroups", cgroups_join},
	{"be killed as others for want of memory", oom_plain},
	{"a session of its own", session_own},
	{"enter the network namespace", network_enter},
	{"enter the root", root_enter},
	{"mount /proc", proc_mount},
	{"mount /tmp and /dev/shm", tmp_mount},
	{"mount the dispatch socket", socket_mount},
	{"drop groups", groups_drop},
	{"enter the user namespace", user_enter},
	{"join a keyring of its own", keyring_own},
	{"set resource limits", limits_set},
	{"drop capabilities", capabilities_drop},
	{"place descriptors", descriptors_place},
	{"set no_new_privs", privileges_lock},
	{"load the seccomp filter", seccomp_enter},
	{"execute aegis-bootstrap", bootstrap_execute},
};

static void launch_child_main(void *arg)
{
	struct launch_plan *p = arg;
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		if (steps[i].take(p) < 0) {
			p->failed_errno = errno;
			p->failed_step = steps[i].name;
			break;
		}
	}
	for (;;)
		syscall(SYS_exit, 127);
}

#if defined(__x86_64__)
long launch_clone(struct clone_args *args, size_t bytes, void (*run)(void *arg), void *arg)
{
	long r;
	__asm__ volatile(
		"syscall\n\t"
		"test %%rax, %%rax\n\t"
		"jnz 1f\n\t"
		"xor %%ebp, %%ebp\n\t"
		"mov %[arg], %%rdi\n\t"
		"call *%[run]\n\t"
		"hlt\n"
		"1:"
		: "=a"(r)
		: "0"((long)SYS_clone3), "D"(args), "S"(bytes), [arg] "r"(arg), [run] "r"(run)
		: "rcx", "r11", "memory", "cc");
	return r;
}
#else
#error "the launch of a sandbox is written and tested for x86-64 only"
#endif

int launch_child_start(struct launch_plan *plan, void *stack_end, pid_t *ret_pid, int *ret_pidfd)
{
	enum { STACK_BYTES = 64 * 1024 };
	int pidfd = -1;
	struct clone_args args = {
		.flags = CLONE_VM | CLONE_VFORK | CLONE_FILES | CLONE_PIDFD | CLONE_CLEAR_SIGHAND |
			CLONE_INTO_CGROUP | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS |
			CLONE_NEWTIME | (plan->from_seat ? CLONE_PARENT : 0),
		.pidfd = (uint64_t)(uintptr_t)&pidfd,
		/* A sibling of the seat's process has its exit signal, and must not name one. */
		.exit_signal = plan->from_seat ? 0 : SIGCHLD,
		.stack = (uint64_t)(uintptr_t)stack_end - STACK_BYTES,
		.stack_size = STACK_BYTES,
		.cgroup = (unsigned)plan->cgroup,
	};
	plan->failed_step = NULL;
	long pid = launch_clone(&args, sizeof(args), launch_child_main, plan);
	if (pid < 0)
		return (int)pid;
	*ret_pid = (pid_t)pid;
	*ret_pidfd = pidfd;
	return 0;
}

size_t launch_masks(struct plan_mask ret[PLAN_MASKS_MAX])
{
	static const char *const paths[] = {"/proc/acpi", "/proc/asound", "/proc/interrupts",
		"/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/sched_debug",
		"/proc/scsi", "/proc/timer_list", "/proc/timer_stats"};
	size_t n = 0;
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		struct stat st;
		if (stat(paths[i], &st) == 0)
			ret[n++] = (struct plan_mask){paths[i], S_ISDIR(st.st_mode)};
	}
	return n;
}
