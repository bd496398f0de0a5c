/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Where the file tools of a client from outside work: a folder of its session's own, mounted at
 * /workspace under the rules of its context, with a quota. It is made when the first file tool is
 * called, lives as long as the session, restarts included, and goes with it.
 */
#include "daemon/smcp/internal.h"
#include "nfs/backend/backend.h"
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

enum {
	WORKSPACE_BYTES = 64 * 1024 * 1024,
	WORKSPACE_INODES = 4096,
	WORKSPACE_DESCRIPTORS = 16, /* kept open, of each */
	PATH_BYTES = 1024,
};

struct errand {
	const char *directory;
	const char *name;
	int fd;
};

static int folder_open(void *arg)
{
	struct errand *e = arg;
	char path[PATH_BYTES];

	snprintf(path, sizeof(path), "%s/%s", e->directory, e->name);
	int r = fd_make_dirs(path, 0700);
	if (r < 0)
		return err_trace(r);
	e->fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	return e->fd < 0 ? err_sys(-errno, "open '%s'", path) : 0;
}

static int folder_remove(void *arg)
{
	struct errand *e = arg;
	AUTO_FD dir = open(e->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (dir < 0)
		return errno == ENOENT ? 0 : err_sys(-errno, "open '%s'", e->directory);
	return err_trace(fd_remove_tree(dir, e->name));
}

static AWAITS int volume_open(struct session *x, struct fsal_volume **ret, int64_t deadline_ns)
{
	struct smcp_service *s = x->s;
	struct errand e = {.directory = s->o.workspaces_directory, .name = x->id_text};
	const struct backend_local_options local = {
		.offload = s->o.files, .descriptors_max = WORKSPACE_DESCRIPTORS};
	const struct fsal_quota quota = {.bytes = WORKSPACE_BYTES, .inodes = WORKSPACE_INODES};
	int r = offload_call(s->o.files, folder_open, &e, deadline_ns);

	if (r == 0)
		r = backend_local_open(s->o.fsal, e.fd, &local, span_cstr(x->id_text), ret);
	if (r < 0)
		return err_trace(r);
	r = fsal_volume_set_quota(*ret, &quota, deadline_ns);
	if (r < 0)
		*ret = fsal_volume_free(*ret);
	return err_trace(r);
}

void workspace_close(struct grant *g)
{
	fsal_detach(g->workspace);
	fsal_volume_free(g->volume);
}

int workspace_open(struct session *x, struct grant *g, int64_t deadline_ns)
{
	struct smcp_service *s = x->s;
	struct fsal_attach_options o = {
		.execution_id = span_cstr(x->id_text),
		.agent = span_cstr(x->workload_id),
		.tenant = span_cstr(s->o.tenant_id),
		.mount_path = SPAN("/workspace"),
		.uid = geteuid(),
		.gid = getegid(),
		.rules = g->rules->rules,
		.observer = s->o.file_observer,
		.observer_ctx = s->o.file_observer_ctx,
		.bounded = true,
	};
	struct grant mine = {0};

	if (g->workspace || !s->o.fsal)
		return 0;
	int r = volume_open(x, &mine.volume, deadline_ns);
	if (r == 0)
		r = fsal_attach(mine.volume, &o, &mine.workspace);
	if (r == 0 && x->state != SMCP_ACTIVE) {
		workspace_close(&mine);
		r = workspace_remove(x, deadline_ns);
		return r < 0 ? err_trace(r) : err_raise(-EPIPE, "the session has ended meanwhile");
	}
	if (r < 0 || g->workspace) { /* another call has opened it meanwhile */
		workspace_close(&mine);
		return err_trace(r);
	}
	g->volume = mine.volume;
	g->workspace = mine.workspace;
	return 0;
}

int workspace_remove(struct session *x, int64_t deadline_ns)
{
	struct errand e = {.directory = x->s->o.workspaces_directory, .name = x->id_text};

	if (!x->s->o.fsal || !uuid_is_nil(x->execution_id))
		return 0;
	return err_trace(offload_call(x->s->o.files, folder_remove, &e, deadline_ns));
}
