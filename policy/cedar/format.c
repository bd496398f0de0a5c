/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Policies laid out. A policy's lines are made without regard to blank lines, which comments may
 * leave; these are dropped afterwards, outside strings. The result is parsed again and compared, so
 * that no fault here can change what a policy says.
 */
#include "policy/cedar/format.h"
#include "policy/cedar/ast.h"

enum { SCRATCH_BYTES = 512 * 1024 * 1024 };

static const struct doc *annotation(struct format *f)
{
	const struct doc *doc = format_token(f, format_take(f)), *hard = doc_hard(&f->docs);
	doc_add(&f->docs, &doc, format_token(f, format_take(f)));
	if (!format_is(f, "(")) {
		doc_add(&f->docs, &doc, hard);
		return doc;
	}
	doc_add(&f->docs, &doc, format_token(f, format_take(f)));
	doc_add(&f->docs, &doc, format_token(f, format_take(f)));
	doc_add(&f->docs, &doc, format_with(f, format_take(f), SPAN(")"), hard));
	return doc;
}

/* ` is Type`, which breaks by itself. */
static const struct doc *scope_is(struct format *f)
{
	const struct doc *doc;
	if (!format_is(f, "is"))
		return NULL;
	doc = doc_line(&f->docs);
	doc_add(&f->docs, &doc, format_token(f, format_take(f)));
	doc = doc_group(&f->docs, doc);
	doc_add(&f->docs, &doc, doc_line(&f->docs));
	doc_add(&f->docs, &doc, format_sum(f));
	return doc_group(&f->docs, doc_nest(&f->docs, FORMAT_INDENT, doc));
}

/* One variable of the scope; *plain is cleared if anything is asked of it. */
static const struct doc *scope(struct format *f, bool *plain)
{
	struct format_token *variable = format_take(f);
	const struct doc *leading = format_leading(f, variable), *behind;
	const struct doc *doc = doc_text(&f->docs, variable->token.text);
	doc_add(&f->docs, &doc, format_trailing(f, variable, NULL));
	if (format_is(f, "is")) {
		*plain = false;
		doc_add(&f->docs, &doc, scope_is(f));
	}
	if (!format_is(f, "==") && !format_is(f, "in")) {
		doc_add(&f->docs, &leading, doc);
		return leading;
	}
	*plain = false;
	doc_add(&f->docs, &doc, doc_line(&f->docs));
	doc_add(&f->docs, &doc, format_token(f, format_take(f)));
	doc = doc_group(&f->docs, doc);
	behind = doc_line(&f->docs);
	doc_add(&f->docs, &behind, format_expr(f));
	doc_add(&f->docs, &doc, doc_nest(&f->docs, FORMAT_INDENT, behind));
	doc_add(&f->docs, &leading, doc_group(&f->docs, doc));
	return leading;
}

/* The three variables: on one line if nothing is asked of them, else one a line. */
static const struct doc *head(struct format *f)
{
	struct format_token *commas[2];
	const struct doc *variables[3], *doc, *inner = NULL, *hard = doc_hard(&f->docs);
	bool plain = true;
	for (size_t i = 0; i < 3; i++) {
		variables[i] = scope(f, &plain);
		if (i < 2)
			commas[i] = format_take(f);
	}
	if (!plain)
		inner = hard;
	for (size_t i = 0; i < 3; i++) {
		doc_add(&f->docs, &inner, variables[i]);
		if (i < 2)
			doc_add(&f->docs, &inner,
				format_with(f, commas[i], SPAN(","),
					plain ? doc_text(&f->docs, SPAN(" ")) : hard));
	}
	doc = doc_nest(&f->docs, FORMAT_INDENT, inner);
	if (plain)
		return doc_group(&f->docs, doc);
	doc_add(&f->docs, &doc, hard);
	return doc;
}

/* { expression } */
static const struct doc *body(struct format *f)
{
	struct format_token *brace = format_take(f);
	const struct doc *leading = format_leading(f, brace), *inner, *doc;
	doc = doc_text(&f->docs, SPAN("{"));
	inner = format_trailing(f, brace, doc_line(&f->docs));
	if (f->at < f->count)
		doc_add(&f->docs, &inner, format_leading(f, &f->tokens[f->at]));
	doc_add(&f->docs, &inner, doc_group(&f->docs, format_expr(f)));
	inner = doc_nest(&f->docs, FORMAT_INDENT, inner);
	doc_add(&f->docs, &inner, doc_line(&f->docs));
	doc_add(&f->docs, &inner, format_token(f, format_take(f)));
	doc_add(&f->docs, &doc, doc_group(&f->docs, inner));
	doc_add(&f->docs, &leading, doc);
	return leading;
}

static const struct doc *condition(struct format *f)
{
	struct format_token *keyword = format_take(f);
	const struct doc *leading = format_leading(f, keyword);
	const struct doc *doc = doc_text(&f->docs, keyword->token.text);
	doc_add(&f->docs, &doc, format_trailing(f, keyword, doc_line(&f->docs)));
	doc_add(&f->docs, &doc, body(f));
	doc_add(&f->docs, &leading, doc_group(&f->docs, doc));
	return leading;
}

static const struct doc *policy(struct format *f)
{
	const struct doc *doc = NULL, *effect, *conditions = NULL, *hard = doc_hard(&f->docs);
	struct format_token *t;
	while (format_is(f, "@"))
		doc_add(&f->docs, &doc, annotation(f));
	t = format_take(f);
	doc_add(&f->docs, &doc, format_leading(f, t));
	effect = format_token(f, t);
	doc_add(&f->docs, &effect, doc_line(&f->docs));
	doc_add(&f->docs, &effect, format_token(f, format_take(f)));
	doc_add(&f->docs, &doc, doc_group(&f->docs, effect));
	doc_add(&f->docs, &doc, head(f));
	t = format_take(f); /* `)`, or a comma in front of it, whose comments are the ones kept */
	if (format_is(f, ")"))
		(void)format_take(f);
	doc_add(&f->docs, &doc, format_with(f, t, SPAN(")"), format_is(f, ";") ? NULL : hard));
	while (!f->lost && !format_is(f, ";")) {
		doc_add(&f->docs, &conditions, conditions ? hard : NULL);
		doc_add(&f->docs, &conditions, condition(f));
	}
	doc_add(&f->docs, &doc, conditions);
	doc_add(&f->docs, &doc, format_token(f, format_take(f)));
	return doc;
}

/* Length of the string or comment that begins at `at`, 0 if none does. */
static size_t opaque_length(struct span s, size_t at)
{
	size_t end = at;
	if (s.p[at] == '"') {
		for (end++; end < s.n && s.p[end] != '"'; end++)
			if (s.p[end] == '\\')
				end++;
		return MIN(end + 1, s.n) - at;
	}
	if (s.p[at] != '/' || at + 1 == s.n || s.p[at + 1] != '/')
		return 0;
	while (end < s.n && s.p[end] != '\n' && s.p[end] != '\r')
		end++;
	return end - at;
}

/* Lines of blanks only are left out; of the first line its break stays. */
static void put_without_blank_lines(struct buf *b, struct span s)
{
	if (s.n && *s.p == '\n')
		buf_putc(b, '\n');
	while (s.n) {
		ssize_t end = span_find_byte(s, '\n', 0);
		struct span line = span_sub(s, 0, end < 0 ? s.n : (size_t)end + 1);
		if (end < 0 || format_trim(line).n > 0)
			buf_span(b, line);
		s = span_sub(s, line.n, s.n);
	}
}

static void drop_blank_lines(struct buf *b, struct span s)
{
	size_t from = 0;
	for (size_t at = 0; at < s.n;) {
		size_t n = opaque_length(s, at);
		if (n == 0) {
			at++;
			continue;
		}
		put_without_blank_lines(b, span_sub(s, from, at));
		buf_span(b, span_sub(s, at, at + n));
		at += n;
		from = at;
	}
	put_without_blank_lines(b, span_sub(s, from, s.n));
}

static int put_policy(struct format *f, struct buf *b)
{
	enum { MOST = LIMIT_CEDAR_TEXT_BYTES * 8 };
	struct buf raw CLEANUP(buf_fini) = buf_init(MOST), lines CLEANUP(buf_fini) = buf_init(MOST);
	const struct doc *doc = policy(f);
	int r;
	if (f->lost)
		return err_raise(-EINVAL, "the formatter does not understand the text");
	r = doc_render(&f->docs, doc, FORMAT_COLUMNS, &raw);
	if (r < 0)
		return err_trace(r);
	drop_blank_lines(&lines, buf_view(&raw));
	r = buf_error(&lines);
	if (r < 0)
		return err_trace(r);
	buf_span(b, format_trim(buf_view(&lines)));
	return 0;
}

/* That both texts hold the same policies. */
static int compare(struct arena *a, const struct cedar_policies *policies, struct span formatted)
{
	struct cedar_policies again;
	int r = cedar_policies_parse(a, formatted, &again);
	if (r == 0 && again.count != policies->count)
		r = err_raise(-EINVAL, "the formatter changed the number of policies");
	for (size_t i = 0; r == 0 && i < again.count; i++) {
		struct buf x CLEANUP(buf_fini) = buf_init(LIMIT_CEDAR_TEXT_BYTES * 8);
		struct buf y CLEANUP(buf_fini) = buf_init(LIMIT_CEDAR_TEXT_BYTES * 8);
		cedar_policy_print(&x, policies->items[i]);
		cedar_policy_print(&y, again.items[i]);
		r = buf_error(&x);
		if (r == 0)
			r = buf_error(&y);
		if (r == 0 && !span_eq(buf_view(&x), buf_view(&y)))
			r = err_raise(-EINVAL, "the formatter changed the policy " SPAN_FMT,
				SPAN_ARG(policies->items[i]->id));
	}
	return err_trace(r);
}

static int format(struct format *f, struct arena *a, struct span text, struct buf *b)
{
	struct span line;
	int r = format_tokens(f, a, text);
	for (size_t i = 0; r == 0 && f->at < f->count; i++) {
		buf_puts(b, i ? "\n\n" : "");
		r = put_policy(f, b);
		arena_reset(f->docs.arena);
	}
	if (r < 0)
		return err_trace(r);
	buf_putc(b, '\n');
	while (format_comment_next(&f->rest, &line)) {
		buf_span(b, line);
		buf_putc(b, '\n');
	}
	return buf_error(b);
}

int cedar_format(struct arena *a, struct span text, struct buf *b)
{
	struct arena *scratch CLEANUP(arena_cleanup) = arena_new(SCRATCH_BYTES);
	struct cedar_policies policies;
	struct format f = {.docs.arena = scratch};
	size_t start = b->len;
	int r = cedar_policies_parse(a, text, &policies);
	if (r == 0 && !scratch)
		r = err_raise(-ENOMEM, "no memory to format policies");
	if (r == 0)
		r = format(&f, a, text, b);
	if (r < 0)
		return err_trace(r);
	return compare(scratch, &policies, span_sub(buf_view(b), start, b->len));
}
