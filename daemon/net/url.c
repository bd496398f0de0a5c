/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * URLs and their parts (RFC 3986), read strictly. What was split is decoded afterwards, never
 * before: an escaped delimiter is data.
 */
#include "daemon/net/url.h"
#include "daemon/net/http_char.h"
#include <arpa/inet.h>
#include <errno.h>

enum { PORT_HTTP = 80, PORT_HTTPS = 443 };

static int parse_port(struct span s, int *ret)
{
	uint64_t port;

	if (s.n == 0 || s.n > 5 || span_to_u64(s, &port) < 0 || port > UINT16_MAX)
		return -EINVAL;
	*ret = (int)port;
	return 0;
}

static bool is_ipv6(struct span s)
{
	char text[INET6_ADDRSTRLEN];
	struct in6_addr address;

	if (s.n == 0 || s.n >= sizeof(text) || memchr(s.p, 0, s.n))
		return false;
	memcpy(text, s.p, s.n);
	text[s.n] = 0;
	return inet_pton(AF_INET6, text, &address) == 1;
}

int url_split_authority(struct span authority, struct span *ret_host, int *ret_port)
{
	struct span host;
	size_t host_end;
	int port = -1;

	if (authority.n && authority.p[0] == '[') {
		ssize_t bracket = span_find_byte(authority, ']', 1);
		if (bracket < 0)
			return -EINVAL;
		host = span_sub(authority, 1, (size_t)bracket);
		host_end = (size_t)bracket + 1;
		if (!is_ipv6(host))
			return -EINVAL;
	} else {
		ssize_t colon = span_find_byte(authority, ':', 0);
		host_end = colon < 0 ? authority.n : (size_t)colon;
		host = span_sub(authority, 0, host_end);
		if (host.n == 0 || host.n > LIMIT_NAME_BYTES || !chars_are(host, CHAR_HOST))
			return -EINVAL;
	}
	if (host_end < authority.n) {
		if (authority.p[host_end] != ':' ||
			parse_port(span_sub(authority, host_end + 1, authority.n), &port) < 0)
			return -EINVAL;
	}
	*ret_host = host;
	*ret_port = port;
	return 0;
}

/* Takes "http://" or "https://" off the front. */
static int take_scheme(struct span *rest, struct url *u)
{
	if (span_eq_nocase(span_sub(*rest, 0, 7), SPAN("http://"))) {
		*rest = span_sub(*rest, 7, rest->n);
		u->is_https = false;
	} else if (span_eq_nocase(span_sub(*rest, 0, 8), SPAN("https://"))) {
		*rest = span_sub(*rest, 8, rest->n);
		u->is_https = true;
	} else {
		return err_raise(-EINVAL, "a URL must begin with http:// or https://");
	}
	return 0;
}

int url_parse(struct span text, struct url *ret)
{
	struct url u = {0};
	struct span rest = text;
	size_t end = 0;
	int port, r;

	if (text.n > LIMIT_HTTP_URL_BYTES)
		return err_raise(-EINVAL, "URL of %zu bytes, at most %d are accepted", text.n,
			LIMIT_HTTP_URL_BYTES);
	r = take_scheme(&rest, &u);
	if (r < 0)
		return err_trace(r);
	while (end < rest.n && rest.p[end] != '/' && rest.p[end] != '?' && rest.p[end] != '#')
		end++;
	u.authority = span_sub(rest, 0, end);
	u.target = span_sub(rest, end, rest.n);
	if (span_find_byte(u.authority, '@', 0) >= 0)
		return err_raise(-EINVAL, "a URL must not carry a user name or password");
	if (url_split_authority(u.authority, &u.host, &port) < 0)
		return err_raise(-EINVAL,
			"URL: \"" SPAN_FMT "\" is not a host name or address with an optional port",
			SPAN_ARG(u.authority));
	u.is_ipv6_literal = u.authority.p[0] == '[';

	int own_port = u.is_https ? PORT_HTTPS : PORT_HTTP;
	u.port = (uint16_t)(port < 0 ? own_port : port);
	if (port == own_port)
		u.authority.n = (size_t)(u.host.p + u.host.n - u.authority.p) + u.is_ipv6_literal;
	if (u.target.n == 0)
		u.target = SPAN("/");
	if (u.target.p[0] == '?')
		return err_raise(-EINVAL, "URL: write a / between \"" SPAN_FMT "\" and the ?",
			SPAN_ARG(u.authority));
	if (!chars_are(u.target, CHAR_TARGET))
		return err_raise(-EINVAL,
			"URL: the path or query behind \"" SPAN_FMT
			"\" has a fragment or a character that must be percent-encoded",
			SPAN_ARG(u.authority));
	*ret = u;
	return 0;
}

static int decode(struct arena *a, struct span s, bool plus_is_blank, struct span *ret)
{
	char *out = arena_bytes(a, s.n ? s.n : 1);
	size_t n = 0;

	if (!out)
		return -ENOMEM;
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];
		if (c == '%') {
			int high = i + 2 < s.n ? hex_digit(s.p[i + 1]) : -1;
			int low = i + 2 < s.n ? hex_digit(s.p[i + 2]) : -1;
			if (high < 0 || low < 0)
				return -EINVAL;
			c = (char)(high << 4 | low);
			i += 2;
		} else if (c == '+' && plus_is_blank) {
			c = ' ';
		}
		if ((unsigned char)c < 0x20 || c == 0x7f)
			return -EINVAL;
		out[n++] = c;
	}
	if (span_utf8_bad(span_of(out, n)) >= 0)
		return -EINVAL;
	*ret = span_of(out, n);
	return 0;
}

int url_decode(struct arena *a, struct span s, struct span *ret)
{
	return decode(a, s, false, ret);
}

int url_decode_form(struct arena *a, struct span s, struct span *ret)
{
	return decode(a, s, true, ret);
}

void url_encode(struct buf *b, struct span s)
{
	static const char digits[] = "0123456789ABCDEF";

	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];
		if (char_is((char)c, CHAR_UNRESERVED)) {
			buf_putc(b, (char)c);
		} else {
			char escape[3] = {'%', digits[c >> 4], digits[c & 15]};
			buf_put(b, escape, sizeof(escape));
		}
	}
}

int url_query_get(struct arena *a, struct span query, const char *key, struct span *ret)
{
	struct span value = {0}, piece;
	bool found = false, done = query.n == 0;

	while (span_split(&query, '&', &done, &piece)) {
		ssize_t equals = span_find_byte(piece, '=', 0);
		size_t name_end = equals < 0 ? piece.n : (size_t)equals;
		struct span name;
		int r = url_decode_form(a, span_sub(piece, 0, name_end), &name);

		if (r == -ENOMEM)
			return r;
		if (r < 0 || !span_is(name, key))
			continue;
		if (found)
			return err_raise(-EINVAL, "query: %s stands twice, once is accepted", key);
		r = url_decode_form(a, span_sub(piece, name_end + 1, piece.n), &value);
		if (r == -EINVAL)
			return err_raise(
				r, "query: the value of %s is not properly encoded UTF-8", key);
		if (r < 0)
			return r;
		found = true;
	}
	if (!found)
		return URL_ABSENT;
	*ret = value;
	return 0;
}

int url_query_i64(struct arena *a, struct span query, const char *key, int64_t least, int64_t most,
	int64_t otherwise, int64_t *ret)
{
	struct span text;
	int64_t value;
	int r = url_query_get(a, query, key, &text);

	if (r < 0)
		return err_trace(r);
	if (r == URL_ABSENT) {
		*ret = otherwise;
		return 0;
	}
	r = span_to_i64(text, &value);
	if (r == 0 && (value < least || value > most))
		r = -ERANGE;
	if (r < 0)
		return err_raise(r,
			"query: %s is \"" SPAN_FMT "\", a number from %lld to %lld is accepted",
			key, SPAN_ARG(span_sub(text, 0, 64)), (long long)least, (long long)most);
	*ret = value;
	return 0;
}

int url_query_bool(struct arena *a, struct span query, const char *key, bool otherwise, bool *ret)
{
	struct span text;
	int r = url_query_get(a, query, key, &text);

	if (r < 0)
		return err_trace(r);
	if (r == URL_ABSENT)
		*ret = otherwise;
	else if (text.n == 0 || span_is(text, "true") || span_is(text, "1"))
		*ret = true;
	else if (span_is(text, "false") || span_is(text, "0"))
		*ret = false;
	else
		return err_raise(-EINVAL,
			"query: %s is \"" SPAN_FMT "\", true or false is accepted", key,
			SPAN_ARG(span_sub(text, 0, 64)));
	return 0;
}
