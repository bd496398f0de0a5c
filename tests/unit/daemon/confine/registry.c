/* SPDX-License-Identifier: AGPL-3.0-only */
/* The runtime registry: what it reads, what it refuses and in which words, whom it trusts. */
#include "daemon/confine/confine.h"
#include "tests/unit/mutate.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include "tests/tap.h"

static const char sample[] =
	"# what sandboxes may use\n"
	"runtime python-3.11\n"
	"\tlanguage python python3\n"
	"\tversion 3.11.2\n"
	"\tinterpreter /usr/bin/python3.11 -B   # no caches\n"
	"\tbind /usr\n"
	"\tbind /opt/models /models\n"
	"runtime python-3.9\r\n"
	"language python\nversion 3.9\ninterpreter /opt/py39/bin/python\nbind /opt/py39\n"
	"runtime node-20\n"
	"language javascript node\nversion 20.1.0\ninterpreter /usr/bin/node\nbind /usr";

static struct runtime_registry *load(void)
{
	struct runtime_registry *r = NULL;

	assert_int_equal(runtime_registry_parse(span_cstr(sample), "runtimes", &r), 0);
	return r;
}

static void everything_is_read(void **state)
{
	struct runtime_registry *r CLEANUP(runtime_registry_cleanup) = load();
	const struct runtime *t = runtime_registry_find(r, "python-3.11");

	assert_int_equal(runtime_registry_count(r), 3);
	assert_non_null(t);
	assert_string_equal(t->languages[1], "python3");
	assert_null(t->languages[2]);
	assert_string_equal(t->interpreter[0], "/usr/bin/python3.11");
	assert_string_equal(t->interpreter[1], "-B");
	assert_null(t->interpreter[2]);
	assert_int_equal(t->bind_count, 2);
	assert_string_equal(t->binds[0].inside, "/usr");
	assert_string_equal(t->binds[1].host, "/opt/models");
	assert_string_equal(t->binds[1].inside, "/models");
	assert_null(runtime_registry_find(r, "python"));
}

static void pairs_find_their_runtime(void **state)
{
	struct runtime_registry *r CLEANUP(runtime_registry_cleanup) = load();
	const struct {
		const char *language, *version, *runtime;
	} pairs[] = {{"python", "3.11", "python-3.11"}, {"python", "3.11.2", "python-3.11"},
		{"Python", "3", "python-3.11"}, {"python", "", "python-3.11"},
		{"python", "latest", "python-3.11"}, {"python", "3.9", "python-3.9"},
		{"node", "20", "node-20"}, {"javascript", "20.1", "node-20"},
		{"python", "3.1", NULL}, {"python", "3.11.2.1", NULL}, {"python", "2", NULL},
		{"ruby", "", NULL}, {"node", "2", NULL}};

	for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
		const struct runtime *t;
		int x = runtime_registry_match(
			r, span_cstr(pairs[i].language), span_cstr(pairs[i].version), &t);
		assert_int_equal(x, pairs[i].runtime ? 0 : -ENOENT);
		if (x == 0)
			assert_string_equal(t->name, pairs[i].runtime);
		else
			assert_non_null(
				strstr(err_message(x), "python 3.11.2, python 3.9, javascript"));
	}
}

static void refusals_name_the_line(void **state)
{
#define HEAD "runtime a\nlanguage a\nversion 1\ninterpreter /a\n"
	const struct {
		const char *text, *message;
	} bad[] = {
		{"language a\n", "f:1: language before the first runtime"},
		{"runtime A\n", "f:1: runtime:"},
		{"runtime a b\n", "f:1: runtime:"},
		{HEAD "bind /usr/../etc\n", "f:5: bind"},
		{HEAD "bind usr\n", "f:5: bind"},
		{HEAD "bind /\n", "f:5: bind"},
		{HEAD "bind /usr/\n", "f:5: bind"},
		{HEAD "bind //usr\n", "f:5: bind"},
		{HEAD "bind /a /b /c\n", "f:5: bind"},
		{HEAD "bind\n", "f:5: bind needs a value"},
		{HEAD "interpreter /b\n", "f:5: runtime a has an interpreter already"},
		{HEAD "include /etc/shadow\n", "f:5: \"include\""},
		{HEAD, "runtime a has no bind line"},
		{HEAD "bind /a\nruntime a\n", "f:6: runtime a stands here twice"},
		{"runtime a\nruntime b\n", "f:2: runtime a has no language line"},
		{"runtime a\nlanguage ../b\n", "f:2: language"},
		{"runtime a\nlanguage 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n",
			"f:2: more than 16"},
	};
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct runtime_registry *r = NULL;
		int x = runtime_registry_parse(span_cstr(bad[i].text), "f", &r);
		assert_int_equal(x, -EINVAL);
		assert_null(r);
		if (!strstr(err_message(x), bad[i].message))
			fail_msg("%s, expected %s", err_message(x), bad[i].message);
	}
}

static void accepted_or_refused(struct span damaged, const char *what, void *arg)
{
	struct runtime_registry *r CLEANUP(runtime_registry_cleanup) = NULL;
	int x = runtime_registry_parse(damaged, "f", &r);

	if (x != 0 && x != -EINVAL)
		fail_msg("%s: %d", what, x);
}

static void damaged_registries_do_no_harm(void **state)
{
	mutate(span_cstr(sample), MUTATE_ALL, accepted_or_refused, NULL);
}

static void only_a_file_of_roots_counts(void **state)
{
	char path[] = "/tmp/aegis-registry-XXXXXX";
	struct runtime_registry *r CLEANUP(runtime_registry_cleanup) = NULL;
	AUTO_FD fd = mkstemp(path);

	assert_true(fd >= 0);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(fd_write_all(fd, span_cstr(sample)), 0);
	if (getuid() != 0) {
		assert_int_equal(runtime_registry_read(fd, "f", &r), -EPERM);
		return;
	}
	assert_int_equal(fchmod(fd, 0664), 0);
	assert_int_equal(runtime_registry_read(fd, "f", &r), -EPERM);
	assert_int_equal(fchmod(fd, 0644), 0);
	assert_int_equal(fchown(fd, 1, 0), 0);
	assert_int_equal(runtime_registry_read(fd, "f", &r), -EPERM);
	assert_int_equal(fchown(fd, 0, 0), 0);
	assert_int_equal(runtime_registry_read(fd, "f", &r), 0);
	assert_int_equal(runtime_registry_count(r), 3);
}

static void the_default_is_read_again(void **state)
{
	struct buf text CLEANUP(buf_fini) = buf_init(LIMIT_REGISTRY_BYTES);
	struct runtime_registry *r CLEANUP(runtime_registry_cleanup) = NULL;
	const struct runtime *t;

	assert_int_equal(runtime_registry_generate(&text), 0);
	assert_int_equal(runtime_registry_parse(buf_view(&text), "default", &r), 0);
	assert_int_equal(runtime_registry_match(r, SPAN("bash"), SPAN(""), &t), 0);
	assert_string_equal(t->interpreter[0], "/usr/bin/bash");
	if (access("/usr/bin/python3", X_OK) == 0)
		assert_int_equal(runtime_registry_match(r, SPAN("python"), SPAN("3"), &t), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(everything_is_read),
		cmocka_unit_test(pairs_find_their_runtime),
		cmocka_unit_test(refusals_name_the_line),
		cmocka_unit_test(damaged_registries_do_no_harm),
		cmocka_unit_test(only_a_file_of_roots_counts),
		cmocka_unit_test(the_default_is_read_again),
	};
	return cmocka_run_group_tests_name("confine", tests, NULL, NULL);
}
