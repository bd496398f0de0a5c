/* SPDX-License-Identifier: AGPL-3.0-only */
/* What a model sends is checked against the tool's table before anything looks at it. */
#include "daemon/tool/arguments.h"
#include <stdio.h>

static int bad(const struct tool_description *d, const char *fmt, ...) PRINTF_LIKE(2, 3);

static int bad(const struct tool_description *d, const char *fmt, ...)
{
	struct buf b CLEANUP(buf_fini) = buf_init(ERR_MESSAGE_BYTES);
	char text[ERR_MESSAGE_BYTES];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	buf_printf(&b, "; tool '%s' takes", d->name);
	for (size_t i = 0; i < d->argument_count; i++)
		buf_printf(&b, "%s %s%s", i ? "," : "", d->arguments[i].name,
			d->arguments[i].required ? "" : " (optional)");
	const char *takes = buf_cstr(&b);
	return err_raise(-EINVAL, "Invalid tool arguments: %s%s", text, takes ? takes : "");
}

static int edits_check(const struct tool_description *d, const struct json *v)
{
	if (v->type != JSON_ARRAY || v->count == 0 || v->count > LIMIT_TOOL_EDITS)
		return bad(
			d, "field 'edits' must be an array of 1 to %d objects", LIMIT_TOOL_EDITS);
	json_for_each (edit, v) {
		const struct json *target = json_get(edit, "target_content");
		const struct json *replacement = json_get(edit, "replacement_content");
		if (edit->type != JSON_OBJECT || edit->count != 2 || !target || !replacement ||
			target->type != JSON_STRING || replacement->type != JSON_STRING)
			return bad(d,
				"edits[%zu] must have the strings 'target_content' and "
				"'replacement_content'",
				(size_t)(edit - v->items));
	}
	return 0;
}

static int argument_check(
	const struct tool_description *d, const struct tool_argument *a, const struct json *v)
{
	if (!v || v->type == JSON_NULL) {
		if (!a->required)
			return 0;
		return bad(d, "required field '%s' is missing or null for tool '%s'", a->name,
			d->name);
	}
	switch (a->type) {
	case TOOL_ARG_STRING:
		if (v->type != JSON_STRING)
			return bad(d, "field '%s' must be a string, not %s", a->name,
				json_type_name(v->type));
		return 0;
	case TOOL_ARG_BOOL:
		if (v->type != JSON_BOOL)
			return bad(d, "field '%s' must be true or false, not %s", a->name,
				json_type_name(v->type));
		return 0;
	case TOOL_ARG_EDITS:
		return edits_check(d, v);
	}
	UNREACHABLE();
}

static bool is_known(const struct tool_description *d, struct span name)
{
	for (size_t i = 0; i < d->argument_count; i++)
		if (span_is(name, d->arguments[i].name))
			return true;
	return false;
}

int tool_arguments_parse(const struct tool_description *d, struct span text, struct arena *a,
	const struct json **ret)
{
	const struct json *v;

	if (text.n > LIMIT_TOOL_ARGUMENT_BYTES)
		return bad(
			d, "%zu bytes, at most %d are accepted", text.n, LIMIT_TOOL_ARGUMENT_BYTES);
	int r = json_parse(a, text.n ? text : SPAN("{}"), NULL, &v);
	if (r == -EINVAL)
		return bad(d, "not JSON: %s", err_message(r));
	if (r < 0)
		return err_trace(r);
	if (v->type != JSON_OBJECT)
		return bad(d, "an object is expected, not %s", json_type_name(v->type));
	json_for_each (member, v)
		if (!is_known(d, member->key))
			return bad(d, "unknown field '" SPAN_FMT "'", SPAN_ARG(member->key));
	for (size_t i = 0; i < d->argument_count; i++) {
		r = argument_check(d, &d->arguments[i], json_get(v, d->arguments[i].name));
		if (r < 0)
			return err_trace(r);
	}
	*ret = v;
	return 0;
}
