/* SPDX-License-Identifier: AGPL-3.0-only */
/* Cases of the kinds schema, schema_json and entities_json. */
#include "tests/conformance/policy/cedar/pack.h"

enum { TEXT_BYTES = 16 * 1024 * 1024 };

const struct json *schema_json(struct arena *a, const struct cedar_schema *s)
{
	struct buf b CLEANUP(buf_fini) = buf_init(TEXT_BYTES);
	struct json_writer w = json_writer(&b);
	static const struct json_limits limits = {TEXT_BYTES, LIMIT_JSON_DEPTH};
	const struct json *v = NULL;
	cedar_schema_to_json(&w, s);
	CHECK(json_parse(a, arena_span(a, buf_view(&b)), &limits, &v) == 0);
	return v;
}

static bool same(
	const struct json *ours, const struct json *expected, const char *what, struct buf *why)
{
	struct json_writer w = json_writer(why);
	if (json_equal(ours, expected))
		return true;
	buf_puts(why, what);
	json_put(&w, ours);
	return false;
}

/* The JSON form reads back as itself. */
static bool json_round_trips(struct arena *a, const struct json *v, struct buf *why)
{
	const struct cedar_schema *again;
	if (cedar_schema_from_json(a, v, &again) == 0)
		return same(schema_json(a, again), v, "our JSON reads differently: ", why);
	buf_printf(why, "our JSON is refused: %s", err_message(-EINVAL));
	return false;
}

/* What our text reads back as, NULL if it is refused or cannot be said in Cedar syntax. */
static const struct json *through_text(
	struct arena *a, const struct cedar_schema *s, struct buf *why)
{
	struct buf b CLEANUP(buf_fini) = buf_init(TEXT_BYTES);
	const struct cedar_schema *again;
	int r = cedar_schema_print(&b, s);
	if (r == 0)
		r = cedar_schema_parse(a, arena_span(a, buf_view(&b)), &again);
	if (r == 0)
		return schema_json(a, again);
	buf_printf(why, "our text: %s", err_message(r));
	return NULL;
}

static bool same_twice(struct arena *a, const struct json *once, struct buf *why)
{
	const struct cedar_schema *s;
	const struct json *twice;
	CHECK(cedar_schema_from_json(a, once, &s) == 0);
	twice = through_text(a, s, why);
	return twice && same(twice, once, "our text reads differently: ", why);
}

static bool accepted(int r, const struct json *c, struct buf *why, bool *ret_go)
{
	bool expected = json_bool(c, "accept", false);
	*ret_go = r == 0 && expected;
	if ((r == 0) == expected)
		return true;
	buf_printf(why, "%s", r < 0 ? err_message(r) : "accepted");
	return false;
}

enum verdict check_schema(struct arena *a, const struct json *c, struct buf *why)
{
	const struct cedar_schema *s;
	const struct json *expected = json_get(c, "json"), *text;
	bool go;
	int r = cedar_schema_parse(a, json_str(c, "text", SPAN("")), &s);
	if (!accepted(r, c, why, &go))
		return VERDICT_FAIL;
	if (!go)
		return VERDICT_PASS;
	if (expected && expected->type == JSON_OBJECT &&
		!same(schema_json(a, s), expected, "JSON differs: ", why))
		return VERDICT_FAIL;
	if (!json_round_trips(a, schema_json(a, s), why))
		return VERDICT_FAIL;
	/* A type and an entity type of one name are two things in JSON, one in text: refused. */
	text = through_text(a, s, why);
	if (!text) {
		buf_reset(why);
		return cedar_schema_print(why, s) < 0 ? VERDICT_PASS : VERDICT_FAIL;
	}
	return same_twice(a, text, why) ? VERDICT_PASS : VERDICT_FAIL;
}

enum verdict check_schema_json(struct arena *a, const struct json *c, struct buf *why)
{
	const struct cedar_schema *s, *theirs;
	const struct json *text = json_get(c, "text"), *ours;
	bool go;
	int r = cedar_schema_from_json(a, json_get(c, "json"), &s);
	if (!accepted(r, c, why, &go))
		return VERDICT_FAIL;
	if (!go || !text || text->type != JSON_STRING)
		return VERDICT_PASS;
	if (cedar_schema_parse(a, text->text, &theirs) < 0) {
		buf_printf(why, "the reference's text: %s", err_message(-EINVAL));
		return VERDICT_FAIL;
	}
	ours = through_text(a, s, why);
	return ours && same(ours, schema_json(a, theirs), "text reads differently: ", why)
		? VERDICT_PASS
		: VERDICT_FAIL;
}

enum verdict check_entities_json(struct arena *a, const struct json *c, struct buf *why)
{
	const struct cedar_entities *entities;
	bool go;
	int r = cedar_entities_from_json(a, json_get(c, "json"), &entities);
	return accepted(r, c, why, &go) ? VERDICT_PASS : VERDICT_FAIL;
}
