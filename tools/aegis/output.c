/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * One JSON value in four forms. Text and table are for people and may change; JSON and YAML carry
 * the whole value and are for programs.
 */
#include "tools/aegis/cli.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { COLUMNS_MAX = 16, CELL_BYTES = 200 };

int cli_write(struct span text)
{
	fflush(stdout);
	int r = fd_write_all(STDOUT_FILENO, text);
	/* A reader that has seen enough (head, a pager) is no failure. */
	if (r == -EPIPE) {
		err_clear();
		return CLI_OK;
	}
	return r < 0 ? cli_fail_errno(r) : CLI_OK;
}

/* ---- YAML ---- */

/* Does this text, written plainly, read back as the same string? Fewer than might. */
static bool yaml_plain(struct span s)
{
	static const char *const words[] = {"true", "false", "null", "yes", "no", "on", "off", "y",
		"n", "True", "False", "Null", "TRUE", "FALSE", "NULL", "Yes", "No", "On", "Off"};
	if (!s.n || s.n > 200)
		return false;
	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (span_is(s, words[i]))
			return false;
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i], l = (char)(c | 0x20);
		bool letter = l >= 'a' && l <= 'z';
		bool inner = (c >= '0' && c <= '9') || strchr("_./-", c) || c == ' ';
		if (!letter && (i == 0 ? c != '/' && c != '_' : !inner))
			return false;
	}
	return s.p[s.n - 1] != ' ';
}

/* Length of a character that YAML does not take as it stands although JSON does: DEL, C1 controls,
 * line separators, byte order mark and noncharacters; 0 if there is none here. */
static size_t yaml_unprintable(struct span s, size_t i, unsigned *ret_code)
{
	const unsigned char *p = (const unsigned char *)s.p + i;
	size_t left = s.n - i;
	if (p[0] == 0x7f) {
		*ret_code = 0x7f;
		return 1;
	}
	if (left >= 2 && p[0] == 0xc2 && p[1] < 0xa0) {
		*ret_code = p[1];
		return 2;
	}
	if (left < 3 || (p[0] != 0xe2 && p[0] != 0xef))
		return 0;
	*ret_code = (unsigned)(p[0] & 0x0f) << 12 | (unsigned)(p[1] & 0x3f) << 6 | (p[2] & 0x3f);
	bool bad = *ret_code == 0x2028 || *ret_code == 0x2029 || *ret_code == 0xfeff ||
		*ret_code >= 0xfffe;
	return bad ? 3 : 0;
}

static bool yaml_block(struct span s)
{
	unsigned code;
	if (s.n < 2 || span_find_byte(s, '\n', 0) < 0 || s.p[s.n - 1] != '\n' ||
		s.p[s.n - 2] == '\n' || s.p[0] == ' ' || s.p[0] == '\n')
		return false;
	for (size_t i = 0; i < s.n; i++)
		if (((unsigned char)s.p[i] < 0x20 && s.p[i] != '\n') ||
			yaml_unprintable(s, i, &code))
			return false;
	return true;
}

/* As JSON writes it, which YAML reads alike but for the few characters above. */
static void put_yaml_quoted(struct buf *b, struct span s)
{
	struct buf json CLEANUP(buf_fini) = buf_init(2 * (size_t)LIMIT_JSON_BYTES);
	struct json_writer w = json_writer(&json);
	json_put_span(&w, s);
	struct span text = buf_view(&json);
	for (size_t i = 0; i < text.n;) {
		unsigned code;
		size_t n = yaml_unprintable(text, i, &code);
		if (n)
			buf_printf(b, "\\u%04x", code);
		else
			buf_putc(b, text.p[i]);
		i += n ? n : 1;
	}
}

static void put_yaml_line(struct buf *b, struct span s)
{
	if (yaml_plain(s))
		buf_span(b, s);
	else
		put_yaml_quoted(b, s);
}

static void put_yaml_string(struct buf *b, struct span s, int indent)
{
	if (!yaml_block(s)) {
		put_yaml_line(b, s);
		return;
	}
	struct span rest = span_sub(s, 0, s.n - 1), line;
	bool done = false;
	indent = MAX(indent, 2);
	buf_putc(b, '|');
	while (span_split(&rest, '\n', &done, &line)) {
		buf_printf(b, "\n%*s", line.n ? indent : 0, "");
		buf_span(b, line);
	}
}

static void put_yaml_value(struct buf *b, const struct json *v, int indent);

static void put_yaml_members(struct buf *b, const struct json *v, int indent, bool inlined)
{
	json_for_each (item, v) {
		if (!inlined)
			buf_printf(b, "%*s", indent, "");
		inlined = false;
		if (v->type == JSON_OBJECT) {
			put_yaml_line(b, item->key);
			buf_putc(b, ':');
			bool nested = item->type == JSON_OBJECT || item->type == JSON_ARRAY;
			buf_puts(b, nested && item->count ? "\n" : " ");
			put_yaml_value(b, item, indent + 2);
		} else {
			buf_puts(b, "- ");
			if ((item->type == JSON_OBJECT || item->type == JSON_ARRAY) && item->count)
				put_yaml_members(b, item, indent + 2, true);
			else
				put_yaml_value(b, item, indent + 2);
		}
	}
}

/* Ends with a newline. */
static void put_yaml_value(struct buf *b, const struct json *v, int indent)
{
	if ((v->type == JSON_OBJECT || v->type == JSON_ARRAY) && v->count) {
		put_yaml_members(b, v, indent, false);
		return;
	}
	if (v->type == JSON_STRING) {
		put_yaml_string(b, v->text, indent);
	} else {
		struct json_writer w = json_writer(b);
		json_put(&w, v);
	}
	buf_putc(b, '\n');
}

void cli_put_yaml(struct buf *b, const struct json *v)
{
	put_yaml_value(b, v, 0);
}

/* ---- text and table ---- */

void cli_put_safe(struct buf *b, struct span text, bool lines)
{
	for (size_t i = 0; i < text.n; i++) {
		unsigned char c = (unsigned char)text.p[i];
		bool kept = lines && (c == '\n' || c == '\t');
		if (lines && c == '\r' && i + 1 < text.n && text.p[i + 1] == '\n')
			continue;
		/* C1 controls are two bytes in UTF-8 */
		bool c1 = c == 0xc2 && i + 1 < text.n && (unsigned char)text.p[i + 1] < 0xa0;
		if (c1)
			i++;
		buf_putc(b, !kept && (c < 0x20 || c == 0x7f || c1) ? ' ' : (char)c);
	}
}

/* On one line, cut, for a cell. */
static void put_cell(struct buf *b, const struct json *v)
{
	struct buf raw CLEANUP(buf_fini) = buf_init(LIMIT_JSON_BYTES);
	if (!v || v->type == JSON_NULL)
		return;
	if (v->type == JSON_STRING) {
		buf_span(&raw, v->text);
	} else {
		struct json_writer w = json_writer(&raw);
		json_put(&w, v);
	}
	size_t n = MIN(raw.len, (size_t)CELL_BYTES);
	while (n && n < raw.len && ((unsigned char)raw.data[n] & 0xc0) == 0x80)
		n--;
	cli_put_safe(b, span_of(raw.data, n), false);
	if (n < raw.len)
		buf_puts(b, "...");
}

static const struct json *member_at(const struct json *v, const char *key)
{
	while (v && *key) {
		size_t n = strcspn(key, ".");
		v = json_get_span(v, span_of(key, n));
		key += n + (key[n] == '.');
	}
	return v;
}

static size_t width_of(struct span s)
{
	size_t n = 0;
	for (size_t i = 0; i < s.n; i++)
		n += (s.p[i] & 0xc0) != 0x80;
	return n;
}

static void put_padded(struct buf *b, struct span s, size_t width, bool last)
{
	buf_span(b, s);
	for (size_t n = width_of(s); !last && n < width + 2; n++)
		buf_putc(b, ' ');
}

struct columns {
	char titles[COLUMNS_MAX][64];
	const char *keys[COLUMNS_MAX];
	char own_keys[COLUMNS_MAX][64];
	size_t widths[COLUMNS_MAX];
	size_t count;
};

static void take_columns(struct columns *c, const struct json *v, const struct cli_column *columns)
{
	for (; columns && columns->title && c->count < COLUMNS_MAX; columns++, c->count++) {
		snprintf(c->titles[c->count], sizeof(c->titles[0]), "%s", columns->title);
		c->keys[c->count] = columns->key;
	}
	if (c->count || !v->count || v->items[0].type != JSON_OBJECT)
		return;
	json_for_each (member, &v->items[0]) {
		if (c->count == COLUMNS_MAX)
			break;
		snprintf(c->own_keys[c->count], sizeof(c->own_keys[0]), SPAN_FMT,
			SPAN_ARG(member->key));
		snprintf(
			c->titles[c->count], sizeof(c->titles[0]), SPAN_FMT, SPAN_ARG(member->key));
		c->keys[c->count] = c->own_keys[c->count];
		c->count++;
	}
}

static void put_title(struct buf *b, const char *title)
{
	for (; *title; title++)
		buf_putc(b, *title >= 'a' && *title <= 'z' ? (char)(*title - 32) : *title);
}

static void measure(struct columns *c, const struct json *v)
{
	for (size_t i = 0; i < c->count; i++) {
		c->widths[i] = strlen(c->titles[i]);
		json_for_each (row, v) {
			struct buf cell CLEANUP(buf_fini) = buf_init(LIMIT_DOC_BYTES);
			put_cell(&cell, member_at(row, c->keys[i]));
			c->widths[i] = MAX(c->widths[i], width_of(buf_view(&cell)));
		}
	}
}

static void put_rows(
	struct buf *b, const struct json *v, const struct cli_column *columns, bool titles)
{
	struct columns *c = calloc(1, sizeof(*c));
	if (!c)
		return;
	take_columns(c, v, columns);
	measure(c, v);
	for (size_t i = 0; titles && i < c->count; i++) {
		struct buf cell CLEANUP(buf_fini) = buf_init(256);
		put_title(&cell, c->titles[i]);
		put_padded(b, buf_view(&cell), c->widths[i], i + 1 == c->count);
	}
	if (titles && c->count)
		buf_putc(b, '\n');
	json_for_each (row, v) {
		for (size_t i = 0; i < c->count; i++) {
			struct buf cell CLEANUP(buf_fini) = buf_init(LIMIT_DOC_BYTES);
			put_cell(&cell, member_at(row, c->keys[i]));
			put_padded(b, buf_view(&cell), c->widths[i], i + 1 == c->count);
		}
		if (!c->count)
			put_cell(b, row);
		buf_putc(b, '\n');
	}
	free(c);
}

static void put_lines(struct buf *b, const struct json *v)
{
	size_t width = 0;
	json_for_each (member, v)
		width = MAX(width, width_of(member->key));
	json_for_each (member, v) {
		put_padded(b, member->key, width, false);
		put_cell(b, member);
		buf_putc(b, '\n');
	}
}

int cli_print(const struct cli *c, const struct json *v, const struct cli_column *columns)
{
	struct buf b CLEANUP(buf_fini) = buf_init(2 * (size_t)LIMIT_JSON_BYTES);
	if (c->format == CLI_JSON) {
		json_pretty(&b, v);
		buf_putc(&b, '\n');
	} else if (c->format == CLI_YAML) {
		cli_put_yaml(&b, v);
	} else if (v->type == JSON_ARRAY) {
		put_rows(&b, v, columns, c->format == CLI_TABLE || columns);
	} else if (v->type == JSON_OBJECT) {
		put_lines(&b, v);
	} else {
		put_cell(&b, v);
		buf_putc(&b, '\n');
	}
	int r = buf_error(&b);
	return r < 0 ? cli_fail_errno(r) : cli_write(buf_view(&b));
}

int cli_print_text(const struct cli *c, struct span json_text, const struct cli_column *columns)
{
	struct arena *a CLEANUP(arena_cleanup) = arena_new(8 * (size_t)LIMIT_JSON_BYTES);
	const struct json *v;
	int r = a ? json_parse(a, json_text, NULL, &v) : -ENOMEM;
	return r < 0 ? cli_fail_errno(r) : cli_print(c, v, columns);
}
