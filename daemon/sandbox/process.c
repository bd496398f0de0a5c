/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Kind `process`: what the helper makes. This file turns the flows' words into the helper's, and
 * makes each request safe to say twice, because a helper that dies in the middle leaves open
 * whether it was carried out: what exists already is found again, what is gone already is fine.
 */
#include "daemon/sandbox/process_internal.h"
#include "daemon/sandbox/membership.h"
#include <errno.h>
#include <poll.h>
#include <stdlib.h>

enum { LOOK_AGAIN_MS = 5 };

static struct helper_link *link_of(struct sandbox *s)
{
	return process_driver_of(s->driver)->link;
}

/* ---- requests ---- */

struct ask_sandbox {
	struct helper_request request;
	uint64_t id;
	struct uuid execution;
	enum helper_stop how;
	struct helper_sandbox found;
	struct helper_sandbox_fds fds;
};

static int do_get(struct helper *h, struct helper_request *q, int64_t deadline_ns)
{
	struct ask_sandbox *a = container_of(q, struct ask_sandbox, request);

	return err_trace(helper_sandbox_get(h, a->id, a->execution, &a->found, deadline_ns));
}

static int do_listener(struct helper *h, struct helper_request *q, int64_t deadline_ns)
{
	struct ask_sandbox *a = container_of(q, struct ask_sandbox, request);

	return err_trace(helper_listener_get(h, a->id, a->execution, &a->fds, deadline_ns));
}

static int do_stop(struct helper *h, struct helper_request *q, int64_t deadline_ns)
{
	struct ask_sandbox *a = container_of(q, struct ask_sandbox, request);
	int r = helper_sandbox_stop(h, a->id, a->execution, a->how, deadline_ns);

	return r == -ENOENT ? 0 : err_trace(r);
}

static int do_release(struct helper *h, struct helper_request *q, int64_t deadline_ns)
{
	struct ask_sandbox *a = container_of(q, struct ask_sandbox, request);
	int r = helper_sandbox_release(h, a->id, a->execution, deadline_ns);

	return r == -ENOENT ? 0 : err_trace(r);
}

static struct ask_sandbox ask_about(
	struct sandbox *s, int (*fn)(struct helper *, struct helper_request *, int64_t))
{
	return (struct ask_sandbox){
		.request.fn = fn, .id = s->id, .execution = s->execution, .fds = {-1, -1, -1, -1}};
}

struct ask_list {
	struct helper_request request;
	struct helper_sandbox *list;
	size_t count;
};

static int do_list(struct helper *h, struct helper_request *q, int64_t deadline_ns)
{
	struct ask_list *a = container_of(q, struct ask_list, request);

	return err_trace(helper_sandbox_list(h, &a->list, &a->count, deadline_ns));
}

struct ask_workspace {
	struct helper_request request;
	struct uuid execution;
	int fd;
};

static int do_workspace_open(struct helper *h, struct helper_request *q, int64_t deadline_ns)
{
	struct ask_workspace *a = container_of(q, struct ask_workspace, request);

	return err_trace(helper_workspace_open(h, a->execution, &a->fd, deadline_ns));
}

static int do_workspace_remove(struct helper *h, struct helper_request *q, int64_t deadline_ns)
{
	struct ask_workspace *a = container_of(q, struct ask_workspace, request);
	int r = helper_workspace_remove(h, a->execution, deadline_ns);

	return r == -ENOENT ? 0 : err_trace(r);
}

int process_workspace_open(
	struct sandbox_driver *d, struct uuid execution, int *ret_fd, int64_t deadline_ns)
{
	struct ask_workspace a = {
		.request.fn = do_workspace_open, .execution = execution, .fd = -1};
	int r = helper_ask(process_driver_of(d)->link, &a.request, deadline_ns);

	if (r == 0)
		*ret_fd = a.fd;
	return err_trace(r);
}

struct ask_limit {
	struct helper_request request;
	struct uuid id;
	uint64_t bytes, inodes;
};

static int do_workspace_limit(struct helper *h, struct helper_request *q, int64_t deadline_ns)
{
	struct ask_limit *a = container_of(q, struct ask_limit, request);

	return err_trace(helper_workspace_limit(h, a->id, a->bytes, a->inodes, deadline_ns));
}

static int process_workspace_limit(struct sandbox_driver *d, struct uuid id, uint64_t bytes,
	uint64_t inodes, int64_t deadline_ns)
{
	struct ask_limit a = {
		.request.fn = do_workspace_limit, .id = id, .bytes = bytes, .inodes = inodes};

	return err_trace(helper_ask(process_driver_of(d)->link, &a.request, deadline_ns));
}

static int process_workspace_remove(
	struct sandbox_driver *d, struct uuid execution, int64_t deadline_ns)
{
	struct ask_workspace a = {.request.fn = do_workspace_remove, .execution = execution};

	return err_trace(helper_ask(process_driver_of(d)->link, &a.request, deadline_ns));
}

/* ---- finding them again ---- */

static int process_list(struct sandbox_driver *d, struct sandbox_entry **ret, size_t *ret_count,
	int64_t deadline_ns)
{
	struct ask_list a = {.request.fn = do_list};
	int r = helper_ask(process_driver_of(d)->link, &a.request, deadline_ns);

	if (r < 0)
		return err_trace(r);
	struct sandbox_entry *list = calloc(a.count ? a.count : 1, sizeof(*list));
	for (size_t i = 0; list && i < a.count; i++)
		list[i] = (struct sandbox_entry){.id = a.list[i].id,
			.execution = a.list[i].execution,
			.iteration = a.list[i].iteration,
			.alive = a.list[i].state == HELPER_SANDBOX_RUNNING};
	free(a.list);
	if (!list)
		return err_raise(-ENOMEM, "list of sandboxes");
	*ret = list;
	*ret_count = a.count;
	return 0;
}

static AWAITS int adopt(struct sandbox_driver *d, const struct sandbox_entry *e,
	struct sandbox **ret, int64_t deadline_ns)
{
	struct ask_sandbox a = {.request.fn = do_get,
		.id = e->id,
		.execution = e->execution,
		.fds = {-1, -1, -1, -1}};
	int r = process_lsm_ready(process_driver_of(d), deadline_ns);

	if (r == 0)
		r = process_record_ready(process_driver_of(d), deadline_ns);
	if (r == 0)
		r = helper_ask(process_driver_of(d)->link, &a.request, deadline_ns);
	if (r == 0 && a.found.state == HELPER_SANDBOX_RUNNING) {
		a.request.fn = do_listener;
		r = helper_ask(process_driver_of(d)->link, &a.request, deadline_ns);
		if (r == -ESRCH) /* it ended in between */
			r = 0;
	}
	if (r == 0)
		r = process_take(d, &a.found, &a.fds, ret);
	if (r == 0)
		process_of(*ret)->adopted = true;
	return err_trace(r);
}

static int process_adopt(struct sandbox_driver *d, const struct sandbox_entry *e,
	struct sandbox **ret, int64_t deadline_ns)
{
	process_driver_of(d)->starting++;
	int r = adopt(d, e, ret, deadline_ns);
	process_driver_of(d)->starting--;
	if (r < 0)
		process_record_rest(process_driver_of(d));
	return err_trace(r);
}

static bool process_holds(const struct sandbox *s, pid_t pid)
{
	return membership_in(pid, s->identity);
}

/* ---- ending ---- */

static int process_stop(struct sandbox *s, enum sandbox_stop_how how, int64_t deadline_ns)
{
	struct ask_sandbox a = ask_about(s, do_stop);

	static const enum helper_stop ways[] = {
		[SANDBOX_TERMINATE] = HELPER_STOP_TERMINATE,
		[SANDBOX_KILL] = HELPER_STOP_KILL,
		[SANDBOX_ABANDON] = HELPER_STOP_ABANDON,
	};
	a.how = ways[how];
	return err_trace(helper_ask(link_of(s), &a.request, deadline_ns));
}

static enum sandbox_end end_of(enum helper_end e)
{
	switch (e) {
	case HELPER_END_EXITED:
		return SANDBOX_END_EXITED;
	case HELPER_END_KILLED:
		return SANDBOX_END_KILLED;
	case HELPER_END_NONE:
	case HELPER_END_UNKNOWN:
		break;
	}
	return SANDBOX_END_UNKNOWN;
}

/* pid 1 is dead; the helper may need a moment to see the rest of it gone. */
static AWAITS int process_ending(struct sandbox *s, struct sandbox_ending *ret, int64_t deadline_ns)
{
	for (;;) {
		struct ask_sandbox a = ask_about(s, do_get);
		int r = helper_ask(link_of(s), &a.request, deadline_ns);
		if (r == -ENOENT) {
			*ret = (struct sandbox_ending){.how = SANDBOX_END_UNKNOWN};
			return 0;
		}
		if (r < 0)
			return err_trace(r);
		if (a.found.state == HELPER_SANDBOX_ENDED) {
			*ret = (struct sandbox_ending){end_of(a.found.end), a.found.end_status,
				process_usage(&a.found.usage)};
			return 0;
		}
		if (rt_now_ns() >= deadline_ns)
			return -ETIME;
		r = rt_sleep_until(deadline_earlier(deadline_ns, deadline_in_ms(LOOK_AGAIN_MS)));
		if (r < 0)
			return r;
	}
}

int process_opening(struct process_driver *d,
	int (*ready)(struct process_driver *d, int64_t deadline_ns), int64_t deadline_ns)
{
	int r = fiber_lock_take(&d->opening, deadline_ns);

	if (r < 0)
		return err_trace(r);
	r = ready(d, deadline_ns);
	fiber_lock_give(&d->opening);
	return err_trace(r);
}

bool process_has_ended(const struct process_sandbox *p)
{
	struct pollfd f = {.fd = p->pidfd, .events = POLLIN};

	return p->pidfd < 0 || p->base.state == SANDBOX_ENDED || poll(&f, 1, 0) > 0;
}

int process_forgive_ended(const struct process_sandbox *p, int r)
{
	if (r >= 0 || r == -ECANCELED || !process_has_ended(p))
		return err_trace(r);
	err_clear();
	return 0;
}

static int process_wait(struct sandbox *s, struct sandbox_ending *ret, int64_t deadline_ns)
{
	struct process_sandbox *p = process_of(s);

	if (p->pidfd >= 0 && s->state != SANDBOX_ENDED) {
		int r = rt_poll(p->pidfd, POLLIN, deadline_ns);
		if (r < 0)
			return r;
	}
	return process_ending(s, ret, deadline_ns);
}

static int process_release(struct sandbox *s, int64_t deadline_ns)
{
	struct ask_sandbox a = ask_about(s, do_release);

	process_denials_end(process_of(s));
	process_record_end(process_of(s)); /* while the kernel still has its counters */
	return err_trace(helper_ask(link_of(s), &a.request, deadline_ns));
}

static void process_forget(struct sandbox *s)
{
	struct process_sandbox *p = process_of(s);
	struct process_driver *d = process_driver_of(s->driver);

	bool alive = s->state != SANDBOX_RELEASED && s->state != SANDBOX_ENDED;
	process_calls_forget(p, alive);
	process_network_end(p, alive);
	p->paths = alive ? lsm_policy_forget(p->paths) : lsm_policy_unref(p->paths);
	list_remove(&p->alive_link);
	process_denials_forget(p);
	rt_close(p->pidfd);
	free(p);
	process_record_rest(d);
}

static void process_close(struct sandbox_driver *d)
{
	process_network_close(process_driver_of(d));
	process_lsm_close(process_driver_of(d));
	process_record_close(process_driver_of(d));
	process_guard_close(process_driver_of(d));
	free(process_driver_of(d));
}

int sandbox_process_open(const struct sandbox_process_options *o, struct sandbox_driver **ret)
{
	static const struct sandbox_ops ops = {
		.kind = "process",
		.start = process_start,
		.list = process_list,
		.adopt = process_adopt,
		.call_open = process_call_open,
		.call_close = process_call_close,
		.call_set_rules = process_call_set_rules,
		.call_end_rights = process_call_end_rights,
		.stop = process_stop,
		.wait = process_wait,
		.set_network = process_set_network,
		.files_open = process_files_open,
		.workspace_object = process_workspace_object,
		.workspace_limit = process_workspace_limit,
		.release = process_release,
		.workspace_open = process_workspace_open,
		.workspace_remove = process_workspace_remove,
		.forget = process_forget,
		.close = process_close,
		.lower_paths = process_lower_paths,
		.set_paths = process_set_paths,
		.holds = process_holds,
	};
	struct process_driver *p = calloc(1, sizeof(*p));

	if (!p)
		return err_raise(-ENOMEM, "process sandboxes");
	*p = (struct process_driver){
		.base.ops = &ops,
		.link = o->link,
		.registry = o->registry,
		.resolvers = o->resolvers,
		.strict = o->strict,
		.observer = o->observer,
	};
	list_init(&p->networked);
	list_init(&p->alive);
	group_init(&p->group);
	group_init(&p->lsm_group);
	group_init(&p->record_group);
	fiber_lock_init(&p->record_lock);
	list_init(&p->guards);
	group_init(&p->guard_group);
	fiber_lock_init(&p->opening);
	fiber_lock_init(&p->denials_lock);
	*ret = &p->base;
	return 0;
}
