/* SPDX-License-Identifier: AGPL-3.0-only */
/* Any bytes as a Cedar policy in JSON. What is accepted must be the same after one more round,
 * unless it calls a function that does not exist: only the escape of a value can hold such a call,
 * and it is written in the form of all calls, as the reference does. */
#include "policy/cedar/ast.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
	INPUT_BYTES_MAX = 64 * 1024,
	MEMORY_BYTES = 256 * 1024 * 1024,
	TEXT_BYTES = 64 * 1024 * 1024
};

static bool calls_nothing(const struct expr *e)
{
	bool found = e->op == EXPR_CALL && e->ext == EXT_UNKNOWN;
	for (size_t i = 0; !found && i < e->count && e->kids; i++)
		found = calls_nothing(e->kids[i]);
	return found;
}

static bool makes_a_round(const struct cedar_policy *p)
{
	for (size_t i = 0; i < p->condition_count; i++)
		if (calls_nothing(p->conditions[i].body))
			return false;
	return true;
}

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
		if (makes_a_round(p)) {
			CHECK(cedar_policy_from_json(a, v, (struct span){0}, &q) == 0);
			w = json_writer(&second);
			cedar_policy_to_json(&w, q);
			CHECK(span_eq(buf_view(&first), buf_view(&second)));
		}
	}
	err_clear();
	return 0;
}
