/* SPDX-License-Identifier: AGPL-3.0-only */
/* A form in pieces: the first byte is how long they are. What is held stays within its bounds, and
 * content that comes out was in what went in. */
#include "daemon/net/multipart.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct multipart m;
	struct span rest = size ? span_of(data + 1, size - 1) : SPAN("");
	size_t step = size ? (size_t)data[0] + 1 : 1;
	size_t content = 0;
	int e = MULTIPART_MORE;

	CHECK(multipart_init(&m, SPAN("multipart/form-data; boundary=b")) == 0);
	for (size_t at = 0; at < rest.n && e == MULTIPART_MORE; at += step) {
		struct span piece = span_sub(rest, at, MIN(rest.n, at + step));
		struct span out;
		while ((e = multipart_next(&m, piece, &out)) == MULTIPART_PART ||
			e == MULTIPART_DATA) {
			piece = (struct span){0};
			content += e == MULTIPART_DATA ? out.n : 0;
		}
		CHECK(m.held.len <= LIMIT_MULTIPART_HEAD_BYTES + 512);
	}
	CHECK(content <= rest.n);
	CHECK(e > 0 || e == -EBADMSG || e == -E2BIG);
	err_clear();
	multipart_fini(&m);
	return 0;
}
