/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * A fixed number of equal objects, sized when the program starts. An empty pool is back-pressure:
 * the caller answers "busy" in its protocol's words. One thread only.
 */
#pragma once

#include "daemon/base/annotate.h"

struct pool {
	char *memory; /* NULL before pool_init */
	void *free_list;
	uint64_t *out; /* bit n: object n is handed out */
	size_t object_bytes;
	size_t stride; /* bytes from one object to the next */
	size_t count;
	size_t used;
	size_t fresh; /* objects from this one on were never handed out */
};

int pool_init(struct pool *p, size_t object_bytes, size_t count) MUST_USE; /* -ENOMEM */
void pool_fini(struct pool *p); /* every object must be back; a zeroed pool is allowed */
void *pool_get(struct pool *p); /* zeroed; NULL if none is left */
void pool_put(struct pool *p, void *object); /* NULL is allowed; twice, or a stranger, is a CHECK */
