/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Manifests and node configurations that others wrote: all of them load, and the JSON Schema that
 * we hand out accepts them too. They lie beside the source, or where AEGIS_TESTDATA says; they are
 * no part of this project.
 */
#include "tests/tap.h"
#include "daemon/agent/agent.h"
#include "daemon/config/config.h"
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

enum { ARENA_BYTES = 64 << 20 };

static char folder[1024];

static void find_folder(const char *name)
{
	const char *data = getenv("AEGIS_TESTDATA"), *source = getenv("AEGIS_SOURCE");
	if (data)
		snprintf(folder, sizeof(folder), "%s/manifests/%s", data, name);
	else
		snprintf(folder, sizeof(folder), "%s/../shared/testdata/manifests/%s",
			source ? source : ".", name);
}

static struct jsonschema *schema_of(struct arena *a, void (*put)(struct json_writer *w))
{
	struct buf b CLEANUP(buf_fini) = buf_init(1 << 20);
	struct json_writer w = json_writer(&b);
	const struct json *v;
	struct jsonschema *s;
	put(&w);
	assert_int_equal(json_parse(a, buf_view(&b), NULL, &v), 0);
	assert_int_equal(jsonschema_new(v, JSONSCHEMA_2020_12, &s), 0);
	return s;
}

static void expect_schema(
	struct arena *a, const struct jsonschema *s, const char *file, struct span text)
{
	struct report r;
	const struct doc *d;
	struct jsonschema_error e = {{0}, {0}, {0}};
	assert_int_equal(report_init(&r, a, file), 0);
	assert_int_equal(doc_parse(&r, text, &d), 0);
	int result = jsonschema_check(s, doc_to_json(a, d), &e);
	if (result)
		print_message("# %s: %s: %s\n", file, e.instance_path, e.message);
	assert_int_equal(result, 0);
}

static int load_agent(struct report *r, struct span text)
{
	const struct agent_manifest *m = NULL;
	int result = agent_manifest_parse(r, text, &m);
	agent_manifest_unref(m);
	return result;
}

static int load_config(struct report *r, struct span text)
{
	const struct config_environment env = {.may_be_unset = true};
	const struct config *c = NULL;
	int result = config_parse(r->file, text, &env, r, &c);
	config_unref(c);
	return result;
}

static int is_yaml(const struct dirent *e)
{
	size_t n = strlen(e->d_name);
	return n > 5 && strcmp(e->d_name + n - 5, ".yaml") == 0;
}

static void load_all(const char *name, int (*load)(struct report *r, struct span text),
	void (*put_schema)(struct json_writer *w))
{
	struct dirent **entries;
	find_folder(name);
	int count = scandir(folder, &entries, is_yaml, alphasort);
	if (count < 0)
		test_skip("%s is not there (AEGIS_TESTDATA names the folder)", folder);
	assert_true(count > 0);
	struct arena *kept CLEANUP(arena_cleanup) = arena_new(ARENA_BYTES);
	struct jsonschema *s = schema_of(kept, put_schema);
	for (int i = 0; i < count; i++) {
		struct arena *a CLEANUP(arena_cleanup) = arena_new(ARENA_BYTES);
		struct buf text CLEANUP(buf_fini) = buf_init(LIMIT_DOC_BYTES);
		struct buf why CLEANUP(buf_fini) = buf_init(1 << 20);
		struct report r;
		char path[2048];
		snprintf(path, sizeof(path), "%s/%s", folder, entries[i]->d_name);
		assert_int_equal(fd_read_file(path, &text), 0);
		assert_int_equal(report_init(&r, a, entries[i]->d_name), 0);
		int result = load(&r, buf_view(&text));
		report_text(&r, &why);
		print_message("# %s: %s\n" SPAN_FMT, entries[i]->d_name,
			result ? "refused" : "loads", SPAN_ARG(buf_view(&why)));
		assert_int_equal(result, 0);
		expect_schema(a, s, entries[i]->d_name, buf_view(&text));
		free(entries[i]);
	}
	free(entries);
	jsonschema_free(s);
}

static void agents_load(void **state)
{
	load_all("agents", load_agent, agent_manifest_schema);
}

static void configurations_load(void **state)
{
	load_all("config", load_config, config_schema);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(agents_load),
		cmocka_unit_test(configurations_load),
	};
	return cmocka_run_group_tests_name("agent", tests, NULL, NULL);
}
