/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Any bytes as policies: the formatter takes what the parser takes; and what validates against a
 * fixed schema fails on a world that conforms only by what types cannot tell, numbers that overflow
 * and entities that do not exist. A higher level allows no less.
 */
#include "policy/cedar/cedar.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { INPUT_BYTES_MAX = 16 * 1024, MEMORY_BYTES = 256 * 1024 * 1024 };

static const char schema_text[] =
	"entity G in [G]; entity U in [G] { n: Long, u?: U, r: { a: String, b?: ipaddr }, s: "
	"Set<U>, x: decimal } tags String; action all;"
	" action a in [all] appliesTo { principal: U, resource: [U, G],"
	" context: { n: Long, u?: U, d: datetime, s: Set<Long>, f?: Bool } };";

static const char world_json[] = "[{\"uid\":{\"type\":\"U\",\"id\":\"p\"},\"attrs\":{\"n\":"
				 "9223372036854775807,\"r\":{\"a\":\"x\"},"
				 "\"s\":[],\"x\":{\"__extn\":{\"fn\":\"decimal\",\"arg\":\"1.5\"}}}"
				 ",\"parents\":[{\"type\":\"G\","
				 "\"id\":\"g\"}],\"tags\":{\"t\":\"x\"}},"
				 "{\"uid\":{\"type\":\"U\",\"id\":\"q\"},\"attrs\":{\"n\":1,\"u\":{"
				 "\"type\":\"U\",\"id\":\"none\"},"
				 "\"r\":{\"a\":\"\",\"b\":\"10.0.0.1\"},\"s\":[{\"type\":\"U\","
				 "\"id\":\"p\"}],\"x\":\"0.0\"},"
				 "\"parents\":[]}]";

static const char context_json[] =
	"{\"n\":-1,\"d\":\"2026-01-01\",\"s\":[1,2],\"u\":{\"type\":\"U\",\"id\":\"q\"}}";

static const struct json *parse_json(struct arena *a, const char *text)
{
	const struct json *v;
	CHECK(json_parse(a, span_cstr(text), NULL, &v) == 0);
	return v;
}

/* Errors that no validation can rule out. */
static bool beyond_types(const char *message)
{
	return strstr(message, "overflow") || strstr(message, "does not exist") ||
		strstr(message, "exceeds 64 bits");
}

static void decide(struct arena *a, const struct cedar_schema *s, const struct cedar_set *set,
	struct cedar_uid resource)
{
	struct cedar_request q = {cedar_uid_of(SPAN("U"), SPAN("p")),
		cedar_uid_of(SPAN("Action"), SPAN("a")), resource, NULL};
	const struct cedar_entities *entities;
	struct cedar_answer answer;
	CHECK(cedar_entities_from_json_typed(a, s, parse_json(a, world_json), &entities) == 0);
	CHECK(cedar_context_from_json_typed(
		      a, s, &q.action, parse_json(a, context_json), &q.context) == 0);
	CHECK(cedar_request_validate(s, &q) == 0);
	CHECK(cedar_authorize(a, set, entities, &q, &answer) == 0);
	for (size_t i = 0; i < answer.error_count; i++)
		CHECK(beyond_types(answer.errors[i].message));
}

static void validate(struct arena *a, const struct cedar_policies *policies)
{
	const struct cedar_schema *s;
	const struct cedar_set *set;
	struct cedar_validation v, level;
	bool allowed = false;
	CHECK(cedar_schema_parse(a, span_cstr(schema_text), &s) == 0);
	if (cedar_validate(a, s, policies, CEDAR_NO_LEVEL, &v) < 0)
		return; /* beyond the arena */
	for (int i = 0; i < 4; i++) {
		if (cedar_validate(a, s, policies, i, &level) < 0)
			return;
		CHECK(level.valid >= allowed && level.valid <= v.valid);
		allowed = level.valid;
	}
	if (!v.valid || cedar_set_compile(a, policies, &set) < 0)
		return;
	decide(a, s, set, cedar_uid_of(SPAN("U"), SPAN("q")));
	decide(a, s, set, cedar_uid_of(SPAN("G"), SPAN("none")));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *a CLEANUP(arena_cleanup) = arena_new(MEMORY_BYTES);
	struct buf b CLEANUP(buf_fini) = buf_init(64 * 1024 * 1024);
	struct cedar_policies policies;
	if (size <= INPUT_BYTES_MAX &&
		cedar_policies_parse(a, span_of(data, size), &policies) == 0) {
		int r = cedar_format(a, span_of(data, size), &b);
		CHECK(r == 0 || r == -ENOMEM || r == -E2BIG);
		validate(a, &policies);
	}
	err_clear();
	return 0;
}
