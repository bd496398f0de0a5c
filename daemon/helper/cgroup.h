/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Cgroups of sandboxes, private to this room. A sandbox has one directory in the v2 hierarchy,
 * which names it for the kernel (kill, freeze, BPF) and carries its mark; where the v2 hierarchy
 * has no controllers (hybrid hosts) it has one more of the same name in each v1 controller. All of
 * them lie below one parent, given at start, which stands outside the helper's own unit: sandboxes
 * outlive the helper.
 */
#pragma once

#include "daemon/helper/helper.h"

enum {
	CGROUP_V1_MAX = 3, /* cpu, memory, pids */
	CGROUP_NAME_BYTES = 40,
};

struct cgroup_host {
	enum helper_cgroup_mode mode;
	int v2; /* the parent directory in the v2 hierarchy */
	int v1[CGROUP_V1_MAX]; /* the parent in each controller, -1 on pure v2 */
};

/* Finds the hierarchies and makes `parent` (relative, several components allowed) in each, with
 * its controllers enabled. -EOPNOTSUPP names the controller that is missing. */
int cgroup_host_open(struct cgroup_host *h, const char *parent) MUST_USE;
void cgroup_host_close(struct cgroup_host *h);

struct cgroup_dirs {
	int v2; /* directory, for reading */
	uint64_t id; /* of it, as the kernel numbers it */
	int join[CGROUP_V1_MAX]; /* cgroup.procs of the v1 directories, for writing; -1: none */
};
int cgroup_make(const struct cgroup_host *h, const char *name, struct cgroup_dirs *ret) MUST_USE;
void cgroup_dirs_close(struct cgroup_dirs *d);

int cgroup_limit(
	const struct cgroup_host *h, const char *name, const struct helper_limits *limits) MUST_USE;

/* Kills everything in and below it. */
int cgroup_kill(int v2_dir) MUST_USE;

/* Whether any process is in or below it; true if that cannot be read. */
bool cgroup_populated(int v2_dir);

/* Waits until nothing is in it, at most that long. False if something still is. */
bool cgroup_wait_empty(int v2_dir, int timeout_ms);

/* Removes the v1 directories only, or all with what lies below. -EBUSY while a process of it has
 * not gone yet: try again later. Absent is success. */
int cgroup_remove_v1(const struct cgroup_host *h, const char *name) MUST_USE;
int cgroup_remove(const struct cgroup_host *h, const char *name) MUST_USE;

/* What it has used so far; fields that the host does not tell are 0. */
struct helper_usage cgroup_usage(const struct cgroup_host *h, const char *name, int v2_dir);

/* ---- the mark: what a restarted helper must know, in an xattr that only root may change ---- */

enum { MARK_MAGIC = 0x41474d31, MARK_VERSION = 5, MARK_VOLUMES = 1 + HELPER_PLACES_MAX };

enum mark_state {
	MARK_PREPARED = 1, /* nobody's yet: a restarted helper removes it */
	MARK_RUNNING = 2,
	MARK_ENDED = 3,
};

struct mark {
	uint32_t magic;
	uint32_t version;
	uint64_t id;
	struct uuid execution;
	uint64_t control_cookie; /* SO_COOKIE of the helper's end and of the listener */
	uint64_t listener_cookie;
	uint64_t cpu_us; /* usage, once ended */
	uint64_t memory_peak_bytes;
	uint64_t oom_kills;
	uint32_t state;
	uint32_t iteration;
	uint32_t slot;
	int32_t pid;
	uint32_t end;
	int32_t end_status;
	uint32_t network; /* 1: it has a link */
	uint32_t files; /* enum helper_files */
	uint32_t volume_count;
	uint32_t writes; /* bit n: it may write to volumes[n] */
	uint32_t strict; /* 1: its recording is */
	uint32_t unused;
	struct uuid volumes[MARK_VOLUMES]; /* its workspace, then those below */
};

int cgroup_mark_set(int v2_dir, const struct mark *m) MUST_USE;
int cgroup_mark_get(int v2_dir, struct mark *ret) MUST_USE; /* -ENODATA: none that is valid */

/* Small files of a directory: one write, one read. */
int cgroup_write(int dir, const char *file, const char *text) MUST_USE;
int cgroup_read(int dir, const char *file, char *ret, size_t bytes) MUST_USE; /* NUL-terminated */
