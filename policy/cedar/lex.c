/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Tokens. The text is valid UTF-8, which lex_start() checks, so that later steps may trust lead
 * bytes. A string token keeps its escapes: what they mean depends on where it stands (`\*` is an
 * escape in patterns only).
 */
#include "policy/cedar/lex.h"
#include <stdarg.h>
#include <stdio.h>

enum { EXCERPT_BYTES = 100 };

/* Where the line that holds `pos` begins and ends. */
static struct span line_at(struct span text, uint32_t pos, uint32_t *ret_start)
{
	uint32_t start = pos, end = pos;
	while (start > 0 && text.p[start - 1] != '\n')
		start--;
	while (end < text.n && text.p[end] != '\n' && text.p[end] != '\r')
		end++;
	*ret_start = start;
	return span_sub(text, start, end);
}

static bool continuation(char c)
{
	return ((unsigned char)c & 0xc0) == 0x80;
}

static uint32_t line_number(struct span text, uint32_t pos)
{
	uint32_t line = 1;
	for (uint32_t i = 0; i < pos; i++)
		line += text.p[i] == '\n';
	return line;
}

/* A window of the line around byte `at` of it, and blanks up to the caret. */
static void excerpt(struct buf *b, struct span line, size_t at)
{
	size_t from = at > EXCERPT_BYTES / 2 ? at - EXCERPT_BYTES / 2 : 0;
	size_t to = MIN(line.n, from + EXCERPT_BYTES);
	while (from > 0 && from < line.n && continuation(line.p[from]))
		from--;
	while (to < line.n && continuation(line.p[to]))
		to--;
	buf_puts(b, "  ");
	for (size_t i = from; i < to; i++)
		buf_putc(b, line.p[i] == '\t' ? ' ' : line.p[i]);
	buf_puts(b, "\n  ");
	for (size_t i = from; i < at; i++)
		if (!continuation(line.p[i]))
			buf_putc(b, ' ');
	buf_putc(b, '^');
}

void lex_place(struct span text, uint32_t pos, struct lex_place *ret, struct buf *b)
{
	uint32_t start;
	struct span line;
	pos = (uint32_t)MIN((size_t)pos, text.n);
	line = line_at(text, pos, &start);
	*ret = (struct lex_place){.line = line_number(text, pos), .column = 1};
	for (uint32_t i = start; i < pos; i++)
		ret->column += !continuation(text.p[i]);
	excerpt(b, line, pos - start);
}

int lex_fail(const struct lexer *l, uint32_t pos, const char *fmt, ...)
{
	char message[256];
	struct lex_place place;
	va_list args;
	struct buf b CLEANUP(buf_fini) = buf_init(1024);
	va_start(args, fmt);
	vsnprintf(message, sizeof(message), fmt, args);
	va_end(args);
	lex_place(l->text, pos, &place, &b);
	return err_raise(-EINVAL, "line %u column %u: %s\n" SPAN_FMT, place.line, place.column,
		message, SPAN_ARG(buf_view(&b)));
}

int lex_unexpected(const struct lexer *l, const char *accepted)
{
	const struct token *t = &l->token;
	if (t->type == TOKEN_END)
		return lex_fail(l, t->pos, "unexpected end of the text; expected %s", accepted);
	return lex_fail(l, t->pos, "unexpected `" SPAN_FMT "`; expected %s",
		SPAN_ARG(span_sub(span_sub(l->text, t->pos, t->end), 0, 60)), accepted);
}

uint32_t lex_blank(struct span text, uint32_t at)
{
	const unsigned char *p = (const unsigned char *)text.p + at;
	size_t n = text.n - at;
	if (n >= 1 && (*p == ' ' || (*p >= '\t' && *p <= '\r')))
		return 1;
	if (n >= 2 && p[0] == 0xc2 && (p[1] == 0x85 || p[1] == 0xa0))
		return 2;
	if (n < 3)
		return 0;
	switch (p[0] << 16 | p[1] << 8 | p[2]) {
	case 0xe19a80: /* U+1680 */
	case 0xe280a8: /* U+2028, U+2029, U+202F */
	case 0xe280a9:
	case 0xe280af:
	case 0xe2819f: /* U+205F */
	case 0xe38080: /* U+3000 */
		return 3;
	default: /* U+2000 to U+200A */
		return p[0] == 0xe2 && p[1] == 0x80 && p[2] >= 0x80 && p[2] <= 0x8a ? 3 : 0;
	}
}

static void skip_blanks(struct lexer *l)
{
	for (;;) {
		uint32_t n = lex_blank(l->text, l->at);
		if (n == 0) {
			if (!span_starts(span_sub(l->text, l->at, l->at + 2), SPAN("//")))
				return;
			while (l->at < l->text.n && l->text.p[l->at] != '\n' &&
				l->text.p[l->at] != '\r')
				l->at++;
		}
		l->at += n;
	}
}

static bool ident_start(char c)
{
	return c == '_' || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool digit(char c)
{
	return c >= '0' && c <= '9';
}

static uint32_t ident_end(struct span text, uint32_t at)
{
	while (at < text.n && (ident_start(text.p[at]) || digit(text.p[at])))
		at++;
	return at;
}

static int string_token(struct lexer *l)
{
	uint32_t at = l->at + 1;
	while (at < l->text.n && l->text.p[at] != '"') {
		bool escape = l->text.p[at] == '\\';
		at++;
		if (escape && at < l->text.n && l->text.p[at] == '\n')
			return lex_fail(l, at - 1,
				"`\\` before the end of the line; expected an "
				"escape such as \\n, \\\" or \\u{41}");
		if (escape && at < l->text.n)
			at++;
	}
	if (at >= l->text.n)
		return lex_fail(l, l->at, "this string has no end; expected a closing `\"`");
	l->token.type = TOKEN_STRING;
	l->token.text = span_sub(l->text, l->at + 1, at);
	l->at = at + 1;
	return 0;
}

static int punct_token(struct lexer *l)
{
	static const char *const pairs[] = {"::", "==", "!=", "<=", ">=", "||", "&&"};
	struct span two = span_sub(l->text, l->at, l->at + 2);
	uint32_t n = 1;
	for (size_t i = 0; i < ARRAY_LEN(pairs); i++)
		if (span_is(two, pairs[i]))
			n = 2;
	if (n == 1 && !strchr("@.,;:(){}[]<>+-*/%!=?", *two.p))
		return lex_fail(l, l->at, "no token of the language begins here");
	l->token.type = TOKEN_PUNCT;
	l->token.text = span_sub(l->text, l->at, l->at + n);
	l->at += n;
	return 0;
}

int lex_next(struct lexer *l)
{
	char c;
	skip_blanks(l);
	l->token = (struct token){.type = TOKEN_END, .pos = l->at};
	l->token.end = l->at;
	if (l->at >= l->text.n)
		return 0;
	c = l->text.p[l->at];
	if (c == '\0')
		return lex_fail(l, l->at, "no token of the language begins here");
	if (ident_start(c) || digit(c)) {
		uint32_t end = l->at;
		if (digit(c))
			while (end < l->text.n && digit(l->text.p[end]))
				end++;
		else
			end = ident_end(l->text, end);
		l->token.type = digit(c) ? TOKEN_NUMBER : TOKEN_IDENT;
		l->token.text = span_sub(l->text, l->at, end);
		l->at = end;
	} else if (c == '?' && l->at + 1 < l->text.n && ident_start(l->text.p[l->at + 1])) {
		uint32_t end = ident_end(l->text, l->at + 1);
		l->token.type = TOKEN_SLOT;
		l->token.text = span_sub(l->text, l->at + 1, end);
		l->at = end;
	} else {
		int r = c == '"' ? string_token(l) : punct_token(l);
		if (r < 0)
			return err_trace(r);
	}
	l->token.end = l->at;
	return 0;
}

int lex_start(struct lexer *l, struct arena *a, struct span text)
{
	ssize_t bad = span_utf8_bad(text);
	*l = (struct lexer){.arena = a, .text = text};
	if (text.n > LIMIT_CEDAR_TEXT_BYTES)
		return err_raise(-E2BIG, "a text of %zu bytes; at most %d are accepted", text.n,
			LIMIT_CEDAR_TEXT_BYTES);
	if (bad >= 0)
		return err_raise(-EINVAL, "byte %zd of the text is not UTF-8", bad);
	return lex_next(l);
}

bool lex_is(const struct lexer *l, const char *punct)
{
	return l->token.type == TOKEN_PUNCT && span_is(l->token.text, punct);
}

bool lex_is_word(const struct lexer *l, const char *word)
{
	return l->token.type == TOKEN_IDENT && span_is(l->token.text, word);
}

int lex_accept(struct lexer *l, const char *punct, bool *ret_found)
{
	*ret_found = lex_is(l, punct);
	return *ret_found ? lex_next(l) : 0;
}

int lex_expect(struct lexer *l, const char *punct, const char *where)
{
	char accepted[64];
	if (lex_is(l, punct))
		return lex_next(l);
	snprintf(accepted, sizeof(accepted), "`%s`%s%s", punct, *where ? " " : "", where);
	return lex_unexpected(l, accepted);
}
