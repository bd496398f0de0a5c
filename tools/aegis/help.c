/* SPDX-License-Identifier: AGPL-3.0-only */
/* Help and the manual page, from a program's table of verbs. */
#include "daemon/base/usage.h"
#include "tools/aegis/cli.h"
#include <stdio.h>

enum { OPTION_COLUMN = 26 };

static void put_option(struct buf *b, const struct cli_option *o)
{
	char left[64];
	char letter[8] = "    ";
	if (o->letter)
		snprintf(letter, sizeof(letter), "-%c, ", o->letter);
	snprintf(left, sizeof(left), "%s--%s%s%s", letter, o->name, o->value ? " " : "",
		o->value ? o->value : "");
	buf_printf(b, "  %-*s %s", OPTION_COLUMN, left, o->doc);
	if (o->words)
		buf_printf(b, ": %s", o->words);
	buf_putc(b, '\n');
}

static void put_globals(struct buf *b, const struct cli_program *p)
{
	buf_puts(b, "\nGlobal options:\n");
	for (const struct cli_option *o = p->globals; o->name; o++)
		put_option(b, o);
}

static void put_usage(struct buf *b, const struct cli_program *p, const struct verb *v)
{
	buf_printf(b, "%s %s%s%s%s%s%s", p->name, v->group ? v->group : "", v->group ? " " : "",
		v->name, v->options ? " [OPTIONS]" : "", *v->arguments ? " " : "", v->arguments);
}

void help_verb(struct buf *b, const struct cli_program *p, const struct verb *v)
{
	buf_printf(b, "%s.\n\nUsage: ", v->summary);
	put_usage(b, p, v);
	buf_printf(b, "\n\n%s\n", v->help);
	if (v->options)
		buf_puts(b, "\nOptions:\n");
	for (const struct cli_option *o = v->options; o && o->name; o++)
		put_option(b, o);
	put_globals(b, p);
	buf_puts(b, "\nExamples:\n");
	struct span rest = span_cstr(v->examples), line;
	bool done = false;
	while (span_split(&rest, '\n', &done, &line))
		buf_printf(b, "  " SPAN_FMT "\n", SPAN_ARG(line));
}

static void put_verb_line(struct buf *b, const struct verb *v)
{
	char words[64];
	snprintf(words, sizeof(words), "%s%s%s", v->group ? v->group : "", v->group ? " " : "",
		v->name);
	buf_printf(b, "  %-20s %s\n", words, v->summary);
}

static bool same_group(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

static void put_group(struct buf *b, const struct cli_program *p, const char *group)
{
	for (const struct verb *const *v = p->verbs; *v; v++)
		if (same_group((*v)->group, group))
			put_verb_line(b, *v);
}

void help_group(struct buf *b, const struct cli_program *p, const char *group)
{
	for (const struct cli_group *g = p->groups; g->name; g++)
		if (strcmp(g->name, group) == 0)
			buf_printf(b, "%s.\n\nUsage: %s %s VERB\n\nVerbs:\n", g->summary, p->name,
				group);
	put_group(b, p, group);
	buf_printf(b, "\nMore about one of them: %s help %s VERB\n", p->name, group);
}

void help_overview(struct buf *b, const struct cli_program *p)
{
	buf_printf(b, "%s.\n\nUsage: %s [OPTIONS] VERB ...\n", p->title, p->name);
	for (const struct cli_group *g = p->groups; g->name; g++) {
		buf_printf(b, "\n%s:\n", g->summary);
		put_group(b, p, g->name);
	}
	buf_puts(b, p->groups->name ? "\nOthers:\n" : "\nVerbs:\n");
	put_group(b, p, NULL);
	put_globals(b, p);
	if (p->notes)
		buf_printf(b, "\n%s\n", p->notes);
	buf_printf(
		b, "\nExit codes:\n%s\nMore about a verb: %s help VERB\n", p->exit_codes, p->name);
}

/* ---- the manual page ---- */

static void put_troff_option(struct buf *b, const struct cli_option *o)
{
	buf_puts(b, ".TP\n.B ");
	if (o->letter)
		buf_printf(b, "\\-%c, ", o->letter);
	buf_puts(b, "\\-\\-");
	usage_troff(b, o->name);
	if (o->value)
		buf_printf(b, " \\fI%s\\fR", o->value);
	buf_putc(b, '\n');
	usage_troff(b, o->doc);
	if (o->words) {
		buf_puts(b, ": ");
		usage_troff(b, o->words);
	}
	buf_puts(b, ".\n");
}

static void put_troff_verb(struct buf *b, const struct cli_program *p, const struct verb *v)
{
	struct buf usage CLEANUP(buf_fini) = buf_init(1024);
	put_usage(&usage, p, v);
	buf_puts(b, ".SS \"");
	usage_troff(b, buf_cstr(&usage));
	buf_puts(b, "\"\n");
	usage_troff(b, v->help);
	buf_putc(b, '\n');
	for (const struct cli_option *o = v->options; o && o->name; o++)
		put_troff_option(b, o);
	buf_puts(b, ".PP\n.nf\n.RS\n");
	usage_troff(b, v->examples);
	buf_puts(b, "\n.RE\n.fi\n");
}

void help_manual(struct buf *b, const struct cli_program *p)
{
	buf_puts(b, ".TH ");
	for (const char *c = p->name; *c; c++)
		buf_putc(b, *c >= 'a' && *c <= 'z' ? (char)(*c - 'a' + 'A') : *c);
	buf_printf(b, " 1 \"\" \"%s " AEGIS_VERSION "\" \"User Commands\"\n.SH NAME\n", p->name);
	usage_troff(b, p->name);
	buf_printf(b, " \\- %s\n.SH SYNOPSIS\n.B ", p->purpose);
	usage_troff(b, p->name);
	buf_puts(b, "\n[\\fIOPTIONS\\fR] \\fIVERB\\fR ...\n");
	if (p->notes) {
		buf_puts(b, ".SH DESCRIPTION\n");
		usage_troff(b, p->notes);
		buf_putc(b, '\n');
	}
	buf_puts(b, ".SH OPTIONS\n");
	for (const struct cli_option *o = p->globals; o->name; o++)
		put_troff_option(b, o);
	buf_puts(b, ".SH VERBS\n");
	for (const struct verb *const *v = p->verbs; *v; v++)
		put_troff_verb(b, p, *v);
	buf_puts(b, ".SH EXIT STATUS\n.nf\n");
	usage_troff(b, p->exit_codes);
	buf_puts(b, ".fi\n");
}
