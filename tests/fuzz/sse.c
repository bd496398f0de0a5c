/* SPDX-License-Identifier: AGPL-3.0-only */
/* Event streams: cutting the bytes changes nothing; what we write of what we read reads the same.
 */
#include "daemon/net/sse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint64_t mix(uint64_t hash, struct span s)
{
	for (size_t i = 0; i < s.n; i++)
		hash = (hash ^ (unsigned char)s.p[i]) * UINT64_C(0x100000001b3);
	return (hash ^ s.n) * UINT64_C(0x100000001b3);
}

/* A hash over all events; writes them again into `again` if it is not NULL. Ids only on demand: an
 * empty one is read as a reset and written as nothing. */
static uint64_t read_all(struct span in, size_t step, bool with_ids, struct buf *again)
{
	struct sse_parser p;
	uint64_t hash = UINT64_C(0xcbf29ce484222325);

	sse_parser_init(&p);
	for (size_t at = 0; at < in.n; at += step) {
		struct span piece = span_sub(in, at, at + step);
		struct sse_event e;
		size_t used;

		while (sse_parse(&p, piece, &used, &e) == SSE_EVENT) {
			hash = mix(mix(hash, e.type), e.data);
			if (with_ids)
				hash = mix(hash, e.id);
			piece = span_sub(piece, used, piece.n);
			if (again)
				sse_write(again, &e);
		}
	}
	sse_parser_fini(&p);
	return hash;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf again CLEANUP(buf_fini) = buf_init(1 << 24);
	struct span in = span_of(data, size);

	CHECK(read_all(in, in.n + 1, true, &again) == read_all(in, 1, true, NULL));
	CHECK(again.error ||
		read_all(in, 7, false, NULL) == read_all(buf_view(&again), 7, false, NULL));
	return 0;
}
