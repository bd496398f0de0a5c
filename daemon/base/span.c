/* SPDX-License-Identifier: AGPL-3.0-only */
/* Comparing, cutting and reading byte views. Nothing here allocates except span_dup. */
#include "daemon/base/span.h"
#include "daemon/base/utf8.h"
#include <errno.h>
#include <stdlib.h>

int span_cmp(struct span a, struct span b)
{
	size_t common = MIN(a.n, b.n);
	int r = common ? memcmp(a.p, b.p, common) : 0;
	if (r != 0)
		return r < 0 ? -1 : 1;
	return a.n < b.n ? -1 : a.n > b.n;
}

static unsigned char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (unsigned char)(c + ('a' - 'A')) : (unsigned char)c;
}

bool span_eq_nocase(struct span a, struct span b)
{
	if (a.n != b.n)
		return false;
	for (size_t i = 0; i < a.n; i++)
		if (lower(a.p[i]) != lower(b.p[i]))
			return false;
	return true;
}

bool span_starts(struct span s, struct span prefix)
{
	return s.n >= prefix.n && span_eq(span_sub(s, 0, prefix.n), prefix);
}

bool span_ends(struct span s, struct span suffix)
{
	return s.n >= suffix.n && span_eq(span_sub(s, s.n - suffix.n, s.n), suffix);
}

struct span span_sub(struct span s, size_t from, size_t to)
{
	to = MIN(to, s.n);
	from = MIN(from, to);
	/* NULL + 0 is undefined in C. */
	return s.p ? span_of(s.p + from, to - from) : (struct span){NULL, 0};
}

static bool blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

struct span span_trim(struct span s)
{
	while (s.n > 0 && blank(s.p[0]))
		s = span_sub(s, 1, s.n);
	while (s.n > 0 && blank(s.p[s.n - 1]))
		s.n--;
	return s;
}

ssize_t span_find_byte(struct span s, char c, size_t from)
{
	if (from >= s.n)
		return -1;
	const char *hit = memchr(s.p + from, c, s.n - from);
	return hit ? hit - s.p : -1;
}

ssize_t span_find(struct span s, struct span needle, size_t from)
{
	if (from > s.n)
		return -1;
	if (needle.n == 0)
		return (ssize_t)from;
	if (from == s.n)
		return -1;
	const char *hit = memmem(s.p + from, s.n - from, needle.p, needle.n);
	return hit ? hit - s.p : -1;
}

bool span_split(struct span *rest, char sep, bool *done, struct span *ret_piece)
{
	if (*done)
		return false;
	ssize_t at = span_find_byte(*rest, sep, 0);
	if (at < 0) {
		*ret_piece = *rest;
		*rest = span_sub(*rest, rest->n, rest->n);
		*done = true;
		return true;
	}
	*ret_piece = span_sub(*rest, 0, (size_t)at);
	*rest = span_sub(*rest, (size_t)at + 1, rest->n);
	return true;
}

int span_to_u64(struct span s, uint64_t *ret)
{
	uint64_t v = 0;
	bool overflow = false;
	if (s.n == 0)
		return -EINVAL;
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] < '0' || s.p[i] > '9')
			return -EINVAL;
		overflow |= __builtin_mul_overflow(v, UINT64_C(10), &v);
		overflow |= __builtin_add_overflow(v, (uint64_t)(s.p[i] - '0'), &v);
	}
	if (overflow)
		return -ERANGE;
	*ret = v;
	return 0;
}

int span_to_i64(struct span s, int64_t *ret)
{
	bool negative = s.n > 0 && s.p[0] == '-';
	uint64_t v;
	int r = span_to_u64(negative ? span_sub(s, 1, s.n) : s, &v);
	if (r < 0)
		return r;
	if (v > (uint64_t)INT64_MAX + (negative ? 1 : 0))
		return -ERANGE;
	*ret = negative ? (int64_t)(0 - v) : (int64_t)v;
	return 0;
}

ssize_t span_utf8_bad(struct span s)
{
	size_t i = 0;
	while (i < s.n) {
		uint64_t word;
		if (s.n - i >= sizeof(word)) {
			memcpy(&word, s.p + i, sizeof(word));
			if (!(word & UINT64_C(0x8080808080808080))) {
				i += sizeof(word);
				continue;
			}
		}
		size_t len = utf8_sequence((const unsigned char *)s.p + i, s.n - i);
		if (len == 0)
			return (ssize_t)i;
		i += len;
	}
	return -1;
}

char *span_dup(struct span s)
{
	char *copy = malloc(s.n + 1);
	if (!copy)
		return NULL;
	if (s.n > 0)
		memcpy(copy, s.p, s.n);
	copy[s.n] = '\0';
	return copy;
}
