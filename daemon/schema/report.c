/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Collects what is wrong with a document, so that a person mends a file in one go instead of once
 * per mistake. Nouns: a report, its findings. Invariant: error_count counts every error, kept or
 * not, so a report that could not keep a text still refuses the document.
 */
#include "daemon/schema/schema_internal.h"

int report_init(struct report *r, struct arena *a, const char *file)
{
	*r = (struct report){.arena = a};
	r->file = arena_strdup(a, file);
	r->findings = arena_make_array(a, struct report_finding, LIMIT_REPORT_FINDINGS);
	if (!r->file || !r->findings)
		return err_raise(-ENOMEM, "no memory for a report on %s", file);
	return 0;
}

static void report_add(struct report *r, enum report_level level, struct report_place at,
	const char *path, const char *fmt, va_list args)
{
	if (level == REPORT_ERROR)
		r->error_count++;
	else
		r->warning_count++;
	if (r->count == LIMIT_REPORT_FINDINGS)
		return;

	const char *message = arena_vprintf(r->arena, fmt, args);
	const char *kept_path = arena_strdup(r->arena, path);
	r->findings[r->count++] = (struct report_finding){
		.level = level,
		.at = at,
		.path = kept_path ? kept_path : "",
		.message = message ? message
				   : "something is wrong, and there is no memory to say what",
	};
}

void report_error(struct report *r, struct report_place at, const char *path, const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	report_add(r, REPORT_ERROR, at, path, fmt, args);
	va_end(args);
}

void report_warning(
	struct report *r, struct report_place at, const char *path, const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	report_add(r, REPORT_WARNING, at, path, fmt, args);
	va_end(args);
}

void report_take(struct report *r, const struct report *from)
{
	size_t errors = 0;

	for (size_t i = 0; i < from->count; i++) {
		const struct report_finding *f = &from->findings[i];
		if (f->level == REPORT_ERROR) {
			errors++;
			report_error(r, f->at, f->path, "%s", f->message);
		} else {
			report_warning(r, f->at, f->path, "%s", f->message);
		}
	}
	r->error_count += from->error_count - errors;
	r->warning_count += from->warning_count - (from->count - errors);
}

static void report_finding_text(
	const struct report *r, const struct report_finding *f, struct buf *b)
{
	buf_puts(b, r->file);
	if (f->at.line)
		buf_printf(b, ":%d:%d", f->at.line, f->at.column);
	buf_puts(b, ": ");
	if (f->level == REPORT_WARNING)
		buf_puts(b, "warning: ");
	if (*f->path)
		buf_printf(b, "%s: ", f->path);
	buf_puts(b, f->message);
}

void report_text(const struct report *r, struct buf *b)
{
	for (size_t i = 0; i < r->count; i++) {
		report_finding_text(r, &r->findings[i], b);
		buf_putc(b, '\n');
	}
	size_t all = r->error_count + r->warning_count;
	if (all > r->count)
		buf_printf(b, "%s: %zu more findings are not shown\n", r->file, all - r->count);
}

void report_json(const struct report *r, struct json_writer *w)
{
	json_array(w);
	for (size_t i = 0; i < r->count; i++) {
		const struct report_finding *f = &r->findings[i];
		json_object(w);
		json_field_cstr(w, "level", f->level == REPORT_ERROR ? "error" : "warning");
		json_field_cstr(w, "file", r->file);
		json_field_i64(w, "line", f->at.line);
		json_field_i64(w, "column", f->at.column);
		json_field_cstr(w, "path", f->path);
		json_field_cstr(w, "message", f->message);
		json_end(w);
	}
	json_end(w);
}

void report_summary(const struct report *r, struct buf *b)
{
	for (size_t i = 0; i < r->count; i++) {
		if (r->findings[i].level != REPORT_ERROR)
			continue;
		report_finding_text(r, &r->findings[i], b);
		break;
	}
	if (r->error_count > 1)
		buf_printf(b, " (and %zu more)", r->error_count - 1);
}
