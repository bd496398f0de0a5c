/* SPDX-License-Identifier: AGPL-3.0-only */
/* Members of JSON objects with messages that say where they stand, for est_read.c, schema_read.c.
 */
#include "policy/cedar/reader.h"
#include "policy/cedar/entities.h"
#include "policy/cedar/no_memory.h"
#include <stdio.h>

int reader_fail(const struct reader *rd, const char *expected)
{
	return err_raise(
		-EINVAL, "%s: expected %s", rd->path_length ? rd->path : rd->what, expected);
}

/* Extends the path; the caller restores path_length, and the end of the text, with reader_leave().
 */
size_t reader_enter(struct reader *rd, const char *name, ssize_t index)
{
	size_t before = rd->path_length;
	size_t left = READER_PATH_BYTES - before;
	int n = index >= 0 ? snprintf(rd->path + before, left, "[%zd]", index)
			   : snprintf(rd->path + before, left, "%s%s", before ? "." : "", name);
	rd->path_length = MIN(before + (size_t)n, (size_t)READER_PATH_BYTES - 1);
	return before;
}

size_t reader_enter_span(struct reader *rd, struct span name)
{
	char text[64];
	snprintf(text, sizeof(text), SPAN_FMT, SPAN_ARG(span_sub(name, 0, sizeof(text) - 1)));
	return reader_enter(rd, text, -1);
}

void reader_leave(struct reader *rd, size_t before)
{
	rd->path_length = before;
	rd->path[before] = '\0';
}

/* By name, as json_get() looks them up; they are few. */
static void sort_members(struct json *object, const struct json **sorted)
{
	for (size_t i = 0; i < object->count; i++) {
		size_t at = i;
		for (; at > 0 && span_cmp(sorted[at - 1]->key, object->items[i].key) > 0; at--)
			sorted[at] = sorted[at - 1];
		sorted[at] = &object->items[i];
	}
	object->sorted = sorted;
}

const struct json *reader_named(struct arena *a, const struct json *v, const char *const *names)
{
	struct json *object, *items;
	const struct json **sorted;
	size_t most = 0;
	while (names[most])
		most++;
	if (!v || v->type != JSON_ARRAY || v->count > most)
		return v;
	object = arena_make(a, struct json);
	items = arena_make_array(a, struct json, v->count + 1);
	sorted = arena_make_array(a, const struct json *, v->count + 1);
	if (!object || !items || !sorted)
		return NULL;
	for (size_t i = 0; i < v->count; i++) {
		items[i] = v->items[i];
		items[i].key = span_cstr(names[i]);
	}
	*object = (struct json){
		.type = JSON_OBJECT, .key = v->key, .count = v->count, .items = items};
	sort_members(object, sorted);
	return object;
}

int reader_struct(struct reader *rd, const struct json **v, const char *const *names)
{
	const struct json *named = reader_named(rd->arena, *v, names);
	if (!named && *v)
		return no_memory();
	*v = named;
	return reader_only(rd, named, names);
}

/* All members must be among the names, a NULL-terminated list. */
int reader_only(struct reader *rd, const struct json *v, const char *const *names)
{
	if (!v || v->type != JSON_OBJECT)
		return reader_fail(rd, "an object");
	json_for_each (m, v) {
		const char *const *n = names;
		while (*n && !span_is(m->key, *n))
			n++;
		if (!*n)
			return err_raise(-EINVAL, "%s: no member `" SPAN_FMT "` belongs here",
				rd->path_length ? rd->path : rd->what, SPAN_ARG(m->key));
	}
	return 0;
}

int reader_string(struct reader *rd, const struct json *v, const char *name, struct span *ret)
{
	const struct json *m = json_get(v, name);
	size_t before = reader_enter(rd, name, -1);
	if (!m || m->type != JSON_STRING)
		return reader_fail(rd, "a string");
	*ret = m->text;
	reader_leave(rd, before);
	return 0;
}

int reader_name(struct reader *rd, const struct json *v, const char *name, struct span *ret)
{
	int r = reader_string(rd, v, name, ret);
	return r < 0 ? err_trace(r) : cedar_check_name(*ret);
}

int reader_uid(struct reader *rd, const struct json *v, struct cedar_uid *ret)
{
	static const char *const names[] = {"type", "id", NULL};
	struct span type, id;
	const struct json *expr = json_get(v, "__expr");
	int r = 0;
	v = reader_named(rd->arena, value_uid_within(v), names);
	if (!v || v->type != JSON_OBJECT || (expr && expr->type == JSON_STRING))
		r = reader_fail(rd, "an object with `type` and `id`");
	if (r == 0)
		r = reader_name(rd, v, "type", &type);
	if (r == 0)
		r = reader_string(rd, v, "id", &id);
	if (r < 0)
		return err_trace(r);
	*ret = cedar_uid_of(type, id);
	return 0;
}

int reader_annotations(
	struct reader *rd, const struct json *v, size_t *ret_count, const struct annotation **ret)
{
	struct annotation *a;
	size_t before;
	*ret = NULL;
	*ret_count = 0;
	if (!v)
		return 0;
	before = reader_enter(rd, "annotations", -1);
	if (v->type != JSON_OBJECT)
		return reader_fail(rd, "an object");
	a = arena_make_array(rd->arena, struct annotation, v->count + 1);
	if (!a)
		return err_raise(-ENOMEM, "no memory for annotations");
	for (size_t i = 0; i < v->count; i++) {
		const struct json *m = &v->items[i];
		if (!cedar_identifier(m->key) || (m->type != JSON_STRING && m->type != JSON_NULL))
			return reader_fail(rd, "identifiers with a string or null");
		a[i] = (struct annotation){m->key, m->type == JSON_STRING, m->text};
	}
	*ret = a;
	*ret_count = v->count;
	reader_leave(rd, before);
	return 0;
}
