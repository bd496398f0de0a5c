/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * From the content of a tool's answer to the one text that a model reads. Pictures and sounds are
 * named, not passed on: nothing here can look at them.
 */
#include "daemon/toolserver/toolset.h"

static void media_put(struct buf *b, const char *what, const struct json *item)
{
	struct span type = span_sub(json_str(item, "mimeType", SPAN("of unknown type")), 0, 100);
	struct span data = json_str(item, "data", SPAN(""));

	buf_printf(b, "[%s, " SPAN_FMT ", %zu bytes, not shown]", what, SPAN_ARG(type),
		data.n / 4 * 3);
}

static void resource_put(struct buf *b, const struct json *resource)
{
	const struct json *text = json_get(resource, "text");
	struct span uri = span_sub(json_str(resource, "uri", SPAN("?")), 0, 2048);

	if (text && text->type == JSON_STRING)
		buf_span(b, text->text);
	else
		buf_printf(b, "[resource " SPAN_FMT ", not shown]", SPAN_ARG(uri));
}

static void item_put(struct buf *b, const struct json *item)
{
	struct span type = json_str(item, "type", SPAN(""));

	if (b->len)
		buf_putc(b, '\n');
	if (span_is(type, "text"))
		buf_span(b, json_str(item, "text", SPAN("")));
	else if (span_is(type, "image") || span_is(type, "audio"))
		media_put(b, span_is(type, "image") ? "an image" : "a sound", item);
	else if (span_is(type, "resource"))
		resource_put(b, json_get(item, "resource"));
	else if (span_is(type, "resource_link"))
		buf_printf(b, "[resource " SPAN_FMT "]",
			SPAN_ARG(span_sub(json_str(item, "uri", SPAN("?")), 0, 2048)));
	else
		buf_puts(b, "[content of an unknown type, not shown]");
}

int toolset_answer(const struct json *result, struct arena *a, struct span *ret, bool *ret_failed)
{
	struct buf b CLEANUP(buf_fini) = buf_init(2 * (size_t)LIMIT_TOOLSERVER_MESSAGE_BYTES);
	const struct json *content = json_get(result, "content");
	const struct json *structured = json_get(result, "structuredContent");

	if (content && content->type == JSON_ARRAY)
		json_for_each (item, content)
			item_put(&b, item);
	if (b.len == 0 && structured) {
		struct json_writer w = json_writer(&b);
		json_put(&w, structured);
	}
	*ret_failed = json_bool(result, "isError", false);
	int r = buf_error(&b);
	if (r < 0)
		return err_trace(r);
	*ret = arena_span(a, buf_view(&b));
	return ret->p || ret->n == 0 ? 0 : err_raise(-ENOMEM, "a tool's answer");
}
