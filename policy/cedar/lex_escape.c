/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Escapes in strings: \n \r \t \0 \\ \' \" \xHH up to 7F, \u{1 to 6 hexadecimal digits}, and \* in
 * patterns. A bare carriage return is refused, a bare line feed is not: as the reference does.
 */
#include "policy/cedar/lex.h"

size_t lex_put_utf8(char *p, uint32_t code)
{
	if (code < 0x80) {
		p[0] = (char)code;
		return 1;
	}
	if (code < 0x800) {
		p[0] = (char)(0xc0 | code >> 6);
		p[1] = (char)(0x80 | (code & 0x3f));
		return 2;
	}
	if (code < 0x10000) {
		p[0] = (char)(0xe0 | code >> 12);
		p[1] = (char)(0x80 | (code >> 6 & 0x3f));
		p[2] = (char)(0x80 | (code & 0x3f));
		return 3;
	}
	p[0] = (char)(0xf0 | code >> 18);
	p[1] = (char)(0x80 | (code >> 12 & 0x3f));
	p[2] = (char)(0x80 | (code >> 6 & 0x3f));
	p[3] = (char)(0x80 | (code & 0x3f));
	return 4;
}

int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* xHH, from behind the x. */
static bool hex_escape(struct span raw, size_t *at, uint32_t *ret)
{
	int high, low;
	if (*at + 2 > raw.n)
		return false;
	high = hex_digit(raw.p[*at]);
	low = hex_digit(raw.p[*at + 1]);
	if (high < 0 || high > 7 || low < 0)
		return false;
	*ret = (uint32_t)(high * 16 + low);
	*at += 2;
	return true;
}

/* u{H...}, from behind the u. Underscores may part the digits, but not lead. */
static bool unicode_escape(struct span raw, size_t *at, uint32_t *ret)
{
	uint32_t code = 0;
	int digits = 0;
	if (*at >= raw.n || raw.p[*at] != '{')
		return false;
	for (++*at; *at < raw.n && raw.p[*at] != '}'; ++*at) {
		int d = hex_digit(raw.p[*at]);
		if (raw.p[*at] == '_' && digits > 0)
			continue;
		if (d < 0 || ++digits > 6)
			return false;
		code = code * 16 + (uint32_t)d;
	}
	if (*at >= raw.n || digits == 0 || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))
		return false;
	++*at;
	*ret = code;
	return true;
}

static bool escape(struct span raw, size_t *at, bool pattern, uint32_t *ret)
{
	static const char from[] = "nrt0\\'\"", to[] = "\n\r\t\0\\'\"";
	char c;
	const char *known;
	if (*at >= raw.n)
		return false;
	c = raw.p[(*at)++];
	if (c == 'x')
		return hex_escape(raw, at, ret);
	if (c == 'u')
		return unicode_escape(raw, at, ret);
	if (c == '*' && pattern) {
		*ret = '*';
		return true;
	}
	known = c ? strchr(from, c) : NULL;
	if (!known)
		return false;
	*ret = (unsigned char)to[known - from];
	return true;
}

/* The character at p, whose text is known to be UTF-8. */
static uint32_t decode(const char *p, size_t *ret_length)
{
	const unsigned char *u = (const unsigned char *)p;
	if (u[0] < 0x80) {
		*ret_length = 1;
		return u[0];
	}
	if (u[0] < 0xe0) {
		*ret_length = 2;
		return (u[0] & 0x1fu) << 6 | (u[1] & 0x3fu);
	}
	if (u[0] < 0xf0) {
		*ret_length = 3;
		return (u[0] & 0x0fu) << 12 | (u[1] & 0x3fu) << 6 | (u[2] & 0x3fu);
	}
	*ret_length = 4;
	return (u[0] & 0x07u) << 18 | (u[1] & 0x3fu) << 12 | (u[2] & 0x3fu) << 6 | (u[3] & 0x3fu);
}

int lex_unescape_one(const struct lexer *l, struct span raw, uint32_t pos, size_t *at, bool pattern,
	uint32_t *ret_code, bool *ret_star)
{
	size_t start = *at, n;
	*ret_star = false;
	if (raw.p[*at] == '\\') {
		++*at;
		if (!escape(raw, at, pattern, ret_code))
			return lex_fail(l, pos + (uint32_t)start,
				"not a valid escape; expected \\n \\r \\t \\0 \\\\ \\' \\\" \\xHH "
				"up to \\x7F or \\u{...}%s",
				pattern ? " or \\*" : "");
		return 0;
	}
	if (raw.p[*at] == '\r')
		return lex_fail(l, pos + (uint32_t)start,
			"a bare carriage return in a string; expected \\r");
	*ret_star = pattern && raw.p[*at] == '*';
	*ret_code = decode(raw.p + *at, &n);
	*at += n;
	return 0;
}

int lex_unescape(const struct lexer *l, struct span raw, uint32_t pos, struct span *ret)
{
	char *out;
	size_t n = 0, at = 0;
	if (span_find_byte(raw, '\\', 0) < 0 && span_find_byte(raw, '\r', 0) < 0) {
		*ret = raw;
		return 0;
	}
	out = arena_bytes(l->arena, raw.n);
	if (!out)
		return err_raise(-ENOMEM, "no memory for a string");
	while (at < raw.n) {
		uint32_t code;
		bool star;
		int r = lex_unescape_one(l, raw, pos, &at, false, &code, &star);
		if (r < 0)
			return err_trace(r);
		n += lex_put_utf8(out + n, code);
	}
	*ret = span_of(out, n);
	return 0;
}
