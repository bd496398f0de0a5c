/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Buffers are made when first needed and kept. The one that came back last goes out first, so that
 * a server with one busy connection works in memory that is in the caches.
 */
#include "nfs/server/internal.h"
#include <stdlib.h>

int buffers_init(struct buffers *b, int max)
{
	*b = (struct buffers){.max = max};
	waitq_init(&b->waiting);
	b->idle = calloc((size_t)max, sizeof(*b->idle));
	return b->idle ? 0 : err_raise(-ENOMEM, "memory for %d buffers", max);
}

void buffers_fini(struct buffers *b)
{
	CHECK(b->idle_count == b->made);
	for (int i = 0; i < b->idle_count; i++)
		free(b->idle[i]);
	free(b->idle);
	b->idle = NULL;
}

char *buffers_try(struct buffers *b)
{
	if (b->idle_count > 0)
		return b->idle[--b->idle_count];
	if (b->made == b->max)
		return NULL;
	char *p = malloc(BUFFER_BYTES);
	if (p)
		b->made++;
	return p;
}

int buffers_get(struct buffers *b, char **ret, int64_t deadline_ns)
{
	char *p;
	while (!(p = buffers_try(b))) {
		int r = waitq_wait(&b->waiting, deadline_ns);
		if (r < 0)
			return r;
	}
	*ret = p;
	return 0;
}

void buffers_put(struct buffers *b, char *p)
{
	if (!p)
		return;
	b->idle[b->idle_count++] = p;
	(void)waitq_wake_one(&b->waiting);
}
