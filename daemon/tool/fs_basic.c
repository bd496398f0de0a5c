/* SPDX-License-Identifier: AGPL-3.0-only */
/* fs.read, fs.write, fs.list, fs.create_dir, fs.delete. */
#include "daemon/tool/internal.h"

static struct span asked_path(const struct tool_call *c)
{
	return json_str(c->arguments, "path", SPAN(""));
}

int fs_read_run(struct tool_call *c)
{
	struct tool_file f;
	struct span path, content;
	int r = tool_path(c, "path", "fs:read", &f, &path);
	if (r == 0)
		r = tool_read_file(c, &f, path, &content);
	if (r)
		return r < 0 ? err_trace(r) : 0;
	return err_trace(tool_ok(c, content));
}

int fs_write_run(struct tool_call *c)
{
	struct tool_file f;
	struct span path, content = json_str(c->arguments, "content", SPAN(""));
	int r = tool_path(c, "path", "fs:write", &f, &path);
	if (r)
		return r < 0 ? err_trace(r) : 0;
	r = tool_file_replace(&f, path, content);
	if (r)
		return err_trace(tool_file_outcome(c, &f, r));
	tool_file_decided(c, &f.decision);
	return err_trace(
		tool_okf(c, "Wrote %zu bytes to " SPAN_FMT, content.n, SPAN_ARG(asked_path(c))));
}

int fs_list_run(struct tool_call *c)
{
	struct tool_file f;
	struct span path;
	struct fsal_entry *entries;
	size_t count;
	int r = tool_path(c, "path", "fs:read", &f, &path);
	if (r)
		return r < 0 ? err_trace(r) : 0;
	r = tool_file_list(&f, path, &entries, &count);
	if (r)
		return err_trace(tool_file_outcome(c, &f, r));
	tool_file_decided(c, &f.decision);
	struct buf b CLEANUP(buf_fini) = buf_init(LIMIT_TOOL_OUTPUT_BYTES);
	for (size_t i = 0; i < count; i++) {
		if (b.len + entries[i].name.n + 64 > LIMIT_TOOL_OUTPUT_BYTES) {
			buf_printf(&b, "[%zu more entries]\n", count - i);
			break;
		}
		buf_span(&b, entries[i].name);
		buf_puts(&b, (entries[i].attr.mode & S_IFMT) == S_IFDIR ? "/\n" : "\n");
	}
	r = buf_error(&b);
	return r < 0 ? err_trace(r) : err_trace(tool_ok(c, buf_view(&b)));
}

int fs_create_dir_run(struct tool_call *c)
{
	struct tool_file f;
	struct span path;
	int r = tool_path(c, "path", "fs:write", &f, &path);
	if (r)
		return r < 0 ? err_trace(r) : 0;
	r = tool_file_mkdirs(&f, path);
	if (r)
		return err_trace(tool_file_outcome(c, &f, r));
	tool_file_decided(c, &f.decision);
	return err_trace(tool_okf(c, "Created directory " SPAN_FMT, SPAN_ARG(asked_path(c))));
}

int fs_delete_run(struct tool_call *c)
{
	struct tool_file f;
	struct span path;
	int r = tool_path(c, "path", "fs:write", &f, &path);
	if (r)
		return r < 0 ? err_trace(r) : 0;
	r = tool_file_remove(&f, path, json_bool(c->arguments, "recursive", false));
	if (r)
		return err_trace(tool_file_outcome(c, &f, r));
	tool_file_decided(c, &f.decision);
	return err_trace(tool_okf(c, "Deleted " SPAN_FMT, SPAN_ARG(asked_path(c))));
}
