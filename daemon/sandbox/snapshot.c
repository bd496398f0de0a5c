/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Snapshots on disk and in memory. A snapshot is built beside its place and renamed into it, so
 * one that can be seen is whole. Contents are numbered files, never named by the agent.
 */
#include "daemon/sandbox/snapshot_internal.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

struct snapshot *snapshot_new(void)
{
	struct arena *a = arena_new(LIMIT_SNAPSHOT_MEMORY_BYTES);
	struct snapshot *s = a ? arena_make(a, struct snapshot) : NULL;

	if (!s) {
		arena_free(a);
		return NULL;
	}
	s->arena = a;
	return s;
}

struct snapshot *snapshot_free(struct snapshot *s)
{
	if (s)
		arena_free(s->arena);
	return NULL;
}

bool snapshot_name_ok(const char *name)
{
	size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-");

	return n > 0 && n < LIMIT_SNAPSHOT_NAME_BYTES && name[n] == 0;
}

static int by_path(const void *a, const void *b)
{
	return span_cmp(
		((const struct snapshot_entry *)a)->path, ((const struct snapshot_entry *)b)->path);
}

void snapshot_sort(struct snapshot *s)
{
	if (s->count)
		qsort(s->entries, s->count, sizeof(s->entries[0]), by_path);
}

/* ---- taking and opening ---- */

/* The new snapshot's folder under a name that no snapshot can have. */
static int make_folder(int store_fd, const char *building)
{
	int r = fd_remove_tree(store_fd, building); /* of an attempt that was killed */

	if (r < 0 && r != -ENOENT)
		return err_trace(r);
	err_clear();
	if (mkdirat(store_fd, building, 0700) < 0)
		return err_sys(-errno, "mkdir %s", building);
	int fd = openat(store_fd, building, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? err_sys(-errno, "open %s", building) : fd;
}

static int write_index(const struct snapshot *s, int home_fd)
{
	struct buf b CLEANUP(buf_fini) = buf_init(SNAPSHOT_INDEX_BYTES_MAX);
	AUTO_FD fd = openat(home_fd, "index", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	if (fd < 0)
		return err_sys(-errno, "index of a snapshot");
	snapshot_write_index(s, &b);
	int r = buf_error(&b);
	if (r == 0)
		r = fd_write_all(fd, buf_view(&b));
	if (r == 0 && fsync(fd) < 0)
		r = err_sys(-errno, "index of a snapshot");
	return err_trace(r);
}

static int build(struct snapshot *s, int workspace_fd, int store_fd, const char *name,
	const struct snapshot *before, const struct snapshot_limits *limits)
{
	char building[LIMIT_SNAPSHOT_NAME_BYTES + 8];

	snprintf(building, sizeof(building), "%s.new", name);
	AUTO_FD home_fd = make_folder(store_fd, building);
	if (home_fd < 0)
		return err_trace(home_fd);
	int r = snapshot_walk(s, workspace_fd, home_fd, name, before, limits);
	if (r == 0)
		r = write_index(s, home_fd);
	if (r == 0 && renameat(store_fd, building, store_fd, name) < 0)
		r = err_sys(errno == ENOTEMPTY ? -EEXIST : -errno, "snapshot %s", name);
	if (r < 0) {
		int removed = fd_remove_tree(store_fd, building);
		(void)removed; /* the next attempt removes it too; r is what matters */
	}
	return err_trace(r);
}

int snapshot_take(int workspace_fd, int store_fd, const char *name, const struct snapshot *before,
	const struct snapshot_limits *limits, struct snapshot **ret)
{
	if (!snapshot_name_ok(name))
		return err_raise(-EINVAL, "snapshot \"%s\": a-z, 0-9 and - are accepted", name);
	struct snapshot *s = snapshot_new();
	if (!s)
		return err_raise(-ENOMEM, "snapshot %s", name);
	int r = build(s, workspace_fd, store_fd, name, before, limits);
	if (r < 0) {
		snapshot_free(s);
		return err_trace(r);
	}
	*ret = s;
	return 0;
}

static int read_index(int home_fd, struct buf *b)
{
	AUTO_FD fd = openat(home_fd, "index", O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return err_sys(-errno, "index of a snapshot");
	if (st.st_size > SNAPSHOT_INDEX_BYTES_MAX)
		return err_raise(-E2BIG, "index of a snapshot");
	size_t size = (size_t)st.st_size;
	char *room = buf_reserve(b, size);
	for (size_t at = 0; room && at < size;) {
		ssize_t n = pread(fd, room + at, size - at, (off_t)at);
		if (n <= 0)
			return err_sys(n < 0 ? -errno : -EIO, "index of a snapshot");
		at += (size_t)n;
	}
	if (room)
		buf_commit(b, size);
	return err_trace(buf_error(b));
}

int snapshot_open(int store_fd, const char *name, struct snapshot **ret)
{
	struct buf b CLEANUP(buf_fini) = buf_init(SNAPSHOT_INDEX_BYTES_MAX);

	if (!snapshot_name_ok(name))
		return err_raise(-EINVAL, "snapshot \"%s\": a-z, 0-9 and - are accepted", name);
	AUTO_FD home_fd = openat(store_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (home_fd < 0)
		return err_sys(-errno, "snapshot %s", name);
	int r = read_index(home_fd, &b);
	return r < 0 ? err_trace(r) : err_trace(snapshot_parse_index(buf_view(&b), name, ret));
}

int snapshot_content(int store_fd, const struct snapshot_entry *e, int *ret_fd)
{
	char path[LIMIT_SNAPSHOT_NAME_BYTES + 24];

	if (!e->home[0])
		return err_raise(
			-ENODATA, "the content of " SPAN_FMT " was not kept", SPAN_ARG(e->path));
	snprintf(path, sizeof(path), "%s/%llu", e->home, (unsigned long long)e->number);
	int fd = openat(store_fd, path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return err_sys(-errno, "content %s", path);
	*ret_fd = fd;
	return 0;
}

/* ---- asking ---- */

size_t snapshot_count(const struct snapshot *s)
{
	return s->count;
}

const struct snapshot_entry *snapshot_find(const struct snapshot *s, struct span path)
{
	struct snapshot_entry key = {.path = path};

	return s->count ? bsearch(&key, s->entries, s->count, sizeof(key), by_path) : NULL;
}

uint64_t snapshot_left_out(const struct snapshot *s)
{
	return s->left_out;
}

/* Directories change whenever their members do; that is said by the members. */
static bool same_state(const struct snapshot_entry *a, const struct snapshot_entry *b)
{
	if (a->type != b->type || a->mode != b->mode)
		return false;
	if (a->type == SNAPSHOT_DIR || a->type == SNAPSHOT_OTHER)
		return true;
	return a->size_bytes == b->size_bytes && a->mtime_ns == b->mtime_ns &&
		a->ctime_ns == b->ctime_ns && a->inode == b->inode;
}

int snapshot_diff(const struct snapshot *before, const struct snapshot *after,
	int (*fn)(void *arg, enum snapshot_change change, const struct snapshot_entry *entry),
	void *arg)
{
	size_t i = 0, k = 0, count = before ? before->count : 0;
	int r = 0;

	while (r == 0 && (i < count || k < after->count)) {
		const struct snapshot_entry *b = i < count ? &before->entries[i] : NULL;
		const struct snapshot_entry *a = k < after->count ? &after->entries[k] : NULL;
		int order = !b ? 1 : !a ? -1 : span_cmp(b->path, a->path);
		if (order < 0)
			r = fn(arg, SNAPSHOT_REMOVED, b);
		else if (order > 0)
			r = fn(arg, SNAPSHOT_ADDED, a);
		else if (!same_state(a, b))
			r = fn(arg, SNAPSHOT_CHANGED, a);
		i += order <= 0;
		k += order >= 0;
	}
	return r;
}
