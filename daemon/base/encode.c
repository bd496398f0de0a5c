/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Base64 and hexadecimal texts. Strict decoding matters where a text is part of what was signed:
 * one value must have one spelling, so spare bits and stray padding are refused.
 */
#include "daemon/base/encode.h"
#include "daemon/base/json_scan.h"
#include <errno.h>

static const char alphabet[2][65] = {
	[BASE64_STANDARD] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/",
	[BASE64_URL] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_",
};

void base64_encode(struct buf *b, struct span bytes, enum base64_variant v)
{
	const char *digit = alphabet[v];
	const unsigned char *in = (const unsigned char *)bytes.p;
	size_t full = bytes.n / 3, rest = bytes.n % 3;
	size_t tail = rest == 0 ? 0 : v == BASE64_STANDARD ? 4 : rest + 1;
	if (full > (SIZE_MAX - 4) / 4) {
		buf_reserve(b, SIZE_MAX);
		return;
	}
	char *out = buf_reserve(b, full * 4 + tail);
	if (!out)
		return;
	for (size_t i = 0; i < full; i++, in += 3) {
		*out++ = digit[in[0] >> 2];
		*out++ = digit[(in[0] & 3) << 4 | in[1] >> 4];
		*out++ = digit[(in[1] & 15) << 2 | in[2] >> 6];
		*out++ = digit[in[2] & 63];
	}
	if (rest > 0) {
		unsigned second = rest == 2 ? in[1] : 0;
		*out++ = digit[in[0] >> 2];
		*out++ = digit[(in[0] & 3u) << 4 | second >> 4];
		if (rest == 2)
			*out++ = digit[(second & 15) << 2];
		for (size_t i = rest + 1; i < tail; i++)
			*out++ = '=';
	}
	buf_commit(b, full * 4 + tail);
}

/* The digit's value, or 64 and more if it is none. */
static unsigned base64_value(char c, enum base64_variant v)
{
	if (c >= 'A' && c <= 'Z')
		return (unsigned)(c - 'A');
	if (c >= 'a' && c <= 'z')
		return (unsigned)(c - 'a') + 26;
	if (c >= '0' && c <= '9')
		return (unsigned)(c - '0') + 52;
	if (c == alphabet[v][62])
		return 62;
	return c == alphabet[v][63] ? 63 : 64;
}

/* The text without its padding, or -EINVAL if the padding is not what the variant asks. */
static int base64_digits(struct span text, enum base64_variant v, struct span *ret)
{
	if (v == BASE64_STANDARD) {
		if (text.n % 4 != 0)
			return -EINVAL;
		for (int pads = 0; pads < 2 && text.n > 0 && text.p[text.n - 1] == '='; pads++)
			text.n--;
	}
	if (text.n % 4 == 1)
		return -EINVAL;
	*ret = text;
	return 0;
}

int base64_decode(struct buf *b, struct span text, enum base64_variant v)
{
	int r = base64_digits(text, v, &text);
	if (r < 0)
		return r;
	size_t n = text.n / 4 * 3 + (text.n % 4 ? text.n % 4 - 1 : 0);
	unsigned char *out = buf_reserve(b, n);
	if (!out)
		return buf_error(b);
	unsigned bits = 0, have = 0, bad = 0;
	for (size_t i = 0; i < text.n; i++) {
		unsigned value = base64_value(text.p[i], v);
		bad |= value & 64;
		bits = bits << 6 | (value & 63);
		have += 6;
		if (have >= 8) {
			have -= 8;
			*out++ = (unsigned char)(bits >> have);
		}
	}
	if (bad || (bits & ((1u << have) - 1)))
		return -EINVAL;
	buf_commit(b, n);
	return 0;
}

void hex_encode(struct buf *b, struct span bytes)
{
	static const char digit[] = "0123456789abcdef";
	if (bytes.n > SIZE_MAX / 2) {
		buf_reserve(b, SIZE_MAX);
		return;
	}
	char *out = buf_reserve(b, bytes.n * 2);
	if (!out)
		return;
	for (size_t i = 0; i < bytes.n; i++) {
		*out++ = digit[(unsigned char)bytes.p[i] >> 4];
		*out++ = digit[(unsigned char)bytes.p[i] & 15];
	}
	buf_commit(b, bytes.n * 2);
}

int hex_decode(struct span text, uint8_t *ret, size_t ret_bytes)
{
	if (text.n % 2 != 0 || text.n / 2 != ret_bytes)
		return -EINVAL;
	for (size_t i = 0; i < text.n; i++)
		if (json_hex_value(text.p[i]) < 0)
			return -EINVAL;
	for (size_t i = 0; i < ret_bytes; i++)
		ret[i] = (uint8_t)(json_hex_value(text.p[2 * i]) << 4 |
			json_hex_value(text.p[2 * i + 1]));
	return 0;
}
