/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * A growing byte buffer with a hard maximum. Writers do not return errors: the first one that does
 * not fit marks the buffer as failed, later ones do nothing, and the caller asks once at the end.
 *
 *	struct buf b CLEANUP(buf_fini) = buf_init(LIMIT_REPLY_BYTES);
 *	buf_printf(&b, "%d", n);
 *	r = buf_error(&b);
 */
#pragma once

#include "daemon/base/span.h"

struct buf {
	char *data; /* not NUL-terminated; see buf_cstr */
	size_t len;
	size_t cap;
	size_t max; /* bytes; never exceeded */
	int error; /* 0, -E2BIG beyond max, -ENOMEM */
};

static inline struct buf buf_init(size_t max)
{
	return (struct buf){.max = max};
}

void buf_fini(struct buf *b); /* wipes nothing; for secrets see secret.h */
void buf_reset(struct buf *b); /* empties and clears the error, keeps the memory */
void buf_put(struct buf *b, const void *p, size_t n);
void buf_puts(struct buf *b, const char *s);
void buf_putc(struct buf *b, char c);
void buf_span(struct buf *b, struct span s);
void buf_printf(struct buf *b, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Big-endian integers, as XDR and most wire formats want them. */
void buf_u16be(struct buf *b, uint16_t v);
void buf_u32be(struct buf *b, uint32_t v);
void buf_u64be(struct buf *b, uint64_t v);

/* Room for n bytes at the end, to be filled by the caller and then counted with buf_commit.
 * NULL (and failed) if it does not fit. */
void *buf_reserve(struct buf *b, size_t n);
void buf_commit(struct buf *b, size_t n);

/* Drop n bytes from the front (n <= len). */
void buf_consume(struct buf *b, size_t n);

static inline struct span buf_view(const struct buf *b)
{
	return (struct span){b->data, b->len};
}

/* 0, or the negative errno of the first write that failed, with a trail. */
int buf_error(const struct buf *b) MUST_USE;

/* Adds a NUL behind the content (not counted) and returns it; NULL if the buffer has failed. */
const char *buf_cstr(struct buf *b);

/* Hands the NUL-terminated content over to the caller (free()); NULL if the buffer has failed. */
char *buf_take(struct buf *b);
