/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * What aegis-bootstrap finds when the helper starts it as pid 1 of a sandbox. Needs no library:
 * only this header is shared between the two programs.
 *
 * Identity: uid and gid LAUNCH_UID inside (a host uid of the sandbox's own outside), no other id
 * mapped, no capability in any set, no_new_privs, securebits locked, own pid, mount, network, ipc,
 * uts, cgroup, time and user namespaces, all but the user namespace owned by the host. seccomp is
 * loaded already. argv is {"aegis-bootstrap"}, the environment is empty, cwd is "/", umask 022,
 * no signal is blocked or ignored.
 *
 * Files: read-only root with the runtime's directories; /proc (read-only, masked), minimal /dev,
 * /dev/shm, private /tmp; /workspace and LAUNCH_SOCKET_PATH. The program's own file is not in it.
 *
 * Descriptors: as enumerated below, nothing else open.
 *
 * First acts that are owed, in this order:
 *  1. prctl(PR_SET_DUMPABLE, 0): programs of the agent have the same uid, and must not reach
 *     pid 1's memory or descriptors;
 *  2. FD_CLOEXEC on the descriptors from 3 on;
 *  3. landlock_begin() of landlock.h; exit if it fails: it fails only where a kernel that has
 *     Landlock refuses;
 *  4. wait for LAUNCH_START on the control socket (a prepared sandbox waits long; end of file
 *     there means exit). /workspace is mounted only when it comes: nothing may stand in it before;
 *  5. landlock_enter(), and the same about a failure. A process that was made before the start
 *     owes the same, and sets the resource limits of the start: the helper sets pid 1's.
 */
#pragma once

#include <stdint.h>

enum {
	LAUNCH_UID = 1000,
	LAUNCH_MAGIC = 0x41474c32, /* "AGL2": changes with every change of this header */
};

/* AF_UNIX, SOCK_STREAM; HTTP/1.1 behind it. */
#define LAUNCH_SOCKET_PATH "/run/aegis/dispatch.sock"
#define LAUNCH_HOSTNAME "sandbox"
#define LAUNCH_WORKSPACE "/workspace"

/* In the environment of LAUNCH_START, set to anything: standard input and output of the program
 * are a connection to LAUNCH_SOCKET_PATH, the first that is made there, and nobody reports how it
 * ended; what it last wrote to standard error goes to the log. */
#define LAUNCH_STDIO "AEGIS_STDIO"

/* Likewise, set to a number: the program listens on that port of its loopback, and every further
 * connection to LAUNCH_SOCKET_PATH is one to that port, in wait for the first byte from aegisd. */
#define LAUNCH_SERVES "AEGIS_SERVES"

enum launch_fd {
	LAUNCH_FD_NULL = 0, /* /dev/null, for reading */
	LAUNCH_FD_LOG =
		1, /* and 2: pipe to aegisd's log, non-blocking, for the bootstrap's own words */
	LAUNCH_FD_CONTROL = 3, /* messages from the helper, SOCK_SEQPACKET; never written to */
	/* Kept open and never touched, so that a helper that was restarted can fetch them from
	 * here: the helper's end of the control socket, and the listener behind LAUNCH_SOCKET_PATH.
	 */
	LAUNCH_FD_KEEP_CONTROL = 4,
	LAUNCH_FD_KEEP_LISTENER = 5,
	/* Likewise, 3 of them: what the guard of the cgroups hangs on (guardprog.h), or /dev/null.
	 */
	LAUNCH_FD_KEEP_GUARD = 6,
	LAUNCH_FD_KEEP_GUARD_LAST = 8,
	LAUNCH_FD_END
};

/* Every packet on the control socket begins with this; `bytes` counts the whole packet. */
struct launch_header {
	uint32_t magic;
	uint32_t type; /* enum launch_type; an unknown one is skipped */
	uint32_t bytes;
	uint32_t reserved; /* 0 */
};

enum launch_type {
	LAUNCH_START = 1, /* once, first: struct launch_start */
	LAUNCH_CALL_OPEN = 2, /* struct launch_call, with LAUNCH_CALL_FDS descriptors */
	LAUNCH_CALL_CLOSED =
		3, /* struct launch_call: its descriptor, if still held, is to be closed */
};

/*
 * Behind it: argc strings, then envc strings, each with its NUL. Both belong to the agent's
 * program; argc may be 0 (nothing to start: only dispatched calls come).
 */
struct launch_start {
	struct launch_header header;
	uint8_t execution[16]; /* UUID, network order */
	uint32_t iteration;
	uint32_t argc;
	uint32_t envc;
	uint32_t argv_bytes;
	uint32_t env_bytes;
	uint32_t reserved; /* 0 */
	/* Soft and hard: RLIMIT_NOFILE, RLIMIT_FSIZE, RLIMIT_NPROC. */
	uint64_t open_files;
	uint64_t file_bytes;
	uint64_t pids;
};

/*
 * A dispatched call's cgroup. LAUNCH_CALL_OPEN brings two descriptors, both open for writing:
 *  [0] its cgroup.procs: the child that will become the call's program writes "0" there before
 *      execve. If that fails the call must not run.
 *  [1] its cgroup.kill: "1" kills everything that is in it, grandchildren included.
 * They were opened by root, and the kernel asks the opener's rights: the writer needs none.
 *
 * The message has been queued before aegisd sends the dispatch reply that names the call: on an
 * unknown call id, read the control socket until it would block, and only then complain.
 * At most LAUNCH_CALLS_MAX calls are open at one time.
 */
struct launch_call {
	struct launch_header header;
	uint8_t call[16]; /* UUID, network order */
};

enum {
	LAUNCH_CALLS_MAX = 64,
	LAUNCH_CALL_FDS = 2,
	LAUNCH_PACKET_MAX = 168 * 1024, /* the longest packet: LAUNCH_START */
};
