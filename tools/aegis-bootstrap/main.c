/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * aegis-bootstrap: the first process of every sandbox. It is init (reaps, forwards signals), the
 * sandbox's only way out (relay), and the agent itself where the manifest names no program.
 *
 *	aegis-bootstrap				as the helper starts it: launch.h says what it finds
 *	aegis-bootstrap --socket PATH PROMPT	anywhere else: the built-in agent
 *	aegis-bootstrap --socket PATH --program ARGV...
 *
 * Programs of the agent run beside it under the same uid. They may not trace it nor read its
 * memory or descriptors (it is not dumpable), cannot kill it (pid 1), and can only waste what is
 * theirs: its connections and buffers are bounded.
 */
#include "daemon/base/usage.h"
#include "daemon/helper/landlock.h"
#include "tools/aegis-bootstrap/agent.h"
#include "tools/aegis-bootstrap/inlet.h"
#include "tools/aegis-bootstrap/relay.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

extern char **environ;

enum { LLM_TIMEOUT_S = 300, LLM_TIMEOUT_MAX_S = 24 * 3600 };

/* Of await_start, beside CONTROL_CLOSED. */
#define NO_PROGRAM 2

struct bootstrap {
	struct loop loop;
	struct reaper reaper;
	struct control control;
	struct start start; /* in a sandbox of the helper's */
	bool launched; /* by the helper */
	int ruleset; /* of Landlock, until it is entered; -1: none */
	const char *socket_path;
	struct relay *relay;
	struct inlet *inlet; /* the way to a program that listens; NULL: none */
	char url[64]; /* the relay's, as a variable */
	const char *prompt; /* for the built-in agent; NULL: a program, or nothing to run */
	char *const *program; /* outside a sandbox */
	char **envp; /* of every program that is started */
};

static long landlock_call(long number, long a, long b, long c, long d)
{
	long r = syscall(number, a, b, c, d);

	return r < 0 ? -errno : r;
}

/* ---- finding out what to do ---- */

static const struct usage_option options[] = {
	{"socket", 's', "PATH", "The Unix socket of the dispatch gateway"},
	{"program", 'p', NULL,
		"Run the agent's own program, which follows, instead of the built-in agent"},
	{"manual", 'm', NULL, "Print the manual page, aegis-bootstrap(8)"},
	{"version", 'v', NULL, "Print the version"},
	{"help", 'h', NULL, "Print this"},
	{NULL, 0, NULL, NULL},
};

static const struct usage usage = {
	.program = "aegis-bootstrap",
	.section = 8,
	.summary = "the first process of every sandbox of AEGIS, and its built-in agent",
	.synopsis = "--socket PATH PROMPT\n--socket PATH --program PROGRAM [ARGUMENT...]",
	.options = options,
	.text = "Runs one iteration of an agent against the dispatch gateway behind a Unix socket: "
		"the built-in "
		"agent with PROMPT, or the agent's own PROGRAM. The environment tells the rest: "
		"AEGIS_EXECUTION_ID, AEGIS_AGENT_ID, AEGIS_ITERATION, AEGIS_MODEL_ALIAS, "
		"AEGIS_LLM_TIMEOUT_SECONDS. Programs find the gateway at AEGIS_ORCHESTRATOR_URL.\n"
		"\n"
		"Without arguments it expects to be started by aegis-helper as pid 1 of a "
		"sandbox.\n"
		"\n"
		"Exit status: the program's; of the built-in agent 0, or 1 after a failure; 2 if "
		"the "
		"arguments are not accepted.",
	.example = "AEGIS_EXECUTION_ID=2f1c8f0e-9f7b-4d27-8a55-7f6b1d1f7c11 \\\n"
		   "    aegis-bootstrap --socket dispatch.sock \"Say hello\"",
};

/* Whether that was all. */
static bool explain(const char *argument)
{
	if (strcmp(argument, "--version") == 0)
		puts("aegis-bootstrap " AEGIS_VERSION);
	else if (strcmp(argument, "--help") == 0)
		usage_print(&usage, usage_text);
	else if (strcmp(argument, "--manual") == 0)
		usage_print(&usage, usage_manual);
	else
		return false;
	return true;
}

static int read_arguments(struct bootstrap *b, int argc, char **argv)
{
	if (argc < 4 || strcmp(argv[1], "--socket") != 0)
		return -EINVAL;
	b->socket_path = argv[2];
	if (strcmp(argv[3], "--program") == 0) {
		b->program = argc > 4 ? &argv[4] : NULL;
		return b->program ? 0 : -EINVAL;
	}
	b->prompt = argv[3];
	return argc == 4 ? 0 : -EINVAL;
}

/* ---- doing it ---- */

static int64_t number_in(const char *text, int64_t otherwise, int64_t max)
{
	int64_t n;

	return span_to_i64(span_cstr(text), &n) == 0 && n >= 1 && n <= max ? n : otherwise;
}

static struct agent agent_of(struct bootstrap *b)
{
	char *const *envp = b->envp;
	const char *timeout = env_get(envp, "AEGIS_LLM_TIMEOUT_SECONDS", "");
	const char *iteration = env_get(envp, "AEGIS_ITERATION", "");

	return (struct agent){.loop = &b->loop,
		.reaper = &b->reaper,
		.control = b->launched ? &b->control : NULL,
		.envp = envp,
		.gateway = {.loop = &b->loop,
			.socket_path = b->socket_path,
			.stop = &b->reaper.stop_signal,
			.reply_timeout_ms =
				number_in(timeout, LLM_TIMEOUT_S, LLM_TIMEOUT_MAX_S) * 1000},
		.speaker = {.agent_id = env_get(envp, "AEGIS_AGENT_ID", ""),
			.execution_id = b->launched ? b->start.execution_id
						    : env_get(envp, "AEGIS_EXECUTION_ID", ""),
			.model_alias = env_get(envp, "AEGIS_MODEL_ALIAS", "default"),
			.iteration = b->launched ? b->start.iteration
						 : number_in(iteration, 1, INT32_MAX)}};
}

/* What both kinds of life need before anything is run. */
static int open_services(struct bootstrap *b)
{
	int r = reaper_init(&b->reaper, &b->loop);

	if (r == 0)
		r = relay_start(&b->loop, b->socket_path, &b->relay);
	if (r == 0)
		snprintf(b->url, sizeof(b->url), "AEGIS_ORCHESTRATOR_URL=http://127.0.0.1:%u",
			(unsigned)relay_port(b->relay));
	return err_trace(r);
}

static int own_environment(struct bootstrap *b, char *const *base)
{
	char *additions[] = {b->url, NULL};

	return err_trace(env_merge(base, additions, &b->envp));
}

static int end_status(const struct bootstrap *b, int r)
{
	return b->reaper.stop_signal && r <= 0 ? 128 + b->reaper.stop_signal : err_trace(r);
}

/* ---- outside a sandbox ---- */

static int run_outside(struct bootstrap *b)
{
	int r = open_services(b);

	if (r == 0)
		r = own_environment(b, environ);
	if (r < 0)
		return err_trace(r);
	struct agent agent = agent_of(b);
	r = b->prompt ? agent_generate(&agent, b->prompt) : agent_program(&agent, b->program);
	return end_status(b, r);
}

/* ---- in a sandbox ---- */

static int set_limits(const struct start *s)
{
	const struct {
		__rlimit_resource_t resource;
		uint64_t v;
	} rows[] = {
		{RLIMIT_NOFILE, s->open_files},
		{RLIMIT_FSIZE, s->file_bytes},
		{RLIMIT_NPROC, s->pids},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct rlimit l = {rows[i].v, rows[i].v};
		if (setrlimit(rows[i].resource, &l) < 0)
			return err_sys(-errno, "set a resource limit");
	}
	return 0;
}

/* Connected before the program runs, so that no connection of its own can come first. */
static int connect_stdio(struct bootstrap *b, struct call_spec *spec)
{
	int fd, r = connect_unix(b->socket_path, &fd);

	if (r < 0)
		return err_trace(r);
	if (fcntl(fd, F_SETFL, 0) < 0) /* programs expect to block there */
		return err_sys(-errno, "the socket of standard input and output");
	spec->stdio_fd = fd;
	return 0;
}

/* In the child that waits. What it confines is itself; what it reads is there for both. */
static int await_start(void *arg, struct call_spec *ret)
{
	struct bootstrap *b = arg;
	int r = control_wait_start(&b->control, &b->start);

	if (r != 0)
		return r;
	if ((r = landlock_enter(landlock_call, b->ruleset, 1)) < 0)
		return err_sys(r, "Landlock");
	r = set_limits(&b->start);
	if (r == 0)
		r = own_environment(b, b->start.envp);
	if (r < 0)
		return err_trace(r);
	char *const *argv = b->start.argv;
	if (argv[0] && strcmp(argv[0], "aegis-bootstrap") == 0)
		b->prompt = argv[1] ? argv[1] : "";
	if (!argv[0] || b->prompt)
		return NO_PROGRAM;
	*ret = agent_program_spec(argv, b->envp, LAUNCH_WORKSPACE);
	return *env_get(b->envp, LAUNCH_STDIO, "") ? connect_stdio(b, ret) : 0;
}

static int idle(struct bootstrap *b)
{
	int r = 0;

	while (r == 0 && !b->reaper.stop_signal)
		r = loop_step(&b->loop, INT64_MAX);
	return err_trace(r);
}

/* The order is launch.h's. */
static int enter_sandbox(struct bootstrap *b)
{
	for (int fd = LAUNCH_FD_CONTROL; fd < LAUNCH_FD_END; fd++)
		if (fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
			return err_sys(-errno, "descriptor %d of the launch", fd);
	b->launched = true;
	b->socket_path = LAUNCH_SOCKET_PATH;
	int r = landlock_begin(landlock_call, &b->ruleset);
	if (r < 0)
		return err_sys(r, "Landlock");
	r = control_init(&b->control, &b->loop, LAUNCH_FD_CONTROL);
	if (r == 0)
		r = open_services(b);
	return err_trace(r);
}

/* Behind the socket of such a program stands the daemon as its client: nobody relays there. */
static int open_inlet(struct bootstrap *b)
{
	const char *port = env_get(b->envp, LAUNCH_SERVES, "");
	int64_t n;

	if (!*port)
		return 0;
	if (span_to_i64(span_cstr(port), &n) < 0 || n < 1 || n > UINT16_MAX)
		return err_raise(-EINVAL, LAUNCH_SERVES " '%s': a port is expected", port);
	relay_stop(b->relay);
	b->relay = NULL;
	return err_trace(inlet_start(&b->loop, b->socket_path, (uint16_t)n, &b->inlet));
}

static int run_launched(struct bootstrap *b)
{
	struct call_waiting program = {0};
	int r = enter_sandbox(b);

	if (r == 0)
		r = call_await(&program, await_start, b);
	if (r < 0 || r == CONTROL_CLOSED)
		return r < 0 ? err_trace(r) : 0;
	bool runs = r != NO_PROGRAM;
	if ((r = landlock_enter(landlock_call, b->ruleset, 0)) < 0)
		return err_sys(r, "Landlock");
	fd_cleanup(&b->ruleset);
	control_listen(&b->control);
	if (runs && (r = open_inlet(b)) < 0)
		return err_trace(r);
	struct agent agent = agent_of(b);
	r = runs            ? agent_program_started(&agent, &program)
		: b->prompt ? agent_generate(&agent, b->prompt)
			    : idle(b);
	return end_status(b, r);
}

int main(int argc, char **argv)
{
	static struct bootstrap b = {.ruleset = -1};
	int r;

	/* Before anything else exists that could be read. */
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return 1;
	if (argc == 2 && explain(argv[1]))
		return 0;
	if (argc > 1 && read_arguments(&b, argc, argv) < 0) {
		fputs("aegis-bootstrap: these arguments are not accepted; see aegis-bootstrap "
		      "--help\n",
			stderr);
		return 2;
	}
	r = argc > 1 ? run_outside(&b) : run_launched(&b);
	if (r < 0)
		fprintf(stderr, "Error: %s\n", err_message(r));
	inlet_stop(b.inlet);
	relay_stop(b.relay);
	control_fini(&b.control);
	start_fini(&b.start);
	free(b.envp);
	return r < 0 ? 1 : r;
}
