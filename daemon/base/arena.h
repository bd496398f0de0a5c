/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Memory that lives as long as one request. Nothing is freed on its own. An arena has a limit,
 * given when it is made; beyond it allocations return NULL, which callers turn into -ENOMEM: that
 * is the bound on what one request can cost.
 */
#pragma once

#include "daemon/base/span.h"
#include <stdarg.h>

struct arena;

struct arena *arena_new(size_t limit_bytes); /* NULL if out of memory */
struct arena *arena_free(struct arena *a); /* always NULL */
void arena_cleanup(struct arena **a); /* for CLEANUP */

/* Forgets all allocations, keeps the first block for the next request. */
void arena_reset(struct arena *a);
size_t arena_used(const struct arena *a); /* bytes handed out since new or reset */
size_t arena_left(const struct arena *a); /* bytes until the limit */

/* Zeroed, aligned for any type. NULL beyond the limit or out of memory. */
void *arena_alloc(struct arena *a, size_t bytes);
void *arena_alloc_array(struct arena *a, size_t count, size_t bytes); /* NULL on overflow too */
#define arena_make(a, type) ((type *)arena_alloc((a), sizeof(type)))
#define arena_make_array(a, type, count) ((type *)arena_alloc_array((a), (count), sizeof(type)))

/* Aligned for any type, not zeroed: for what is filled at once. */
void *arena_raw(struct arena *a, size_t bytes);

/* Unaligned and not zeroed: for bytes. */
char *arena_bytes(struct arena *a, size_t bytes);

/* Copies; the char * forms are NUL-terminated. NULL as above; the span form then has p == NULL. */
char *arena_strdup(struct arena *a, const char *s);
char *arena_cstr(struct arena *a, struct span s);
struct span arena_span(struct arena *a, struct span s);
char *arena_printf(struct arena *a, const char *fmt, ...) PRINTF_LIKE(2, 3);
char *arena_vprintf(struct arena *a, const char *fmt, va_list args);
