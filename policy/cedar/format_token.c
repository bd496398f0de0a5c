/* SPDX-License-Identifier: AGPL-3.0-only */
/* The tokens of a text with their comments. */
#include "policy/cedar/format.h"

/* Start of the character that ends before `end`. */
static size_t char_before(struct span s, size_t end)
{
	size_t at = end - 1;
	while (at > 0 && ((unsigned char)s.p[at] & 0xc0) == 0x80)
		at--;
	return at;
}

struct span format_trim(struct span s)
{
	uint32_t from = 0, n;
	size_t end = s.n;
	while (from < s.n && (n = lex_blank(s, from)) > 0)
		from += n;
	while (end > from && lex_blank(s, (uint32_t)char_before(s, end)) > 0)
		end = char_before(s, end);
	return span_sub(s, from, end);
}

bool format_comment_next(struct span *rest, struct span *ret)
{
	ssize_t from = span_find(*rest, SPAN("//"), 0);
	size_t to;
	if (from < 0)
		return false;
	to = (size_t)from;
	while (to < rest->n && rest->p[to] != '\n' && rest->p[to] != '\r')
		to++;
	*ret = format_trim(span_sub(*rest, (size_t)from, to));
	*rest = span_sub(*rest, to, rest->n);
	return true;
}

/* What stands between two tokens: up to the first line break it belongs to the one before. */
static void split_gap(struct span gap, struct span *ret_trailing, struct span *ret_leading)
{
	ssize_t end = span_find_byte(gap, '\n', 0);
	*ret_trailing = format_trim(span_sub(gap, 0, end < 0 ? gap.n : (size_t)end));
	*ret_leading = end < 0 ? (struct span){0} : span_sub(gap, (size_t)end + 1, gap.n);
}

static int count_tokens(struct arena *a, struct span text, size_t *ret)
{
	struct lexer l;
	int r = lex_start(&l, a, text);
	for (*ret = 0; r == 0 && l.token.type != TOKEN_END; (*ret)++)
		r = lex_next(&l);
	return err_trace(r);
}

int format_tokens(struct format *f, struct arena *a, struct span text)
{
	struct span leading;
	size_t most;
	int r = count_tokens(a, text, &most);
	if (r == 0)
		r = lex_start(&f->lexer, a, text);
	if (r < 0)
		return err_trace(r);
	f->tokens = arena_make_array(a, struct format_token, most + 1);
	if (!f->tokens)
		return err_raise(-ENOMEM, "no memory to format policies");
	leading = span_sub(text, 0, f->lexer.token.pos);
	while (r == 0 && f->lexer.token.type != TOKEN_END) {
		struct format_token *t = &f->tokens[f->count++];
		t->token = f->lexer.token;
		t->leading = leading;
		r = lex_next(&f->lexer);
		if (r == 0)
			split_gap(span_sub(text, t->token.end, f->lexer.token.pos), &t->trailing,
				&leading);
	}
	f->rest = leading;
	return err_trace(r);
}

struct format_token *format_take(struct format *f)
{
	if (f->at < f->count)
		return &f->tokens[f->at++];
	f->lost = true;
	f->none = (struct format_token){0};
	return &f->none;
}

bool format_is(const struct format *f, const char *text)
{
	const struct token *t = f->at < f->count ? &f->tokens[f->at].token : NULL;
	return t && (t->type == TOKEN_PUNCT || t->type == TOKEN_IDENT) && span_is(t->text, text);
}

struct format_token *format_take_if(struct format *f, const char *text)
{
	return format_is(f, text) ? format_take(f) : NULL;
}

const struct doc *format_leading(struct format *f, struct format_token *t)
{
	struct span rest = t->leading, line;
	const struct doc *doc = NULL;
	while (format_comment_next(&rest, &line)) {
		doc_add(&f->docs, &doc, doc_hard(&f->docs));
		doc_add(&f->docs, &doc, doc_text(&f->docs, line));
	}
	if (doc)
		doc_add(&f->docs, &doc, doc_hard(&f->docs));
	t->leading = (struct span){0};
	return doc;
}

const struct doc *format_trailing(
	struct format *f, struct format_token *t, const struct doc *otherwise)
{
	const struct doc *doc;
	if (t->trailing.n == 0)
		return otherwise;
	doc = doc_text(&f->docs, SPAN(" "));
	doc_add(&f->docs, &doc, doc_text(&f->docs, t->trailing));
	doc_add(&f->docs, &doc, doc_hard(&f->docs));
	t->trailing = (struct span){0};
	return doc;
}

const struct doc *format_with(
	struct format *f, struct format_token *t, struct span text, const struct doc *otherwise)
{
	const struct doc *doc = format_leading(f, t);
	doc_add(&f->docs, &doc, doc_text(&f->docs, text));
	doc_add(&f->docs, &doc, format_trailing(f, t, otherwise));
	return doc;
}

const struct doc *format_token(struct format *f, struct format_token *t)
{
	struct span text = span_sub(f->lexer.text, t->token.pos, t->token.end);
	if (t->token.type == TOKEN_NUMBER) /* as a number: without leading zeros */
		while (text.n > 1 && *text.p == '0')
			text = span_sub(text, 1, text.n);
	return format_with(f, t, text, NULL);
}
