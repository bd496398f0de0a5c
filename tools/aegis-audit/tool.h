/* SPDX-License-Identifier: AGPL-3.0-only */
/* What the verbs of aegis-audit share. Exit codes are those of the CLI reference. */
#pragma once

#include "daemon/audit/audit.h"
#include "tools/aegis/cli.h"

struct tool {
	const char *dir;
	enum cli_format format;
	/* tail, show */
	bool follow;
	uint64_t lines;
	struct uuid execution; /* nil: any */
	int source; /* -1: any */
	const char *kind; /* NULL: any */
	/* verify */
	const char *anchor_files[CLI_ARGS_MAX];
	int anchor_count;
	const char *key_files[CLI_ARGS_MAX];
	int key_count;
	bool all; /* anchor: every head */
	/* what stands behind the verb */
	char **args;
	int arg_count;
};

int verb_tail(struct tool *t);
int verb_show(struct tool *t);
int verb_verify(struct tool *t);
int verb_anchor(struct tool *t);
int verb_keys(struct tool *t);

/* Says "aegis-audit: ..." and returns the code. */
int tool_fail(int code, const char *fmt, ...) PRINTF_LIKE(2, 3);
int tool_fail_errno(int r);
/* 0, or the exit code after saying why; *ret is the caller's to close. */
int tool_open(const struct tool *t, struct audit_reader **ret);

/* Writes to standard output. False if the reader has gone: time to end. */
bool tool_write(struct span text);

/* ---- print.c ---- */
void put_record_json(struct json_writer *w, const struct audit_record *r);
/* One record in the format asked for; for tables the header comes first. */
bool print_record(const struct tool *t, const struct audit_record *r, bool whole);
void print_table_header(const struct tool *t);
