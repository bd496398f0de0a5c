/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Any bytes as policies, about a fixed world of which a part is known: the residuals decide as the
 * policies do, with a schema and without.
 */
#include "policy/cedar/partial.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { INPUT_BYTES_MAX = 16 * 1024, MEMORY_BYTES = 256 * 1024 * 1024 };

static const char schema_text[] =
	"entity G in [G]; entity U in [G] { n: Long, u?: U, r: { a: String, b?: ipaddr }, s: "
	"Set<U> }"
	" tags String; action all; action a in [all] appliesTo { principal: U, resource: [U, G],"
	" context: { n: Long, u?: U, d: datetime, s: Set<Long> } };";

static const char user[] =
	"{\"uid\":{\"type\":\"U\",\"id\":\"%s\"},\"attrs\":{\"n\":1,\"r\":{\"a\":\"x\",\"b\":"
	"{\"__extn\":{\"fn\":\"ip\",\"arg\":\"10.0.0.1\"}}},\"s\":[],\"u\":{\"__entity\":"
	"{\"type\":\"U\",\"id\":\"q\"}}},\"parents\":[{\"type\":\"G\",\"id\":\"g\"}],"
	"\"tags\":{\"t\":\"x\"}}";

static const struct cedar_entities *entities(
	struct arena *a, const struct cedar_schema *s, bool with_resource)
{
	const struct cedar_entities *ret;
	const struct json *v;
	const char *p = arena_printf(a, user, "p"), *r = arena_printf(a, user, "r");
	const char *all = arena_printf(a, with_resource ? "[%s,%s]" : "[%s]", p, r);
	CHECK(json_parse(a, span_cstr(all), NULL, &v) == 0);
	CHECK(cedar_entities_from_json_typed(a, s, v, &ret) == 0);
	return ret;
}

static const struct cedar_value *context(struct arena *a, const char *text)
{
	const struct cedar_value *ret;
	const struct json *v;
	CHECK(json_parse(a, span_cstr(text), NULL, &v) == 0);
	CHECK(cedar_context_from_json(a, v, &ret) == 0);
	return ret;
}

static bool same(const struct cedar_answer *a, const struct cedar_answer *b)
{
	return a->allow == b->allow && a->reason_count == b->reason_count &&
		a->error_count == b->error_count;
}

static void ask(struct arena *a, const struct cedar_policies *policies, struct cedar_known known,
	const struct cedar_set *set, const struct cedar_entities *world)
{
	struct cedar_request q = {known.principal, known.action, cedar_uid_of(SPAN("U"), SPAN("r")),
		context(a,
			"{\"n\":2,\"d\":{\"__extn\":{\"fn\":\"datetime\",\"arg\":\"2026-01-01\"}},"
			"\"s\":[1]}")};
	struct cedar_answer whole, later;
	struct cedar_residuals residuals;
	CHECK(cedar_authorize(a, set, world, &q, &whole) == 0);
	CHECK(cedar_partial(a, policies, &known, &residuals) == 0);
	CHECK(cedar_residuals_decide(a, &residuals, world, &q, &later) == 0);
	CHECK(same(&whole, &later));
	CHECK(residuals.outlook == CEDAR_UNDECIDED ||
		(residuals.outlook == CEDAR_WILL_ALLOW) == whole.allow);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct span unknown[] = {{"n", 1}, {"u", 1}};
	struct arena *a CLEANUP(arena_cleanup) = arena_new(MEMORY_BYTES);
	struct cedar_policies policies;
	const struct cedar_schema *schema;
	const struct cedar_set *set;
	struct cedar_known known = {cedar_uid_of(SPAN("U"), SPAN("p")),
		cedar_uid_of(SPAN("Action"), SPAN("a")), cedar_uid_of(SPAN("U"), SPAN("")),
		.resource_unknown = true, .unknown = unknown, .unknown_count = ARRAY_LEN(unknown)};
	if (size > INPUT_BYTES_MAX || cedar_policies_parse(a, span_of(data, size), &policies) < 0 ||
		cedar_set_compile(a, &policies, &set) < 0) {
		err_clear();
		return 0;
	}
	CHECK(cedar_schema_parse(a, span_cstr(schema_text), &schema) == 0);
	known.context = context(a,
		"{\"d\":{\"__extn\":{\"fn\":\"datetime\",\"arg\":\"2026-01-01\"}},"
		"\"s\":[1]}");
	known.entities = entities(a, schema, false);
	known.schema = schema;
	ask(a, &policies, known, set, entities(a, schema, true));
	known.entities_closed = known.unknown_exist = true;
	ask(a, &policies, known, set, entities(a, schema, true));
	known.schema = NULL;
	ask(a, &policies, known, set, entities(a, schema, true));
	return 0;
}
