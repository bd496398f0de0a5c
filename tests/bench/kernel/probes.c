/* SPDX-License-Identifier: AGPL-3.0-only */
#include "tests/bench/kernel/probes.h"
#include "daemon/confine/confine.h"
#include "daemon/helper/landlock.h"
#include "tests/bench/smoke.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { RECEIVER_FD = 10, SENDER_FD = 11 };

void die(const char *what)
{
	fprintf(stderr, "bench kernel: %s: %s\n", what, strerror(errno));
	exit(1);
}

const char *probe_program(void)
{
	static char path[600];
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 32);
	if (n <= 0)
		die("/proc/self/exe");
	path[n] = '\0';
	strcpy(strrchr(path, '/') + 1, "probe");
	return path;
}

static void schedule(pid_t pid, const cpu_set_t *set, bool alone)
{
	struct sched_param fifo = {.sched_priority = 20};

	alone = alone && bench_count(1, 0); /* as a test it gets in nobody's way */
	if (sched_setaffinity(pid, sizeof(*set), set) < 0 ||
		(alone && sched_setscheduler(pid, SCHED_FIFO, &fifo) < 0))
		fprintf(stderr, "bench kernel: what is measured does not run alone (%s)\n",
			strerror(errno));
}

static size_t last_cpu(void)
{
	return (size_t)(sysconf(_SC_NPROCESSORS_ONLN) - 1);
}

void probe_pin(pid_t pid, bool alone)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(last_cpu(), &set);
	schedule(pid, &set, alone);
}

void probe_beside(void)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	for (size_t i = 0; i < last_cpu(); i++)
		CPU_SET(i, &set);
	if (last_cpu() > 0)
		schedule(0, &set, true);
}

static long raw_call(long number, long a, long b, long c, long d)
{
	long r = syscall(number, a, b, c, d);
	return r < 0 ? -errno : r;
}

static void confine(const struct seccomp_program *program)
{
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || landlock_confine(raw_call) < 0)
		die("Landlock");
	if (seccomp_program_load(program) < 0)
		die("seccomp");
}

static void enter(const char *cgroup)
{
	char path[256];
	snprintf(path, sizeof(path), "%s/cgroup.procs", cgroup);
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, "0", 1) != 1)
		die(path);
	close(fd);
}

/* Made before the cgroup is entered, so that they are the outside's. */
static void open_outside(void)
{
	struct sockaddr_in own = {.sin_family = AF_INET};
	int receiver = socket(AF_INET, SOCK_DGRAM, 0), sender;

	inet_pton(AF_INET, PROBE_ADDRESS, &own.sin_addr);
	if (bind(receiver, (struct sockaddr *)&own, sizeof(own)) < 0)
		die("bind " PROBE_ADDRESS);
	sender = socket(AF_INET, SOCK_DGRAM, 0);
	if (bind(sender, (struct sockaddr *)&own, sizeof(own)) < 0)
		die("bind " PROBE_ADDRESS);
	if (dup2(receiver, RECEIVER_FD) < 0 || dup2(sender, SENDER_FD) < 0)
		die("dup2");
}

/* In the child, standard input and output are the pipes. */
static bool fork_probe(struct probe *p)
{
	int to[2], from[2];

	if (pipe2(to, O_CLOEXEC) < 0 || pipe2(from, O_CLOEXEC) < 0)
		die("pipe");
	p->pid = fork();
	if (p->pid < 0)
		die("fork");
	if (p->pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(to[0], STDIN_FILENO);
		dup2(from[1], STDOUT_FILENO);
		return true;
	}
	close(to[0]);
	close(from[1]);
	p->to = to[1];
	p->from = from[0];
	return false;
}

void probe_start(struct probe *p, unsigned place, const char *cgroup)
{
	struct seccomp_program program = {0};
	char receiver[16], sender[16], *argv[] = {"probe", PROBE_ADDRESS, receiver, sender, NULL};

	snprintf(receiver, sizeof(receiver), "%d", RECEIVER_FD);
	snprintf(sender, sizeof(sender), "%d", SENDER_FD);
	if (place & PROBE_CONFINED && seccomp_policy_build(&program) < 0)
		die("the system call policy");
	if (fork_probe(p)) {
		const char *path = probe_program();
		open_outside();
		probe_pin(0, true);
		if (place & PROBE_IN_CGROUP)
			enter(cgroup);
		if (place & PROBE_CONFINED)
			confine(&program);
		execv(path, argv);
		die(path);
	}
	seccomp_program_fini(&program);
}

void probe_spawn(struct probe *p, char *const argv[])
{
	if (fork_probe(p)) {
		execvp(argv[0], argv);
		_exit(127);
	}
}

void probe_stop(struct probe *p)
{
	close(p->to);
	close(p->from);
	waitpid(p->pid, NULL, 0);
}

double probe_ns(struct probe *p, const char *operation, long count)
{
	char line[64];
	size_t n = 0;

	snprintf(line, sizeof(line), "%s %ld\n", operation, count);
	if (write(p->to, line, strlen(line)) != (ssize_t)strlen(line))
		die("a probe ended");
	while (n == 0 || line[n - 1] != '\n') {
		ssize_t r = read(p->from, line + n, sizeof(line) - 1 - n);
		if (r <= 0)
			die("a probe ended");
		n += (size_t)r;
	}
	line[n] = '\0';
	return line[0] == '-' ? -1 : strtod(line, NULL) / (double)count;
}

/* ---- figures ---- */

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return x < y ? -1 : x > y;
}

void sample_add(struct sample *s, double ns)
{
	CHECK(s->count < FIGURE_ROUNDS_MAX);
	s->ns[s->count++] = ns;
}

double percentile(double *values, size_t count, double part)
{
	qsort(values, count, sizeof(values[0]), compare);
	size_t at = (size_t)((double)count * part);
	return values[MIN(at, count - 1)];
}

double sample_best(const struct sample *s)
{
	struct sample sorted = *s;
	return percentile(sorted.ns, (size_t)sorted.count, 0);
}

double sample_median(const struct sample *s)
{
	struct sample sorted = *s;
	return percentile(sorted.ns, (size_t)sorted.count, 0.5);
}

void figure(const char *name, double value, const char *unit, const char *peer, double peer_value,
	const char *target, bool met)
{
	printf("{\"area\":\"kernel\",\"name\":\"%s\",\"value\":%.4g,\"unit\":\"%s\"", name, value,
		unit);
	if (peer)
		printf(",\"peer\":\"%s\",\"peer_value\":%.4g", peer, peer_value);
	if (target)
		printf(",\"target\":\"%s\",\"met\":%s", target, met ? "true" : "false");
	printf("}\n");
	fflush(stdout);
}

void figure_absent(const char *name, const char *unit, const char *why)
{
	printf("{\"area\":\"kernel\",\"name\":\"%s\",\"value\":null,\"unit\":\"%s\","
	       "\"peer\":\"absent: %s\"}\n",
		name, unit, why);
	fflush(stdout);
}
