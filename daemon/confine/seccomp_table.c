/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The calls of a sandbox, decided one by one. What is allowed is what interpreters (Python, Node),
 * shells, compilers and static binaries use; what is refused either reaches kernel code that an
 * agent has no business in, or reaches another process or namespace. Where a program has an older
 * way to do the same, the call is played as absent, so that it takes that way.
 */
#include "daemon/confine/seccomp_table.h"
#include <fcntl.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>

#define CALLS(...) \
	(const char *const[]) \
	{ \
		__VA_ARGS__, NULL \
	}
#define MATCHES(table) .any = (table), .any_count = ARRAY_LEN(table)

#define MASK_ALL UINT32_MAX

const struct seccomp_group seccomp_groups[] = {
	{"io", SECCOMP_ALLOW, "reading, writing and waiting on descriptors that are already open",
		CALLS("read", "write", "readv", "writev", "pread64", "pwrite64", "preadv",
			"pwritev", "preadv2", "pwritev2", "lseek", "close", "close_range", "dup",
			"dup2", "dup3", "fcntl", "flock", "poll", "ppoll", "select", "pselect6",
			"epoll_create", "epoll_create1", "epoll_ctl", "epoll_wait", "epoll_pwait",
			"epoll_pwait2", "eventfd", "eventfd2", "pipe", "pipe2", "sendfile",
			"splice", "tee", "vmsplice", "copy_file_range", "fsync", "fdatasync",
			"sync", "syncfs", "sync_file_range", "readahead", "fadvise64", "fallocate",
			"ftruncate", "truncate", "cachestat")},
	{"files", SECCOMP_ALLOW, "the mounts of the sandbox decide which files there are",
		CALLS("stat", "fstat", "lstat", "newfstatat", "statx", "statfs", "fstatfs",
			"access", "faccessat", "faccessat2", "getdents", "getdents64", "getcwd",
			"chdir", "fchdir", "rename", "renameat", "renameat2", "rmdir", "link",
			"linkat", "unlink", "unlinkat", "symlink", "symlinkat", "readlink",
			"readlinkat", "chown", "fchown", "lchown", "fchownat", "umask", "utime",
			"utimes", "futimesat", "utimensat", "setxattr", "lsetxattr", "fsetxattr",
			"getxattr", "lgetxattr", "fgetxattr", "listxattr", "llistxattr",
			"flistxattr", "removexattr", "lremovexattr", "fremovexattr", "inotify_init",
			"inotify_init1", "inotify_add_watch", "inotify_rm_watch", "memfd_create")},
	{"memory", SECCOMP_ALLOW, "a process arranges its own memory; cgroup and rlimits bound it",
		CALLS("mmap", "munmap", "mremap", "mprotect", "msync", "mincore", "madvise", "brk",
			"mlock", "mlock2", "mlockall", "munlock", "munlockall", "pkey_mprotect",
			"pkey_alloc", "pkey_free", "membarrier", "map_shadow_stack")},
	{"processes", SECCOMP_ALLOW, "programs start programs, inside the pid namespace",
		CALLS("fork", "vfork", "execve", "execveat", "exit", "exit_group", "wait4",
			"waitid", "getpid", "getppid", "gettid", "getpgid", "getpgrp", "getsid",
			"setpgid", "setsid", "set_tid_address", "kill", "tkill", "tgkill",
			"pidfd_open", "pidfd_send_signal", "prctl", "arch_prctl", "rseq",
			"set_robust_list", "restart_syscall", "getcpu", "landlock_create_ruleset",
			"landlock_add_rule", "landlock_restrict_self", "seccomp")},
	{"threads", SECCOMP_ALLOW, "locks and scheduling of a process's own threads",
		CALLS("futex", "futex_waitv", "futex_wait", "futex_wake", "futex_requeue",
			"sched_yield", "sched_getaffinity", "sched_setaffinity", "sched_getparam",
			"sched_setparam", "sched_getscheduler", "sched_setscheduler",
			"sched_get_priority_max", "sched_get_priority_min", "sched_rr_get_interval",
			"sched_getattr", "sched_setattr", "getpriority", "setpriority",
			"ioprio_get", "ioprio_set")},
	{"signals", SECCOMP_ALLOW, "handlers, masks and queues of signals",
		CALLS("rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "rt_sigpending",
			"rt_sigtimedwait", "rt_sigqueueinfo", "rt_tgsigqueueinfo", "rt_sigsuspend",
			"sigaltstack", "signalfd", "signalfd4", "pause")},
	{"time", SECCOMP_ALLOW, "reading clocks and setting timers",
		CALLS("time", "gettimeofday", "clock_gettime", "clock_getres", "clock_nanosleep",
			"nanosleep", "getitimer", "setitimer", "alarm", "times", "timer_create",
			"timer_settime", "timer_gettime", "timer_getoverrun", "timer_delete",
			"timerfd_create", "timerfd_settime", "timerfd_gettime")},
	{"identity", SECCOMP_ALLOW, "without capabilities these only read, or drop what is held",
		CALLS("getuid", "geteuid", "getgid", "getegid", "getgroups", "getresuid",
			"getresgid", "setuid", "setgid", "setreuid", "setregid", "setresuid",
			"setresgid", "setfsuid", "setfsgid", "setgroups", "capget", "capset")},
	{"system", SECCOMP_ALLOW, "facts about the system and a process's own limits",
		CALLS("uname", "sysinfo", "getrusage", "getrlimit", "setrlimit", "getrandom")},
	{"sockets", SECCOMP_ALLOW, "sockets of the families that socket() gives out",
		CALLS("connect", "accept", "accept4", "bind", "listen", "shutdown", "getsockname",
			"getpeername", "getsockopt", "setsockopt", "sendto", "recvfrom", "sendmsg",
			"recvmsg", "sendmmsg", "recvmmsg")},
	{"ipc", SECCOMP_ALLOW, "System V and POSIX queues of the sandbox's own ipc namespace",
		CALLS("shmget", "shmat", "shmdt", "shmctl", "semget", "semop", "semtimedop",
			"semctl", "msgget", "msgsnd", "msgrcv", "msgctl", "mq_open", "mq_unlink",
			"mq_timedsend", "mq_timedreceive", "mq_notify", "mq_getsetattr")},

	{"io_uring", SECCOMP_REFUSE, "operations of a ring pass by every filter of system calls",
		CALLS("io_uring_setup", "io_uring_enter", "io_uring_register")},
	{"kernel-programs", SECCOMP_REFUSE, "code and probes in the kernel belong to the host",
		CALLS("bpf", "perf_event_open", "kexec_load", "kexec_file_load", "init_module",
			"finit_module", "delete_module")},
	{"keyrings", SECCOMP_REFUSE, "keys are not confined by namespaces",
		CALLS("add_key", "request_key", "keyctl")},
	{"mounts", SECCOMP_REFUSE, "the mount tree is fixed before the first instruction",
		CALLS("mount", "umount2", "pivot_root", "chroot", "open_tree", "move_mount",
			"fsopen", "fsconfig", "fsmount", "fspick", "mount_setattr", "sysfs",
			"ustat", "quotactl", "quotactl_fd", "fanotify_init", "fanotify_mark")},
	{"namespaces", SECCOMP_REFUSE, "a new namespace would bring capabilities back",
		CALLS("unshare", "setns")},
	{"other-processes", SECCOMP_REFUSE, "nobody looks into or steers another process",
		CALLS("ptrace", "process_vm_readv", "process_vm_writev", "process_madvise",
			"process_mrelease", "pidfd_getfd", "kcmp", "get_robust_list", "move_pages",
			"migrate_pages")},
	{"handles", SECCOMP_REFUSE, "handles reach files outside the mounts of the sandbox",
		CALLS("open_by_handle_at", "name_to_handle_at", "lookup_dcookie")},
	{"memory-tricks", SECCOMP_REFUSE, "rarely used, often the tool of an exploit",
		CALLS("userfaultfd", "memfd_secret", "remap_file_pages", "mbind", "set_mempolicy",
			"get_mempolicy", "set_mempolicy_home_node")},
	{"administration", SECCOMP_REFUSE, "the host's clock, names, swap, ports and log",
		CALLS("reboot", "swapon", "swapoff", "acct", "syslog", "vhangup", "sethostname",
			"setdomainname", "settimeofday", "clock_settime", "clock_adjtime",
			"adjtimex", "iopl", "ioperm", "modify_ldt")},

	{"clone3", SECCOMP_ABSENT, "its flags lie in memory, where a filter cannot see them",
		CALLS("clone3")},
	{"openat2", SECCOMP_ABSENT, "the mode of the file it makes lies in memory, likewise",
		CALLS("openat2")},
	{"legacy-aio", SECCOMP_ABSENT, "programs fall back to threads",
		CALLS("io_setup", "io_destroy", "io_getevents", "io_submit", "io_cancel",
			"io_pgetevents")},
	{"gone", SECCOMP_ABSENT, "numbers without a call behind them on current kernels",
		CALLS("uselib", "_sysctl", "create_module", "get_kernel_syms", "query_module",
			"nfsservctl", "getpmsg", "putpmsg", "afs_syscall", "tuxcall", "security",
			"set_thread_area", "get_thread_area", "epoll_ctl_old", "epoll_wait_old",
			"vserver")},
};
const size_t seccomp_group_count = ARRAY_LEN(seccomp_groups);

enum {
	NAMESPACE_FLAGS = CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC |
		CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET,
	SOCKET_TYPE = 0xf, /* SOCK_TYPE_MASK; the rest is SOCK_CLOEXEC and SOCK_NONBLOCK */
};
#define PERSONALITY_ASK UINT32_MAX

static const struct seccomp_match clone_plain[][SECCOMP_MATCHES_MAX] = {
	{{0, NAMESPACE_FLAGS, 0}},
};

static const struct seccomp_match personalities[][SECCOMP_MATCHES_MAX] = {
	{{0, MASK_ALL, 0}},
	{{0, MASK_ALL, PERSONALITY_ASK}},
};

#define SOCKET(family, type, protocol) \
	{ \
		{0, MASK_ALL, family}, {1, SOCKET_TYPE, type}, \
		{ \
			2, MASK_ALL, protocol \
		} \
	}
static const struct seccomp_match socket_kinds[][SECCOMP_MATCHES_MAX] = {
	{{0, MASK_ALL, AF_UNIX}, {1, SOCKET_TYPE, SOCK_STREAM}},
	{{0, MASK_ALL, AF_UNIX}, {1, SOCKET_TYPE, SOCK_DGRAM}},
	SOCKET(AF_INET, SOCK_STREAM, 0),
	SOCKET(AF_INET, SOCK_STREAM, IPPROTO_TCP),
	SOCKET(AF_INET, SOCK_DGRAM, 0),
	SOCKET(AF_INET, SOCK_DGRAM, IPPROTO_UDP),
	SOCKET(AF_INET6, SOCK_STREAM, 0),
	SOCKET(AF_INET6, SOCK_STREAM, IPPROTO_TCP),
	SOCKET(AF_INET6, SOCK_DGRAM, 0),
	SOCKET(AF_INET6, SOCK_DGRAM, IPPROTO_UDP),
	/* getifaddrs() */
	SOCKET(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE),
	SOCKET(AF_NETLINK, SOCK_DGRAM, NETLINK_ROUTE),
};

static const struct seccomp_match socketpair_kinds[][SECCOMP_MATCHES_MAX] = {
	{{0, MASK_ALL, AF_UNIX}, {1, SOCKET_TYPE, SOCK_STREAM}},
	{{0, MASK_ALL, AF_UNIX}, {1, SOCKET_TYPE, SOCK_DGRAM}},
};

/* What a host's user could later run as the owner of the file. */
#define NO_SET_ID(argument) \
	{ \
		{argument, S_ISUID | S_ISGID, 0}, \
	}
static const struct seccomp_match mode_second[][SECCOMP_MATCHES_MAX] = {NO_SET_ID(1)};
static const struct seccomp_match mode_third[][SECCOMP_MATCHES_MAX] = {NO_SET_ID(2)};

/* Without one of these flags the mode is what happens to stand in its register. */
enum { MAKES_A_FILE = O_CREAT | (O_TMPFILE & ~O_DIRECTORY) };
static const struct seccomp_match open_kinds[][SECCOMP_MATCHES_MAX] = {
	{{1, MAKES_A_FILE, 0}},
	NO_SET_ID(2),
};
static const struct seccomp_match openat_kinds[][SECCOMP_MATCHES_MAX] = {
	{{2, MAKES_A_FILE, 0}},
	NO_SET_ID(3),
};

enum { KIND_AND_SET_ID = S_IFMT | S_ISUID | S_ISGID };
static const struct seccomp_match mknod_kinds[][SECCOMP_MATCHES_MAX] = {
	{{1, KIND_AND_SET_ID, S_IFIFO}},
	{{1, KIND_AND_SET_ID, S_IFREG}},
	{{1, KIND_AND_SET_ID, S_IFSOCK}},
	{{1, KIND_AND_SET_ID, 0}},
};

static const struct seccomp_match mknodat_kinds[][SECCOMP_MATCHES_MAX] = {
	{{2, KIND_AND_SET_ID, S_IFIFO}},
	{{2, KIND_AND_SET_ID, S_IFREG}},
	{{2, KIND_AND_SET_ID, S_IFSOCK}},
	{{2, KIND_AND_SET_ID, 0}},
};

static const struct seccomp_match own_process[][SECCOMP_MATCHES_MAX] = {
	{{0, MASK_ALL, 0}},
};

static const uint32_t terminal_injection[] = {TIOCSTI, TIOCLINUX};

const struct seccomp_conditional seccomp_conditionals[] = {
	{"clone", "threads and processes, but no new namespaces", MATCHES(clone_plain)},
	{"personality", "only the ordinary one, and asking which it is", MATCHES(personalities)},
	{"socket", "TCP, UDP, Unix sockets and the list of interfaces", MATCHES(socket_kinds)},
	{"socketpair", "pairs of Unix sockets", MATCHES(socketpair_kinds)},
	{"mknod", "pipes, sockets and files, no devices, no set-id bits", MATCHES(mknod_kinds)},
	{"mknodat", "pipes, sockets and files, no devices, no set-id bits", MATCHES(mknodat_kinds)},
	{"open", "the mounts decide which files there are; no set-id bits", MATCHES(open_kinds)},
	{"openat", "the mounts decide which files there are; no set-id bits",
		MATCHES(openat_kinds)},
	{"creat", "files without set-id bits", MATCHES(mode_second)},
	{"mkdir", "directories without set-id bits", MATCHES(mode_second)},
	{"mkdirat", "directories without set-id bits", MATCHES(mode_third)},
	{"chmod", "any mode without set-id bits", MATCHES(mode_second)},
	{"fchmod", "any mode without set-id bits", MATCHES(mode_second)},
	{"fchmodat", "any mode without set-id bits", MATCHES(mode_third)},
	{"fchmodat2", "any mode without set-id bits", MATCHES(mode_third)},
	{"prlimit64", "a process's own limits; neighbours share its uid", MATCHES(own_process)},
	{"ioctl", "anything but typing into a terminal that others read", .except_argument = 1,
		.except = terminal_injection, .except_count = ARRAY_LEN(terminal_injection)},
};
const size_t seccomp_conditional_count = ARRAY_LEN(seccomp_conditionals);
