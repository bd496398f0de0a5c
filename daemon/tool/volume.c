/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Files by their paths in the workspace, on the volumes that are mounted there: which one a path
 * means, and the file layer's operation on it.
 */
#include "daemon/tool/internal.h"

static bool lies_in(struct span path, struct span folder)
{
	return span_starts(path, folder) && (path.n == folder.n || path.p[folder.n] == '/');
}

/* The volume that a path lies in; *path becomes relative to it. */
static struct fsal_attachment *volume_of(const struct tool_file *f, struct span *path)
{
	for (size_t i = 0; i < f->t->mount_count; i++) {
		const struct tool_mount *m = &f->t->mounts[i];
		if (!lies_in(*path, m->at))
			continue;
		*path = span_sub(*path, MIN(m->at.n + 1, path->n), path->n);
		return m->attachment;
	}
	return f->t->workspace;
}

static AWAITS int walk_to(
	struct tool_file *f, struct span path, bool follow, struct fsal_object **ret)
{
	struct fsal_attachment *at = volume_of(f, &path);
	return fsal_walk(&f->call, at, path, follow, ret);
}

int tool_file_stat(struct tool_file *f, struct span path, bool follow, struct fsal_attr *ret)
{
	struct fsal_object *o;
	int r = walk_to(f, path, follow, &o);
	return r == 0 ? fsal_getattr(&f->call, o, ret) : r;
}

int tool_file_read(struct tool_file *f, struct span path, void *p, size_t n, size_t *ret_n)
{
	struct fsal_object *o;
	struct fsal_post post;
	size_t done = 0, got;
	bool eof = false;
	int r = walk_to(f, path, true, &o);

	if (r != 0)
		return r;
	fsal_ref(o);
	while (r == 0 && !eof && done < n) {
		r = fsal_read(&f->call, o, done, (char *)p + done, n - done, &got, &eof, &post);
		done += r == 0 ? got : 0;
	}
	fsal_unref(o);
	*ret_n = done;
	return r;
}

int tool_file_replace(struct tool_file *f, struct span path, struct span content)
{
	struct fsal_attachment *at = volume_of(f, &path);
	struct fsal_object *dir;
	struct span name;
	int r = fsal_parent(&f->call, at, path, &dir, &name);

	if (r != 0)
		return r == -EBUSY ? -EISDIR : r;
	r = fsal_replace(&f->call, dir, name, content);
	fsal_unref(dir);
	return r;
}

int tool_file_list(
	struct tool_file *f, struct span path, struct fsal_entry **ret, size_t *ret_count)
{
	struct fsal_attachment *at = volume_of(f, &path);
	int r = fsal_list(&f->call, at, path, ret, ret_count);

	if (r == -EOVERFLOW)
		return err_raise(r, "it has more than %d entries", LIMIT_FSAL_LIST_ENTRIES);
	return r;
}

int tool_file_mkdirs(struct tool_file *f, struct span path)
{
	struct fsal_attachment *at = volume_of(f, &path);
	return fsal_mkdirs(&f->call, at, path);
}

int tool_file_remove(struct tool_file *f, struct span path, bool recursive)
{
	for (size_t i = 0; i < f->t->mount_count; i++)
		if (lies_in(f->t->mounts[i].at, path))
			return err_raise(-EBUSY, "a volume is mounted there");
	struct fsal_attachment *at = volume_of(f, &path);
	return fsal_remove_path(&f->call, at, path, recursive);
}
