/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Completion scripts for bash, zsh and fish, from a program's table of verbs. They carry the words
 * themselves, so that completing starts no program.
 */
#include "tools/aegis/cli.h"
#include <stdio.h>

/* Words that can follow the words so far: `group` NULL for the first word. */
static void put_next_words(struct buf *b, const struct cli_program *p, const char *group)
{
	if (!group)
		for (const struct cli_group *g = p->groups; g->name; g++)
			buf_printf(b, "%s ", g->name);
	for (const struct verb *const *v = p->verbs; *v; v++)
		if (group ? (*v)->group && strcmp((*v)->group, group) == 0 : !(*v)->group)
			buf_printf(b, "%s ", (*v)->name);
}

static void put_options(struct buf *b, const struct cli_option *o)
{
	for (; o && o->name; o++)
		buf_printf(b, "--%s ", o->name);
}

/* Whether files may stand for a placeholder of options or arguments. */
static bool takes_files(const char *placeholder)
{
	static const char *const names[] = {"FILE", "DIR", "PATH", "INPUT", "REQUEST", "OLD"};

	for (size_t i = 0; placeholder && i < ARRAY_LEN(names); i++)
		if (strstr(placeholder, names[i]))
			return true;
	return false;
}

static void put_key(struct buf *b, const struct verb *v)
{
	buf_printf(b, "%s%s%s", v->group ? v->group : "", v->group ? " " : "", v->name);
}

/* "_aegis_audit": what a shell takes as a name. */
static void function_name(const struct cli_program *p, char ret[64])
{
	snprintf(ret, 64, "_%s", p->name);
	for (char *c = ret; *c; c++)
		if (*c == '-')
			*c = '_';
}

/* The global options that take a value, as one pattern of a shell. */
static void put_valued(struct buf *b, const struct cli_program *p)
{
	bool any = false;

	for (const struct cli_option *o = p->globals; o->name; o++) {
		if (!o->value)
			continue;
		buf_printf(b, "%s--%s", any ? "|" : "", o->name);
		if (o->letter)
			buf_printf(b, "|-%c", o->letter);
		any = true;
	}
}

/* ---- bash: words by position; what an option takes behind it ---- */

static void put_bash_option(struct buf *b, const struct cli_option *o)
{
	buf_printf(b, "--%s", o->name);
	if (o->letter)
		buf_printf(b, "|-%c", o->letter);
}

/* What follows an option that takes a value: its words, files, or nothing that we know. */
static void put_bash_values(struct buf *b, const struct cli_option *o)
{
	for (; o && o->name; o++) {
		if (!o->value)
			continue;
		buf_puts(b, "\t");
		put_bash_option(b, o);
		if (o->words)
			buf_printf(b, ") COMPREPLY=($(compgen -W '%s' -- \"$cur\"));", o->words);
		else if (takes_files(o->value))
			buf_puts(b, ") COMPREPLY=($(compgen -f -- \"$cur\"));");
		else
			buf_puts(b, ") COMPREPLY=();");
		buf_puts(b, " return ;;\n");
	}
}

static void put_bash_verb(struct buf *b, const struct verb *v)
{
	bool any = false;

	buf_puts(b, "\t'");
	put_key(b, v);
	buf_printf(b, "'*) words='%s' files=%d options+='", v->words ? v->words : "",
		takes_files(v->arguments));
	put_options(b, v->options);
	buf_puts(b, *v->arguments ? "'" : "' words=$options");
	for (const struct cli_option *o = v->options; o && o->name; o++)
		any |= o->value != NULL;
	if (any) {
		buf_puts(b, "\n\tcase $prev in\n");
		put_bash_values(b, v->options);
		buf_puts(b, "\tesac");
	}
	buf_puts(b, " ;;\n");
}

/* The words of verbs, behind `before`, and the options that it has itself. */
static void put_bash_words(struct buf *b, const struct cli_program *p, const char *before,
	const struct cli_option *options)
{
	buf_printf(b, "\t'%s') options+='", before);
	put_options(b, options);
	buf_puts(b, "' words='");
	put_next_words(b, p, NULL);
	buf_puts(b, "' ;;\n");
	for (const struct cli_group *g = p->groups; g->name; g++) {
		buf_printf(b, "\t'%s%s%s') words='", before, *before ? " " : "", g->name);
		put_next_words(b, p, g->name);
		buf_puts(b, "' ;;\n");
	}
}

static void put_bash(struct buf *b, const struct cli_program *p)
{
	char function[64];

	function_name(p, function);
	buf_printf(b, "# bash completion for %s\n%s() {\n", p->name, function);
	buf_puts(b,
		"\tlocal cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} w=()\n"
		"\tlocal i skip=0\n"
		"\tfor ((i = 1; i < COMP_CWORD; i++)); do\n"
		"\t\tif ((skip)); then skip=0; continue; fi\n"
		"\t\tcase ${COMP_WORDS[i]} in\n\t\t");
	put_valued(b, p);
	buf_puts(b,
		") skip=1 ;;\n\t\t-*) ;;\n\t\t*) w+=(\"${COMP_WORDS[i]}\") ;;\n\t\tesac\n\tdone\n"
		"\tcase $prev in\n");
	put_bash_values(b, p->globals);
	buf_puts(b, "\tesac\n\tlocal words='' files=0 options='");
	put_options(b, p->globals);
	buf_puts(b, "'\n\tcase \"${w[*]}\" in\n");
	put_bash_words(b, p, "", NULL);
	put_bash_words(b, p, verb_help.name, verb_help.options);
	for (const struct verb *const *v = p->verbs; *v; v++)
		put_bash_verb(b, *v);
	buf_puts(b,
		"\tesac\n"
		"\tif [[ $cur == -* ]]; then words=$options; fi\n"
		"\tCOMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n"
		"\tif [[ -z $words && $files == 1 ]]; then COMPREPLY=($(compgen -f -- \"$cur\")); "
		"fi\n"
		"}\n");
	buf_printf(b, "complete -o filenames -F %s %s\n", function, p->name);
}

/* ---- zsh ---- */

/* Inside single quotes, with ':' as zsh wants it. */
static void put_zsh_text(struct buf *b, const char *text)
{
	for (; *text; text++) {
		if (*text == '\'')
			buf_puts(b, "'\\''");
		else if (*text == ':')
			buf_puts(b, "\\:");
		else
			buf_putc(b, *text);
	}
}

static void put_zsh_word(struct buf *b, const char *word, const char *summary)
{
	buf_printf(b, " '%s:", word);
	put_zsh_text(b, summary);
	buf_putc(b, '\'');
}

static void put_zsh_list(struct buf *b, const struct cli_program *p, const char *group)
{
	if (!group)
		for (const struct cli_group *g = p->groups; g->name; g++)
			put_zsh_word(b, g->name, g->summary);
	for (const struct verb *const *v = p->verbs; *v; v++)
		if (group ? (*v)->group && strcmp((*v)->group, group) == 0 : !(*v)->group)
			put_zsh_word(b, (*v)->name, (*v)->summary);
}

static void put_zsh_value(struct buf *b, const char *placeholder)
{
	buf_putc(b, ':');
	put_zsh_text(b, placeholder);
	buf_puts(b, takes_files(placeholder) ? ":_files" : ": ");
}

static void put_zsh_options(struct buf *b, const struct cli_option *o)
{
	for (; o && o->name; o++) {
		buf_printf(b, " '--%s[", o->name);
		put_zsh_text(b, o->doc);
		buf_putc(b, ']');
		if (o->value && o->words)
			buf_printf(b, ":%s:(%s)", o->value, o->words);
		else if (o->value)
			put_zsh_value(b, o->value);
		buf_putc(b, '\'');
	}
}

/* Where words of verbs are expected, options may stand, too. */
static void put_zsh_words(struct buf *b, const struct cli_program *p, const char *before,
	const struct cli_option *options)
{
	buf_printf(b, "\t'%s') if [[ $PREFIX == -* ]]; then _arguments", before);
	put_zsh_options(b, options);
	put_zsh_options(b, p->globals);
	buf_puts(b, "; return; fi\n\t\tfirst=(");
	put_zsh_list(b, p, NULL);
	buf_puts(b, "); _describe verb first ;;\n");
	for (const struct cli_group *g = p->groups; g->name; g++) {
		buf_printf(b, "\t'%s%s%s') first=(", before, *before ? " " : "", g->name);
		put_zsh_list(b, p, g->name);
		buf_puts(b, "); _describe verb first ;;\n");
	}
}

static void put_zsh_verb(struct buf *b, const struct cli_program *p, const struct verb *v)
{
	buf_puts(b, "\t'");
	put_key(b, v);
	buf_puts(b, "'*) _arguments");
	put_zsh_options(b, v->options);
	put_zsh_options(b, p->globals);
	if (v->words)
		buf_printf(b, " '*:word:(%s)'", v->words);
	else if (takes_files(v->arguments))
		buf_puts(b, " '*:file:_files'");
	else if (*v->arguments)
		buf_printf(b, " '*:%s: '", v->arguments);
	buf_puts(b, " ;;\n");
}

static void put_zsh(struct buf *b, const struct cli_program *p)
{
	char function[64];

	function_name(p, function);
	buf_printf(b, "#compdef %s\n%s() {\n", p->name, function);
	buf_puts(b,
		"\tlocal -a w first\n"
		"\tlocal i skip=0\n"
		"\tfor ((i = 2; i < CURRENT; i++)); do\n"
		"\t\tif ((skip)); then skip=0; continue; fi\n"
		"\t\tcase ${words[i]} in\n\t\t");
	put_valued(b, p);
	buf_puts(b,
		") skip=1 ;;\n\t\t-*) ;;\n\t\t*) w+=(\"${words[i]}\") ;;\n\t\tesac\n\tdone\n"
		"\tcase \"${w[*]}\" in\n");
	put_zsh_words(b, p, "", NULL);
	put_zsh_words(b, p, verb_help.name, verb_help.options);
	for (const struct verb *const *v = p->verbs; *v; v++)
		put_zsh_verb(b, p, *v);
	buf_printf(b, "\tesac\n}\ncompdef %s %s\n", function, p->name);
}

/* ---- fish ---- */

static void put_fish_text(struct buf *b, const char *text)
{
	buf_putc(b, '\'');
	for (; *text; text++) {
		if (*text == '\'' || *text == '\\')
			buf_putc(b, '\\');
		buf_putc(b, *text);
	}
	buf_putc(b, '\'');
}

static void put_fish_options(
	struct buf *b, const struct cli_program *p, const char *when, const struct cli_option *o)
{
	for (; o && o->name; o++) {
		buf_printf(b, "complete -c %s%s -l %s", p->name, when, o->name);
		if (o->letter)
			buf_printf(b, " -s %c", o->letter);
		if (o->value && o->words)
			buf_printf(b, " -xa '%s'", o->words);
		else if (o->value)
			buf_puts(b, takes_files(o->value) ? " -r" : " -x");
		buf_puts(b, " -d ");
		put_fish_text(b, o->doc);
		buf_putc(b, '\n');
	}
}

/* The words behind `help`, where those of a verb stand as arguments. */
static void put_fish_help(struct buf *b, const struct cli_program *p)
{
	buf_printf(b, "complete -c %s -f -n '__fish_seen_subcommand_from %s' -a '", p->name,
		verb_help.name);
	put_next_words(b, p, NULL);
	buf_puts(b, "'\n");
}

static void put_fish_verb(struct buf *b, const struct cli_program *p, const struct verb *v)
{
	char when[256];
	if (v->group)
		snprintf(when, sizeof(when),
			" -n '__fish_seen_subcommand_from %s; and __fish_seen_subcommand_from %s'",
			v->group, v->name);
	else
		snprintf(when, sizeof(when), " -n '__fish_seen_subcommand_from %s'", v->name);
	if (v->group) {
		buf_printf(b,
			"complete -c %s -f -n '__fish_seen_subcommand_from %s; and not "
			"__fish_seen_subcommand_from ",
			p->name, v->group);
		put_next_words(b, p, v->group);
		buf_printf(b, "' -a %s -d ", v->name);
	} else {
		buf_printf(b, "complete -c %s -f -n __fish_use_subcommand -a %s -d ", p->name,
			v->name);
	}
	put_fish_text(b, v->summary);
	buf_putc(b, '\n');
	if (v->words)
		buf_printf(b, "complete -c %s -f%s -a '%s'\n", p->name, when, v->words);
	else if (!takes_files(v->arguments))
		buf_printf(b, "complete -c %s -f%s\n", p->name, when);
	put_fish_options(b, p, when, v->options);
}

static void put_fish(struct buf *b, const struct cli_program *p)
{
	buf_printf(b, "# fish completion for %s\n", p->name);
	put_fish_options(b, p, "", p->globals);
	for (const struct cli_group *g = p->groups; g->name; g++) {
		buf_printf(b, "complete -c %s -f -n __fish_use_subcommand -a %s -d ", p->name,
			g->name);
		put_fish_text(b, g->summary);
		buf_putc(b, '\n');
	}
	for (const struct verb *const *v = p->verbs; *v; v++)
		put_fish_verb(b, p, *v);
	put_fish_help(b, p);
}

bool completion_script(struct buf *b, const struct cli_program *p, const char *shell)
{
	if (strcmp(shell, "bash") == 0)
		put_bash(b, p);
	else if (strcmp(shell, "zsh") == 0)
		put_zsh(b, p);
	else if (strcmp(shell, "fish") == 0)
		put_fish(b, p);
	else
		return false;
	return true;
}
