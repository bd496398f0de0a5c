/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * What iterations left behind: a snapshot per iteration in a folder per execution. They are a
 * convenience for people, not part of the truth: one that cannot be taken is logged, and the
 * execution goes on.
 */
#include "daemon/execution/internal.h"
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SNAPSHOT_COPY_BYTES = 256 * 1024 * 1024 };

struct snapshot_errand {
	int store_fd, workspace_fd;
	const char *folder;
	uint32_t number;
};

static void snapshot_name(uint32_t number, char ret[LIMIT_SNAPSHOT_NAME_BYTES])
{
	snprintf(ret, LIMIT_SNAPSHOT_NAME_BYTES, "iteration-%u", number);
}

static int take(void *arg)
{
	struct snapshot_errand *e = arg;
	const struct snapshot_limits limits = {LIMIT_SNAPSHOT_ENTRIES, SNAPSHOT_COPY_BYTES};
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
	struct snapshot_errand e = {
		it->f->x->deps.snapshots_fd, it->workspace_fd, it->f->id_text, it->number};

	if (e.store_fd < 0 || e.workspace_fd < 0)
		return;
	int r = offload_call(it->f->x->deps.files, take, &e, DEADLINE_NONE);
	if (r < 0)
		err_log(r, "snapshot of the workspace");
}

/* ---- reading ---- */

struct file_errand {
	int store_fd;
	const char *folder;
	uint32_t number;
	struct span path;
	int fd;
};

static int open_file(void *arg)
{
	struct file_errand *e = arg;
	char name[LIMIT_SNAPSHOT_NAME_BYTES];
	struct snapshot *s;

	AUTO_FD dir =
		openat(e->store_fd, e->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (dir < 0)
		return errno == ENOENT ? EXECUTION_NOT_FOUND
				       : err_sys(-errno, "snapshots/%s", e->folder);
	snapshot_name(e->number, name);
	int r = snapshot_open(dir, name, &s);
	if (r == -ENOENT) {
		err_clear();
		return EXECUTION_NOT_FOUND;
	}
	if (r < 0)
		return err_trace(r);
	const struct snapshot_entry *entry = snapshot_find(s, e->path);
	r = entry && entry->type == SNAPSHOT_FILE ? snapshot_content(dir, entry, &e->fd)
						  : EXECUTION_NOT_FOUND;
	snapshot_free(s);
	return err_trace(r);
}

int execution_file(
	struct executions *x, struct uuid id, struct span path, int *ret_fd, int64_t deadline_ns)
{
	struct arena *a CLEANUP(arena_cleanup) = arena_new(16 * LIMIT_EXECUTION_INPUT_BYTES);
	struct file_errand e = {.store_fd = x->deps.snapshots_fd, .path = path, .fd = -1};
	struct store_execution row;
	char folder[ID_TEXT_BYTES];

	if (!a)
		return err_raise(-ENOMEM, "execution: out of memory");
	*ret_fd = -1;
	int r = store_execution_get(x->deps.store, id, a, &row, deadline_ns);
	if (r < 0)
		return err_trace(r);
	if (r > 0 || e.store_fd < 0)
		return EXECUTION_NOT_FOUND;
	uuid_text(id, folder);
	e.folder = folder;
	e.number = row.current_iteration;
	r = offload_call(x->deps.files, open_file, &e, deadline_ns);
	*ret_fd = e.fd;
	return err_trace(r);
}

/* ---- removing ---- */

struct remove_errand {
	int snapshots_fd; /* -1: none */
	const char *folder;
	int workspace_fd;
};

/* Empties a directory that an agent filled; each name is removed as a tree. */
static int empty_folder(int fd)
{
	int copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = copy < 0 ? NULL : fdopendir(copy);
	struct dirent *entry;
	int r = 0;

	if (!dir) {
		r = err_sys(-errno, "workspace");
		if (copy >= 0)
			close(copy);
		return r;
	}
	while (r == 0 && (entry = readdir(dir)))
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			r = fd_remove_tree(fd, entry->d_name);
	closedir(dir);
	return err_trace(r);
}

static int remove_files(void *arg)
{
	struct remove_errand *e = arg;
	int r = empty_folder(e->workspace_fd);

	if (r == 0 && e->snapshots_fd >= 0)
		r = fd_remove_tree(e->snapshots_fd, e->folder);
	return err_trace(r);
}

static AWAITS int check_ended(struct executions *x, struct uuid id, int64_t deadline_ns)
{
	struct arena *a CLEANUP(arena_cleanup) = arena_new(16 * LIMIT_EXECUTION_INPUT_BYTES);
	struct store_execution row;

	if (!a)
		return err_raise(-ENOMEM, "execution: out of memory");
	int r = store_execution_get(x->deps.store, id, a, &row, deadline_ns);
	if (r == STORE_NOT_FOUND)
		return EXECUTION_NOT_FOUND;
	if (r < 0)
		return err_trace(r);
	int state = state_parse(&execution_states, row.status);
	return state_is_final(&execution_states, state) ? 0 : EXECUTION_BUSY;
}

int execution_remove(struct executions *x, struct uuid id, int64_t deadline_ns)
{
	struct remove_errand e = {.snapshots_fd = x->deps.snapshots_fd, .workspace_fd = -1};
	char folder[ID_TEXT_BYTES];
	int r = map_get(&x->by_id, span_of(id.bytes, sizeof(id.bytes)))
		? EXECUTION_BUSY
		: check_ended(x, id, deadline_ns);

	if (r != 0)
		return err_trace(r);
	uuid_text(id, folder);
	e.folder = folder;
	r = sandbox_workspace_open(x->deps.sandboxes, id, &e.workspace_fd, deadline_ns);
	if (r == 0)
		r = offload_call(x->deps.files, remove_files, &e, deadline_ns);
	if (e.workspace_fd >= 0)
		close(e.workspace_fd);
	if (r == 0)
		r = sandbox_workspace_remove(x->deps.sandboxes, id, deadline_ns);
	return err_trace(r);
}
