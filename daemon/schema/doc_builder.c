/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Builds a document's tree from a sequence of keys, values, openings and endings, whatever the
 * notation. Here stand the limits that hold for both: depth, number of values (aliases expanded,
 * so that a small text cannot stand for a huge tree), key length, duplicate keys, no NUL.
 */
#include "daemon/schema/schema_internal.h"

void doc_builder_fini(struct doc_builder *b)
{
	free(b->stack);
	b->stack = NULL;
}

static struct doc_frame *doc_top(struct doc_builder *b)
{
	return b->depth ? &b->frames[b->depth - 1] : NULL;
}

bool doc_builder_wants_key(const struct doc_builder *b)
{
	if (!b->depth)
		return false;
	const struct doc_frame *f = &b->frames[b->depth - 1];
	return f->type == DOC_MAP && !f->key.p;
}

const char *doc_builder_path(const struct doc_builder *b, struct buf *text)
{
	for (int i = 0; i < b->depth; i++) {
		const struct doc_frame *f = &b->frames[i];
		size_t next = i + 1 < b->depth ? b->frames[i + 1].first : b->count;
		if (f->type == DOC_LIST)
			buf_printf(text, "[%zu]", next - f->first);
		else if (f->key.p)
			buf_printf(text, "%s" SPAN_FMT, text->len ? "." : "",
				SPAN_ARG(span_sub(f->key, 0, 64)));
	}
	const char *path = buf_cstr(text);
	return path ? path : "";
}

static int doc_bad(struct doc_builder *b, struct report_place at, const char *message)
{
	struct buf text CLEANUP(buf_fini) = buf_init(LIMIT_DOC_PATH_BYTES);
	report_error(b->report, at, doc_builder_path(b, &text), "%s", message);
	return DOC_BAD;
}

int doc_builder_key(struct doc_builder *b, struct span key, struct report_place at)
{
	struct doc_frame *f = doc_top(b);
	CHECK(f && f->type == DOC_MAP && !f->key.p);
	if (key.n > LIMIT_DOC_KEY_BYTES)
		return doc_bad(b, at, "this key is too long; accepted: at most 1024 bytes");
	if (key.n && memchr(key.p, 0, key.n))
		return doc_bad(b, at, "a key may not hold a NUL character");
	f->key = span_of(arena_cstr(b->report->arena, key), key.n);
	f->key_at = at;
	return f->key.p ? 0 : err_raise(-ENOMEM, "no memory for a document");
}

int doc_builder_open(struct doc_builder *b, enum doc_type type, struct report_place at)
{
	if (b->depth == LIMIT_DOC_DEPTH)
		return doc_bad(b, at, "the document is nested too deeply; accepted: 48 levels");
	b->frames[b->depth++] = (struct doc_frame){.type = type, .first = b->count, .at = at};
	return 0;
}

static int doc_push(struct doc_builder *b, const struct doc *value)
{
	if (b->count == b->capacity) {
		size_t capacity = b->capacity ? b->capacity * 2 : 64;
		struct doc *stack = reallocarray(b->stack, capacity, sizeof(*stack));
		if (!stack)
			return err_raise(-ENOMEM, "no memory for a document");
		b->stack = stack;
		b->capacity = capacity;
	}
	b->stack[b->count++] = *value;
	return 0;
}

int doc_builder_value(struct doc_builder *b, struct doc value)
{
	if (b->depth + value.height > LIMIT_DOC_DEPTH)
		return doc_bad(
			b, value.at, "the document is nested too deeply; accepted: 48 levels");
	b->values += value.weight;
	if (b->values > LIMIT_DOC_VALUES)
		return doc_bad(b, value.at,
			"the document has too many values; accepted: at most 50000, aliases "
			"expanded");

	struct doc_frame *f = doc_top(b);
	value.key = (struct span){0};
	if (f && f->type == DOC_MAP) {
		value.key = f->key;
		value.key_at = f->key_at;
		f->key = (struct span){0};
	}
	return doc_push(b, &value);
}

int doc_builder_scalar(struct doc_builder *b, struct doc value)
{
	if (value.text.n && memchr(value.text.p, 0, value.text.n))
		return doc_bad(b, value.at, "a text may not hold a NUL character");
	value.text = span_of(arena_cstr(b->report->arena, value.text), value.text.n);
	if (!value.text.p)
		return err_raise(-ENOMEM, "no memory for a document");
	value.weight = 1;
	return doc_builder_value(b, value);
}

/* -EEXIST becomes a finding that names both places. */
static int doc_refuse_duplicates(struct doc_builder *b, const struct doc *items, size_t count)
{
	struct map seen CLEANUP(map_fini);
	map_init(&seen, LIMIT_DOC_VALUES);
	bool duplicate = false;
	for (size_t i = 0; i < count; i++) {
		int r = map_put(&seen, items[i].key, (void *)&items[i]);
		if (r == -EEXIST) {
			const struct doc *first = map_get(&seen, items[i].key);
			struct buf text CLEANUP(buf_fini) = buf_init(LIMIT_DOC_PATH_BYTES);
			report_error(b->report, items[i].key_at, doc_builder_path(b, &text),
				"the key \"" SPAN_FMT "\" is written twice, first on line %d",
				SPAN_ARG(span_sub(items[i].key, 0, 64)), first->key_at.line);
			err_clear();
			duplicate = true;
		} else if (r < 0) {
			return err_trace(r);
		}
	}
	return duplicate ? DOC_BAD : 0;
}

int doc_builder_close(struct doc_builder *b, struct doc *ret)
{
	struct doc_frame f = b->frames[--b->depth];
	size_t count = b->count - f.first;
	struct doc value = {.type = f.type, .at = f.at, .count = count, .weight = 1, .height = 1};
	struct doc *items = arena_make_array(b->report->arena, struct doc, count + 1);
	if (!items)
		return err_raise(-ENOMEM, "no memory for a document");
	if (count)
		memcpy(items, b->stack + f.first, count * sizeof(*items));
	for (size_t i = 0; i < count; i++) {
		value.weight += items[i].weight;
		value.height = MAX(value.height, items[i].height + 1);
	}
	value.items = items;
	b->count = f.first;
	int r = f.type == DOC_MAP ? doc_refuse_duplicates(b, items, count) : 0;
	if (r)
		return r;

	/* Its members are counted already. */
	b->values -= value.weight - 1;
	*ret = value;
	return doc_builder_value(b, value);
}

int doc_builder_finish(struct doc_builder *b, const struct doc **ret)
{
	CHECK(b->depth == 0 && b->count == 1);
	struct doc *root = arena_make(b->report->arena, struct doc);
	if (!root)
		return err_raise(-ENOMEM, "no memory for a document");
	*root = b->stack[0];
	*ret = root;
	return 0;
}
