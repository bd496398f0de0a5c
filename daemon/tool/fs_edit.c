/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * fs.edit and fs.multi_edit: exact replacements, each of a text that occurs exactly once. All are
 * made in memory and put in place at once, so that a failing one leaves the file as it was.
 */
#include "daemon/tool/internal.h"

/* 0 with the edited text in *text; TOOL_PATH_ANSWERED if the edit does not apply. */
static int edit_apply(struct tool_call *c, struct span *text, struct span target,
	struct span replacement, size_t number)
{
	ssize_t at = target.n ? span_find(*text, target, 0) : -1;
	const char *problem = NULL;

	if (target.n == 0)
		problem = "target_content is empty";
	else if (at < 0)
		problem = "target_content does not occur in the file";
	else if (span_find(*text, target, (size_t)at + 1) >= 0)
		problem = "target_content occurs more than once: give more of its surroundings";
	else if (text->n - target.n + replacement.n > LIMIT_TOOL_FILE_BYTES)
		problem = "the file would become too large";
	if (problem) {
		char *reason = arena_printf(
			c->arena, "edit %zu: %s; the file is unchanged", number, problem);
		int r = tool_refuse(c, TOOL_FAILED, span_cstr(reason));
		return r < 0 ? err_trace(r) : TOOL_PATH_ANSWERED;
	}
	size_t n = text->n - target.n + replacement.n, before = (size_t)at;
	char *p = arena_bytes(c->arena, n + 1);
	if (!p)
		return err_raise(-ENOMEM, "edit: request memory used up");
	if (before)
		memcpy(p, text->p, before);
	if (replacement.n)
		memcpy(p + before, replacement.p, replacement.n);
	if (text->n > before + target.n)
		memcpy(p + before + replacement.n, text->p + before + target.n,
			text->n - before - target.n);
	*text = span_of(p, n);
	return 0;
}

static int edit_file(struct tool_call *c, const struct json *edits, size_t count)
{
	struct tool_file f;
	struct span path, text;
	int r = tool_path(c, "path", "fs:write", &f, &path);
	if (r == 0)
		r = tool_read_file(c, &f, path, &text);
	for (size_t i = 0; r == 0 && i < count; i++)
		r = edit_apply(c, &text, json_str(&edits[i], "target_content", SPAN("")),
			json_str(&edits[i], "replacement_content", SPAN("")), i + 1);
	if (r)
		return r < 0 ? err_trace(r) : 0;
	r = tool_file_replace(&f, path, text);
	if (r)
		return err_trace(tool_file_outcome(c, &f, r));
	tool_file_decided(c, &f.decision);
	return err_trace(tool_okf(c, "Edited " SPAN_FMT ": %zu replacement%s",
		SPAN_ARG(json_str(c->arguments, "path", SPAN(""))), count, count == 1 ? "" : "s"));
}

int fs_edit_run(struct tool_call *c)
{
	return err_trace(edit_file(c, c->arguments, 1));
}

int fs_multi_edit_run(struct tool_call *c)
{
	const struct json *edits = json_get(c->arguments, "edits");
	return err_trace(edit_file(c, edits->items, edits->count));
}
