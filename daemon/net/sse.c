/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Server-sent events (WHATWG HTML, section 9.2).
 *
 * Reading follows the standard's own algorithm: lines end in LF, CR or CRLF, a blank line
 * dispatches what has gathered, an event without data is dropped. The last id stays until another
 * comes.
 */
#include "daemon/net/sse.h"

static void put_field(struct buf *b, const char *name, struct span line)
{
	buf_puts(b, name);
	buf_span(b, line);
	buf_putc(b, '\n');
}

static size_t line_end(struct span s)
{
	size_t i = 0;

	while (i < s.n && s.p[i] != '\n' && s.p[i] != '\r')
		i++;
	return i;
}

/* A field of one line: breaks would begin fields of the sender's choice. */
static void put_one_line(struct buf *b, const char *name, struct span value)
{
	buf_puts(b, name);
	while (value.n) {
		size_t n = line_end(value);
		buf_span(b, span_sub(value, 0, n));
		value = span_sub(value, n + 1, value.n);
	}
	buf_putc(b, '\n');
}

void sse_write(struct buf *b, const struct sse_event *e)
{
	struct span rest = e->data;

	if (e->type.n)
		put_one_line(b, "event: ", e->type);
	/* A reader ignores an id with a NUL in it. */
	if (e->id.n && !memchr(e->id.p, 0, e->id.n))
		put_one_line(b, "id: ", e->id);
	for (;;) {
		size_t n = line_end(rest);
		put_field(b, "data: ", span_sub(rest, 0, n));
		if (n == rest.n)
			break;
		n += n + 1 < rest.n && rest.p[n] == '\r' && rest.p[n + 1] == '\n' ? 2 : 1;
		rest = span_sub(rest, n, rest.n);
	}
	buf_putc(b, '\n');
}

void sse_write_comment(struct buf *b, struct span text)
{
	put_one_line(b, ":", text);
	buf_putc(b, '\n');
}

void sse_parser_init(struct sse_parser *p)
{
	*p = (struct sse_parser){
		.line = buf_init(LIMIT_SSE_EVENT_BYTES),
		.type = buf_init(LIMIT_SSE_EVENT_BYTES),
		.id = buf_init(LIMIT_SSE_EVENT_BYTES),
		.data = buf_init(LIMIT_SSE_EVENT_BYTES),
		.at_start = true,
	};
}

void sse_parser_fini(struct sse_parser *p)
{
	buf_fini(&p->line);
	buf_fini(&p->type);
	buf_fini(&p->id);
	buf_fini(&p->data);
}

static void set_field(struct buf *b, struct span value)
{
	buf_reset(b);
	buf_span(b, value);
}

/* One complete line. True if it dispatches an event. */
static bool take_field(struct sse_parser *p, struct span line)
{
	ssize_t colon = span_find_byte(line, ':', 0);
	size_t name_end = colon < 0 ? line.n : (size_t)colon;
	struct span name = span_sub(line, 0, name_end);
	struct span value = span_sub(line, name_end + 1, line.n);

	if (line.n == 0)
		return true;
	if (value.n && value.p[0] == ' ')
		value = span_sub(value, 1, value.n);
	if (span_is(name, "data")) {
		buf_span(&p->data, value);
		buf_putc(&p->data, '\n');
	} else if (span_is(name, "event")) {
		set_field(&p->type, value);
	} else if (span_is(name, "id") && !(value.n && memchr(value.p, 0, value.n))) {
		set_field(&p->id, value);
	}
	return false;
}

static void drop_byte_order_mark(struct sse_parser *p, struct span *line)
{
	if (p->at_start && span_starts(*line, SPAN("\xef\xbb\xbf")))
		*line = span_sub(*line, 3, line->n);
	p->at_start = false;
}

/* The line is whole. True if there is an event to hand out. */
static bool end_line(struct sse_parser *p)
{
	struct span line = buf_view(&p->line);
	bool dispatch;

	drop_byte_order_mark(p, &line);
	dispatch = take_field(p, line);
	buf_reset(&p->line);
	if (!dispatch)
		return false;
	if (p->data.len == 0) {
		buf_reset(&p->type);
		return false;
	}
	p->ready = true;
	return true;
}

static int parser_error(const struct sse_parser *p)
{
	const struct buf *all[] = {&p->line, &p->type, &p->id, &p->data};

	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		if (all[i]->error)
			return all[i]->error;
	}
	return 0;
}

int sse_parse(struct sse_parser *p, struct span in, size_t *ret_consumed, struct sse_event *ret)
{
	size_t at = 0;

	if (p->ready) { /* handed out by the last call */
		buf_reset(&p->data);
		buf_reset(&p->type);
		p->ready = false;
	}
	while (at < in.n && !p->ready) {
		if (p->after_cr && in.p[at] == '\n') {
			p->after_cr = false;
			at++;
			continue;
		}
		p->after_cr = false;
		size_t n = line_end(span_sub(in, at, in.n));
		buf_put(&p->line, in.p + at, n);
		at += n;
		if (at < in.n) {
			p->after_cr = in.p[at++] == '\r';
			end_line(p);
		}
		if (parser_error(p))
			return parser_error(p);
	}
	*ret_consumed = at;
	if (!p->ready)
		return SSE_MORE;
	*ret = (struct sse_event){
		.type = buf_view(&p->type),
		.id = buf_view(&p->id),
		.data = span_of(p->data.data, p->data.len - 1),
	};
	return SSE_EVENT;
}
