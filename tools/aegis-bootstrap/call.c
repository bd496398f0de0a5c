/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The life of a call: fork; the child joins its cgroup, then everything else, then exec; the parent
 * reads until the program has ended, kills what it left behind, and reads what is still in the
 * pipes, for which nobody is left to write.
 *
 * Invariant: when call_run returns, no process of the call is alive, unless background work was
 * allowed or the kernel is still busy killing it.
 */
#include "tools/aegis-bootstrap/call.h"
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

/* Why the child did not become the program. Sent through a pipe that the exec closes. */
struct excuse {
	enum excuse_step { EXCUSE_CGROUP, EXCUSE_CWD, EXCUSE_SETUP, EXCUSE_EXEC } step;
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

/* ---- the child ---- */

__attribute__((noreturn)) static void excuse(int fd, enum excuse_step step, int error)
{
	struct excuse e = {step, error};

	(void)!write(fd, &e, sizeof(e));
	_exit(127);
}

static const char *path_of(char *const *envp)
{
	for (; *envp; envp++)
		if (strncmp(*envp, "PATH=", 5) == 0)
			return *envp + 5;
	return "/usr/local/bin:/usr/bin:/bin";
}

/* execvpe without its shell: a file that is no program is an error, not a script. */
static int exec_in_path(char *const *argv, char *const *envp)
{
	struct span rest = span_cstr(path_of(envp)), dir;
	char path[LIMIT_PATH_BYTES];
	bool done = false;
	int error = ENOENT;

	if (strchr(argv[0], '/')) {
		execve(argv[0], argv, envp);
		return errno;
	}
	while (span_split(&rest, ':', &done, &dir)) {
		size_t n = strlen(argv[0]);
		if (dir.n == 0 || dir.n + n + 2 > sizeof(path))
			continue;
		memcpy(path, dir.p, dir.n);
		path[dir.n] = '/';
		memcpy(path + dir.n + 1, argv[0], n + 1);
		execve(path, argv, envp);
		if (errno != ENOENT && errno != ENOTDIR)
			error = errno;
	}
	return error;
}

__attribute__((noreturn)) static void child(
	const struct call_spec *spec, int out, int err, int excuse_fd)
{
	/* First of all, so that nothing that it opens or maps is charged to another call. */
	if (spec->procs_fd >= 0 && write(spec->procs_fd, "0", 1) != 1)
		excuse(excuse_fd, EXCUSE_CGROUP, errno);
	setsid();
	reaper_child();
	int null = open("/dev/null", O_RDONLY);
	if (null < 0 || dup2(null, 0) < 0 || dup2(out, 1) < 0 || dup2(err, 2) < 0)
		excuse(excuse_fd, EXCUSE_SETUP, errno);
	if (null > 2)
		close(null);
	if (chdir(spec->cwd) < 0)
		excuse(excuse_fd, EXCUSE_CWD, errno);
	excuse(excuse_fd, EXCUSE_EXEC, exec_in_path(spec->argv, spec->envp));
}

/* ---- the parent ---- */

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
 * services go on meanwhile. True if the program runs. */
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

static int wait_exec(struct call *c, int fd, int64_t deadline_ns, bool *ret_runs)
{
	struct excuse_source e = {.source = {fd, POLLIN, INT64_MAX, excuse_ready}, .got = -1};
	int r = 0;

	loop_add(c->loop, &e.source);
	while (r == 0 && e.got < 0 && clock_mono_ns() < deadline_ns)
		r = loop_step(c->loop, deadline_ns);
	loop_remove(c->loop, &e.source);
	*ret_runs = e.got != (ssize_t)sizeof(e.excuse);
	if (!*ret_runs)
		explain(c, &e.excuse);
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

static int supervise(struct call *c, int excuse_fd)
{
	int64_t start = clock_mono_ns();
	int64_t deadline = c->spec->timeout_ms == INT64_MAX
		? INT64_MAX
		: start + c->spec->timeout_ms * NS_PER_MS;
	bool runs;
	int r = wait_exec(c, excuse_fd, deadline, &runs);

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
	} else if (runs) {
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

static void close_pairs(int pairs[3][2])
{
	for (int i = 0; i < 3; i++) {
		fd_cleanup(&pairs[i][0]);
		fd_cleanup(&pairs[i][1]);
	}
}

/* Forks the call; *ret_excuse is the pipe that tells how it went. */
static int launch(struct call *c, int *ret_excuse)
{
	int pairs[3][2] = {{-1, -1}, {-1, -1}, {-1, -1}};

	for (int i = 0; i < 3; i++)
		if (pipe2(pairs[i], O_CLOEXEC) < 0) {
			int r = err_sys(-errno, "pipe of a call");
			close_pairs(pairs);
			return r;
		}
	c->pid = fork();
	if (c->pid == 0)
		child(c->spec, pairs[0][1], pairs[1][1], pairs[2][1]);
	int r = c->pid < 0 ? err_sys(-errno, "fork of a call") : 0;
	if (r == 0) {
		reaper_watch(c->reaper, c->pid);
		r = output_start(c, &c->out, &c->result->out, TAKE_FD(pairs[0][0]));
	}
	if (r == 0)
		r = output_start(c, &c->err, &c->result->err, TAKE_FD(pairs[1][0]));
	if (r == 0)
		*ret_excuse = TAKE_FD(pairs[2][0]);
	close_pairs(pairs);
	return err_trace(r);
}

int call_run(
	struct loop *l, struct reaper *r, const struct call_spec *spec, struct call_result *ret)
{
	struct call c = {.loop = l, .reaper = r, .spec = spec, .result = ret};
	AUTO_FD excuse_fd = -1;

	*ret = (struct call_result){.exit_code = -1,
		.out = tail_init(spec->output_max),
		.err = tail_init(spec->output_max)};
	c.out.source.fd = c.err.source.fd = -1;
	int x = launch(&c, &excuse_fd);
	if (x < 0) {
		/* Too many processes is the agent's own doing; the loop goes on without this call.
		 */
		remark(&c, "[AEGIS] %s", err_message(x));
		err_clear();
		x = 0;
	} else {
		x = supervise(&c, excuse_fd);
	}
	output_close(&c, &c.out);
	output_close(&c, &c.err);
	if (c.out.error || c.err.error)
		remark(&c, "[AEGIS] output lost: out of memory");
	ret->truncated = ret->out.total + ret->err.total > spec->output_max;
	return err_trace(x);
}

void call_result_fini(struct call_result *r)
{
	tail_fini(&r->out);
	tail_fini(&r->err);
}
