/* SPDX-License-Identifier: AGPL-3.0-only */
/* Telling this host's port mapper (rpcbind) where NFS and MOUNT are, for clients that ask it. */
#pragma once

#include "daemon/base/base.h"

/* Blocks for a second at most. -ECONNREFUSED or -ETIMEDOUT: there is none; -EPERM: it refuses. */
int nfs_portmap_set(uint16_t port) MUST_USE;
void nfs_portmap_unset(void); /* failures are ignored */
