/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * How many records a second come out of the kernel's ring, and of those how many into the journal,
 * durable, by the same functions as in the daemon; and the CPU time that takes. One CPU makes
 * records (burst.bpf.c), another reads them. None may be lost: the sequence has no gap.
 */
#include "daemon/aegisd/aegisd.h"
#include "daemon/helper/recordprog.h"
#include "daemon/sensor/record.h"
#include "tests/bench/kernel/probes.h"
#include "tests/bench/smoke.h"
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

extern const unsigned char bench_burst_object[], bench_burst_object_end[];

enum { RECORDS = 2000000, DURABLE = 200000, ROUNDS = 3, WAIT_MS = 10, ROOM_US = 200 };
#define RING_TARGET 1.5e6
#define DURABLE_TARGET 2e5

struct bench {
	struct bpf_object *burst;
	struct record_sensor *sensor;
	struct recorder recorder;
	uint64_t next; /* number in sequence */
	uint64_t lost;
	int64_t count;
	double per_s, cpu_s;
};

/* ---- who makes them ---- */

static pid_t begin_bursts(const struct bench *b)
{
	static const uint8_t frame[64];
	struct bpf_program *p = bpf_object__find_program_by_name(b->burst, "burst");
	pid_t pid = fork();

	if (pid != 0)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	probe_pin(0, sysconf(_SC_NPROCESSORS_ONLN) > 1);
	for (;;) {
		LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = frame,
			.data_size_in = sizeof(frame), .repeat = 64);
		if (bpf_prog_test_run_opts(bpf_program__fd(p), &opts) < 0)
			_exit(1);
		if (opts.retval == 1)
			usleep(ROOM_US);
	}
}

static void load(struct bench *b)
{
	int fds[RECORD_MAPS + RECORD_HOOKS];

	b->burst = bpf_object__open_mem(
		bench_burst_object, (size_t)(bench_burst_object_end - bench_burst_object), NULL);
	if (!b->burst || bpf_object__load(b->burst) < 0)
		die("the program that makes records");
	for (size_t i = 0; i < ARRAY_LEN(fds); i++)
		fds[i] = open("/dev/null", O_RDONLY | O_CLOEXEC);
	close(fds[RECORD_MAP_RING]);
	fds[RECORD_MAP_RING] = dup(bpf_object__find_map_fd_by_name(b->burst, "record_ring"));
	CHECK(record_sensor_new(fds, &b->sensor) == 0);
}

/* ---- who reads them ---- */

static double cpu_now_s(void)
{
	struct rusage u;
	getrusage(RUSAGE_SELF, &u);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
		(double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static size_t take(struct bench *b, const struct record_event *const **events)
{
	size_t n = record_sensor_next(b->sensor, events);

	for (size_t i = 0; i < n; i++) {
		b->lost += (*events)[i]->sequence - b->next;
		b->next = (*events)[i]->sequence + 1;
	}
	return n;
}

static void wait_readable(const struct bench *b)
{
	struct pollfd p = {.fd = record_sensor_fd(b->sensor), .events = POLLIN};
	poll(&p, 1, WAIT_MS);
}

static void read_ring(struct bench *b)
{
	const struct record_event *const *events;
	int64_t start = clock_mono_ns();
	double cpu = cpu_now_s();

	for (int64_t seen = 0; seen < b->count;) {
		size_t n = take(b, &events);
		record_sensor_done(b->sensor);
		seen += (int64_t)n;
		if (n == 0)
			wait_readable(b);
	}
	b->cpu_s = cpu_now_s() - cpu;
	b->per_s = (double)b->count * 1e9 / (double)(clock_mono_ns() - start);
}

static void into_journal(void *arg)
{
	struct bench *b = arg;
	const struct record_event *const *events;
	char dir[] = "/var/tmp/aegis-bench-XXXXXX";
	struct journal_options o = {.dir = dir, .sync = JOURNAL_SYNC_BATCH};

	if (!mkdtemp(dir))
		die(dir);
	CHECK(journal_open(&o, &b->recorder.journal) == 0);
	int64_t start = clock_mono_ns();
	double cpu = cpu_now_s();
	for (int64_t seen = 0; seen < b->count;) {
		size_t n = take(b, &events);
		if (n > 0)
			CHECK(record_events(&b->recorder, events, n));
		record_sensor_done(b->sensor);
		seen += (int64_t)n;
		if (n == 0)
			wait_readable(b);
	}
	b->cpu_s = cpu_now_s() - cpu;
	b->per_s = (double)b->count * 1e9 / (double)(clock_mono_ns() - start);
	b->lost += journal_stats(b->recorder.journal).gaps;
	journal_close(b->recorder.journal);
	CHECK(fd_remove_tree(AT_FDCWD, dir) == 0);
}

static void read_into_journal(struct bench *b)
{
	struct rt_options o = {.workers = 1};
	CHECK(rt_run(&o, into_journal, b) == 0);
}

/* ---- figures ---- */

static void measure(const char *name, void (*once)(struct bench *), int count, double target)
{
	double best = 0, cpu = 0;
	uint64_t lost = 0;
	char text[64];

	for (int i = 0; i < bench_count(ROUNDS, 1); i++) {
		struct bench b = {.count = count};
		load(&b);
		pid_t pid = begin_bursts(&b);
		if (pid < 0)
			die("fork");
		once(&b);
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		if (b.per_s > best) {
			best = b.per_s;
			cpu = b.cpu_s * 1e6 / (double)count;
		}
		lost += b.lost;
		record_sensor_free(b.sensor);
		bpf_object__close(b.burst);
	}
	if (lost)
		fprintf(stderr, "bench kernel: %llu records lost\n", (unsigned long long)lost);
	snprintf(text, sizeof(text), ">= %.0f without loss", target);
	figure(name, best, "records/s", NULL, 0, text, best >= target && !lost);
	snprintf(text, sizeof(text), "%s_cpu", name);
	figure(text, cpu, "CPU-s per million records", NULL, 0, NULL, false);
}

int main(void)
{
	if (sodium_init() < 0)
		return 1;
	log_setup(LOG_WARN, LOG_TEXT, "bench");
	measure("records_ring", read_ring, bench_count(RECORDS, 1000), RING_TARGET);
	measure("records_durable", read_into_journal, bench_count(DURABLE, 1000), DURABLE_TARGET);
	return 0;
}
