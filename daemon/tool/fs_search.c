/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * fs.grep and fs.glob: a walk over a tree that an agent may have built to be slow. The walk keeps
 * its own stack, follows no links, and is bounded in depth, files and output; a pattern is bounded
 * by PCRE2's match limit.
 */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "daemon/tool/internal.h"
#include <pcre2.h>

struct walk {
	struct tool_call *call;
	struct tool_file *file;
	struct span start; /* relative to the volume */
	struct buf out;
	size_t files;
	bool full; /* a limit ended the walk; *out says which */
	AWAITS int (*visit)(
		struct walk *w, struct span path, struct span relative, const struct fsal_attr *at);
	pcre2_code *regex;
	pcre2_match_data *match;
	struct span glob;
};

struct folder {
	struct list link;
	struct span path;
	int depth;
};

static bool walk_room(struct walk *w, size_t bytes)
{
	if (!w->full && w->out.len + bytes + 64 > LIMIT_TOOL_OUTPUT_BYTES) {
		buf_puts(&w->out, "[more matches are left out: narrow the search]\n");
		w->full = true;
	}
	return !w->full;
}

static int folder_push(struct walk *w, struct list *stack, struct span path, int depth)
{
	struct folder *d = arena_make(w->call->arena, struct folder);
	if (!d)
		return err_raise(-ENOMEM, "search: request memory used up");
	d->path = path;
	d->depth = depth;
	list_push_front(stack, &d->link);
	return 0;
}

static struct span below(struct arena *a, struct span folder, struct span name)
{
	char *path = folder.n
		? arena_printf(a, SPAN_FMT "/" SPAN_FMT, SPAN_ARG(folder), SPAN_ARG(name))
		: arena_cstr(a, name);
	return span_cstr(path);
}

static int walk_entry(
	struct walk *w, struct list *stack, const struct folder *d, const struct fsal_entry *e)
{
	struct span path = below(w->call->arena, d->path, e->name);
	if (!path.p)
		return err_raise(-ENOMEM, "search: request memory used up");
	if ((e->attr.mode & S_IFMT) == S_IFDIR)
		return d->depth < LIMIT_TOOL_SEARCH_DEPTH
			? folder_push(w, stack, path, d->depth + 1)
			: 0;
	if ((e->attr.mode & S_IFMT) != S_IFREG)
		return 0;
	if (++w->files > LIMIT_TOOL_SEARCH_FILES) {
		buf_printf(&w->out, "[stopped after %d files: narrow the search]\n",
			LIMIT_TOOL_SEARCH_FILES);
		w->full = true;
		return 0;
	}
	struct span relative = w->start.n ? span_sub(path, w->start.n + 1, path.n) : path;
	return err_trace(w->visit(w, path, relative, &e->attr));
}

static int walk_folder(struct walk *w, struct list *stack, const struct folder *d)
{
	struct fsal_entry *entries;
	size_t count;
	int r = tool_file_list(w->file, d->path, &entries, &count);
	/* A folder below the start that may not be read, or is gone by now, is passed over. */
	if (d->depth > 0 &&
		(r == FSAL_DENIED || (r < 0 && r != -ECANCELED && r != -ETIME && r != -ENOMEM))) {
		err_clear();
		return 0;
	}
	/* Folders are pushed in reverse, so that they are visited in order. */
	for (size_t i = 0; r == 0 && i < count && !w->full; i++)
		if ((entries[i].attr.mode & S_IFMT) != S_IFDIR)
			r = walk_entry(w, stack, d, &entries[i]);
	for (size_t i = count; r == 0 && i > 0; i--)
		if ((entries[i - 1].attr.mode & S_IFMT) == S_IFDIR)
			r = walk_entry(w, stack, d, &entries[i - 1]);
	return r;
}

static int walk_run(struct walk *w)
{
	struct list stack = LIST_INIT(stack);
	int r = folder_push(w, &stack, w->start, 0);
	for (struct list *l; r == 0 && !w->full && (l = list_pop_front(&stack));)
		r = walk_folder(w, &stack, list_entry(l, struct folder, link));
	if (r)
		return err_trace(tool_file_outcome(w->call, w->file, r));
	tool_file_decided(w->call, &w->file->decision);
	r = buf_error(&w->out);
	if (r < 0)
		return err_trace(r);
	return err_trace(tool_ok(w->call, buf_view(&w->out)));
}

static int walk_begin(struct walk *w, struct tool_call *c, struct tool_file *f)
{
	*w = (struct walk){.call = c, .file = f, .out = buf_init(LIMIT_TOOL_OUTPUT_BYTES + 4096)};
	return tool_path(c, "path", "fs:read", f, &w->start);
}

static int glob_visit(
	struct walk *w, struct span path, struct span relative, const struct fsal_attr *at)
{
	/* A pattern without a slash matches names at any depth. */
	struct span subject = relative;
	ssize_t slash = -1;
	if (span_find_byte(w->glob, '/', 0) < 0)
		for (ssize_t i = 0; (i = span_find_byte(relative, '/', (size_t)i)) >= 0; i++)
			slash = i;
	subject = span_sub(relative, (size_t)(slash + 1), relative.n);
	if (context_glob_match(w->glob, subject) && walk_room(w, relative.n + 1)) {
		buf_span(&w->out, relative);
		buf_putc(&w->out, '\n');
	}
	return 0;
}

int fs_glob_run(struct tool_call *c)
{
	struct tool_file f;
	struct walk w;
	int r = walk_begin(&w, c, &f);
	if (r)
		return r < 0 ? err_trace(r) : 0;
	w.visit = glob_visit;
	w.glob = json_str(c->arguments, "pattern", SPAN(""));
	if (w.glob.n == 0 || w.glob.n > LIMIT_PATH_BYTES)
		r = tool_refuse(c, TOOL_BAD_ARGUMENTS,
			SPAN("Invalid tool arguments: 'pattern' is empty or too long"));
	else
		r = walk_run(&w);
	buf_fini(&w.out);
	return err_trace(r);
}

static void grep_line(struct walk *w, struct span relative, size_t number, struct span line)
{
	enum { SHOWN_BYTES = 400 };
	struct span shown = span_sub(line, 0, SHOWN_BYTES);
	if (!walk_room(w, relative.n + shown.n + 32))
		return;
	buf_printf(&w->out, SPAN_FMT ":%zu:", SPAN_ARG(relative), number);
	buf_span(&w->out, shown);
	buf_puts(&w->out, shown.n < line.n ? "...\n" : "\n");
}

static int grep_text(struct walk *w, struct span relative, struct span text)
{
	struct span rest = text, line;
	bool done = false;

	for (size_t number = 1; !w->full && span_split(&rest, '\n', &done, &line); number++) {
		int r = pcre2_match(w->regex, (PCRE2_SPTR)line.p, line.n, 0, 0, w->match, NULL);
		if (r > 0 || r == 0)
			grep_line(w, relative, number, line);
		else if (r == PCRE2_ERROR_MATCHLIMIT || r == PCRE2_ERROR_DEPTHLIMIT ||
			r == PCRE2_ERROR_HEAPLIMIT) {
			buf_printf(&w->out,
				SPAN_FMT ":%zu:[the pattern needs too many steps on this line]\n",
				SPAN_ARG(relative), number);
			w->full = true;
		}
		if (number % 1024 == 0)
			fiber_yield();
	}
	return 0;
}

/* Each file's content lives in an arena of its own: a tree of small files must not use up the
 * request's memory. */
static int grep_visit(
	struct walk *w, struct span path, struct span relative, const struct fsal_attr *at)
{
	struct tool_call sub = *w->call;
	struct tool_result ignored = {0};
	struct tool_file f = *w->file;
	struct span text;
	int r;

	if (at->size_bytes > LIMIT_TOOL_FILE_BYTES)
		return 0;
	struct arena *a CLEANUP(arena_cleanup) = arena_new(LIMIT_TOOL_FILE_BYTES + 64 * 1024);
	if (!a)
		return err_raise(-ENOMEM, "grep: out of memory");
	sub.arena = f.call.arena = a;
	f.call.decision = &f.decision;
	sub.result = &ignored;
	r = tool_read_file(&sub, &f, path, &text);
	if (r < 0)
		return err_trace(r);
	if (r == TOOL_PATH_ANSWERED || span_find_byte(text, '\0', 0) >= 0)
		return 0; /* denied, gone, or binary */
	return err_trace(grep_text(w, relative, text));
}

static int grep_compile(struct walk *w)
{
	struct span pattern = json_str(w->call->arguments, "pattern", SPAN(""));
	PCRE2_SIZE where;
	int code;

	w->regex = pcre2_compile(
		(PCRE2_SPTR)pattern.p, pattern.n, PCRE2_NEVER_BACKSLASH_C, &code, &where, NULL);
	if (!w->regex) {
		PCRE2_UCHAR why[128];
		pcre2_get_error_message(code, why, sizeof(why));
		char *reason = arena_printf(w->call->arena,
			"Invalid tool arguments: 'pattern' at byte %zu: %s", (size_t)where,
			(const char *)why);
		int r = tool_refuse(w->call, TOOL_BAD_ARGUMENTS, span_cstr(reason));
		return r < 0 ? err_trace(r) : TOOL_PATH_ANSWERED;
	}
	w->match = pcre2_match_data_create_from_pattern(w->regex, NULL);
	return w->match ? 0 : err_raise(-ENOMEM, "grep: out of memory");
}

/* The start may be a file: then it is searched alone. */
static int grep_start(struct walk *w)
{
	struct fsal_attr attr;
	int r = tool_file_stat(w->file, w->start, true, &attr);
	if (r)
		return err_trace(tool_file_outcome(w->call, w->file, r));
	if ((attr.mode & S_IFMT) != S_IFREG)
		return err_trace(walk_run(w));
	tool_file_decided(w->call, &w->file->decision);
	struct span asked = json_str(w->call->arguments, "path", SPAN(""));
	r = grep_visit(w, w->start, asked, &attr);
	if (r == 0)
		r = buf_error(&w->out);
	return r < 0 ? err_trace(r) : err_trace(tool_ok(w->call, buf_view(&w->out)));
}

int fs_grep_run(struct tool_call *c)
{
	struct tool_file f;
	struct walk w;
	int r = walk_begin(&w, c, &f);
	if (r)
		return r < 0 ? err_trace(r) : 0;
	w.visit = grep_visit;
	r = grep_compile(&w);
	if (r == 0)
		r = grep_start(&w);
	pcre2_match_data_free(w.match);
	pcre2_code_free(w.regex);
	buf_fini(&w.out);
	return r < 0 ? err_trace(r) : 0;
}
