/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * From the request to the first instruction of the program in the sandbox, with all confinement
 * and limits, against bubblewrap, runc and docker run starting the same program between our runs.
 * Medians.
 *
 *  one-off     nothing else is ready: namespaces, mounts and network are made for it
 *  network     a network namespace is taken from a pool
 *  prepared    a sandbox with a waiting aegis-bootstrap is taken from a pool; the program is then
 *              started by aegis-bootstrap. In the two above the program is pid 1 itself, as it is
 *              for bubblewrap and runc. "Up to pid 1" is the helper's part of it.
 *
 * On a hybrid host joining a v1 cgroup after idleness waits for an RCU grace period (8 ms and
 * more); so the helper has some cgroups made and joined ahead there: of "network" as many as
 * network namespaces, of the others some.
 */
#include "tests/bench/daemon/helper/launcher.h"
#include "tests/bench/smoke.h"
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
	BURST = 10,
	ROUNDS = 60,
	IDLE_ROUNDS = 20,
	IDLE_MS = 50,
	POOL = 16,
	SEATS = 8, /* the default */
	LIMITS_ROUNDS = 10,
	ALIVE = 1000,
	MEMORY_POOL = 128,
	MEMORY_ROUNDS = 5,
};

/* What is done so often, as a rule or as a test. */
static int burst, rounds, idle_rounds, limits_rounds, alive_count, memory_pool, memory_rounds;

static char stamp[512], waiter[512], bootstrap[512];

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

static double median(double *v, int n)
{
	qsort(v, (size_t)n, sizeof(*v), compare);
	return v[n / 2];
}

static void figure(const char *name, double value, const char *unit, const char *peer,
	double peer_value, const char *target)
{
	printf("{\"area\":\"sandbox\",\"name\":\"%s\",\"value\":%.1f,\"unit\":\"%s\"", name, value,
		unit);
	if (peer)
		printf(",\"peer\":\"%s\",\"peer_value\":%.1f", peer, peer_value);
	if (target)
		printf(",\"target\":\"%s\"", target);
	printf("}\n");
	fflush(stdout);
}

struct kind {
	const char *name;
	const char *target; /* hot, against bubblewrap */
	struct launcher_options options;
};

static struct kind kinds[] = {
	{"one-off", "<= 0.5", {stamp, 0, 0, SEATS, 0}},
	{"network", "<= 0.2", {stamp, POOL, 0, POOL, 0}},
	{"prepared", "<= 0.04", {bootstrap, POOL, POOL, SEATS, 0}},
	{"prepared, up to pid 1", NULL, {waiter, POOL, POOL, SEATS, 0}},
};

/*
 * Bursts of one kind, and of bubblewrap between them. Hot means one straight after the other;
 * pools are filled between bursts, and the first of a burst is not counted.
 */
static void measure(struct launcher *l, const struct kind *k, struct peer *p, int count,
	int idle_ms, double *ret_ours, double *ret_peer)
{
	double ours[ROUNDS], peer[ROUNDS];
	for (int done = 0; done < count; done += burst) {
		launcher_wait_pool(l, k->options.prepared);
		(void)launcher_once(l);
		for (int i = 0; i < burst; i++) {
			poll(NULL, 0, idle_ms);
			ours[done + i] = launcher_once(l);
		}
		(void)peer_bubblewrap(p);
		for (int i = 0; i < burst; i++) {
			poll(NULL, 0, idle_ms);
			peer[done + i] = peer_bubblewrap(p);
		}
	}
	*ret_ours = median(ours, count);
	*ret_peer = median(peer, count);
	fprintf(stderr, "%s, %d ms idle: best %.0f us, bubblewrap %.0f us\n", k->name, idle_ms,
		ours[0], peer[0]);
}

static void starts(struct peer *p, const struct kind *k)
{
	struct launcher l;
	double ours, peer;
	char name[64];
	launcher_start(&l, &k->options);
	measure(&l, k, p, rounds, 0, &ours, &peer);
	snprintf(name, sizeof(name), "start, %s", k->name);
	figure(name, ours, "us", "bubblewrap", peer, k->target);
	measure(&l, k, p, idle_rounds, IDLE_MS, &ours, &peer);
	snprintf(name, sizeof(name), "start, %s, after 50 ms idle", k->name);
	figure(name, ours, "us", "bubblewrap", peer, k->target);
	launcher_stop(&l);
}

/* Beside one of the peers that set limits too; `other` is called between our starts. */
static void with_limits(struct peer *p, const char *name, double (*other)(struct peer *p))
{
	struct launcher l;
	char title[64];
	double ours[LIMITS_ROUNDS], theirs[LIMITS_ROUNDS];
	launcher_start(&l, &kinds[0].options);
	for (int i = 0; i < limits_rounds; i++) {
		ours[i] = launcher_once(&l);
		theirs[i] = other(p);
	}
	snprintf(title, sizeof(title), "start, one-off, beside %s", name);
	figure(title, median(ours, limits_rounds), "us", name, median(theirs, limits_rounds), NULL);
	launcher_stop(&l);
}

static struct docker engine;

static double one_docker_run(struct peer *p)
{
	return docker_run(&engine, p);
}

static void against_docker(struct peer *p)
{
	const char *why_not = docker_open(&engine, p);
	if (why_not)
		fprintf(stderr, "docker run is not measured: %s\n", why_not);
	else
		with_limits(p, "docker run", one_docker_run);
	docker_close(&engine);
}

/* ---- two at once ---- */

/* The median of what `fn` returns, in two processes at the same time; the mean of both. */
static double twice(double (*fn)(int number))
{
	double sum = 0;
	int ends[2];
	if (pipe(ends) < 0)
		exit(1);
	for (int i = 0; i < 2; i++) {
		if (fork() == 0) {
			double us = fn(i);
			_exit(write(ends[1], &us, sizeof(us)) != (ssize_t)sizeof(us));
		}
	}
	for (int i = 0; i < 2; i++) {
		double us = 0;
		int status;
		if (read(ends[0], &us, sizeof(us)) != (ssize_t)sizeof(us) || wait(&status) < 0 ||
			status != 0)
			exit(1);
		sum += us;
	}
	close(ends[0]);
	close(ends[1]);
	return sum / 2;
}

static size_t chosen;

static double ours_of_two(int number)
{
	struct launcher l;
	double us[ROUNDS];
	struct kind k = kinds[chosen];
	k.options.number = number;
	launcher_start(&l, &k.options);
	for (int i = 0; i < rounds; i++) {
		if (i % burst == 0)
			launcher_wait_pool(&l, k.options.prepared);
		us[i] = launcher_once(&l);
	}
	launcher_stop(&l);
	return median(us, rounds);
}

static double bubblewrap_of_two(int number)
{
	struct peer p = {.number = number};
	double us[ROUNDS];
	peer_open(&p);
	for (int i = 0; i < rounds; i++)
		us[i] = peer_bubblewrap(&p);
	peer_close(&p);
	return median(us, rounds);
}

static void two_launchers(void)
{
	double peer = twice(bubblewrap_of_two);
	for (chosen = 0; chosen < 3; chosen++) {
		char name[64];
		snprintf(name, sizeof(name), "start, %s, 2 launchers", kinds[chosen].name);
		figure(name, twice(ours_of_two), "us", "bubblewrap", peer, kinds[chosen].target);
	}
}

/* ---- many alive ---- */

static void many_alive(struct peer *p)
{
	static struct live alive[ALIVE];
	struct launcher l;
	double us, ours, peer;
	launcher_start(&l, &kinds[2].options);
	for (int i = 0; i < alive_count; i++)
		alive[i] = launcher_create(&l, &us);
	measure(&l, &kinds[2], p, idle_rounds, 0, &ours, &peer);
	figure("start, prepared, with 1,000 alive", ours, "us", "bubblewrap", peer,
		kinds[2].target);
	for (int i = 0; i < alive_count; i++)
		launcher_end(&l, &alive[i]);
	launcher_stop(&l);
}

/* Memory that holds neither data of processes nor of the kernel, nor could be given back at once.
 */
static double unused_kb(void)
{
	static const char *const keys[] = {"MemFree:", "Buffers:", "Cached:", "SReclaimable:"};
	char line[128], key[64];
	double sum = 0, kb;
	FILE *f = fopen("/proc/meminfo", "re");
	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%63s %lf", key, &kb) != 2)
			continue;
		for (size_t i = 0; i < ARRAY_LEN(keys); i++)
			sum += strcmp(key, keys[i]) == 0 ? kb : 0;
	}
	if (f)
		fclose(f);
	return sum;
}

/* Of the whole machine, because not everything is charged to a cgroup; so it needs a quiet one. */
static void memory(void)
{
	double kb[MEMORY_ROUNDS];
	for (int i = 0; i < memory_rounds; i++) {
		struct launcher l;
		struct launcher_options o = {bootstrap, 0, memory_pool, 0, 0};
		poll(NULL, 0, 500); /* namespaces go in the background */
		double before = unused_kb();
		launcher_start(&l, &o);
		launcher_wait_pool(&l, memory_pool);
		kb[i] = (before - unused_kb()) / memory_pool;
		launcher_stop(&l);
	}
	figure("memory of a prepared sandbox", median(kb, memory_rounds), "kB", NULL, 0, "<= 500");
}

static bool asked(int argc, char **argv, const char *part)
{
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], part) == 0)
			return true;
	}
	return argc == 1;
}

static void choose_counts(void)
{
	burst = bench_count(BURST, 2);
	rounds = bench_count(ROUNDS, 2);
	idle_rounds = bench_count(IDLE_ROUNDS, 2);
	limits_rounds = bench_count(LIMITS_ROUNDS, 2);
	alive_count = bench_count(ALIVE, 4);
	memory_pool = bench_count(MEMORY_POOL, 4);
	memory_rounds = bench_count(MEMORY_ROUNDS, 1);
}

/* All, or the parts that are named: a kind of start, runc, docker, two, alive, memory. */
static void run_parts(int argc, char **argv)
{
	struct peer p = {.number = 0};
	choose_counts();
	peer_open(&p);
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		if (asked(argc, argv, kinds[i].name))
			starts(&p, &kinds[i]);
	}
	if (asked(argc, argv, "runc") && peer_has("runc"))
		with_limits(&p, "runc", peer_runc);
	/* As a test it would wait for docker's engine most of the time. */
	if (asked(argc, argv, "docker") && bench_count(1, 0))
		against_docker(&p);
	if (asked(argc, argv, "two"))
		two_launchers();
	if (asked(argc, argv, "alive"))
		many_alive(&p);
	if (asked(argc, argv, "memory"))
		memory();
	peer_close(&p);
}

int main(int argc, char **argv)
{
	const char *build = getenv("AEGIS_BUILD");
	if (geteuid() != 0 || !build || !peer_has("bwrap")) {
		fprintf(stderr, "bench sandbox: needs root, AEGIS_BUILD, and bubblewrap\n");
		return 1;
	}
	snprintf(stamp, sizeof(stamp), "%s/tests/bench/sandbox/stamp", build);
	snprintf(waiter, sizeof(waiter), "%.480s_waiter", stamp);
	snprintf(bootstrap, sizeof(bootstrap), "%s/bin/aegis-bootstrap", build);
	/* Ours and the peers' alike. Not SCHED_FIFO: such a process may not join a cpu cgroup of
	 * v1. */
	if (setpriority(PRIO_PROCESS, 0, -20) < 0)
		fprintf(stderr, "bench sandbox: figures are those of a busy machine\n");
	run_parts(argc, argv);
	return 0;
}
