/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * How long decisions take that the daemon makes about the kernel: a question for a name, from the
 * agent's message to what is asked outside; its answer, until the kernel knows the addresses and
 * the reply is written; and how long a right outlives its being taken: from before the new policy
 * is entered to the first connect that is denied, in a process that does nothing but connect. Both
 * processes run under SCHED_FIFO, each on a CPU: how long a process is kept from running by others
 * is no part of it.
 */
#include "daemon/sensor/dns.h"
#include "daemon/sensor/sensor.h"
#include "tests/bench/kernel/places.h"
#include "tests/bench/smoke.h"
#include <arpa/inet.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
	NAMES = 100, /* that the policy speaks of */
	QUESTIONS = 20000,
	REVOCATIONS = 500,
	ADDRESSES = 4,
	PATIENCE_US = 100,
};
#define REVOKED_NS 1000000 /* the target */

static struct kernel_net_rule rules[NAMES + 1];
static char names[NAMES][32];

static void make_rules(void)
{
	for (int i = 0; i < NAMES; i++) {
		snprintf(names[i], sizeof(names[i]), "%shost%d.example.org", i % 2 ? "*." : "", i);
		rules[i] = (struct kernel_net_rule){.name = span_cstr(names[i]),
			.port_first = 443,
			.port_last = 443,
			.policy_id = SPAN("bench")};
	}
	rules[NAMES] = (struct kernel_net_rule){.address = {[10] = 0xff, [11] = 0xff},
		.prefix_bits = 128,
		.port_last = 65535,
		.policy_id = SPAN("bench")};
	inet_pton(AF_INET, PROBE_ADDRESS, rules[NAMES].address + 12);
}

static void report(const char *name, double *ns, size_t count, double limit_ns)
{
	char with[64];
	static const struct {
		const char *suffix;
		double part;
	} parts[] = {{"p50", 0.5}, {"p99", 0.99}};

	for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
		double value = percentile(ns, count, parts[i].part);
		snprintf(with, sizeof(with), "%s_%s", name, parts[i].suffix);
		figure(with, value / 1e3, "us", NULL, 0, limit_ns > 0 ? "<= 1000" : NULL,
			value <= limit_ns);
	}
}

/* ---- names ---- */

static void make_question(struct dns_query *q, struct buf *message)
{
	*q = (struct dns_query){.id = 7, .type = DNS_A, .recursion = true};
	q->name.n = (uint8_t)snprintf(
		q->name.text, sizeof(q->name.text), "a.host%d.example.org", NAMES - 1);
	dns_query_write(message, q);
}

static void decide_name(const struct kernel_rules *source, struct span message, struct buf *out)
{
	struct dns_query q;
	struct net_rules merged;
	uint16_t id;

	CHECK(dns_query_parse(message, &q, &id) == 0);
	CHECK(sensor_name_rules(source, (struct span){q.name.text, q.name.n}, &merged) == 0);
	CHECK(sensor_may_resolve(&merged));
	buf_reset(out);
	dns_query_write(out, &q);
}

static void take_answer(
	struct sensor_agent *a, const struct dns_query *q, struct span message, struct buf *out)
{
	struct dns_answer answer;

	CHECK(dns_answer_parse(message, q, &answer) == 0);
	for (size_t i = 0; i < answer.count; i++)
		CHECK(!dns_address_is_internal(answer.addresses[i]));
	CHECK(sensor_agent_learn(a, (struct span){q->name.text, q->name.n}, answer.addresses,
		      answer.count, answer.ttl_s) == 0);
	buf_reset(out);
	dns_reply_write(out, q, DNS_NOERROR, answer.ttl_s, answer.addresses, answer.count);
}

static void measure_names(struct sensor_agent *agent, const struct kernel_rules *source)
{
	static double asked[QUESTIONS], answered[QUESTIONS];
	const int count = bench_count(QUESTIONS, 10);
	struct buf question CLEANUP(buf_fini) = buf_init(4096);
	struct buf reply CLEANUP(buf_fini) = buf_init(4096), out CLEANUP(buf_fini) = buf_init(4096);
	uint8_t addresses[ADDRESSES][16] = {0};
	struct dns_query q;

	make_question(&q, &question);
	for (int i = 0; i < ADDRESSES; i++)
		memcpy(addresses[i] + 10, (uint8_t[]){0xff, 0xff, 93, 184, 216, (uint8_t)i}, 6);
	dns_reply_write(&reply, &q, DNS_NOERROR, 60, addresses, ADDRESSES);
	for (int i = 0; i < count; i++) {
		int64_t start = clock_mono_ns();
		decide_name(source, buf_view(&question), &out);
		int64_t middle = clock_mono_ns();
		take_answer(agent, &q, buf_view(&reply), &out);
		asked[i] = (double)(middle - start);
		answered[i] = (double)(clock_mono_ns() - middle);
	}
	report("name_question", asked, (size_t)count, 0);
	report("name_answer", answered, (size_t)count, 0);
}

/* ---- rights that are taken ---- */

/* What the sandbox's process and this one share. */
struct watch {
	_Atomic int64_t denied_ns; /* of the first one; 0: none yet */
	_Atomic uint64_t allowed; /* count */
};

static void connect_for_ever(struct watch *w, const char *cgroup)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(443)};
	char path[256];

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	snprintf(path, sizeof(path), "%s/cgroup.procs", cgroup);
	FILE *procs = fopen(path, "we");
	if (!procs || fputs("0", procs) < 0 || fclose(procs) != 0)
		die(path);
	inet_pton(AF_INET, PROBE_ADDRESS, &a.sin_addr);
	int s = socket(AF_INET, SOCK_DGRAM, 0);
	probe_pin(0, sysconf(_SC_NPROCESSORS_ONLN) > 1);
	for (;;) {
		int64_t none = 0;
		if (connect(s, (struct sockaddr *)&a, sizeof(a)) == 0)
			atomic_fetch_add(&w->allowed, 1);
		else
			atomic_compare_exchange_strong(&w->denied_ns, &none, clock_mono_ns());
	}
}

static double take_right(
	struct sensor *s, struct sensor_agent *agent, struct sensor_policy *permit, struct watch *w)
{
	static const struct kernel_rules nothing;
	struct sensor_policy *none;
	uint64_t before = atomic_load(&w->allowed);

	while (atomic_load(&w->allowed) == before) /* it is permitted, and at it */
		usleep(PATIENCE_US);
	atomic_store(&w->denied_ns, 0);
	int64_t start = clock_mono_ns();
	CHECK(sensor_policy_new(s, &nothing, &none) == 0);
	CHECK(sensor_agent_set_policy(agent, none) == 0);
	while (atomic_load(&w->denied_ns) == 0)
		usleep(PATIENCE_US);
	double took = (double)(atomic_load(&w->denied_ns) - start);
	CHECK(sensor_agent_set_policy(agent, permit) == 0);
	sensor_policy_unref(none);
	return took;
}

static void measure_revocation(struct sensor *s, struct sensor_agent *agent,
	struct sensor_policy *permit, const struct place *place)
{
	static double ns[REVOCATIONS];
	const int count = bench_count(REVOCATIONS, 3);
	struct watch *w =
		mmap(NULL, sizeof(*w), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (w == MAP_FAILED)
		die("shared memory");
	pid_t pid = fork();
	if (pid < 0)
		die("fork");
	if (pid == 0)
		connect_for_ever(w, place->sandbox);
	probe_beside();
	for (int i = 0; i < count; i++)
		ns[i] = take_right(s, agent, permit, w);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	munmap(w, sizeof(*w));
	report("first_denial", ns, (size_t)count, REVOKED_NS);
}

int main(void)
{
	const struct kernel_rules source = {.net = rules, .net_count = ARRAY_LEN(rules)};
	struct place place;
	struct sensor *s;
	struct sensor_policy *permit;
	struct sensor_agent *agent;
	int maps[NET_MAPS];

	make_rules();
	place_make(&place);
	place_hook(&place, HOOKS_OURS);
	for (int i = 0; i < NET_MAPS; i++)
		maps[i] = dup(place.net.maps[i]);
	CHECK(sensor_new(maps, &s) == 0);
	CHECK(sensor_policy_new(s, &source, &permit) == 0);
	CHECK(sensor_agent_new(s, place.cgroup, permit, &agent) == 0);
	measure_names(agent, &source);
	measure_revocation(s, agent, permit, &place);
	sensor_agent_free(agent);
	sensor_policy_unref(permit);
	sensor_free(s);
	place_remove(&place);
	return 0;
}
