/* SPDX-License-Identifier: AGPL-3.0-only */
/* URI references, as far as $id and $ref need them: RFC 3986 sections 3 and 5.2. */
#include "daemon/schema/jsonschema_internal.h"

struct uri {
	struct span scheme; /* with ':' */
	struct span authority; /* with "//" */
	struct span path;
	struct span query; /* with '?' */
};

void uri_split_fragment(struct span uri, struct span *ret_rest, struct span *ret_fragment)
{
	ssize_t at = span_find_byte(uri, '#', 0);
	*ret_rest = at < 0 ? uri : span_sub(uri, 0, (size_t)at);
	*ret_fragment = at < 0 ? SPAN("") : span_sub(uri, (size_t)at + 1, uri.n);
}

static struct uri uri_parse(struct span s)
{
	struct uri u = {SPAN(""), SPAN(""), SPAN(""), SPAN("")};
	for (size_t i = 0; i < s.n && !strchr("/?", s.p[i]); i++) {
		if (s.p[i] != ':')
			continue;
		u.scheme = span_sub(s, 0, i + 1);
		s = span_sub(s, i + 1, s.n);
		break;
	}
	if (span_starts(s, SPAN("//"))) {
		size_t end = 2;
		while (end < s.n && s.p[end] != '/' && s.p[end] != '?')
			end++;
		u.authority = span_sub(s, 0, end);
		s = span_sub(s, end, s.n);
	}
	ssize_t query = span_find_byte(s, '?', 0);
	u.path = query < 0 ? s : span_sub(s, 0, (size_t)query);
	u.query = query < 0 ? SPAN("") : span_sub(s, (size_t)query, s.n);
	return u;
}

/* Section 5.2.4, on a buffer of whole segments. */
static void put_without_dots(struct buf *b, struct span path)
{
	size_t start = b->len;
	struct span rest = path, piece;
	bool done = false, first = true;
	while (span_split(&rest, '/', &done, &piece)) {
		bool dot = span_is(piece, "."), up = span_is(piece, "..");
		bool last = done || rest.n == 0;
		if (up) {
			while (b->len > start && b->data[b->len - 1] != '/')
				b->len--;
			if (b->len > start + 1)
				b->len--;
			while (b->len > start && b->data[b->len - 1] != '/')
				b->len--;
			if (b->len > start && !last)
				b->len--;
		}
		if (dot || up) {
			if (last && (b->len == start || b->data[b->len - 1] != '/') && !first)
				buf_putc(b, '/');
			continue;
		}
		if (!first && (b->len == start || b->data[b->len - 1] != '/' || piece.n == 0))
			buf_putc(b, '/');
		buf_span(b, piece);
		first = false;
	}
}

static void put_merged(struct buf *b, const struct uri *base, const struct uri *ref)
{
	struct buf path CLEANUP(buf_fini) = buf_init(LIMIT_PATH_BYTES);
	if (base->authority.n && !base->path.n) {
		buf_putc(&path, '/');
	} else {
		size_t end = base->path.n;
		while (end && base->path.p[end - 1] != '/')
			end--;
		buf_span(&path, span_sub(base->path, 0, end));
	}
	buf_span(&path, ref->path);
	put_without_dots(b, buf_view(&path));
}

struct span uri_resolve(struct arena *a, struct span base, struct span ref)
{
	struct span none;
	uri_split_fragment(base, &base, &none);
	uri_split_fragment(ref, &ref, &none);
	struct uri b = uri_parse(base), r = uri_parse(ref);
	struct buf out CLEANUP(buf_fini) = buf_init(LIMIT_PATH_BYTES);
	buf_span(&out, r.scheme.n ? r.scheme : b.scheme);
	if (r.scheme.n || r.authority.n) {
		buf_span(&out, r.authority);
		buf_span(&out, r.path);
		buf_span(&out, r.query);
	} else {
		buf_span(&out, b.authority);
		if (!r.path.n)
			buf_span(&out, b.path);
		else if (r.path.p[0] == '/')
			put_without_dots(&out, r.path);
		else
			put_merged(&out, &b, &r);
		buf_span(&out, r.path.n || r.query.n ? r.query : b.query);
	}
	return arena_span(a, buf_view(&out));
}
