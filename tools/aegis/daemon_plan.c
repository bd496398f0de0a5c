/* SPDX-License-Identifier: AGPL-3.0-only */
#include "tools/aegis/daemon_plan.h"
#include "tools/aegis/config_source.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { NUMERIC_ID = 64220 }; /* where there is no user `aegis`; from Debian's reserved range */

const char *const daemon_names[] = {"aegis-helper", "aegisd"};

static void find_self(struct daemon_plan *p)
{
	ssize_t n = readlink("/proc/self/exe", p->bin, sizeof(p->bin) - 1);
	p->bin[n > 0 ? n : 0] = '\0';
	char *slash = strrchr(p->bin, '/');
	if (slash)
		*slash = '\0';
}

static void find_ids(struct daemon_plan *p)
{
	const struct passwd *pw = getpwnam("aegis");
	p->uid = pw ? pw->pw_uid : NUMERIC_ID;
	p->gid = pw ? pw->pw_gid : NUMERIC_ID;
	snprintf(p->user, sizeof(p->user), "%u:%u", p->uid, p->gid);
	snprintf(p->uid_text, sizeof(p->uid_text), "%u", p->uid);
	snprintf(p->gid_text, sizeof(p->gid_text), "%u", p->gid);
}

static int take_config(struct daemon_plan *p, const struct cli *c)
{
	struct config_source s;
	int code = config_source_open(&s, c, NULL, true);
	if (code == CLI_INVALID)
		cli_fail(code, "%s is not valid; see: aegis config validate", s.path);
	if (code == CLI_OK) {
		p->api_socket = config_socket_path(s.config);
		snprintf(p->slots, sizeof(p->slots), "%lld:%lld",
			(long long)s.config->sandbox.uid_first,
			(long long)s.config->sandbox.uid_count);
		p->grace_ms = s.config->daemon.shutdown_grace_ns / NS_PER_MS;
		if (s.path && !realpath(s.path, p->config_path))
			code = cli_fail(CLI_NOT_FOUND, "%s: %s", s.path, strerror(errno));
	}
	config_source_close(&s);
	return code;
}

static int take_folder(
	const struct cli *c, const char *option, const char *otherwise, char *ret, size_t size)
{
	const char *value = cli_value(c, option);
	if (!value)
		value = otherwise;
	if (*value != '/' || strlen(value) >= size)
		return cli_fail(
			CLI_INVALID, "--%s %s: an absolute path is accepted", option, value);
	snprintf(ret, size, "%s", value);
	return CLI_OK;
}

int daemon_plan_open(struct daemon_plan *p, const struct cli *c)
{
	*p = (struct daemon_plan){0};
	find_self(p);
	find_ids(p);
	int code = take_folder(c, "run-dir", "/run/aegis-helper", p->run_dir, sizeof(p->run_dir));
	if (code == CLI_OK)
		code = take_folder(c, "state-dir", "/var/lib/aegis-helper", p->state_dir,
			sizeof(p->state_dir));
	if (code == CLI_OK)
		code = take_config(p, c);
	snprintf(p->helper_socket, sizeof(p->helper_socket), "%s/helper.sock", p->run_dir);
	snprintf(p->runtimes, sizeof(p->runtimes), "%s/runtimes", p->state_dir);
	return code;
}

/* The helper looks closer; what is not even the form of it is said before anything is started. */
int daemon_plan_range(struct daemon_plan *p, const struct cli *c)
{
	const char *value = cli_value(c, "network-range");
	struct span s = span_cstr(value ? value : "");
	if (value && (!span_ends(s, SPAN("/19")) || s.n >= sizeof(p->network_range)))
		return cli_fail(CLI_INVALID,
			"--network-range %s: the base address of a /19 is accepted, such as "
			"10.231.0.0/19",
			value);
	snprintf(p->network_range, sizeof(p->network_range), SPAN_FMT, SPAN_ARG(s));
	return CLI_OK;
}

void daemon_plan_close(struct daemon_plan *p)
{
	free(p->api_socket);
}

/* ---- programs ---- */

static bool in_path(const char *name, char *ret, size_t size)
{
	const char *path = getenv("PATH");
	struct span rest = span_cstr(path ? path : "/usr/sbin:/usr/bin"), folder;
	bool done = false;
	while (span_split(&rest, ':', &done, &folder)) {
		snprintf(ret, size, SPAN_FMT "/%s", SPAN_ARG(folder), name);
		if (folder.n && access(ret, X_OK) == 0)
			return true;
	}
	return false;
}

bool daemon_program(const struct daemon_plan *p, const char *name, char *ret, size_t size)
{
	static const char *const places[] = {"", "/../libexec/aegis", "/../lib/aegis"};
	for (size_t i = 0; i < ARRAY_LEN(places); i++) {
		snprintf(ret, size, "%s%s/%s", p->bin, places[i], name);
		if (access(ret, X_OK) == 0)
			return true;
	}
	return in_path(name, ret, size);
}

void daemon_args(const struct daemon_plan *p, enum daemon_name which, const char *program,
	const char *bootstrap, const char *ret[DAEMON_ARGS_MAX])
{
	size_t n = 0;
	ret[n++] = program;
	if (which == DAEMON_AEGISD) {
		ret[n++] = "--user";
		ret[n++] = p->user;
		ret[n++] = "--helper-socket";
		ret[n++] = p->helper_socket;
		ret[n++] = "--runtimes";
		ret[n++] = p->runtimes;
		if (*p->config_path) {
			ret[n++] = "--config";
			ret[n++] = p->config_path;
		}
	} else {
		ret[n++] = "--uid";
		ret[n++] = p->uid_text;
		ret[n++] = "--gid";
		ret[n++] = p->gid_text;
		ret[n++] = "--slots";
		ret[n++] = p->slots;
		ret[n++] = "--bootstrap";
		ret[n++] = bootstrap;
		ret[n++] = "--run-dir";
		ret[n++] = p->run_dir;
		ret[n++] = "--state-dir";
		ret[n++] = p->state_dir;
		if (*p->network_range) {
			ret[n++] = "--network-range";
			ret[n++] = p->network_range;
		}
	}
	ret[n] = NULL;
}

/* ---- processes ---- */

void daemon_pid_path(const struct daemon_plan *p, enum daemon_name which, char *ret, size_t size)
{
	snprintf(ret, size, "%s/%s.pid", p->run_dir, daemon_names[which]);
}

void daemon_log_path(const struct daemon_plan *p, enum daemon_name which, char *ret, size_t size)
{
	snprintf(ret, size, "%s/%s.log", p->state_dir, daemon_names[which]);
}

static bool has_comm(pid_t pid, const char *name)
{
	char path[64];
	struct buf text CLEANUP(buf_fini) = buf_init(64);

	snprintf(path, sizeof(path), "/proc/%d/comm", pid);
	bool same = fd_read_file(path, &text) == 0 && span_is(span_trim(buf_view(&text)), name);
	err_clear();
	return same;
}

/* Base name of the program that runs as pid. One that was replaced counts too, whatever it was
 * called when it was put out of the way. */
static bool runs_program(pid_t pid, const char *name)
{
	char link[64], exe[PATH_MAX];
	snprintf(link, sizeof(link), "/proc/%d/exe", pid);
	ssize_t n = readlink(link, exe, sizeof(exe) - 1);
	if (n <= 0)
		return false;
	exe[n] = '\0';
	char *deleted = strstr(exe, " (deleted)");
	if (deleted)
		*deleted = '\0';
	const char *base = strrchr(exe, '/');
	return (base && strcmp(base + 1, name) == 0) || (deleted && has_comm(pid, name));
}

pid_t daemon_running(const struct daemon_plan *p, enum daemon_name which, int *ret_pidfd)
{
	char path[1200];
	struct buf text CLEANUP(buf_fini) = buf_init(64);
	uint64_t pid = 0;
	daemon_pid_path(p, which, path, sizeof(path));
	bool known = fd_read_file(path, &text) == 0 &&
		span_to_u64(span_trim(buf_view(&text)), &pid) == 0 && pid > 0 && pid < INT32_MAX;
	err_clear();
	if (!known)
		return 0;
	/* First the descriptor, then the look: what it refers to cannot change any more. */
	int pidfd = (int)syscall(SYS_pidfd_open, (pid_t)pid, 0);
	if (pidfd < 0)
		return 0;
	bool ours = runs_program((pid_t)pid, daemon_names[which]);
	if (ours && ret_pidfd)
		*ret_pidfd = pidfd;
	else
		close(pidfd);
	return ours ? (pid_t)pid : 0;
}
