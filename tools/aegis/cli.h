/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The command line of `aegis`, and of other programs for users. A verb is a table entry: its words,
 * arguments, options, help with examples, and the function that runs it. Parsing, help, completion
 * and the manual page are made from a program's table of such entries alone, so that a new verb of
 * `aegis` is one file and one line in verbs.c.
 */
#pragma once

#include "daemon/base/base.h"

/* Exit codes (CLI reference). Wrong usage counts as invalid input. */
enum cli_exit {
	CLI_OK = 0,
	CLI_NOT_FOUND = 1,
	CLI_INVALID = 2,
	CLI_DENIED = 3,
	CLI_CONFLICT = 4,
	CLI_UNREACHABLE = 5,
	CLI_INTERNAL = 10,
};

enum cli_format { CLI_TEXT, CLI_TABLE, CLI_JSON, CLI_YAML };

enum {
	CLI_ARGS_MAX = 32,
	CLI_OPTIONS_MAX = 32, /* of one verb */
	CLI_GIVEN_MAX = 64, /* options of the verb on one command line */
	CLI_VERBS_MAX = 256, /* and groups */
};

struct cli_option {
	const char *name; /* without "--"; NULL ends */
	char letter; /* 0: none */
	const char *value; /* placeholder, "FILE"; NULL: a flag */
	const char *doc;
	const char *
		words; /* "a b c": the only values accepted, for checks and completion; NULL: any */
};

struct cli;

struct verb {
	const char *group; /* "agent"; NULL: a word of its own */
	const char *name; /* "validate" */
	const char *arguments; /* "FILE...", "[FILE]", ""; as usage shows them */
	int min_args, max_args;
	const char *words; /* "agent config": the only first arguments accepted; NULL: any */
	const struct cli_option *options; /* NULL: none */
	const char *summary; /* one line, no full stop */
	const char *help; /* paragraphs */
	const char *examples; /* one command a line */
	int (*run)(struct cli *c); /* an enum cli_exit */
};

struct cli_group {
	const char *name;
	const char *summary;
};

/* What a program is, for all that is made from its tables. */
struct cli_program {
	const char *name; /* "aegis" */
	const char *title; /* "Runs AI agents that nobody has to trust": help */
	const char *purpose; /* "run AI agents that nobody has to trust": the manual page */
	const char *notes; /* paragraphs of the overview and the manual page; NULL: none */
	const char *exit_codes; /* one a line, indented by two */
	const struct verb *const *verbs; /* NULL ends */
	const struct cli_group *groups; /* name NULL ends */
	const struct cli_option *globals; /* name NULL ends; those of struct cli */
	const struct verb *if_version, *if_daemon; /* in place of a verb; NULL: none */
};

extern const struct verb *const verbs[]; /* of aegis; NULL ends */
extern const struct cli_group cli_groups[]; /* name NULL ends */
extern const struct cli_option cli_globals[]; /* name NULL ends */
/* Both print on behalf of any program. */
extern const struct verb verb_completion;
extern const struct verb verb_help;

struct cli {
	const struct cli_program *program;
	/* global options; NULL where neither flag nor environment says anything */
	const char *config;
	const char *host;
	const char *port;
	const char *log_level;
	const char *journal; /* aegis-audit */
	bool names_door; /* --host or --port were given, on the command line */
	enum cli_format format;
	bool daemon, version; /* in place of a verb */
	/* the verb and what it was given */
	const struct verb *verb;
	const char *args[CLI_ARGS_MAX];
	int arg_count;
	const char *values[CLI_OPTIONS_MAX]; /* by position in verb->options, the last one given; ""
						for a flag */
	struct {
		const char *name, *value;
	} given[CLI_GIVEN_MAX]; /* the verb's own, in order, so that one can be repeated */
	int given_count;
};

/* Reads the command line against the program's tables and runs the verb. *c has what the
 * environment says. An exit code. */
int cli_run(const struct cli_program *p, struct cli *c, int argc, char **argv);
/* CLI_OK, or CLI_INVALID after saying what is accepted and the nearest of it. */
int cli_check_word(const char *option, const char *value, const char *words);
/* The same for an option of the verb that is a number from 1 on, if it is given. */
int cli_check_count(const struct cli *c, const char *option, uint64_t max);
/* CLI_INVALID, after naming the nearest verb. */
int cli_unknown_verb(const struct cli_program *p, const char *const *words, int count);

/* Value of one of the verb's options; NULL if it is not given. */
const char *cli_value(const struct cli *c, const char *name);

/* Says "aegis: ..." on stderr, or what the program is called, and returns `code`. */
int cli_fail(int code, const char *fmt, ...) PRINTF_LIKE(2, 3);
void cli_name_program(const char *name); /* cli_run does */

/* Ends a failure that came up as a negative errno: says its message, returns the exit code. */
int cli_fail_errno(int r);

/* Whole file, or standard input for "-". 0, or an enum cli_exit after saying why. */
int cli_read(const char *path, struct buf *b);

/* ---- output.c: one JSON value in the format asked for, on standard output ---- */

struct cli_column {
	const char *title; /* NULL ends */
	const char *key; /* member, "a.b" for a nested one */
};

/* Objects become lines, lists of objects rows of the columns. `columns` NULL: all members of the
 * first item. CLI_OK or CLI_INTERNAL. */
int cli_print(const struct cli *c, const struct json *v, const struct cli_column *columns);
/* The same for JSON text that this program wrote. */
int cli_print_text(const struct cli *c, struct span json_text, const struct cli_column *columns);
void cli_put_yaml(struct buf *b, const struct json *v);
/* Text that somebody else wrote, without what a terminal would obey; `lines` keeps LF and TAB. */
void cli_put_safe(struct buf *b, struct span text, bool lines);
/* Writes all to stdout; CLI_INTERNAL if that fails (disk full, closed pipe). */
int cli_write(struct span text);

/* ---- help.c, completion.c ---- */
void help_overview(struct buf *b, const struct cli_program *p);
void help_group(struct buf *b, const struct cli_program *p, const char *group);
void help_verb(struct buf *b, const struct cli_program *p, const struct verb *v);
void help_manual(struct buf *b, const struct cli_program *p); /* troff */
bool completion_script(
	struct buf *b, const struct cli_program *p, const char *shell); /* false: unknown shell */

/* Finds the verb for words[0..]; *ret_used says how many of them it took. NULL if there is none. */
const struct verb *verb_find(
	const struct cli_program *p, const char *const *words, int count, int *ret_used);
bool group_exists(const struct cli_program *p, const char *name);
