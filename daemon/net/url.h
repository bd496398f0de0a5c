/* SPDX-License-Identifier: AGPL-3.0-only */
/* URLs that we call, and the parts of the targets that we are called with (RFC 3986). */
#pragma once

#include "daemon/base/base.h"

struct url {
	bool is_https;
	struct span host; /* without the brackets of an IPv6 literal */
	bool is_ipv6_literal;
	uint16_t port; /* the scheme's own if none was written */
	struct span
		authority; /* host and port as they go into Host: no port if it is the scheme's */
	struct span target; /* path and query, origin-form; "/" if empty */
};

/* http:// or https:// only; user info and fragments are refused. Views into `text`.
 * -EINVAL with a message that quotes the URL's host at most, never its query. */
int url_parse(struct span text, struct url *ret) MUST_USE;

/* Host and port of an authority, port -1 if none is written. -EINVAL. Starts no trail. */
int url_split_authority(struct span authority, struct span *ret_host, int *ret_port) MUST_USE;

/* Percent-decoding into the arena. -EINVAL: a bad escape, a control character (NUL among them),
 * or bytes that are not UTF-8; -ENOMEM. Starts no trail. */
int url_decode(struct arena *a, struct span s, struct span *ret) MUST_USE;

/* The same for a part of a form or query, where '+' means a blank. */
int url_decode_form(struct arena *a, struct span s, struct span *ret) MUST_USE;

/* Appends s with everything but unreserved characters escaped: fit for a segment or a query. */
void url_encode(struct buf *b, struct span s);

/* The decoded value of a key in a query ("a=1&b=2"). 0; URL_ABSENT; -EINVAL with a message if
 * the key stands there twice or its value cannot be decoded; -ENOMEM. */
enum { URL_ABSENT = 1 };
int url_query_get(struct arena *a, struct span query, const char *key, struct span *ret) MUST_USE;
/* Absent gives `otherwise`. -EINVAL, -ERANGE with a message that names the key and the range. */
int url_query_i64(struct arena *a, struct span query, const char *key, int64_t least, int64_t most,
	int64_t otherwise, int64_t *ret) MUST_USE;
/* true, false, 1, 0; a key without a value is true. -EINVAL with a message. */
int url_query_bool(
	struct arena *a, struct span query, const char *key, bool otherwise, bool *ret) MUST_USE;
