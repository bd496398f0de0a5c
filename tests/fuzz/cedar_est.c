/* SPDX-License-Identifier: AGPL-3.0-only */
/* Any bytes as a Cedar policy in JSON. What is accepted must be the same after one more round. */
#include "policy/cedar/cedar.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
	INPUT_BYTES_MAX = 64 * 1024,
	MEMORY_BYTES = 256 * 1024 * 1024,
	TEXT_BYTES = 64 * 1024 * 1024
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *a CLEANUP(arena_cleanup) = arena_new(MEMORY_BYTES);
	struct buf first CLEANUP(buf_fini) = buf_init(TEXT_BYTES);
	struct buf second CLEANUP(buf_fini) = buf_init(TEXT_BYTES);
	const struct cedar_policy *p, *q;
	const struct json *v;
	struct json_writer w;
	if (size <= INPUT_BYTES_MAX && json_parse(a, span_of(data, size), NULL, &v) == 0 &&
		cedar_policy_from_json(a, v, (struct span){0}, &p) == 0) {
		w = json_writer(&first);
		cedar_policy_to_json(&w, p);
		CHECK(json_parse(a, buf_view(&first), NULL, &v) == 0);
		CHECK(cedar_policy_from_json(a, v, (struct span){0}, &q) == 0);
		w = json_writer(&second);
		cedar_policy_to_json(&w, q);
		CHECK(span_eq(buf_view(&first), buf_view(&second)));
	}
	err_clear();
	return 0;
}
