/* SPDX-License-Identifier: AGPL-3.0-only */
/* A view of bytes that somebody else owns. Not NUL-terminated; printf it with SPAN_FMT. */
#pragma once

#include "daemon/base/annotate.h"
#include <string.h>

struct span {
	const char *p; /* may be NULL only if n == 0 */
	size_t n; /* bytes */
};

#define SPAN(literal) ((struct span){"" literal, sizeof(literal) - 1})
#define SPAN_FMT "%.*s"
#define SPAN_ARG(s) (int)MIN((s).n, (size_t)4096), (s).p ? (s).p : ""

static inline struct span span_of(const void *p, size_t n)
{
	return (struct span){p, n};
}

/* NULL gives the empty span. */
static inline struct span span_cstr(const char *s)
{
	return (struct span){s, s ? strlen(s) : 0};
}

static inline bool span_eq(struct span a, struct span b)
{
	return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

static inline bool span_is(struct span a, const char *s)
{
	return span_eq(a, span_cstr(s));
}

/* Order of bytes, a proper prefix first: the order of UTF-8 by code point. */
int span_cmp(struct span a, struct span b);
bool span_eq_nocase(struct span a, struct span b); /* ASCII letters only */
bool span_starts(struct span s, struct span prefix);
bool span_ends(struct span s, struct span suffix);

/* s[from, to), both clamped to the length. */
struct span span_sub(struct span s, size_t from, size_t to);
struct span span_trim(struct span s); /* drops ASCII blanks, tabs, CR, LF at both ends */

/* Index of the first byte `c` at or after `from`, or -1. */
ssize_t span_find_byte(struct span s, char c, size_t from);
ssize_t span_find(struct span s, struct span needle, size_t from);

/* Cut the next piece up to `sep` off the front of *rest. False when *rest is used up; a trailing
 * separator yields one last empty piece. Begin with rest = the whole span, *done = false. */
bool span_split(struct span *rest, char sep, bool *done, struct span *ret_piece);

/* Strict decimal: digits only (a leading '-' where signed), no blanks, no overflow.
 * -EINVAL not a number, -ERANGE does not fit. Starts no trail: the caller names the thing. */
int span_to_u64(struct span s, uint64_t *ret) MUST_USE;
int span_to_i64(struct span s, int64_t *ret) MUST_USE;

/* RFC 3629: no overlong forms, surrogates or numbers above U+10FFFF. Offset of the first bad byte,
 * or -1 if all is well. */
ssize_t span_utf8_bad(struct span s);

/* malloc'ed NUL-terminated copy, NULL if out of memory. */
char *span_dup(struct span s);
