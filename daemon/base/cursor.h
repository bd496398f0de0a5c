/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Reading binary fields off a span. The first read beyond the end marks the cursor as bad and
 * yields zeros from then on, so that a decoder reads straight through and asks once.
 */
#pragma once

#include "daemon/base/span.h"

struct cursor {
	const char *p;
	const char *end;
	bool bad;
};

static inline struct cursor cursor_of(struct span s)
{
	return (struct cursor){s.p, s.p ? s.p + s.n : s.p, false};
}

static inline size_t cursor_left(const struct cursor *c)
{
	return (size_t)(c->end - c->p);
}

uint8_t cursor_u8(struct cursor *c);
uint16_t cursor_u16be(struct cursor *c);
uint32_t cursor_u32be(struct cursor *c);
uint64_t cursor_u64be(struct cursor *c);

/* The next n bytes as a view into the input; empty and bad if there are fewer. */
struct span cursor_bytes(struct cursor *c, size_t n);

/* True if everything was read and nothing was missing. */
static inline bool cursor_done(const struct cursor *c)
{
	return !c->bad && c->p == c->end;
}
