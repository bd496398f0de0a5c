/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Decisions per CPU second of one thread as the layers ask for them: a set of a manifest's size
 * under a security context, beside the node's policies. Prepared: the request is a struct already;
 * wire: the JSON of a decision record is read for every decision.
 */
#include "tests/bench/smoke.h"
#include "policy/context/context.h"
#include <stdio.h>
#include <time.h>

enum { LEAST_NS = 300 * 1000 * 1000, REPEATS = 3, BATCH = 64 };

static int64_t now_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (int64_t)t.tv_sec * NS_PER_S + t.tv_nsec;
}

static void report(const char *name, double value, const char *unit, const char *target)
{
	printf("{\"area\":\"policy\",\"name\":\"%s\",\"value\":%.6g,\"unit\":\"%s\"", name, value,
		unit);
	printf(target ? ",\"target\":\"%s\"}\n" : "}\n", target);
	fflush(stdout);
}

static struct rule_set *make(int node_policies, struct buf *text)
{
	static const char *const paths[] = {"/workspace", "/data/**/*.csv"};
	static const char *const first[] = {"status", "diff", "add", "commit"};
	static const struct rule_command commands[] = {{"git", {first, 4}}, {"python3", {0}},
		{"npm", {first, 2}}, {"cargo", {first, 2}}, {"ls", {0}}};
	const struct rule_capability caps[] = {
		{.tool_pattern = "fs.*", .paths = {paths, 2}},
		{.tool_pattern = "cmd.run", .commands = commands, .command_count = 5},
	};
	const struct rule_context context = {
		.name = "coder", .capabilities = caps, .capability_count = 2};
	struct rule_set_builder *b = rule_set_builder_new();
	const struct rule_origin o = {.field = "spec", .line = 1};

	for (int i = 0; i < node_policies; i++)
		buf_printf(text,
			"forbid (principal in Agent::\"agent%d\", action in Action::\"fs\", "
			"resource in "
			"Path::\"/workspace/p%d\") when { resource.name like \"*.key\" };\n",
			i, i);
	CHECK(rule_add_cedar(b, buf_view(text), "node.cedar") == 0);
	CHECK(rule_add_context(b, &context, RULE_CONTEXT_CEILING) == 0);
	CHECK(rule_allow_tool(b, "fs.*", o) == 0 && rule_allow_tool(b, "cmd.run", o) == 0);
	CHECK(rule_allow_path(b, "fs:read", "/workspace", o) == 0);
	CHECK(rule_allow_path(b, "fs:read", "/data/*.csv", o) == 0);
	CHECK(rule_allow_path(b, "fs:write", "/workspace/out", o) == 0);
	for (size_t i = 0; i < ARRAY_LEN(commands); i++)
		CHECK(rule_allow_command(b, commands[i].command, commands[i].first_args.items,
			      commands[i].first_args.count, o) == 0);
	struct rule_set *s = rule_set_seal(b);
	rule_set_builder_free(b);
	CHECK(s);
	return s;
}

struct asking {
	const struct rule_set *set;
	const struct decision_request *q;
	struct span wire; /* empty: prepared */
	bool allowed;
};

static void ask(const struct asking *w, struct arena *a)
{
	struct decision_request q = *w->q;
	const struct json *v;
	struct decision d;

	arena_reset(a);
	if (w->wire.n) {
		CHECK(json_parse(a, w->wire, NULL, &v) == 0);
		CHECK(decision_request_load(a, v, &q) == 0);
	}
	CHECK(policy_decide(w->set, NULL, &q, 0, a, &d) == 0);
	CHECK(d.allowed == w->allowed);
}

/* Decisions per second, the best of some runs. */
static double measure(const struct asking *w)
{
	struct arena *a CLEANUP(arena_cleanup) = arena_new(64 << 20);
	const int64_t least_ns = bench_count(LEAST_NS, 1);
	const int batch = bench_count(BATCH, 1);
	double best = 0;

	for (int i = 0; i < bench_count(REPEATS, 1); i++) {
		int64_t start = now_ns(), took, n = 0;
		do {
			for (int j = 0; j < batch; j++, n++)
				ask(w, a);
			took = now_ns() - start;
		} while (took < least_ns);
		best = MAX(best, (double)n * 1e9 / (double)took);
	}
	return best;
}

static void bench(const struct rule_set *s, const char *what, const struct decision_request *q,
	bool allowed, int policies)
{
	struct buf wire CLEANUP(buf_fini) = buf_init(65536), name CLEANUP(buf_fini) = buf_init(256);
	struct json_writer w = json_writer(&wire);

	decision_request_put(&w, q);
	buf_printf(&name, "decide %s, prepared, %d policies", what, policies);
	report(buf_cstr(&name), measure(&(struct asking){s, q, SPAN(""), allowed}),
		"per CPU second", allowed ? ">= 1000000" : NULL);
	buf_reset(&name);
	buf_printf(&name, "decide %s, from its wire form, %d policies", what, policies);
	report(buf_cstr(&name), measure(&(struct asking){s, q, buf_view(&wire), allowed}),
		"per CPU second", NULL);
}

static void bench_set(int node_policies)
{
	struct buf text CLEANUP(buf_fini) = buf_init(64 << 20);
	struct span in = SPAN("/workspace/src/module/file.c"), out = SPAN("/etc/passwd");
	struct span argv[] = {SPAN("git"), SPAN("status")};
	struct decision_request q = {.execution_id = SPAN("0191e1c2-7e1a-7b3c-8d4e-5f6071829304"),
		.agent = SPAN("coder"),
		.tenant = SPAN("local"),
		.action = SPAN("fs:read"),
		.paths = &in,
		.path_count = 1};
	int64_t start = now_ns();
	struct rule_set *s = make(node_policies, &text);
	int policies = (int)rule_set_count(s);

	report("make a policy set", (double)(now_ns() - start) / policies / 1e3, "us/policy", NULL);
	bench(s, "fs:read", &q, true, policies);
	q.paths = &out;
	bench(s, "fs:read that is denied", &q, false, policies);
	q.paths = &in;
	q.action = SPAN("tool:fs.read");
	bench(s, "tool:fs.read", &q, true, policies);
	q.paths = NULL;
	q.path_count = 0;
	q.action = SPAN("tool:cmd.run");
	q.argv = argv;
	q.argv_count = 2;
	q.cwd = SPAN("/workspace");
	bench(s, "tool:cmd.run", &q, true, policies);
	rule_set_unref(s);
}

int main(void)
{
	bench_set(0);
	bench_set(bench_count(1000, 10));
	return 0;
}
