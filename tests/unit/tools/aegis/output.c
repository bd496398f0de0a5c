/* SPDX-License-Identifier: AGPL-3.0-only */
/* Values in four forms: YAML reads back as the same value, and terminals are told nothing to obey.
 */
#include "tests/tap.h"
#include "tests/prop/random.h"
#include "tools/aegis/cli.h"
#include "daemon/schema/schema.h"
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const char *const texts[] = {"", "a", "yes", "No", "null", "~", "1", "0x1F", "1.5", ".5",
	"1e3", "-", "--- a", "- a", "a: b", "a #b", "# a", "a\n", "a\nb\n", "a\n\nb\n", " a\n",
	"\na\n", "a\n\n", "a\tb", "\t", "\"q\"", "'q'", "a\\b", "{a}", "[a]", "&a", "*a", "!a", "|",
	">", "%a", "@a", "`a`", "<<", "=", "a ", " a", "\xc3\xa9", "\xe2\x80\xa8", "a\xc2\x85\n",
	"\xef\xbb\xbf", "\xef\xbf\xbf", "\xf0\x9f\x98\x80",
	("a\x01"
	 "b"),
	"a\x7f", "a\r\nb\n", ".inf", ".nan", "2024-01-01", "true", "http://x/y?z#f", "/abs/path",
	"a-b_c.d", "x: |\n  y\n"};

static void put_random(struct json_writer *w, struct random *r, int depth)
{
	size_t kind = random_below(r, depth > 4 ? 5 : 7);
	if (kind == 0) {
		json_put_null(w);
	} else if (kind == 1) {
		json_put_bool(w, random_chance(r, 2));
	} else if (kind == 2) {
		json_put_i64(w, random_i64(r));
	} else if (kind < 5) {
		json_put_cstr(w, texts[random_below(r, ARRAY_LEN(texts))]);
	} else if (kind == 5) {
		json_array(w);
		for (size_t n = random_below(r, 5); n; n--)
			put_random(w, r, depth + 1);
		json_end(w);
	} else {
		json_object(w);
		size_t used[6] = {0};
		for (size_t n = random_below(r, 6), i = 0; i < n; i++) {
			/* from a part of its own each, so that none comes twice */
			used[i] =
				i * (ARRAY_LEN(texts) / 6) + random_below(r, ARRAY_LEN(texts) / 6);
			if (used[i] == 0)
				continue;
			json_key(w, texts[used[i]]);
			put_random(w, r, depth + 1);
		}
		json_end(w);
	}
}

static void yaml_reads_back(void **state)
{
	for_each_seed (seed, 3000) {
		struct random r = {seed};
		struct arena *a CLEANUP(arena_cleanup) = arena_new(32 << 20);
		struct buf text CLEANUP(buf_fini) = buf_init(1 << 20);
		struct buf yaml CLEANUP(buf_fini) = buf_init(1 << 20);
		struct buf why CLEANUP(buf_fini) = buf_init(1 << 20);
		struct json_writer w = json_writer(&text);
		const struct json *v;
		const struct doc *d = NULL;
		struct report report;
		put_random(&w, &r, 0);
		assert_int_equal(json_parse(a, buf_view(&text), NULL, &v), 0);
		cli_put_yaml(&yaml, v);
		assert_int_equal(report_init(&report, a, "y"), 0);
		int result = doc_parse_yaml(&report, buf_view(&yaml), &d);
		report_text(&report, &why);
		bool same = result == 0 && json_equal(doc_to_json(a, d), v);
		if (!same)
			fprintf(stderr, "# seed %llu\n%s\n%s\n%s\n", (unsigned long long)seed,
				buf_cstr(&text), buf_cstr(&yaml), buf_cstr(&why));
		assert_true(same);
	}
}

/* What cli_print writes, through a pipe in place of standard output. */
static char *printed(enum cli_format format, const char *json, const struct cli_column *columns)
{
	static char out[4096];
	struct cli c = {.format = format};
	FILE *f = tmpfile();
	int saved = dup(STDOUT_FILENO);
	fflush(stdout);
	assert_true(dup2(fileno(f), STDOUT_FILENO) >= 0);
	int code = cli_print_text(&c, span_cstr(json), columns);
	assert_true(dup2(saved, STDOUT_FILENO) >= 0);
	close(saved);
	rewind(f);
	size_t n = fread(out, 1, sizeof(out) - 1, f);
	out[n] = '\0';
	fclose(f);
	assert_int_equal(code, CLI_OK);
	return out;
}

static void tables_are_aligned(void **state)
{
	static const struct cli_column columns[] = {
		{"name", "name"}, {"state", "status.state"}, {NULL, NULL}};
	const char *list =
		"[{\"name\":\"\xc3\xa9t\xc3\xa9\",\"status\":{\"state\":\"on\"}},"
		"{\"name\":\"longer\",\"status\":null},{\"name\":\"a\\u001b[31mb\\nc\"}]";
	assert_string_equal(printed(CLI_TABLE, list, columns),
		"NAME       STATE\n"
		"\xc3\xa9t\xc3\xa9        on\n"
		"longer     \n"
		"a [31mb c  \n");
}

static void forms_of_values(void **state)
{
	assert_string_equal(
		printed(CLI_TEXT, "{\"a\":1,\"long\":[1,2]}", NULL), "a     1\nlong  [1,2]\n");
	assert_string_equal(printed(CLI_TEXT, "[{\"a\":1},{\"a\":2}]", NULL), "1\n2\n");
	assert_string_equal(printed(CLI_TABLE, "[{\"a\":1},{\"a\":2}]", NULL), "A\n1\n2\n");
	assert_string_equal(printed(CLI_TEXT, "[\"x\",\"y\"]", NULL), "x\ny\n");
	assert_string_equal(printed(CLI_TEXT, "[]", NULL), "");
	assert_string_equal(
		printed(CLI_YAML, "{\"a\":[{\"b\":1,\"c\":[]}],\"d\":\"x\\ny\\n\"}", NULL),
		"a:\n  - b: 1\n    c: []\nd: |\n  x\n  y\n");
	assert_string_equal(printed(CLI_JSON, "{\"a\":1}", NULL), "{\n  \"a\": 1\n}\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(yaml_reads_back),
		cmocka_unit_test(tables_are_aligned),
		cmocka_unit_test(forms_of_values),
	};
	return cmocka_run_group_tests_name("cli", tests, NULL, NULL);
}
