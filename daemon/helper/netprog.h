/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The network programs (bpf/net), loaded and attached, private to this room. They hang on the
 * cgroup that is the parent of all sandboxes, by BPF_PROG_ATTACH: the kernel keeps them and their
 * maps as long as that cgroup exists, whoever dies, and they go with it. A restarted helper finds
 * them there and goes on with the same maps; no file could be forgotten or taken away.
 */
#pragma once

#include "bpf/net/net_api.h"
#include "daemon/base/base.h"

struct netprog {
	int maps[NET_MAPS]; /* descriptors by enum net_map */
	int link; /* the program for the host's end of a link */
	int egress; /* the program that decides what leaves; attached already */
	uint32_t instructions; /* of all programs, as the kernel translated them */
};

/*
 * Loads the programs and attaches them to the cgroup whose directory is `cgroup`; its children, at
 * `level` below the hierarchy's root, are the sandboxes. Programs of an earlier helper are replaced
 * one by one, each in one step, and their maps kept: at no instant is a sandbox without them.
 * -EOPNOTSUPP says what this kernel lacks; -EBUSY if maps of another layout are in use there: the
 * sandboxes must end first.
 */
int netprog_open(int cgroup, uint32_t level, struct netprog *ret) MUST_USE;

/* Loads without attaching anything: probes and tests. */
int netprog_load(uint32_t level, struct netprog *ret) MUST_USE;

void netprog_close(struct netprog *n); /* descriptors only; what is attached stays */

/* Takes them off the cgroup: no sandbox may live. */
void netprog_detach(int cgroup);
