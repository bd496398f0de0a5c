/* SPDX-License-Identifier: AGPL-3.0-only */
/* Findings: gathered, put in order, shown with their places. */
#include "policy/cedar/report.h"
#include "policy/cedar/lex.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { MESSAGE_BYTES = 1024, EXPR_BYTES = 120 };

static bool known(const struct report *r, uint32_t pos, bool warning, const char *message)
{
	for (size_t i = r->count; i > 0; i--) {
		const struct report_item *at = &r->items[i - 1];
		if (at->policy_number != r->policy_number)
			return false;
		if (at->pos == pos && at->shown.warning == warning &&
			strcmp(at->shown.message, message) == 0)
			return true;
	}
	return false;
}

static struct report_item *next_item(struct report *r)
{
	if (r->count == r->capacity) {
		size_t capacity = r->capacity ? r->capacity * 2 : 8;
		struct report_item *items =
			arena_make_array(r->arena, struct report_item, capacity);
		if (!items)
			return NULL;
		if (r->count)
			memcpy(items, r->items, r->count * sizeof(*items));
		r->items = items;
		r->capacity = capacity;
	}
	return &r->items[r->count++];
}

/* Line, column and excerpt, if the policy came from text. */
static void show_place(struct report *r, struct report_item *item)
{
	struct buf b CLEANUP(buf_fini) = buf_init(1024);
	struct lex_place place;
	if (r->policy->source.n == 0)
		return;
	lex_place(r->policy->source, item->pos, &place, &b);
	item->shown.line = place.line;
	item->shown.column = place.column;
	item->shown.excerpt = arena_cstr(r->arena, buf_view(&b));
	if (!item->shown.excerpt)
		r->no_memory = true;
}

static void keep(struct report *r, uint32_t pos, bool warning, const char *message)
{
	struct report_item *item = next_item(r);
	if (item)
		*item = (struct report_item){
			.shown = {.warning = warning,
				.policy = r->policy->id,
				.message = arena_strdup(r->arena, message),
				.excerpt = ""},
			.pos = pos,
			.policy_number = r->policy_number,
		};
	if (!item || !item->shown.message)
		r->no_memory = true;
	else if (pos != UINT32_MAX)
		show_place(r, item);
}

static void add(struct report *r, uint32_t pos, bool warning, const char *fmt, va_list args)
{
	char message[MESSAGE_BYTES];
	r->errors |= !warning;
	if (r->count >= LIMIT_CEDAR_FINDINGS)
		return;
	vsnprintf(message, sizeof(message), fmt, args);
	if (pos == 0)
		pos = r->policy->pos;
	if (known(r, pos, warning, message))
		return;
	if (r->count < LIMIT_CEDAR_FINDINGS - 1) {
		keep(r, pos, warning, message);
		return;
	}
	snprintf(message, sizeof(message), "there are more than %d findings; mend these first",
		LIMIT_CEDAR_FINDINGS - 1);
	keep(r, UINT32_MAX, true, message);
}

void cedar_report_error(struct report *r, uint32_t pos, const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	add(r, pos, false, fmt, args);
	va_end(args);
}

void cedar_report_warning(struct report *r, uint32_t pos, const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	add(r, pos, true, fmt, args);
	va_end(args);
}

static int by_place(const void *x, const void *y)
{
	const struct report_item *a = x, *b = y;
	if (a->policy_number != b->policy_number)
		return a->policy_number < b->policy_number ? -1 : 1;
	if (a->pos != b->pos)
		return a->pos < b->pos ? -1 : 1;
	if (a->shown.warning != b->shown.warning)
		return a->shown.warning ? 1 : -1;
	return strcmp(a->shown.message, b->shown.message);
}

int report_finish(struct report *r, struct cedar_validation *ret)
{
	struct cedar_finding *shown =
		arena_make_array(r->arena, struct cedar_finding, r->count + 1);
	if (r->no_memory || !shown)
		return err_raise(-ENOMEM, "no memory for what validation found");
	if (r->count)
		qsort(r->items, r->count, sizeof(*r->items), by_place);
	for (size_t i = 0; i < r->count; i++)
		shown[i] = r->items[i].shown;
	*ret = (struct cedar_validation){!r->errors, r->count, shown};
	return 0;
}

const char *report_expr(struct arena *a, const struct expr *e)
{
	struct buf b CLEANUP(buf_fini) = buf_init(LIMIT_CEDAR_TEXT_BYTES * 4);
	struct span text;
	char *shown;
	expr_print(&b, e);
	text = buf_view(&b);
	if (text.n > EXPR_BYTES) {
		size_t end = EXPR_BYTES;
		while (end > 0 && ((unsigned char)text.p[end] & 0xc0) == 0x80)
			end--;
		shown = arena_printf(a, SPAN_FMT "...", SPAN_ARG(span_sub(text, 0, end)));
	} else {
		shown = arena_cstr(a, text);
	}
	return shown ? shown : "";
}
