/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * A filled struct as JSON, as `config show` prints it: what holds, defaults included, absent
 * optional values left out, no secret ever.
 */
#include "daemon/schema/schema_internal.h"

static void dump_value(struct json_writer *w, const struct table_field *f, const void *base);
static void dump_object(struct json_writer *w, const struct table *t, const void *object);

static int64_t read_i64(const void *p)
{
	int64_t v;
	memcpy(&v, p, sizeof(v));
	return v;
}

static const void *read_pointer(const void *p)
{
	const void *v;
	memcpy(&v, p, sizeof(v));
	return v;
}

static bool dump_absent(const struct table_field *f, const void *base)
{
	const char *p = (const char *)base + f->offset;
	switch (f->type) {
	case TABLE_STRING:
	case TABLE_JSON:
		return !read_pointer(p);
	case TABLE_OBJECT:
		return f->flags & TABLE_POINTER && !read_pointer(p);
	case TABLE_ENUM:
		return *(const int *)p < 0;
	case TABLE_SECRET:
		return ((const struct table_secret *)p)->from == TABLE_SECRET_NONE;
	case TABLE_FORMS:
		for (const struct table_field *form = f->forms; form->name; form++)
			if (!dump_absent(form, base))
				return false;
		return true;
	case TABLE_LIST:
	case TABLE_MAP:
		return read_i64(p) == 0;
	default:
		return false;
	}
}

static void dump_duration(struct json_writer *w, int64_t ns)
{
	char text[32];
	if (ns % NS_PER_S)
		snprintf(text, sizeof(text), "%lldms", (long long)(ns / NS_PER_MS));
	else
		snprintf(text, sizeof(text), "%llds", (long long)(ns / NS_PER_S));
	json_put_cstr(w, text);
}

static void dump_secret(struct json_writer *w, const struct table_secret *s)
{
	char text[LIMIT_DOC_PATH_BYTES];
	if (s->from == TABLE_SECRET_LITERAL)
		snprintf(text, sizeof(text), "(redacted)");
	else
		snprintf(text, sizeof(text), "%s:%s",
			s->from == TABLE_SECRET_ENV ? "env" : "secret", s->name);
	json_put_cstr(w, text);
}

static void dump_list(struct json_writer *w, const struct table_field *f, const void *p)
{
	struct {
		size_t count;
		const char *items;
	} list;
	memcpy(&list, p, sizeof(list));
	json_array(w);
	for (size_t i = 0; i < list.count; i++)
		dump_value(w, f->item, list.items + i * f->item_bytes);
	json_end(w);
}

static void dump_map(struct json_writer *w, const struct table_field *f, const void *p)
{
	struct {
		size_t count;
		const char **keys;
		const char *values;
	} map;
	memcpy(&map, p, sizeof(map));
	json_object(w);
	for (size_t i = 0; i < map.count; i++) {
		json_key(w, map.keys[i]);
		dump_value(w, f->item, map.values + i * f->item_bytes);
	}
	json_end(w);
}

static void dump_forms(struct json_writer *w, const struct table_field *f, const void *base)
{
	for (const struct table_field *form = f->forms; form->name; form++) {
		if (dump_absent(form, base))
			continue;
		dump_value(w, form, base);
		return;
	}
	json_put_null(w);
}

static void dump_value(struct json_writer *w, const struct table_field *f, const void *base)
{
	const char *p = (const char *)base + f->offset;
	switch (f->type) {
	case TABLE_STRING:
		json_put_cstr(w, read_pointer(p));
		return;
	case TABLE_ENUM:
		json_put_cstr(w, *(const int *)p < 0 ? NULL : f->values[*(const int *)p]);
		return;
	case TABLE_BOOL:
		json_put_bool(w, *(const bool *)p);
		return;
	case TABLE_INT:
	case TABLE_SIZE:
		json_put_i64(w, read_i64(p));
		return;
	case TABLE_NUMBER: {
		double v;
		memcpy(&v, p, sizeof(v));
		json_put_double(w, v);
		return;
	}
	case TABLE_DURATION:
		dump_duration(w, read_i64(p));
		return;
	case TABLE_LIST:
		dump_list(w, f, p);
		return;
	case TABLE_MAP:
		dump_map(w, f, p);
		return;
	case TABLE_OBJECT:
		dump_object(w, f->table, f->flags & TABLE_POINTER ? read_pointer(p) : p);
		return;
	case TABLE_FORMS:
		dump_forms(w, f, base);
		return;
	case TABLE_JSON:
		json_put(w, read_pointer(p));
		return;
	case TABLE_SECRET:
		dump_secret(w, (const struct table_secret *)p);
		return;
	}
	UNREACHABLE();
}

static void dump_object(struct json_writer *w, const struct table *t, const void *object)
{
	json_object(w);
	for (const struct table_field *f = t->fields; f->name; f++) {
		if (dump_absent(f, object))
			continue;
		json_key(w, f->name);
		dump_value(w, f, object);
	}
	json_end(w);
}

void table_dump(const struct table *t, const void *object, struct json_writer *w)
{
	dump_object(w, t, object);
}
