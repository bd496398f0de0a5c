/* SPDX-License-Identifier: AGPL-3.0-only */
/* Any bytes to every small text parser of base; what one accepts must read back from its own
 * writer. */
#include "daemon/base/base.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void moment(struct span s)
{
	int64_t ns, back;
	char text[CLOCK_RFC3339_BYTES];
	if (clock_parse_rfc3339(s, &ns) < 0)
		return;
	clock_rfc3339(ns, 9, text);
	CHECK(clock_parse_rfc3339(span_cstr(text), &back) == 0 && back == ns);
}

static void base64(struct span s, enum base64_variant v)
{
	struct buf bytes CLEANUP(buf_fini) = buf_init(s.n);
	struct buf text CLEANUP(buf_fini) = buf_init(s.n);
	if (base64_decode(&bytes, s, v) < 0)
		return;
	base64_encode(&text, buf_view(&bytes), v);
	CHECK(span_eq(buf_view(&text), s));
}

static void identifier(struct span s)
{
	struct uuid u;
	char text[UUID_TEXT_BYTES];
	if (uuid_parse(s, &u) < 0)
		return;
	uuid_text(u, text);
	CHECK(span_eq_nocase(span_cstr(text), s));
}

static void number(struct span s)
{
	int64_t i;
	uint64_t u;
	int r = span_to_i64(s, &i);
	if (r == 0 && i >= 0 && s.p[0] != '-')
		CHECK(span_to_u64(s, &u) == 0 && u == (uint64_t)i);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span s = span_of(data, size);
	int64_t ns;
	moment(s);
	if (clock_parse_duration(s, &ns) == 0)
		CHECK(ns >= 0);
	base64(s, BASE64_STANDARD);
	base64(s, BASE64_URL);
	identifier(s);
	number(s);
	ssize_t bad = span_utf8_bad(s);
	CHECK(bad < 0 || span_utf8_bad(span_sub(s, 0, (size_t)bad)) == -1);
	err_clear();
	return 0;
}
