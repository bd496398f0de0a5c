/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Running one program: exec of an argument vector, no shell; both outputs captured with their tail
 * kept; a deadline; and nothing of it left behind.
 */
#pragma once

#include "daemon/base/base.h"
#include "tools/aegis-bootstrap/loop.h"
#include "tools/aegis-bootstrap/reap.h"
#include "tools/aegis-bootstrap/tail.h"

struct call_spec {
	char *const *argv; /* argv[0] is looked up in PATH of envp unless it has a slash */
	char *const *envp;
	const char *cwd;
	int procs_fd; /* the call's cgroup.procs, joined before the exec; -1: none */
	int kill_fd; /* its cgroup.kill; -1: none */
	int stdio_fd; /* a socket that is its standard input and output; 0: none, input is empty
			 and output is captured */
	int64_t timeout_ms; /* INT64_MAX: none */
	size_t output_max;
	bool background; /* what is left after its end is not killed */
};

struct call_result {
	int exit_code; /* 128 + N for signal N; 127, 126 not found, not executable; -1 timeout, or
			  it could not be started */
	struct tail out;
	struct tail err; /* with our own remark behind the program's words */
	int64_t duration_ms;
	bool truncated;
};

/* 0 also when the program could not be started: the result says so. -errno only where this process
 * cannot go on. *ret is to be finished in any case. */
int call_run(struct loop *l, struct reaper *r, const struct call_spec *spec,
	struct call_result *ret) MUST_USE;
void call_result_fini(struct call_result *r);

/* ---- a child that is made before it is known what it will run ---- */

/* Why a child did not become the program. */
struct excuse {
	enum excuse_step {
		EXCUSE_NONE,
		EXCUSE_CGROUP,
		EXCUSE_CWD,
		EXCUSE_SETUP,
		EXCUSE_EXEC,
	} step;
	int error;
};

struct call_child {
	pid_t pid;
	int out, err; /* read ends of its outputs */
	int excuse_fd; /* brings a struct excuse, or end of file once it has become the program; -1:
			  `excuse` is known already */
	struct excuse excuse;
};

struct call_waiting {
	struct call_spec spec;
	struct call_child child;
};

/* Says what to run: 0 with *ret filled, a positive outcome of its own if there is nothing to run,
 * or -errno. It is called in the child, with this process's memory, and may block there; what it
 * does to the process itself (ids, limits, Landlock) it does to the child. */
typedef int (*call_order)(void *arg, struct call_spec *ret);

/* Makes the child and sleeps until it runs what it was told, or has failed (call_run_waiting says
 * how): 0. What `order` returned, if that was not 0: there is no child then. -errno. The spec's
 * procs_fd is not joined. */
int call_await(struct call_waiting *ret, call_order order, void *arg) MUST_USE;

/* The rest of call_run. */
int call_run_waiting(
	struct loop *l, struct reaper *r, struct call_waiting *w, struct call_result *ret) MUST_USE;
