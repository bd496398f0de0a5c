/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Every damaged copy of a valid piece of input, one after the other. Each copy has a block of its
 * own of exactly its size, so that AddressSanitizer sees a parser that reads one byte too far.
 *
 *	static void parse_it(struct span damaged, const char *what, void *arg)
 *	{
 *		int r = thing_parse(damaged, ...);
 *		assert_true(r == 0 || r == -EINVAL);
 *	}
 *	mutate(SPAN("..."), MUTATE_ALL, parse_it, NULL);
 */
#pragma once

#include "daemon/base/base.h"

enum {
	MUTATE_FLIP_BIT = 1 << 0, /* each bit */
	MUTATE_FLIP_TWO_BITS = 1 << 1, /* each pair: the square of the length, for short input */
	MUTATE_FLIP_BYTE = 1 << 2, /* all bits of each byte */
	MUTATE_SET_BYTE =
		1 << 3, /* each byte to values that parsers trip over: 0, 0xff, quotes... */
	MUTATE_DROP_BYTE = 1 << 4, /* each byte left out */
	MUTATE_DOUBLE_BYTE = 1 << 5, /* each byte written twice */
	MUTATE_SWAP_BYTES = 1 << 6, /* each pair of neighbours that differ */
	MUTATE_CUT_END = 1 << 7, /* each proper prefix, the empty one too */
	MUTATE_CUT_START = 1 << 8, /* each proper suffix but the empty one */
	MUTATE_ALL = 0x1ff & ~MUTATE_FLIP_TWO_BITS,
};

/* `what` says what was done ("bit 17 flipped"), for messages. The copy is the callee's to read, and
 * gone when it returns. Returns the number of copies; each differs from `valid`. */
size_t mutate(struct span valid, unsigned kinds,
	void (*fn)(struct span damaged, const char *what, void *arg), void *arg);
