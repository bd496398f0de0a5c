/* SPDX-License-Identifier: AGPL-3.0-only */
/* Private to this room: one step of UTF-8, inline because JSON strings are read with it. */
#pragma once

#include "daemon/base/annotate.h"

/* Length of the well-formed sequence at p, 0 if there is none: RFC 3629 section 4, the table of
 * permitted second bytes. */
static inline size_t utf8_sequence(const unsigned char *p, size_t n)
{
	unsigned char lead = p[0];
	size_t len;
	unsigned char low = 0x80, high = 0xbf;
	if (lead < 0x80)
		return 1;
	if (lead >= 0xc2 && lead <= 0xdf) {
		len = 2;
	} else if (lead >= 0xe0 && lead <= 0xef) {
		len = 3;
		if (lead == 0xe0)
			low = 0xa0;
		if (lead == 0xed)
			high = 0x9f;
	} else if (lead >= 0xf0 && lead <= 0xf4) {
		len = 4;
		if (lead == 0xf0)
			low = 0x90;
		if (lead == 0xf4)
			high = 0x8f;
	} else {
		return 0;
	}
	if (n < len || p[1] < low || p[1] > high)
		return 0;
	for (size_t i = 2; i < len; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	return len;
}
