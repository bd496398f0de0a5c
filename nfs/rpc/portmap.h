/* SPDX-License-Identifier: AGPL-3.0-only */
/* The port mapper, version 2 (RFC 1833, section 3), as far as a server needs it. */
#pragma once

#include "nfs/rpc/rpc.h"

enum { PORTMAP_PROGRAM = 100000, PORTMAP_V2 = 2, PORTMAP_PORT = 111, PORTMAP_TCP = 6 };
enum portmap_proc { PORTMAP_NULL = 0, PORTMAP_SET = 1, PORTMAP_UNSET = 2, PORTMAP_GETPORT = 3 };

struct portmap_mapping {
	uint32_t prog;
	uint32_t vers;
	uint32_t prot; /* PORTMAP_TCP */
	uint32_t port;
};

/* Arguments of SET, UNSET and GETPORT. SET and UNSET answer a bool, GETPORT a number. */
void portmap_mapping(struct xdr *x, struct portmap_mapping *m);
