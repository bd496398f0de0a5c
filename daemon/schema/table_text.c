/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * A table as people read it: a reference in Markdown, and a sample in YAML. The sample loads as it
 * stands: what is required is written out, what is optional is commented out with its default.
 */
#include "daemon/schema/schema_internal.h"

/* ---- reference ---- */

static void put_bounds(struct buf *b, const struct table_field *f)
{
	if (f->type == TABLE_ENUM) {
		for (int i = 0; f->values[i]; i++)
			buf_printf(b, "%s`%s`", i ? " \\| " : "", f->values[i]);
	} else if (f->type == TABLE_NUMBER && (f->least != 0 || f->most != 0)) {
		buf_printf(b, "%g to %g", f->least, f->most);
	} else if (f->type == TABLE_DURATION && f->max) {
		buf_printf(b, "%gs to %gs", (double)f->min / NS_PER_S, (double)f->max / NS_PER_S);
	} else if (f->pattern_says) {
		buf_puts(b, f->pattern_says);
	} else if (f->type == TABLE_INT && f->max) {
		buf_printf(b, "%lld to %lld", (long long)f->min, (long long)f->max);
	} else if (f->type == TABLE_INT && f->min) {
		buf_printf(b, "at least %lld", (long long)f->min);
	}
}

static void put_type_words(struct buf *b, const struct table_field *f)
{
	static const char *const words[] = {
		[TABLE_STRING] = "string",
		[TABLE_ENUM] = "word",
		[TABLE_BOOL] = "boolean",
		[TABLE_INT] = "integer",
		[TABLE_NUMBER] = "number",
		[TABLE_DURATION] = "duration",
		[TABLE_SIZE] = "size",
		[TABLE_JSON] = "any",
		[TABLE_SECRET] = "secret",
	};
	switch (f->type) {
	case TABLE_LIST:
		put_type_words(b, f->item);
		buf_puts(b, "[]");
		return;
	case TABLE_MAP:
		buf_puts(b, "map of ");
		put_type_words(b, f->item);
		return;
	case TABLE_OBJECT:
		buf_printf(b, "[%s](#%s)", f->table->name, f->table->name);
		return;
	case TABLE_FORMS:
		for (const struct table_field *form = f->forms; form->name; form++) {
			if (form != f->forms)
				buf_puts(b, " or ");
			put_type_words(b, form);
		}
		return;
	default:
		buf_puts(b, words[f->type]);
	}
}

static const char *effect_words(const struct table_field *f)
{
	if (f->effect == TABLE_ACTED)
		return "";
	if (f->effect == TABLE_GUARDED)
		return f->effect_values ? " *Some values are not enforced yet: runs are refused.*"
					: " *Not enforced yet: runs are refused.*";
	return " *No effect yet.*";
}

static void put_reference_row(struct buf *b, const struct table_field *f)
{
	buf_printf(b, "| `%s` | ", f->name);
	put_type_words(b, f);
	buf_printf(b, " | %s | ", f->flags & TABLE_REQUIRED ? "yes" : "");
	if (f->otherwise)
		buf_printf(b, "`%s`", f->otherwise);
	buf_puts(b, " | ");
	put_bounds(b, f);
	buf_printf(b, " | %s%s |\n", f->doc ? f->doc : "", effect_words(f));
}

struct reference {
	struct buf *b;
	const struct table *seen[LIMIT_TABLE_FIELDS * 2];
	size_t count;
};

static void put_reference(struct reference *r, const struct table *t);

static void follow_field(struct reference *r, const struct table_field *f)
{
	if (f->type == TABLE_OBJECT)
		put_reference(r, f->table);
	if (f->item)
		follow_field(r, f->item);
	for (const struct table_field *form = f->forms; form && form->name; form++)
		follow_field(r, form);
}

static void put_reference(struct reference *r, const struct table *t)
{
	for (size_t i = 0; i < r->count; i++)
		if (r->seen[i] == t)
			return;
	CHECK(r->count < ARRAY_LEN(r->seen));
	r->seen[r->count++] = t;

	buf_printf(r->b, "## %s\n\n", t->name);
	if (t->doc)
		buf_printf(r->b, "%s\n\n", t->doc);
	buf_puts(r->b,
		"| field | type | required | default | accepted | meaning |\n"
		"|---|---|---|---|---|---|\n");
	for (const struct table_field *f = t->fields; f->name; f++)
		put_reference_row(r->b, f);
	buf_putc(r->b, '\n');
	for (const struct table_rule *rule = t->rules; rule && rule->a; rule++)
		buf_printf(r->b, "- `%s`, `%s`: %s\n", rule->a, rule->b, rule->says);
	for (const struct table_renamed *n = t->renamed; n && n->name; n++)
		buf_printf(r->b, "- `%s`: write `%s`\n", n->name, n->write);
	if (t->rules || t->renamed)
		buf_putc(r->b, '\n');
	for (const struct table_field *f = t->fields; f->name; f++)
		follow_field(r, f);
}

void table_reference(const struct table *t, struct buf *b)
{
	struct reference r = {.b = b};
	put_reference(&r, t);
}

/* ---- sample ---- */

struct sample {
	struct buf *b;
	bool all;
	int indent; /* blanks */
	bool silent; /* inside something optional: commented out */
	const char *lead; /* "- " in front of the first field of a list's item, once */
};

static void sample_table(struct sample *s, const struct table *t);

static void line_start(struct sample *s)
{
	int indent = s->indent - (s->lead ? 2 : 0);
	buf_printf(s->b, "%*s%s%s", indent, "", s->silent ? "# " : "", s->lead ? s->lead : "");
	s->lead = NULL;
}

/* Quoted if YAML would otherwise read something else than this text. */
static void put_yaml_text(struct buf *b, const char *text)
{
	bool plain = *text && !strpbrk(text, ":#{}[]&*!|>'\"%@`,?") && *text != '-' &&
		(*text < '0' || *text > '9') && strcmp(text, "true") != 0 &&
		strcmp(text, "false") != 0 && strcmp(text, "null") != 0;
	if (plain)
		buf_puts(b, text);
	else
		buf_printf(b, "\"%s\"", text);
}

static void sample_scalar(struct sample *s, const struct table_field *f)
{
	const char *text = f->example ? f->example : f->otherwise;
	bool is_text = f->type == TABLE_STRING || f->type == TABLE_SECRET;
	if (!text && f->type == TABLE_ENUM)
		text = f->values[0];
	line_start(s);
	buf_printf(s->b, "%s:%s", f->name, text ? " " : "");
	if (text && is_text)
		put_yaml_text(s->b, text);
	else if (text)
		buf_puts(s->b, text);
	buf_putc(s->b, '\n');
}

static void sample_nested(struct sample *s, const struct table_field *f, const struct table *t)
{
	bool list = f->type == TABLE_LIST;
	line_start(s);
	buf_printf(s->b, "%s:\n", f->name);
	struct sample inner = *s;
	inner.indent += list ? 4 : 2;
	inner.lead = list ? "- " : NULL;
	sample_table(&inner, t);
}

static void sample_field(struct sample *s, const struct table_field *f)
{
	bool required = f->flags & TABLE_REQUIRED;
	struct sample here = *s;
	here.silent = s->silent || !required;
	if (s->all && f->doc)
		buf_printf(s->b, "%*s# %s\n", s->indent - (s->lead ? 2 : 0), "", f->doc);

	const struct table_field *shape = f;
	while (shape->type == TABLE_FORMS)
		shape = shape->forms;
	const struct table *inside = shape->type == TABLE_OBJECT ? shape->table
		: shape->type == TABLE_LIST && shape->item->type == TABLE_OBJECT && !f->example
		? shape->item->table
		: NULL;
	if (inside) {
		struct table_field named = *shape;
		named.name = f->name;
		sample_nested(&here, &named, inside);
	} else {
		sample_scalar(&here, f);
	}
	s->lead = here.lead;
}

static void sample_table(struct sample *s, const struct table *t)
{
	int kind = TABLE_KIND_UNKNOWN;
	if (t->discriminator) {
		const struct table_field *by = table_find(t, span_cstr(t->discriminator));
		kind = words_find(by->values, span_cstr(by->example ? by->example : by->values[0]));
	}
	for (const struct table_field *f = t->fields; f->name; f++) {
		if (f->flags & TABLE_HIDDEN || !field_belongs(f, kind))
			continue;
		if (f->flags & TABLE_REQUIRED || s->all)
			sample_field(s, f);
	}
}

void table_sample(const struct table *t, bool all, struct buf *b)
{
	struct sample s = {.b = b, .all = all};
	sample_table(&s, t);
}
