/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Values in JSON: booleans, integers of 64 bits, strings, arrays as sets, objects as records, and
 * the escapes {"__entity": {type, id}} and {"__extn": {fn, arg or args}}.
 */
#include "policy/cedar/ast.h"
#include "policy/cedar/entities.h"

static int no_memory(void)
{
	return err_raise(-ENOMEM, "no memory for a value");
}

int cedar_uid_from_json(const struct json *v, struct cedar_uid *ret)
{
	const struct json *type, *id;
	if (v && v->type == JSON_OBJECT && v->count == 1 && json_get(v, "__entity"))
		v = json_get(v, "__entity");
	type = json_get(v, "type");
	id = json_get(v, "id");
	if (!v || v->type != JSON_OBJECT || v->count != 2 || !type || type->type != JSON_STRING ||
		!id || id->type != JSON_STRING)
		return err_raise(-EINVAL, "expected an entity: {\"type\": ..., \"id\": ...}");
	*ret = cedar_uid_of(type->text, id->text);
	return cedar_check_name(type->text);
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

static int extension_from_json(struct arena *a, const struct json *v, struct cedar_value *ret)
{
	const struct json *arg = json_get(v, "arg"), *args = json_get(v, "args");
	struct span name = json_str(v, "fn", SPAN(""));
	struct cedar_value one, *items = &one;
	enum ext_fn fn;
	int r;
	if (v->type != JSON_OBJECT || v->count != 2 || !ext_find(name, &fn) ||
		(args ? args->type != JSON_ARRAY : !arg))
		return err_raise(-EINVAL,
			"expected {\"fn\": ..., \"arg\": ...} with decimal, ip, datetime, "
			"duration");
	r = args ? list_from_json(a, args, &items) : value_from_json(a, arg, &one);
	return r < 0 ? err_trace(r) : ext_apply(a, fn, items, args ? args->count : 1, ret);
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

static int object_from_json(struct arena *a, const struct json *v, struct cedar_value *ret)
{
	const struct json *only = v->count == 1 ? v->items : NULL;
	if (only && span_is(only->key, "__entity")) {
		struct cedar_uid *uid = arena_make(a, struct cedar_uid);
		if (!uid)
			return no_memory();
		*ret = (struct cedar_value){.type = VALUE_ENTITY, .uid = uid};
		return cedar_uid_from_json(only, uid);
	}
	if (only && span_is(only->key, "__extn"))
		return extension_from_json(a, only, ret);
	if (only && span_is(only->key, "__expr"))
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

int cedar_context_from_json(struct arena *a, const struct json *v, const struct cedar_value **ret)
{
	struct cedar_value *value = arena_make(a, struct cedar_value);
	int r;
	if (!value)
		return no_memory();
	if (v->type != JSON_OBJECT)
		return err_raise(-EINVAL, "the context: expected an object");
	r = value_from_json(a, v, value);
	if (r < 0)
		return err_wrap(r, "the context");
	if (value->type != VALUE_RECORD)
		return err_raise(-EINVAL, "the context: expected a record");
	*ret = value;
	return 0;
}
