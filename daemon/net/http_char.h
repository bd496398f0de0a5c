/* SPDX-License-Identifier: AGPL-3.0-only */
/* Private to this room: which bytes may stand where in a message. */
#pragma once

#include "daemon/base/base.h"

enum {
	CHAR_TOKEN = 1, /* tchar, RFC 9110 section 5.6.2 */
	CHAR_TARGET =
		2, /* RFC 3986's characters, and the brackets that URL libraries leave alone */
	CHAR_VALUE = 4, /* field-vchar, SP, HTAB: RFC 9110 section 5.5 */
	CHAR_PRINT = 8, /* VCHAR, SP, HTAB: no obs-text */
	CHAR_HOST = 16, /* reg-name as DNS and container names use it, and IPv4 */
	CHAR_HEX = 32,
	CHAR_UNRESERVED = 64, /* RFC 3986 section 2.3 */
	CHAR_B64TOKEN = 128, /* RFC 6750 section 2.1, without the padding */
};

extern const uint8_t http_chars[256];

static inline bool char_is(char c, unsigned set)
{
	return http_chars[(unsigned char)c] & set;
}

/* Whether all bytes belong to the set; true for the empty span. */
static inline bool chars_are(struct span s, unsigned set)
{
	unsigned all = set;

	for (size_t i = 0; i < s.n; i++)
		all &= http_chars[(unsigned char)s.p[i]];
	return all;
}

static inline int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}
