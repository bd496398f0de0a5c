/* SPDX-License-Identifier: AGPL-3.0-only */
#include "tools/aegis/cli.h"

static int run(struct cli *c)
{
	struct buf b CLEANUP(buf_fini) = buf_init(LIMIT_DOC_BYTES);
	int used = 0;
	const struct verb *v = verb_find(c->program, c->args, c->arg_count, &used);
	if (cli_value(c, "manual"))
		help_manual(&b, c->program);
	else if (!c->arg_count)
		help_overview(&b, c->program);
	else if (v && used == c->arg_count)
		help_verb(&b, c->program, v);
	else if (c->arg_count == 1 && group_exists(c->program, c->args[0]))
		help_group(&b, c->program, c->args[0]);
	else
		return cli_unknown_verb(c->program, c->args, c->arg_count);
	return cli_write(buf_view(&b));
}

static const struct cli_option options[] = {
	{"manual", 0, NULL, "Print the manual page, section 1, instead", NULL},
	{NULL, 0, NULL, NULL, NULL},
};

const struct verb verb_help = {
	.name = "help",
	.arguments = "[VERB...]",
	.max_args = 2,
	.options = options,
	.summary = "Explain a verb",
	.help = "Explains a verb, a group of verbs, or, without arguments, says what there is.",
	.examples = "aegis help\naegis help agent validate\naegis-audit help what-if",
	.run = run,
};
