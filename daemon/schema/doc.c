/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * What both notations share: the tree's accessors, paths into it, and its way to JSON. See
 * doc_yaml.c and doc_json.c for how text becomes a tree.
 */
#include "daemon/schema/schema_internal.h"

const char *doc_type_name(enum doc_type t)
{
	switch (t) {
	case DOC_NULL:
		return "null";
	case DOC_BOOL:
		return "a boolean";
	case DOC_NUMBER:
		return "a number";
	case DOC_STRING:
		return "a string";
	case DOC_LIST:
		return "a list";
	case DOC_MAP:
		return "a mapping";
	}
	UNREACHABLE();
}

int doc_parse(struct report *r, struct span text, const struct doc **ret)
{
	struct span trimmed = span_trim(text);
	if (trimmed.n && (trimmed.p[0] == '{' || trimmed.p[0] == '['))
		return doc_parse_json(r, text, ret);
	return doc_parse_yaml(r, text, ret);
}

bool doc_text_ok(struct report *r, struct span text)
{
	if (text.n > LIMIT_DOC_BYTES) {
		report_error(r, (struct report_place){0}, "",
			"the document has %zu bytes; accepted: at most %d", text.n,
			LIMIT_DOC_BYTES);
		return false;
	}
	ssize_t bad = span_utf8_bad(text);
	if (bad < 0)
		return true;

	struct report_place at = {.line = 1, .column = 1};
	for (ssize_t i = 0; i < bad; i++) {
		if (text.p[i] == '\n')
			at = (struct report_place){at.line + 1, 1};
		else if ((text.p[i] & 0xc0) != 0x80)
			at.column++;
	}
	report_error(r, at, "", "the byte 0x%02x is not valid UTF-8 here; save the file as UTF-8",
		(unsigned char)text.p[bad]);
	return false;
}

static const struct doc *doc_get_span(const struct doc *d, struct span key)
{
	if (!d || d->type != DOC_MAP)
		return NULL;
	for (size_t i = 0; i < d->count; i++)
		if (span_eq(d->items[i].key, key))
			return &d->items[i];
	return NULL;
}

const struct doc *doc_get(const struct doc *d, const char *key)
{
	return doc_get_span(d, span_cstr(key));
}

static const struct doc *doc_step_index(const struct doc *d, const char **path)
{
	char *end;
	unsigned long index = strtoul(*path + 1, &end, 10);
	if (*end != ']' || d->type != DOC_LIST || index >= d->count)
		return NULL;
	*path = end + 1;
	return &d->items[index];
}

const struct doc *doc_at(const struct doc *d, const char *path)
{
	while (d && *path) {
		if (*path == '[') {
			d = doc_step_index(d, &path);
			continue;
		}
		if (*path == '.')
			path++;
		size_t n = strcspn(path, ".[");
		d = doc_get_span(d, span_of(path, n));
		path += n;
	}
	return d;
}

static bool doc_fill_json(struct arena *a, const struct doc *d, struct json *j);

static int json_by_key(const void *a, const void *b)
{
	return span_cmp(
		(*(const struct json *const *)a)->key, (*(const struct json *const *)b)->key);
}

static bool doc_fill_members(struct arena *a, const struct doc *d, struct json *j)
{
	struct json *items = arena_make_array(a, struct json, d->count + 1);
	if (!items)
		return false;
	for (size_t i = 0; i < d->count; i++) {
		if (!doc_fill_json(a, &d->items[i], &items[i]))
			return false;
		items[i].key = d->items[i].key;
	}
	j->items = items;
	j->count = d->count;
	if (d->type == DOC_LIST)
		return true;

	const struct json **sorted = arena_make_array(a, const struct json *, d->count + 1);
	if (!sorted)
		return false;
	for (size_t i = 0; i < d->count; i++)
		sorted[i] = &items[i];
	qsort(sorted, d->count, sizeof(sorted[0]), json_by_key);
	j->sorted = sorted;
	return true;
}

static bool doc_fill_json(struct arena *a, const struct doc *d, struct json *j)
{
	static const enum json_type types[] = {
		[DOC_NULL] = JSON_NULL,
		[DOC_BOOL] = JSON_BOOL,
		[DOC_NUMBER] = JSON_NUMBER,
		[DOC_STRING] = JSON_STRING,
		[DOC_LIST] = JSON_ARRAY,
		[DOC_MAP] = JSON_OBJECT,
	};
	j->type = types[d->type];
	j->boolean = d->boolean;
	if (d->type == DOC_STRING)
		j->text = d->text;
	else if (d->type == DOC_NUMBER)
		j->text = d->number;
	else if (d->type == DOC_LIST || d->type == DOC_MAP)
		return doc_fill_members(a, d, j);
	return true;
}

const struct json *doc_to_json(struct arena *a, const struct doc *d)
{
	struct json *j = arena_make(a, struct json);
	return j && doc_fill_json(a, d, j) ? j : NULL;
}
