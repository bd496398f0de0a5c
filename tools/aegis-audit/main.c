/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * aegis-audit: watch, search, explain and prove what agents did. It reads the journal's files and
 * nothing else, so it works on a copy, on another machine, and while the daemon is writing.
 */
#include "tools/aegis-audit/tool.h"

#include <signal.h>
#include <stdlib.h>

static int print_version(struct cli *c)
{
	return cli_write(SPAN("aegis-audit " AEGIS_VERSION "\n"));
}

static const struct verb verb_version_of_audit = {
	.name = "version",
	.arguments = "",
	.summary = "Print the version",
	.help = "Prints the version of this program.",
	.examples = "aegis-audit version",
	.run = print_version,
};

static const struct verb *const audit_verbs[] = {
	&verb_tail,
	&verb_trace,
	&verb_show,
	&verb_search,
	&verb_why,
	&verb_stats,
	&verb_what_if,
	&verb_learn,
	&verb_export,
	&verb_verify,
	&verb_anchor,
	&verb_keys,
	&verb_completion,
	&verb_version_of_audit,
	&verb_help,
	NULL,
};

static const struct cli_group no_groups[] = {{NULL, NULL}};

static const struct cli_option audit_globals[] = {
	{"journal", 0, "DIR",
		"The journal's folder (AEGIS_AUDIT_DIRECTORY); else /var/lib/aegis/audit", NULL},
	{"output", 0, "FORMAT", "Form of the result", "text table json yaml"},
	{"version", 'V', NULL, "Print the version", NULL},
	{"help", 'h', NULL, "Help on the verb", NULL},
	{NULL, 0, NULL, NULL, NULL},
};

static const char notes[] =
	"It reads files only: it works offline, on a copy, and beside a running daemon.\n"
	"All filters of a verb must hold.\n"
	"What verify calls consistent was not changed before the newest signed head. That\n"
	"nothing was cut off behind a head is proven only by an anchor kept elsewhere.";

static const char exit_codes[] =
	"  0   all is well\n"
	"  1   no such journal or record\n"
	"  2   invalid input: usage, key, anchor, policies\n"
	"  3   permission denied\n"
	"  4   the journal contradicts itself, a key or an anchor\n"
	"  6   what-if: decisions come out otherwise, or could not be made again;\n"
	"      learn: not all that was allowed can be granted\n"
	"  10  it could not be read\n";

static const struct cli_program audit = {
	.name = "aegis-audit",
	.title = "Watches, searches, explains and proves what the audit journal holds",
	.purpose = "watch, search, explain and prove what agents did",
	.notes = notes,
	.exit_codes = exit_codes,
	.verbs = audit_verbs,
	.groups = no_groups,
	.globals = audit_globals,
	.if_version = &verb_version_of_audit,
};

int main(int argc, char **argv)
{
	const char *environment = getenv("AEGIS_AUDIT_DIRECTORY");
	struct cli cli = {
		.journal = environment && *environment ? environment : "/var/lib/aegis/audit"};

	signal(SIGPIPE, SIG_IGN);
	return cli_run(&audit, &cli, argc, argv);
}
