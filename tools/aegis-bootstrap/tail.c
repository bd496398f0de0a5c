/* SPDX-License-Identifier: AGPL-3.0-only */
/* A ring that starts small, because most outputs are. */
#include "tools/aegis-bootstrap/tail.h"
#include <errno.h>
#include <stdlib.h>

enum { TAIL_FIRST_BYTES = 4096 };

struct tail tail_init(size_t max)
{
	return (struct tail){.max = max};
}

void tail_fini(struct tail *t)
{
	free(t->data);
	*t = (struct tail){.max = t->max};
}

/* Room for n more bytes, or for max in all. The ring is straight while it still grows. */
static int tail_grow(struct tail *t, size_t n)
{
	size_t want = MIN(t->max, t->len + n), cap = MAX(t->cap, (size_t)TAIL_FIRST_BYTES);

	if (want <= t->cap)
		return 0;
	while (cap < want)
		cap *= 2;
	cap = MIN(cap, t->max);
	char *data = realloc(t->data, cap);
	if (!data)
		return err_raise(-ENOMEM, "output of %zu bytes", cap);
	t->data = data;
	t->cap = cap;
	return 0;
}

int tail_put(struct tail *t, struct span bytes)
{
	t->total += bytes.n;
	if (t->max == 0)
		return 0;
	if (bytes.n > t->max)
		bytes = span_sub(bytes, bytes.n - t->max, bytes.n);
	int r = tail_grow(t, bytes.n);
	if (r < 0)
		return err_trace(r);
	size_t lost = t->len + bytes.n > t->cap ? t->len + bytes.n - t->cap : 0;
	t->start = (t->start + lost) % t->cap;
	t->len -= lost;
	while (bytes.n > 0) {
		size_t at = (t->start + t->len) % t->cap;
		size_t piece = MIN(bytes.n, t->cap - at);
		memcpy(t->data + at, bytes.p, piece);
		t->len += piece;
		bytes = span_sub(bytes, piece, bytes.n);
	}
	return 0;
}

static void reverse(char *p, size_t n)
{
	for (size_t i = 0; i < n / 2; i++) {
		char c = p[i];
		p[i] = p[n - 1 - i];
		p[n - 1 - i] = c;
	}
}

/* Turns the ring so that it begins at data[0], in place. */
static void tail_straighten(struct tail *t)
{
	if (t->start == 0)
		return;
	reverse(t->data, t->start);
	reverse(t->data + t->start, t->cap - t->start);
	reverse(t->data, t->cap);
	t->start = 0;
}

struct span tail_view(struct tail *t, size_t keep)
{
	tail_straighten(t);
	struct span s = span_of(t->data, t->len);
	if (s.n > keep)
		s = span_sub(s, s.n - keep, s.n);
	/* At most three bytes continue a character; more are not UTF-8 and left to the writer. */
	for (int i = 0; i < 3 && s.n < t->total && s.n && ((unsigned char)s.p[0] & 0xc0) == 0x80;
		i++)
		s = span_sub(s, 1, s.n);
	return s;
}

void tail_share(
	const struct tail *a, const struct tail *b, size_t max, size_t *ret_a, size_t *ret_b)
{
	size_t half = max / 2, show_a = a->len, show_b = b->len;

	if (show_a + show_b > max) {
		if (show_a <= half)
			show_b = max - show_a;
		else if (show_b <= half)
			show_a = max - show_b;
		else
			show_a = show_b = half;
	}
	*ret_a = show_a;
	*ret_b = show_b;
}
