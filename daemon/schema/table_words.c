/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The words of a finding: paths, values as they are shown, lists of what is accepted, and the name
 * that was probably meant.
 */
#include "daemon/schema/schema_internal.h"

enum {
	SHOWN_BYTES = 60,
	NEAREST_BYTES = 64, /* longer names are not compared */
};

size_t run_push_key(struct table_run *run, struct span key)
{
	size_t before = run->path_length;
	int n = snprintf(run->path + before, sizeof(run->path) - before, "%s" SPAN_FMT,
		before ? "." : "", SPAN_ARG(span_sub(key, 0, 128)));
	run->path_length = MIN(before + (size_t)n, sizeof(run->path) - 1);
	return before;
}

size_t run_push_index(struct table_run *run, size_t index)
{
	size_t before = run->path_length;
	int n = snprintf(run->path + before, sizeof(run->path) - before, "[%zu]", index);
	run->path_length = MIN(before + (size_t)n, sizeof(run->path) - 1);
	return before;
}

void run_pop(struct table_run *run, size_t length)
{
	run->path_length = length;
	run->path[length] = '\0';
}

static void run_report(
	struct table_run *run, struct report_place at, bool error, const char *fmt, va_list args)
{
	const char *message = arena_vprintf(run->report->arena, fmt, args);
	if (!message)
		message = "not acceptable";
	if (error)
		report_error(run->report, at, run->path, "%s", message);
	else
		report_warning(run->report, at, run->path, "%s", message);
}

void run_error(struct table_run *run, struct report_place at, const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	run_report(run, at, true, fmt, args);
	va_end(args);
}

void run_warning(struct table_run *run, struct report_place at, const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	run_report(run, at, false, fmt, args);
	va_end(args);
}

static void table_finding(struct table_run *run, const struct doc *object, const char *member,
	bool error, const char *fmt, va_list args)
{
	const struct doc *d = member ? doc_at(object, member) : NULL;
	struct report_place at = d ? d->key_at : object->at;
	size_t before = run->path_length;
	if (member)
		run_push_key(run, span_cstr(member));
	run_report(run, at, error, fmt, args);
	run_pop(run, before);
}

void table_problem(
	struct table_run *run, const struct doc *object, const char *member, const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	table_finding(run, object, member, true, fmt, args);
	va_end(args);
}

void table_warning(
	struct table_run *run, const struct doc *object, const char *member, const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	table_finding(run, object, member, false, fmt, args);
	va_end(args);
}

const char *shown_text(struct arena *a, struct span s)
{
	bool cut = s.n > SHOWN_BYTES;
	size_t n = MIN(s.n, (size_t)SHOWN_BYTES);
	while (cut && n && ((unsigned char)s.p[n] & 0xc0) == 0x80)
		n--;
	char *text = arena_printf(a, "\"%.*s%s\"", (int)n, s.p ? s.p : "", cut ? "..." : "");
	if (!text)
		return "\"...\"";
	for (char *c = text; *c; c++)
		if ((unsigned char)*c < 0x20 || *c == 0x7f)
			*c = ' ';
	return text;
}

const char *shown_doc(struct arena *a, const struct doc *d)
{
	const char *text = NULL;
	switch (d->type) {
	case DOC_STRING:
		text = arena_printf(a, "the string %s", shown_text(a, d->text));
		break;
	case DOC_NUMBER:
		text = arena_printf(a, "the number " SPAN_FMT, SPAN_ARG(span_sub(d->text, 0, 40)));
		break;
	case DOC_BOOL:
		text = d->boolean ? "true" : "false";
		break;
	default:
		break;
	}
	return text ? text : doc_type_name(d->type);
}

const char *shown_words(struct arena *a, const char *const *words)
{
	struct buf b CLEANUP(buf_fini) = buf_init(LIMIT_DOC_PATH_BYTES);
	for (int i = 0; words[i]; i++)
		buf_printf(&b, "%s%s", i ? ", " : "", words[i]);
	const char *text = arena_cstr(a, buf_view(&b));
	return text ? text : "...";
}

int words_find(const char *const *words, struct span s)
{
	for (int i = 0; words[i]; i++)
		if (span_is(s, words[i]))
			return i;
	return -1;
}

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

/* Optimal string alignment: insert, delete, replace, swap of neighbours; case is ignored. */
static int edit_distance(const char *a, const char *b)
{
	int rows[3][NEAREST_BYTES + 1];
	int *before = rows[0], *last = rows[1], *now = rows[2];
	int n = (int)strlen(b);
	for (int j = 0; j <= n; j++)
		last[j] = j;
	for (int i = 1; a[i - 1]; i++) {
		now[0] = i;
		for (int j = 1; j <= n; j++) {
			int cost = lower(a[i - 1]) != lower(b[j - 1]);
			int gap = MIN(last[j], now[j - 1]) + 1;
			now[j] = MIN(gap, last[j - 1] + cost);
			if (i > 1 && j > 1 && lower(a[i - 1]) == lower(b[j - 2]) &&
				lower(a[i - 2]) == lower(b[j - 1]))
				now[j] = MIN(now[j], before[j - 2] + 1);
		}
		int *recycled = before;
		before = last;
		last = now;
		now = recycled;
	}
	return last[n];
}

const char *table_nearest(const char *name, const char *const *names)
{
	size_t length = strlen(name);
	if (length > NEAREST_BYTES)
		return NULL;
	int best = (int)(length / 3) + 1;
	const char *nearest = NULL;
	for (; *names; names++) {
		if (strlen(*names) > NEAREST_BYTES)
			continue;
		int distance = edit_distance(name, *names);
		if (distance < best || (distance == best && !nearest && length > 2)) {
			best = distance;
			nearest = *names;
		}
	}
	return nearest;
}
