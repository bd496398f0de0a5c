/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * A connection's worth of bytes, read as a server reads them. Checked beyond memory safety: cutting
 * the bytes anywhere changes nothing, and a request that is accepted shows none of the ambiguities
 * that the parser promises to refuse, looked for by other means.
 */
#include "daemon/net/http.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int times(const struct http_head *h, const char *name)
{
	int n = 0;

	for (int i = 0; i < h->header_count; i++)
		n += span_eq_nocase(h->headers[i].name, span_cstr(name));
	return n;
}

static void check_accepted(const struct http_head *h, struct span head)
{
	int lengths = times(h, "Content-Length"), codings = times(h, "Transfer-Encoding");

	CHECK(times(h, "Host") <= 1 && (h->minor_version == 0 || times(h, "Host") == 1));
	CHECK(lengths + codings <= 1);
	CHECK((h->framing == HTTP_BODY_CHUNKED) == (codings == 1));
	CHECK(h->framing != HTTP_BODY_LENGTH || h->content_length > 0);
	CHECK(h->framing != HTTP_BODY_UNTIL_CLOSE);
	CHECK(!memchr(head.p, 0, head.n));
	CHECK(h->path.n && (h->path.p[0] == '/' || span_is(h->path, "*")));
	for (size_t i = 0; i < head.n; i++) {
		CHECK(head.p[i] != '\r' || (i + 1 < head.n && head.p[i + 1] == '\n'));
		CHECK(head.p[i] != '\n' || (i > 0 && head.p[i - 1] == '\r'));
	}
	for (int i = 0; i < h->header_count; i++) {
		CHECK(http_valid_token(h->headers[i].name));
		CHECK(http_valid_value(h->headers[i].value));
	}
}

/* The bytes of content and the bytes used up, in pieces of at most `step`. */
static int read_body(
	const struct http_head *h, struct span in, size_t step, struct buf *out, size_t *ret_used)
{
	struct http_body b = http_body_of(h);
	struct http_fault fault;
	size_t at = 0, have = 0;
	int r = HTTP_MORE;

	while (r > 0) {
		struct span piece;
		size_t used;

		r = http_body_next(&b, span_sub(in, at, have), &used, &piece, &fault);
		CHECK(r != HTTP_DATA || (piece.n && used >= piece.n));
		if (r >= 0)
			at += used;
		buf_span(out, piece);
		if (r == HTTP_MORE && have == in.n)
			break;
		if (r == HTTP_MORE)
			have = MIN(in.n, have + step);
	}
	CHECK(r < 0 || at <= in.n);
	*ret_used = at;
	return r;
}

static size_t check_body(const struct http_head *h, struct span in)
{
	struct buf whole CLEANUP(buf_fini) = buf_init(1 << 24);
	struct buf bytes CLEANUP(buf_fini) = buf_init(1 << 24);
	size_t used_whole = 0, used_bytes = 0;
	int r = read_body(h, in, in.n + 1, &whole, &used_whole);

	CHECK(r == read_body(h, in, 1, &bytes, &used_bytes));
	CHECK(r < 0 || used_whole == used_bytes);
	CHECK(r < 0 || span_eq(buf_view(&whole), buf_view(&bytes)));
	return r == 0 ? used_whole : in.n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct http_head head;
	struct span in = span_of(data, size);
	struct http_fault fault = {0};

	while (in.n) {
		size_t seen = 0, slow = 0, n = 0, slow_n = 0;
		int r = http_find_head(in, &seen, LIMIT_HTTP_HEAD_BYTES, &n, &fault);
		int slow_r = HTTP_MORE;

		for (size_t i = 1; i <= in.n && slow_r == HTTP_MORE; i++)
			slow_r = http_find_head(
				span_sub(in, 0, i), &slow, LIMIT_HTTP_HEAD_BYTES, &slow_n, &fault);
		CHECK(r == slow_r && (r != 0 || n == slow_n));
		if (r != 0)
			break;
		r = http_parse_request(span_sub(in, 0, n), &head, &fault);
		if (r < 0) {
			CHECK(fault.status >= 400 && fault.reason);
			break;
		}
		check_accepted(&head, span_sub(in, 0, n));
		in = span_sub(in, n, in.n);
		in = span_sub(in, check_body(&head, in), in.n);
	}
	return 0;
}
