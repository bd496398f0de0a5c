/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The network of sandboxes, private to this room: links (veth.h), the node's packet filter (nat.h)
 * and the programs that decide (netprog.h). The programs hang on the cgroups only while a sandbox
 * with network lives; meanwhile every sandbox has an entry there, for without one it could not even
 * use its own loopback.
 */
#pragma once

#include "daemon/helper/cgroup.h"
#include "daemon/helper/netprog.h"
#include <netinet/in.h>

struct network {
	struct in_addr range; /* 0: this helper gives no network */
	struct net_constants constants;
	bool loaded;
	bool attached;
	struct netprog programs; /* once loaded */
	size_t links; /* sandboxes that have one */
};

/* `range` 0: none. `cgroup`: the parent of sandboxes, whose programs of an earlier helper are taken
 * over. */
int network_open(
	struct network *n, struct in_addr range, const char *cgroup_parent, int cgroup) MUST_USE;
/* What /etc/resolv.conf says in every sandbox: the same gateway for all of them. */
void network_resolv_conf(struct in_addr range, char *ret, size_t room);

void network_close(struct network *n); /* what is attached stays */

/* Loads the programs, so that policies can be entered. -EOPNOTSUPP says what is missing: the option
 * of this helper, or of this kernel. */
int network_ready(struct network *n, int cgroup) MUST_USE;

/* The sandbox may use its loopback, under no policy yet. Nothing to do while nothing is attached.
 */
int network_admit(struct network *n, uint64_t cgroup_id, uint32_t slot) MUST_USE;
void network_dismiss(struct network *n, uint64_t cgroup_id);

/* Before the first link: all sandboxes must have been admitted with admit_all first. */
int network_attach(struct network *n, int cgroup) MUST_USE;

struct network_link {
	int own_netns;
	int netns; /* of the sandbox */
	uint32_t slot;
	uint64_t cgroup_id;
	uint32_t policy; /* that aegisd entered */
};
int network_link(struct network *n, const struct network_link *l) MUST_USE;

/* Takes the programs off if no sandbox has a link. */
void network_settle(struct network *n, int cgroup);

/* Takes the link away, and with the last one the programs. */
void network_unlink(struct network *n, int cgroup, uint32_t slot);

/* Sockets of the sandbox's resolver: what it asks arrives there and nowhere else. */
int network_resolver(const struct network *n, uint32_t slot, int *ret_udp, int *ret_tcp) MUST_USE;
