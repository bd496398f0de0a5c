/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Growing buffers. Invariants: len <= cap <= max; the memory has cap + 1 bytes, so that buf_cstr
 * always finds room for its NUL; once error is set nothing is written until buf_reset.
 */
#include "daemon/base/buf.h"
#include "daemon/base/check.h"
#include "daemon/base/err.h"
#include <endian.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { FIRST_BYTES = 120 };

void buf_fini(struct buf *b)
{
	free(b->data);
	*b = (struct buf){.max = b->max};
}

void buf_reset(struct buf *b)
{
	b->len = 0;
	b->error = 0;
}

/* Room for n more bytes, or false with the buffer failed. */
COLD static bool grow(struct buf *b, size_t n)
{
	if (b->error)
		return false;
	size_t need;
	if (__builtin_add_overflow(b->len, n, &need) || need > b->max || need == SIZE_MAX) {
		b->error = -E2BIG;
		return false;
	}
	size_t cap = MAX(need, b->cap > SIZE_MAX / 4 ? need : b->cap * 2);
	cap = MIN(MAX(cap, (size_t)FIRST_BYTES), b->max);
	char *data = realloc(b->data, cap + 1);
	if (!data) {
		b->error = -ENOMEM;
		return false;
	}
	b->data = data;
	b->cap = cap;
	return true;
}

static bool room(struct buf *b, size_t n)
{
	if (__builtin_expect(!b->error && b->data && n <= b->cap - b->len, 1))
		return true;
	return grow(b, n);
}

void buf_put(struct buf *b, const void *p, size_t n)
{
	if (n == 0 || !room(b, n))
		return;
	memcpy(b->data + b->len, p, n);
	b->len += n;
}

void buf_puts(struct buf *b, const char *s)
{
	buf_put(b, s, strlen(s));
}

void buf_putc(struct buf *b, char c)
{
	if (!room(b, 1))
		return;
	b->data[b->len++] = c;
}

void buf_span(struct buf *b, struct span s)
{
	buf_put(b, s.p, s.n);
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
	va_list args;
	if (!room(b, 0))
		return;
	for (;;) {
		size_t space = b->cap - b->len + 1;
		va_start(args, fmt);
		int n = vsnprintf(b->data + b->len, space, fmt, args);
		va_end(args);
		if (n < 0) {
			b->error = -E2BIG;
			return;
		}
		if ((size_t)n < space) {
			b->len += (size_t)n;
			return;
		}
		if (!room(b, (size_t)n))
			return;
	}
}

void buf_u16be(struct buf *b, uint16_t v)
{
	v = htobe16(v);
	buf_put(b, &v, sizeof(v));
}

void buf_u32be(struct buf *b, uint32_t v)
{
	v = htobe32(v);
	buf_put(b, &v, sizeof(v));
}

void buf_u64be(struct buf *b, uint64_t v)
{
	v = htobe64(v);
	buf_put(b, &v, sizeof(v));
}

void *buf_reserve(struct buf *b, size_t n)
{
	return room(b, n) ? b->data + b->len : NULL;
}

void buf_commit(struct buf *b, size_t n)
{
	CHECK(!b->error && n <= b->cap - b->len);
	b->len += n;
}

void buf_consume(struct buf *b, size_t n)
{
	CHECK(n <= b->len);
	b->len -= n;
	if (b->len > 0 && n > 0)
		memmove(b->data, b->data + n, b->len);
}

int buf_error(const struct buf *b)
{
	if (!b->error)
		return 0;
	if (b->error == -E2BIG)
		return err_raise(-E2BIG, "too long: at most %zu bytes fit", b->max);
	return err_sys(b->error, "buffer of %zu bytes", b->len);
}

const char *buf_cstr(struct buf *b)
{
	if (!room(b, 0))
		return NULL;
	b->data[b->len] = '\0';
	return b->data;
}

char *buf_take(struct buf *b)
{
	if (!buf_cstr(b))
		return NULL;
	char *taken = TAKE_PTR(b->data);
	*b = (struct buf){.max = b->max};
	return taken;
}
