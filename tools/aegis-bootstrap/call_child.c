/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * A fork copies this program's page tables and lets it go on: right for a call, whose first act,
 * joining a cgroup, may take milliseconds. The first program of a sandbox is on the way of every
 * start, so its child is made ahead: it shares our memory and we sleep until it is gone (as with
 * vfork), it has its descriptors and its session, and it is the one who reads the order. What is
 * left when the order comes is what the order says, and one execve.
 *
 * Invariant: a waiting child touches nothing of ours but what `order` is given, the spec, and the
 * excuse; it runs on a stack of its own.
 */
#include "tools/aegis-bootstrap/call_child.h"
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { STACK_BYTES = 64 * 1024 };

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

static struct excuse own_session(int out, int err)
{
	setsid();
	reaper_child();
	int null = open("/dev/null", O_RDONLY);
	if (null < 0 || dup2(null, 0) < 0 || dup2(out, 1) < 0 || dup2(err, 2) < 0)
		return (struct excuse){EXCUSE_SETUP, errno};
	if (null > 2)
		close(null);
	return (struct excuse){EXCUSE_NONE, 0};
}

static struct excuse become(const struct call_spec *spec)
{
	if (spec->stdio_fd && (dup2(spec->stdio_fd, 0) < 0 || dup2(spec->stdio_fd, 1) < 0))
		return (struct excuse){EXCUSE_SETUP, errno};
	if (chdir(spec->cwd) < 0)
		return (struct excuse){EXCUSE_CWD, errno};
	return (struct excuse){EXCUSE_EXEC, exec_in_path(spec->argv, spec->envp)};
}

static int make_pipe(int ends[2])
{
	return pipe2(ends, O_CLOEXEC) < 0 ? err_sys(-errno, "pipe of a call") : 0;
}

/* Each end that is still held. */
static void close_pairs(int pairs[3][2])
{
	for (int i = 0; i < 3; i++) {
		fd_cleanup(&pairs[i][0]);
		fd_cleanup(&pairs[i][1]);
	}
}

/* ---- forked ---- */

__attribute__((noreturn)) static void forked(const struct call_spec *spec, int pairs[3][2])
{
	struct excuse e = {EXCUSE_NONE, 0};

	/* First of all, so that nothing that it opens or maps is charged to another call. */
	if (spec->procs_fd >= 0 && write(spec->procs_fd, "0", 1) != 1)
		e = (struct excuse){EXCUSE_CGROUP, errno};
	if (e.step == EXCUSE_NONE)
		e = own_session(pairs[0][1], pairs[1][1]);
	if (e.step == EXCUSE_NONE)
		e = become(spec);
	(void)!write(pairs[2][1], &e, sizeof(e));
	_exit(127);
}

int call_child_fork(const struct call_spec *spec, struct call_child *ret)
{
	int pairs[3][2] = {{-1, -1}, {-1, -1}, {-1, -1}};
	int r = 0;

	for (int i = 0; r == 0 && i < 3; i++)
		r = make_pipe(pairs[i]);
	pid_t pid = r == 0 ? fork() : -1;
	if (pid == 0)
		forked(spec, pairs);
	if (r == 0 && pid < 0)
		r = err_sys(-errno, "fork of a call");
	if (r == 0)
		*ret = (struct call_child){
			.pid = pid,
			.out = TAKE_FD(pairs[0][0]),
			.err = TAKE_FD(pairs[1][0]),
			.excuse_fd = TAKE_FD(pairs[2][0]),
		};
	close_pairs(pairs);
	return err_trace(r);
}

/* ---- made ahead ---- */

struct waiting {
	struct call_spec *spec;
	call_order order;
	void *arg;
	int out, err;
	/* Written by the child. */
	volatile int outcome;
	struct excuse excuse;
};

static int wait_and_become(void *arg)
{
	struct waiting *w = arg;

	(void)prctl(PR_SET_NAME, "aegis-waiting", 0, 0, 0); /* for who reads its records */
	w->excuse = own_session(w->out, w->err);
	w->outcome = w->order(w->arg, w->spec);
	if (w->outcome == 0 && w->excuse.step == EXCUSE_NONE)
		w->excuse = become(w->spec);
	_exit(w->outcome == 0 ? 127 : 0); /* 0: it was not needed */
}

int call_child_await(struct call_spec *spec, call_order order, void *arg, struct call_child *ret,
	int *ret_outcome)
{
	static _Alignas(16) char stack[STACK_BYTES];
	int pairs[3][2] = {{-1, -1}, {-1, -1}, {-1, -1}};
	int r = make_pipe(pairs[0]);

	if (r == 0)
		r = make_pipe(pairs[1]);
	struct waiting w = {.spec = spec,
		.order = order,
		.arg = arg,
		.out = pairs[0][1],
		.err = pairs[1][1],
		.outcome = -ECHILD};
	int pid = r == 0 ? clone(wait_and_become, stack + sizeof(stack),
				   CLONE_VM | CLONE_VFORK | SIGCHLD, &w)
			 : -1;
	if (r == 0 && pid < 0)
		r = err_sys(-errno, "a child that waits for the start");
	if (r == 0) {
		*ret = (struct call_child){.pid = pid,
			.out = TAKE_FD(pairs[0][0]),
			.err = TAKE_FD(pairs[1][0]),
			.excuse_fd = -1,
			.excuse = w.excuse};
		*ret_outcome = w.outcome;
	}
	close_pairs(pairs);
	return err_trace(r);
}

void call_child_close(struct call_child *c)
{
	fd_cleanup(&c->out);
	fd_cleanup(&c->err);
	fd_cleanup(&c->excuse_fd);
}
