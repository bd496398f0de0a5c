/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Walks a document and a table side by side, fills the struct, and reports every difference. A
 * member that is null counts as absent, so that an empty section (`network:` and nothing below)
 * means its defaults.
 *
 * Invariant: after a load without a finding every field of the struct is either what the document
 * says or what table.h promises for silence; nothing is left as it was.
 */
#include "daemon/schema/schema_internal.h"

static int value_load(
	struct table_run *run, const struct table_field *f, const struct doc *d, void *base);
static int object_load(
	struct table_run *run, const struct table *t, const struct doc *d, void *object);
static int object_defaults(struct table_run *run, const struct table *t, void *object);

/* Keeps the worse of two results: a finding lets the walk go on, an errno ends it. */
static bool goes_on(int r, int *worst)
{
	if (r)
		*worst = r;
	return r >= 0;
}

/* ---- what the table says about a name ---- */

const struct table_field *table_find(const struct table *t, struct span name)
{
	for (const struct table_field *f = t->fields; f->name; f++)
		if (span_is(name, f->name))
			return f;
	return NULL;
}

const struct table_renamed *table_find_renamed(const struct table *t, struct span name)
{
	for (const struct table_renamed *n = t->renamed; n && n->name; n++)
		if (span_is(name, n->name))
			return n;
	return NULL;
}

int table_kind(const struct table *t, const struct doc *d)
{
	if (!t->discriminator)
		return TABLE_KIND_UNKNOWN;
	const struct table_field *f = table_find(t, span_cstr(t->discriminator));
	const struct doc *value = d->type == DOC_MAP ? doc_get(d, f->name) : NULL;
	if (value && value->type != DOC_NULL)
		return value->type == DOC_LIST || value->type == DOC_MAP
			? TABLE_KIND_UNKNOWN
			: words_find(f->values, value->text);
	return f->otherwise ? words_find(f->values, span_cstr(f->otherwise)) : TABLE_KIND_UNKNOWN;
}

bool field_suits(const struct table_field *f, enum doc_type type)
{
	switch (f->type) {
	case TABLE_STRING:
	case TABLE_SECRET:
		return type == DOC_STRING;
	case TABLE_ENUM:
		return type == DOC_STRING || type == DOC_NUMBER || type == DOC_BOOL;
	case TABLE_BOOL:
		return type == DOC_BOOL;
	case TABLE_INT:
	case TABLE_NUMBER:
		return type == DOC_NUMBER;
	case TABLE_DURATION:
	case TABLE_SIZE:
		return type == DOC_NUMBER || type == DOC_STRING;
	case TABLE_LIST:
		return type == DOC_LIST;
	case TABLE_MAP:
		return type == DOC_MAP;
	case TABLE_OBJECT:
		return type == DOC_MAP || (type == DOC_STRING && f->table->shorthand);
	case TABLE_JSON:
		return true;
	case TABLE_FORMS:
		break;
	}
	return false;
}

const char *field_wants(const struct table_field *f)
{
	static const char *const wants[] = {
		[TABLE_STRING] = "a string",
		[TABLE_ENUM] = "a word",
		[TABLE_BOOL] = "true or false",
		[TABLE_INT] = "an integer",
		[TABLE_NUMBER] = "a number",
		[TABLE_DURATION] = "a duration",
		[TABLE_SIZE] = "a size",
		[TABLE_LIST] = "a list",
		[TABLE_MAP] = "a mapping",
		[TABLE_OBJECT] = "a mapping",
		[TABLE_FORMS] = "one of several forms",
		[TABLE_JSON] = "any value",
		[TABLE_SECRET] = "a secret",
	};
	return wants[f->type];
}

/* ---- defaults ---- */

int field_default(struct arena *a, const struct table_field *f, const struct doc **ret)
{
	*ret = NULL;
	if (!f->otherwise)
		return 0;
	if (f->type == TABLE_LIST || f->type == TABLE_MAP || f->type == TABLE_JSON ||
		f->type == TABLE_OBJECT) {
		struct report scratch;
		int r = report_init(&scratch, a, "default");
		if (r == 0)
			r = doc_parse_yaml(&scratch, span_cstr(f->otherwise), ret);
		CHECK(r <= 0);
		return r < 0 ? err_trace(r) : 0;
	}
	struct doc *d = arena_make(a, struct doc);
	if (!d)
		return err_raise(-ENOMEM, "no memory for a document");
	d->text = d->number = span_cstr(f->otherwise);
	d->type = f->type == TABLE_BOOL                           ? DOC_BOOL
		: f->type == TABLE_INT || f->type == TABLE_NUMBER ? DOC_NUMBER
								  : DOC_STRING;
	d->boolean = span_is(d->text, "true");
	d->weight = 1;
	*ret = d;
	return 0;
}

static int value_absent(struct table_run *run, const struct table_field *f, void *base)
{
	if (f->type == TABLE_FORMS) {
		for (const struct table_field *form = f->forms; form->name; form++) {
			int r = value_absent(run, form, base);
			if (r)
				return r;
		}
		return 0;
	}
	char *dst = (char *)base + f->offset;
	if (f->otherwise) {
		const struct doc *d;
		int r = field_default(run->report->arena, f, &d);
		return r < 0 ? err_trace(r) : value_load(run, f, d, base);
	}
	if (f->type == TABLE_OBJECT && !(f->flags & TABLE_POINTER))
		return object_defaults(run, f->table, dst);
	if (f->type == TABLE_ENUM)
		*(int *)dst = -1;
	return 0;
}

static int object_defaults(struct table_run *run, const struct table *t, void *object)
{
	for (const struct table_field *f = t->fields; f->name; f++) {
		int r = value_absent(run, f, object);
		if (r)
			return r;
	}
	return 0;
}

/* ---- lists and maps ---- */

struct raw_list {
	size_t count;
	char *items;
};
struct raw_map {
	size_t count;
	const char **keys;
	char *values;
};

static int check_count(struct table_run *run, const struct table_field *f, const struct doc *d)
{
	if ((int64_t)d->count >= f->min && (!f->max || (int64_t)d->count <= f->max))
		return 0;
	const char *what = f->type == TABLE_LIST ? "items" : "entries";
	if (f->max)
		run_error(run, d->at, "%zu %s are not accepted; accepted: %lld to %lld", d->count,
			what, (long long)f->min, (long long)f->max);
	else
		run_error(run, d->at, "%zu %s are not accepted; accepted: at least %lld", d->count,
			what, (long long)f->min);
	return DOC_BAD;
}

/* No two objects with the same first field. */
static int check_unique(struct table_run *run, const struct table_field *f, const struct doc *d)
{
	const char *by = f->item->table->fields[0].name;
	struct map seen CLEANUP(map_fini);
	map_init(&seen, LIMIT_DOC_VALUES);
	int worst = 0;
	for (size_t i = 0; i < d->count; i++) {
		const struct doc *item = &d->items[i];
		const struct doc *name = item->type == DOC_STRING ? item : doc_get(item, by);
		if (!name || name->type != DOC_STRING)
			continue;
		int r = map_put(&seen, name->text, (void *)name);
		if (r == -EEXIST) {
			const struct doc *first = map_get(&seen, name->text);
			size_t before = run_push_index(run, i);
			run_error(run, name->at,
				"%s is taken by the one on line %d; accepted: a `%s` of its own",
				shown_text(run->report->arena, name->text), first->at.line, by);
			run_pop(run, before);
			err_clear();
			worst = DOC_BAD;
		} else if (r < 0) {
			return err_trace(r);
		}
	}
	return worst;
}

static int list_load(
	struct table_run *run, const struct table_field *f, const struct doc *d, void *dst)
{
	int worst = check_count(run, f, d);
	struct raw_list list = {.count = d->count};
	list.items = arena_alloc_array(run->report->arena, d->count + 1, f->item_bytes);
	if (!list.items)
		return err_raise(-ENOMEM, "no memory for a document");
	for (size_t i = 0; i < d->count; i++) {
		size_t before = run_push_index(run, i);
		int r = value_load(run, f->item, &d->items[i], list.items + i * f->item_bytes);
		run_pop(run, before);
		if (!goes_on(r, &worst))
			return err_trace(r);
	}
	if (f->flags & TABLE_UNIQUE && !run->shape_only &&
		!goes_on(check_unique(run, f, d), &worst))
		return err_trace(worst);
	memcpy(dst, &list, sizeof(list));
	return worst;
}

static int map_load(
	struct table_run *run, const struct table_field *f, const struct doc *d, void *dst)
{
	int worst = check_count(run, f, d);
	struct arena *a = run->report->arena;
	struct raw_map map = {.count = d->count};
	map.keys = arena_make_array(a, const char *, d->count + 1);
	map.values = arena_alloc_array(a, d->count + 1, f->item_bytes);
	if (!map.keys || !map.values)
		return err_raise(-ENOMEM, "no memory for a document");
	for (size_t i = 0; i < d->count; i++) {
		map.keys[i] = d->items[i].key.p;
		size_t before = run_push_key(run, d->items[i].key);
		int r = value_load(run, f->item, &d->items[i], map.values + i * f->item_bytes);
		run_pop(run, before);
		if (!goes_on(r, &worst))
			return err_trace(r);
	}
	memcpy(dst, &map, sizeof(map));
	return worst;
}

/* ---- one value ---- */

static int bad_form(struct table_run *run, const struct table_field *f, const struct doc *d)
{
	struct buf wants CLEANUP(buf_fini) = buf_init(LIMIT_DOC_PATH_BYTES);
	for (const struct table_field *form = f->forms; form->name; form++)
		buf_printf(&wants, "%s%s", form == f->forms ? "" : " or ", field_wants(form));
	const char *text = buf_cstr(&wants);
	run_error(run, d->at, "wanted %s, found %s", text ? text : "another form",
		shown_doc(run->report->arena, d));
	return DOC_BAD;
}

static int forms_load(
	struct table_run *run, const struct table_field *f, const struct doc *d, void *base)
{
	const struct table_field *chosen = NULL;
	for (const struct table_field *form = f->forms; form->name; form++) {
		if (!chosen && field_suits(form, d->type)) {
			chosen = form;
			continue;
		}
		int r = value_absent(run, form, base);
		if (r)
			return r;
	}
	return chosen ? value_load(run, chosen, d, base) : bad_form(run, f, d);
}

static int value_load(
	struct table_run *run, const struct table_field *f, const struct doc *d, void *base)
{
	char *dst = (char *)base + f->offset;
	if (f->type == TABLE_FORMS)
		return forms_load(run, f, d, base);
	if (f->type != TABLE_LIST && f->type != TABLE_MAP && f->type != TABLE_OBJECT)
		return scalar_load(run, f, d, dst);
	if (!field_suits(f, d->type)) {
		run_error(run, d->at, "wanted %s%s, found %s", field_wants(f),
			f->type == TABLE_OBJECT && f->table->shorthand ? " or a string" : "",
			shown_doc(run->report->arena, d));
		return DOC_BAD;
	}
	if (f->type == TABLE_LIST)
		return list_load(run, f, d, dst);
	if (f->type == TABLE_MAP)
		return map_load(run, f, d, dst);
	if (!(f->flags & TABLE_POINTER))
		return object_load(run, f->table, d, dst);

	void *object = arena_alloc(run->report->arena, f->table->bytes);
	if (!object)
		return err_raise(-ENOMEM, "no memory for a document");
	memcpy(dst, &object, sizeof(object));
	return object_load(run, f->table, d, object);
}

/* ---- objects ---- */

/* Words of the discriminator for which a field exists: "regex, exit_code". */
static const char *shown_owners(struct arena *a, const struct table *t, const struct table_field *f)
{
	const struct table_field *by = table_find(t, span_cstr(t->discriminator));
	struct buf b CLEANUP(buf_fini) = buf_init(LIMIT_DOC_PATH_BYTES);
	for (int i = 0; by->values[i]; i++)
		if (f->only >> i & 1)
			buf_printf(&b, "%s%s", b.len ? ", " : "", by->values[i]);
	const char *text = arena_cstr(a, buf_view(&b));
	return text ? text : "...";
}

static const char *nearest_field(const struct table *t, const struct doc *d, struct arena *a)
{
	const char *names[LIMIT_TABLE_FIELDS + 1];
	size_t count = 0;
	for (const struct table_field *f = t->fields; f->name; f++)
		names[count++] = f->name;
	names[count] = NULL;
	const char *key = arena_cstr(a, d->key);
	return key ? table_nearest(key, names) : NULL;
}

static void unknown_member(struct table_run *run, const struct table *t, const struct doc *d)
{
	struct arena *a = run->report->arena;
	const struct table_renamed *n = table_find_renamed(t, d->key);
	const char *nearest = nearest_field(t, d, a);
	if (n) {
		run_error(run, d->key_at, "unknown field; write %s instead", n->write);
	} else if (nearest) {
		run_error(run, d->key_at, "unknown field; did you mean \"%s\"?", nearest);
	} else {
		struct buf b CLEANUP(buf_fini) = buf_init(LIMIT_DOC_PATH_BYTES);
		for (const struct table_field *f = t->fields; f->name; f++)
			if (!(f->flags & TABLE_HIDDEN))
				buf_printf(&b, "%s%s", b.len ? ", " : "", f->name);
		const char *all = buf_cstr(&b);
		run_error(run, d->key_at, "unknown field; accepted: %s", all ? all : "others");
	}
}

/* The field that a member stands for; NULL with a finding if it stands for none. */
static const struct table_field *member_field(struct table_run *run, const struct table *t,
	const struct doc *object, const struct doc *d, int kind)
{
	const struct table_field *f = table_find(t, d->key);
	if (!f) {
		const struct table_renamed *n = table_find_renamed(t, d->key);
		if (n && n->accepted && doc_get(object, n->write)) {
			run_error(run, d->key_at,
				"another name for \"%s\", which is written too; keep one",
				n->write);
			return NULL;
		}
		if (!n || !n->accepted) {
			unknown_member(run, t, d);
			return NULL;
		}
		run_warning(run, d->key_at, "another name for \"%s\"; write that", n->write);
		f = table_find(t, span_cstr(n->write));
	}
	if (d->type != DOC_NULL && !field_belongs(f, kind)) {
		const struct table_field *by = table_find(t, span_cstr(t->discriminator));
		run_error(run, d->key_at, "belongs to %s: %s; this one is %s: %s", by->name,
			shown_owners(run->report->arena, t, f), by->name, by->values[kind]);
		return NULL;
	}
	return f;
}

static bool has(const struct doc *d, const char *name)
{
	const struct doc *member = doc_get(d, name);
	return member && member->type != DOC_NULL;
}

static void rule_broken(struct table_run *run, const struct doc *d, const char *at,
	const struct table_rule *rule, const char *text)
{
	table_problem(run, d, at, "%s; accepted: %s", text, rule->says);
}

static int check_rules(struct table_run *run, const struct table *t, const struct doc *d)
{
	size_t errors = run->report->error_count;
	struct arena *arena = run->report->arena;
	for (const struct table_rule *rule = t->rules; rule && rule->a; rule++) {
		bool a = has(d, rule->a), b = has(d, rule->b);
		const char *text = NULL, *at = NULL;
		if (rule->kind == TABLE_RULE_APART && a && b) {
			at = rule->b;
			text = arena_printf(arena, "excludes \"%s\"", rule->a);
		} else if (rule->kind == TABLE_RULE_ONE_OF && !a && !b) {
			text = arena_printf(arena, "needs \"%s\" or \"%s\"", rule->a, rule->b);
		} else if ((rule->kind == TABLE_RULE_NEEDS || rule->kind == TABLE_RULE_TOGETHER) &&
			a && !b) {
			at = rule->a;
			text = arena_printf(arena, "needs \"%s\" too", rule->b);
		} else if (rule->kind == TABLE_RULE_TOGETHER && b && !a) {
			at = rule->b;
			text = arena_printf(arena, "needs \"%s\" too", rule->a);
		}
		if (text)
			rule_broken(run, d, at, rule, text);
	}
	return run->report->error_count == errors ? 0 : DOC_BAD;
}

/* Reads the members that are written; *ret_seen has a bit for each field that was. */
static int members_load(struct table_run *run, const struct table *t, const struct doc *d, int kind,
	void *object, uint64_t *ret_seen)
{
	int worst = 0;
	for (size_t i = 0; d->type == DOC_MAP && i < d->count; i++) {
		const struct doc *member = &d->items[i];
		size_t before = run_push_key(run, member->key);
		const struct table_field *f = member_field(run, t, d, member, kind);
		int r = f ? 0 : DOC_BAD;
		if (f && member->type != DOC_NULL) {
			*ret_seen |= UINT64_C(1) << (f - t->fields);
			r = value_load(run, f, member, object);
		}
		run_pop(run, before);
		if (!goes_on(r, &worst))
			return err_trace(r);
	}
	return worst;
}

static int rest_load(struct table_run *run, const struct table *t, const struct doc *d, int kind,
	void *object, uint64_t seen)
{
	int worst = 0;
	for (const struct table_field *f = t->fields; f->name; f++) {
		if (seen >> (f - t->fields) & 1)
			continue;
		bool known = !f->only || kind != TABLE_KIND_UNKNOWN;
		if (f->flags & TABLE_REQUIRED && known && field_belongs(f, kind)) {
			table_problem(run, d, doc_get(d, f->name) ? f->name : NULL,
				"the field \"%s\" is required: %s%s%s", f->name, f->doc,
				f->type == TABLE_ENUM ? " Accepted: " : "",
				f->type == TABLE_ENUM ? shown_words(run->report->arena, f->values)
						      : "");
			worst = DOC_BAD;
			continue;
		}
		if (!goes_on(value_absent(run, f, object), &worst))
			return err_trace(worst);
	}
	return worst;
}

static int shorthand_load(
	struct table_run *run, const struct table *t, const struct doc *d, void *object)
{
	int r = object_defaults(run, t, object);
	if (r)
		return r;
	return value_load(run, table_find(t, span_cstr(t->shorthand)), d, object);
}

static int object_load(
	struct table_run *run, const struct table *t, const struct doc *d, void *object)
{
	if (d->type == DOC_STRING && t->shorthand) {
		size_t before = run->report->error_count;
		int r = shorthand_load(run, t, d, object);
		if (r == 0 && t->check && !run->shape_only)
			t->check(run, d, object);
		return run->report->error_count == before ? r : DOC_BAD;
	}
	int kind = table_kind(t, d);
	uint64_t seen = 0;
	int worst = members_load(run, t, d, kind, object, &seen);
	if (worst < 0)
		return err_trace(worst);
	if (!goes_on(rest_load(run, t, d, kind, object, seen), &worst))
		return err_trace(worst);
	(void)goes_on(check_rules(run, t, d), &worst);
	size_t errors = run->report->error_count;
	if (worst == 0 && t->check && !run->shape_only)
		t->check(run, d, object);
	return run->report->error_count == errors ? worst : DOC_BAD;
}

int table_load(struct table_run *run, const struct table *t, const struct doc *d, void *ret)
{
	run->credentials = t->credentials;
	run_pop(run, 0);
	memset(ret, 0, t->bytes);
	if (d->type != DOC_MAP && !(d->type == DOC_STRING && t->shorthand)) {
		run_error(
			run, d->at, "wanted a mapping, found %s", shown_doc(run->report->arena, d));
		return DOC_BAD;
	}
	int r = object_load(run, t, d, ret);
	return r < 0 ? err_trace(r) : r;
}

int table_load_member(struct table_run *run, const struct doc *object, const char *member,
	const struct table *t, void *ret, bool *ret_present)
{
	const struct doc *d = doc_get(object, member);
	*ret_present = d && d->type != DOC_NULL;
	if (!*ret_present)
		return 0;
	memset(ret, 0, t->bytes);
	const struct table_field f = {.name = member, .type = TABLE_OBJECT, .table = t};
	size_t before = run_push_key(run, span_cstr(member));
	int r = value_load(run, &f, d, ret);
	run_pop(run, before);
	return r < 0 ? err_trace(r) : r;
}

int table_envelope(struct report *r, const struct doc *d, const char *kind)
{
	static const char *const others[] = {"Agent", "Workflow", "NodeConfig", "RuntimeRegistry",
		"SmcpGatewayConfig", "Swarm", NULL};
	if (d->type != DOC_MAP) {
		report_error(r, d->at, "",
			"wanted a mapping with apiVersion, kind, metadata and "
			"spec, found %s",
			shown_doc(r->arena, d));
		return DOC_BAD;
	}
	const struct doc *found = doc_get(d, "kind");
	if (!found && !doc_get(d, "apiVersion")) {
		report_error(r, d->at, "",
			"this is no manifest: apiVersion and kind are missing; accepted: "
			"apiVersion: 100monkeys.ai/v1, kind: %s, metadata and spec, with "
			"everything else below them",
			kind);
		return DOC_BAD;
	}
	if (!found || found->type != DOC_STRING || span_is(found->text, kind))
		return 0;
	bool other = words_find(others, found->text) >= 0;
	report_error(r, found->at, "kind", "%s is not accepted%s; accepted: %s",
		shown_text(r->arena, found->text),
		other ? " here: this document describes something else" : "", kind);
	return DOC_BAD;
}
