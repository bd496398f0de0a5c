/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The link of a sandbox that has network, private to this room: a veth pair whose inner end is born
 * in the sandbox's network namespace. Every sandbox sees the same gateway, which is also its only
 * resolver's address, and has an address of its own; neighbours are fixed on both sides, so nothing
 * is asked or answered by ARP. The program net_link decides what comes out of it (bpf/net).
 *
 * IPv4 alone is routed; IPv6 is switched off on both ends.
 */
#pragma once

#include "bpf/net/net_api.h"
#include "daemon/base/base.h"
#include <netinet/in.h>

enum {
	VETH_NAME_BYTES = 16, /* IFNAMSIZ */
	VETH_RANGE_BITS = 19, /* prefix of the range: the gateway, and one address for each slot */
	VETH_FIRST = 256, /* offset of the first slot's address in it */
};
#define VETH_PREFIX "ags" /* names of the host's ends begin so: the rules of nat.h go by it */

struct veth_plan {
	int own_netns; /* the helper's, to come back to */
	int netns; /* the sandbox's */
	struct in_addr range; /* base address of the range */
	uint32_t slot;
	uint64_t cgroup; /* of the sandbox */
	int links; /* the map net_links */
	int program; /* net_link */
};

struct veth {
	uint32_t index; /* of the host's end; 0: none */
	char name[VETH_NAME_BYTES];
};

/* Makes the link, up on both ends, with the program attached before anything can pass. An older
 * link of the slot is removed first. -EOPNOTSUPP says what the kernel lacks. */
int veth_make(const struct veth_plan *p, struct veth *ret) MUST_USE;

/* Removes the link of a slot and its entry in the map; absent is success. Waits some milliseconds
 * for the kernel. */
int veth_remove(uint32_t slot, int links) MUST_USE;

/* The gateway's address, to which sockets may be bound that serve a sandbox: bind them to the
 * device, too. */
struct in_addr veth_gateway(struct in_addr range);
struct in_addr veth_address(struct in_addr range, uint32_t slot);

/* UDP and listening TCP sockets on the gateway's port 53, reachable through that slot's link alone.
 */
int veth_resolver_sockets(struct in_addr range, uint32_t slot, int *ret_udp, int *ret_tcp) MUST_USE;
