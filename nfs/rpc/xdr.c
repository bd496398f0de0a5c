/* SPDX-License-Identifier: AGPL-3.0-only */
/* The types of RFC 4506 that have a length: padded with zeros to whole words (section 3). */
#include "nfs/rpc/xdr.h"

static size_t padded(size_t n)
{
	return (n + 3) & ~(size_t)3;
}

void xdr_fixed(struct xdr *x, void *p, size_t n)
{
	if (!xdr_need(x, padded(n))) {
		if (!x->encoding)
			memset(p, 0, n);
		return;
	}
	if (x->encoding) {
		memcpy(x->p, p, n);
		memset(x->p + n, 0, padded(n) - n);
	} else {
		memcpy(p, x->p, n);
	}
	x->p += padded(n);
}

void xdr_opaque(struct xdr *x, struct span *v, size_t max)
{
	uint32_t n = (uint32_t)v->n;
	if (x->encoding && v->n > max)
		x->bad = true;
	xdr_u32(x, &n);
	if (n > max || !xdr_need(x, padded(n))) {
		x->bad = true;
		if (!x->encoding)
			*v = (struct span){0};
		return;
	}
	if (!x->encoding)
		*v = span_of(x->p, n);
	else if (n > 0 && v->p != x->p)
		memmove(x->p, v->p, n); /* it may have been put into xdr_room */
	if (x->encoding)
		memset(x->p + n, 0, padded(n) - n);
	x->p += padded(n);
}

char *xdr_room(const struct xdr *x, size_t before, size_t n)
{
	if (x->bad || xdr_left(x) < before + padded(n))
		return NULL;
	return x->p + before;
}
