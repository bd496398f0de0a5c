/* SPDX-License-Identifier: AGPL-3.0-only */
#include "tools/aegis/cli.h"

static int run(struct cli *c)
{
	struct buf b CLEANUP(buf_fini) = buf_init(LIMIT_DOC_BYTES);
	CHECK(completion_script(&b, c->program, c->args[0]));
	return cli_write(buf_view(&b));
}

const struct verb verb_completion = {
	.name = "completion",
	.arguments = "bash|zsh|fish",
	.min_args = 1,
	.max_args = 1,
	.words = "bash zsh fish",
	.summary = "Print a completion script for a shell",
	.help = "Prints a script that completes verbs, options and their words. It starts no "
		"program.",
	.examples = "source <(aegis completion bash)\n"
		    "source <(aegis-audit completion bash)\n"
		    "aegis completion zsh > ~/.zfunc/_aegis\n"
		    "aegis completion fish > ~/.config/fish/completions/aegis.fish",
	.run = run,
};
