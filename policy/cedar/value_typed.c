/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Values in JSON where a type is expected: an entity may be written {type, id} without its escape,
 * an extension value {fn, arg}, or as the constructor's argument alone ("10.0.0.1"). Whether a
 * value then has its type is not settled here, but in conform.c; what a record must and may hold
 * is.
 */
#include "policy/cedar/ast.h"
#include "policy/cedar/entities.h"
#include "policy/cedar/schema.h"
#include "policy/cedar/no_memory.h"

/* What a function takes as its i-th argument. */
static const struct cedar_type *argument_type(enum ext_fn fn, size_t i)
{
	if (ext_is_constructor(fn))
		return type_plain(TYPE_STRING);
	if (fn <= EXT_GREATER_THAN_OR_EQUAL)
		return type_plain(TYPE_DECIMAL);
	if (fn <= EXT_IS_IN_RANGE)
		return type_plain(TYPE_IP);
	if (fn == EXT_OFFSET)
		return type_plain(i == 0 ? TYPE_DATETIME : TYPE_DURATION);
	return type_plain(fn <= EXT_TO_TIME ? TYPE_DATETIME : TYPE_DURATION);
}

static int call_from_json(struct arena *a, const struct json *v, struct cedar_value *ret)
{
	const struct json *arg = json_get(v, "arg"), *args = json_get(v, "args");
	size_t count = arg ? 1 : args->count;
	struct cedar_value *items;
	enum ext_fn fn;
	int r = value_call_function(v, &fn);
	if (r < 0)
		return err_trace(r);
	if (count != ext_arity(fn))
		return err_raise(-EINVAL, "%s takes %zu arguments, not %zu", ext_name(fn),
			ext_arity(fn), count);
	items = arena_make_array(a, struct cedar_value, count);
	if (!items)
		return no_memory();
	for (size_t i = 0; i < count; i++) {
		r = value_from_json_typed(
			a, arg ? arg : &args->items[i], argument_type(fn, i), &items[i]);
		if (r < 0)
			return err_trace(r);
	}
	return ext_apply(a, fn, items, count, ret);
}

static int extension_from_json(
	struct arena *a, const struct json *v, enum type_kind kind, struct cedar_value *ret)
{
	const struct json *inner = json_get(v, "__extn");
	struct cedar_value text;
	int r;
	if (value_is_expr(v))
		return err_raise(-EINVAL, "__expr is not supported; expected __extn");
	if (value_is_call(inner))
		return call_from_json(a, inner, ret);
	if (value_is_call(v))
		return call_from_json(a, v, ret);
	r = value_from_json(a, v, &text);
	return r < 0 ? err_trace(r)
		     : ext_apply(a, (enum ext_fn)(kind - TYPE_DECIMAL), &text, 1, ret);
}

static int set_from_json(struct arena *a, const struct json *v, const struct cedar_type *element,
	struct cedar_value *ret)
{
	struct cedar_value *items;
	if (v->type != JSON_ARRAY)
		return err_raise(-EINVAL, "expected a set, as an array");
	items = arena_make_array(a, struct cedar_value, v->count + 1);
	if (!items)
		return no_memory();
	for (size_t i = 0; i < v->count; i++) {
		int r = value_from_json_typed(a, &v->items[i], element, &items[i]);
		if (r < 0)
			return err_wrap(r, "[%zu]", i);
	}
	return value_make_set(a, items, v->count, ret);
}

int value_record_from_json_typed(struct arena *a, const struct json *v,
	const struct schema_attrs *attrs, struct cedar_value *ret)
{
	struct value_member *members;
	if (!v || v->type != JSON_OBJECT)
		return err_raise(-EINVAL, "expected a record, as an object");
	members = arena_make_array(a, struct value_member, v->count + 1);
	if (!members)
		return no_memory();
	for (size_t i = 0; i < v->count; i++) {
		const struct schema_attr *attr = schema_attr_find(attrs, v->items[i].key);
		struct span key = span_sub(v->items[i].key, 0, 60);
		int r;
		if (!attr)
			return err_raise(-EINVAL, "the schema has no attribute `" SPAN_FMT "` here",
				SPAN_ARG(key));
		r = value_from_json_typed(a, &v->items[i], attr->type, &members[i].value);
		if (r < 0)
			return err_wrap(r, "`" SPAN_FMT "`", SPAN_ARG(key));
		members[i].key = v->items[i].key;
	}
	for (size_t i = 0; i < attrs->count; i++)
		if (attrs->items[i].required && !json_get_span(v, attrs->items[i].name))
			return err_raise(-EINVAL, "the attribute `" SPAN_FMT "` is missing",
				SPAN_ARG(span_sub(attrs->items[i].name, 0, 60)));
	return value_make_record(a, members, v->count, ret);
}

int value_from_json_typed(struct arena *a, const struct json *v, const struct cedar_type *type,
	struct cedar_value *ret)
{
	if (type_is_extension(type->kind))
		return extension_from_json(a, v, type->kind, ret);
	switch (type->kind) {
	case TYPE_ENTITY:
		return value_uid_from_json(a, v, ret);
	case TYPE_SET:
		return set_from_json(a, v, type->element, ret);
	case TYPE_RECORD:
		return value_record_from_json_typed(a, v, type->attrs, ret);
	default:
		return value_from_json(a, v, ret);
	}
}
