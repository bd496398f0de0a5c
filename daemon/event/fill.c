/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * An event is complete before it is published: its details have what readers of the type rely on,
 * and it says in one sentence what happened, from the type's template and the details.
 */
#include "daemon/event/internal.h"

#include <errno.h>

enum { PLACE_BYTES = 512 }; /* of one value inside a sentence */

static const struct json *lookup(const struct json *details, struct span path)
{
	bool done = false;
	struct span key;

	while (details && span_split(&path, '.', &done, &key))
		details = json_get_span(details, key);
	return details;
}

static void put_clipped(struct buf *b, struct span s)
{
	size_t n = MIN(s.n, (size_t)PLACE_BYTES);

	while (n < s.n && n > 0 && ((unsigned char)s.p[n] & 0xc0) == 0x80)
		n--; /* not inside a character */
	for (size_t i = 0; i < n; i++) /* one sentence, one line */
		buf_putc(b, (unsigned char)s.p[i] < 0x20 ? ' ' : s.p[i]);
	if (n < s.n)
		buf_puts(b, "...");
}

static void put_value(
	struct buf *b, const struct store_event *e, const struct json *details, struct span name)
{
	char id[UUID_TEXT_BYTES];
	const struct json *v = lookup(details, name);

	if (span_is(name, "execution_id")) {
		uuid_text(e->execution_id, id);
		buf_puts(b, id);
	} else if (span_is(name, "iteration_number")) {
		buf_printf(b, "%u", e->iteration);
	} else if (v && (v->type == JSON_STRING || v->type == JSON_NUMBER)) {
		put_clipped(b, v->text);
	} else if (v) {
		struct buf text CLEANUP(buf_fini) = buf_init(LIMIT_STORE_TEXT_BYTES);
		struct json_writer w = json_writer(&text);
		json_put(&w, v);
		put_clipped(b, buf_view(&text));
	} else {
		buf_puts(b, "(none)");
	}
}

static void expand(struct buf *b, const char *template, const struct store_event *e,
	const struct json *details)
{
	struct span rest = span_cstr(template);

	for (;;) {
		ssize_t open = span_find_byte(rest, '{', 0);
		if (open < 0)
			break;
		ssize_t close = span_find_byte(rest, '}', (size_t)open);
		CHECK(close > open);
		buf_span(b, span_sub(rest, 0, (size_t)open));
		put_value(b, e, details, span_sub(rest, (size_t)open + 1, (size_t)close));
		rest = span_sub(rest, (size_t)close + 1, rest.n);
	}
	buf_span(b, rest);
}

static int parse_details(const struct store_event *e, struct arena *a, const struct json **ret)
{
	struct span text = e->details.n ? e->details : SPAN("{}");
	int r = json_parse(a, text, NULL, ret);

	if (r < 0)
		return err_wrap(r, "event " SPAN_FMT ": details", SPAN_ARG(e->type));
	if ((*ret)->type != JSON_OBJECT)
		return err_raise(-EINVAL, "event " SPAN_FMT ": details must be an object, not %s",
			SPAN_ARG(e->type), json_type_name((*ret)->type));
	return 0;
}

static int info_of(const struct store_event *e, const struct event_info **ret)
{
	int type = event_type_parse(e->type);

	if (type < 0)
		return err_raise(-EINVAL, "event: unknown type '" SPAN_FMT "'", SPAN_ARG(e->type));
	*ret = event_info((enum event_type)type);
	return 0;
}

static void name(struct store_event *e, const struct event_info *info)
{
	e->type = span_cstr(info->name);
	e->category = span_cstr(info->category);
	e->stage = span_cstr(info->stage);
}

int event_fill_known(struct store_event *e)
{
	const struct event_info *info = NULL;
	int r = info_of(e, &info);

	if (r < 0)
		return err_trace(r);
	CHECK(e->message.n > 0 && e->details.n > 0);
	name(e, info);
	return 0;
}

int event_fill(struct store_event *e, struct arena *a)
{
	const struct event_info *info = NULL;
	const struct json *details;
	struct buf message CLEANUP(buf_fini) = buf_init(LIMIT_STORE_MESSAGE_BYTES);

	int r = info_of(e, &info);
	if (r == 0)
		r = parse_details(e, a, &details);
	if (r < 0)
		return err_trace(r);
	for (const char *const *d = info->details; *d; d++)
		if (!json_get(details, *d))
			return err_raise(-EINVAL, "event %s: details need \"%s\"", info->name, *d);
	name(e, info);
	if (e->message.n)
		return 0;
	expand(&message, info->message, e, details);
	r = buf_error(&message);
	if (r < 0)
		return err_trace(r);
	e->message = arena_span(a, buf_view(&message));
	return e->message.p ? 0 : err_raise(-ENOMEM, "out of memory");
}

int event_publish(struct event_bus *b, struct store_commit *c, int64_t deadline_ns)
{
	struct arena *a CLEANUP(arena_cleanup) =
		arena_new(4 * (size_t)LIMIT_STORE_TEXT_BYTES * (c->event_count + 1));
	bool *silent = a ? arena_make_array(a, bool, c->event_count + 1) : NULL;

	if (!silent)
		return err_raise(-ENOMEM, "out of memory");
	for (size_t i = 0; i < c->event_count; i++) {
		silent[i] = c->events[i].message.n == 0;
		int res = event_fill(&c->events[i], a);
		if (res < 0)
			return err_trace(res);
	}
	int r = store_append(b->store, c, deadline_ns);
	/* The sentences that were made here go with the arena. */
	for (size_t i = 0; i < c->event_count; i++)
		if (silent[i])
			c->events[i].message = SPAN("");
	return r;
}
