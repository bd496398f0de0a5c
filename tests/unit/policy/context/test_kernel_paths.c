/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Rules about files against the decision itself: for every path of a small world, what they say is
 * what policy_decide() says, and what they say of a folder holds of all that is in it.
 */
#include "policy/context/context.h"
#include "policy/context/kernel_rules.h"
#include "tests/tap.h"

static struct arena *arena;

static int setup(void **state)
{
	(void)state;
	arena = arena_new(64 << 20);
	return arena ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	arena = arena_free(arena);
	return 0;
}

static const struct decision_request who = {
	.execution_id = {"e", 1}, .agent = {"builder", 7}, .tenant = {"t", 1}};
static const char *const paths[] = {"/", "/usr", "/usr/bin", "/usr/bin/curl",
	"/usr/bin/curl-config", "/usr/bin/python3", "/usr/binary", "/usr/lib/a.so", "/etc/passwd",
	"/etc/ssl/cert.pem", "/tmp/curl", "/tmp/x", "/workspace/a/curl"};
static const char *const folders[] = {"/", "/usr", "/usr/bin", "/etc", "/tmp", "/workspace"};

static struct rule_set *set_of(const char *text)
{
	struct rule_set_builder *b = rule_set_builder_new();
	if (rule_add_cedar(b, span_cstr(text), "a.cedar") < 0)
		fail_msg("%s", err_message(-EINVAL));
	assert_int_equal(
		rule_add_cedar(b, SPAN("permit (principal, action, resource);"), "b.cedar"), 0);
	struct rule_set *s = rule_set_seal(b);
	if (!s)
		fail_msg("%s", err_message(-EINVAL));
	rule_set_builder_free(b);
	return s;
}

static bool policy_says(const struct rule_set *s, int right, const char *path)
{
	static const char *const actions[] = {"exec", "fs:read", "fs:write"};
	struct decision_request q = who;
	struct span p = span_cstr(path);
	struct decision d;
	q.action = span_cstr(actions[right]);
	q.paths = &p;
	q.path_count = right != KERNEL_EXEC;
	q.argv = &p;
	q.argv_count = right == KERNEL_EXEC;
	assert_int_equal(policy_decide(s, NULL, &q, 0, arena, &d), 0);
	return !d.allowed;
}

static bool rules_say(const struct kernel_rules *k, int right, const char *path)
{
	for (size_t i = 0; i < k->path_count; i++)
		if ((int)k->paths[i].right == right &&
			kernel_path_holds(k->paths[i].when, span_cstr(path)))
			return true;
	return false;
}

static bool lies_in(const char *path, const char *folder)
{
	size_t n = strlen(folder);
	return n == 1 || (strncmp(path, folder, n) == 0 && (path[n] == '/' || path[n] == '\0'));
}

static void expect_extents(const struct kernel_path_rule *r, const char *text)
{
	for (size_t f = 0; f < ARRAY_LEN(folders); f++) {
		enum kernel_path_extent x = kernel_path_extent(r->when, span_cstr(folders[f]));
		enum kernel_path_extent named =
			kernel_path_named_extent(r->when, span_cstr(folders[f]));
		if (x != KERNEL_PATH_SOME && named != x)
			fail_msg("%s: %d, by names %d\n%s", folders[f], x, named, text);
		for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
			bool holds = kernel_path_holds(r->when, span_cstr(paths[i]));
			if (lies_in(paths[i], folders[f]) &&
				((x == KERNEL_PATH_ALL && !holds) ||
					(x == KERNEL_PATH_NONE && holds)))
				fail_msg("%s of %s in %s: %d\n%s", paths[i], folders[f], folders[f],
					x, text);
		}
	}
}

static void lower(const struct rule_set *s, struct kernel_rules *ret)
{
	*ret = (struct kernel_rules){0};
	assert_int_equal(rule_set_path_rules(s, &who, arena, ret), 0);
	for (size_t i = 0; i < ret->path_count; i++)
		if (!ret->paths[i].when)
			fail_msg("%s", ret->paths[i].why);
}

static const char *const conditions[] = {
	"resource == Path::\"/usr/bin/curl\"",
	"resource in Path::\"/usr/bin\"",
	"resource in Path::\"/\"",
	"resource in [Path::\"/usr/bin\", Path::\"/etc/passwd\"]",
	"[Path::\"/usr/bin/curl\", Path::\"/etc/passwd\"].contains(resource)",
	"resource in PathPattern::\"/usr/*/curl*\"",
	"resource in PathPattern::\"/**/curl\"",
	"resource.name == \"curl\"",
	"resource.name like \"c*l\"",
	"resource.path like \"/usr/bin/c*\"",
	"resource.path != \"/usr/bin/curl\"",
	"!(resource in Path::\"/usr\")",
	"resource in Path::\"/usr\" && resource.name like \"*curl*\"",
	"resource in Path::\"/etc\" || resource == Path::\"/tmp/x\"",
	"if resource in Path::\"/usr\" then resource.name == \"curl\" else resource.name == \"x\"",
	"resource is Path in Path::\"/usr/bin\" && resource != Path::\"/usr/bin/curl\"",
	"principal in Agent::\"builder\" && resource in Path::\"/etc\"",
	"principal in Agent::\"other\" && resource in Path::\"/etc\"",
};

static void like_the_decision(void **state)
{
	for (size_t c = 0; c < 2 * ARRAY_LEN(conditions); c++) {
		const char *text = arena_printf(arena,
			"forbid (principal, action == Action::\"exec\", resource) %s { %s };",
			c % 2 ? "unless" : "when", conditions[c / 2]);
		struct rule_set *s = set_of(text);
		struct kernel_rules k;
		lower(s, &k);
		for (size_t i = 0; i < ARRAY_LEN(paths); i++)
			if (rules_say(&k, KERNEL_EXEC, paths[i]) !=
				policy_says(s, KERNEL_EXEC, paths[i]))
				fail_msg("%s\n%s", paths[i], text);
		for (size_t i = 0; i < k.path_count; i++)
			expect_extents(&k.paths[i], text);
		rule_set_unref(s);
	}
}

/* fs:read and fs:write stand beside exec; what forbids all but some folders is about volumes. */
static void files(void **state)
{
	struct kernel_rules k;
	struct rule_set *s = set_of("@id(\"etc\") forbid (principal, action in Action::\"fs\", "
				    "resource in Path::\"/etc\");"
				    "forbid (principal, action == Action::\"fs:write\", resource) "
				    "unless { resource in Path::\"/workspace\" };");
	lower(s, &k);
	assert_int_equal(k.path_count, 2);
	assert_int_equal(k.paths[0].right, KERNEL_READ);
	assert_int_equal(k.paths[1].right, KERNEL_WRITE);
	for (size_t i = 0; i < 2; i++) {
		assert_true(span_is(k.paths[i].policy_id, "etc"));
		assert_true(kernel_path_holds(k.paths[i].when, SPAN("/etc/passwd")));
		assert_false(kernel_path_holds(k.paths[i].when, SPAN("/usr/bin/curl")));
	}
	rule_set_unref(s);
}

/* Words of a command are read where a call is dispatched. */
static void commands(void **state)
{
	static const char *const texts[] = {
		"forbid (principal, action == Action::\"exec\", resource) when { "
		"context.command.base == \"rm\" };",
		"forbid (principal, action == Action::\"exec\", resource in Path::\"/usr\") unless "
		"{ context.command.args.contains(\"-n\") };",
		"permit (principal, action == Action::\"exec\", resource);",
		"forbid (principal in Agent::\"other\", action == Action::\"exec\", resource);",
	};
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		struct rule_set *s = set_of(texts[i]);
		struct kernel_rules k;
		lower(s, &k);
		assert_int_equal(k.path_count, 0);
		rule_set_unref(s);
	}
}

/* Named with its line, for whoever has to refuse it. */
static void what_cannot_be_lowered(void **state)
{
	struct rule_set *s = set_of(
		"\n@id(\"odd\") forbid (principal, action == Action::\"exec\", resource) when { "
		"[\"/usr/bin/curl\"].contains(resource.path) };");
	struct kernel_rules k = {0};
	assert_int_equal(rule_set_path_rules(s, &who, arena, &k), 0);
	assert_int_equal(k.path_count, 1);
	assert_null(k.paths[0].when);
	assert_string_equal(k.paths[0].where, "policy 'odd' of a.cedar:2");
	assert_non_null(strstr(k.paths[0].why, "the kernel cannot"));
	rule_set_unref(s);
}

/* A name may be a link: what it leads to is meant, too. */
static int lead(void *ctx, struct span name, struct span *led_to)
{
	(*(int *)ctx)++;
	assert_true(!led_to == span_is(name, "/opt/x")); /* where a pattern begins */
	if (span_is(name, "/bin"))
		*led_to = SPAN("/usr/bin");
	return 0;
}

static void links(void **state)
{
	struct rule_set *s = set_of("forbid (principal, action == Action::\"exec\", resource) when "
				    "{ resource in Path::\"/bin\" || resource in "
				    "PathPattern::\"/opt/x/*/y\" };");
	struct kernel_rules k;
	int count = 0;
	lower(s, &k);
	assert_false(rules_say(&k, KERNEL_EXEC, "/usr/bin/curl"));
	assert_int_equal(kernel_path_names(k.paths[0].when, lead, &count), 0);
	assert_int_equal(count, 2);
	assert_true(rules_say(&k, KERNEL_EXEC, "/usr/bin/curl"));
	assert_true(rules_say(&k, KERNEL_EXEC, "/bin/curl"));
	rule_set_unref(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(like_the_decision, setup, teardown),
		cmocka_unit_test_setup_teardown(files, setup, teardown),
		cmocka_unit_test_setup_teardown(commands, setup, teardown),
		cmocka_unit_test_setup_teardown(what_cannot_be_lowered, setup, teardown),
		cmocka_unit_test_setup_teardown(links, setup, teardown),
	};
	return cmocka_run_group_tests_name("policy/context: kernel paths", tests, NULL, NULL);
}
