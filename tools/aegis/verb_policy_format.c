/* SPDX-License-Identifier: AGPL-3.0-only */
#include "tools/aegis/verbs.h"
#include "policy/cedar/cedar.h"
#include <errno.h>
#include <sys/stat.h>

enum { ARENA_BYTES = 256 * 1024 * 1024 };

static int replace(const char *file, struct span text)
{
	struct stat st;

	if (stat(file, &st) < 0)
		return cli_fail_errno(err_sys(-errno, "%s", file));
	int r = fd_replace_file(file, text, st.st_mode & 07777);
	return r < 0 ? cli_fail_errno(r) : CLI_OK;
}

static int format(struct cli *c, const char *file)
{
	struct arena *a CLEANUP(arena_cleanup) = arena_new(ARENA_BYTES);
	struct buf text CLEANUP(buf_fini) = buf_init(LIMIT_CEDAR_TEXT_BYTES);
	struct buf made CLEANUP(buf_fini) = buf_init((size_t)2 * LIMIT_CEDAR_TEXT_BYTES);
	int code = cli_read(file, &text);

	if (code)
		return code;
	int r = a ? cedar_format(a, buf_view(&text), &made) : -ENOMEM;
	if (r == 0)
		r = buf_error(&made);
	if (r < 0)
		return cli_fail_errno(err_wrap(r, "%s", file));
	bool same = span_eq(buf_view(&text), buf_view(&made));
	if (cli_value(c, "check"))
		return same ? CLI_OK : cli_fail(CLI_INVALID, "%s: not formatted", file);
	if (cli_value(c, "write") && strcmp(file, "-") != 0)
		return same ? CLI_OK : replace(file, buf_view(&made));
	return cli_write(buf_view(&made));
}

static int run(struct cli *c)
{
	int worst = CLI_OK;

	for (int i = 0; i < c->arg_count; i++) {
		int code = format(c, c->args[i]);
		worst = MAX(worst, code);
	}
	return worst;
}

static const struct cli_option options[] = {
	{"write", 'w', NULL, "Replace the files instead of printing", NULL},
	{"check", 0, NULL, "Change nothing; exit 2 if a file is not formatted", NULL},
	{NULL, 0, NULL, NULL, NULL},
};

const struct verb verb_policy_format = {
	.group = "policy",
	.name = "format",
	.arguments = "FILE...",
	.min_args = 1,
	.max_args = CLI_ARGS_MAX,
	.options = options,
	.summary = "Lay out policy files anew",
	.help = "Prints policies in the usual layout, comments kept (\"-\" is standard input).",
	.examples = "aegis policy format net.cedar\n"
		    "aegis policy format -w /etc/aegis/policy.d/*.cedar\n"
		    "aegis policy format --check policy.d/*.cedar",
	.run = run,
};
