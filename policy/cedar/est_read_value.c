/* SPDX-License-Identifier: AGPL-3.0-only */
/* Values of the reference's JSON form of policies (EST), read as expressions. */
#include "policy/cedar/entities.h"
#include "policy/cedar/reader.h"
#include "policy/cedar/no_memory.h"

int est_finish(struct reader *rd, struct expr *e, const struct expr **ret)
{
	int r = expr_measure(e);
	if (r < 0)
		return err_trace(r);
	*ret = e;
	return 0;
}

struct expr *est_make(struct reader *rd, enum expr_op op, size_t kids)
{
	return expr_make(rd->arena, op, 0, kids);
}

struct expr *est_make_record(struct reader *rd, const struct json *v)
{
	struct expr *e = est_make(rd, EXPR_RECORD, v->count);
	if (!e)
		return NULL;
	e->name_count = v->count;
	e->names = arena_make_array(rd->arena, struct span, v->count + 1);
	for (size_t i = 0; e->names && i < v->count; i++)
		e->names[i] = v->items[i].key;
	return e->names ? e : NULL;
}

int est_read_items(struct reader *rd, const struct json *v, struct expr *e, est_read_fn read)
{
	for (size_t i = 0; i < v->count; i++) {
		size_t before = reader_enter(rd, NULL, (ssize_t)i);
		int r = read(rd, &v->items[i], &e->kids[i]);
		if (r < 0)
			return err_trace(r);
		reader_leave(rd, before);
	}
	return 0;
}

/* Members beside fn and arg or args are passed over, as the reference does, and a function that
 * does not exist fails when it is called. */
static int read_extension(struct reader *rd, const struct json *v, const struct expr **ret)
{
	const struct json *args = json_get(v, "args"), *arg = json_get(v, "arg");
	struct expr *e;
	struct span name = json_str(v, "fn", SPAN(""));
	int r = cedar_check_name(name);
	if (r < 0)
		return err_trace(r);
	e = est_make(rd, EXPR_CALL, arg ? 1 : args->count);
	if (!e)
		return no_memory();
	e->function = name;
	if (!ext_find(name, &e->ext))
		e->ext = EXT_UNKNOWN;
	r = arg ? est_read_value(rd, arg, &e->kids[0])
		: est_read_items(rd, args, e, est_read_value);
	return r < 0 ? err_trace(r) : est_finish(rd, e, ret);
}

static int read_value_record(struct reader *rd, const struct json *v, const struct expr **ret)
{
	struct expr *e = est_make_record(rd, v);
	if (!e)
		return no_memory();
	int r = est_read_items(rd, v, e, est_read_value);
	return r < 0 ? err_trace(r) : est_finish(rd, e, ret);
}

/* An escape that is not formed as one is a record, as in the reference. */
static int read_value_object(struct reader *rd, const struct json *v, const struct expr **ret)
{
	const struct json *only = v->count == 1 ? v->items : NULL;
	struct expr *e;
	if (only && span_is(only->key, "__extn") && value_is_call(only))
		return read_extension(rd, only, ret);
	if (only && span_is(only->key, "__expr") && only->type == JSON_STRING)
		return reader_fail(rd, "__entity or __extn: there is no __expr any more");
	if (!only || !span_is(only->key, "__entity") || !value_is_uid(only))
		return read_value_record(rd, v, ret);
	e = est_make(rd, EXPR_UID, 0);
	if (!e)
		return no_memory();
	if (cedar_uid_from_json(only, &e->uid) < 0)
		return reader_fail(rd, "an entity {type, id}");
	*ret = e;
	return 0;
}

int est_read_value(struct reader *rd, const struct json *v, const struct expr **ret)
{
	struct expr *e = NULL;
	int r = 0;
	if (!v)
		return reader_fail(rd, "a value");
	switch (v->type) {
	case JSON_NULL:
		return reader_fail(rd, "a value: Cedar has no null");
	case JSON_OBJECT:
		return read_value_object(rd, v, ret);
	case JSON_BOOL:
		e = est_make(rd, EXPR_BOOL, 0);
		if (e)
			e->boolean = v->boolean;
		break;
	case JSON_STRING:
		e = est_make(rd, EXPR_STRING, 0);
		if (e)
			e->string = v->text;
		break;
	case JSON_NUMBER:
		e = est_make(rd, EXPR_LONG, 0);
		if (e && span_to_i64(v->text, &e->number) < 0)
			return reader_fail(rd, "an integer of 64 bits, without point or exponent");
		break;
	case JSON_ARRAY:
		e = est_make(rd, EXPR_SET, v->count);
		if (e)
			r = est_read_items(rd, v, e, est_read_value);
		break;
	}
	if (!e)
		return no_memory();
	return r < 0 ? err_trace(r) : est_finish(rd, e, ret);
}
