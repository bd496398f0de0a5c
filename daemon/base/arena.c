/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * An arena is a chain of blocks of growing size; allocations are cut off the newest block. What
 * is larger than a quarter of the next block gets one of its own, in a second chain, so that the
 * rest of the newest block stays in use.
 *
 * `used` counts the bytes that were asked for, rounded up to the alignment asked for, and is what
 * the limit bounds: the memory behind it stays below twice that, and one block.
 * Under AddressSanitizer everything not handed out is poisoned, with a gap behind each allocation.
 */
#include "daemon/base/arena.h"
#include "daemon/base/asan.h"
#include <stdalign.h>
#include <stdio.h>
#include <stdlib.h>

enum {
	ALIGN = alignof(max_align_t),
	FIRST_BLOCK_BYTES = 4096,
	LARGEST_BLOCK_BYTES = 256 * 1024,
};

struct block {
	alignas(ALIGN) struct block *older;
	size_t bytes; /* behind this header */
};

struct arena {
	char *at; /* free bytes of the newest block: [at, end) */
	char *end;
	struct block *newest;
	struct block *first; /* the last of newest's chain; kept by arena_reset */
	struct block *large;
	size_t used;
	size_t limit;
	size_t next_bytes;
};

static char *block_data(struct block *b)
{
	return (char *)(b + 1);
}

static struct block *block_new(size_t bytes)
{
	struct block *b = malloc(sizeof(*b) + bytes);
	if (!b)
		return NULL;
	*b = (struct block){NULL, bytes};
	asan_poison(block_data(b), bytes);
	return b;
}

struct arena *arena_new(size_t limit_bytes)
{
	struct arena *a = malloc(sizeof(*a));
	if (!a)
		return NULL;
	*a = (struct arena){.limit = limit_bytes, .next_bytes = FIRST_BLOCK_BYTES};
	return a;
}

static void blocks_free(struct block *b, const struct block *keep)
{
	while (b) {
		struct block *older = b->older;
		if (b != keep)
			free(b);
		b = older;
	}
}

struct arena *arena_free(struct arena *a)
{
	if (a) {
		blocks_free(a->newest, NULL);
		blocks_free(a->large, NULL);
		free(a);
	}
	return NULL;
}

void arena_cleanup(struct arena **a)
{
	*a = arena_free(*a);
}

void arena_reset(struct arena *a)
{
	blocks_free(a->newest, a->first);
	blocks_free(a->large, NULL);
	a->large = NULL;
	a->newest = a->first;
	a->at = a->end = NULL;
	a->used = 0;
	a->next_bytes = FIRST_BLOCK_BYTES;
	if (!a->first)
		return;
	a->at = block_data(a->first);
	a->end = a->at + a->first->bytes;
	asan_poison(a->at, a->first->bytes);
}

size_t arena_used(const struct arena *a)
{
	return a->used;
}

size_t arena_left(const struct arena *a)
{
	return a->limit - a->used;
}

/* n bytes from a block that is not there yet. n is at most the limit. */
COLD static char *from_new_block(struct arena *a, size_t n)
{
	bool alone = n > a->next_bytes / 4;
	struct block *b = block_new(alone ? n : a->next_bytes);
	if (!b)
		return NULL;
	if (alone) {
		b->older = a->large;
		a->large = b;
		return block_data(b);
	}
	b->older = a->newest;
	a->newest = b;
	if (!a->first)
		a->first = b;
	a->at = block_data(b) + n;
	a->end = block_data(b) + b->bytes;
	a->next_bytes = MIN(a->next_bytes * 2, (size_t)LARGEST_BLOCK_BYTES);
	return block_data(b);
}

static char *cut(struct arena *a, size_t bytes, size_t align)
{
	size_t cost = bytes + (-bytes & (align - 1));
	size_t n = cost + ASAN_GAP_BYTES;
	if (cost < bytes || n < cost || cost > a->limit - a->used)
		return NULL;
	size_t pad = -(uintptr_t)a->at & (align - 1);
	char *p;
	if (a->at && pad <= (size_t)(a->end - a->at) && n <= (size_t)(a->end - a->at) - pad) {
		p = a->at + pad;
		a->at = p + n;
	} else {
		p = from_new_block(a, n);
		if (!p)
			return NULL;
	}
	a->used += cost;
	asan_unpoison(p, bytes);
	return p;
}

void *arena_alloc(struct arena *a, size_t bytes)
{
	char *p = cut(a, bytes, ALIGN);
	return p ? memset(p, 0, bytes) : NULL;
}

void *arena_alloc_array(struct arena *a, size_t count, size_t bytes)
{
	size_t total;
	return __builtin_mul_overflow(count, bytes, &total) ? NULL : arena_alloc(a, total);
}

void *arena_raw(struct arena *a, size_t bytes)
{
	return cut(a, bytes, ALIGN);
}

char *arena_bytes(struct arena *a, size_t bytes)
{
	return cut(a, bytes, 1);
}

char *arena_cstr(struct arena *a, struct span s)
{
	char *copy = s.n < SIZE_MAX ? arena_bytes(a, s.n + 1) : NULL;
	if (!copy)
		return NULL;
	if (s.n > 0)
		memcpy(copy, s.p, s.n);
	copy[s.n] = '\0';
	return copy;
}

char *arena_strdup(struct arena *a, const char *s)
{
	return arena_cstr(a, span_cstr(s));
}

struct span arena_span(struct arena *a, struct span s)
{
	char *copy = arena_cstr(a, s);
	return copy ? span_of(copy, s.n) : (struct span){NULL, 0};
}

char *arena_vprintf(struct arena *a, const char *fmt, va_list args)
{
	va_list again;
	va_copy(again, args);
	int n = vsnprintf(NULL, 0, fmt, args);
	char *text = n < 0 ? NULL : arena_bytes(a, (size_t)n + 1);
	if (text)
		vsnprintf(text, (size_t)n + 1, fmt, again);
	va_end(again);
	return text;
}

char *arena_printf(struct arena *a, const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	char *text = arena_vprintf(a, fmt, args);
	va_end(args);
	return text;
}
