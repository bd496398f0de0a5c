/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * A set that shares another's policies against the same text compiled as one: random policies in
 * either layer, among them such that fail, overlap and count. Hash, decisions with their policies
 * and reasons, limits, explanations and the kernel's rules must be the same.
 */
#include "policy/context/context.h"
#include "policy/context/kernel_rules.h"
#include "tests/tap.h"
#include <stdio.h>

enum { ROUNDS = 400, ASKS = 12, LAYER_MAX = 6 };

static uint64_t seed;

static unsigned pick(unsigned n)
{
	seed = seed * 6364136223846793005u + 1442695040888963407u;
	return (unsigned)(seed >> 33) % n;
}

static const char *const policies[] = {
	"permit (principal, action, resource);",
	"permit (principal, action in Action::\"tool:fs.*\", resource);",
	"permit (principal, action == Action::\"tool:fs.read\", resource) when { context.missing "
	"};",
	"permit (principal, action, resource) when { principal.missing == 1 };",
	"permit (principal, action == Action::\"fs:read\", resource in Path::\"/a\");",
	"permit (principal, action == Action::\"fs:read\", resource in PathPattern::\"/a/*.c\");",
	"permit (principal in Agent::\"builder\", action == Action::\"fs:write\", resource in "
	"PathPattern::\"/a/**\");",
	"permit (principal, action == Action::\"net:connect\", resource in Domain::\"a.org\");",
	"permit (principal in Tenant::\"t\", action == Action::\"net:connect\", resource);",
	"forbid (principal, action == Action::\"net:connect\", resource == Domain::\"x.a.org\");",
	"forbid (principal, action in Action::\"tool:web.*\", resource);",
	"forbid (principal, action in [Action::\"fs:read\", Action::\"fs:write\"], resource in "
	"Path::\"/a/b\");",
	"forbid (principal, action == Action::\"exec\", resource in PathPattern::\"/a/*.c\");",
	"forbid (principal, action, resource) when { principal.missing == 1 };",
	"forbid (principal, action == Action::\"tool:fs.read\", resource) when { context.missing "
	"};",
	"@rate_calls(\"2\") @rate_window_ms(\"1000\") forbid (principal, action in "
	"Action::\"tool:fs.*\", resource);",
	"@rate_calls(\"1\") @rate_window_ms(\"1000\") forbid (principal, action in "
	"Action::\"tool\", resource);",
	"@max_response_bytes(\"100\") forbid (principal, action == Action::\"tool:fs.read\", "
	"resource);",
};

static void add_layer(struct rule_set_builder *b, const char *file)
{
	struct buf text CLEANUP(buf_fini) = buf_init(64 * 1024);
	unsigned n = pick(LAYER_MAX + 1);

	for (unsigned i = 0; i < n; i++)
		buf_printf(&text, "%s\n", policies[pick(ARRAY_LEN(policies))]);
	assert_int_equal(rule_add_cedar(b, buf_view(&text), file), 0);
	if (pick(3) == 0)
		assert_int_equal(
			rule_allow_tool(b, "fs.*", (struct rule_origin){.field = file}), 0);
}

static struct rule_set *seal(struct rule_set_builder *b)
{
	struct rule_set *s = rule_set_seal(b);

	if (!s)
		fail_msg("seed %llu: %s", (unsigned long long)seed, err_message(-EINVAL));
	return s;
}

/* Two layers, and the set that their text describes. */
static void make(struct arena *arena, struct rule_set **ret_layered, struct rule_set **ret_flat)
{
	struct rule_set_builder *b = rule_set_builder_new();

	add_layer(b, "node");
	struct rule_set *base = seal(b);
	assert_int_equal(rule_add_set(b, base), 0);
	add_layer(b, "own");
	*ret_layered = seal(b);
	rule_set_builder_free(b);
	rule_set_unref(base);
	assert_int_equal(rule_set_load(rule_set_text(*ret_layered, arena), ret_flat), 0);
}

struct ask {
	struct decision_request q;
	struct span paths[2], argv[2];
};

static void random_request(struct ask *a)
{
	static const char *const actions[] = {"tool:fs.read", "tool:fs.write", "tool:web.fetch",
		"tool:cmd.run", "fs:read", "fs:write", "exec", "net:connect"};
	static const char *const real[] = {"/", "/a", "/a/b", "/a/x.c", "/a/b/x.c", "/c"};
	static const char *const names[] = {"a.org", "x.a.org", "org"};

	*a = (struct ask){.q = {.action = span_cstr(actions[pick(ARRAY_LEN(actions))]),
				  .execution_id = SPAN("e"),
				  .agent = pick(2) ? SPAN("builder") : SPAN("other"),
				  .tenant = pick(2) ? SPAN("t") : SPAN("u"),
				  .cwd = SPAN("/")}};
	for (size_t i = 0; i < ARRAY_LEN(a->paths); i++)
		a->paths[i] = span_cstr(real[pick(ARRAY_LEN(real))]);
	a->q.paths = a->paths;
	a->q.path_count = pick(3);
	if (pick(3))
		a->q.domain = span_cstr(names[pick(ARRAY_LEN(names))]);
	a->argv[0] = SPAN("git");
	a->argv[1] = SPAN("status");
	a->q.argv = a->argv;
	a->q.argv_count = pick(3);
}

static void same_span(struct span a, struct span b)
{
	if (!span_eq(a, b))
		fail_msg("seed %llu: '" SPAN_FMT "' is not '" SPAN_FMT "'",
			(unsigned long long)seed, SPAN_ARG(a), SPAN_ARG(b));
}

static void same_decision(const struct decision *a, const struct decision *b)
{
	assert_int_equal(a->allowed, b->allowed);
	assert_int_equal(a->code, b->code);
	assert_int_equal(a->max_response_bytes, b->max_response_bytes);
	same_span(a->policy_id, b->policy_id);
	same_span(a->policy_set, b->policy_set);
	same_span(a->reason, b->reason);
	assert_int_equal(a->policy_count, b->policy_count);
	for (size_t i = 0; i < a->policy_count; i++)
		same_span(a->policy_ids[i], b->policy_ids[i]);
}

static void same_explanation(const struct rule_set *layered, const struct rule_set *flat,
	const struct decision_request *q, struct arena *arena)
{
	struct decision a, b;
	struct rule_verdict *x, *y;
	size_t n, m;

	assert_int_equal(policy_explain(layered, q, arena, &a, &x, &n), 0);
	assert_int_equal(policy_explain(flat, q, arena, &b, &y, &m), 0);
	same_decision(&a, &b);
	assert_int_equal(n, m);
	for (size_t i = 0; i < n; i++) {
		same_span(x[i].id, y[i].id);
		same_span(x[i].file, y[i].file);
		same_span(x[i].detail, y[i].detail);
		assert_int_equal(x[i].line, y[i].line);
		assert_int_equal(x[i].forbid, y[i].forbid);
		assert_int_equal(x[i].fate, y[i].fate);
	}
}

static void same_net_rules(const struct kernel_rules *a, const struct kernel_rules *b)
{
	assert_int_equal(a->net_count, b->net_count);
	for (size_t i = 0; i < a->net_count; i++) {
		const struct kernel_net_rule *x = &a->net[i], *y = &b->net[i];
		assert_int_equal(x->forbid, y->forbid);
		assert_int_equal(x->port_first, y->port_first);
		assert_int_equal(x->port_last, y->port_last);
		assert_int_equal(x->prefix_bits, y->prefix_bits);
		assert_memory_equal(x->address, y->address, sizeof(x->address));
		same_span(x->name, y->name);
		same_span(x->policy_id, y->policy_id);
	}
}

/* Both refuse with the same words, or both give the same rules. */
static unsigned same_kernel_rules(
	const struct rule_set *layered, const struct rule_set *flat, struct arena *arena)
{
	static const struct decision_request who = {
		.execution_id = {"e", 1}, .agent = {"builder", 7}, .tenant = {"t", 1}};
	struct kernel_rules a = {0}, b = {0};
	char why[ERR_MESSAGE_BYTES] = "";
	int r = rule_set_kernel_rules(layered, &who, arena, &a);

	if (r == 0)
		r = rule_set_path_rules(layered, &who, arena, &a);
	if (r < 0)
		snprintf(why, sizeof(why), "%s", err_message(r));
	err_clear();
	int other = rule_set_kernel_rules(flat, &who, arena, &b);
	if (other == 0)
		other = rule_set_path_rules(flat, &who, arena, &b);
	assert_int_equal(r, other);
	if (r < 0) {
		assert_string_equal(why, err_message(other));
		err_clear();
		return 0;
	}
	same_net_rules(&a, &b);
	assert_int_equal(a.path_count, b.path_count);
	for (size_t i = 0; i < a.path_count; i++)
		assert_int_equal(a.paths[i].right, b.paths[i].right);
	return (unsigned)(a.net_count + a.path_count);
}

static unsigned permitted, lowered;

static void round_of(struct arena *arena)
{
	struct rule_set *layered, *flat;

	make(arena, &layered, &flat);
	same_span(rule_set_hash(layered), rule_set_hash(flat));
	assert_int_equal(rule_set_count(layered), rule_set_count(flat));
	for (size_t i = 0; i < rule_set_count(flat); i++)
		same_span(rule_set_policy(layered, i).id, rule_set_policy(flat, i).id);
	struct rate_state *x = rate_state_new(layered), *y = rate_state_new(flat);
	for (int i = 0; i < ASKS; i++) {
		struct decision a, b;
		struct ask ask;
		int64_t now_ns = i * 200 * NS_PER_MS;
		random_request(&ask);
		assert_int_equal(policy_decide(layered, x, &ask.q, now_ns, arena, &a), 0);
		assert_int_equal(policy_decide(flat, y, &ask.q, now_ns, arena, &b), 0);
		same_decision(&a, &b);
		permitted += a.allowed;
		same_explanation(layered, flat, &ask.q, arena);
		if (i == ASKS / 2) { /* what was taken stays taken in another set */
			struct rate_state *next = rate_state_renew(x, layered);
			rate_state_free(x);
			x = next;
		}
	}
	lowered += same_kernel_rules(layered, flat, arena);
	rate_state_free(x);
	rate_state_free(y);
	rule_set_unref(layered);
	rule_set_unref(flat);
}

static void layers_decide_as_one(void **state)
{
	struct arena *arena = arena_new(256 << 20);

	for (uint64_t i = 1; i <= ROUNDS; i++) {
		seed = i * 7919;
		arena_reset(arena);
		round_of(arena);
	}
	print_message(
		"# %u of %u permitted, %u rules lowered\n", permitted, ROUNDS * ASKS, lowered);
	assert_true(permitted > ROUNDS / 2 && permitted < ROUNDS * ASKS / 2 && lowered > ROUNDS);
	arena_free(arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(layers_decide_as_one)};
	return cmocka_run_group_tests_name("policy/context/layers", tests, NULL, NULL);
}
