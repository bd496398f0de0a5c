/* SPDX-License-Identifier: AGPL-3.0-only */
/* The last `max` bytes of an endless output: what a reader of a failed build wants to see. */
#pragma once

#include "daemon/base/base.h"

struct tail {
	char *data;
	size_t cap; /* grows up to max */
	size_t len;
	size_t start; /* of the oldest byte; moves once cap == max */
	size_t max;
	uint64_t total; /* bytes that ever came */
};

struct tail tail_init(size_t max);
void tail_fini(struct tail *t);
int tail_put(struct tail *t, struct span bytes) MUST_USE; /* -ENOMEM */

/* The last `keep` bytes as one piece, valid until the next call; if bytes in front of it were
 * lost, it begins at the next character (UTF-8) rather than inside one. */
struct span tail_view(struct tail *t, size_t keep);

/* How many bytes of each to show so that both fit into `max`: all if they fit, else half each,
 * and what one does not need the other may have. */
void tail_share(
	const struct tail *a, const struct tail *b, size_t max, size_t *ret_a, size_t *ret_b);
