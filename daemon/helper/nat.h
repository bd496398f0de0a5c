/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The node's packet filter for sandboxes' links, private to this room: one nftables table.
 * Sandboxes reach neither each other nor the node's own addresses (but the resolver's port),
 * nothing reaches them but answers, the node's own programs do not reach their resolvers, and what
 * goes out carries the node's address.
 */
#pragma once

#include "daemon/base/base.h"
#include <netinet/in.h>

/* Makes the table anew, in one transaction, and lets the node forward. If it did not forward
 * before, it goes on to forward nobody's packets but the sandboxes'. -EOPNOTSUPP says what the
 * kernel lacks. */
int nat_open(struct in_addr range) MUST_USE;

/* Takes the table away: no sandbox with network may live. Forwarding stays as it is. */
void nat_close(struct in_addr range);
