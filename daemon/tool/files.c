/* SPDX-License-Identifier: AGPL-3.0-only */
/* What the file tools share: from an argument to a path in the volume, and from errno to words. */
#include "daemon/tool/internal.h"

/* The question about a path that lies in no volume: policy gets to refuse it before the daemon
 * tells whether anything is there. */
static int outside(struct tool_call *c, struct span path, const char *action)
{
	struct decision_request q = {
		.execution_id = c->t->execution_id,
		.agent = c->t->agent,
		.tenant = c->t->tenant,
		.action = span_cstr(action),
		.paths = &path,
		.path_count = 1,
	};
	int r = tool_decide(c, &q);
	if (r < 0 || c->result->status == TOOL_DENIED)
		return r < 0 ? err_trace(r) : TOOL_PATH_ANSWERED;
	char *reason = c->t->workspace
		? arena_printf(c->arena,
			  "NOT_FOUND: no volume holds '" SPAN_FMT "'; files live in '" SPAN_FMT "'",
			  SPAN_ARG(path), SPAN_ARG(c->t->workspace_path))
		: arena_printf(c->arena, "NOT_FOUND: this caller has no workspace");
	r = tool_refuse(c, TOOL_FAILED, span_cstr(reason));
	return r < 0 ? err_trace(r) : TOOL_PATH_ANSWERED;
}

int tool_canonical_path(struct tool_call *c, const char *argument, struct span *ret)
{
	int r = context_canonical_path(
		json_str(c->arguments, argument, SPAN("")), c->t->workspace_path, c->arena, ret);
	if (r == -EINVAL) {
		r = tool_refuse(c, TOOL_BAD_ARGUMENTS, span_cstr(err_message(r)));
		err_clear();
		return r < 0 ? err_trace(r) : TOOL_PATH_ANSWERED;
	}
	return err_trace(r);
}

int tool_path(struct tool_call *c, const char *argument, const char *action, struct tool_file *f,
	struct span *ret_path)
{
	struct span path, mount = c->t->workspace_path;
	int r = tool_canonical_path(c, argument, &path);
	if (r)
		return r < 0 ? err_trace(r) : r;
	if (!c->t->workspace || !span_starts(path, mount) ||
		(path.n > mount.n && path.p[mount.n] != '/'))
		return outside(c, path, action);
	struct decision_request q = {
		.execution_id = c->t->execution_id,
		.agent = c->t->agent,
		.tenant = c->t->tenant,
		.action = span_cstr(action),
		.paths = &path,
		.path_count = 1,
	};
	if (!c->tool_request.n)
		c->tool_request = c->result->canonical_request;
	r = tool_request_keep(c, &q); /* the file layer decides it; this is what it is asked */
	if (r < 0)
		return err_trace(r);
	*f = (struct tool_file){
		.t = c->t,
		.call = {.may_park = true,
			.deadline_ns = c->deadline_ns,
			.call_id = c->envelope->call_id,
			.arena = c->arena,
			.decision = &f->decision},
		.decision = {.reason = SPAN("not decided")},
	};
	*ret_path = span_sub(path, MIN(mount.n + 1, path.n), path.n);
	return 0;
}

/* The documented names of what can go wrong with a file. */
static const char *file_error_name(int r)
{
	switch (-r) {
	case ENOENT:
		return "NOT_FOUND";
	case EACCES:
	case EPERM:
	case EROFS:
		return "PERMISSION_DENIED";
	case EXDEV:
		return "PathOutsideBoundary";
	case EEXIST:
		return "ALREADY_EXISTS";
	case ENOSPC:
	case EDQUOT:
		return "QuotaExceeded";
	default:
		return err_name(r);
	}
}

void tool_file_decided(struct tool_call *c, const struct decision *d)
{
	if (d->policy_set.n)
		c->result->decision = *d;
	else
		c->result->canonical_request = c->tool_request;
}

int tool_file_outcome(struct tool_call *c, const struct tool_file *f, int r)
{
	if (r == FSAL_DENIED)
		return err_trace(tool_deny(c, &f->decision));
	tool_file_decided(c, &f->decision);
	if (r == 0)
		return 0;
	if (r == -ECANCELED || r == -ETIME || r == -ENOMEM)
		return err_trace(r);
	/* The file layer says what went wrong, not with what. */
	char *reason = arena_printf(c->arena, "%s: '" SPAN_FMT "': %s", file_error_name(r),
		SPAN_ARG(json_str(c->arguments, "path", SPAN(""))), err_message(r));
	err_clear();
	if (!reason)
		return err_raise(-ENOMEM, "tool: request memory used up");
	return err_trace(tool_refuse(c, TOOL_FAILED, span_cstr(reason)));
}

int tool_read_file(struct tool_call *c, struct tool_file *f, struct span path, struct span *ret)
{
	struct fsal_attr attr;
	size_t n = 0;
	int r = tool_file_stat(f, path, true, &attr);
	if (r == 0 && attr.size_bytes > LIMIT_TOOL_FILE_BYTES)
		r = err_raise(-EFBIG, "it has %llu bytes, at most %d are accepted",
			(unsigned long long)attr.size_bytes, LIMIT_TOOL_FILE_BYTES);
	if (r == 0) {
		/* One byte more than it had: a file that grows meanwhile is noticed, not cut. */
		size_t room = (size_t)attr.size_bytes + 1;
		char *p = arena_bytes(c->arena, room);
		r = p ? tool_file_read(f, path, p, room, &n)
		      : err_raise(-ENOMEM, "request memory used up");
		if (r == 0 && n == room)
			r = err_raise(-EAGAIN, "it grows while it is read");
		if (r == 0) {
			*ret = span_of(p, n);
			tool_file_decided(c, &f->decision);
			return 0;
		}
	}
	r = tool_file_outcome(c, f, r);
	return r < 0 ? err_trace(r) : TOOL_PATH_ANSWERED;
}
