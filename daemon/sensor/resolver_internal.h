/* SPDX-License-Identifier: AGPL-3.0-only */
/* What the two halves of the DNS proxy share. */
#pragma once

#include "daemon/sensor/resolver.h"

/* Asks the servers in turn; q's id is not used. 0 with whatever the last one answered. -ETIME if
 * none did. */
AWAITS int resolver_ask(const struct resolver_servers *servers, const struct dns_query *q,
	struct dns_answer *ret) MUST_USE;

/* DNS over TCP: two bytes of length, and that many. *ret is malloc'ed. -E2BIG beyond max. */
AWAITS int resolver_receive(
	int fd, char **ret, size_t *ret_n, size_t max, int64_t deadline_ns) MUST_USE;
AWAITS int resolver_send(int fd, struct span message, int64_t deadline_ns) MUST_USE;
