/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Who may do what: the one interface through which every layer asks. Pure: no I/O, no threads, the
 * time is an argument. A rule set is immutable once sealed and shared by reference count; today it
 * is made from a manifest's `security` and `tools`, and the Cedar engine answers behind the same
 * two functions.
 */
#pragma once

#include "daemon/base/base.h"

/* SMCP codes of denials (secure-model-context-protocol, section 8.2.3). */
enum decision_code {
	DECISION_OK = 0,
	DECISION_TOOL_NOT_ALLOWED = 2000,
	DECISION_TOOL_DENIED = 2001,
	DECISION_PATH_NOT_ALLOWED = 2002,
	DECISION_COMMAND_NOT_ALLOWED = 2003,
	DECISION_DOMAIN_NOT_ALLOWED = 2004,
	DECISION_RATE_LIMIT_EXCEEDED = 2005,
	DECISION_NO_MATCHING_CAPABILITY = 2006,
};

const char *decision_code_name(enum decision_code c); /* "PATH_NOT_ALLOWED" */

/* One question. Values are canonical already: see context_canonical_path and context_parse_argv. */
struct decision_request {
	struct span execution_id;
	struct span agent; /* name */
	struct span tenant;
	struct span action; /* "tool:fs.read", "fs:read", "fs:write", "exec" */
	const struct span *paths; /* absolute, canonical, as seen in the sandbox */
	size_t path_count;
	const struct span *argv; /* action "tool:cmd.run" and "exec" */
	size_t argv_count;
	struct span cwd; /* of the command; a relative first argument is resolved against it */
	struct span domain; /* lower case; empty if none */
};

/* The answer, complete enough to be decided again (decisions, [2]). */
struct decision {
	bool allowed;
	enum decision_code code;
	struct span policy_id; /* "security.filesystem.write[0]", "tools[2]"; the default deny is
				  "default" */
	struct span reason; /* for people: what was refused, and what is accepted */
	struct span policy_set; /* hash of the rule set, hex */
};

/* ---- rule sets ---- */

struct rule_set;

enum { RULE_ORIGIN_BYTES = 200 };

/* Where a rule was written, so that a denial can point at it. */
struct rule_origin {
	const char *field; /* "spec.tools[2]" */
	const char *file; /* may be NULL */
	int line; /* 0 if unknown */
};

/* Builder: add rules, then seal. Names and patterns are copied. -EINVAL with the reason for a
 * pattern that is not understood. */
struct rule_set_builder;
struct rule_set_builder *rule_set_builder_new(void);
struct rule_set_builder *rule_set_builder_free(struct rule_set_builder *b);

/* `pattern`: "fs.read", "fs.*" (whole segments: not "fsx.read") or "*". */
int rule_allow_tool(struct rule_set_builder *b, const char *pattern, struct rule_origin o) MUST_USE;
int rule_deny_tool(struct rule_set_builder *b, const char *pattern, struct rule_origin o) MUST_USE;

/* `action` "fs:read" or "fs:write"; `glob` an absolute prefix ("/workspace": the folder and all
 * below) or a glob with *, ** and ?. */
int rule_allow_path(struct rule_set_builder *b, const char *action, const char *glob,
	struct rule_origin o) MUST_USE;

/* Any program but a shell: lines that need one are refused. */
#define CONTEXT_ANY_BUT_SHELL "*-sh"

/* Base name of argv[0], "*" for any program, shells included, or CONTEXT_ANY_BUT_SHELL; first_args
 * NULL: any; else the accepted first arguments. An entry that begins with '/' accepts any path
 * below it. A set without command rules allows no command. */
int rule_allow_command(struct rule_set_builder *b, const char *command,
	const char *const *first_args, size_t count, struct rule_origin o) MUST_USE;

/* At most `calls` per `window_ms` for tools that match. */
int rule_rate_limit(struct rule_set_builder *b, const char *tool_pattern, uint32_t calls,
	int64_t window_ms, struct rule_origin o) MUST_USE;

/* Hands the content over; the builder is empty afterwards. NULL if out of memory. */
struct rule_set *rule_set_seal(struct rule_set_builder *b);
struct rule_set *rule_set_ref(struct rule_set *s);
struct rule_set *rule_set_unref(struct rule_set *s); /* always NULL */
struct span rule_set_hash(const struct rule_set *s); /* BLAKE2b-256 of the text, hex */
struct span rule_set_text(const struct rule_set *s); /* JSON; what is stored under that hash */

/* The set that a stored text describes: same hash, same decisions. -EINVAL with the reason. */
int rule_set_load(struct span text, struct rule_set **ret) MUST_USE;

/* The mutable half of a decision: token buckets, one per execution. */
struct rate_state;
struct rate_state *rate_state_new(const struct rule_set *s);
struct rate_state *rate_state_free(struct rate_state *r);

/* Decides. Spans of *ret live in the arena or in the set. 0 also for a denial; -ENOMEM.
 * `rate` NULL: rate limits are not counted (what-if, dry runs). */
int policy_decide(const struct rule_set *s, struct rate_state *rate,
	const struct decision_request *q, int64_t now_ns, struct arena *a,
	struct decision *ret) MUST_USE;

/* ---- canonical values ---- */

/* Absolute POSIX path: `cwd` in front of a relative one, "." and "//" folded. ".." is refused, as
 * are NUL, control bytes and anything over LIMIT_PATH_BYTES. -EINVAL with the reason. */
int context_canonical_path(
	struct span path, struct span cwd, struct arena *a, struct span *ret) MUST_USE;

/* "*" within a component, "**" across components, "?" one byte; no other character is special. */
bool context_glob_match(struct span glob, struct span path);

enum context_argv_outcome {
	CONTEXT_ARGV_SHELL =
		1, /* needs a shell: operators, expansions, substitutions; see *ret_why */
};

/* A command line as a POSIX shell would split it, quotes and backslashes resolved. 0 with the
 * argv; CONTEXT_ARGV_SHELL if its meaning depends on a shell; -EINVAL (unbalanced quote, empty,
 * too many arguments) with the reason. */
int context_parse_argv(struct span command, struct arena *a, struct span **ret_argv,
	size_t *ret_count, struct span *ret_why) MUST_USE;
