/* SPDX-License-Identifier: AGPL-3.0-only */
/* One round trip to the helper, private to this room: client.c carries, client_calls.c fills in. */
#pragma once

#include "daemon/helper/wire.h"

/* What comes back: the caller provides room for the payload. */
struct client_reply {
	int32_t code;
	uint32_t count;
	void *payload;
	size_t payload_max;
	size_t payload_bytes;
	int fds[WIRE_FDS_MAX]; /* the caller's; -1 where there is none */
	int fd_count;
};

/* Sends a request (type and bytes of its header are set here) with a tail, and waits for its reply.
 * The reply's negative code is returned with the helper's words. -EPROTO if the payload has not
 * `payload_expected` bytes (per item, where it has a count) or the descriptors are not as many. */
AWAITS int client_call(struct helper *h, enum wire_type type, struct wire_header *request,
	size_t bytes, struct span tail, struct client_reply *y, int64_t deadline_ns) MUST_USE;
void client_reply_close(struct client_reply *y);
