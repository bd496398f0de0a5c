/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * JSON text to a tree. base's codec decides what is JSON; it keeps no places, so a second walk over
 * the text, now known to be valid, finds where each value stands.
 */
#include "daemon/schema/schema_internal.h"

struct json_locator {
	struct doc_builder builder;
	const char *p;
	const char *end;
	struct report_place at; /* of *p */
};

static void locator_step(struct json_locator *l)
{
	if (l->p == l->end)
		return;
	if (*l->p == '\n')
		l->at = (struct report_place){l->at.line + 1, 1};
	else if ((*l->p & 0xc0) != 0x80)
		l->at.column++;
	l->p++;
}

/* Blanks, and the punctuation between values. */
static void locator_skip_gap(struct json_locator *l)
{
	while (l->p < l->end && strchr(" \t\r\n,:", *l->p))
		locator_step(l);
}

static void locator_skip_string(struct json_locator *l)
{
	locator_step(l);
	while (l->p < l->end && *l->p != '"') {
		if (*l->p == '\\')
			locator_step(l);
		locator_step(l);
	}
	locator_step(l);
}

static void locator_skip_scalar(struct json_locator *l)
{
	if (*l->p == '"') {
		locator_skip_string(l);
		return;
	}
	while (l->p < l->end && !strchr(" \t\r\n,:]}", *l->p))
		locator_step(l);
}

static int locate(struct json_locator *l, const struct json *v);

static int locate_members(struct json_locator *l, const struct json *v)
{
	bool object = v->type == JSON_OBJECT;
	int r = doc_builder_open(&l->builder, object ? DOC_MAP : DOC_LIST, l->at);
	if (r)
		return r;
	locator_step(l);
	json_for_each (item, v) {
		locator_skip_gap(l);
		if (object) {
			r = doc_builder_key(&l->builder, item->key, l->at);
			if (r)
				return r;
			locator_skip_string(l);
			locator_skip_gap(l);
		}
		r = locate(l, item);
		if (r)
			return r;
	}
	locator_skip_gap(l);
	locator_step(l);
	struct doc value;
	return doc_builder_close(&l->builder, &value);
}

static int locate(struct json_locator *l, const struct json *v)
{
	static const enum doc_type types[] = {
		[JSON_NULL] = DOC_NULL,
		[JSON_BOOL] = DOC_BOOL,
		[JSON_NUMBER] = DOC_NUMBER,
		[JSON_STRING] = DOC_STRING,
	};
	if (v->type == JSON_OBJECT || v->type == JSON_ARRAY)
		return locate_members(l, v);

	struct doc value = {.type = types[v->type], .at = l->at, .boolean = v->boolean};
	value.quoted = v->type == JSON_STRING;
	const char *from = l->p;
	locator_skip_scalar(l);
	value.text = v->type == JSON_STRING ? v->text : span_of(from, (size_t)(l->p - from));
	if (v->type == JSON_NUMBER)
		value.number = v->text;
	return doc_builder_scalar(&l->builder, value);
}

static int json_refused(struct report *r, int code)
{
	const char *message = err_message(code);
	struct report_place at = {0};
	int used = 0;
	/* Numbers that json_parse wrote. NOLINTNEXTLINE(cert-err34-c) */
	if (sscanf(message, "line %d column %d: %n", &at.line, &at.column, &used) < 2 || !used)
		at = (struct report_place){0};
	report_error(r, at, "", "this is not JSON: %s", message + used);
	err_clear();
	return DOC_BAD;
}

int doc_parse_json(struct report *r, struct span text, const struct doc **ret)
{
	if (!doc_text_ok(r, text))
		return DOC_BAD;
	const struct json_limits limits = {.bytes = LIMIT_DOC_BYTES, .depth = LIMIT_DOC_DEPTH};
	const struct json *v;
	int result = json_parse(r->arena, text, &limits, &v);
	if (result == -ENOMEM)
		return err_trace(result);
	if (result < 0)
		return json_refused(r, result);

	struct json_locator l = {
		.builder = {.report = r},
		.p = text.p,
		.end = text.p + text.n,
		.at = {1, 1},
	};
	locator_skip_gap(&l);
	result = locate(&l, v);
	if (result == 0)
		result = doc_builder_finish(&l.builder, ret);
	doc_builder_fini(&l.builder);
	return result < 0 ? err_trace(result) : result;
}
