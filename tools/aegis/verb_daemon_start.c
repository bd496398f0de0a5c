/* SPDX-License-Identifier: AGPL-3.0-only */
#include "tools/aegis/client.h"
#include "tools/aegis/daemon_plan.h"
#include "tools/aegis/verbs.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { HELPER_WAIT_MS = 10000, AEGISD_WAIT_MS = 60000, POLL_MS = 20 };

static void pause_ms(long ms)
{
	const struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L};
	nanosleep(&t, NULL);
}

/* ---- one detached process ---- */

static int open_log(const struct daemon_plan *p, enum daemon_name which)
{
	char path[1200];
	daemon_log_path(p, which, path, sizeof(path));
	int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0640);
	if (fd < 0)
		cli_fail(CLI_INTERNAL, "%s: %s", path, strerror(errno));
	return fd;
}

static int write_pid(const struct daemon_plan *p, enum daemon_name which, pid_t pid)
{
	char path[1200], text[24];
	daemon_pid_path(p, which, path, sizeof(path));
	snprintf(text, sizeof(text), "%d\n", pid);
	int r = fd_replace_file(path, span_cstr(text), 0644);
	return r < 0 ? cli_fail_errno(r) : CLI_OK;
}

/* In the child, between fork and exec. */
static _Noreturn void become(const char *const *argv, int log)
{
	int null = open("/dev/null", O_RDONLY);
	setsid();
	if (null >= 0)
		dup2(null, STDIN_FILENO);
	dup2(log, STDOUT_FILENO);
	dup2(log, STDERR_FILENO);
	if (chdir("/") == 0)
		execv(argv[0], (char *const *)argv);
	fprintf(stderr, "%s: %s\n", argv[0], strerror(errno));
	_exit(127);
}

static int spawn(const struct daemon_plan *p, enum daemon_name which, pid_t *ret)
{
	char program[4200], bootstrap[4200];
	const char *argv[DAEMON_ARGS_MAX];
	if (!daemon_program(p, daemon_names[which], program, sizeof(program)) ||
		!daemon_program(p, "aegis-bootstrap", bootstrap, sizeof(bootstrap)))
		return cli_fail(CLI_NOT_FOUND,
			"%s and aegis-bootstrap are neither beside this "
			"program nor in PATH",
			daemon_names[which]);
	daemon_args(p, which, program, bootstrap, argv);
	AUTO_FD log = open_log(p, which);
	if (log < 0)
		return CLI_INTERNAL;
	*ret = fork();
	if (*ret == 0)
		become(argv, log);
	return *ret < 0 ? cli_fail(CLI_INTERNAL, "fork: %s", strerror(errno))
			: write_pid(p, which, *ret);
}

/* What the pid file says now. */
static void read_pid(const struct daemon_plan *p, enum daemon_name which, struct buf *ret)
{
	char path[1200];
	daemon_pid_path(p, which, path, sizeof(path));
	if (fd_read_file(path, ret) < 0)
		err_clear();
}

/* A start that came to nothing leaves the pid file as it was: another process may be named there,
 * which is perhaps why. */
static void put_pid_back(const struct daemon_plan *p, enum daemon_name which, const struct buf *was)
{
	char path[1200];
	daemon_pid_path(p, which, path, sizeof(path));
	if (!was->len)
		unlink(path);
	else if (fd_replace_file(path, buf_view(was), 0644) < 0)
		err_clear();
}

/* What a process that did not come up said last. */
static int not_up(
	const struct daemon_plan *p, enum daemon_name which, size_t log_began, const char *how)
{
	char path[1200];
	struct buf log CLEANUP(buf_fini) = buf_init(16 << 20);
	daemon_log_path(p, which, path, sizeof(path));
	if (fd_read_file(path, &log) < 0)
		err_clear();
	size_t from = log.len, lines = 0;
	while (from > MIN(log_began, log.len) && lines <= 5)
		lines += log.data[--from] == '\n';
	fprintf(stderr, SPAN_FMT, SPAN_ARG(span_trim(span_of(log.data + from, log.len - from))));
	fputc('\n', stderr);
	return cli_fail(CLI_INTERNAL, "%s %s; see %s", daemon_names[which], how, path);
}

/* How long the log is before a start: what is older is not about it. */
static size_t log_bytes(const struct daemon_plan *p, enum daemon_name which)
{
	char path[1200];
	struct stat st;
	daemon_log_path(p, which, path, sizeof(path));
	return stat(path, &st) < 0 ? 0 : (size_t)st.st_size;
}

static bool has_exited(pid_t pid)
{
	int status;
	return pid > 0 && waitpid(pid, &status, WNOHANG) == pid;
}

/* ---- the two in order ---- */

static int prepare_folders(const struct daemon_plan *p)
{
	int r = fd_make_dirs(p->run_dir, 0755);
	if (r == 0)
		r = fd_make_dirs(p->state_dir, 0755);
	return r < 0 ? cli_fail_errno(r) : CLI_OK;
}

/* *ret is its pid if this call started it, else 0. */
static int start_helper(const struct daemon_plan *p, pid_t *ret)
{
	struct buf was CLEANUP(buf_fini) = buf_init(64);
	pid_t pid = 0;
	size_t began = log_bytes(p, DAEMON_HELPER);
	if (daemon_running(p, DAEMON_HELPER, NULL))
		return CLI_OK;
	/* A socket of a dead one says nothing about the new one. */
	unlink(p->helper_socket);
	read_pid(p, DAEMON_HELPER, &was);
	int code = spawn(p, DAEMON_HELPER, &pid);
	for (int waited = 0; code == CLI_OK; waited += POLL_MS) {
		if (access(p->helper_socket, F_OK) == 0) {
			*ret = pid;
			return CLI_OK;
		}
		if (has_exited(pid)) {
			put_pid_back(p, DAEMON_HELPER, &was);
			return not_up(p, DAEMON_HELPER, began, "ended at once");
		}
		if (waited > HELPER_WAIT_MS)
			return not_up(p, DAEMON_HELPER, began, "does not come up");
		pause_ms(POLL_MS);
	}
	return code;
}

static bool answers(const struct cli *c)
{
	struct arena *a CLEANUP(arena_cleanup) = arena_new(LIMIT_JSON_BYTES);
	struct client *client CLEANUP(client_cleanup) = NULL;
	struct cli by_socket = *c;
	const struct json *v;
	const struct client_request q = {
		.method = "GET", .path = "/health", .timeout_ms = 2000, .quiet_if_away = true};
	by_socket.host = by_socket.port = NULL;
	return a && client_open(&by_socket, &client) == CLI_OK &&
		client_call(client, &q, a, &v) == CLI_OK;
}

static int start_aegisd(const struct daemon_plan *p, const struct cli *c)
{
	struct buf was CLEANUP(buf_fini) = buf_init(64);
	pid_t pid = 0;
	size_t began = log_bytes(p, DAEMON_AEGISD);
	read_pid(p, DAEMON_AEGISD, &was);
	int code = spawn(p, DAEMON_AEGISD, &pid);
	for (int waited = 0; code == CLI_OK; waited += POLL_MS) {
		if (access(p->api_socket, F_OK) == 0 && answers(c)) {
			printf("aegisd is up (%d), its door is %s\n", pid, p->api_socket);
			return CLI_OK;
		}
		if (has_exited(pid)) {
			put_pid_back(p, DAEMON_AEGISD, &was);
			return not_up(p, DAEMON_AEGISD, began, "ended at once");
		}
		if (waited > AEGISD_WAIT_MS)
			return not_up(p, DAEMON_AEGISD, began, "does not answer");
		pause_ms(POLL_MS);
	}
	return code;
}

static int stay(const struct daemon_plan *p)
{
	char program[4200];
	const char *argv[DAEMON_ARGS_MAX];
	if (!daemon_program(p, "aegisd", program, sizeof(program)))
		return cli_fail(CLI_NOT_FOUND, "aegisd is neither beside this program nor in PATH");
	daemon_args(p, DAEMON_AEGISD, program, NULL, argv);
	int code = write_pid(p, DAEMON_AEGISD, getpid());
	if (code)
		return code;
	fflush(stdout);
	execv(argv[0], (char *const *)argv);
	return cli_fail(CLI_INTERNAL, "%s: %s", program, strerror(errno));
}

static int start(const struct cli *c, const struct daemon_plan *p, bool foreground)
{
	pid_t pid = daemon_running(p, DAEMON_AEGISD, NULL);
	if (pid) {
		printf("aegisd runs already (%d)\n", pid);
		return CLI_OK;
	}
	if (geteuid() != 0)
		return cli_fail(CLI_DENIED,
			"the helper makes sandboxes and needs root: sudo aegis daemon start");
	pid_t helper = 0;
	int code = prepare_folders(p);
	if (code == CLI_OK)
		code = start_helper(p, &helper);
	if (code == CLI_OK)
		code = foreground ? stay(p) : start_aegisd(p, c);
	/* A power that nobody uses is not left behind. */
	if (code && helper) {
		kill(helper, SIGTERM);
		(void)!waitpid(helper, NULL, 0);
	}
	return code;
}

static int run(struct cli *c)
{
	static const char *const units[] = {
		"start", "aegis-helper.service", "aegisd.service", NULL};
	bool foreground = c->verb == &verb_daemon_start && cli_value(c, "foreground");
	if (!foreground && daemon_has_systemd() && daemon_unit_installed())
		return daemon_systemctl(units);
	/* The daemon reads the same variables. */
	if (c->log_level)
		setenv("AEGIS_LOG_LEVEL", c->log_level, 1);
	if (c->port)
		setenv("AEGIS_PORT", c->port, 1);
	struct daemon_plan p;
	int code = daemon_plan_open(&p, c);
	if (code == CLI_OK && c->verb == &verb_daemon_start)
		code = daemon_plan_range(&p, c);
	if (code == CLI_OK)
		code = start(c, &p, foreground);
	daemon_plan_close(&p);
	return code;
}

static const struct cli_option options[] = {
	{"foreground", 0, NULL, "Stay, and log to the terminal", NULL},
	DAEMON_NETWORK_OPTION,
	DAEMON_OPTIONS,
	{NULL, 0, NULL, NULL, NULL},
};

const struct verb verb_daemon_start = {
	.group = "daemon",
	.name = "start",
	.arguments = "",
	.options = options,
	.summary = "Start the daemon",
	.help = "Starts aegis-helper, which needs root, and then aegisd, which drops it, and "
		"returns when\n"
		"the daemon answers. Where the systemd units are installed, systemd starts them.\n"
		"`aegis --daemon` does the same. aegisd runs as the user aegis, or as 64220 if "
		"there\n"
		"is none. Logs are aegis-helper.log and aegisd.log in the state directory. With\n"
		"--foreground only aegisd stays; `aegis daemon stop` ends the helper, too.",
	.examples = "sudo aegis daemon start\n"
		    "sudo aegis daemon start --config /etc/aegis/config.yaml\n"
		    "sudo aegis daemon start --network-range 10.231.0.0/19\n"
		    "sudo aegis daemon start --foreground",
	.run = run,
};
