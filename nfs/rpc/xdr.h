/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * RFC 4506, both directions by one function per type: the same line reads and writes a field, so a
 * reader and its writer cannot disagree. The first field that does not fit marks the whole as bad;
 * later ones do nothing (and read as zero), and the caller asks once at the end.
 *
 * Text and opaque data are views: into the input when reading, of the caller's memory when writing.
 */
#pragma once

#include "daemon/base/base.h"
#include <endian.h>

struct xdr {
	char *p; /* the next byte */
	char *end;
	bool encoding;
	bool bad;
};

static inline struct xdr xdr_decoder(struct span in)
{
	char *p = (char *)(uintptr_t)in.p; /* never written through */
	return (struct xdr){.p = p, .end = p ? p + in.n : p};
}

static inline struct xdr xdr_encoder(void *room, size_t n)
{
	return (struct xdr){.p = room, .end = (char *)room + n, .encoding = true};
}

static inline size_t xdr_left(const struct xdr *x)
{
	return (size_t)(x->end - x->p);
}

/* What is left of the input, and its end. */
static inline struct span xdr_rest(const struct xdr *x)
{
	return span_of(x->p, xdr_left(x));
}

static inline bool xdr_need(struct xdr *x, size_t n)
{
	if (__builtin_expect(x->bad || xdr_left(x) < n, 0)) {
		x->bad = true;
		return false;
	}
	return true;
}

static inline void xdr_u32(struct xdr *x, uint32_t *v)
{
	uint32_t wire;
	if (!xdr_need(x, sizeof(wire))) {
		if (!x->encoding)
			*v = 0;
		return;
	}
	if (x->encoding) {
		wire = htobe32(*v);
		memcpy(x->p, &wire, sizeof(wire));
	} else {
		memcpy(&wire, x->p, sizeof(wire));
		*v = be32toh(wire);
	}
	x->p += sizeof(wire);
}

static inline void xdr_u64(struct xdr *x, uint64_t *v)
{
	uint64_t wire;
	if (!xdr_need(x, sizeof(wire))) {
		if (!x->encoding)
			*v = 0;
		return;
	}
	if (x->encoding) {
		wire = htobe64(*v);
		memcpy(x->p, &wire, sizeof(wire));
	} else {
		memcpy(&wire, x->p, sizeof(wire));
		*v = be64toh(wire);
	}
	x->p += sizeof(wire);
}

static inline void xdr_put_u32(struct xdr *x, uint32_t v)
{
	xdr_u32(x, &v);
}

/* 0 or 1; anything else is bad. */
static inline void xdr_bool(struct xdr *x, bool *v)
{
	uint32_t n = x->encoding && *v;
	xdr_u32(x, &n);
	if (n > 1)
		x->bad = true;
	*v = n == 1;
}

/* An enum or union discriminant of 0..last. */
static inline void xdr_enum(struct xdr *x, uint32_t *v, uint32_t last)
{
	xdr_u32(x, v);
	if (*v > last) {
		x->bad = true;
		*v = 0;
	}
}

void xdr_fixed(struct xdr *x, void *p, size_t n); /* opaque[n] */

/* opaque<max> or string<max>. When writing, data that already stands where it belongs (xdr_room)
 * is not copied. */
void xdr_opaque(struct xdr *x, struct span *v, size_t max);

/* Where the bytes of an opaque will stand that is written behind `before` bytes of other fields
 * (its length word included). NULL if there is no room for n of them. */
char *xdr_room(const struct xdr *x, size_t before, size_t n);
