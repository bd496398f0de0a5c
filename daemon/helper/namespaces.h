/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Namespaces that are made ahead and held as descriptors, private to this room. All are owned by
 * the host's user namespace, so that no capability inside a sandbox reaches them.
 */
#pragma once

#include "daemon/base/base.h"

/*
 * A user namespace in which the one id `inside` is the host's `uid` and `gid`, nothing else is
 * mapped. Serves two ends: a sandbox enters one (inside = LAUNCH_UID, inhabited), in which no
 * further namespace of any kind can be made (user.max_*_namespaces 0); and an idmapped mount refers
 * to one (inside = the owner on disk), which nobody ever enters.
 */
int userns_make(uid_t inside_uid, gid_t inside_gid, uid_t uid, gid_t gid, bool inhabited,
	int *ret_fd) MUST_USE;

/* Network namespaces with nothing but lo, which is up. Each serves one sandbox. */
struct netpool {
	int own; /* the helper's own, to come back to */
	int *fds;
	size_t count;
	size_t capacity;
};

int netpool_init(struct netpool *p, size_t capacity) MUST_USE;
void netpool_fini(struct netpool *p);
int netpool_take(struct netpool *p, int *ret_fd) MUST_USE; /* makes one if the pool is empty */

/* Makes one more if the pool is not full: for idle moments. True if it did. */
bool netpool_refill_one(struct netpool *p);
