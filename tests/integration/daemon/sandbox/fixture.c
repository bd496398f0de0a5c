/* SPDX-License-Identifier: AGPL-3.0-only */
#include "tests/integration/daemon/sandbox/fixture.h"
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PATIENCE_MS = 10000 };

static char dir[64], parent[64], socket_path[128];
static pid_t helper;
static const char *network_range; /* NULL: none */
static int ask = -1, answer = -1; /* of the unprivileged half */

static const char *const hierarchies[] = {"/sys/fs/cgroup", "/sys/fs/cgroup/unified",
	"/sys/fs/cgroup/cpu", "/sys/fs/cgroup/memory", "/sys/fs/cgroup/pids"};

static void die(const char *what)
{
	fprintf(stderr, "fixture: %s: %s\n", what, strerror(errno));
	_exit(1);
}

/* ---- the root half ---- */

static void start_helper(void)
{
	char program[512], bootstrap[512], run[96], state[96], uid[16], slots[32];
	const char *build = getenv("AEGIS_BUILD");

	snprintf(program, sizeof(program), "%s/bin/aegis-helper", build ? build : ".");
	snprintf(bootstrap, sizeof(bootstrap), "%s/bin/aegis-bootstrap", build ? build : ".");
	snprintf(run, sizeof(run), "%s/run", dir);
	snprintf(state, sizeof(state), "%s/state", dir);
	snprintf(uid, sizeof(uid), "%d", FIXTURE_UID);
	snprintf(slots, sizeof(slots), "%d:%d", FIXTURE_SLOT_BASE, FIXTURE_SLOTS);
	unlink(socket_path);
	helper = fork();
	if (helper == 0) {
		execl(program, program, "--uid", uid, "--gid", uid, "--slots", slots, "--bootstrap",
			bootstrap, "--run-dir", run, "--state-dir", state, "--cgroup-parent",
			parent, "--network-pool", "2", network_range ? "--network-range" : NULL,
			network_range, (char *)NULL);
		die(program);
	}
	for (int i = 0; i < PATIENCE_MS / 10 && access(socket_path, F_OK) < 0; i++)
		usleep(10000);
	if (access(socket_path, F_OK) < 0)
		die("the helper does not come up");
}

static void stop_helper(int signal_number)
{
	kill(helper, signal_number);
	while (waitpid(helper, NULL, 0) < 0 && errno == EINTR)
		;
}

/* Removes the test's cgroups; how many of a sandbox there were. */
static int sweep(void)
{
	int left = 0;

	for (size_t i = 0; i < ARRAY_LEN(hierarchies); i++) {
		char path[128];
		snprintf(path, sizeof(path), "%s/%s", hierarchies[i], parent);
		DIR *d = opendir(path);
		for (struct dirent *e; d && (e = readdir(d));)
			if (e->d_type == DT_DIR && e->d_name[0] != '.') {
				fprintf(stderr, "# left: %s/%s\n", path, e->d_name);
				left++;
			}
		if (d)
			closedir(d);
		rmdir(path);
		*strrchr(path, '/') = 0;
		rmdir(path);
	}
	return left;
}

__attribute__((noreturn)) static void serve(pid_t child, int questions, int answers)
{
	int status = 1;
	char byte;

	while (read(questions, &byte, 1) == 1) {
		stop_helper(SIGKILL);
		start_helper();
		if (write(answers, &byte, 1) != 1)
			break;
	}
	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	stop_helper(SIGTERM);
	int left = sweep();
	if (fd_remove_tree(AT_FDCWD, dir) < 0)
		die(err_message(-EIO));
	_exit(WIFEXITED(status) && WEXITSTATUS(status) == 0 && left == 0 ? 0 : 1);
}

/* ---- both ---- */

void fixture_split_with_network(const char *range)
{
	network_range = range;
	fixture_split();
}

void fixture_split(void)
{
	int questions[2], answers[2];

	snprintf(dir, sizeof(dir), "/tmp/aegis-sandbox-XXXXXX");
	if (!mkdtemp(dir) || chmod(dir, 0755) < 0)
		die("temporary directory");
	snprintf(parent, sizeof(parent), "aegis-test-%d/sandboxes", (int)getpid());
	snprintf(socket_path, sizeof(socket_path), "%s/run/helper.sock", dir);
	start_helper();
	if (pipe2(questions, O_CLOEXEC) < 0 || pipe2(answers, O_CLOEXEC) < 0)
		die("pipe");
	fflush(stdout);
	pid_t child = fork();
	if (child < 0)
		die("fork");
	if (child > 0) {
		close(questions[1]);
		close(answers[0]);
		serve(child, questions[0], answers[1]);
	}
	close(questions[0]);
	close(answers[1]);
	ask = questions[1];
	answer = answers[0];
	if (syscall(SYS_setgroups, 0, NULL) < 0 /* <grp.h> has another struct group */ ||
		setresgid(FIXTURE_UID, FIXTURE_UID, FIXTURE_UID) < 0 ||
		setresuid(FIXTURE_UID, FIXTURE_UID, FIXTURE_UID) < 0)
		die("dropping privilege");
}

const char *fixture_socket(void)
{
	return socket_path;
}

void fixture_restart_helper(void)
{
	char byte = 'r';

	if (write(ask, &byte, 1) != 1 || read(answer, &byte, 1) != 1)
		die("restart of the helper");
}

struct runtime_registry *fixture_registry(void)
{
	struct buf text CLEANUP(buf_fini) = buf_init(LIMIT_REGISTRY_BYTES);
	struct runtime_registry *r = NULL;

	if (runtime_registry_generate(&text) < 0 ||
		runtime_registry_parse(buf_view(&text), "runtimes", &r) < 0)
		die("runtime registry");
	return r;
}
