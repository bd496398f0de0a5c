/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Any bytes as a JSON array of a schema, entities, and a context for its action "a": what is
 * accepted is asked about. Schemas are written and read back.
 */
#include "policy/cedar/cedar.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { INPUT_BYTES_MAX = 64 * 1024, MEMORY_BYTES = 256 * 1024 * 1024 };

static void writes_back(struct arena *a, const struct cedar_schema *s)
{
	struct buf b CLEANUP(buf_fini) = buf_init(LIMIT_JSON_BYTES);
	struct json_writer w = json_writer(&b);
	const struct cedar_schema *again;
	const struct json *v;
	cedar_schema_to_json(&w, s);
	CHECK(json_parse(a, arena_span(a, buf_view(&b)), NULL, &v) == 0);
	CHECK(cedar_schema_from_json(a, v, &again) == 0);
	buf_reset(&b);
	if (cedar_schema_print(&b, s) == 0)
		CHECK(cedar_schema_parse(a, arena_span(a, buf_view(&b)), &again) == 0);
}

static void ask(struct arena *a, const struct cedar_schema *s, const struct json *entities,
	const struct json *context)
{
	struct cedar_request q = {cedar_uid_of(SPAN("U"), SPAN("u")),
		cedar_uid_of(SPAN("Action"), SPAN("a")), cedar_uid_of(SPAN("R"), SPAN("r")), NULL};
	const struct cedar_entities *e;
	if (cedar_entities_from_json_typed(a, s, entities, &e) < 0 ||
		cedar_context_from_json_typed(a, s, &q.action, context, &q.context) < 0 ||
		cedar_request_validate(s, &q) < 0)
		err_clear();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *a CLEANUP(arena_cleanup) = arena_new(MEMORY_BYTES);
	const struct cedar_schema *s;
	const struct json *v;
	if (size <= INPUT_BYTES_MAX && json_parse(a, span_of(data, size), NULL, &v) == 0 &&
		v->type == JSON_ARRAY && v->count == 3 &&
		cedar_schema_from_json(a, &v->items[0], &s) == 0) {
		writes_back(a, s);
		ask(a, s, &v->items[1], &v->items[2]);
	}
	err_clear();
	return 0;
}
