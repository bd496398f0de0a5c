/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * What a signed call costs: POST /v1/smcp/invoke over loopback HTTP with unique envelopes that were
 * signed beforehand; token, signature, replay, policy's decision, the durable audit record and the
 * answer included; routed to a tool that does nothing. Beside it, in the same run, how often
 * libsodium verifies an Ed25519 signature over a message of that size: nobody can check signed
 * calls faster than that without another curve.
 *
 *   invoke_pipelined   8 connections, 16 requests under way on each
 *   invoke_64x1        64 connections, one each
 *   invoke_p50 ...     at 80 % of what 64 x 1 reached
 *   sync_p50, _p99     what one append and its fdatasync take there just before: no call is
 * answered before its record has had one
 *
 * The first two are calls per CPU-second of the server's whole process. Arguments: calls per figure
 * (default 20000). The folder is TMPDIR, else the program's own.
 */
#include "tests/bench/smoke.h"
#include "tests/bench/smcp/load.h"
#include "tests/unit/daemon/smcp/client.h"
#include <fcntl.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { ARENA_BYTES = 1024 * 1024 * 1024 };

static char folder[600];
static int calls = 20000;
static pid_t server;
static uint16_t port;
static struct smcp_client client;

static void server_start(void)
{
	int fds[2];

	CHECK(pipe(fds) == 0);
	server = fork();
	if (server == 0)
		server_run(folder, fds[1]);
	CHECK(server > 0 && read(fds[0], &port, sizeof(port)) == sizeof(port));
	close(fds[0]);
	close(fds[1]);
}

static double server_cpu_s(void)
{
	struct timespec t;
	clockid_t clock;

	CHECK(clock_getcpuclockid(server, &clock) == 0 && clock_gettime(clock, &t) == 0);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* ---- requests ---- */

static struct span http_request(const char *path, struct span body, struct arena *a)
{
	char *text = arena_printf(a,
		"POST %s HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
		"Content-Length: %zu\r\n\r\n%.*s",
		path, body.n, (int)body.n, body.p);
	return span_cstr(text);
}

static void attest(struct arena *a)
{
	smcp_client_init(&client, SMCP_V1);
	struct span body = smcp_client_attest(&client, "bench", "bench", a);
	struct span answer = load_ask(port, http_request("/v1/smcp/attest", body, a), a);
	if (!smcp_client_take(&client, answer, a)) {
		fprintf(stderr, "attest: " SPAN_FMT "\n", SPAN_ARG(answer));
		exit(1);
	}
}

/* Each with an id of its own, so that no two are the same envelope. */
static struct load_requests sign_all(int count, struct arena *a)
{
	static int made;
	static const char params[] = "{\"name\":\"aegis.system.info\",\"arguments\":{}}";
	struct load_requests r = {arena_make_array(a, struct span, (size_t)count), (size_t)count};
	struct arena *scratch CLEANUP(arena_cleanup) = arena_new(16 * 1024 * 1024);
	int64_t now_s = clock_wall_ns() / NS_PER_S;

	for (int i = 0; i < count; i++) {
		char id[32];
		snprintf(id, sizeof(id), "req-%016x", made++);
		arena_reset(scratch);
		struct span body =
			smcp_client_envelope(&client, id, "tools/call", params, now_s, scratch);
		r.items[i] = http_request("/v1/smcp/invoke", body, a);
	}
	return r;
}

/* ---- the peer ---- */

/* Verifications per CPU-second, of messages as long as those that envelopes sign. */
static double raw_per_second(void)
{
	enum { ROUNDS = 4000 };
	uint8_t message[600], signature[64];
	struct timespec before, after;

	randombytes_buf(message, sizeof(message));
	crypto_sign_detached(signature, NULL, message, sizeof(message), client.secret_key);
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &before);
	const int rounds = bench_count(ROUNDS, 50);
	for (int i = 0; i < rounds; i++)
		CHECK(crypto_sign_verify_detached(
			      signature, message, sizeof(message), client.public_key) == 0);
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &after);
	return rounds /
		((double)(after.tv_sec - before.tv_sec) +
			(double)(after.tv_nsec - before.tv_nsec) / 1e9);
}

/* ---- figures ---- */

static double measure(const char *name, int connections, int depth, const char *target)
{
	struct arena *a CLEANUP(arena_cleanup) = arena_new(ARENA_BYTES);
	double raw = raw_per_second();
	struct load_requests r = sign_all(calls, a);
	struct load_result got;
	double before_s = server_cpu_s();

	load_closed(port, &r, connections, depth, &got);
	double per_cpu_s = (double)got.good / (server_cpu_s() - before_s);
	raw = (raw + raw_per_second()) / 2;
	printf("{\"area\":\"smcp\",\"name\":\"%s\",\"value\":%.0f,\"unit\":\"calls/CPU-s\","
	       "\"peer\":\"libsodium, Ed25519 verify alone\",\"peer_value\":%.0f,\"ratio\":%.3f,"
	       "\"target\":\"%s\"}\n",
		name, per_cpu_s, raw, per_cpu_s / raw, target);
	fflush(stdout);
	fprintf(stderr, "%s: %zu good, %zu bad, %.0f/s\n", name, got.good, got.bad,
		(double)got.good * 1e9 / (double)got.wall_ns);
	free(got.latencies_ns);
	return (double)got.good * 1e9 / (double)got.wall_ns;
}

struct syncs {
	int64_t took_ns[256];
	size_t count;
};

static int by_size(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
	return x < y ? -1 : x > y;
}

/* Appends as a group of records is written, where the journal is. */
static void measure_syncs(struct syncs *ret)
{
	static const char records[16 * 1024];
	char path[700];

	snprintf(path, sizeof(path), "%s/syncs", folder);
	int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	CHECK(fd >= 0);
	ret->count = (size_t)bench_count(ARRAY_LEN(ret->took_ns), 8);
	for (size_t i = 0; i < ret->count; i++) {
		int64_t began_ns = clock_mono_ns();
		CHECK(fd_write_all(fd, span_of(records, sizeof(records))) == 0);
		CHECK(fdatasync(fd) == 0);
		ret->took_ns[i] = clock_mono_ns() - began_ns;
	}
	close(fd);
	qsort(ret->took_ns, ret->count, sizeof(ret->took_ns[0]), by_size);
}

static void latency(
	const char *name, const int64_t *sorted_ns, size_t count, double share, const char *target)
{
	printf("{\"area\":\"smcp\",\"name\":\"%s\",\"value\":%.3f,\"unit\":\"ms\"", name,
		(double)sorted_ns[(size_t)((double)(count - 1) * share)] / 1e6);
	if (target)
		printf(",\"target\":\"%s\"", target);
	printf("}\n");
	fflush(stdout);
}

static void measure_latency(double per_second)
{
	struct arena *a CLEANUP(arena_cleanup) = arena_new(ARENA_BYTES);
	struct load_requests r = sign_all(calls / 2, a);
	struct load_result got;
	struct syncs syncs;

	measure_syncs(&syncs);
	load_paced(port, &r, 64, per_second, &got);
	fprintf(stderr, "paced at %.0f/s: %zu good, %zu bad\n", per_second, got.good, got.bad);
	latency("invoke_p50", got.latencies_ns, got.latency_count, 0.5, NULL);
	latency("invoke_p99", got.latencies_ns, got.latency_count, 0.99, "<= 1");
	latency("invoke_p999", got.latencies_ns, got.latency_count, 0.999, NULL);
	latency("sync_p50", syncs.took_ns, syncs.count, 0.5, NULL);
	latency("sync_p99", syncs.took_ns, syncs.count, 0.99, NULL);
	free(got.latencies_ns);
}

int main(int argc, char **argv)
{
	const char *parent = getenv("TMPDIR");
	struct span program = span_cstr(argv[0]);
	struct arena *a CLEANUP(arena_cleanup) = arena_new(16 * 1024 * 1024);

	calls = bench_count(calls, 256);
	if (argc > 1 && atoi(argv[1]) > 0)
		calls = atoi(argv[1]);
	log_setup(LOG_WARN, LOG_TEXT, "bench");
	CHECK(sodium_init() >= 0);
	while (program.n > 0 && program.p[program.n - 1] != '/')
		program.n--;
	if (parent && *parent)
		snprintf(folder, sizeof(folder), "%.500s/aegis-bench-XXXXXX", parent);
	else
		snprintf(folder, sizeof(folder), "%.*saegis-bench-XXXXXX", (int)program.n,
			program.p);
	CHECK(mkdtemp(folder));
	server_start();
	attest(a);
	measure("invoke_pipelined", 8, 16, ">= 0.9");
	double per_second = measure("invoke_64x1", 64, 1, ">= 0.8");
	measure_latency(0.8 * per_second);
	kill(server, SIGTERM);
	CHECK(waitpid(server, NULL, 0) == server);
	int r = fd_remove_tree(AT_FDCWD, folder);
	return r < 0;
}
