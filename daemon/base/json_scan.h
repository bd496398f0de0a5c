/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Private to this room: eight bytes of a JSON string at a time. Of the bits that mark special
 * bytes only the lowest is sure (a borrow may set higher ones wrongly), so the position of the
 * first special byte is exact on a little-endian machine, and that is all that is asked.
 */
#pragma once

#include "daemon/base/annotate.h"
#include <string.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "json_scan.h needs little-endian words");

enum { JSON_WORD_BYTES = 8 };

#define JSON_EACH_BYTE(c) (UINT64_C(0x0101010101010101) * (c))

/* Bit 7 of each byte that is a control character, a quote or a backslash. */
static inline uint64_t json_escaped_bits(uint64_t word)
{
	uint64_t control = word - JSON_EACH_BYTE(0x20);
	uint64_t quote = (word ^ JSON_EACH_BYTE('"')) - JSON_EACH_BYTE(1);
	uint64_t backslash = (word ^ JSON_EACH_BYTE('\\')) - JSON_EACH_BYTE(1);
	return (control | quote | backslash) & ~word & JSON_EACH_BYTE(0x80);
}

/* Index of the first byte marked, 8 if none is. */
static inline size_t json_first_marked(uint64_t bits)
{
	return bits ? (size_t)__builtin_ctzll(bits) / 8 : JSON_WORD_BYTES;
}

/* Copies 8 bytes and returns how many of them, from the first, are plain ASCII. */
static inline size_t json_copy_plain(char *to, const char *from)
{
	uint64_t word;
	memcpy(&word, from, sizeof(word));
	memcpy(to, &word, sizeof(word));
	return json_first_marked(json_escaped_bits(word) | (word & JSON_EACH_BYTE(0x80)));
}

/* How many of n bytes, from the first, need no escape; beyond ASCII none do. */
static inline size_t json_plain_run(const char *p, size_t n)
{
	size_t i = 0;
	uint64_t word;
	for (; n - i >= sizeof(word); i += sizeof(word)) {
		memcpy(&word, p + i, sizeof(word));
		size_t plain = json_first_marked(json_escaped_bits(word));
		if (plain < JSON_WORD_BYTES)
			return i + plain;
	}
	while (i < n && (unsigned char)p[i] >= 0x20 && p[i] != '"' && p[i] != '\\')
		i++;
	return i;
}

static inline int json_hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}
