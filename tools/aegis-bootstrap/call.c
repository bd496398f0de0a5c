/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The life of a call, seen from its parent: it reads until the program has ended, kills what it
 * left behind, and reads what is still in the pipes, for which nobody is left to write. How the
 * child becomes the program stands in call_child.c.
 *
 * Invariant: when call_run returns, no process of the call is alive, unless background work was
 * allowed or the kernel is still busy killing it.
 */
#include "tools/aegis-bootstrap/call_child.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
	READ_BYTES = 64 * 1024,
	DRAIN_MS = 2000, /* after the kill, for the pipes to be let go */
};

struct output {
	struct source source;
	struct tail *tail;
	bool open;
	int error;
};

struct call {
	struct loop *loop;
	struct reaper *reaper;
	const struct call_spec *spec;
	struct call_result *result;
	struct output out;
	struct output err;
	pid_t pid;
};

static void output_close(struct call *c, struct output *o)
{
	loop_remove(c->loop, &o->source);
	fd_cleanup(&o->source.fd);
	o->open = false;
}

static void output_ready(struct source *s, short revents)
{
	static char bytes[READ_BYTES];
	struct output *o = container_of(s, struct output, source);
	ssize_t n = read(s->fd, bytes, sizeof(bytes));

	if (n > 0 && tail_put(o->tail, span_of(bytes, (size_t)n)) < 0)
		o->error = -ENOMEM;
	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
		o->open = false;
		s->events = 0;
	}
}

static void remark(struct call *c, const char *fmt, ...) PRINTF_LIKE(2, 3);
static void remark(struct call *c, const char *fmt, ...)
{
	char text[512];
	va_list args;

	va_start(args, fmt);
	int n = vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	struct tail *t = &c->result->err;
	if (t->len && tail_put(t, SPAN("\n")) < 0)
		return;
	if (n > 0 && tail_put(t, span_of(text, MIN((size_t)n, sizeof(text) - 1))) < 0)
		return;
}

static void explain(struct call *c, const struct excuse *e)
{
	const char *name = c->spec->argv[0], *why = strerror(e->error);

	c->result->exit_code = -1;
	switch (e->step) {
	case EXCUSE_NONE:
		break;
	case EXCUSE_CGROUP:
		remark(c, "[AEGIS] the call's cgroup cannot be joined: %s", why);
		break;
	case EXCUSE_SETUP:
		remark(c, "[AEGIS] the call cannot be set up: %s", why);
		break;
	case EXCUSE_CWD:
		remark(c, "[AEGIS] cwd %s: %s", c->spec->cwd, why);
		break;
	case EXCUSE_EXEC:
		c->result->exit_code = e->error == ENOENT ? 127 : 126;
		remark(c, "[AEGIS] %s: %s", name, why);
		break;
	}
}

/* The child's first act may take milliseconds (joining a cgroup waits for a grace period), so the
 * services go on meanwhile. */
struct excuse_source {
	struct source source;
	struct excuse excuse;
	ssize_t got; /* -1: nothing yet */
};

static void excuse_ready(struct source *s, short revents)
{
	struct excuse_source *e = container_of(s, struct excuse_source, source);
	ssize_t n = read(s->fd, &e->excuse, sizeof(e->excuse));

	if (n >= 0 || (errno != EAGAIN && errno != EINTR))
		e->got = MAX(n, (ssize_t)0);
}

static int wait_exec(struct call *c, int fd, int64_t deadline_ns, struct excuse *ret)
{
	struct excuse_source e = {.source = {fd, POLLIN, INT64_MAX, excuse_ready}, .got = -1};
	int r = 0;

	loop_add(c->loop, &e.source);
	while (r == 0 && e.got < 0 && clock_mono_ns() < deadline_ns)
		r = loop_step(c->loop, deadline_ns);
	loop_remove(c->loop, &e.source);
	*ret = e.got == (ssize_t)sizeof(e.excuse) ? e.excuse : (struct excuse){EXCUSE_NONE, 0};
	return err_trace(r);
}

static void kill_rest(struct call *c)
{
	bool by_cgroup = c->spec->kill_fd >= 0 && pwrite(c->spec->kill_fd, "1", 1, 0) == 1;

	/* It may not have joined the cgroup yet, nor made its own group. */
	if (!c->reaper->ended)
		kill(c->pid, SIGKILL);
	if (!by_cgroup)
		kill(-c->pid, SIGKILL);
	if (c->spec->procs_fd < 0)
		reaper_kill_descendants(c->reaper, clock_mono_ns() + DRAIN_MS * NS_PER_MS);
}

static bool over(const struct call *c)
{
	return c->reaper->ended && (c->spec->background || (!c->out.open && !c->err.open));
}

/* Serves everything until the program has ended or `deadline_ns` has passed. */
static int attend(struct call *c, bool pipes_too, int64_t deadline_ns)
{
	while (clock_mono_ns() < deadline_ns && !(pipes_too ? over(c) : c->reaper->ended)) {
		int r = loop_step(c->loop, deadline_ns);
		if (r < 0)
			return err_trace(r);
	}
	return 0;
}

static void take_status(struct call *c)
{
	int status = c->reaper->status;

	c->result->exit_code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static int supervise(struct call *c, const struct call_child *child)
{
	int64_t start = clock_mono_ns();
	int64_t deadline = c->spec->timeout_ms == INT64_MAX
		? INT64_MAX
		: start + c->spec->timeout_ms * NS_PER_MS;
	struct excuse excuse = child->excuse;
	int r = child->excuse_fd >= 0 ? wait_exec(c, child->excuse_fd, deadline, &excuse) : 0;

	if (excuse.step != EXCUSE_NONE)
		explain(c, &excuse);
	if (r == 0)
		r = attend(c, false, deadline);
	bool late = !c->reaper->ended;
	if (late || !c->spec->background)
		kill_rest(c);
	if (r == 0)
		r = attend(c, true, clock_mono_ns() + DRAIN_MS * NS_PER_MS);
	/* Background work may hold the pipes for ever: take what they hold now. */
	if (c->out.open)
		output_ready(&c->out.source, POLLIN);
	if (c->err.open)
		output_ready(&c->err.source, POLLIN);
	c->result->duration_ms = (clock_mono_ns() - start) / NS_PER_MS;
	if (late) {
		c->result->exit_code = -1;
		remark(c, "[AEGIS] Command timed out after %llds",
			(long long)(c->spec->timeout_ms / 1000));
	} else if (excuse.step == EXCUSE_NONE) {
		take_status(c);
	}
	return err_trace(r);
}

static int output_start(struct call *c, struct output *o, struct tail *t, int fd)
{
	if (fcntl(fd, F_SETFL, O_NONBLOCK) < 0)
		return err_sys(-errno, "pipe of a call");
	*o = (struct output){
		.source = {fd, POLLIN, INT64_MAX, output_ready}, .tail = t, .open = true};
	loop_add(c->loop, &o->source);
	return 0;
}

/* Takes the child's outputs over and sees it to its end. */
static int attend_child(struct call *c, struct call_child *child)
{
	c->pid = child->pid;
	reaper_watch(c->reaper, c->pid);
	int r = output_start(c, &c->out, &c->result->out, TAKE_FD(child->out));
	if (r == 0)
		r = output_start(c, &c->err, &c->result->err, TAKE_FD(child->err));
	if (r == 0)
		r = supervise(c, child);
	output_close(c, &c->out);
	output_close(c, &c->err);
	if (c->out.error || c->err.error)
		remark(c, "[AEGIS] output lost: out of memory");
	c->result->truncated = c->result->out.total + c->result->err.total > c->spec->output_max;
	return err_trace(r);
}

static struct call call_init(
	struct loop *l, struct reaper *r, const struct call_spec *spec, struct call_result *ret)
{
	*ret = (struct call_result){.exit_code = -1,
		.out = tail_init(spec->output_max),
		.err = tail_init(spec->output_max)};
	return (struct call){.loop = l,
		.reaper = r,
		.spec = spec,
		.result = ret,
		.out.source.fd = -1,
		.err.source.fd = -1};
}

int call_run(
	struct loop *l, struct reaper *r, const struct call_spec *spec, struct call_result *ret)
{
	struct call c = call_init(l, r, spec, ret);
	struct call_child child;
	int x = call_child_fork(spec, &child);

	if (x < 0) {
		/* Too many processes is the agent's own doing; the loop goes on without this call.
		 */
		remark(&c, "[AEGIS] %s", err_message(x));
		err_clear();
		return 0;
	}
	x = attend_child(&c, &child);
	call_child_close(&child);
	return err_trace(x);
}

int call_await(struct call_waiting *ret, call_order order, void *arg)
{
	int outcome;
	int x = call_child_await(&ret->spec, order, arg, &ret->child, &outcome);

	if (x < 0)
		return err_trace(x);
	if (outcome != 0)
		call_child_close(&ret->child);
	return outcome == -ECHILD ? err_raise(-ECHILD, "the child that waited is dead") : outcome;
}

int call_run_waiting(
	struct loop *l, struct reaper *r, struct call_waiting *w, struct call_result *ret)
{
	struct call c = call_init(l, r, &w->spec, ret);
	int x = attend_child(&c, &w->child);

	call_child_close(&w->child);
	return err_trace(x);
}

void call_result_fini(struct call_result *r)
{
	tail_fini(&r->out);
	tail_fini(&r->err);
}
