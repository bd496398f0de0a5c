/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Decisions per second of one thread at 1 to 10,000 policies. RBAC: each policy has a role and a
 * folder of its own. ABAC: each policy compares one attribute with its own constant and has four
 * more conditions. One policy applies, the last one. Prepared: the request is made once; wire: the
 * entities' and the request's JSON is read for every decision.
 */
#include "tests/bench/smoke.h"
#include "policy/cedar/cedar.h"
#include <stdio.h>
#include <time.h>

enum { ARENA_BYTES = 1024 * 1024 * 1024, LEAST_NS = 300 * 1000 * 1000, REPEATS = 3, BATCH = 64 };

struct world {
	const struct cedar_set *set;
	const struct json *entities_json, *context_json;
	const struct cedar_entities *entities;
	struct cedar_request request;
};

static int64_t now_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void report(const char *what, const char *shape, int policies, double value,
	const char *unit, const char *target)
{
	printf("{\"area\":\"policy\",\"name\":\"%s, %s, %d "
	       "policies\",\"value\":%.6g,\"unit\":\"%s\"",
		what, shape, policies, value, unit);
	printf(target ? ",\"target\":\"%s\"}\n" : "}\n", target);
	fflush(stdout);
}

static void put_policy(struct buf *b, bool rbac, int i)
{
	if (rbac)
		buf_printf(b,
			"permit(principal in Role::\"role%d\", action in [Action::\"read\", "
			"Action::\"write\"], resource in Folder::\"folder%d\");\n",
			i, i);
	else
		buf_printf(b,
			"permit(principal, action == Action::\"read\", resource is Doc) when { "
			"principal.department == \"d%d\" && principal.level >= 3 && "
			"resource.owner != principal && context.mfa && "
			"context.ip.isInRange(ip(\"10.0.0.0/8\")) };\n",
			i);
}

static const char *world_json(struct arena *a, int last)
{
	return arena_printf(a,
		"[{\"uid\":{\"type\":\"User\",\"id\":\"alice\"},\"attrs\":{\"department\":\"d%d\","
		"\"level\":5},\"parents\":[{\"type\":\"Role\",\"id\":\"role%d\"}]},"
		"{\"uid\":{\"type\":\"Doc\",\"id\":\"report\"},\"attrs\":{\"owner\":{\"__entity\":"
		"{\"type\":\"User\",\"id\":\"bob\"}}},\"parents\":[{\"type\":\"Folder\",\"id\":"
		"\"folder%d\"}]},"
		"{\"uid\":{\"type\":\"Role\",\"id\":\"role%d\"},\"attrs\":{},\"parents\":[]},"
		"{\"uid\":{\"type\":\"Folder\",\"id\":\"folder%d\"},\"attrs\":{},\"parents\":[]}]",
		last, last, last, last, last);
}

static void read_request(struct arena *a, struct world *w)
{
	w->request.principal = cedar_uid_of(SPAN("User"), SPAN("alice"));
	w->request.action = cedar_uid_of(SPAN("Action"), SPAN("read"));
	w->request.resource = cedar_uid_of(SPAN("Doc"), SPAN("report"));
	CHECK(cedar_entities_from_json(a, w->entities_json, &w->entities) == 0);
	CHECK(cedar_context_from_json(a, w->context_json, &w->request.context) == 0);
}

static void load(struct arena *a, struct world *w, bool rbac, int policies)
{
	const char *shape = rbac ? "RBAC" : "ABAC";
	struct buf text CLEANUP(buf_fini) = buf_init(64 * 1024 * 1024);
	struct cedar_policies parsed;
	int64_t start, read, done;
	size_t before = arena_used(a);
	for (int i = 0; i < policies; i++)
		put_policy(&text, rbac, i);
	start = now_ns();
	CHECK(cedar_policies_parse(a, arena_span(a, buf_view(&text)), &parsed) == 0);
	read = now_ns();
	CHECK(cedar_set_compile(a, &parsed, &w->set) == 0);
	done = now_ns();
	report("parse", shape, policies, (double)(read - start) / policies / 1e3, "us/policy",
		NULL);
	report("compile", shape, policies, (double)(done - read) / policies / 1e3, "us/policy",
		NULL);
	report("memory", shape, policies, (double)(arena_used(a) - before) / policies,
		"bytes/policy", NULL);
	CHECK(json_parse(a, span_cstr(world_json(a, policies - 1)), NULL, &w->entities_json) == 0);
	CHECK(json_parse(a,
		      SPAN("{\"mfa\":true,\"ip\":{\"__extn\":{\"fn\":\"ip\",\"arg\":\"10.1.2.3\"}}"
			   "}"),
		      NULL, &w->context_json) == 0);
	read_request(a, w);
}

/* Decisions per second, the best of some runs. */
static double measure(struct arena *scratch, struct world *w, bool wire)
{
	const int64_t least_ns = bench_count(LEAST_NS, 1);
	const int batch = bench_count(BATCH, 1);
	double best = 0;
	for (int i = 0; i < bench_count(REPEATS, 1); i++) {
		int64_t start = now_ns(), took;
		int64_t n = 0;
		do {
			struct cedar_answer answer;
			for (int j = 0; j < batch; j++, n++) {
				arena_reset(scratch);
				if (wire)
					read_request(scratch, w);
				CHECK(cedar_authorize(scratch, w->set, w->entities, &w->request,
					      &answer) == 0);
				CHECK(answer.allow && answer.error_count == 0);
			}
			took = now_ns() - start;
		} while (took < least_ns);
		best = MAX(best, (double)n * 1e9 / (double)took);
	}
	return best;
}

static void bench(bool rbac, int policies, const char *target)
{
	const char *shape = rbac ? "RBAC" : "ABAC";
	struct arena *a CLEANUP(arena_cleanup) = arena_new(ARENA_BYTES);
	struct arena *scratch CLEANUP(arena_cleanup) = arena_new(ARENA_BYTES);
	struct world w = {0};
	load(a, &w, rbac, policies);
	report("authorize prepared", shape, policies, measure(scratch, &w, false), "per second",
		target);
	report("authorize from JSON values", shape, policies, measure(scratch, &w, true),
		"per second", NULL);
}

int main(void)
{
	static const struct {
		int policies;
		const char *target;
	} sizes[] = {{1, ">= 2000000"}, {10, NULL}, {100, NULL}, {1000, ">= 500000"},
		{10000, ">= 300000"}};
	const int count = bench_count(ARRAY_LEN(sizes), 3);
	for (int i = 0; i < count; i++) {
		bench(true, sizes[i].policies, sizes[i].target);
		bench(false, sizes[i].policies, sizes[i].target);
	}
	return 0;
}
