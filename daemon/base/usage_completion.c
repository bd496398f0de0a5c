/* SPDX-License-Identifier: AGPL-3.0-only */
/* Completion scripts of programs without verbs, from the table that getopt_long reads. They carry
 * the words themselves, so that completing starts no program. */
#include "daemon/base/span.h"
#include "daemon/base/usage.h"
#include <string.h>

static bool takes_file(const struct usage_option *o)
{
	return strcmp(o->value, "FILE") == 0 || strcmp(o->value, "DIR") == 0 ||
		strcmp(o->value, "PATH") == 0;
}

/* Within single quotes, for sh and zsh alike; `special` is what the reader of the text minds. */
static void put_quoted(struct buf *b, const char *text, const char *special)
{
	for (; *text; text++) {
		if (*text == '\'') {
			buf_puts(b, "'\\''");
			continue;
		}
		if (strchr(special, *text))
			buf_putc(b, '\\');
		buf_putc(b, *text);
	}
}

/* "_aegis_helper": what a shell takes as a name. */
static void put_function(struct buf *b, const struct usage *u)
{
	buf_putc(b, '_');
	for (const char *c = u->program; *c; c++)
		buf_putc(b, *c == '-' ? '_' : *c);
}

static void put_bash(struct buf *b, const struct usage *u)
{
	buf_printf(b, "# bash completion for %s\n", u->program);
	put_function(b, u);
	buf_puts(b,
		"() {\n\tlocal cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}\n"
		"\tcase $prev in\n");
	for (const struct usage_option *o = u->options; o->name; o++) {
		if (o->value)
			buf_printf(b, "\t--%s) COMPREPLY=(%s); return ;;\n", o->name,
				takes_file(o) ? "$(compgen -f -- \"$cur\")" : "");
	}
	buf_puts(b, "\tesac\n\tCOMPREPLY=($(compgen -W '");
	for (const struct usage_option *o = u->options; o->name; o++)
		buf_printf(b, "--%s ", o->name);
	buf_puts(b, "' -- \"$cur\"))\n}\ncomplete -o filenames -F ");
	put_function(b, u);
	buf_printf(b, " %s\n", u->program);
}

static void put_zsh(struct buf *b, const struct usage *u)
{
	buf_printf(b, "#compdef %s\n_arguments", u->program);
	for (const struct usage_option *o = u->options; o->name; o++) {
		buf_printf(b, " \\\n\t'--%s[", o->name);
		put_quoted(b, o->doc, "\\[]");
		buf_putc(b, ']');
		if (o->value) {
			buf_putc(b, ':');
			put_quoted(b, o->value, ":");
			buf_puts(b, takes_file(o) ? ":_files" : ": ");
		}
		buf_putc(b, '\'');
	}
	buf_putc(b, '\n');
}

static void put_fish(struct buf *b, const struct usage *u)
{
	for (const struct usage_option *o = u->options; o->name; o++) {
		buf_printf(b, "complete -c %s -f -l %s%s -d '", u->program, o->name,
			!o->value               ? ""
				: takes_file(o) ? " -r -F"
						: " -x");
		for (const char *c = o->doc; *c; c++) {
			if (*c == '\'' || *c == '\\')
				buf_putc(b, '\\');
			buf_putc(b, *c);
		}
		buf_puts(b, "'\n");
	}
}

bool usage_completion(const struct usage *u, const char *shell, struct buf *b)
{
	if (strcmp(shell, "bash") == 0)
		put_bash(b, u);
	else if (strcmp(shell, "zsh") == 0)
		put_zsh(b, u);
	else if (strcmp(shell, "fish") == 0)
		put_fish(b, u);
	else
		return false;
	return true;
}
