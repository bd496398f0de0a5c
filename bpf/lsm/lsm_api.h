/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * What the LSM programs and user space share: the layout of every map. Times are CLOCK_BOOTTIME
 * nanoseconds; devices are major << 20 | minor, as the kernel has them (lsm_device()).
 *
 * A sandbox is its cgroup below the parent that the programs are attached to. One without an entry
 * in `lsm_agents` may do nothing that a program decides. While a sandbox is made, its own first
 * process mounts, makes namespaces and keyrings; sealing it, one store, ends that for good.
 *
 * What a sandbox may do with certain files hangs on its policy, by inode, so that no link, mount or
 * descriptor leads around it. A policy's number is never reused while an agent refers to it.
 */
#pragma once

#include <linux/types.h>

enum {
	LSM_AGENTS_MAX = 4096,
	LSM_POLICIES_MAX = 4096,
	LSM_FILES_MAX = 1 << 16,
	LSM_DENIALS_BYTES = 256 * 1024,
	LSM_GUARD_BYTES = 64 * 1024,
	LSM_LOSSES_MAX = 8192,
};

/* The maps, in the order in which their descriptors are handed over. */
enum lsm_map {
	LSM_MAP_AGENTS,
	LSM_MAP_POLICIES,
	LSM_MAP_FILES,
	LSM_MAP_COUNTS,
	LSM_MAP_SEQUENCE,
	LSM_MAP_DENIALS,
	LSM_MAP_LOSSES,
	LSM_MAPS,
};

/* What the programs are told before they are loaded. */
struct lsm_constants {
	__u32 level; /* how deep below the root of the hierarchy a sandbox's own cgroup lies */
};

enum lsm_phase {
	LSM_MAKING = 1, /* nothing of the agent's has run: all is permitted */
	LSM_SEALED = 2,
};

struct lsm_agent {
	__u32 phase;
	__u32 policy; /* 0: none */
};

enum lsm_policy_flag {
	LSM_LISTED_PROGRAMS = 1, /* only files with LSM_PERMIT_EXEC are executed */
};

struct lsm_policy {
	__u32 flags;
	__u32 rule; /* id of the policy rule that made the list */
};

struct lsm_file_key {
	__u32 policy;
	__u32 device;
	__u64 inode;
};

enum lsm_right {
	LSM_PERMIT_EXEC = 1,
	LSM_FORBID_EXEC = 2,
	LSM_FORBID_READ = 4,
	LSM_FORBID_WRITE = 8,
};

struct lsm_file {
	__u32 rights; /* enum lsm_right */
	__u32 rule; /* id of the policy rule, for records */
};

enum lsm_hook {
	LSM_HOOK_EXEC = 1,
	LSM_HOOK_OPEN = 2,
	LSM_HOOK_SOCKET = 3,
	LSM_HOOK_MOUNT = 4,
	LSM_HOOK_MOVE_MOUNT = 5,
	LSM_HOOK_PTRACE = 6,
	LSM_HOOK_BPF = 7,
	LSM_HOOK_MODULE = 8,
	LSM_HOOK_KEY = 9,
	LSM_HOOK_USERNS = 10,
	LSM_HOOK_LEAVE = 11, /* the guard's: a task is not in its sandbox's cgroup any more */
	LSM_HOOKS,
	LSM_HOOK_SLOTS = 16, /* room for counts: a new hook changes no layout */
};

enum lsm_verdict {
	LSM_ALLOW = 0,
	LSM_DENY_UNKNOWN_AGENT = 1,
	LSM_DENY_RULE = 2, /* the policy forbids this file */
	LSM_DENY_UNLISTED = 3, /* a program that is not on the policy's list */
	LSM_DENY_FILESYSTEM = 4, /* a file system that steers the kernel: cgroup, bpf, debug */
	LSM_DENY_SOCKET = 5, /* a kind of socket that no rule can speak of */
	LSM_DENY_ACT = 6, /* what no agent ever does */
	LSM_DENY_LEFT = 7, /* the guard's */
	LSM_VERDICTS,
};

/* A record of `lsm_denials`, sent at once. `sequence` counts per CPU and has a gap where the ring
 * was full. */
struct lsm_denial {
	__u64 time_ns;
	__u64 cgroup; /* of the sandbox */
	__u64 call_cgroup; /* of the task */
	__u64 sequence;
	__u64 inode; /* of the file, 0 if it is about none */
	__u32 device;
	__u32 policy;
	__u32 rule;
	__u32 pid;
	__u32 cpu;
	__u32 detail; /* of a socket: family << 16 | type; of bpf: the command; of ptrace: the mode
		       */
	__u8 hook;
	__u8 verdict;
	__u8 unused[6];
	char comm[16];
};

_Static_assert(sizeof(struct lsm_denial) == 88, "both compilers lay it out alike");

/* Per CPU, exact whether or not a record was sent; index 0 of `lsm_counts`. */
struct lsm_counters {
	__u64 denied[LSM_HOOK_SLOTS];
};

/* Denials of a sandbox that `lsm_denials` had no room for; and, user space's own, how many of them
 * are on record as lost. 64-bit counts. */
struct lsm_loss_key {
	__u64 cgroup;
	__u32 told; /* 0: lost; 1: told */
	__u32 unused;
};

/*
 * The guard (guard.bpf.c), of its own object, because it loads where there is no BPF LSM, too. Its
 * records are struct lsm_denial: `call_cgroup` is where the task went, `detail` an enum guard_way.
 * What its ring had no room for it counts in `guard_losses`, which is like `lsm_losses`.
 */
enum guard_map {
	GUARD_MAP_TASKS,
	GUARD_MAP_COUNTS,
	GUARD_MAP_DENIALS,
	GUARD_MAP_LOSSES,
	GUARD_MAPS
};

struct guard_constants {
	__u64 parent; /* cgroup whose children are the sandboxes */
	__u32 level; /* as in struct lsm_constants */
	__u32 unused;
};

enum guard_way {
	GUARD_MOVED = 1, /* it, or a sibling, moved it: whoever did it was killed */
	GUARD_MOVED_BY_ANOTHER = 2, /* it lives until it makes or executes anything */
	GUARD_FORKED = 3, /* it made a process elsewhere, or had left: it was killed */
	GUARD_EXECUTED = 4, /* it had left: it was killed */
};

/* Per CPU; index 0 of `guard_counts`. */
struct guard_counters {
	__u64 left;
	__u64 sequence;
};

/* st_dev as the kernel has it. */
#define lsm_device(major, minor) ((__u32)(major) << 20 | (__u32)(minor))
