/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Expressions laid out, by the grammar's levels. The operators `&&` and `||` end a line, and break
 * together with the group that they stand in; arithmetic breaks by itself.
 */
#include "policy/cedar/format.h"

static void add(struct format *f, const struct doc **doc, const struct doc *next)
{
	doc_add(&f->docs, doc, next);
}

static void add_blank(struct format *f, const struct doc **doc)
{
	doc_add(&f->docs, doc, doc_text(&f->docs, SPAN(" ")));
}

static void add_line(struct format *f, const struct doc **doc)
{
	doc_add(&f->docs, doc, doc_line(&f->docs));
}

static const struct doc *nest(struct format *f, const struct doc *of)
{
	return doc_nest(&f->docs, FORMAT_INDENT, of);
}

/* The next token, which should be this one. */
static const struct doc *fixed(struct format *f, const char *text)
{
	if (!format_is(f, text))
		f->lost = true;
	return format_token(f, format_take(f));
}

/* Items with commas between them, up to the closing token, which is left. */
static const struct doc *list(
	struct format *f, const char *close, const struct doc *(*item)(struct format *f))
{
	const struct doc *doc = NULL;
	while (!f->lost && !format_is(f, close)) {
		struct format_token *comma;
		add(f, &doc, item(f));
		comma = format_take_if(f, ",");
		if (!comma)
			break;
		if (format_is(f, close)) /* a comma behind the last item is dropped */
			break;
		add(f, &doc, format_token(f, comma));
		add_line(f, &doc);
	}
	return doc;
}

static const struct doc *record_item(struct format *f)
{
	const struct doc *doc = format_expr(f);
	add(f, &doc, fixed(f, ":"));
	add_blank(f, &doc);
	add(f, &doc, format_expr(f));
	return doc;
}

static const struct doc *record(struct format *f)
{
	const struct doc *doc = fixed(f, "{"), *items = list(f, "}", record_item), *inner = NULL;
	if (items) {
		add_line(f, &inner);
		add(f, &inner, items);
		add_line(f, &inner);
	}
	add(f, &doc, nest(f, doc_group(&f->docs, inner)));
	add(f, &doc, fixed(f, "}"));
	return doc;
}

/* What stands in parentheses or brackets is aligned behind them. */
static const struct doc *set(struct format *f)
{
	const struct doc *doc = fixed(f, "[");
	add(f, &doc, doc_nest(&f->docs, 1, list(f, "]", format_expr)));
	add(f, &doc, fixed(f, "]"));
	return doc;
}

static const struct doc *parentheses(struct format *f)
{
	const struct doc *doc = fixed(f, "(");
	add(f, &doc, doc_nest(&f->docs, 1, format_expr(f)));
	add(f, &doc, fixed(f, ")"));
	return doc_group(&f->docs, doc);
}

/* A literal, a slot, or A::B::"c". */
static const struct doc *name(struct format *f)
{
	const struct doc *doc = format_token(f, format_take(f));
	struct format_token *colons;
	while ((colons = format_take_if(f, "::"))) {
		add(f, &doc, format_token(f, colons));
		add(f, &doc, format_token(f, format_take(f)));
	}
	return doc;
}

static const struct doc *primary(struct format *f)
{
	if (format_is(f, "("))
		return parentheses(f);
	if (format_is(f, "["))
		return set(f);
	return format_is(f, "{") ? record(f) : name(f);
}

static const struct doc *arguments(struct format *f)
{
	const struct doc *doc = fixed(f, "("), *args = list(f, ")", format_expr), *inner = NULL;
	if (args) {
		add(f, &inner, doc_soft(&f->docs));
		add(f, &inner, args);
		add(f, &doc, nest(f, inner));
		add(f, &doc, doc_soft(&f->docs));
	}
	add(f, &doc, fixed(f, ")"));
	return doc;
}

static const struct doc *access(struct format *f)
{
	const struct doc *doc;
	if (format_is(f, "("))
		return arguments(f);
	if (format_is(f, ".")) {
		doc = fixed(f, ".");
		add(f, &doc, format_token(f, format_take(f)));
		return doc;
	}
	doc = fixed(f, "[");
	add(f, &doc, format_expr(f));
	add(f, &doc, fixed(f, "]"));
	return doc;
}

static const struct doc *member(struct format *f)
{
	const struct doc *doc = primary(f), *behind = NULL;
	while (!f->lost && (format_is(f, ".") || format_is(f, "[") || format_is(f, "("))) {
		if (behind)
			add(f, &behind, doc_soft(&f->docs));
		add(f, &behind, access(f));
	}
	add(f, &doc, nest(f, behind));
	return doc_group(&f->docs, doc);
}

static const struct doc *unary(struct format *f)
{
	const struct doc *doc = NULL;
	while (format_is(f, "!") || format_is(f, "-"))
		add(f, &doc, format_token(f, format_take(f)));
	add(f, &doc, member(f));
	return doc;
}

static const struct doc *product(struct format *f)
{
	const struct doc *doc = unary(f);
	while (format_is(f, "*")) {
		add_blank(f, &doc);
		add(f, &doc, fixed(f, "*"));
		add_line(f, &doc);
		add(f, &doc, unary(f));
	}
	return doc_group(&f->docs, doc);
}

const struct doc *format_sum(struct format *f)
{
	const struct doc *doc = product(f);
	while (format_is(f, "+") || format_is(f, "-")) {
		add_blank(f, &doc);
		add(f, &doc, format_token(f, format_take(f)));
		add_line(f, &doc);
		add(f, &doc, product(f));
	}
	return doc_group(&f->docs, doc);
}

static const struct doc *is_in(struct format *f, const struct doc *doc)
{
	add_blank(f, &doc);
	add(f, &doc, fixed(f, "is"));
	add_blank(f, &doc);
	add(f, &doc, nest(f, format_sum(f)));
	if (format_is(f, "in")) {
		add_line(f, &doc);
		add(f, &doc, fixed(f, "in"));
		add_blank(f, &doc);
		add(f, &doc, nest(f, format_sum(f)));
	}
	return doc_group(&f->docs, doc);
}

static const struct doc *relation(struct format *f)
{
	static const char *const operators[] = {"==", "!=", "<", "<=", ">", ">=", "in"};
	const struct doc *doc = format_sum(f);
	if (format_is(f, "is"))
		return is_in(f, doc);
	if (format_is(f, "has") || format_is(f, "like")) {
		add_line(f, &doc);
		add(f, &doc, format_token(f, format_take(f)));
		add_line(f, &doc);
		add(f, &doc, nest(f, format_sum(f)));
		return doc_group(&f->docs, doc);
	}
	for (size_t i = 0; i < ARRAY_LEN(operators); i++)
		if (format_is(f, operators[i])) {
			add_blank(f, &doc);
			add(f, &doc, fixed(f, operators[i]));
			add_blank(f, &doc);
			add(f, &doc, format_sum(f));
			break;
		}
	return doc;
}

/* a op b op c, each operator at the end of a line that has no comment there already. */
static const struct doc *chain(
	struct format *f, const char *op, const struct doc *(*operand)(struct format *f))
{
	const struct doc *doc = operand(f);
	struct format_token *t;
	while (!f->lost && (t = format_take_if(f, op))) {
		add_blank(f, &doc);
		add(f, &doc, format_with(f, t, span_cstr(op), doc_line(&f->docs)));
		add(f, &doc, operand(f));
	}
	return doc;
}

static const struct doc *conjunction(struct format *f)
{
	return chain(f, "&&", relation);
}

static const struct doc *conditional(struct format *f)
{
	static const char *const words[] = {"if", "then", "else"};
	const struct doc *doc = NULL;
	for (size_t i = 0; i < 3; i++) {
		const struct doc *branch = NULL;
		if (i > 0)
			add_line(f, &doc);
		add(f, &doc, fixed(f, words[i]));
		add_line(f, &branch);
		add(f, &branch, format_expr(f));
		add(f, &doc, nest(f, branch));
	}
	return doc_group(&f->docs, doc);
}

const struct doc *format_expr(struct format *f)
{
	if (f->lost || f->docs.failed)
		return NULL;
	return format_is(f, "if") ? conditional(f) : chain(f, "||", conjunction);
}
