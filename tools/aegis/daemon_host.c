/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * What a node shares with its host and no pid file tells: the units of systemd, and the cgroup in
 * which sandboxes live outside of both processes.
 */
#include "tools/aegis/daemon_plan.h"
#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <time.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#define SANDBOXES "aegis-sandboxes" /* the helper's default; no option of ours changes it */

enum { EMPTY_WAIT_MS = 5000, POLL_MS = 20 };

/* ---- systemd ---- */

bool daemon_has_systemd(void)
{
	return access("/run/systemd/system", F_OK) == 0;
}

bool daemon_unit_installed(void)
{
	return access("/etc/systemd/system/aegisd.service", F_OK) == 0 ||
		access("/lib/systemd/system/aegisd.service", F_OK) == 0;
}

int daemon_systemctl(const char *const *words)
{
	const char *argv[16] = {"systemctl"};
	int n = 1;
	for (; words[n - 1] && n < 15; n++)
		argv[n] = words[n - 1];
	fflush(stdout);
	pid_t pid = fork();
	if (pid == 0) {
		execvp(argv[0], (char *const *)argv);
		_exit(127);
	}
	int status = 0;
	if (pid < 0 || waitpid(pid, &status, 0) < 0 || !WIFEXITED(status) || WEXITSTATUS(status))
		return cli_fail(CLI_INTERNAL, "systemctl %s failed", words[0]);
	return CLI_OK;
}

/* The first words that a program prints; false if it fails. */
static bool answer_of(const char *const *argv, char *ret, size_t room)
{
	int ends[2], status = 0;
	if (pipe2(ends, O_CLOEXEC) < 0)
		return false;
	pid_t pid = fork();
	if (pid == 0) {
		dup2(ends[1], STDOUT_FILENO);
		execvp(argv[0], (char *const *)argv);
		_exit(127);
	}
	close(ends[1]);
	ssize_t n = pid < 0 ? -1 : read(ends[0], ret, room - 1);
	close(ends[0]);
	if (pid < 0 || waitpid(pid, &status, 0) < 0 || n < 0)
		return false;
	ret[n] = '\0';
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

pid_t daemon_unit_pid(enum daemon_name which)
{
	char unit[64], answer[32] = "";
	uint64_t pid = 0;
	if (!daemon_has_systemd() || !daemon_unit_installed())
		return 0;
	snprintf(unit, sizeof(unit), "%s.service", daemon_names[which]);
	const char *const argv[] = {"systemctl", "show", "--value", "-p", "MainPID", unit, NULL};
	return answer_of(argv, answer, sizeof(answer)) &&
			span_to_u64(span_trim(span_cstr(answer)), &pid) == 0 && pid < INT32_MAX
		? (pid_t)pid
		: 0;
}

/* ---- the sandboxes' cgroup ---- */

static const char *const hierarchies[] = {"", "/unified", "/cpu", "/memory", "/pids"};

static void place(size_t hierarchy, const char *file, char ret[128])
{
	snprintf(ret, 128, "/sys/fs/cgroup%s/" SANDBOXES "%s", hierarchies[hierarchy], file);
}

static int kill_all(bool *ret_any)
{
	for (size_t i = 0; i < ARRAY_LEN(hierarchies); i++) {
		char path[128];
		place(i, "/cgroup.kill", path);
		AUTO_FD fd = open(path, O_WRONLY | O_CLOEXEC);
		if (fd < 0)
			continue;
		int r = fd_write_all(fd, SPAN("1"));
		if (r < 0)
			return cli_fail_errno(r);
		*ret_any = true;
	}
	return CLI_OK;
}

static int remove_folder(const char *path, const struct stat *st, int type, struct FTW *where)
{
	(void)st;
	(void)where;
	if (type == FTW_DP)
		rmdir(path);
	return 0;
}

/* Whether nothing stands there any more. */
static bool remove_trees(void)
{
	bool gone = true;
	for (size_t i = 0; i < ARRAY_LEN(hierarchies); i++) {
		char path[128];
		place(i, "", path);
		nftw(path, remove_folder, 8, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
		gone = gone && access(path, F_OK) != 0;
	}
	return gone;
}

void daemon_forget_sandboxes(void)
{
	for (size_t i = 0; i < ARRAY_LEN(hierarchies); i++) {
		char path[128];
		place(i, "", path);
		rmdir(path);
	}
}

/* The network namespaces that their files came through: pinned, so that a helper that is started
 * again finds them. */
static void forget_transports(void)
{
	static const char folder[] = "/run/aegis-helper/transports";
	DIR *d = opendir(folder);

	for (struct dirent *e; d && (e = readdir(d));) {
		char path[sizeof(folder) + 1 + sizeof(e->d_name)];
		if (e->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s", folder, e->d_name);
		if (umount2(path, MNT_DETACH) == 0)
			unlink(path);
	}
	if (d)
		closedir(d);
}

int daemon_kill_sandboxes(void)
{
	bool any = false;
	int code = kill_all(&any);
	if (code || !any)
		return code;
	/* Killed is not gone: the kernel takes a moment. */
	for (int waited = 0; !remove_trees(); waited += POLL_MS) {
		const struct timespec t = {.tv_nsec = POLL_MS * 1000000L};
		if (waited > EMPTY_WAIT_MS)
			return cli_fail(CLI_INTERNAL,
				"sandboxes were killed, but their cgroup " SANDBOXES
				" does not become empty");
		nanosleep(&t, NULL);
	}
	forget_transports();
	printf("sandboxes killed\n");
	return CLI_OK;
}
