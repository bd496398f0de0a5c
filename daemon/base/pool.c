/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * One block of memory cut into equal objects. Objects that were never used are not touched, so a
 * pool sized for the worst day costs no memory on the others. Free objects are chained through
 * their first word and poisoned under AddressSanitizer; a bit per object finds what is given back
 * twice.
 */
#include "daemon/base/pool.h"
#include "daemon/base/asan.h"
#include "daemon/base/check.h"
#include "daemon/base/err.h"
#include <errno.h>
#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

enum { ALIGN = alignof(max_align_t) };

int pool_init(struct pool *p, size_t object_bytes, size_t count)
{
	size_t stride, total;
	*p = (struct pool){0};
	CHECK(object_bytes > 0 && count > 0);
	if (__builtin_add_overflow(
		    object_bytes, (size_t)ASAN_GAP_BYTES + sizeof(void *) + ALIGN, &stride))
		return err_raise(-ENOMEM, "pool of objects of %zu bytes", object_bytes);
	stride = MAX(object_bytes, sizeof(void *)) + ASAN_GAP_BYTES;
	stride += -stride & (ALIGN - 1);
	if (__builtin_mul_overflow(stride, count, &total))
		return err_raise(-ENOMEM, "pool of %zu times %zu bytes", count, object_bytes);
	char *memory = malloc(total);
	uint64_t *out = calloc((count + 63) / 64, sizeof(*out));
	if (!memory || !out) {
		free(memory);
		free(out);
		return err_raise(-ENOMEM, "pool of %zu times %zu bytes", count, object_bytes);
	}
	asan_poison(memory, total);
	*p = (struct pool){.memory = memory,
		.out = out,
		.object_bytes = object_bytes,
		.stride = stride,
		.count = count};
	return 0;
}

void pool_fini(struct pool *p)
{
	CHECK(p->used == 0);
	free(p->memory);
	free(p->out);
	*p = (struct pool){0};
}

void *pool_get(struct pool *p)
{
	char *object;
	if (p->free_list) {
		object = p->free_list;
		asan_unpoison(object, MAX(p->object_bytes, sizeof(void *)));
		memcpy(&p->free_list, object, sizeof(p->free_list));
	} else if (p->fresh < p->count) {
		object = p->memory + p->stride * p->fresh++;
	} else {
		return NULL;
	}
	size_t index = (size_t)(object - p->memory) / p->stride;
	p->out[index / 64] |= UINT64_C(1) << (index % 64);
	p->used++;
	asan_poison(object, p->stride);
	asan_unpoison(object, p->object_bytes);
	return memset(object, 0, p->object_bytes);
}

void pool_put(struct pool *p, void *object)
{
	if (!object)
		return;
	size_t offset = (size_t)((char *)object - p->memory);
	size_t index = offset / p->stride;
	uint64_t bit = UINT64_C(1) << (index % 64);
	CHECK(index < p->count && offset % p->stride == 0);
	CHECK(p->out[index / 64] & bit);
	p->out[index / 64] &= ~bit;
	p->used--;
	asan_unpoison(object, MAX(p->object_bytes, sizeof(void *)));
	memcpy(object, &p->free_list, sizeof(p->free_list));
	p->free_list = object;
	asan_poison(object, p->stride);
}
