/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The JSON Schema organisation's own suite, as Debian packages it: every group of every draft that
 * the package holds. What we do not do stands in `exceptions`, with the reason, and an exception
 * that begins to pass is a failure too, so that the list stays true.
 */
#include "tests/tap.h"
#include "daemon/schema/schema.h"
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

#define SUITE "/usr/share/json-schema-test-suite/tests"

static const struct {
	const char *file; /* below the draft */
	const char *group; /* beginning of its description */
	const char *reason;
} exceptions[] = {
	{"refRemote.json", "", "nothing is fetched: the schema refers to a document elsewhere"},
	{"definitions.json", "", "nothing is fetched: the schema refers to its meta-schema"},
	{"ref.json", "remote ref, containing refs itself",
		"nothing is fetched: the schema refers to its meta-schema"},
};

struct counts {
	int passed, failed, excepted;
};

static const char *exception_of(const char *file, const char *group)
{
	for (size_t i = 0; i < ARRAY_LEN(exceptions); i++)
		if (strcmp(exceptions[i].file, file) == 0 &&
			strncmp(exceptions[i].group, group, strlen(exceptions[i].group)) == 0)
			return exceptions[i].reason;
	return NULL;
}

static void fail_case(struct counts *n, const char *draft, const char *file, const char *group,
	const char *test, const char *why)
{
	n->failed++;
	print_message("# %s/%s: %s: %s: %s\n", draft, file, group, test, why);
}

static void run_case(struct counts *n, const struct jsonschema *s, const char *draft,
	const char *file, const char *group, const struct json *test)
{
	struct jsonschema_error error = {{0}, {0}, {0}};
	bool want = json_bool(test, "valid", false);
	int r = jsonschema_check(s, json_get(test, "data"), &error);
	char name[256];
	snprintf(name, sizeof(name), SPAN_FMT, SPAN_ARG(json_str(test, "description", SPAN("?"))));
	if (r < 0)
		fail_case(n, draft, file, group, name, err_message(r));
	else if ((r == 0) != want)
		fail_case(n, draft, file, group, name, r ? error.message : "accepted");
	else
		n->passed++;
}

static void run_group(struct counts *n, enum jsonschema_draft otherwise, const char *draft,
	const char *file, const struct json *g)
{
	char group[256];
	snprintf(group, sizeof(group), SPAN_FMT, SPAN_ARG(json_str(g, "description", SPAN("?"))));
	const char *reason = exception_of(file, group);
	struct jsonschema *s = NULL;
	int r = jsonschema_new(json_get(g, "schema"), otherwise, &s);
	if (reason) {
		if (r == 0)
			fail_case(n, draft, file, group, "-", "listed as an exception, but works");
		n->excepted += (int)json_get(g, "tests")->count;
		print_message("# exception: %s/%s: %s: %s\n", draft, file, group, reason);
	} else if (r < 0) {
		fail_case(n, draft, file, group, "schema", err_message(r));
	} else {
		json_for_each (test, json_get(g, "tests"))
			run_case(n, s, draft, file, group, test);
	}
	err_clear();
	jsonschema_free(s);
}

static void run_file(
	struct counts *n, enum jsonschema_draft otherwise, const char *draft, const char *file)
{
	char path[512];
	snprintf(path, sizeof(path), SUITE "/%s/%s", draft, file);
	struct buf text CLEANUP(buf_fini) = buf_init(LIMIT_JSON_BYTES);
	struct arena *a CLEANUP(arena_cleanup) = arena_new(64 << 20);
	const struct json *v;
	assert_int_equal(fd_read_file(path, &text), 0);
	assert_int_equal(json_parse(a, buf_view(&text), NULL, &v), 0);
	json_for_each (group, v)
		run_group(n, otherwise, draft, file, group);
}

static void run_draft(enum jsonschema_draft otherwise, const char *draft)
{
	char path[512];
	snprintf(path, sizeof(path), SUITE "/%s", draft);
	struct dirent **entries;
	int count = scandir(path, &entries, NULL, alphasort);
	if (count < 0)
		test_skip(
			"the suite's %s is not installed (package json-schema-test-suite)", draft);
	struct counts n = {0};
	for (int i = 0; i < count; i++) {
		size_t length = strlen(entries[i]->d_name);
		if (length > 5 && strcmp(entries[i]->d_name + length - 5, ".json") == 0)
			run_file(&n, otherwise, draft, entries[i]->d_name);
		free(entries[i]);
	}
	free(entries);
	print_message(
		"# %s: %d passed, %d failed, %d excepted\n", draft, n.passed, n.failed, n.excepted);
	assert_int_equal(n.failed, 0);
	assert_true(n.passed > 100);
}

static void draft4(void **state)
{
	run_draft(JSONSCHEMA_DRAFT4, "draft4");
}

static void draft6(void **state)
{
	run_draft(JSONSCHEMA_DRAFT6, "draft6");
}

static void draft7(void **state)
{
	run_draft(JSONSCHEMA_DRAFT7, "draft7");
}

static void draft2019_09(void **state)
{
	run_draft(JSONSCHEMA_2019_09, "draft2019-09");
}

static void draft2020_12(void **state)
{
	run_draft(JSONSCHEMA_2020_12, "draft2020-12");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(draft4),
		cmocka_unit_test(draft6),
		cmocka_unit_test(draft7),
		cmocka_unit_test(draft2019_09),
		cmocka_unit_test(draft2020_12),
	};
	return cmocka_run_group_tests_name("schema", tests, NULL, NULL);
}
