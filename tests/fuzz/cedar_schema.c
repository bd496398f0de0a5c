/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Any bytes as a schema in Cedar syntax: what is accepted is written as JSON and as text, and both
 * read back as the same schema.
 */
#include "policy/cedar/cedar.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { INPUT_BYTES_MAX = 64 * 1024, MEMORY_BYTES = 256 * 1024 * 1024 };

static const struct json *written(struct arena *a, const struct cedar_schema *s)
{
	struct buf b CLEANUP(buf_fini) = buf_init(LIMIT_JSON_BYTES);
	struct json_writer w = json_writer(&b);
	const struct json *v;
	cedar_schema_to_json(&w, s);
	CHECK(json_parse(a, arena_span(a, buf_view(&b)), NULL, &v) == 0);
	return v;
}

/* By way of text, which some schemas cannot be said in. */
static void through_text(struct arena *a, const struct json *v)
{
	struct buf b CLEANUP(buf_fini) = buf_init(LIMIT_CEDAR_TEXT_BYTES);
	const struct cedar_schema *s, *again;
	const struct json *once;
	CHECK(cedar_schema_from_json(a, v, &s) == 0);
	if (cedar_schema_print(&b, s) < 0)
		return;
	CHECK(cedar_schema_parse(a, arena_span(a, buf_view(&b)), &again) == 0);
	once = written(a, again);
	buf_reset(&b);
	CHECK(cedar_schema_print(&b, again) == 0);
	CHECK(cedar_schema_parse(a, arena_span(a, buf_view(&b)), &s) == 0);
	CHECK(json_equal(written(a, s), once));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *a CLEANUP(arena_cleanup) = arena_new(MEMORY_BYTES);
	const struct cedar_schema *s, *again;
	const struct json *v;
	if (size <= INPUT_BYTES_MAX && cedar_schema_parse(a, span_of(data, size), &s) == 0) {
		v = written(a, s);
		CHECK(cedar_schema_from_json(a, v, &again) == 0);
		CHECK(json_equal(written(a, again), v));
		through_text(a, v);
	}
	err_clear();
	return 0;
}
