/* SPDX-License-Identifier: AGPL-3.0-only */
#include "daemon/net/router.h"
#include "tests/tap.h"
#include <errno.h>

static struct router *routes;
static struct arena *arena;
static struct router_match match;

static void add(enum http_method m, const char *pattern)
{
	assert_int_equal(router_add(routes, m, pattern, (void *)pattern), 0);
}

static int setup(void **state)
{
	arena = arena_new(1 << 20);
	routes = router_new();
	assert_non_null(arena);
	assert_non_null(routes);
	add(HTTP_GET, "/");
	add(HTTP_GET, "/v1/agents");
	add(HTTP_POST, "/v1/agents");
	add(HTTP_GET, "/v1/agents/{id}");
	add(HTTP_DELETE, "/v1/agents/{id}");
	add(HTTP_GET, "/v1/agents/{id}/versions");
	add(HTTP_GET, "/v1/agents/lookup/{name}");
	add(HTTP_GET, "/v1/secrets/{path...}");
	add(HTTP_GET, "/v1/executions/{id}/files/{path...}");
	return 0;
}

static int teardown(void **state)
{
	routes = router_free(routes);
	arena = arena_free(arena);
	return 0;
}

static int find(enum http_method m, const char *path)
{
	int r = router_find(routes, arena, m, span_cstr(path), &match);

	err_clear();
	return r;
}

static void assert_finds(const char *path, const char *pattern)
{
	int r = find(HTTP_GET, path);

	if (r != 0 || strcmp(match.value, pattern) != 0)
		fail_msg("%s: got %d %s", path, r, r ? "" : (const char *)match.value);
}

static void assert_param(const char *name, const char *value)
{
	struct span s = router_param(&match, name);

	if (!s.p || !span_is(s, value))
		fail_msg("%s: got \"" SPAN_FMT "\", want \"%s\"", name, SPAN_ARG(s), value);
}

static void literals_and_parameters(void **state)
{
	assert_finds("/", "/");
	assert_finds("/v1/agents", "/v1/agents");
	assert_finds("/v1/agents/42", "/v1/agents/{id}");
	assert_param("id", "42");
	assert_null(router_param(&match, "name").p);
	assert_finds("/v1/agents/42/versions", "/v1/agents/{id}/versions");
	assert_param("id", "42");
	assert_finds("/v1/agents/lookup/greeter", "/v1/agents/lookup/{name}");
	assert_param("name", "greeter");
	assert_int_equal(match.param_count, 1);
	/* A literal that leads nowhere gives way to the parameter. */
	assert_finds("/v1/agents/lookup/versions", "/v1/agents/lookup/{name}");
	assert_finds("/v1/agents/lookup", "/v1/agents/{id}");
	assert_param("id", "lookup");
	assert_int_equal(match.param_count, 1);
	assert_finds("/v1/%61gents", "/v1/agents");
}

static void what_is_not_there(void **state)
{
	static const char *const none[] = {"/v1", "/v1/", "/v1/agents/", "/v1//agents",
		"//v1/agents", "/v1/agents/42/", "/v1/agents/42/other", "/v1/Agents", "/v1/secrets",
		"/v1/secrets/", "/x", "*", "/v1/agents/a%2Fb", "/v1%2Fagents"};

	for (size_t i = 0; i < ARRAY_LEN(none); i++) {
		if (find(HTTP_GET, none[i]) != ROUTER_NONE)
			fail_msg("found: %s", none[i]);
	}
}

static void the_rest_of_a_path(void **state)
{
	assert_finds("/v1/secrets/a/b/c", "/v1/secrets/{path...}");
	assert_param("path", "a/b/c");
	assert_finds("/v1/secrets/a%2Fb", "/v1/secrets/{path...}");
	assert_param("path", "a/b");
	assert_finds("/v1/executions/7/files/out/x%20y.txt", "/v1/executions/{id}/files/{path...}");
	assert_param("id", "7");
	assert_param("path", "out/x y.txt");
}

static void paths_that_step_or_hide_are_refused(void **state)
{
	static const char *const bad[] = {"/v1/../x", "/..", "/.", "/v1/./agents", "/v1/%2e%2e/x",
		"/v1/.%2E", "/v1/secrets/a%2F..%2Fb", "/v1/secrets/..%2fb", "/v1/agents/%00",
		"/v1/agents/%0a", "/v1/agents/%ff", "/v1/agents/%c0%af", "/v1/agents/%zz"};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		if (find(HTTP_GET, bad[i]) != -EINVAL)
			fail_msg("accepted: %s", bad[i]);
	}
}

static void methods(void **state)
{
	assert_int_equal(find(HTTP_POST, "/v1/agents"), 0);
	assert_int_equal(find(HTTP_HEAD, "/v1/agents"), 0);
	assert_int_equal(find(HTTP_DELETE, "/v1/agents"), ROUTER_METHOD);
	assert_string_equal(match.allow, "GET, HEAD, POST");
	assert_int_equal(find(HTTP_PUT, "/v1/agents/1"), ROUTER_METHOD);
	assert_string_equal(match.allow, "GET, HEAD, DELETE");
	assert_int_equal(find(HTTP_OTHER, "/v1/agents/1"), ROUTER_METHOD);
}

static void long_paths_are_refused(void **state)
{
	struct buf b CLEANUP(buf_fini) = buf_init(4096);

	for (int i = 0; i < LIMIT_HTTP_PATH_SEGMENTS; i++)
		buf_puts(&b, "/a");
	assert_int_equal(find(HTTP_GET, buf_cstr(&b)), ROUTER_NONE);
	buf_puts(&b, "/a");
	assert_int_equal(find(HTTP_GET, buf_cstr(&b)), -EINVAL);
}

static void bad_patterns_are_refused(void **state)
{
	static const char *const bad[] = {
		"", "v1", "/a//b", "/a/", "/a/{}", "/a/{b", "/a/x{b}", "/a/{b...}/c", "/a/{...}"};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		if (router_add(routes, HTTP_GET, bad[i], routes) != -EINVAL)
			fail_msg("accepted: %s", bad[i]);
	}
	assert_int_equal(router_add(routes, HTTP_GET, "/v1/agents/{other}/x", routes), -EINVAL);
	assert_int_equal(router_add(routes, HTTP_GET, "/v1/agents", routes), -EEXIST);
	err_clear();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(literals_and_parameters),
		cmocka_unit_test(what_is_not_there),
		cmocka_unit_test(the_rest_of_a_path),
		cmocka_unit_test(paths_that_step_or_hide_are_refused),
		cmocka_unit_test(methods),
		cmocka_unit_test(long_paths_are_refused),
		cmocka_unit_test(bad_patterns_are_refused),
	};

	return cmocka_run_group_tests_name("net", tests, setup, teardown);
}
