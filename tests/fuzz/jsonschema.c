/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Two JSON documents, one after the other: a schema and an instance, neither trusted. Every draft
 * must come to an end within its bounds; a negation must turn the verdict round.
 */
#include "daemon/schema/schema.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int verdict(const struct json *schema, const struct json *instance, enum jsonschema_draft d)
{
	struct jsonschema *s = NULL;
	struct jsonschema_error e;
	int r = jsonschema_new(schema, d, &s);
	CHECK(r <= 0);
	if (r == 0) {
		r = jsonschema_check(s, instance, &e);
		CHECK(r <= JSONSCHEMA_INVALID);
	}
	jsonschema_free(s);
	err_clear();
	return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *a CLEANUP(arena_cleanup) = arena_new(32 << 20);
	const struct json *schema, *instance;
	struct span text = span_of(data, size);
	ssize_t cut = span_find_byte(text, '\n', 0);
	if (size > 16 * 1024 || cut < 0)
		return 0;
	if (json_parse(a, span_sub(text, 0, (size_t)cut), NULL, &schema) < 0 ||
		json_parse(a, span_sub(text, (size_t)cut, size), NULL, &instance) < 0) {
		err_clear();
		return 0;
	}
	for (int d = JSONSCHEMA_DRAFT4; d <= JSONSCHEMA_2020_12; d++)
		(void)verdict(schema, instance, (enum jsonschema_draft)d);
	return 0;
}
