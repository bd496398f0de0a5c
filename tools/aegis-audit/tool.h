/* SPDX-License-Identifier: AGPL-3.0-only */
/* What the verbs of aegis-audit share. Exit codes are those of the CLI reference, and one more. */
#pragma once

#include "daemon/audit/audit.h"
#include "policy/context/context.h"
#include "tools/aegis/cli.h"

enum {
	AUDIT_FLIPS = 6, /* what-if: decisions come out otherwise, or could not be made again */
};

enum verdict_wanted { VERDICT_ANY, VERDICT_ALLOWED, VERDICT_DENIED };

struct runs;

/* Which records are meant. Zeros mean any; source -1, to_ns INT64_MAX. */
struct filter {
	struct uuid execution, call;
	uint32_t iteration;
	int source;
	const char *kind;
	const char *agent, *tenant;
	const char *tool; /* name or pattern */
	const char *path; /* folder, file or glob */
	const char *destination; /* name, "*.name", address or block; ":PORT" behind it */
	const char *text; /* in the kind or the payload, without regard to the case of ASCII */
	int64_t from_ns, to_ns; /* wall clock; to_ns itself is not meant */
	enum verdict_wanted verdict;
	const char *policy; /* id */
	struct runs *runs; /* whose executions are: of `agent` and `tenant`; NULL: nobody asks */
};

struct tool {
	const char *dir;
	enum cli_format format;
	struct filter filter;
	const struct cli *cli;
	uint64_t lines; /* tail, search, trace */
};

/* By the command line; 0, or the exit code after saying why. */
int tool_begin(struct tool *t, const struct cli *c);
void tool_end(struct tool *t);

/* Options of verbs that take filters, to be listed last. */
#define FILTER_OPTIONS_BUT_POLICY \
	{"execution", 0, "ID", "Records of that execution", NULL}, \
		{"iteration", 0, "N", "Of that iteration", NULL}, \
		{"call", 0, "ID", "Of that tool call", NULL}, \
		{"agent", 0, "NAME", "Of executions of that agent", NULL}, \
		{"tenant", 0, "NAME", "Of that tenant", NULL}, \
		{"source", 0, "NAME", "Who says so", "journal event call file kernel daemon"}, \
		{"kind", 0, "NAME", "Of that kind, such as ToolPolicyViolation", NULL}, \
		{"tool", 0, "NAME", "About that tool, or tools such as 'fs.*'", NULL}, \
		{"path", 0, "PATH", "About that file, or below that folder; * ** ? are a glob", \
			NULL}, \
		{"destination", 0, "HOST", \
			"About that name, *.NAME, address or block; :PORT behind it", NULL}, \
		{"verdict", 0, "WORD", "With that verdict", "allowed denied"}, \
		{"denied", 0, NULL, "As --verdict denied", NULL}, \
		{"text", 0, "TEXT", \
			"TEXT stands in the kind or the payload; ASCII letters of either case", \
			NULL}, \
		{"from", 0, "TIME", \
			"From then on: 2026-03-01T14:00:00Z, or how long ago (90s, 2h, 7d)", \
			NULL}, \
		{"to", 0, "TIME", "Before that time", NULL}, \
	{ \
		NULL, 0, NULL, NULL, NULL \
	}

#define FILTER_OPTIONS \
	{"policy", 0, "ID", "Decided by a policy of that id; \"default\": none permitted", NULL}, \
		FILTER_OPTIONS_BUT_POLICY

/* Says "aegis-audit: ..." and returns the code. */
int tool_fail(int code, const char *fmt, ...) PRINTF_LIKE(2, 3);
int tool_fail_errno(int r);
/* 0, or the exit code after saying why; *ret is the caller's to close. */
int tool_open(const struct tool *t, struct audit_reader **ret);
/* A number of the verb's option; *ret is left as it is if it was not given. */
int tool_number(
	const struct tool *t, const char *option, uint64_t min, uint64_t max, uint64_t *ret);

/* Writes to standard output. False if the reader has gone: time to end. */
bool tool_write(struct span text);

/* ---- facts.c ---- */

/* What a record says of a verdict. */
struct facts {
	const struct json *payload; /* NULL: not JSON */
	const struct json *details; /* the event's own members; of other sources the payload */
	const struct json *decision; /* NULL: the record holds none */
	const struct json *request; /* what was decided, parsed; NULL: none, or not JSON */
	bool denied;
};

/* Values live in `a`, which is emptied first, and in the record. */
struct facts facts_of(struct arena *a, const struct audit_record *r);
/* Without `request`, which then costs nothing. */
struct facts facts_unasked(struct arena *a, const struct audit_record *r);
struct arena *facts_arena(void); /* NULL if out of memory, with the reason raised */
/* What a verdict rests on. */
enum basis {
	BASIS_POLICY, /* policies; a rule that is gone leaves them unnamed */
	BASIS_DEFAULT, /* none permits */
	BASIS_OTHER, /* no policy was asked: malformed packets, limits */
};
enum basis facts_basis(const struct facts *f);
bool facts_name_policy(const struct facts *f, struct span id);
bool facts_have_verdict(const struct facts *f);
/* Why what policy allowed did not come about ("EROFS"); empty: it did, or that is not said. */
struct span facts_failure(const struct audit_record *r, const struct facts *f);
struct span facts_tool(const struct facts *f); /* "fs.read"; empty: about none */

/* ---- filter.c ---- */

bool filter_takes(const struct filter *f, struct arena *a, const struct audit_record *r);
bool filter_destination_valid(const char *text);
bool filter_is_any(const struct filter *f);

/* ---- order.c: records in the order in which things happened ---- */

struct ordered {
	struct audit_record record; /* its texts, too, until order_done() */
	int64_t happened_ns; /* wall clock */
	bool shown; /* as it was put */
};
struct order;
/* Each is held until one that was written so much later has come. NULL: out of memory. */
struct order *order_new(int64_t hold_ns);
struct order *order_free(struct order *o); /* NULL is allowed; always NULL */
/* `boot_time_ns`: when the kernel says that it happened; 0: it does not. While it is full, none may
 * be put in. */
int order_put(
	struct order *o, const struct audit_record *r, int64_t boot_time_ns, bool shown) MUST_USE;
bool order_is_full(const struct order *o);
/* The next one that is due; `all`: also if later ones may come. NULL: none. */
struct ordered *order_next(struct order *o, bool all);
void order_done(struct ordered *r); /* NULL is allowed */

/* ---- runs.c: whose an execution is, as its events say ---- */

struct run {
	uint8_t id[16];
	struct span agent, tenant;
	struct span policy_set; /* that held last; empty: not said */
};
struct runs *runs_new(void); /* NULL with the reason raised */
struct runs *runs_free(struct runs *runs); /* NULL is allowed; always NULL */
int runs_note(struct runs *runs, struct arena *a, const struct audit_record *r) MUST_USE;
const struct run *runs_find(const struct runs *runs, struct uuid execution); /* NULL: unknown */

/* ---- kept.c: the policy sets that the journal holds ---- */

struct kept_sets;
struct kept_sets *kept_new(void); /* NULL with the reason raised */
struct kept_sets *kept_free(struct kept_sets *k); /* NULL is allowed; always NULL */
int kept_note(struct kept_sets *k, struct arena *a, const struct audit_record *r) MUST_USE;
enum kept_outcome {
	KEPT_NOT_HERE = 1, /* the journal does not hold that set, or not whole */
};
/* The set of that hash; borrowed. */
int kept_get(struct kept_sets *k, struct span hash, struct rule_set **ret) MUST_USE;

/* ---- survey.c: one pass over the whole journal ahead ---- */

/* Either may be NULL. 0, or the exit code after saying why; damage ends it without a word, since
 * the verb will meet it. */
int survey(const struct tool *t, struct runs *runs, struct kept_sets *sets);
/* CLI_OK if records of that kind are written, or stand in the journal. */
int survey_kind(const struct tool *t, const char *kind);

/* ---- hints.c ---- */

/* When nothing was found: says on standard error which --agent or --tool no record names, and the
 * nearest that one does. */
void hint_at_names(const struct tool *t);

/* ---- kinds.c ---- */
extern const char *const audit_kinds[]; /* that AEGIS writes; NULL ends */

/* ---- asked.c: the question that a record answers ---- */

struct asked {
	struct decision_request q;
	struct span policy_set; /* that decided; empty: not known */
	bool allowed; /* as recorded */
	bool limited; /* denied by a rate limit, which no single question shows */
};
enum asked_outcome {
	ASKED_NOTHING = 1, /* the record holds no decision */
	ASKED_UNKNOWN = 2, /* it holds one, and not what is needed to make it again */
};
/* `runs` says whose the execution is where the record does not. Spans live in the arena of f. */
int asked_of(struct arena *a, const struct facts *f, const struct audit_record *r,
	const struct runs *runs, struct asked *ret) MUST_USE;

/* ---- told.c: decisions that the journal holds twice ---- */

struct told;
struct told *told_new(void); /* NULL with the reason raised */
struct told *told_free(struct told *t); /* NULL is allowed; always NULL */
/* Whether this record's decision is one that a record of another source told already. To be asked
 * once of each record, in order. */
bool told_again(struct told *t, const struct audit_record *r, const struct facts *f);

/* ---- records.c ---- */

/* Calls `fn` for each record that `name` names: a number, event:NUMBER or a UUID. `fn` returns
 * false to end. An exit code, after saying why. */
int each_named(const struct tool *t, const char *name,
	bool (*fn)(void *ctx, const struct audit_record *r), void *ctx);

/* ---- print.c ---- */
/* The record's line, row or document. */
int put_record(
	struct buf *b, const struct tool *t, const struct audit_record *r, bool whole) MUST_USE;
/* JSON text as JSON or YAML, as t->format says. */
int put_document(struct buf *b, const struct tool *t, struct span json) MUST_USE;
enum { RECORD_TEXT_BYTES = 6 * LIMIT_AUDIT_PAYLOAD_BYTES };
void put_record_json(struct json_writer *w, const struct audit_record *r);
/* The members of put_record_json, into an object that is open. */
void put_record_members(struct json_writer *w, const struct audit_record *r);
/* What a line says of a record, without what a terminal would obey; at most `max` bytes of it. */
void put_summary(struct buf *b, const struct audit_record *r, size_t max);
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

/* ---- one verb a file, or with its kin ---- */
extern const struct verb verb_tail, verb_show, verb_search, verb_trace, verb_why, verb_stats,
	verb_export, verb_what_if, verb_learn, verb_verify, verb_anchor, verb_keys;
