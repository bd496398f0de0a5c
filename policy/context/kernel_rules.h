/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * What a policy says to the kernel, in neutral terms (decisions, [15]): daemon/sensor turns it into
 * map entries, daemon/sandbox into seccomp and Landlock. Every rule names the policy that it comes
 * from. Forbid wins over permit, and what no rule permits is denied.
 */
#pragma once

#include "daemon/base/base.h"

/* One rule about whom a sandbox may talk to: an address range or a name, never both. */
struct kernel_net_rule {
	bool forbid;
	uint8_t protocol; /* IPPROTO_TCP, IPPROTO_UDP; 0: both */
	uint16_t port_first; /* inclusive; any: 0..65535 */
	uint16_t port_last;
	uint8_t address[16]; /* IPv4 as ::ffff:a.b.c.d; bits beyond prefix_bits are 0 */
	uint8_t prefix_bits; /* of 128: an IPv4 /24 is 120 */
	struct span name; /* "example.org", "*.example.org" (one label or more in front), "*";
			     lower case; empty: the address range holds */
	struct span policy_id;
};

struct kernel_rules {
	const struct kernel_net_rule *net;
	size_t net_count;
};
