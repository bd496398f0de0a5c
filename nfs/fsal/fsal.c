/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Every operation takes the same four steps: canonical path as the agent sees it, decision,
 * backend, record. The record is written whatever the outcome, so that what was refused is known
 * as well as what was done.
 */
#include "nfs/fsal/fsal.h"
#include <stdlib.h>

struct fsal_volume {
	const struct fsal_backend *backend;
	void *backend_volume;
	char *id;
	int attachments;
};

struct fsal_attachment {
	struct fsal_volume *volume;
	struct arena *arena;
	struct span execution_id;
	struct span agent;
	struct span tenant;
	struct span mount_path;
	bool read_only;
	struct rule_set *rules;
	fsal_observer observer;
	void *observer_ctx;
};

int fsal_volume_new(const struct fsal_backend *b, void *backend_volume, struct span volume_id,
	struct fsal_volume **ret)
{
	struct fsal_volume *v = calloc(1, sizeof(*v));
	char *id = span_dup(volume_id);
	if (!v || !id) {
		free(v);
		free(id);
		b->close(backend_volume);
		return err_raise(-ENOMEM, "volume: out of memory");
	}
	*v = (struct fsal_volume){.backend = b, .backend_volume = backend_volume, .id = id};
	*ret = v;
	return 0;
}

struct fsal_volume *fsal_volume_free(struct fsal_volume *v)
{
	if (!v)
		return NULL;
	CHECK(v->attachments == 0);
	v->backend->close(v->backend_volume);
	free(v->id);
	free(v);
	return NULL;
}

int fsal_attach(
	struct fsal_volume *v, const struct fsal_attach_options *o, struct fsal_attachment **ret)
{
	struct fsal_attachment *at = calloc(1, sizeof(*at));
	if (!at)
		return err_raise(-ENOMEM, "attach volume: out of memory");
	*at = (struct fsal_attachment){.volume = v,
		.read_only = o->read_only,
		.observer = o->observer,
		.observer_ctx = o->observer_ctx};
	v->attachments++;
	at->arena = arena_new(16 * 1024);
	if (at->arena) {
		at->execution_id = arena_span(at->arena, o->execution_id);
		at->agent = arena_span(at->arena, o->agent);
		at->tenant = arena_span(at->arena, o->tenant);
		at->mount_path = arena_span(at->arena, o->mount_path);
	}
	if (!at->mount_path.p) {
		fsal_detach(at);
		return err_raise(-ENOMEM, "attach volume: out of memory");
	}
	at->rules = rule_set_ref(o->rules);
	*ret = at;
	return 0;
}

void fsal_detach(struct fsal_attachment *at)
{
	if (!at)
		return;
	at->volume->attachments--;
	rule_set_unref(at->rules);
	arena_free(at->arena);
	free(at);
}

/* ---- one operation ---- */

struct operation {
	struct fsal_call *call;
	const char *record_name;
	struct span path;
	bool writes;
	uint64_t offset;
	int64_t began_ns;
};

static struct operation operation_begin(
	struct fsal_call *c, const char *record_name, struct span path)
{
	return (struct operation){
		.call = c, .record_name = record_name, .path = path, .began_ns = rt_now_ns()};
}

/* Where the agent sees `path`: "/workspace" + "/" + path. */
static int agent_path(struct fsal_call *c, struct span path, struct span *ret)
{
	struct fsal_attachment *at = c->at;
	if (path.n > 0 && path.p[0] == '/')
		return err_raise(-EINVAL, "path '" SPAN_FMT "' must be relative to the volume",
			SPAN_ARG(path));
	return err_trace(
		context_canonical_path(path.n ? path : SPAN("."), at->mount_path, c->arena, ret));
}

static int decide(struct fsal_call *c, const char *action, struct span path)
{
	struct fsal_attachment *at = c->at;
	struct span seen;
	int r = agent_path(c, path, &seen);
	if (r < 0)
		return err_trace(r);
	struct decision_request q = {
		.execution_id = at->execution_id,
		.agent = at->agent,
		.tenant = at->tenant,
		.action = span_cstr(action),
		.paths = &seen,
		.path_count = 1,
	};
	r = policy_decide(at->rules, NULL, &q, rt_now_ns(), c->arena, &c->decision);
	if (r < 0)
		return err_trace(r);
	if (!c->decision.allowed)
		return FSAL_DENIED;
	if (at->read_only && span_is(q.action, "fs:write"))
		return err_raise(-EROFS, "'" SPAN_FMT "' is on a read-only volume", SPAN_ARG(seen));
	return 0;
}

static int operation_allow(struct operation *op, const char *action)
{
	op->call->decision = (struct decision){.reason = SPAN("not decided")};
	op->writes = strcmp(action, "fs:write") == 0;
	return decide(op->call, action, op->path);
}

static int operation_end(struct operation *op, int r, uint64_t bytes)
{
	struct fsal_call *c = op->call;
	struct fsal_attachment *at = c->at;

	if (!at->observer)
		return r;
	struct fsal_record record = {
		.operation = r == FSAL_DENIED ? "FilesystemPolicyViolation" : op->record_name,
		.execution_id = at->execution_id,
		.volume_id = span_cstr(at->volume->id),
		.path = op->path,
		.call_id = c->call_id,
		.writes = op->writes,
		.offset = op->offset,
		.bytes = bytes,
		.latency_ns = rt_now_ns() - op->began_ns,
		.result = r == FSAL_DENIED ? -EACCES : r,
		.decision = &c->decision,
	};
	at->observer(at->observer_ctx, &record);
	return r;
}

#define BACKEND(c) ((c)->at->volume->backend)
#define VOLUME(c) ((c)->at->volume->backend_volume)

int fsal_getattr(struct fsal_call *c, struct span path, struct fsal_attr *ret)
{
	struct operation op = operation_begin(c, "FileStat", path);
	int r = operation_allow(&op, "fs:read");
	if (r == 0)
		r = BACKEND(c)->getattr(VOLUME(c), path, ret, c->deadline_ns);
	return operation_end(&op, r, 0);
}

int fsal_read(struct fsal_call *c, struct span path, uint64_t offset, void *p, size_t n,
	size_t *ret_n, bool *ret_eof)
{
	struct operation op = operation_begin(c, "FileRead", path);
	op.offset = offset;
	int r = operation_allow(&op, "fs:read");
	if (r == 0)
		r = BACKEND(c)->read(VOLUME(c), path, offset, p, n, ret_n, ret_eof, c->deadline_ns);
	return operation_end(&op, r, r == 0 ? *ret_n : 0);
}

int fsal_write(
	struct fsal_call *c, struct span path, uint64_t offset, struct span bytes, bool create)
{
	struct operation op = operation_begin(c, "FileWritten", path);
	op.offset = offset;
	int r = operation_allow(&op, "fs:write");
	if (r == 0)
		r = BACKEND(c)->write(VOLUME(c), path, offset, bytes, create, c->deadline_ns);
	return operation_end(&op, r, r == 0 ? bytes.n : 0);
}

int fsal_replace(struct fsal_call *c, struct span path, struct span content)
{
	struct operation op = operation_begin(c, "FileWritten", path);
	int r = operation_allow(&op, "fs:write");
	if (r == 0)
		r = BACKEND(c)->replace(VOLUME(c), path, content, c->deadline_ns);
	return operation_end(&op, r, r == 0 ? content.n : 0);
}

int fsal_mkdir(struct fsal_call *c, struct span path, bool parents)
{
	struct operation op = operation_begin(c, "DirectoryCreated", path);
	int r = operation_allow(&op, "fs:write");
	if (r == 0)
		r = BACKEND(c)->mkdir(VOLUME(c), path, parents, c->deadline_ns);
	return operation_end(&op, r, 0);
}

int fsal_remove(struct fsal_call *c, struct span path, bool recursive)
{
	struct operation op = operation_begin(c, "FileDeleted", path);
	int r = operation_allow(&op, "fs:write");
	if (r == 0 && path.n == 0)
		r = err_raise(-EBUSY, "the volume's root cannot be deleted");
	if (r == 0)
		r = BACKEND(c)->remove(VOLUME(c), path, recursive, c->deadline_ns);
	return operation_end(&op, r, 0);
}

/* Leaves out what the agent may not read. Keeps the decision about the folder itself. */
static int list_filter(
	struct fsal_call *c, struct span folder, struct fsal_entry *entries, size_t *count)
{
	struct decision of_folder = c->decision;
	size_t kept = 0;

	for (size_t i = 0; i < *count; i++) {
		char *path = folder.n ? arena_printf(c->arena, SPAN_FMT "/" SPAN_FMT,
						SPAN_ARG(folder), SPAN_ARG(entries[i].name))
				      : arena_cstr(c->arena, entries[i].name);
		if (!path)
			return err_raise(-ENOMEM, "list: request memory used up");
		int r = decide(c, "fs:read", span_cstr(path));
		if (r == -ENOMEM)
			return err_trace(r);
		if (r < 0) /* a name that has no canonical form is not shown */
			err_clear();
		if (r == 0)
			entries[kept++] = entries[i];
	}
	c->decision = of_folder;
	*count = kept;
	return 0;
}

int fsal_list(struct fsal_call *c, struct span path, struct fsal_entry **ret, size_t *ret_count)
{
	struct operation op = operation_begin(c, "DirectoryListed", path);
	struct fsal_entry *entries = NULL;
	size_t count = 0;
	int r = operation_allow(&op, "fs:read");
	if (r == 0)
		r = BACKEND(c)->list(VOLUME(c), path, c->arena, &entries, &count, c->deadline_ns);
	if (r == 0)
		r = list_filter(c, path, entries, &count);
	if (r == 0) {
		*ret = entries;
		*ret_count = count;
	}
	return operation_end(&op, r, 0);
}
