/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Whether the policies of a case validate against its schema, given as Cedar text and as JSON. The
 * label is that of 4.13, where the case has two.
 */
#include "tests/conformance/policy/cedar/pack.h"

static void explain(struct buf *why, const char *schema, const struct cedar_validation *v)
{
	buf_printf(why, "%s against the %s", v->valid ? "validates" : "does not validate", schema);
	for (size_t i = 0; i < v->count; i++)
		buf_printf(why, "\n    " SPAN_FMT " %s line %u column %u: %s",
			SPAN_ARG(v->findings[i].policy),
			v->findings[i].warning ? "warning" : "error", v->findings[i].line,
			v->findings[i].column, v->findings[i].message);
}

static bool agrees(struct arena *a, int loaded, const struct cedar_schema *schema,
	const struct cedar_policies *policies, bool expected, const char *form, struct buf *why)
{
	struct cedar_validation v;
	int r = loaded;
	if (r == 0)
		r = cedar_validate(a, schema, policies, CEDAR_NO_LEVEL, &v);
	if (r < 0)
		buf_printf(why, "%s: %s", form, err_message(r));
	else if (v.valid != expected)
		explain(why, form, &v);
	return why->len == 0;
}

bool check_validation(struct arena *a, const struct cedar_policies *policies, const struct json *c,
	struct buf *why)
{
	const struct json *label = json_get(c, "shouldValidateV4_13"),
			  *json = json_get(c, "schemaJson");
	const struct cedar_schema *schema = NULL;
	struct span text = json_str(c, "schema", SPAN(""));
	int r;
	if (!label)
		label = json_get(c, "shouldValidate");
	if (!label || label->type != JSON_BOOL)
		return true;
	if (text.n > 0) {
		r = cedar_schema_parse(a, text, &schema);
		if (!agrees(a, r, schema, policies, label->boolean, "schema text", why))
			return false;
	}
	if (!json || json->type != JSON_OBJECT)
		return true;
	r = cedar_schema_from_json(a, json, &schema);
	return agrees(a, r, schema, policies, label->boolean, "schema's JSON", why);
}
