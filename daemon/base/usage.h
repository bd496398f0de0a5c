/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Options of a program without verbs, as one table: what getopt_long accepts, what --help prints
 * and what the manual page says cannot differ. (Programs with verbs: tools/aegis/cli.h.)
 */
#pragma once

#include "daemon/base/buf.h"

struct option; /* <getopt.h> */

enum { USAGE_OPTIONS_MAX = 24 };

struct usage_option {
	const char *name; /* without the dashes; NULL ends a table */
	int key; /* what getopt_long returns; above 0 */
	const char *value; /* "FILE"; NULL: the option takes none */
	const char *doc; /* one sentence, without its full stop */
};

struct usage {
	const char *program;
	int section; /* of the manual */
	const char *summary; /* as in whatis: no capital, no full stop */
	const char *synopsis; /* behind the program's name; a line per form */
	const struct usage_option *options;
	const char *text; /* paragraphs, parted by empty lines */
	const char *example; /* command lines */
};

/* Fills ret, which has room for USAGE_OPTIONS_MAX + 1, with the table and its end. */
void usage_getopt(const struct usage *u, struct option *ret);

void usage_text(const struct usage *u, struct buf *b); /* lines of at most 100 columns */
void usage_manual(const struct usage *u, struct buf *b); /* troff, man(7) */

/* A completion script for "bash", "zsh" or "fish"; false for other shells. */
bool usage_completion(const struct usage *u, const char *shell, struct buf *b);

/* Text of troff lines: backslashes, dashes, and no leading dot or quote. */
void usage_troff(struct buf *b, const char *text);

/* Prints to standard output one of the first two, or the script: -EINVAL for another shell. */
void usage_print(const struct usage *u, void (*write)(const struct usage *u, struct buf *b));
int usage_print_completion(const struct usage *u, const char *shell) MUST_USE;
