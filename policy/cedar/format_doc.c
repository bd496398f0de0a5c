/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Making and laying out documents. Both stacks of the layout are explicit: what is still to be
 * printed (`todo`), and what is looked through to see whether a group fits (`ahead`). A line break
 * takes the indentation of what is printed next, not of where the break was made.
 */
#include "policy/cedar/format_doc.h"

enum doc_kind { DOC_TEXT, DOC_LINE, DOC_SOFT, DOC_HARD, DOC_PAIR, DOC_NEST, DOC_GROUP };

struct doc {
	enum doc_kind kind;
	size_t size; /* columns of the text; blanks of the nest */
	struct span text;
	const struct doc *first, *second;
};

static struct doc *make(struct docs *d, enum doc_kind kind)
{
	struct doc *doc = arena_make(d->arena, struct doc);
	if (!doc)
		d->failed = true;
	else
		doc->kind = kind;
	return doc;
}

const struct doc *doc_text(struct docs *d, struct span text)
{
	struct doc *doc = make(d, DOC_TEXT);
	if (doc) {
		doc->text = text;
		doc->size = text_width(text);
	}
	return doc;
}

const struct doc *doc_line(struct docs *d)
{
	return make(d, DOC_LINE);
}

const struct doc *doc_soft(struct docs *d)
{
	return make(d, DOC_SOFT);
}

const struct doc *doc_hard(struct docs *d)
{
	return make(d, DOC_HARD);
}

const struct doc *doc_nest(struct docs *d, int blanks, const struct doc *of)
{
	struct doc *doc = of ? make(d, DOC_NEST) : NULL;
	if (doc) {
		doc->size = (size_t)blanks;
		doc->first = of;
	}
	return doc;
}

const struct doc *doc_group(struct docs *d, const struct doc *of)
{
	struct doc *doc = of ? make(d, DOC_GROUP) : NULL;
	if (doc)
		doc->first = of;
	return doc;
}

void doc_add(struct docs *d, const struct doc **doc, const struct doc *next)
{
	struct doc *pair;
	if (!*doc || !next) {
		*doc = *doc ? *doc : next;
		return;
	}
	pair = make(d, DOC_PAIR);
	if (pair) {
		pair->first = *doc;
		pair->second = next;
	}
	*doc = pair;
}

struct item {
	const struct doc *doc;
	size_t indent;
	bool flat;
};

struct stack {
	struct item *items;
	size_t count, capacity;
};

static int push(struct docs *d, struct stack *s, const struct doc *doc, size_t indent, bool flat)
{
	if (s->count == s->capacity) {
		size_t capacity = s->capacity ? s->capacity * 2 : 64;
		struct item *items = arena_make_array(d->arena, struct item, capacity);
		if (!items)
			return err_raise(-ENOMEM, "no memory to format a policy");
		if (s->count)
			memcpy(items, s->items, s->count * sizeof(*items));
		s->items = items;
		s->capacity = capacity;
	}
	s->items[s->count++] = (struct item){doc, indent, flat};
	return 0;
}

struct layout {
	struct docs *docs;
	struct stack todo, ahead;
	size_t columns, column;
	struct buf *b;
};

/* Whether `doc` on one line, and what is to be printed behind it, reach a line break in time. */
static int fits(struct layout *l, const struct doc *doc, bool *ret)
{
	size_t column = l->column, behind = l->todo.count;
	bool flat = true;
	int r = 0;
	l->ahead.count = 0;
	for (;;) {
		switch (doc->kind) {
		case DOC_PAIR:
			r = push(l->docs, &l->ahead, doc->second, 0, false);
			doc = doc->first;
			if (r < 0)
				return err_trace(r);
			continue;
		case DOC_NEST:
		case DOC_GROUP:
			doc = doc->first;
			continue;
		case DOC_TEXT:
			column += doc->size;
			break;
		case DOC_HARD:
			*ret = !flat;
			return 0;
		case DOC_LINE:
		case DOC_SOFT:
			if (!flat) {
				*ret = true;
				return 0;
			}
			column += doc->kind == DOC_LINE ? 1 : 0;
			break;
		}
		*ret = doc->kind == DOC_SOFT || column <= l->columns;
		if (!*ret)
			return 0;
		if (l->ahead.count > 0) {
			doc = l->ahead.items[--l->ahead.count].doc;
		} else if (behind > 0) {
			doc = l->todo.items[--behind].doc;
			flat = false;
		} else {
			return 0;
		}
	}
}

static void line_break(struct layout *l, size_t indent)
{
	if (l->todo.count)
		indent = l->todo.items[l->todo.count - 1].indent;
	buf_putc(l->b, '\n');
	for (size_t i = 0; i < indent; i++)
		buf_putc(l->b, ' ');
	l->column = indent;
}

static int step(struct layout *l, struct item at)
{
	const struct doc *doc = at.doc;
	bool flat = at.flat;
	int r;
	switch (doc->kind) {
	case DOC_TEXT:
		buf_span(l->b, doc->text);
		l->column += doc->size;
		return 0;
	case DOC_PAIR:
		r = push(l->docs, &l->todo, doc->second, at.indent, flat);
		return r < 0 ? err_trace(r) : push(l->docs, &l->todo, doc->first, at.indent, flat);
	case DOC_NEST:
		return push(l->docs, &l->todo, doc->first, at.indent + doc->size, flat);
	case DOC_GROUP:
		r = flat ? 0 : fits(l, doc->first, &flat);
		return r < 0 ? err_trace(r) : push(l->docs, &l->todo, doc->first, at.indent, flat);
	case DOC_LINE:
	case DOC_SOFT:
		if (flat) {
			buf_puts(l->b, doc->kind == DOC_LINE ? " " : "");
			l->column += doc->kind == DOC_LINE ? 1 : 0;
			return 0;
		}
		line_break(l, at.indent);
		return 0;
	case DOC_HARD:
		line_break(l, at.indent);
		return 0;
	}
	return 0;
}

int doc_render(struct docs *d, const struct doc *doc, size_t columns, struct buf *b)
{
	struct layout l = {.docs = d, .columns = columns, .b = b};
	int r = 0;
	if (d->failed)
		return err_raise(-ENOMEM, "no memory to format a policy");
	if (doc)
		r = push(d, &l.todo, doc, 0, false);
	while (r == 0 && l.todo.count > 0) {
		struct item at = l.todo.items[--l.todo.count];
		r = step(&l, at);
	}
	return r < 0 ? err_trace(r) : buf_error(b);
}
