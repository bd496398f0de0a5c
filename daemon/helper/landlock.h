/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The Landlock layers of a sandbox, inherited by all that its pid 1 starts. Header only and without
 * a library, for a program without libc.
 *
 * They say again, by other means, what the mounts say: programs are read and executed anywhere,
 * written only below /workspace, /tmp and /dev/shm and to the plain devices. Signals and abstract
 * sockets stay within the sandbox where the kernel knows how (Linux 6.12).
 *
 * In two steps, so that little is left when /workspace has been mounted. landlock_begin() enters
 * the layer about signals and sockets, and makes the one about files ready. landlock_enter() then
 * completes that one and enters it: once in each process that exists by then. They still reach
 * each other, because they share the first layer.
 */
#pragma once

#include <asm/unistd.h>
#include <stdint.h>

/* One system call, negative errno on failure. The caller's program defines how. */
typedef long (*landlock_syscall)(long number, long a, long b, long c, long d);

/* 0; 1 if this kernel has no Landlock (then the mounts stand alone, and *ret_ruleset is -1); -errno
 * if it has and refuses: the caller must not go on. *ret_ruleset is the caller's, close-on-exec. */
static inline int landlock_begin(landlock_syscall call, int *ret_ruleset);

/* 0 also for a ruleset of -1; -errno: the caller must not go on. `complete` in the first process
 * that enters, and only there. */
static inline int landlock_enter(landlock_syscall call, int ruleset, int complete);

/* Both in one, and closes the ruleset: as landlock_begin(). */
static inline int landlock_confine(landlock_syscall call);

/* ---- how ---- */

enum {
	LANDLOCK_NR_CREATE = 444,
	LANDLOCK_NR_ADD = 445,
	LANDLOCK_NR_RESTRICT = 446,
	LANDLOCK_ENOSYS = 38,
	LANDLOCK_EOPNOTSUPP = 95,
	LANDLOCK_ENOENT = 2,
	LANDLOCK_AT_FDCWD = -100,
	LANDLOCK_O_PATH_CLOEXEC = 010000000 | 02000000,
};

#define LANDLOCK_EXECUTE (1ULL << 0)
#define LANDLOCK_WRITE_FILE (1ULL << 1)
#define LANDLOCK_READ_FILE (1ULL << 2)
#define LANDLOCK_READ_DIR (1ULL << 3)
#define LANDLOCK_TRUNCATE (1ULL << 14)
#define LANDLOCK_IOCTL_DEV (1ULL << 15)
#define LANDLOCK_FS_V1 ((1ULL << 13) - 1)
#define LANDLOCK_FS_V2 ((1ULL << 14) - 1) /* and moving between directories */
#define LANDLOCK_FS_V3 ((1ULL << 15) - 1) /* and truncate */
#define LANDLOCK_FS_V5 ((1ULL << 16) - 1) /* and ioctl on devices */
#define LANDLOCK_MAKE_DEVICES ((1ULL << 6) | (1ULL << 11)) /* character, block */
#define LANDLOCK_SCOPES_V6 3ULL /* abstract sockets, signals */

struct landlock_attr {
	uint64_t fs;
	uint64_t net;
	uint64_t scoped;
};

struct landlock_beneath {
	uint64_t allowed;
	int32_t parent;
} __attribute__((packed));

struct landlock_row {
	const char *path;
	uint64_t allowed;
};

static inline int landlock_allow(
	landlock_syscall call, int ruleset, const struct landlock_row *row, uint64_t handled)
{
	long fd = call(__NR_openat, LANDLOCK_AT_FDCWD, (long)row->path, LANDLOCK_O_PATH_CLOEXEC, 0);
	if (fd == -LANDLOCK_ENOENT)
		return 0;
	if (fd < 0)
		return (int)fd;
	struct landlock_beneath rule = {row->allowed & handled, (int32_t)fd};
	long r = call(LANDLOCK_NR_ADD, ruleset, 1 /* path beneath */, (long)&rule, 0);
	call(__NR_close, fd, 0, 0, 0);
	return (int)r;
}

/* Signals and abstract sockets: a layer of its own, entered before there are other processes. */
static inline long landlock_scope(landlock_syscall call, long abi)
{
	struct landlock_attr attr = {.scoped = LANDLOCK_SCOPES_V6};
	if (abi < 6)
		return 0;
	long ruleset = call(LANDLOCK_NR_CREATE, (long)&attr, sizeof(attr), 0, 0);
	if (ruleset < 0)
		return ruleset;
	long r = call(LANDLOCK_NR_RESTRICT, ruleset, 0, 0, 0);
	call(__NR_close, ruleset, 0, 0, 0);
	return r;
}

/* Everything but /workspace, whose root is not there yet. */
static inline long landlock_rules(landlock_syscall call, uint64_t handled)
{
	static const struct landlock_row rows[] = {
		{"/", LANDLOCK_EXECUTE | LANDLOCK_READ_FILE | LANDLOCK_READ_DIR},
		{"/tmp", LANDLOCK_FS_V3 & ~LANDLOCK_MAKE_DEVICES},
		{"/dev/shm", LANDLOCK_FS_V3 & ~LANDLOCK_MAKE_DEVICES & ~LANDLOCK_EXECUTE},
		{"/dev/null", LANDLOCK_WRITE_FILE | LANDLOCK_TRUNCATE},
		{"/dev/zero", LANDLOCK_WRITE_FILE | LANDLOCK_TRUNCATE},
		{"/dev/full", LANDLOCK_WRITE_FILE | LANDLOCK_TRUNCATE},
	};
	/* Older kernels refuse a longer struct only if its tail is not zero. */
	struct landlock_attr attr = {.fs = handled};
	long ruleset = call(LANDLOCK_NR_CREATE, (long)&attr, sizeof(attr), 0, 0);
	long r = 0;
	for (unsigned i = 0; ruleset >= 0 && r == 0 && i < sizeof(rows) / sizeof(rows[0]); i++)
		r = landlock_allow(call, (int)ruleset, &rows[i], handled);
	if (r == 0)
		return ruleset;
	call(__NR_close, ruleset, 0, 0, 0);
	return r;
}

static inline uint64_t landlock_handled(long abi)
{
	return abi >= 5    ? LANDLOCK_FS_V5
		: abi >= 3 ? LANDLOCK_FS_V3
		: abi >= 2 ? LANDLOCK_FS_V2
			   : LANDLOCK_FS_V1;
}

static inline long landlock_abi(landlock_syscall call)
{
	return call(LANDLOCK_NR_CREATE, 0, 0, 1 /* version */, 0);
}

static inline int landlock_begin(landlock_syscall call, int *ret_ruleset)
{
	long abi = landlock_abi(call);
	*ret_ruleset = -1;
	if (abi == -LANDLOCK_ENOSYS || abi == -LANDLOCK_EOPNOTSUPP)
		return 1;
	if (abi < 0)
		return (int)abi;
	long r = landlock_scope(call, abi);
	if (r == 0)
		r = landlock_rules(call, landlock_handled(abi));
	if (r < 0)
		return (int)r;
	*ret_ruleset = (int)r;
	return 0;
}

static inline int landlock_enter(landlock_syscall call, int ruleset, int complete)
{
	/* Rights that this kernel does not know must not be named. */
	static const struct landlock_row workspace = {
		"/workspace", LANDLOCK_FS_V3 & ~LANDLOCK_MAKE_DEVICES};
	long r = 0;
	if (ruleset < 0)
		return 0;
	if (complete)
		r = landlock_allow(call, ruleset, &workspace, landlock_handled(landlock_abi(call)));
	if (r == 0)
		r = call(LANDLOCK_NR_RESTRICT, ruleset, 0, 0, 0);
	return (int)r;
}

static inline int landlock_confine(landlock_syscall call)
{
	int ruleset;
	int r = landlock_begin(call, &ruleset);
	if (r != 0)
		return r;
	r = landlock_enter(call, ruleset, 1);
	call(__NR_close, ruleset, 0, 0, 0);
	return r;
}
