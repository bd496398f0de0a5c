/* SPDX-License-Identifier: AGPL-3.0-only */
/* What the files of the process driver share. */
#pragma once

#include "daemon/helper/helper.h"
#include "daemon/sandbox/sandbox.h"

struct process_driver {
	struct sandbox_driver base;
	const struct runtime_registry *registry;
	struct helper_link *link; /* the daemon's */
};

struct process_sandbox {
	struct sandbox base;
	int pidfd; /* -1: it had ended when it was adopted */
};

static inline struct process_driver *process_driver_of(struct sandbox_driver *d)
{
	return container_of(d, struct process_driver, base);
}

AWAITS int process_start(struct sandbox_driver *d, const struct sandbox_spec *spec,
	struct sandbox **ret, int64_t deadline_ns) MUST_USE;
AWAITS int process_workspace_open(
	struct sandbox_driver *d, struct uuid execution, int *ret_fd, int64_t deadline_ns) MUST_USE;

/* A sandbox of this process for one of the helper's. Takes the descriptors; the state becomes what
 * was found. */
int process_take(struct sandbox_driver *d, const struct helper_sandbox *h,
	struct helper_sandbox_fds *fds, struct sandbox **ret) MUST_USE;
