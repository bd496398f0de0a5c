/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The part that all kinds share: the table of states, and the moves around a driver's operations.
 *
 * Invariant: a sandbox whose state is `ended` has no process left, and only such a one is released.
 */
#include "daemon/sandbox/sandbox.h"
#include <errno.h>

static const struct state_row rows[SANDBOX_STATE_COUNT] = {
	[SANDBOX_STARTING] = {"starting",
		STATE_BIT(SANDBOX_RUNNING) | STATE_BIT(SANDBOX_FAILED) | STATE_BIT(SANDBOX_ENDED)},
	[SANDBOX_RUNNING] = {"running", STATE_BIT(SANDBOX_STOPPING) | STATE_BIT(SANDBOX_ENDED)},
	[SANDBOX_STOPPING] = {"stopping", STATE_BIT(SANDBOX_ENDED)},
	[SANDBOX_ENDED] = {"ended", STATE_BIT(SANDBOX_RELEASED)},
	[SANDBOX_RELEASED] = {"released", 0, STATE_FINAL},
	[SANDBOX_FAILED] = {"failed", 0, STATE_FINAL},
};
const struct state_table sandbox_states = {"sandbox", rows, SANDBOX_STATE_COUNT};

const char *const sandbox_base_env[] = {"PATH=/usr/local/bin:/usr/bin:/bin", "HOME=/workspace",
	"USER=agent", "LOGNAME=agent", "SHELL=/bin/sh", "LANG=C.UTF-8", "TMPDIR=/tmp",
	"PYTHONDONTWRITEBYTECODE=1", "PYTHONUNBUFFERED=1", NULL};

int sandbox_start(struct sandbox_driver *d, const struct sandbox_spec *spec, struct sandbox **ret,
	int64_t deadline_ns)
{
	if (spec->iteration == 0)
		return err_raise(-ERANGE, "iteration: from 1 is accepted");
	return err_trace(d->ops->start(d, spec, ret, deadline_ns));
}

int sandbox_list(struct sandbox_driver *d, struct sandbox_entry **ret, size_t *ret_count,
	int64_t deadline_ns)
{
	return err_trace(d->ops->list(d, ret, ret_count, deadline_ns));
}

int sandbox_adopt(struct sandbox_driver *d, const struct sandbox_entry *e, struct sandbox **ret,
	int64_t deadline_ns)
{
	return err_trace(d->ops->adopt(d, e, ret, deadline_ns));
}

int sandbox_files_open(struct sandbox *s, int *ret_listener, uint32_t *ret_uid, int64_t deadline_ns)
{
	*ret_listener = -1;
	if (!s->mediated)
		return 0;
	return err_trace(s->driver->ops->files_open(s, ret_listener, ret_uid, deadline_ns));
}

int sandbox_call_open(
	struct sandbox *s, struct uuid call, uint64_t *ret_identity, int64_t deadline_ns)
{
	if (s->state == SANDBOX_ENDED)
		return err_raise(-ESRCH, "the sandbox has ended");
	return err_trace(s->driver->ops->call_open(s, call, ret_identity, deadline_ns));
}

int sandbox_call_set_rules(struct sandbox *s, struct uuid call, uint64_t identity,
	const struct sandbox_call_rules *rules, int64_t deadline_ns)
{
	if (!s->driver->ops->call_set_rules)
		return rules->network->net_count > 0
			? err_raise(-EOPNOTSUPP, "calls in sandboxes of kind %s have no network",
				  s->driver->ops->kind)
			: 0;
	return err_trace(s->driver->ops->call_set_rules(s, call, identity, rules, deadline_ns));
}

int sandbox_call_end_rights(struct sandbox *s, struct uuid call)
{
	return s->driver->ops->call_end_rights ? err_trace(s->driver->ops->call_end_rights(s, call))
					       : 0;
}

int sandbox_call_close(struct sandbox *s, struct uuid call, bool keep_rest,
	struct sandbox_usage *ret, int64_t deadline_ns)
{
	return err_trace(s->driver->ops->call_close(s, call, keep_rest, ret, deadline_ns));
}

int sandbox_stop(struct sandbox *s, enum sandbox_stop_how how, int64_t deadline_ns)
{
	if (s->state == SANDBOX_ENDED)
		return 0;
	int r = s->driver->ops->stop(s, how, deadline_ns);
	if (r == 0 && s->state == SANDBOX_RUNNING)
		r = state_move(&sandbox_states, &s->state, SANDBOX_STOPPING);
	return err_trace(r);
}

int sandbox_wait(struct sandbox *s, struct sandbox_ending *ret, int64_t deadline_ns)
{
	int r = s->driver->ops->wait(s, ret, deadline_ns);

	/* Several fibers may have waited for the same end. */
	if (r == 0 && s->state != SANDBOX_ENDED)
		r = state_move(&sandbox_states, &s->state, SANDBOX_ENDED);
	if (r == 0) {
		rt_close(s->listener);
		s->listener = -1;
	}
	return err_trace(r);
}

int sandbox_end(
	struct sandbox *s, int64_t grace_ns, struct sandbox_ending *ret, int64_t deadline_ns)
{
	int r = 0;

	if (grace_ns > 0) {
		r = sandbox_stop(s, SANDBOX_TERMINATE, deadline_ns);
		if (r == 0)
			r = sandbox_wait(
				s, ret, deadline_earlier(deadline_ns, rt_now_ns() + grace_ns));
		if (r != -ETIME || rt_now_ns() >= deadline_ns)
			return err_trace(r);
	}
	r = sandbox_stop(s, grace_ns < 0 ? SANDBOX_ABANDON : SANDBOX_KILL, deadline_ns);
	if (r == 0)
		r = sandbox_wait(s, ret, deadline_ns);
	return err_trace(r);
}

int sandbox_set_network(struct sandbox *s, const struct kernel_rules *rules, int64_t deadline_ns)
{
	if (s->driver->ops->set_network)
		return err_trace(s->driver->ops->set_network(s, rules, deadline_ns));
	return rules && rules->net_count > 0
		? err_raise(
			  -EOPNOTSUPP, "sandboxes of kind %s have no network", s->driver->ops->kind)
		: 0;
}

int sandbox_lower_paths(struct sandbox_driver *d, const struct sandbox_paths *q,
	struct lsm_table *ret, int64_t deadline_ns)
{
	*ret = (struct lsm_table){0};
	if (q->rules->path_count == 0)
		return 0;
	return d->ops->lower_paths ? err_trace(d->ops->lower_paths(d, q, ret, deadline_ns))
				   : SANDBOX_PATHS_UNDECIDED;
}

int sandbox_set_paths(struct sandbox *s, const struct lsm_table *paths, int64_t deadline_ns)
{
	if (s->driver->ops->set_paths)
		return err_trace(s->driver->ops->set_paths(s, paths, deadline_ns));
	return paths && !lsm_table_is_empty(paths)
		? err_raise(-EOPNOTSUPP, "for sandboxes of kind %s nothing decides by files",
			  s->driver->ops->kind)
		: 0;
}

bool sandbox_holds(const struct sandbox *s, pid_t pid)
{
	return !s->driver->ops->holds || s->driver->ops->holds(s, pid);
}

int sandbox_release(struct sandbox *s, int64_t deadline_ns)
{
	if (s->state != SANDBOX_ENDED)
		return err_raise(-EBUSY, "a sandbox that is %s cannot be released",
			state_name(&sandbox_states, s->state));
	int r = s->driver->ops->release(s, deadline_ns);
	if (r < 0)
		return err_trace(r);
	r = state_move(&sandbox_states, &s->state, SANDBOX_RELEASED);
	sandbox_forget(s);
	return err_trace(r);
}

struct sandbox *sandbox_forget(struct sandbox *s)
{
	if (!s)
		return NULL;
	rt_close(s->listener);
	rt_close(s->log);
	s->driver->ops->forget(s);
	return NULL;
}

int sandbox_workspace_open(
	struct sandbox_driver *d, struct uuid execution, int *ret_fd, int64_t deadline_ns)
{
	return err_trace(d->ops->workspace_open(d, execution, ret_fd, deadline_ns));
}

int sandbox_workspace_limit(struct sandbox_driver *d, struct uuid id, uint64_t bytes,
	uint64_t inodes, int64_t deadline_ns)
{
	if (!d->ops->workspace_limit)
		return err_raise(
			-EOPNOTSUPP, "sandboxes of kind %s have no limit of size", d->ops->kind);
	return err_trace(d->ops->workspace_limit(d, id, bytes, inodes, deadline_ns));
}

int sandbox_workspace_object(struct sandbox_driver *d, struct uuid execution, int type,
	struct span handle, int *ret_fd, int64_t deadline_ns)
{
	if (!d->ops->workspace_object)
		return -EPERM;
	return err_trace(d->ops->workspace_object(d, execution, type, handle, ret_fd, deadline_ns));
}

int sandbox_workspace_remove(struct sandbox_driver *d, struct uuid execution, int64_t deadline_ns)
{
	return err_trace(d->ops->workspace_remove(d, execution, deadline_ns));
}

struct sandbox_driver *sandbox_driver_close(struct sandbox_driver *d)
{
	if (d)
		d->ops->close(d);
	return NULL;
}
