/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * What aegis-bootstrap may be sent: an HTTP response in two pieces (the first byte says where it is
 * cut), and what comes out of it as a message of the dispatch protocol.
 */
#include "tools/aegis-bootstrap/http_reply.h"
#include "tools/aegis-bootstrap/protocol.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_dispatch(const struct dispatch *d)
{
	CHECK(d->argv && d->argv[0] && d->argv[0][0] && d->env && d->cwd);
	CHECK(d->timeout_ms > 0 && d->timeout_ms <= LIMIT_DISPATCH_TIMEOUT_S * INT64_C(1000));
	CHECK(d->output_max > 0 && d->output_max <= LIMIT_DISPATCH_OUTPUT_BYTES);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *a CLEANUP(arena_cleanup) = arena_new(LIMIT_REPLY_ARENA_BYTES);
	struct http_reply r = http_reply_init();
	struct reply reply;

	if (size == 0)
		return 0;
	struct span text = span_of(data + 1, size - 1);
	size_t cut = MIN((size_t)data[0], text.n);
	int x = http_reply_feed(&r, span_sub(text, 0, cut));
	if (x == 0)
		x = http_reply_feed(&r, span_sub(text, cut, text.n));
	if (x == 0)
		x = http_reply_eof(&r);
	CHECK(x != HTTP_REPLY_DONE || (r.status >= 200 && r.status <= 599));
	if (x == HTTP_REPLY_DONE && reply_parse(a, buf_view(&r.body), &reply) == 0) {
		CHECK(reply.kind != REPLY_BAD_DISPATCH || reply.problem);
		if (reply.kind == REPLY_DISPATCH)
			check_dispatch(&reply.dispatch);
	}
	err_clear();
	http_reply_fini(&r);
	return 0;
}
