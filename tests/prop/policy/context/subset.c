/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Random security contexts over a small vocabulary. If one is said to cover another, no request may
 * be allowed by the inner and denied by the outer: as grants, and as ceilings over rules that allow
 * everything. A context covers itself, and as a ceiling it denies what it denies as grants.
 */
#include "policy/context/context.h"
#include "tests/tap.h"
#include <stdlib.h>

enum { CAPS_MAX = 3, LIST_MAX = 2, ROUNDS = 2000 };

static uint64_t seed;

static unsigned pick(unsigned n)
{
	seed = seed * 6364136223846793005u + 1442695040888963407u;
	return (unsigned)(seed >> 33) % n;
}

static const char *const patterns[] = {"*", "fs.*", "fs.read", "fs.write", "fs.edit", "cmd.run",
	"cmd.*", "web.*", "web.fetch", "web.search"};
static const char *const paths[] = {"/", "/a", "/a/b", "/ab", "/a/*", "/a/**/*.c", "/**"};
static const char *const domains[] = {"x.org", "*.x.org", "y.x.org", "ax.org", "*"};
static const char *const commands[] = {"git", "ls", "*", CONTEXT_ANY_BUT_SHELL};
static const char *const args[] = {"status", "/a", "/a/b", "-m"};
static const char *const denies[] = {"fs.write", "fs.*", "fs.read:/a/b", "cmd.run:git", "web.*",
	"web.fetch:x.org", "fs.edit", "*"};

struct random_context {
	const char *path[CAPS_MAX][LIST_MAX], *domain[CAPS_MAX][LIST_MAX];
	const char *arg[CAPS_MAX][LIST_MAX][LIST_MAX];
	struct rule_command command[CAPS_MAX][LIST_MAX];
	struct rule_capability caps[CAPS_MAX];
	const char *deny[LIST_MAX];
	struct rule_context context;
};

static struct rule_strings choose(const char **room, const char *const *from, unsigned count)
{
	size_t n = pick(3) ? pick(LIST_MAX + 1) : 0;
	for (size_t i = 0; i < n; i++)
		room[i] = from[pick(count)];
	return (struct rule_strings){room, n};
}

static void make(struct random_context *r)
{
	*r = (struct random_context){.context = {.name = "r", .capabilities = r->caps}};
	r->context.capability_count = pick(CAPS_MAX + 1);
	for (size_t i = 0; i < r->context.capability_count; i++) {
		struct rule_capability *c = &r->caps[i];
		c->tool_pattern = patterns[pick(ARRAY_LEN(patterns))];
		c->paths = choose(r->path[i], paths, ARRAY_LEN(paths));
		c->domains = choose(r->domain[i], domains, ARRAY_LEN(domains));
		c->command_count = pick(2) ? pick(LIST_MAX + 1) : 0;
		c->commands = r->command[i];
		for (size_t k = 0; k < c->command_count; k++)
			r->command[i][k] =
				(struct rule_command){commands[pick(ARRAY_LEN(commands))],
					choose(r->arg[i][k], args, ARRAY_LEN(args))};
	}
	r->context.deny_list = choose(r->deny, denies, ARRAY_LEN(denies));
}

/* Something that a narrower context could be: capabilities and entries left out, patterns and paths
 * exchanged for some that are often inside, denies added. */
static void narrow(const struct random_context *from, struct random_context *r)
{
	*r = *from;
	r->context.capabilities = r->caps;
	for (size_t i = 0; i < r->context.capability_count; i++) {
		struct rule_capability *c = &r->caps[i];
		if (pick(3) == 0)
			c->tool_pattern = patterns[pick(ARRAY_LEN(patterns))];
		if (pick(2) == 0)
			c->paths = choose(r->path[i], paths, ARRAY_LEN(paths));
		if (pick(3) == 0)
			c->domains = choose(r->domain[i], domains, ARRAY_LEN(domains));
		if (c->command_count && pick(2))
			c->command_count--;
	}
	if (r->context.capability_count && pick(3) == 0)
		r->context.capability_count--;
	if (pick(3) == 0)
		r->context.deny_list = choose(r->deny, denies, ARRAY_LEN(denies));
}

static struct rule_set *set_of(const struct rule_context *c, enum rule_context_use use)
{
	struct rule_set_builder *b = rule_set_builder_new();
	assert_int_equal(rule_add_context(b, c, use), 0);
	if (use == RULE_CONTEXT_CEILING)
		assert_int_equal(
			rule_add_cedar(b, SPAN("permit (principal, action, resource);"), "all"), 0);
	struct rule_set *s = rule_set_seal(b);
	if (!s)
		fail_msg("%s", err_message(-EINVAL));
	rule_set_builder_free(b);
	return s;
}

struct ask {
	struct decision_request q;
	struct span path, argv[3];
};

static void random_request(struct ask *a)
{
	static const char *const tools[] = {"tool:fs.read", "tool:fs.write", "tool:fs.edit",
		"tool:fsx.read", "tool:web.fetch", "tool:web.search", "tool:other", "tool:cmd.run",
		"tool:cmd.other", "fs:read", "fs:write", "exec", "net:connect"};
	static const char *const real[] = {"/", "/a", "/a/b", "/ab", "/a/x.c", "/a/b/x.c", "/c"};
	static const char *const names[] = {"x.org", "y.x.org", "z.y.x.org", "ax.org", "org"};
	static const char *const programs[] = {"git", "ls", "sh", "/bin/git"};
	static const char *const first[] = {"status", "/a/f", "/a/b", "-m", "/ab"};

	*a = (struct ask){
		.q = {.action = span_cstr(tools[pick(ARRAY_LEN(tools))]), .cwd = SPAN("/")}};
	if (pick(4)) {
		a->path = span_cstr(real[pick(ARRAY_LEN(real))]);
		a->q.paths = &a->path;
		a->q.path_count = 1;
	}
	if (pick(4))
		a->q.domain = span_cstr(names[pick(ARRAY_LEN(names))]);
	a->argv[0] = span_cstr(programs[pick(ARRAY_LEN(programs))]);
	a->argv[1] = span_cstr(first[pick(ARRAY_LEN(first))]);
	if (span_starts(a->q.action, SPAN("tool:cmd.run")) || span_is(a->q.action, "exec")) {
		a->q.argv = a->argv;
		a->q.argv_count = 1 + pick(2);
	}
}

static bool allows(const struct rule_set *s, const struct ask *a, struct arena *arena)
{
	struct decision d;
	arena_reset(arena);
	assert_int_equal(policy_decide(s, NULL, &a->q, 0, arena, &d), 0);
	return d.allowed;
}

static void say(const struct rule_set *outer, const struct rule_set *inner, const struct ask *a,
	const char *what, uint64_t from)
{
	struct arena *texts = arena_new(64 << 20);

	fail_msg("seed %llu: %s: %.*s path %.*s domain %.*s argv %.*s "
		 "%.*s\nouter:\n%.*s\ninner:\n%.*s",
		(unsigned long long)from, what, SPAN_ARG(a->q.action), SPAN_ARG(a->path),
		SPAN_ARG(a->q.domain), SPAN_ARG(a->argv[0]), SPAN_ARG(a->argv[1]),
		SPAN_ARG(rule_set_text(outer, texts)), SPAN_ARG(rule_set_text(inner, texts)));
}

static unsigned covered;

static void round_of(struct arena *arena)
{
	static struct random_context x, y;
	uint64_t from = seed;
	struct span why;
	struct rule_set *grants[2], *ceilings[2];

	make(&x);
	if (pick(2))
		narrow(&x, &y);
	else
		make(&y);
	arena_reset(arena);
	bool covers = rule_context_covers(&x.context, &y.context, arena, &why) == 0;
	assert_int_equal(rule_context_covers(&x.context, &x.context, arena, &why), 0);
	covered += covers && y.context.capability_count > 0;
	grants[0] = set_of(&x.context, RULE_CONTEXT_GRANTS);
	grants[1] = set_of(&y.context, RULE_CONTEXT_GRANTS);
	ceilings[0] = set_of(&x.context, RULE_CONTEXT_CEILING);
	ceilings[1] = set_of(&y.context, RULE_CONTEXT_CEILING);
	for (int i = 0; i < 40; i++) {
		struct ask a;
		random_request(&a);
		bool outer = allows(grants[0], &a, arena), inner = allows(grants[1], &a, arena);
		if (covers && inner && !outer)
			say(grants[0], grants[1], &a, "granted by the inner alone", from);
		if (covers && allows(ceilings[1], &a, arena) && !allows(ceilings[0], &a, arena))
			say(ceilings[0], ceilings[1], &a, "under the inner ceiling alone", from);
		if (outer && !allows(ceilings[0], &a, arena))
			say(ceilings[0], grants[0], &a, "granted, but over the same ceiling", from);
		if (!outer && allows(ceilings[0], &a, arena) &&
			!span_starts(a.q.action, SPAN("net:")))
			say(ceilings[0], grants[0], &a, "under the ceiling, but not granted", from);
	}
	for (int i = 0; i < 2; i++) {
		rule_set_unref(grants[i]);
		rule_set_unref(ceilings[i]);
	}
}

static void random_contexts(void **state)
{
	(void)state;
	struct arena *arena = arena_new(64 << 20);
	const char *given = getenv("SEED");
	seed = given ? strtoull(given, NULL, 10) : 20261125;
	for (int i = 0; i < ROUNDS; i++)
		round_of(arena);
	print_message("# %u of %d pairs were covered\n", covered, ROUNDS);
	assert_true(covered > ROUNDS / 20);
	arena_free(arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(random_contexts)};
	return cmocka_run_group_tests_name("policy/context: subsets", tests, NULL, NULL);
}
