/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * What iterations left behind: a snapshot per iteration in a folder per execution. They are a
 * convenience for people, not part of the truth: one that cannot be taken is logged, and the
 * execution goes on.
 */
#include "daemon/execution/internal.h"
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SNAPSHOT_COPY_BYTES = 256 * 1024 * 1024 };

struct snapshot_errand {
	int store_fd, workspace_fd;
	const char *folder;
	uint32_t number;
	struct span mounts[LIMIT_VOLUME_MOUNTS]; /* below /workspace */
	size_t mount_count;
};

static void snapshot_name(uint32_t number, char ret[LIMIT_SNAPSHOT_NAME_BYTES])
{
	snprintf(ret, LIMIT_SNAPSHOT_NAME_BYTES, "iteration-%u", number);
}

static int take(void *arg)
{
	struct snapshot_errand *e = arg;
	const struct snapshot_limits limits = {.entries_max = LIMIT_SNAPSHOT_ENTRIES,
		.copy_bytes_max = SNAPSHOT_COPY_BYTES,
		.mounts = e->mounts,
		.mount_count = e->mount_count};
	struct snapshot *before = NULL, *taken = NULL;
	char name[LIMIT_SNAPSHOT_NAME_BYTES];

	if (mkdirat(e->store_fd, e->folder, 0700) < 0 && errno != EEXIST)
		return err_sys(-errno, "snapshots/%s", e->folder);
	AUTO_FD dir =
		openat(e->store_fd, e->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (dir < 0)
		return err_sys(-errno, "snapshots/%s", e->folder);
	for (uint32_t n = e->number; n > 1 && !before; n--) {
		snapshot_name(n - 1, name);
		if (snapshot_open(dir, name, &before) < 0)
			err_clear();
	}
	snapshot_name(e->number, name);
	int r = snapshot_open(dir, name, &taken); /* taken before the restart? */
	if (r == -ENOENT) {
		err_clear();
		r = snapshot_take(e->workspace_fd, dir, name, before, &limits, &taken);
	}
	snapshot_free(before);
	if (r == 0)
		snapshot_free(taken);
	return err_trace(r);
}

void files_snapshot(struct iteration *it)
{
	const struct workspace *w = &it->f->workspace;
	struct snapshot_errand e = {.store_fd = it->f->x->deps.snapshots_fd,
		.workspace_fd = w->fd,
		.folder = it->f->id_text,
		.number = it->number};

	if (e.store_fd < 0 || e.workspace_fd < 0)
		return;
	for (size_t i = 1; i < w->count; i++) { /* the first is /workspace itself */
		struct span below = w->mounts[i].path;
		if (span_starts(below, SPAN("/workspace/")))
			e.mounts[e.mount_count++] = span_sub(below, strlen("/workspace/"), below.n);
	}
	int r = offload_call(it->f->x->deps.files, take, &e, DEADLINE_NONE);
	if (r < 0)
		err_log(r, "snapshot of the workspace");
}

/* ---- reading ---- */

/* A snapshot of the execution, opened with the folder that it stands in. */
struct opened {
	int dir; /* -1: none */
	struct snapshot *snapshot;
};

static void opened_fini(struct opened *o)
{
	fd_cleanup(&o->dir);
	snapshot_free(o->snapshot);
}

static int open_snapshot(int store_fd, const char *folder, uint32_t number, struct opened *ret)
{
	char name[LIMIT_SNAPSHOT_NAME_BYTES];

	*ret = (struct opened){
		.dir = openat(store_fd, folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW)};
	if (ret->dir < 0)
		return errno == ENOENT ? EXECUTION_NOT_FOUND
				       : err_sys(-errno, "snapshots/%s", folder);
	snapshot_name(number, name);
	int r = snapshot_open(ret->dir, name, &ret->snapshot);
	if (r == -ENOENT) {
		err_clear();
		return EXECUTION_NOT_FOUND;
	}
	return err_trace(r);
}

/* The number of the iteration that is returned. EXECUTION_NOT_FOUND. */
static AWAITS int returned_iteration(
	struct executions *x, struct uuid id, uint32_t *ret, int64_t deadline_ns)
{
	struct arena *a CLEANUP(arena_cleanup) = arena_new(16 * LIMIT_EXECUTION_INPUT_BYTES);
	struct store_execution row;

	if (!a)
		return err_raise(-ENOMEM, "execution: out of memory");
	if (x->deps.snapshots_fd < 0)
		return EXECUTION_NOT_FOUND;
	int r = store_execution_get(x->deps.store, id, a, &row, deadline_ns);
	if (r != 0)
		return r == STORE_NOT_FOUND ? EXECUTION_NOT_FOUND : err_trace(r);
	*ret = row.current_iteration;
	return 0;
}

struct file_errand {
	int store_fd;
	char folder[ID_TEXT_BYTES];
	uint32_t number;
	struct span path;
	int fd;
};

static int open_file(void *arg)
{
	struct file_errand *e = arg;
	struct opened o CLEANUP(opened_fini) = {.dir = -1};
	int r = open_snapshot(e->store_fd, e->folder, e->number, &o);

	if (r != 0)
		return err_trace(r);
	const struct snapshot_entry *entry = snapshot_find(o.snapshot, e->path);
	if (!entry || entry->type != SNAPSHOT_FILE)
		return EXECUTION_NOT_FOUND;
	return err_trace(snapshot_content(o.dir, entry, &e->fd));
}

int execution_file(
	struct executions *x, struct uuid id, struct span path, int *ret_fd, int64_t deadline_ns)
{
	struct file_errand e = {.store_fd = x->deps.snapshots_fd, .path = path, .fd = -1};

	*ret_fd = -1;
	uuid_text(id, e.folder);
	int r = returned_iteration(x, id, &e.number, deadline_ns);
	if (r == 0)
		r = offload_call(x->deps.files, open_file, &e, deadline_ns);
	*ret_fd = e.fd;
	return err_trace(r);
}

/* ---- comparing ---- */

struct changes_errand {
	int store_fd;
	char folder[ID_TEXT_BYTES];
	uint32_t number, since;
	struct arena *arena;
	struct execution_changes *ret;
};

static int count_change(void *arg, enum snapshot_change kind, const struct snapshot_entry *entry)
{
	++*(size_t *)arg;
	return 0;
}

static int note_change(void *arg, enum snapshot_change kind, const struct snapshot_entry *entry)
{
	struct changes_errand *e = arg;
	struct execution_change *c = &e->ret->items[e->ret->count++];

	*c = (struct execution_change){
		.path = arena_span(e->arena, entry->path),
		.kind = kind,
		.type = entry->type,
		.size_bytes = kind == SNAPSHOT_REMOVED ? 0 : entry->size_bytes,
		.kept = kind != SNAPSHOT_REMOVED && entry->home[0],
	};
	return c->path.p ? 0 : err_raise(-ENOMEM, "changes: request memory used up");
}

static int compare(void *arg)
{
	struct changes_errand *e = arg;
	struct opened before CLEANUP(opened_fini) = {.dir = -1};
	struct opened after CLEANUP(opened_fini) = {.dir = -1};
	size_t count = 0;
	int r = open_snapshot(e->store_fd, e->folder, e->number, &after);

	if (r == 0 && e->since)
		r = open_snapshot(e->store_fd, e->folder, e->since, &before);
	if (r == 0)
		r = snapshot_diff(before.snapshot, after.snapshot, count_change, &count);
	if (r != 0)
		return err_trace(r);
	e->ret->items = arena_make_array(e->arena, struct execution_change, count + 1);
	if (!e->ret->items)
		return err_raise(-ENOMEM, "changes: request memory used up");
	e->ret->left_out = snapshot_left_out(after.snapshot);
	return err_trace(snapshot_diff(before.snapshot, after.snapshot, note_change, e));
}

int execution_changes(struct executions *x, struct uuid id, uint32_t since, struct arena *a,
	struct execution_changes *ret, int64_t deadline_ns)
{
	struct changes_errand e = {
		.store_fd = x->deps.snapshots_fd, .since = since, .arena = a, .ret = ret};

	*ret = (struct execution_changes){0};
	uuid_text(id, e.folder);
	int r = returned_iteration(x, id, &e.number, deadline_ns);
	return r ? err_trace(r) : err_trace(offload_call(x->deps.files, compare, &e, deadline_ns));
}
