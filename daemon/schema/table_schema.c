/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * JSON Schema (draft 2020-12) of the documents that a table accepts. Each table becomes one
 * definition. What the schema cannot say, and the loader checks alone: bounds of durations and
 * sizes that are written with a unit, TABLE_UNIQUE, and `check` functions.
 */
#include "daemon/schema/schema_internal.h"

enum { DEFINITIONS_MAX = 128 };

struct definitions {
	const struct table *tables[DEFINITIONS_MAX];
	size_t count;
	bool credentials;
};

#define PATTERN_DURATION "^(?=.)([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?$|^[0-9]+$"
#define PATTERN_SIZE "^[0-9]+(Ki|Mi|Gi|Ti|k|K|M|G|T)?$"

static void put_value(struct json_writer *w, struct definitions *defs, const struct table_field *f);

/* ---- which tables there are ---- */

static void collect_table(struct definitions *defs, const struct table *t);

static void collect_field(struct definitions *defs, const struct table_field *f)
{
	if (f->type == TABLE_OBJECT)
		collect_table(defs, f->table);
	if (f->item)
		collect_field(defs, f->item);
	for (const struct table_field *form = f->forms; form && form->name; form++)
		collect_field(defs, form);
}

static void collect_table(struct definitions *defs, const struct table *t)
{
	for (size_t i = 0; i < defs->count; i++)
		if (defs->tables[i] == t)
			return;
	CHECK(defs->count < DEFINITIONS_MAX);
	defs->tables[defs->count++] = t;
	for (const struct table_field *f = t->fields; f->name; f++)
		collect_field(defs, f);
}

/* ---- small pieces ---- */

static void put_ref(struct json_writer *w, const struct table *t)
{
	struct buf b CLEANUP(buf_fini) = buf_init(LIMIT_DOC_PATH_BYTES);
	buf_printf(&b, "#/$defs/%s", t->name);
	json_object(w);
	json_field_span(w, "$ref", buf_view(&b));
	json_end(w);
}

static void put_type(struct json_writer *w, const char *type)
{
	json_object(w);
	json_field_cstr(w, "type", type);
	json_end(w);
}

static void put_pattern(struct json_writer *w, const char *pattern)
{
	json_object(w);
	json_field_cstr(w, "type", "string");
	json_field_cstr(w, "pattern", pattern);
	json_end(w);
}

/* {"required":[name],"properties":{name:{"not":{"type":"null"}}}}: present, and not null. */
static void put_present(struct json_writer *w, const char *name)
{
	json_object(w);
	json_key(w, "required");
	json_array(w);
	json_put_cstr(w, name);
	json_end(w);
	json_key(w, "properties");
	json_object(w);
	json_key(w, name);
	json_object(w);
	json_key(w, "not");
	put_type(w, "null");
	json_end(w);
	json_end(w);
	json_end(w);
}

/* ---- values ---- */

/* The field's own bounds behind a prefix of `extra` characters. */
static void put_bounded(
	struct json_writer *w, const struct table_field *f, const char *prefix, int64_t extra)
{
	json_object(w);
	json_field_cstr(w, "type", "string");
	struct buf b CLEANUP(buf_fini) = buf_init(LIMIT_DOC_PATH_BYTES);
	if (f->pattern)
		buf_printf(&b, "^%s(?:%s)$", prefix, f->pattern);
	else if (*prefix)
		buf_printf(&b, "^%s", prefix);
	if (b.len)
		json_field_span(w, "pattern", buf_view(&b));
	if (f->min)
		json_field_i64(w, "minLength", f->min + extra);
	if (f->max)
		json_field_i64(w, "maxLength", f->max + extra);
	json_end(w);
}

static void put_string(struct json_writer *w, struct definitions *defs, const struct table_field *f)
{
	if (!defs->credentials || f->flags & TABLE_PLAIN) {
		put_bounded(w, f, "", 0);
		return;
	}
	json_object(w);
	json_key(w, "anyOf");
	json_array(w);
	put_pattern(w, "^env:");
	put_bounded(w, f, "literal:", 8);
	put_bounded(w, f, "(?!(?:env|literal|secret):)", 0);
	json_end(w);
	json_end(w);
}

static void put_enum(struct json_writer *w, const struct table_field *f)
{
	json_object(w);
	json_key(w, "enum");
	json_array(w);
	for (int i = 0; f->values[i]; i++)
		json_put_cstr(w, f->values[i]);
	json_end(w);
	json_end(w);
}

static void put_number(struct json_writer *w, const struct table_field *f)
{
	bool integer = f->type == TABLE_INT;
	json_object(w);
	json_field_cstr(w, "type", integer ? "integer" : "number");
	if (integer && (f->min || f->max))
		json_field_i64(w, "minimum", f->min);
	if (integer && f->max)
		json_field_i64(w, "maximum", f->max);
	if (!integer && (f->least != 0 || f->most != 0)) {
		json_key(w, "minimum");
		json_put_double(w, f->least);
		json_key(w, "maximum");
		json_put_double(w, f->most);
	}
	json_end(w);
}

/* A text with a unit, or a bare number of seconds or bytes, which alone can be bounded here. */
static void put_measure(struct json_writer *w, const struct table_field *f)
{
	bool duration = f->type == TABLE_DURATION;
	int64_t unit = duration ? NS_PER_S : 1;
	json_object(w);
	json_key(w, "anyOf");
	json_array(w);
	put_pattern(w, duration ? PATTERN_DURATION : PATTERN_SIZE);
	json_object(w);
	json_field_cstr(w, "type", "integer");
	json_field_i64(w, "minimum", (f->min + unit - 1) / unit);
	if (f->max)
		json_field_i64(w, "maximum", f->max / unit);
	json_end(w);
	json_end(w);
	json_end(w);
}

static void put_collection(
	struct json_writer *w, struct definitions *defs, const struct table_field *f)
{
	bool list = f->type == TABLE_LIST;
	json_object(w);
	json_field_cstr(w, "type", list ? "array" : "object");
	json_key(w, list ? "items" : "additionalProperties");
	put_value(w, defs, f->item);
	if (f->min)
		json_field_i64(w, list ? "minItems" : "minProperties", f->min);
	if (f->max)
		json_field_i64(w, list ? "maxItems" : "maxProperties", f->max);
	json_end(w);
}

static void put_forms(struct json_writer *w, struct definitions *defs, const struct table_field *f)
{
	json_object(w);
	json_key(w, "anyOf");
	json_array(w);
	for (const struct table_field *form = f->forms; form->name; form++)
		put_value(w, defs, form);
	json_end(w);
	json_end(w);
}

static void put_value(struct json_writer *w, struct definitions *defs, const struct table_field *f)
{
	switch (f->type) {
	case TABLE_STRING:
		put_string(w, defs, f);
		return;
	case TABLE_ENUM:
		put_enum(w, f);
		return;
	case TABLE_BOOL:
		put_type(w, "boolean");
		return;
	case TABLE_INT:
	case TABLE_NUMBER:
		put_number(w, f);
		return;
	case TABLE_DURATION:
	case TABLE_SIZE:
		put_measure(w, f);
		return;
	case TABLE_LIST:
	case TABLE_MAP:
		put_collection(w, defs, f);
		return;
	case TABLE_OBJECT:
		put_ref(w, f->table);
		return;
	case TABLE_FORMS:
		put_forms(w, defs, f);
		return;
	case TABLE_JSON:
		json_put_bool(w, true);
		return;
	case TABLE_SECRET:
		put_pattern(w, ".");
		return;
	}
	UNREACHABLE();
}

/* ---- objects ---- */

/* The default as JSON, if it is simple enough to be read. */
static void put_default(struct json_writer *w, const struct table_field *f)
{
	if (!f->otherwise || f->type == TABLE_LIST || f->type == TABLE_MAP ||
		f->type == TABLE_OBJECT || f->type == TABLE_JSON)
		return;
	json_key(w, "default");
	if (f->type == TABLE_BOOL)
		json_put_bool(w, strcmp(f->otherwise, "true") == 0);
	else if (f->type == TABLE_INT || f->type == TABLE_NUMBER)
		json_put_raw(w, span_cstr(f->otherwise));
	else
		json_put_cstr(w, f->otherwise);
}

static void put_property(struct json_writer *w, struct definitions *defs,
	const struct table_field *f, const char *name, bool old)
{
	json_key(w, name);
	json_object(w);
	if (f->doc)
		json_field_cstr(w, "description", f->doc);
	put_default(w, f);
	if (old)
		json_field_bool(w, "deprecated", true);
	json_key(w, "anyOf");
	json_array(w);
	put_value(w, defs, f);
	if (!(f->flags & TABLE_REQUIRED))
		put_type(w, "null");
	json_end(w);
	json_end(w);
}

static void put_properties(struct json_writer *w, struct definitions *defs, const struct table *t)
{
	json_key(w, "properties");
	json_object(w);
	for (const struct table_field *f = t->fields; f->name; f++)
		put_property(w, defs, f, f->name, false);
	for (const struct table_renamed *n = t->renamed; n && n->name; n++)
		if (n->accepted)
			put_property(w, defs, table_find(t, span_cstr(n->write)), n->name, true);
	json_end(w);
	json_field_bool(w, "additionalProperties", false);

	json_key(w, "required");
	json_array(w);
	for (const struct table_field *f = t->fields; f->name; f++)
		if (f->flags & TABLE_REQUIRED && !f->only)
			json_put_cstr(w, f->name);
	json_end(w);
}

static void put_implication(struct json_writer *w, const char *a, const char *b)
{
	json_object(w);
	json_key(w, "if");
	put_present(w, a);
	json_key(w, "then");
	put_present(w, b);
	json_end(w);
}

static void put_rule(struct json_writer *w, const struct table_rule *rule)
{
	if (rule->kind == TABLE_RULE_NEEDS || rule->kind == TABLE_RULE_TOGETHER) {
		put_implication(w, rule->a, rule->b);
		if (rule->kind == TABLE_RULE_TOGETHER)
			put_implication(w, rule->b, rule->a);
		return;
	}
	json_object(w);
	if (rule->kind == TABLE_RULE_APART) {
		json_key(w, "not");
		json_object(w);
	}
	json_key(w, rule->kind == TABLE_RULE_APART ? "allOf" : "anyOf");
	json_array(w);
	put_present(w, rule->a);
	put_present(w, rule->b);
	json_end(w);
	if (rule->kind == TABLE_RULE_APART)
		json_end(w);
	json_end(w);
}

/* An old name and the new one exclude each other. */
static void put_not_both(struct json_writer *w, const struct table_renamed *n)
{
	json_object(w);
	json_key(w, "not");
	json_object(w);
	json_key(w, "required");
	json_array(w);
	json_put_cstr(w, n->name);
	json_put_cstr(w, n->write);
	json_end(w);
	json_end(w);
	json_end(w);
}

/* if type is X then its fields are required, and those of others null or absent */
static void put_kind(
	struct json_writer *w, const struct table *t, const struct table_field *by, int kind)
{
	json_object(w);
	json_key(w, "if");
	json_object(w);
	json_key(w, "properties");
	json_object(w);
	json_key(w, by->name);
	json_object(w);
	json_field_cstr(w, "const", by->values[kind]);
	json_end(w);
	json_end(w);
	if (!by->otherwise || strcmp(by->otherwise, by->values[kind]) != 0) {
		json_key(w, "required");
		json_array(w);
		json_put_cstr(w, by->name);
		json_end(w);
	}
	json_end(w);

	json_key(w, "then");
	json_object(w);
	json_key(w, "required");
	json_array(w);
	for (const struct table_field *f = t->fields; f->name; f++)
		if (f->only && field_belongs(f, kind) && f->flags & TABLE_REQUIRED)
			json_put_cstr(w, f->name);
	json_end(w);
	json_key(w, "properties");
	json_object(w);
	for (const struct table_field *f = t->fields; f->name; f++) {
		if (field_belongs(f, kind))
			continue;
		json_key(w, f->name);
		put_type(w, "null");
	}
	json_end(w);
	json_end(w);
	json_end(w);
}

static void put_constraints(struct json_writer *w, const struct table *t)
{
	json_key(w, "allOf");
	json_array(w);
	json_put_bool(w, true);
	for (const struct table_rule *rule = t->rules; rule && rule->a; rule++)
		put_rule(w, rule);
	for (const struct table_renamed *n = t->renamed; n && n->name; n++)
		if (n->accepted)
			put_not_both(w, n);
	const struct table_field *by =
		t->discriminator ? table_find(t, span_cstr(t->discriminator)) : NULL;
	for (int kind = 0; by && by->values[kind]; kind++)
		put_kind(w, t, by, kind);
	json_end(w);
}

static void put_object(struct json_writer *w, struct definitions *defs, const struct table *t)
{
	if (t->doc)
		json_field_cstr(w, "description", t->doc);
	if (t->shorthand) {
		json_key(w, "anyOf");
		json_array(w);
		put_value(w, defs, table_find(t, span_cstr(t->shorthand)));
		json_object(w);
	}
	json_field_cstr(w, "type", "object");
	put_properties(w, defs, t);
	put_constraints(w, t);
	if (t->shorthand) {
		json_end(w);
		json_end(w);
	}
}

void table_json_schema(const struct table *t, const char *id, struct json_writer *w)
{
	struct definitions defs = {.credentials = t->credentials};
	collect_table(&defs, t);
	json_object(w);
	json_field_cstr(w, "$schema", "https://json-schema.org/draft/2020-12/schema");
	json_field_cstr(w, "$id", id);
	json_field_cstr(w, "title", t->name);
	put_object(w, &defs, t);
	json_key(w, "$defs");
	json_object(w);
	for (size_t i = 1; i < defs.count; i++) {
		json_key(w, defs.tables[i]->name);
		json_object(w);
		put_object(w, &defs, defs.tables[i]);
		json_end(w);
	}
	json_end(w);
	json_end(w);
}
