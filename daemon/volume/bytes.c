/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The directory of a volume: made and removed by the helper, emptied and counted here, because what
 * is in it belongs to this process.
 */
#include "daemon/volume/internal.h"
#include "nfs/backend/backend.h"
#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

enum { COUNTING_DESCRIPTORS = 16 };

int volume_empty_directory(int fd)
{
	int copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = copy < 0 ? NULL : fdopendir(copy);
	struct dirent *entry;
	int r = 0;

	if (!dir) {
		r = err_sys(-errno, "volume");
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

static int empty(void *arg)
{
	return err_trace(volume_empty_directory(*(int *)arg));
}

/* A limit of inodes alone still needs some size. */
static AWAITS int hold(const struct volumes *v, const struct store_volume *row, bool *ret_hard,
	int64_t deadline_ns)
{
	*ret_hard = false;
	if (!row->size_limit_bytes)
		return 0;
	int r = sandbox_workspace_limit(v->sandboxes, row->id, (uint64_t)row->size_limit_bytes,
		(uint64_t)row->size_limit_inodes, deadline_ns);
	if (r == -EOPNOTSUPP || r == -ENOTEMPTY || r == -ERANGE) {
		err_log(r, "a volume's size cannot be held by the kernel");
		return 0;
	}
	*ret_hard = r == 0;
	return err_trace(r);
}

int volume_open(const struct volumes *v, const struct store_volume *row, int *ret_fd,
	bool *ret_hard, int64_t deadline_ns)
{
	int r = hold(v, row, ret_hard, deadline_ns);

	return r < 0
		? err_trace(r)
		: err_trace(sandbox_workspace_open(v->sandboxes, row->id, ret_fd, deadline_ns));
}

int volume_make(const struct volumes *v, struct uuid id, struct arena *a, int64_t deadline_ns)
{
	struct store_volume row = {.id = id, .status = volume_word(VOLUME_AVAILABLE)};
	struct volume_move m = {.type = EVENT_VOLUME_CREATED, .row = &row};
	struct span why;
	int fd = -1;
	int r = sandbox_workspace_open(v->sandboxes, id, &fd, deadline_ns);

	if (fd >= 0)
		close(fd);
	if (r == -ECANCELED)
		return err_trace(r); /* the next start goes on */
	if (r < 0) {
		row.status = volume_word(VOLUME_FAILED);
		row.error_message = arena_span(a, span_cstr(err_message(r)));
		m.type = EVENT_VOLUME_FAILED;
		m.reason = row.error_message;
		err_log(r, "make a volume");
	}
	r = volume_record(v, &m, a, &why, deadline_ns);
	return r > 0 ? err_raise(-EUCLEAN, SPAN_FMT, SPAN_ARG(why)) : err_trace(r);
}

int volume_unmake(const struct volumes *v, struct uuid id, struct arena *a, int64_t deadline_ns)
{
	struct store_volume row = {.id = id, .status = volume_word(VOLUME_DELETED)};
	struct volume_move m = {.type = EVENT_VOLUME_DELETED, .row = &row};
	struct span why;
	int fd = -1;
	/* One that is gone is made again, so that there is one way to go. */
	int r = sandbox_workspace_open(v->sandboxes, id, &fd, deadline_ns);

	if (r == 0)
		r = offload_call(v->files, empty, &fd, deadline_ns);
	if (fd >= 0)
		close(fd);
	/* An image that cannot be mounted any more can be removed all the same. */
	if (r < 0 && r != -ECANCELED && r != -ETIME && r != -ENOTCONN) {
		err_log(r, "empty a volume");
		r = 0;
	}
	if (r == 0)
		r = sandbox_workspace_remove(v->sandboxes, id, deadline_ns);
	if (r == 0)
		r = volume_record(v, &m, a, &why, deadline_ns);
	return r > 0 ? err_raise(-EUCLEAN, SPAN_FMT, SPAN_ARG(why)) : err_trace(r);
}

int volume_usage(const struct volumes *v, const struct store_volume *row, struct fsal_usage *ret,
	int64_t deadline_ns)
{
	const struct backend_local_options local = {
		.offload = v->files, .descriptors_max = COUNTING_DESCRIPTORS};
	/* No operation goes through it: setting a quota is what counts. */
	const struct fsal_quota quota = {INT64_MAX, INT64_MAX};
	struct fsal_volume *volume = NULL;
	char id[UUID_TEXT_BYTES];
	int fd = -1;
	int r = sandbox_workspace_open(v->sandboxes, row->id, &fd, deadline_ns);

	uuid_text(row->id, id);
	if (r == 0)
		r = backend_local_open(v->fsal, fd, &local, span_cstr(id), &volume);
	if (r < 0)
		return err_trace(r);
	r = fsal_volume_set_quota(volume, &quota, deadline_ns);
	if (r == 0)
		fsal_volume_usage(volume, ret);
	fsal_volume_free(volume);
	return err_trace(r);
}
