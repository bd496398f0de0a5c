/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Any bytes as Cedar policies. What is accepted must survive text -> policy -> text and, where JSON
 * can nest as deep, text -> policy -> JSON -> policy -> text.
 */
#include "policy/cedar/cedar.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
	INPUT_BYTES_MAX = 64 * 1024,
	MEMORY_BYTES = 256 * 1024 * 1024,
	TEXT_BYTES = 64 * 1024 * 1024
};

static void check_text(struct arena *a, const struct cedar_policy *p, const struct buf *text)
{
	struct buf again CLEANUP(buf_fini) = buf_init(TEXT_BYTES);
	const struct cedar_policy *q;
	int r = cedar_policy_parse(a, buf_view(text), cedar_policy_id(p), &q);
	CHECK(r == 0 || r == -ENOMEM);
	if (r < 0)
		return;
	cedar_policy_print(&again, q);
	CHECK(span_eq(buf_view(text), buf_view(&again)));
}

static void check_policy(struct arena *a, const struct cedar_policy *p)
{
	struct buf text CLEANUP(buf_fini) = buf_init(TEXT_BYTES);
	struct buf est CLEANUP(buf_fini) = buf_init(TEXT_BYTES);
	struct buf again CLEANUP(buf_fini) = buf_init(TEXT_BYTES);
	struct json_writer w = json_writer(&est);
	const struct json *v;
	const struct cedar_policy *q;
	cedar_policy_print(&text, p);
	check_text(a, p, &text);
	cedar_policy_to_json(&w, p);
	if (json_parse(a, buf_view(&est), NULL, &v) < 0)
		return; /* deeper than JSON may be */
	CHECK(cedar_policy_from_json(a, v, cedar_policy_id(p), &q) == 0);
	w = json_writer(&again);
	cedar_policy_to_json(&w, q);
	CHECK(span_eq(buf_view(&est), buf_view(&again)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cedar_policies set;
	struct arena *a CLEANUP(arena_cleanup) = arena_new(MEMORY_BYTES);
	if (size <= INPUT_BYTES_MAX && cedar_policies_parse(a, span_of(data, size), &set) == 0)
		for (size_t i = 0; i < set.count; i++)
			check_policy(a, set.items[i]);
	err_clear();
	return 0;
}
