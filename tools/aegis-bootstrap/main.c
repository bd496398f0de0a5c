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
#include "daemon/helper/landlock.h"
#include "tools/aegis-bootstrap/agent.h"
#include "tools/aegis-bootstrap/relay.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

extern char **environ;

enum { LLM_TIMEOUT_S = 300, LLM_TIMEOUT_MAX_S = 24 * 3600 };

struct bootstrap {
	struct loop loop;
	struct reaper reaper;
	struct control control;
	struct start start; /* in a sandbox of the helper's */
	bool launched; /* by the helper */
	const char *socket_path;
	const char *prompt; /* NULL: `program` */
	char *const *program; /* NULL with no prompt: nothing to run */
	char *const *envp;
};

static long landlock_call(long number, long a, long b, long c, long d)
{
	long r = syscall(number, a, b, c, d);

	return r < 0 ? -errno : r;
}

/* ---- finding out what to do ---- */

static const char usage[] =
	"usage: aegis-bootstrap --socket PATH PROMPT\n"
	"       aegis-bootstrap --socket PATH --program PROGRAM [ARGUMENT...]\n"
	"\n"
	"Runs one iteration of an agent against the dispatch gateway behind the Unix socket PATH:\n"
	"the built-in agent with PROMPT, or the agent's own PROGRAM. The environment tells the "
	"rest:\n"
	"AEGIS_EXECUTION_ID, AEGIS_AGENT_ID, AEGIS_ITERATION, AEGIS_MODEL_ALIAS,\n"
	"AEGIS_LLM_TIMEOUT_SECONDS. Without arguments it expects to be started by aegis-helper.\n";

static int read_arguments(struct bootstrap *b, int argc, char **argv)
{
	if (argc < 4 || strcmp(argv[1], "--socket") != 0)
		return -EINVAL;
	b->socket_path = argv[2];
	b->envp = environ;
	if (strcmp(argv[3], "--program") == 0) {
		b->program = argc > 4 ? &argv[4] : NULL;
		return b->program ? 0 : -EINVAL;
	}
	b->prompt = argv[3];
	return argc == 4 ? 0 : -EINVAL;
}

/* The order is launch.h's. */
static int enter_sandbox(struct bootstrap *b)
{
	for (int fd = LAUNCH_FD_CONTROL; fd < LAUNCH_FD_END; fd++)
		if (fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
			return err_sys(-errno, "descriptor %d of the launch", fd);
	int r = control_init(&b->control, &b->loop, LAUNCH_FD_CONTROL);
	if (r == 0)
		r = control_wait_start(&b->control, &b->start);
	if (r != 0)
		return err_trace(r);
	if ((r = landlock_confine(landlock_call)) < 0)
		return err_sys(r, "Landlock");
	b->launched = true;
	b->socket_path = LAUNCH_SOCKET_PATH;
	b->envp = b->start.envp;
	b->program = b->start.argv[0] ? b->start.argv : NULL;
	if (b->program && strcmp(b->program[0], "aegis-bootstrap") == 0) {
		b->prompt = b->program[1] ? b->program[1] : "";
		b->program = NULL;
	}
	return 0;
}

/* ---- doing it ---- */

static int64_t number_in(const char *text, int64_t otherwise, int64_t max)
{
	int64_t n;

	return span_to_i64(span_cstr(text), &n) == 0 && n >= 1 && n <= max ? n : otherwise;
}

static struct agent agent_of(struct bootstrap *b, char *const *envp)
{
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

static int idle(struct bootstrap *b)
{
	int r = 0;

	while (r == 0 && !b->reaper.stop_signal)
		r = loop_step(&b->loop, INT64_MAX);
	return err_trace(r);
}

static int run(struct bootstrap *b)
{
	char url[64], *additions[] = {url, NULL}, **envp = NULL;
	struct relay *relay = NULL;
	int r = reaper_init(&b->reaper, &b->loop);

	if (r == 0)
		r = relay_start(&b->loop, b->socket_path, &relay);
	if (r < 0)
		return err_trace(r);
	snprintf(url, sizeof(url), "AEGIS_ORCHESTRATOR_URL=http://127.0.0.1:%u",
		(unsigned)relay_port(relay));
	r = env_merge(b->envp, additions, &envp);
	if (r == 0) {
		struct agent agent = agent_of(b, envp);
		r = b->prompt        ? agent_generate(&agent, b->prompt)
			: b->program ? agent_program(&agent, b->program)
				     : idle(b);
	}
	relay_stop(relay);
	free(envp);
	if (b->reaper.stop_signal && r <= 0)
		r = 128 + b->reaper.stop_signal;
	return err_trace(r);
}

int main(int argc, char **argv)
{
	static struct bootstrap b;
	int r;

	/* Before anything else exists that could be read. */
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return 1;
	if (argc > 1 && read_arguments(&b, argc, argv) < 0) {
		fputs(usage, stderr);
		return 2;
	}
	r = argc > 1 ? 0 : enter_sandbox(&b);
	if (r == CONTROL_CLOSED)
		return 0;
	if (r == 0)
		r = run(&b);
	if (r < 0)
		fprintf(stderr, "Error: %s\n", err_message(r));
	control_fini(&b.control);
	start_fini(&b.start);
	return r < 0 ? 1 : r;
}
