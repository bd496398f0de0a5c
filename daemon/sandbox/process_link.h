/* SPDX-License-Identifier: AGPL-3.0-only */
/* The connection to the helper that the process driver's fibers share, made again when lost. */
#pragma once

#include "daemon/helper/helper.h"

struct process_link; /* one connection; freed when its last user is gone */

struct process_links {
	char socket_path[108];
	struct process_link *current; /* NULL: none, the next call makes one */
	bool connecting;
	struct waitq waiters; /* for the fiber that is connecting */
};

void process_links_init(struct process_links *l);
AWAITS void process_links_fini(struct process_links *l); /* no call may be under way */

/* Each request is a struct that begins with this. */
struct process_request {
	int (*fn)(struct helper *h, struct process_request *q, int64_t deadline_ns);
	bool repeated; /* an earlier attempt may have been carried out */
};

/* Runs q->fn over the connection, and again over a new one if the helper went away meanwhile.
 * -ENOTCONN: it stayed away until the deadline. */
AWAITS int process_ask(
	struct process_links *l, struct process_request *q, int64_t deadline_ns) MUST_USE;
