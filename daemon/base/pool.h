/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * A fixed number of equal objects, sized when the program starts. An empty pool is back-pressure:
 * the caller answers "busy" in its protocol's words. One thread only.
 */
#pragma once

#include "daemon/base/annotate.h"

struct pool {
	void *memory;
	void *free_list;
	size_t object_bytes;
	size_t count;
	size_t used;
};

int pool_init(struct pool *p, size_t object_bytes, size_t count) MUST_USE; /* -ENOMEM */
void pool_fini(struct pool *p); /* every object must be back */
void *pool_get(struct pool *p); /* zeroed; NULL if none is left */
void pool_put(struct pool *p, void *object); /* NULL is allowed */
