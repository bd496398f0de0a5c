/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * worker_call: a fiber on another worker, awaited. The call lives in the caller's frame and
 * crosses as messages: start and done, and, if the caller is interrupted, cancel and its answer.
 * The caller leaves only when everything it sent has been answered, so the frame outlives them
 * all. The other side sends `done` from a callback, after its fiber has left the group, which
 * lives in that frame too.
 */
#include "daemon/rt/internal.h"
#include <errno.h>

struct call {
	struct worker *home;
	struct worker *to;
	struct fiber *caller;
	const char *name;
	int (*fn)(void *arg);
	void *arg;
	int result;
	int reason; /* of the interrupt, 0 if none */
	int unanswered; /* on home */
	struct group group; /* on `to`: holds the one fiber */
	struct msg start;
	struct msg ended; /* from the fiber to its own worker */
	struct msg done;
	struct msg cancel;
	struct msg cancelled;
};

static void tell(struct worker *to, struct msg *m, void (*fn)(struct msg *m))
{
	m->fn = fn;
	worker_post_always(to, m);
}

static void answered(struct call *c)
{
	if (--c->unanswered == 0)
		fiber_wake(c->caller, c->result);
}

static void on_done(struct msg *m)
{
	answered(container_of(m, struct call, done));
}

static void on_cancelled(struct msg *m)
{
	answered(container_of(m, struct call, cancelled));
}

static void on_ended(struct msg *m)
{
	struct call *c = container_of(m, struct call, ended);
	tell(c->home, &c->done, on_done);
}

static void call_fiber(void *arg)
{
	struct call *c = arg;
	c->result = c->fn(c->arg);
	const struct err_trail *trail = fiber_self()->trail;
	/* The caller is parked until `done`: its trail is nobody else's. */
	if (c->result < 0 && trail->code == c->result)
		*c->caller->trail = *trail;
	tell(c->to, &c->ended, on_ended);
}

static void on_start(struct msg *m)
{
	struct call *c = container_of(m, struct call, start);
	int r = group_spawn(&c->group, c->name, FIBER_LARGE, call_fiber, c);
	if (r == 0)
		return;
	c->result = r;
	tell(c->home, &c->done, on_done);
}

static void on_cancel(struct msg *m)
{
	struct call *c = container_of(m, struct call, cancel);
	group_cancel(&c->group);
	tell(c->home, &c->cancelled, on_cancelled);
}

static void ask_to_stop(struct fiber *f, int reason)
{
	struct call *c = f->waits_on;
	if (c->reason)
		return;
	c->reason = reason;
	c->unanswered++;
	tell(c->to, &c->cancel, on_cancel);
}

int worker_call(
	struct worker *to, const char *name, int (*fn)(void *arg), void *arg, int64_t deadline_ns)
{
	struct call c = {
		.home = worker_current,
		.to = to,
		.caller = fiber_self(),
		.name = name,
		.fn = fn,
		.arg = arg,
		.unanswered = 1,
		.start.fn = on_start,
	};
	int r = await_check(c.caller, deadline_ns);
	if (r < 0)
		return r;
	group_init(&c.group);
	r = worker_post(to, &c.start);
	if (r < 0)
		return r;
	r = fiber_park("worker_call", deadline_ns, ask_to_stop, &c);
	return r == -ECANCELED && c.reason ? c.reason : r;
}
