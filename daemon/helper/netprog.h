/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The network programs (bpf/net), loaded and attached as progset.h does it, private to this room.
 */
#pragma once

#include "bpf/net/net_api.h"
#include "daemon/base/base.h"

enum { NETPROG_HOOKS = 9 };

struct netprog {
	int maps[NET_MAPS]; /* descriptors by enum net_map */
	int hooks[NETPROG_HOOKS]; /* programs for the cgroup; the first decides what leaves */
	int link; /* the program for the host's end of a link */
	uint32_t instructions; /* of all programs, as the kernel translated them */
};

/*
 * Loads the programs. If an earlier helper's hang on the cgroup (its directory; -1: none), their
 * maps are used. The cgroup's children, at the level of the constants, are the sandboxes.
 * -EOPNOTSUPP says what this kernel lacks; -EBUSY if maps of another layout are in use there: the
 * sandboxes must end first.
 */
int netprog_load(int cgroup, const struct net_constants *constants, struct netprog *ret) MUST_USE;
void netprog_close(struct netprog *n); /* descriptors only; what is attached stays */

/* Attaches them. Those of an earlier helper are replaced one by one, each in one step: at no
 * instant is a sandbox without them. -EOPNOTSUPP as above. */
int netprog_attach(const struct netprog *n, int cgroup) MUST_USE;

bool netprog_is_attached(int cgroup);

/* Takes them off the cgroup: no sandbox with network may live. */
void netprog_detach(int cgroup);
