/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * What the child needs on its way from the helper to aegis-bootstrap, private to this room. The
 * child shares the helper's memory until execve and reads the plan there; it allocates nothing.
 */
#pragma once

#include "daemon/confine/confine.h"
#include "daemon/helper/cgroup.h"
#include "daemon/helper/launch.h"
#include <sys/resource.h>

/*
 * Descriptors that the child takes along stand at fixed low numbers, so that its private copy of
 * the table is small however many sandboxes the helper holds. The helper keeps these numbers
 * reserved; what launch.h promises to aegis-bootstrap is put at 0..8 in the child.
 */
enum plan_fd {
	PLAN_FD_FIRST = 16,
	PLAN_FD_NULL = PLAN_FD_FIRST,
	PLAN_FD_LOG,
	PLAN_FD_CONTROL,
	PLAN_FD_KEEP_CONTROL,
	PLAN_FD_KEEP_LISTENER,
	PLAN_FD_KEEP_GUARD,
	PLAN_FD_KEEP_GUARD_LAST = PLAN_FD_KEEP_GUARD + 2,
	PLAN_FD_BOOTSTRAP,
	PLAN_FD_ROOT, /* mount namespace of the runtime's template */
	PLAN_FD_NET,
	PLAN_FD_USER,
	PLAN_FD_SOCKET, /* detached mount of the dispatch socket */
	PLAN_FD_JOIN, /* CGROUP_V1_MAX of them */
	PLAN_FD_END = PLAN_FD_JOIN + CGROUP_V1_MAX,
};

enum { PLAN_MASKS_MAX = 24, PLAN_LIMITS = 3 };

struct plan_mask {
	const char *path;
	bool folder;
};

struct launch_plan {
	int cgroup; /* directory in the v2 hierarchy */
	int join_count; /* v1 directories to join */
	bool from_seat; /* the caller is a child of the helper's, which is to be the parent */
	char tmp_options[128]; /* of the two tmpfs mounts */
	char shm_options[128];
	const struct plan_mask *masks;
	size_t mask_count;
	struct {
		int resource;
		struct rlimit limit;
	} limits[PLAN_LIMITS];
	const struct seccomp_program *seccomp;
	bool spared; /* the helper's oom_score_adj is negative, and must not be inherited */

	/* Filled by the child: the step that failed, NULL if it reached execve. */
	const char *volatile failed_step;
	volatile int failed_errno;
};

/* Takes the way; returns in the parent when the child runs aegis-bootstrap or has failed.
 * `stack` ends at the address given. -errno if there is no child; else *ret_pid and *ret_pidfd are
 * the caller's, also of a child that failed (plan->failed_step). */
int launch_child_start(
	struct launch_plan *plan, void *stack_end, pid_t *ret_pid, int *ret_pidfd) MUST_USE;

/* clone3 whose child calls run(arg) on the new stack, which must never return. -errno in the parent
 * if there is no child, else its pid. Sets no errno. */
struct clone_args;
long launch_clone(struct clone_args *args, size_t bytes, void (*run)(void *arg), void *arg);

/* What hides in /proc on this kernel: OCI's list, as far as it exists. What OCI makes read-only is
 * so already, because all of /proc is. */
size_t launch_masks(struct plan_mask ret[PLAN_MASKS_MAX]);
