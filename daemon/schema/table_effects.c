/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Which fields of a document do nothing yet: the table knows, the document says which of them
 * somebody relies on. Also here: the table's own consistency, for tests.
 */
#include "daemon/schema/schema_internal.h"

struct effects {
	table_effect_fn fn;
	void *ctx;
	struct table_run run; /* for its path */
};

static void effects_of_table(struct effects *e, const struct table *t, const struct doc *d);

static bool is_default(const struct table_field *f, const struct doc *d)
{
	if (d->type == DOC_NULL)
		return true;
	if (d->type == DOC_LIST || d->type == DOC_MAP)
		return d->count == 0;
	if (f->type == TABLE_BOOL)
		return d->type == DOC_BOOL &&
			d->boolean == (f->otherwise && strcmp(f->otherwise, "true") == 0);
	return f->otherwise && span_is(d->text, f->otherwise);
}

static bool without_effect(const struct table_field *f, const struct doc *d)
{
	if (f->effect == TABLE_ACTED || is_default(f, d))
		return false;
	if (f->type != TABLE_ENUM || !f->effect_values)
		return true;
	int index = words_find(f->values, d->text);
	return index >= 0 && (f->effect_values >> index & 1);
}

static void effects_of_value(struct effects *e, const struct table_field *f, const struct doc *d)
{
	if (without_effect(f, d)) {
		e->fn(e->ctx, e->run.path, f, d);
		return;
	}
	if (f->type == TABLE_OBJECT && d->type == DOC_MAP) {
		effects_of_table(e, f->table, d);
	} else if (f->type == TABLE_LIST || f->type == TABLE_MAP) {
		for (size_t i = 0; i < d->count; i++) {
			size_t before = d->type == DOC_LIST
				? run_push_index(&e->run, i)
				: run_push_key(&e->run, d->items[i].key);
			effects_of_value(e, f->item, &d->items[i]);
			run_pop(&e->run, before);
		}
	} else if (f->type == TABLE_FORMS) {
		for (const struct table_field *form = f->forms; form->name; form++) {
			if (!field_suits(form, d->type))
				continue;
			effects_of_value(e, form, d);
			break;
		}
	}
}

static void effects_of_table(struct effects *e, const struct table *t, const struct doc *d)
{
	for (size_t i = 0; i < d->count; i++) {
		const struct doc *member = &d->items[i];
		const struct table_renamed *n = table_find_renamed(t, member->key);
		const struct table_field *f =
			table_find(t, n && n->accepted ? span_cstr(n->write) : member->key);
		if (!f)
			continue;
		size_t before = run_push_key(&e->run, member->key);
		effects_of_value(e, f, member);
		run_pop(&e->run, before);
	}
}

void table_effects(const struct table *t, const struct doc *d, table_effect_fn fn, void *ctx)
{
	struct effects e = {.fn = fn, .ctx = ctx};
	if (d->type == DOC_MAP)
		effects_of_table(&e, t, d);
}

/* ---- the table itself ---- */

static int check_field(const struct table *t, const struct table_field *f, int depth);

static int check_table(const struct table *t, int depth)
{
	if (depth > LIMIT_DOC_DEPTH)
		return err_raise(-EINVAL, "table %s: contains itself", t->name);
	size_t count = 0;
	for (const struct table_field *f = t->fields; f->name; f++, count++) {
		if (table_find(t, span_cstr(f->name)) != f)
			return err_raise(-EINVAL, "%s.%s: twice", t->name, f->name);
		int r = check_field(t, f, depth);
		if (r < 0)
			return err_trace(r);
	}
	if (count > LIMIT_TABLE_FIELDS)
		return err_raise(-EINVAL, "table %s: too many fields", t->name);
	if (t->shorthand && !table_find(t, span_cstr(t->shorthand)))
		return err_raise(-EINVAL, "table %s: no field for the shorthand", t->name);
	for (const struct table_renamed *n = t->renamed; n && n->name; n++)
		if (table_find(t, span_cstr(n->name)) ||
			(n->accepted && !table_find(t, span_cstr(n->write))))
			return err_raise(-EINVAL, "%s.%s: renamed to nothing", t->name, n->name);
	for (const struct table_rule *rule = t->rules; rule && rule->a; rule++)
		if (!table_find(t, span_cstr(rule->a)) || !table_find(t, span_cstr(rule->b)))
			return err_raise(-EINVAL, "table %s: a rule about nothing", t->name);
	return 0;
}

static bool shape_complete(const struct table *t, const struct table_field *f)
{
	bool collection = f->type == TABLE_LIST || f->type == TABLE_MAP;
	if (collection != (f->item && f->item_bytes))
		return false;
	if ((f->type == TABLE_ENUM) != !!f->values)
		return false;
	if ((f->type == TABLE_OBJECT) != !!f->table || (f->type == TABLE_FORMS) != !!f->forms)
		return false;
	if (!!f->pattern != !!f->pattern_says)
		return false;
	if (f->only && !t->discriminator)
		return false;
	return f->offset < t->bytes;
}

static int check_default(const struct table_field *f)
{
	struct arena *a CLEANUP(arena_cleanup) = arena_new(1 << 20);
	struct table_field alone[2] = {*f, {0}};
	alone[0].offset = 0;
	alone[0].only = 0;
	alone[0].flags &= ~(unsigned)(TABLE_REQUIRED | TABLE_UNIQUE);
	struct table t = {.name = "default", .fields = alone, .bytes = LIMIT_PATH_BYTES};
	const struct doc empty = {.type = DOC_MAP, .weight = 1};
	struct report report;
	void *room = a ? arena_alloc(a, t.bytes) : NULL;
	if (!room || report_init(&report, a, "default") < 0)
		return err_raise(-ENOMEM, "no memory");
	struct table_run run = {.report = &report};
	int r = table_load(&run, &t, &empty, room);
	if (r > 0)
		return err_raise(-EINVAL, "%s: default: %s", f->name, report.findings[0].message);
	return r < 0 ? err_trace(r) : 0;
}

static int check_field(const struct table *t, const struct table_field *f, int depth)
{
	if (!shape_complete(t, f))
		return err_raise(-EINVAL, "%s.%s: incomplete", t->name, f->name);
	int r = 0;
	if (f->otherwise)
		r = check_default(f);
	if (r == 0 && f->pattern) {
		struct pattern *p = NULL;
		r = pattern_new(span_cstr(f->pattern), true, &p);
		if (r == 0)
			pattern_free(p);
	}
	if (r == 0 && f->type == TABLE_OBJECT)
		r = check_table(f->table, depth + 1);
	if (r == 0 && f->item) {
		struct table item = {.name = f->name, .bytes = f->item_bytes};
		r = check_field(&item, f->item, depth + 1);
	}
	for (const struct table_field *form = f->forms; r == 0 && form && form->name; form++)
		r = check_field(t, form, depth + 1);
	return r < 0 ? err_trace(r) : 0;
}

int table_selfcheck(const struct table *t)
{
	int r = check_table(t, 0);
	return r < 0 ? err_trace(r) : 0;
}
