/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * What the recording programs and user space share: the layout of every map and record. They see
 * processes of sandboxes come, execute and go, and io_uring rings being made and used. Threads of a
 * process are no event: what a thread does is its process's, which every record names. They decide
 * nothing, but in strict mode whoever does what there is no room to record is killed. Times are
 * CLOCK_BOOTTIME nanoseconds.
 *
 * A sandbox is its cgroup at `level` below the root of the hierarchy. One without an entry in
 * `record_agents`, and everybody else on the host, costs one look-up and is not recorded. The entry
 * says whose it is, so that a record is attributed when it is made, whoever reads it and when; a
 * tool call is the cgroup of its own that it runs in, and `record_calls` says which.
 *
 * Accounting is exact for each sandbox: happened = recorded + full + over, for each kind. What is
 * under way while the counters are read (at most one per CPU) is in `happened` already.
 *
 * Strict mode is a sandbox's own. A tracepoint can prevent nothing, but a task that gets SIGKILL in
 * one does not return from the system call: a program that could not be recorded does not execute
 * one instruction. Of a process that could not be recorded the maker is killed at once, and it
 * itself with the first thread it makes or the first thing it does that would be recorded. What
 * happened so is in `full` or `over`. So that the ends of those that are killed have room, the last
 * sixteenth of the ring is for ends in strict sandboxes alone, and those are within every budget.
 * So that no counted sandbox can have processes of strict ones killed by filling the ring, the half
 * before that is for strict sandboxes alone; these share it.
 */
#pragma once

#include <linux/types.h>

enum {
	RECORD_AGENTS_MAX = 16384,
	RECORD_CALLS_MAX = 16384, /* the ones used last; see record_calls */
	RECORD_RING_BYTES = 16 * 1024 * 1024,
	RECORD_WAKE_BYTES = 256 * 1024, /* readers sleep until so much is there, or by their clock
					 */
	RECORD_WAKE_SLACK_BYTES = 4096, /* more than a record */
	RECORD_BUDGET = 16384, /* records of one sandbox in one second */
	RECORD_SECOND_SHIFT = 30, /* of the nanoseconds in which the budget counts */
};

/* The maps that user space gets, in the order in which their descriptors are handed over; behind
 * them the links by which the programs hang, in the order of the programs. */
enum record_map {
	RECORD_MAP_AGENTS,
	RECORD_MAP_CALLS,
	RECORD_MAP_TOLD,
	RECORD_MAP_RING,
	RECORD_MAPS,
};
enum { RECORD_HOOKS = 5 };

/* What the programs are told before they are loaded. */
struct record_constants {
	__u64 home; /* id of the cgroup whose children are the sandboxes */
	__u32 level; /* of a sandbox's own cgroup */
	__u32 unused;
};

enum record_kind {
	RECORD_FORK = 1, /* a process was made; threads are not told */
	RECORD_EXEC = 2,
	RECORD_EXIT = 3, /* the last thread of a process ended */
	RECORD_RING = 4, /* an io_uring was made */
	RECORD_REQUEST = 5, /* something was asked of a ring */
	RECORD_KINDS,
	RECORD_KIND_SLOTS = 8, /* room for counts: a new kind changes no layout */
};

/* Of one kind. */
struct record_count {
	__u64 happened;
	__u64 full; /* lost: the ring was full */
	__u64 over; /* lost: more than the budget */
};

/* Whether whoever does what cannot be recorded is killed. */
enum record_strict {
	RECORD_COUNTED = 0, /* nobody is */
	RECORD_STRICT = 1,
	RECORD_STRICT_ALL_DOOMED = 2, /* who it was could not be marked: everybody is */
};

struct record_agent {
	__u8 execution[16];
	__u32 iteration;
	__u32 budget;
	__u32 anew; /* it lived before these counters did, so they are not the whole */
	__u32 strict; /* enum record_strict */
	__u64 second; /* in which `used` counts */
	__u64 used;
	__u64 killed; /* strict: so often */
	struct record_count count[RECORD_KIND_SLOTS];
};

/* Key: the call's cgroup. Ids of cgroups are never used again, so an entry can be wrong never, and
 * the oldest ones go by themselves. */
struct record_call {
	__u8 call[16];
};

/* `record_told` is user space's own: how many lost records of a cgroup are on record as lost. It
 * lives with the counters. Under RECORD_TOLD_BEGUN: where in its journal the reader stood when it
 * began with the records that the ring begins with. */
enum { RECORD_TOLD_BEGUN = 0 }; /* no cgroup's id */

/* What each record begins with; the whole record of every kind but EXEC. */
struct record_event {
	__u64 time_ns;
	__u64 cgroup; /* of the sandbox */
	__u64 call_cgroup; /* of the task; the same if it is in no call's */
	__u64 sequence; /* of this CPU, without gaps where nothing was lost */
	__u64 start_ns; /* when the process began: with pid, its identity */
	__u64 parent_start_ns;
	__u64 value; /* EXIT: nanoseconds of CPU; RING: entries; EXEC: bytes of arguments kept;
			REQUEST: opcode */
	__u8 execution[16];
	__u8 call[16]; /* zeros: none */
	__u32 iteration;
	__u32 pid; /* of the process, as the host counts; of FORK: the new one's */
	__u32 parent_pid;
	__u32 cpu;
	__u32 status; /* EXIT: as wait(2) has it */
	__u8 kind;
	__u8 unused[3];
	char comm[16];
};

/* Texts end with NUL; one that fills its room was cut. */
struct record_exec {
	struct record_event event;
	__u64 inode; /* of the program's file (of a script: of its interpreter) */
	__u32 device; /* major << 20 | minor */
	__u32 arguments_bytes; /* of all arguments, each with its NUL */
	char path[240]; /* as it was asked for */
	char interpreter[64]; /* of a script; else empty */
	char arguments[576]; /* event.value bytes of them, the rest undefined */
};

_Static_assert(sizeof(struct record_agent) == 56 + 192, "both compilers lay it out alike");
_Static_assert(sizeof(struct record_event) == 128, "both compilers lay it out alike");
_Static_assert(sizeof(struct record_exec) == 1024, "both compilers lay it out alike");
