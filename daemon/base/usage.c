/* SPDX-License-Identifier: AGPL-3.0-only */
#include "daemon/base/usage.h"
#include "daemon/base/check.h"
#include "daemon/base/err.h"
#include "daemon/base/limits.h"
#include "daemon/base/span.h"
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>

enum { COLUMNS = 100, DOC_COLUMN = 25 };

void usage_getopt(const struct usage *u, struct option *ret)
{
	size_t n = 0;
	for (const struct usage_option *o = u->options; o->name; o++) {
		CHECK(n < USAGE_OPTIONS_MAX);
		ret[n++] = (struct option){
			o->name, o->value ? required_argument : no_argument, NULL, o->key};
	}
	ret[n] = (struct option){NULL, 0, NULL, 0};
}

/* Words, parted by one blank; continuation lines begin at `indent`, where the first line is now. */
static void put_wrapped(struct buf *b, const char *text, size_t indent)
{
	struct span rest = span_cstr(text), word;
	size_t column = indent;
	bool done = false;
	while (span_split(&rest, ' ', &done, &word)) {
		if (column > indent && column + 1 + word.n > COLUMNS) {
			buf_printf(b, "\n%*s", (int)indent, "");
			column = indent;
		} else if (column > indent) {
			buf_putc(b, ' ');
			column++;
		}
		buf_put(b, word.p, word.n);
		column += word.n;
	}
	buf_putc(b, '\n');
}

static void put_option(struct buf *b, const struct usage_option *o)
{
	char left[64];
	snprintf(left, sizeof(left), "--%s%s%s", o->name, o->value ? " " : "",
		o->value ? o->value : "");
	buf_printf(b, "  %-*s", DOC_COLUMN - 2, left);
	if (strlen(left) + 3 > DOC_COLUMN)
		buf_printf(b, "\n%*s", DOC_COLUMN, "");
	put_wrapped(b, o->doc, DOC_COLUMN);
}

/* Each line of `text`, with the program's name before it. */
static void put_forms(struct buf *b, const struct usage *u, const char *first, const char *further)
{
	struct span rest = span_cstr(u->synopsis), line;
	bool done = false;
	for (const char *lead = first; span_split(&rest, '\n', &done, &line); lead = further)
		buf_printf(b, "%s%s " SPAN_FMT "\n", lead, u->program, SPAN_ARG(line));
}

void usage_text(const struct usage *u, struct buf *b)
{
	struct span rest = span_cstr(u->text), line;
	bool done = false;
	put_forms(b, u, "usage: ", "       ");
	for (const struct usage_option *o = u->options; o->name; o++)
		put_option(b, o);
	buf_putc(b, '\n');
	while (span_split(&rest, '\n', &done, &line)) {
		char text[1024];
		CHECK(line.n < sizeof(text));
		memcpy(text, line.p, line.n);
		text[line.n] = '\0';
		put_wrapped(b, text, 0);
	}
	buf_printf(b, "\nexample:\n%s\n", u->example);
}

void usage_troff(struct buf *b, const char *text)
{
	bool start = true;
	for (; *text; text++) {
		if (start && (*text == '.' || *text == '\''))
			buf_puts(b, "\\&");
		if (*text == '\\')
			buf_puts(b, "\\e");
		else if (*text == '-')
			buf_puts(b, "\\-");
		else
			buf_putc(b, *text);
		start = *text == '\n';
	}
}

static void put_troff_option(struct buf *b, const struct usage_option *o)
{
	buf_puts(b, ".TP\n.B \\-\\-");
	usage_troff(b, o->name);
	if (o->value)
		buf_printf(b, " \\fI%s\\fR", o->value);
	buf_putc(b, '\n');
	usage_troff(b, o->doc);
	buf_puts(b, ".\n");
}

/* An empty line is a paragraph's end. */
static void put_paragraphs(struct buf *b, const char *text)
{
	const char *gap;
	for (; (gap = strstr(text, "\n\n")); text = gap + 2) {
		char part[2048];
		CHECK((size_t)(gap - text) < sizeof(part));
		snprintf(part, sizeof(part), "%.*s", (int)(gap - text), text);
		usage_troff(b, part);
		buf_puts(b, "\n.PP\n");
	}
	usage_troff(b, text);
	buf_putc(b, '\n');
}

void usage_manual(const struct usage *u, struct buf *b)
{
	buf_puts(b, ".TH \"");
	for (const char *c = u->program; *c; c++)
		buf_putc(b, *c >= 'a' && *c <= 'z' ? (char)(*c - 'a' + 'A') : *c);
	buf_printf(b, "\" %d \"\" \"aegis " AEGIS_VERSION "\" \"%s\"\n.SH NAME\n", u->section,
		u->section == 8 ? "System Administration" : "User Commands");
	usage_troff(b, u->program);
	buf_puts(b, " \\- ");
	usage_troff(b, u->summary);
	buf_puts(b, "\n.SH SYNOPSIS\n.nf\n");
	struct buf forms CLEANUP(buf_fini) = buf_init(LIMIT_DOC_BYTES);
	put_forms(&forms, u, "", "");
	usage_troff(b, buf_cstr(&forms));
	buf_puts(b, ".fi\n.SH DESCRIPTION\n");
	put_paragraphs(b, u->text);
	buf_puts(b, ".SH OPTIONS\n");
	for (const struct usage_option *o = u->options; o->name; o++)
		put_troff_option(b, o);
	buf_puts(b, ".SH EXAMPLES\n.nf\n");
	usage_troff(b, u->example);
	buf_puts(b, "\n.fi\n");
}

void usage_print(const struct usage *u, void (*write)(const struct usage *u, struct buf *b))
{
	struct buf b CLEANUP(buf_fini) = buf_init(LIMIT_DOC_BYTES);
	write(u, &b);
	fwrite(b.data, 1, b.len, stdout);
}

int usage_print_completion(const struct usage *u, const char *shell)
{
	struct buf b CLEANUP(buf_fini) = buf_init(LIMIT_DOC_BYTES);
	if (!usage_completion(u, shell, &b))
		return err_raise(-EINVAL,
			"--completion: '%s' is not known; accepted: bash, zsh, fish", shell);
	fwrite(b.data, 1, b.len, stdout);
	return 0;
}
