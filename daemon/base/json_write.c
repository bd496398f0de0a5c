/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Tree or calls to text. The writer for calls checks its caller; the three forms of a whole tree
 * (compact, canonical, pretty) are one walk without recursion.
 */
#include "daemon/base/json.h"
#include "daemon/base/check.h"
#include "daemon/base/json_number.h"
#include "daemon/base/json_scan.h"
#include "daemon/base/limits.h"

static void put_escape(struct buf *b, unsigned char c)
{
	static const char letters[0x20] = {
		['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f', ['\r'] = 'r'};
	static const char hex[] = "0123456789abcdef";
	if (c >= 0x20 || letters[c]) {
		char text[2] = {'\\', c < 0x20 ? letters[c] : (char)c};
		buf_put(b, text, sizeof(text));
	} else {
		char text[6] = {'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]};
		buf_put(b, text, sizeof(text));
	}
}

/* `s` is UTF-8. */
static void put_escaped(struct buf *b, struct span s)
{
	while (s.n > 0) {
		size_t run = json_plain_run(s.p, s.n);
		buf_put(b, s.p, run);
		if (run == s.n)
			return;
		put_escape(b, (unsigned char)s.p[run]);
		s = span_sub(s, run + 1, s.n);
	}
}

/* Any bytes: each one that is not UTF-8 becomes U+FFFD. */
static void put_mended(struct buf *b, struct span s)
{
	for (;;) {
		ssize_t bad = span_utf8_bad(s);
		if (bad < 0) {
			put_escaped(b, s);
			return;
		}
		put_escaped(b, span_sub(s, 0, (size_t)bad));
		buf_puts(b, "\xef\xbf\xbd");
		s = span_sub(s, (size_t)bad + 1, s.n);
	}
}

static void put_string(struct buf *b, struct span s)
{
	buf_putc(b, '"');
	put_escaped(b, s);
	buf_putc(b, '"');
}

/* ---- the writer ---- */

struct json_writer json_writer(struct buf *b)
{
	return (struct json_writer){.b = b};
}

static bool in_object(const struct json_writer *w)
{
	int level = w->depth - 1;
	return w->depth > 0 && (w->kinds[level / 8] >> (level % 8) & 1);
}

/* Every value passes here first. */
static void begin_value(struct json_writer *w)
{
	CHECK(w->after_key == in_object(w)); /* a member needs a key, an item must not have one */
	CHECK(w->depth > 0 || !w->need_comma); /* one value is one text */
	if (w->need_comma && !w->after_key)
		buf_putc(w->b, ',');
	w->need_comma = true;
	w->after_key = false;
}

static void begin_container(struct json_writer *w, bool object)
{
	begin_value(w);
	CHECK(w->depth < LIMIT_JSON_DEPTH);
	uint8_t bit = (uint8_t)(1 << (w->depth % 8));
	uint8_t *kinds = &w->kinds[w->depth / 8];
	*kinds = (uint8_t)(object ? *kinds | bit : *kinds & ~bit);
	w->depth++;
	w->need_comma = false;
	buf_putc(w->b, object ? '{' : '[');
}

void json_object(struct json_writer *w)
{
	begin_container(w, true);
}

void json_array(struct json_writer *w)
{
	begin_container(w, false);
}

void json_end(struct json_writer *w)
{
	CHECK(w->depth > 0 && !w->after_key);
	buf_putc(w->b, in_object(w) ? '}' : ']');
	w->depth--;
	w->need_comma = true;
}

void json_key_span(struct json_writer *w, struct span key)
{
	CHECK(in_object(w) && !w->after_key);
	if (w->need_comma)
		buf_putc(w->b, ',');
	buf_putc(w->b, '"');
	put_mended(w->b, key);
	buf_put(w->b, "\":", 2);
	w->after_key = true;
}

void json_key(struct json_writer *w, const char *key)
{
	json_key_span(w, span_cstr(key));
}

void json_put_span(struct json_writer *w, struct span s)
{
	begin_value(w);
	buf_putc(w->b, '"');
	put_mended(w->b, s);
	buf_putc(w->b, '"');
}

void json_put_cstr(struct json_writer *w, const char *s)
{
	if (s)
		json_put_span(w, span_cstr(s));
	else
		json_put_null(w);
}

static void put_u64(struct buf *b, uint64_t v, bool negative)
{
	char text[21];
	size_t at = sizeof(text);
	do
		text[--at] = (char)('0' + v % 10);
	while (v /= 10);
	if (negative)
		text[--at] = '-';
	buf_put(b, text + at, sizeof(text) - at);
}

void json_put_i64(struct json_writer *w, int64_t v)
{
	begin_value(w);
	put_u64(w->b, v < 0 ? 0 - (uint64_t)v : (uint64_t)v, v < 0);
}

void json_put_u64(struct json_writer *w, uint64_t v)
{
	begin_value(w);
	put_u64(w->b, v, false);
}

void json_put_double(struct json_writer *w, double v)
{
	char text[JSON_DOUBLE_BYTES];
	begin_value(w);
	json_double_text(v, text);
	buf_puts(w->b, text);
}

void json_put_bool(struct json_writer *w, bool v)
{
	begin_value(w);
	buf_puts(w->b, v ? "true" : "false");
}

void json_put_null(struct json_writer *w)
{
	begin_value(w);
	buf_puts(w->b, "null");
}

void json_put_raw(struct json_writer *w, struct span valid_json)
{
	begin_value(w);
	buf_span(w->b, valid_json);
}

/* ---- whole trees ---- */

enum form { COMPACT, CANONICAL, PRETTY };

struct walk {
	struct buf *b;
	enum form form;
	int depth;
	struct {
		const struct json *v;
		size_t next;
	} levels[LIMIT_JSON_DEPTH];
};

static void new_line(struct walk *w)
{
	if (w->form != PRETTY)
		return;
	buf_putc(w->b, '\n');
	for (int i = 0; i < w->depth; i++)
		buf_puts(w->b, "  ");
}

static void put_value(struct walk *w, const struct json *v)
{
	switch (v->type) {
	case JSON_NULL:
		buf_puts(w->b, "null");
		return;
	case JSON_BOOL:
		buf_puts(w->b, v->boolean ? "true" : "false");
		return;
	case JSON_NUMBER:
		buf_span(w->b, v->text);
		return;
	case JSON_STRING:
		put_string(w->b, v->text);
		return;
	case JSON_ARRAY:
	case JSON_OBJECT:
		CHECK(w->depth < LIMIT_JSON_DEPTH);
		buf_putc(w->b, v->type == JSON_OBJECT ? '{' : '[');
		w->levels[w->depth].v = v;
		w->levels[w->depth].next = 0;
		w->depth++;
		return;
	}
	UNREACHABLE();
}

/* Writes what stands before the next child of the innermost container and returns the child, or
 * closes the container and returns NULL. */
static const struct json *next_child(struct walk *w)
{
	const struct json *v = w->levels[w->depth - 1].v;
	size_t i = w->levels[w->depth - 1].next++;
	bool object = v->type == JSON_OBJECT;
	if (i == v->count) {
		w->depth--;
		if (v->count > 0)
			new_line(w);
		buf_putc(w->b, object ? '}' : ']');
		return NULL;
	}
	const struct json *child = object && w->form == CANONICAL ? v->sorted[i] : &v->items[i];
	if (i > 0)
		buf_putc(w->b, ',');
	new_line(w);
	if (object) {
		put_string(w->b, child->key);
		buf_puts(w->b, w->form == PRETTY ? ": " : ":");
	}
	return child;
}

static void put_tree(struct buf *b, const struct json *v, enum form form)
{
	struct walk w;
	w.b = b;
	w.form = form;
	w.depth = 0;
	put_value(&w, v);
	while (w.depth > 0) {
		const struct json *child = next_child(&w);
		if (child)
			put_value(&w, child);
	}
}

void json_put(struct json_writer *w, const struct json *v)
{
	begin_value(w);
	put_tree(w->b, v, COMPACT);
}

void json_canonical(struct buf *b, const struct json *v)
{
	put_tree(b, v, CANONICAL);
}

void json_pretty(struct buf *b, const struct json *v)
{
	put_tree(b, v, PRETTY);
}
