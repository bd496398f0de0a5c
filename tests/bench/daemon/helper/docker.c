/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * `docker run` of the stamp program, by an engine of the benchmark's own: its directories, socket
 * and processes are below one folder and go with it; one that runs on the host is not touched.
 */
#include "tests/bench/daemon/helper/launcher.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { START_TRIES = 300, START_MS = 100 };

/* The command's exit status; what it says goes into docker.log. */
static int sh(const struct docker *d, const char *fmt, ...) PRINTF_LIKE(2, 3);
static int sh(const struct docker *d, const char *fmt, ...)
{
	char command[2048], whole[2304];
	va_list args;
	va_start(args, fmt);
	vsnprintf(command, sizeof(command), fmt, args);
	va_end(args);
	snprintf(whole, sizeof(whole), "{ %s; } >>%s/docker.log 2>&1", command, d->dir);
	/* NOLINTNEXTLINE(cert-env33-c): a benchmark's own words, as root of a test machine */
	int status = system(whole);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

static void spawn_engine(struct docker *d)
{
	char log[128], host[160], data[160], exec_dir[160], pid_file[160];
	snprintf(log, sizeof(log), "%s/engine.log", d->dir);
	snprintf(host, sizeof(host), "%s", d->host);
	snprintf(data, sizeof(data), "%s/data", d->dir);
	snprintf(exec_dir, sizeof(exec_dir), "%s/exec", d->dir);
	snprintf(pid_file, sizeof(pid_file), "%s/pid", d->dir);
	d->pid = fork();
	if (d->pid != 0)
		return;
	int fd = open(log, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	dup2(fd, STDOUT_FILENO);
	dup2(fd, STDERR_FILENO);
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	execlp("dockerd", "dockerd", "--host", host, "--data-root", data, "--exec-root", exec_dir,
		"--pidfile", pid_file, "--storage-driver", "overlay2", "--bridge", "none",
		"--iptables=false", "--ip6tables=false", "--ip-forward=false", (char *)NULL);
	_exit(127);
}

static bool engine_answers(const struct docker *d)
{
	for (int i = 0; i < START_TRIES; i++) {
		if (sh(d, "docker -H %s version", d->host) == 0)
			return true;
		if (waitpid(d->pid, NULL, WNOHANG) != 0)
			return false;
		poll(NULL, 0, START_MS);
	}
	return false;
}

const char *docker_open(struct docker *d, const struct peer *p)
{
	*d = (struct docker){.pid = -1};
	if (!peer_has("dockerd") || !peer_has("docker"))
		return "no docker engine is installed";
	snprintf(d->dir, sizeof(d->dir), "/tmp/aegis-bench-XXXXXX");
	if (!mkdtemp(d->dir))
		return "no directory for a docker engine";
	snprintf(d->host, sizeof(d->host), "unix://%s/socket", d->dir);
	spawn_engine(d);
	if (!engine_answers(d))
		return "a docker engine cannot be started here";
	if (sh(d, "tar -C %s -c stamp | docker -H %s import - bench", p->stamp, d->host) != 0)
		return "the docker engine takes no image";
	return NULL;
}

double docker_run(struct docker *d, struct peer *p)
{
	char volume[128];
	snprintf(volume, sizeof(volume), "%s:/workspace", p->dir);
	char *argv[] = {"docker", "-H", d->host, "run", "--rm", "--network", "none", "--memory",
		"256m", "--pids-limit", "64", "--cpus", "1", "--cap-drop", "ALL", "--user",
		"1000:1000", "--read-only", "--volume", volume, "bench", "/stamp", NULL};
	return peer_run(p, "docker", argv);
}

void docker_close(struct docker *d)
{
	if (d->pid > 0) {
		kill(d->pid, SIGTERM);
		waitpid(d->pid, NULL, 0);
	}
	if (d->dir[0] && fd_remove_tree(AT_FDCWD, d->dir) < 0)
		fprintf(stderr, "bench sandbox: %s is left behind\n", d->dir);
}
