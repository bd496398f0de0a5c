/* SPDX-License-Identifier: AGPL-3.0-only */
/* What the verbs of aegis-audit share. Exit codes are those of the CLI reference. */
#pragma once

#include "daemon/audit/audit.h"
#include "tools/aegis/cli.h"

/* Which records are meant. Zeros mean any; source -1, to_ns INT64_MAX. */
struct filter {
	struct uuid execution;
	int source;
	const char *kind;
	const char *text; /* in the kind or the payload, without regard to the case of ASCII */
	int64_t from_ns, to_ns; /* wall clock; to_ns itself is not meant */
	bool denied;
	const char *policy; /* id */
};

struct tool {
	const char *dir;
	enum cli_format format;
	struct filter filter; /* tail, search, stats, export */
	bool follow; /* tail */
	uint64_t lines; /* tail, search */
	bool oldest; /* search: oldest first */
	/* export */
	uint64_t number; /* begins with that record */
	const char *export_format;
	const char *file; /* NULL: standard output */
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
int verb_search(struct tool *t);
int verb_why(struct tool *t);
int verb_stats(struct tool *t);
int verb_export(struct tool *t);
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

/* ---- facts.c ---- */

/* What a record says of a verdict. */
struct facts {
	const struct json *payload; /* NULL: not JSON */
	const struct json *details; /* the event's own members; of other sources the payload */
	const struct json *decision; /* NULL: the record holds none */
	bool denied;
};

/* Values live in `a`, which is emptied first, and in the record. */
struct facts facts_of(struct arena *a, const struct audit_record *r);
struct arena *facts_arena(void); /* NULL if out of memory, with the reason raised */
/* What a verdict rests on. */
enum basis {
	BASIS_POLICY, /* policies; a rule that is gone leaves them unnamed */
	BASIS_DEFAULT, /* none permits */
	BASIS_OTHER, /* no policy was asked: malformed packets, limits */
};
enum basis facts_basis(const struct facts *f);
bool facts_name_policy(const struct facts *f, struct span id);
bool filter_takes(const struct filter *f, struct arena *a, const struct audit_record *r);
bool filter_is_any(const struct filter *f);

/* ---- records.c ---- */

/* Calls `fn` for each record that args[0] names: a number, event:NUMBER or a UUID. `fn` returns
 * false to end. An exit code, after saying why. */
int each_named(struct tool *t, bool (*fn)(void *ctx, const struct audit_record *r), void *ctx);

/* ---- print.c ---- */
/* The record's line, row or document. */
int put_record(
	struct buf *b, const struct tool *t, const struct audit_record *r, bool whole) MUST_USE;
/* JSON text as JSON or YAML, as t->format says. */
int put_document(struct buf *b, const struct tool *t, struct span json) MUST_USE;
enum { RECORD_TEXT_BYTES = 6 * LIMIT_AUDIT_PAYLOAD_BYTES };
void put_record_json(struct json_writer *w, const struct audit_record *r);
/* One record in the format asked for; for tables the header comes first. */
bool print_record(const struct tool *t, const struct audit_record *r, bool whole);
void print_table_header(const struct tool *t);

/* ---- export_ocsf.c, export_cef.c: one record without the end of the line ---- */
struct exported {
	struct uuid journal;
	const struct audit_record *record;
	struct facts facts;
};
void put_ocsf(struct json_writer *w, const struct exported *e); /* OCSF 1.3.0 */
void put_cef(struct buf *b, const struct exported *e); /* ArcSight Common Event Format, CEF:0 */
/* What the record says in one sentence; empty if it says none. */
struct span export_message(const struct exported *e);
