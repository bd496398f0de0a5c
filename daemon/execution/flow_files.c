/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * What an execution works on: its volumes, and for each the one attachment through which both its
 * file tools and, where files are mediated, its sandbox reach it. Each operation of either is
 * decided by the execution's rules and recorded.
 *
 * The sandbox's kernel comes through a listener of that sandbox's own, so the listener is the
 * identity; handles are good only behind it. It belongs to the flow rather than to the iteration,
 * because a sandbox must be served until it has ended, whoever ends it.
 *
 * Whose work an operation through the mount is cannot be seen in it: the kernel's client is one
 * for the whole sandbox, and writes back later what processes wrote. It is recorded under the
 * iteration and the tool call that runs at the moment, if any does. A call is told done only after
 * aegis-bootstrap has written everything back, so what a call wrote is recorded under it; what
 * background work of an earlier call does meanwhile is recorded under the running one.
 */
#include "daemon/execution/internal.h"
#include "nfs/backend/backend.h"
#include "nfs/server/server.h"
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
	MOUNT_DESCRIPTORS = 128, /* kept open, of each mount of each running execution */
	HANDLE_MS = 2000, /* for the helper to open an object; then it is looked for */
	CONNECTIONS =
		4, /* the client makes one, and another when that breaks; mounting takes one */
	CALLS = 256,
	BUFFERS = 8,
	REPLIES = 1024, /* more than a sandbox has processes */
};

struct span flow_mount_place(const struct flow_mount *m)
{
	return span_sub(m->path, sizeof("/workspace/") - 1, m->path.n);
}

/* open_handle of struct backend_local_options: the helper may, where this process may not [20]. */
static AWAITS int open_handle(
	void *mount, int type, struct span handle, int *ret_fd, int64_t deadline_ns)
{
	const struct flow_mount *m = mount;
	return err_trace(sandbox_workspace_object(m->f->x->deps.sandboxes, m->id, type, handle,
		ret_fd, deadline_earlier(deadline_ns, deadline_in_ms(HANDLE_MS))));
}

/* ---- places ---- */

/* The folder that a volume is mounted on. Agents may have been here, so links are not followed. */
static int make_place(int root, struct span place)
{
	struct open_how how = {.flags = O_PATH | O_DIRECTORY | O_CLOEXEC,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS};
	char name[LIMIT_PATH_COMPONENT_BYTES + 1];
	struct span rest = place, part;
	bool done = place.n == 0;
	AUTO_FD at = fcntl(root, F_DUPFD_CLOEXEC, 0);

	while (at >= 0 && span_split(&rest, '/', &done, &part)) {
		snprintf(name, sizeof(name), SPAN_FMT, SPAN_ARG(part));
		if (mkdirat(at, name, 0755) < 0 && errno != EEXIST)
			return err_sys(-errno, "make /workspace/" SPAN_FMT, SPAN_ARG(place));
		int next = (int)syscall(SYS_openat2, at, name, &how, sizeof(how));
		int error = errno;
		close(at);
		at = next;
		errno = error;
	}
	return at < 0 ? err_sys(-errno, "open /workspace/" SPAN_FMT, SPAN_ARG(place)) : 0;
}

/* A volume that is lent for reading stays as it is: its folders must be there. */
static int make_places(const struct workspace *w)
{
	int r = 0;

	if (w->mounts[0].lent && w->mounts[0].read_only)
		return 0;
	for (size_t i = 1; r == 0 && i < w->count; i++)
		r = make_place(w->fd, flow_mount_place(&w->mounts[i]));
	return err_trace(r);
}

/* ---- opening ---- */

static AWAITS int attach_one(struct flow_mount *m, int root)
{
	struct flow *f = m->f;
	struct workspace *w = &f->workspace;
	struct span pinned[LIMIT_VOLUME_MOUNTS];
	struct fsal_attach_options o = {
		.execution_id = span_cstr(f->id_text),
		.agent = span_cstr(f->manifest->metadata.name),
		.tenant = f->tenant,
		.mount_path = m->path,
		.uid = geteuid(),
		.gid = getegid(),
		.read_only = m->read_only,
		.pinned = pinned,
		.rules = f->rules,
		.door = f,
		.observer = flow_files_observe,
		.observer_ctx = f->x,
		.coalesce_ns = f->x->deps.file_coalesce_ns,
		.bounded = true,
	};
	const struct backend_local_options local = {
		.offload = f->x->deps.files,
		.open_handle = open_handle,
		.open_handle_ctx = m,
		.descriptors_max = MOUNT_DESCRIPTORS,
	};
	char id[ID_TEXT_BYTES];

	for (size_t i = 1; m == &w->mounts[0] && i < w->count; i++)
		pinned[o.pinned_count++] = flow_mount_place(&w->mounts[i]);
	uuid_text(m->id, id);
	int r = backend_local_open(f->x->deps.fsal, root, &local, span_cstr(id), &m->volume);
	if (r == 0 && (m->quota.bytes || m->quota.inodes))
		r = fsal_volume_set_quota(
			m->volume, &m->quota, deadline_in_ms(SANDBOX_DEADLINE_MS));
	if (r == 0)
		r = fsal_attach(m->volume, &o, &m->attachment);
	return err_trace(r);
}

static AWAITS int attach(struct flow *f)
{
	struct workspace *w = &f->workspace;
	int r = flow_volumes_attach(f);

	for (size_t i = 0; r == 0 && i < w->count; i++) {
		int root;
		r = sandbox_workspace_open(f->x->deps.sandboxes, w->mounts[i].id, &root,
			deadline_in_ms(SANDBOX_DEADLINE_MS));
		if (r == 0 && i == 0) {
			w->fd = fcntl(root, F_DUPFD_CLOEXEC, 0);
			r = make_places(w);
			if (r < 0)
				close(root);
		}
		if (r == 0)
			r = attach_one(&w->mounts[i], root);
	}
	return err_trace(r);
}

int flow_files_set_origin(struct flow *f, uint32_t iteration, struct span call_id)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < f->workspace.count; i++)
		r = fsal_attachment_set_origin(
			f->workspace.mounts[i].attachment, iteration, call_id);
	return err_trace(r);
}

void flow_files_set_rules(struct flow *f)
{
	/* One that could not be opened ends the iteration. */
	for (size_t i = 0; i < f->workspace.count; i++)
		if (f->workspace.mounts[i].attachment)
			fsal_attachment_set_rules(f->workspace.mounts[i].attachment, f->rules);
}

int flow_files_open(struct flow *f, uint32_t iteration)
{
	struct workspace *w = &f->workspace;
	int r = 0;

	if (!w->open) {
		*w = (struct workspace){.open = true, .fd = -1, .listener = -1};
		group_init(&w->serving);
		r = attach(f);
	}
	if (r == 0)
		r = flow_files_set_origin(f, iteration, SPAN(""));
	if (r < 0)
		flow_files_close(f);
	return err_trace(r);
}

/* ---- for the sandbox ---- */

static AWAITS void serve(void *arg)
{
	struct workspace *w = arg;
	int r = nfs_server_run(w->server, TAKE_FD(w->listener));

	if (r != -ECANCELED)
		err_log(r, "serve the files of a sandbox");
	err_clear();
}

static AWAITS void stop_serving(struct workspace *w)
{
	fiber_shield_begin();
	group_close(&w->serving);
	group_init(&w->serving);
	nfs_server_free(w->server);
	w->server = NULL;
	fd_cleanup(&w->listener);
	fiber_shield_end();
}

/* Replies that must not be given twice differently survive this process. */
static int open_replies(const struct flow *f, int *ret_fd)
{
	*ret_fd = -1;
	if (f->x->deps.replies_fd < 0)
		return 0;
	int fd = openat(
		f->x->deps.replies_fd, f->id_text, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return err_sys(-errno, "nfs-replies/%s", f->id_text);
	*ret_fd = fd;
	return 0;
}

static int export(struct flow *f, const struct flow_mount *m)
{
	struct buf path CLEANUP(buf_fini) = buf_init(LIMIT_PATH_BYTES);
	char volume[ID_TEXT_BYTES];

	uuid_text(m->id, volume);
	buf_printf(&path, "/" SPAN_FMT "/%s", SPAN_ARG(f->tenant), volume);
	int r = buf_error(&path);
	if (r == 0)
		r = nfs_server_export(f->workspace.server, buf_view(&path), true, m->attachment);
	return err_trace(r);
}

static int make_server(struct flow *f)
{
	struct workspace *w = &f->workspace;
	struct nfs_server_options o = {
		.layer = f->x->deps.fsal,
		.door = f,
		.connections_max = CONNECTIONS + (int)w->count,
		.connection_calls_max = CALLS,
		.calls_max = CALLS,
		.buffers_max = BUFFERS,
		.replies = REPLIES,
	};
	int r = open_replies(f, &o.reply_file);

	if (r == 0)
		r = nfs_server_new(&o, &w->server);
	for (size_t i = 0; r == 0 && i < w->count; i++)
		r = export(f, &w->mounts[i]);
	return err_trace(r);
}

int flow_files_serve(void *flow, int listener, uint32_t uid)
{
	struct flow *f = flow;
	struct workspace *w = &f->workspace;

	stop_serving(w);
	w->listener = listener;
	for (size_t i = 0; i < w->count; i++)
		fsal_attachment_set_owner(w->mounts[i].attachment, uid, uid);
	int r = listener < 0 ? err_raise(-EBADF, "no listener to serve files on") : make_server(f);
	if (r == 0)
		r = group_spawn(&w->serving, "workspace", FIBER_SMALL, serve, w);
	if (r < 0)
		stop_serving(w);
	return err_trace(r);
}

int flow_files_serve_again(struct flow *f)
{
	int listener;
	uint32_t uid = 0;
	int r = sandbox_files_open(
		f->sandbox, &listener, &uid, deadline_in_ms(SANDBOX_DEADLINE_MS));

	if (r == -ESRCH) { /* it ended in between */
		err_clear();
		return 0;
	}
	if (r < 0 || listener < 0)
		return err_trace(r);
	return err_trace(flow_files_serve(f, listener, uid));
}

void flow_files_close(struct flow *f)
{
	struct workspace *w = &f->workspace;

	if (!w->open)
		return;
	bool served = w->server != NULL;
	stop_serving(w);
	/* A sandbox that goes on will be served again, by the next process. */
	if (served && !f->sandbox && f->x->deps.replies_fd >= 0)
		(void)unlinkat(f->x->deps.replies_fd, f->id_text, 0);
	for (size_t i = 0; i < w->count; i++) {
		fsal_detach(w->mounts[i].attachment);
		fsal_volume_free(w->mounts[i].volume);
	}
	w->count = 0;
	fd_cleanup(&w->fd);
	w->open = false;
}

/* ---- in words ---- */

const char *executions_program_access(const struct executions *x)
{
	return x->deps.programs_decided
		? "decided: what policy forbids of the runtime's files and of programs, the kernel "
		  "denies to every process of the sandbox"
		: "confined to the sandbox's mounts: policy about the runtime's files and about "
		  "programs is decided for tool calls only, this kernel having no BPF LSM";
}

const char *executions_file_access(const struct executions *x)
{
	return x->deps.files_mediated
		? "mounted: each operation is decided and recorded"
		: "bound: confined to the sandbox's mounts, neither decided nor recorded per "
		  "operation";
}
