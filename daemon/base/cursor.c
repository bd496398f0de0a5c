/* SPDX-License-Identifier: AGPL-3.0-only */
/* Binary fields off a span, big-endian. A bad cursor stands at its end, so every read fails. */
#include "daemon/base/cursor.h"
#include <endian.h>

static bool take(struct cursor *c, void *ret, size_t n)
{
	if (__builtin_expect(n > cursor_left(c), 0)) {
		c->bad = true;
		c->p = c->end;
		return false;
	}
	memcpy(ret, c->p, n);
	c->p += n;
	return true;
}

uint8_t cursor_u8(struct cursor *c)
{
	uint8_t v;
	return take(c, &v, sizeof(v)) ? v : 0;
}

uint16_t cursor_u16be(struct cursor *c)
{
	uint16_t v;
	return take(c, &v, sizeof(v)) ? be16toh(v) : 0;
}

uint32_t cursor_u32be(struct cursor *c)
{
	uint32_t v;
	return take(c, &v, sizeof(v)) ? be32toh(v) : 0;
}

uint64_t cursor_u64be(struct cursor *c)
{
	uint64_t v;
	return take(c, &v, sizeof(v)) ? be64toh(v) : 0;
}

struct span cursor_bytes(struct cursor *c, size_t n)
{
	if (c->bad || n > cursor_left(c)) {
		c->bad = true;
		c->p = c->end;
		return (struct span){NULL, 0};
	}
	struct span s = {c->p, n};
	if (n > 0)
		c->p += n;
	return s;
}
