/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Any bytes to the document reader. What it accepts stays within the limits, has places, and means
 * the same once it is written as JSON and read again.
 */
#include "daemon/schema/schema.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MEMORY_BYTES = 64 * 1024 * 1024, TEXT_BYTES = 64 * 1024 * 1024 };

static size_t check_tree(const struct doc *d, int depth)
{
	size_t weight = 1;
	CHECK(depth <= LIMIT_DOC_DEPTH && d->at.line > 0 && d->at.column > 0);
	for (size_t i = 0; i < d->count; i++) {
		CHECK(d->type != DOC_MAP || d->items[i].key.p);
		weight += check_tree(&d->items[i], depth + 1);
	}
	CHECK(weight == d->weight);
	return weight;
}

static void check_meaning(struct arena *a, const struct doc *d)
{
	struct buf b CLEANUP(buf_fini) = buf_init(TEXT_BYTES);
	struct json_writer w = json_writer(&b);
	const struct json *v = doc_to_json(a, d), *again;
	struct report r;
	const struct doc *back;
	CHECK(v);
	json_put(&w, v);
	CHECK(json_parse(a, buf_view(&b), NULL, &again) == 0);
	CHECK(json_equal(v, again));
	CHECK(report_init(&r, a, "again") == 0);
	if (b.len <= LIMIT_DOC_BYTES) {
		CHECK(doc_parse_json(&r, buf_view(&b), &back) == 0);
		CHECK(json_equal(v, doc_to_json(a, back)));
	}
}

static void read_as(
	struct span text, int (*parse)(struct report *r, struct span text, const struct doc **ret))
{
	struct arena *a CLEANUP(arena_cleanup) = arena_new(MEMORY_BYTES);
	struct report r;
	const struct doc *d = NULL;
	CHECK(a && report_init(&r, a, "f") == 0);
	int result = parse(&r, text, &d);
	CHECK((result == 0) == report_ok(&r));
	if (result == 0) {
		CHECK(check_tree(d, 0) <= LIMIT_DOC_VALUES);
		check_meaning(a, d);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size > 64 * 1024)
		return 0;
	read_as(span_of(data, size), doc_parse_yaml);
	read_as(span_of(data, size), doc_parse_json);
	return 0;
}
