/* SPDX-License-Identifier: AGPL-3.0-only */
/* URLs, queries, and paths against a few routes. */
#include "daemon/net/router.h"
#include "daemon/net/url.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct router *routes(void)
{
	static const char *const patterns[] = {"/", "/a", "/a/{x}", "/a/{x}/b", "/a/lookup/{n}",
		"/f/{rest...}", "/a/{x}/f/{rest...}"};
	struct router *r = router_new();

	CHECK(r);
	for (size_t i = 0; i < ARRAY_LEN(patterns); i++)
		CHECK(router_add(r, HTTP_GET, patterns[i], r) == 0);
	return r;
}

static void check_decoded(struct span s)
{
	struct span piece;
	bool done = false;

	CHECK(s.n && span_utf8_bad(s) < 0);
	for (size_t i = 0; i < s.n; i++)
		CHECK((unsigned char)s.p[i] >= 0x20 && s.p[i] != 0x7f);
	while (span_split(&s, '/', &done, &piece))
		CHECK(!span_is(piece, ".") && !span_is(piece, ".."));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct router *r;
	static struct arena *a;
	struct span in = span_of(data, size), value;
	struct router_match m;
	struct url u;

	if (!r)
		r = routes();
	if (!a)
		a = arena_new(1 << 20);
	arena_reset(a);
	if (url_parse(in, &u) == 0)
		CHECK(u.host.n && u.target.p[0] == '/');
	if (url_query_get(a, in, "x", &value) == 0)
		CHECK(span_utf8_bad(value) < 0);
	/* As the codec hands paths over: no raw controls, no bytes above 0x7e. */
	for (size_t i = 0; i < size; i++) {
		if (data[i] <= 0x20 || data[i] >= 0x7f)
			return 0;
	}
	if (router_find(r, a, HTTP_GET, in, &m) == 0) {
		for (int i = 0; i < m.param_count; i++)
			check_decoded(m.params[i].value);
	}
	return 0;
}
