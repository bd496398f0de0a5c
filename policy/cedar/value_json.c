/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Values in JSON: booleans, integers of 64 bits, strings, arrays as sets, objects as records, and
 * the escapes {"__entity": {type, id}} and {"__extn": {fn, arg or args}}.
 */
#include "policy/cedar/ast.h"
#include "policy/cedar/entities.h"
#include "policy/cedar/no_memory.h"

/* The member as a string, or NULL. */
static const struct json *string_of(const struct json *v, const char *name)
{
	const struct json *m = json_get(v, name);
	return m && m->type == JSON_STRING ? m : NULL;
}

bool value_is_uid(const struct json *v)
{
	return string_of(v, "type") && string_of(v, "id");
}

/* An escape of old, which may not stand where an escape may. */
bool value_is_expr(const struct json *v)
{
	return string_of(v, "__expr") != NULL;
}

/* [type, id], which the reference reads, too, where nothing but an entity may stand. */
static bool is_pair(const struct json *v)
{
	return v && v->type == JSON_ARRAY && v->count == 2 && v->items[0].type == JSON_STRING &&
		v->items[1].type == JSON_STRING;
}

const struct json *value_uid_within(const struct json *v)
{
	const struct json *inner = json_get(v, "__entity");
	return value_is_uid(inner) || is_pair(inner) ? inner : v;
}

/* Members beside type and id are passed over, as the reference does. */
int cedar_uid_from_json(const struct json *v, struct cedar_uid *ret)
{
	bool expr = value_is_expr(v);
	v = value_uid_within(v);
	if (expr || !(value_is_uid(v) || is_pair(v)))
		return err_raise(-EINVAL, "expected an entity: {\"type\": ..., \"id\": ...}");
	*ret = is_pair(v) ? cedar_uid_of(v->items[0].text, v->items[1].text)
			  : cedar_uid_of(json_get(v, "type")->text, json_get(v, "id")->text);
	return cedar_check_name(ret->type);
}

static int list_from_json(struct arena *a, const struct json *v, struct cedar_value **ret)
{
	struct cedar_value *items = arena_make_array(a, struct cedar_value, v->count + 1);
	if (!items)
		return no_memory();
	for (size_t i = 0; i < v->count; i++) {
		int r = value_from_json(a, &v->items[i], &items[i]);
		if (r < 0)
			return err_trace(r);
	}
	*ret = items;
	return 0;
}

bool value_is_call(const struct json *v)
{
	const struct json *args = json_get(v, "args");
	return string_of(v, "fn") && (json_get(v, "arg") || (args && args->type == JSON_ARRAY));
}

int value_call_function(const struct json *v, enum ext_fn *ret)
{
	struct span name = json_str(v, "fn", SPAN(""));
	if (ext_find(name, ret))
		return 0;
	return err_raise(-EINVAL,
		"`" SPAN_FMT "` is no extension function; expected decimal, ip, datetime, duration",
		SPAN_ARG(span_sub(name, 0, 60)));
}

static int extension_from_json(struct arena *a, const struct json *v, struct cedar_value *ret)
{
	const struct json *arg = json_get(v, "arg"), *args = json_get(v, "args");
	struct cedar_value one, *items = &one;
	enum ext_fn fn;
	int r = value_call_function(v, &fn);
	if (r == 0)
		r = arg ? value_from_json(a, arg, &one) : list_from_json(a, args, &items);
	return r < 0 ? err_trace(r) : ext_apply(a, fn, items, arg ? 1 : args->count, ret);
}

static int record_from_json(struct arena *a, const struct json *v, struct cedar_value *ret)
{
	struct value_member *members = arena_make_array(a, struct value_member, v->count + 1);
	if (!members)
		return no_memory();
	for (size_t i = 0; i < v->count; i++) {
		int r = value_from_json(a, &v->items[i], &members[i].value);
		if (r < 0)
			return err_wrap(r, SPAN_FMT, SPAN_ARG(span_sub(v->items[i].key, 0, 60)));
		members[i].key = v->items[i].key;
	}
	return value_make_record(a, members, v->count, ret);
}

int value_uid_from_json(struct arena *a, const struct json *v, struct cedar_value *ret)
{
	struct cedar_uid *uid = arena_make(a, struct cedar_uid);
	if (!uid)
		return no_memory();
	*ret = (struct cedar_value){.type = VALUE_ENTITY, .uid = uid};
	return cedar_uid_from_json(v, uid);
}

/* An escape that is not formed as one is a record, as in the reference. */
static int object_from_json(struct arena *a, const struct json *v, struct cedar_value *ret)
{
	const struct json *only = v->count == 1 ? v->items : NULL;
	if (only && span_is(only->key, "__entity") && value_is_uid(only))
		return value_uid_from_json(a, v, ret);
	if (only && span_is(only->key, "__extn") && value_is_call(only))
		return extension_from_json(a, only, ret);
	if (only && span_is(only->key, "__expr") && only->type == JSON_STRING)
		return err_raise(-EINVAL, "__expr is not supported; expected __entity or __extn");
	return record_from_json(a, v, ret);
}

int value_from_json(struct arena *a, const struct json *v, struct cedar_value *ret)
{
	struct cedar_value *items;
	int r;
	switch (v->type) {
	case JSON_BOOL:
		*ret = (struct cedar_value){.type = VALUE_BOOL, .boolean = v->boolean};
		return 0;
	case JSON_STRING:
		*ret = (struct cedar_value){.type = VALUE_STRING, .string = v->text};
		return 0;
	case JSON_NUMBER:
		ret->type = VALUE_LONG;
		if (span_to_i64(v->text, &ret->number) < 0)
			return err_raise(-EINVAL, "`" SPAN_FMT "`: expected an integer of 64 bits",
				SPAN_ARG(span_sub(v->text, 0, 60)));
		return 0;
	case JSON_ARRAY:
		r = list_from_json(a, v, &items);
		return r < 0 ? err_trace(r) : value_make_set(a, items, v->count, ret);
	case JSON_OBJECT:
		return object_from_json(a, v, ret);
	default:
		return err_raise(-EINVAL, "null: Cedar has no such value");
	}
}
