/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * A stream of events in text, JSON (one object a line) or YAML (one document an event). What an
 * agent wrote reaches the terminal only without control characters.
 */
#include "tools/aegis/events.h"
#include "tools/aegis/names.h"
#include "daemon/net/net.h"
#include <errno.h>
#include <stdio.h>
#include <time.h>

enum { ATTEMPTS = 60, PAUSE_MS = 500, EVENT_ARENA_BYTES = 64 << 20 };

static bool is_error(struct span type)
{
	static const struct span marks[] = {
		SPAN("failed"), SPAN("violation"), SPAN("timed_out"), SPAN("exceeded")};
	for (size_t i = 0; i < ARRAY_LEN(marks); i++)
		if (span_find(type, marks[i], 0) >= 0)
			return true;
	return false;
}

static bool is_end(struct span type)
{
	return span_is(type, "execution_completed") || span_is(type, "execution_failed") ||
		span_is(type, "execution_cancelled") || span_is(type, "execution_timed_out");
}

/* "12:30:01  2  Tool fs.read denied: ..." */
static void put_line(struct buf *b, const struct json *v)
{
	struct span time = json_str(v, "timestamp", SPAN(""));
	int64_t iteration = json_i64(v, "iteration", 0);
	cli_put_safe(b, span_sub(time, 11, 19), false);
	if (iteration)
		buf_printf(b, "  %lld  ", (long long)iteration);
	else
		buf_puts(b, "  -  ");
	cli_put_safe(b, json_str(v, "message", json_str(v, "event_type", SPAN("?"))), false);
	buf_putc(b, '\n');
}

static void put_details(struct buf *b, const struct json *v)
{
	const struct json *details = json_get(v, "details");
	if (!details || !details->count)
		return;
	struct buf yaml CLEANUP(buf_fini) = buf_init(LIMIT_JSON_BYTES);
	cli_put_yaml(&yaml, details);
	struct span rest = buf_view(&yaml), line;
	bool done = false;
	while (span_split(&rest, '\n', &done, &line))
		if (line.n)
			buf_printf(b, "          " SPAN_FMT "\n", SPAN_ARG(line));
}

static int print_event(struct events *e, const struct json *v)
{
	struct buf b CLEANUP(buf_fini) = buf_init(2 * (size_t)LIMIT_JSON_BYTES);
	if (e->cli->format == CLI_JSON) {
		struct json_writer w = json_writer(&b);
		json_put(&w, v);
		buf_putc(&b, '\n');
	} else if (e->cli->format == CLI_YAML) {
		buf_puts(&b, "---\n");
		cli_put_yaml(&b, v);
	} else {
		put_line(&b, v);
		if (e->verbose)
			put_details(&b, v);
	}
	return cli_write(buf_view(&b));
}

static int on_event(struct events *e, const struct sse_event *event)
{
	struct arena *a CLEANUP(arena_cleanup) = arena_new(EVENT_ARENA_BYTES);
	const struct json *v;
	int r = a ? json_parse(a, event->data, NULL, &v) : -ENOMEM;
	if (r < 0)
		return cli_fail_errno(r);
	snprintf(e->last_id, sizeof(e->last_id), SPAN_FMT, SPAN_ARG(span_sub(event->id, 0, 24)));
	struct span type = json_str(v, "event_type", SPAN(""));
	if (is_end(type))
		snprintf(e->ended, sizeof(e->ended), SPAN_FMT, SPAN_ARG(type));
	if (e->quiet || (e->errors_only && !is_error(type)))
		return CLI_OK;
	return print_event(e, v);
}

static int on_data(void *ctx, struct span data)
{
	struct events *e = ctx;
	while (data.n) {
		size_t used;
		struct sse_event event;
		int r = sse_parse(e->parser, data, &used, &event);
		data = span_sub(data, used, data.n);
		if (r < 0)
			(void)cli_fail_errno(r);
		if (r < 0 || (r == SSE_EVENT && on_event(e, &event) != CLI_OK)) {
			e->failed = true;
			return 1;
		}
	}
	return 0;
}

static int read_once(struct session *s, const char *path, struct events *e, bool quiet)
{
	struct sse_parser parser;
	const struct json *none;
	sse_parser_init(&parser);
	e->parser = &parser;
	const struct client_request q = {
		.method = "GET",
		.path = path,
		.last_event_id = *e->last_id ? e->last_id : NULL,
		.quiet_if_away = quiet,
		.on_data = on_data,
		.ctx = e,
	};
	int code = client_call(s->client, &q, s->arena, &none);
	sse_parser_fini(&parser);
	e->parser = NULL;
	if (code == CLI_NOT_FOUND)
		names_nearest(s, path);
	return e->failed ? CLI_INTERNAL : code;
}

int events_read(struct session *s, const char *path, struct events *e)
{
	static const struct timespec pause = {.tv_nsec = PAUSE_MS * 1000000L};
	e->cli = s->cli;
	if (!path)
		return cli_fail(CLI_INTERNAL, "no memory for a request");
	for (int attempt = 0;; attempt++) {
		int code = read_once(s, path, e, e->follow);
		if (code != CLI_UNREACHABLE || !e->follow || *e->ended)
			return code;
		/* The daemon was restarted: what ran goes on, and so does the stream. */
		if (!*e->last_id || attempt == ATTEMPTS)
			return cli_fail(code,
				"the daemon does not answer at %s; is it running? (aegis daemon "
				"start)",
				client_door(s->client));
		nanosleep(&pause, NULL);
	}
}

int events_verb(const struct cli *c, const char *before, const char *errors)
{
	struct session s;
	struct events e = {
		.errors_only = cli_value(c, errors),
		.verbose = cli_value(c, "verbose"),
		.follow = cli_value(c, "follow"),
	};
	int code = session_open(&s, c);
	if (code == CLI_OK)
		code = events_read(&s,
			session_path(&s, before, c->args[0],
				e.follow ? "/events?follow=true" : "/events?follow=false"),
			&e);
	session_close(&s);
	return code;
}
