/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Mediated files: the server is started by whoever wants the sandbox, the mount is the helper's.
 * Between the two the sandbox waits, and is lost if the helper or its connection is.
 */
#include "daemon/sandbox/process_internal.h"
#include <errno.h>

struct ask_files {
	struct helper_request request;
	const struct sandbox *sandbox;
	const struct sandbox_files *files;
	struct uuid volume;
	bool read_only;
	int listener;
};

/* What `r` means: -ENOENT may be the sandbox, which went with its helper or connection. */
static AWAITS int meaning(struct helper *h, const struct ask_files *a, int r, int64_t deadline_ns)
{
	struct helper_sandbox found;

	if (r != -ENOENT)
		return err_trace(r);
	int known =
		helper_sandbox_get(h, a->sandbox->id, a->sandbox->execution, &found, deadline_ns);
	if (known == -ENOENT) {
		err_clear();
		return PROCESS_START_AGAIN;
	}
	return err_trace(known < 0 ? known : r);
}

static int do_mount(struct helper *h, struct helper_request *q, int64_t deadline_ns)
{
	struct ask_files *a = container_of(q, struct ask_files, request);
	int r = helper_files_mount(h, a->sandbox->id, a->sandbox->execution, a->volume,
		a->files->tenant, a->read_only, deadline_ns);

	return meaning(h, a, r, deadline_ns);
}

static int do_begin(struct helper *h, struct helper_request *q, int64_t deadline_ns)
{
	struct ask_files *a = container_of(q, struct ask_files, request);
	int r = helper_sandbox_begin(h, a->sandbox->id, a->sandbox->execution, deadline_ns);

	if (q->repeated && r == -EINVAL) { /* the first attempt was carried out */
		err_clear();
		return 0;
	}
	return meaning(h, a, r, deadline_ns);
}

static int do_open(struct helper *h, struct helper_request *q, int64_t deadline_ns)
{
	struct ask_files *a = container_of(q, struct ask_files, request);

	return err_trace(helper_files_get(
		h, a->sandbox->id, a->sandbox->execution, &a->listener, deadline_ns));
}

int process_files_begin(struct process_sandbox *p, const struct sandbox_spec *spec, int listener,
	int64_t deadline_ns)
{
	struct helper_link *link = process_driver_of(p->base.driver)->link;
	const struct sandbox_files *files = spec->files;
	struct ask_files begin = {.request.fn = do_begin, .sandbox = &p->base, .files = files};
	int r = files->serve(files->ctx, listener, p->uid);

	for (size_t i = 0; r == 0 && i <= spec->volume_count; i++) {
		const struct sandbox_volume *v = i ? &spec->volumes[i - 1] : NULL;
		struct ask_files mount = {.request.fn = do_mount,
			.sandbox = &p->base,
			.files = files,
			.volume = v ? v->id : files->volume,
			.read_only = v ? v->read_only : files->read_only};
		r = helper_ask(link, &mount.request, deadline_ns);
	}
	if (r == 0)
		r = helper_ask(link, &begin.request, deadline_ns);
	return err_trace(r);
}

int process_files_open(struct sandbox *s, int *ret_listener, uint32_t *ret_uid, int64_t deadline_ns)
{
	struct ask_files a = {.request.fn = do_open, .sandbox = s, .listener = -1};
	int r = helper_ask(process_driver_of(s->driver)->link, &a.request, deadline_ns);

	if (r < 0)
		return err_trace(r);
	*ret_listener = a.listener;
	*ret_uid = process_of(s)->uid;
	return 0;
}

struct ask_object {
	struct helper_request request;
	struct uuid execution;
	int type;
	struct span handle;
	int fd;
};

static int do_object(struct helper *h, struct helper_request *q, int64_t deadline_ns)
{
	struct ask_object *a = container_of(q, struct ask_object, request);

	return err_trace(
		helper_workspace_object(h, a->execution, a->type, a->handle, &a->fd, deadline_ns));
}

int process_workspace_object(struct sandbox_driver *d, struct uuid execution, int type,
	struct span handle, int *ret_fd, int64_t deadline_ns)
{
	struct ask_object a = {.request.fn = do_object,
		.execution = execution,
		.type = type,
		.handle = handle,
		.fd = -1};
	int r = helper_ask(process_driver_of(d)->link, &a.request, deadline_ns);

	if (r < 0)
		return err_trace(r);
	*ret_fd = a.fd;
	return 0;
}
