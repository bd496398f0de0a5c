/* SPDX-License-Identifier: AGPL-3.0-only */
#include "daemon/base/usage.h"
#include "daemon/base/base.h"
#include "tests/tap.h"
#include <getopt.h>

static const struct usage_option options[] = {
	{"file", 'f', "FILE", "A file"},
	{"a-very-long-name-of-an-option", 'l', "VALUE", "Stands on a line of its own"},
	{"quiet", 'q', NULL,
		"Says nothing, which takes so many words to explain that they do not fit into one "
		"line and "
		"go on below, where the first one began"},
	{NULL, 0, NULL, NULL},
};

static const struct usage page = {
	.program = "prog",
	.section = 8,
	.summary = "does it",
	.synopsis = "[options]\n--file FILE",
	.options = options,
	.text = "First.\n\n.second \\ line",
	.example = "prog --quiet",
};

static void test_getopt(void **state)
{
	struct option accepted[USAGE_OPTIONS_MAX + 1];
	char *argv[] = {"prog", "--quiet", "--file", "x", NULL};
	usage_getopt(&page, accepted);
	assert_int_equal(getopt_long(4, argv, "", accepted, NULL), 'q');
	assert_int_equal(getopt_long(4, argv, "", accepted, NULL), 'f');
	assert_string_equal(optarg, "x");
	assert_int_equal(getopt_long(4, argv, "", accepted, NULL), -1);
}

static void test_text(void **state)
{
	struct buf b CLEANUP(buf_fini) = buf_init(65536);
	usage_text(&page, &b);
	assert_string_equal(buf_cstr(&b),
		"usage: prog [options]\n"
		"       prog --file FILE\n"
		"  --file FILE            A file\n"
		"  --a-very-long-name-of-an-option VALUE\n"
		"                         Stands on a line of its own\n"
		"  --quiet                Says nothing, which takes so many words to explain that "
		"they do not fit\n"
		"                         into one line and go on below, where the first one "
		"began\n"
		"\n"
		"First.\n"
		"\n"
		".second \\ line\n"
		"\n"
		"example:\n"
		"prog --quiet\n");
}

static void test_manual(void **state)
{
	struct buf b CLEANUP(buf_fini) = buf_init(65536);
	usage_manual(&page, &b);
	const char *text = buf_cstr(&b);
	static const char *const parts[] = {".TH \"PROG\" 8 ", "\nprog \\- does it\n",
		"\nprog [options]\nprog \\-\\-file FILE\n.fi\n",
		"First.\n.PP\n\\&.second \\e line\n", ".TP\n.B \\-\\-file \\fIFILE\\fR\nA file.\n",
		".TP\n.B \\-\\-quiet\nSays nothing", ".SH EXAMPLES\n.nf\nprog \\-\\-quiet\n.fi\n"};
	for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
		if (!strstr(text, parts[i]))
			fail_msg("'%s' is not in:\n%s", parts[i], text);
	}
}

static void test_completion(void **state)
{
	static const struct usage_option own[] = {{"file", 'f', "FILE", "Bob's [file]"},
		{"words", 'w', "A:B", "Two"}, {"quiet", 'q', NULL, "Says nothing"},
		{NULL, 0, NULL, NULL}};
	static const struct usage prog = {.program = "a-b", .options = own};
	static const char *const scripts[][2] = {
		{"bash",
			"# bash completion for a-b\n_a_b() {\n"
			"\tlocal cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}\n"
			"\tcase $prev in\n"
			"\t--file) COMPREPLY=($(compgen -f -- \"$cur\")); return ;;\n"
			"\t--words) COMPREPLY=(); return ;;\n"
			"\tesac\n"
			"\tCOMPREPLY=($(compgen -W '--file --words --quiet ' -- \"$cur\"))\n"
			"}\ncomplete -o filenames -F _a_b a-b\n"},
		{"zsh",
			"#compdef a-b\n_arguments \\\n"
			"\t'--file[Bob'\\''s \\[file\\]]:FILE:_files' \\\n"
			"\t'--words[Two]:A\\:B: ' \\\n"
			"\t'--quiet[Says nothing]'\n"},
		{"fish",
			"complete -c a-b -f -l file -r -F -d 'Bob\\'s [file]'\n"
			"complete -c a-b -f -l words -x -d 'Two'\n"
			"complete -c a-b -f -l quiet -d 'Says nothing'\n"}};
	for (size_t i = 0; i < ARRAY_LEN(scripts); i++) {
		struct buf b CLEANUP(buf_fini) = buf_init(65536);
		assert_true(usage_completion(&prog, scripts[i][0], &b));
		assert_string_equal(buf_cstr(&b), scripts[i][1]);
	}
	struct buf b CLEANUP(buf_fini) = buf_init(65536);
	assert_false(usage_completion(&prog, "tcsh", &b));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_getopt),
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_manual),
		cmocka_unit_test(test_completion),
	};
	return cmocka_run_group_tests_name("base", tests, NULL, NULL);
}
