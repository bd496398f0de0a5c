/* SPDX-License-Identifier: AGPL-3.0-only */
/* What a server may send us: heads, bodies in every framing, one behind the other. */
#include "daemon/net/http.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t read_body(const struct http_head *h, struct span in)
{
	struct http_body b = http_body_of(h);
	struct http_fault fault = {0};
	uint64_t content = 0;
	size_t at = 0;
	int r;

	for (;;) {
		struct span piece, left = span_sub(in, at, in.n);
		size_t used;

		r = http_body_next(&b, left, &used, &piece, &fault);
		if (r < 0) {
			CHECK(fault.reason);
			return in.n;
		}
		CHECK(used <= left.n);
		at += used;
		content += piece.n;
		CHECK(content == b.total);
		if (r != HTTP_DATA)
			break;
		CHECK(piece.n && piece.p >= left.p && piece.p + piece.n <= left.p + used);
	}
	CHECK(r == HTTP_MORE || h->framing != HTTP_BODY_LENGTH || content == h->content_length);
	return at;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct http_head head;
	struct span in = span_of(data, size);
	struct http_fault fault = {0};
	enum http_method answers = HTTP_GET;

	while (in.n) {
		size_t seen = 0, n = 0;

		if (http_find_head(in, &seen, LIMIT_HTTP_ANSWER_HEAD_BYTES, &n, &fault) != 0)
			break;
		if (http_parse_response(span_sub(in, 0, n), answers, &head, &fault) < 0) {
			CHECK(fault.reason);
			break;
		}
		CHECK(head.status >= 100 && head.status <= 599);
		CHECK(!head.keep_alive || head.framing != HTTP_BODY_UNTIL_CLOSE);
		in = span_sub(in, n, in.n);
		in = span_sub(in, read_body(&head, in), in.n);
		answers = answers == HTTP_GET ? HTTP_HEAD : HTTP_GET;
	}
	return 0;
}
