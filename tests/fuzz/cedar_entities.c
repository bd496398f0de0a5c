/* SPDX-License-Identifier: AGPL-3.0-only */
/* Any bytes as entities in JSON; what is accepted is asked about by a policy that walks it. */
#include "policy/cedar/cedar.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { INPUT_BYTES_MAX = 64 * 1024, MEMORY_BYTES = 64 * 1024 * 1024 };

static void ask(struct arena *a, const struct cedar_entities *entities)
{
	static const char text[] =
		"permit(principal in Group::\"g\", action, resource) when { principal has n && "
		"principal.n == principal.n && principal.hasTag(\"t\") };"
		"forbid(principal, action, resource) when { principal == principal.f || "
		"[principal.s].contains(principal.s) };";
	struct cedar_policies policies;
	const struct cedar_set *set;
	struct cedar_answer answer;
	const struct json *nothing;
	struct cedar_request q = {cedar_uid_of(SPAN("User"), SPAN("a")),
		cedar_uid_of(SPAN("Action"), SPAN("x")), cedar_uid_of(SPAN("User"), SPAN("b")),
		NULL};
	CHECK(json_parse(a, SPAN("{}"), NULL, &nothing) == 0);
	CHECK(cedar_context_from_json(a, nothing, &q.context) == 0);
	CHECK(cedar_policies_parse(a, span_cstr(text), &policies) == 0);
	CHECK(cedar_set_compile(a, &policies, &set) == 0);
	CHECK(cedar_authorize(a, set, entities, &q, &answer) == 0);
	CHECK(answer.reason_count + answer.error_count <= 2);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *a CLEANUP(arena_cleanup) = arena_new(MEMORY_BYTES);
	const struct cedar_entities *entities;
	const struct json *v;
	if (size <= INPUT_BYTES_MAX && json_parse(a, span_of(data, size), NULL, &v) == 0 &&
		cedar_entities_from_json(a, v, &entities) == 0)
		ask(a, entities);
	err_clear();
	return 0;
}
