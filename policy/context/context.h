/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Who may do what: the one interface through which every layer asks. Pure: no I/O, no threads, the
 * time is an argument.
 *
 * A rule set is one text of Cedar policies, compiled, immutable once sealed and shared by reference
 * count. What a manifest, a security context or an operator's `.cedar` file says is turned into
 * policies of that text, each annotated with its origin; a forbid wins whoever wrote it, one that
 * cannot be evaluated too, and what no policy permits is denied. The vocabulary (entities, actions,
 * contexts) is context_schema().
 *
 * Annotations that have a meaning here:
 *	@id("...")                 names the policy in decisions
 *	@file, @line, @field       where it was written
 *	@code("2001")              the code of a denial by it, or for want of its conditions
 *	@accepts("...")            what a denied caller is told
 *	@rate_calls("N") @rate_window_ms("N")   on a forbid: forbids what exceeds the rate
 *	@max_response_bytes("N")   on a forbid: forbids longer answers
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
	DECISION_NO_MATCHING_CAPABILITY = 2006, /* an action that nobody can permit */
};

const char *decision_code_name(enum decision_code c); /* "PATH_NOT_ALLOWED" */

/* One question. Values are canonical already: see context_canonical_path, context_canonical_domain
 * and context_parse_argv. What does not belong to an action is left empty. */
struct decision_request {
	struct span execution_id;
	struct span agent; /* name */
	struct span tenant;
	/* "tool:<name>", "fs:read", "fs:write", "exec", "net:connect", "sys:<name>" */
	struct span action;
	const struct span *paths; /* absolute, canonical, as seen in the sandbox: of "fs:*", and of
				     a tool that names any; each of them must be allowed */
	size_t path_count;
	struct span volume; /* id of the volume that holds the paths */
	const struct span *argv; /* action "tool:cmd.run" and "exec" */
	size_t argv_count;
	struct span cwd; /* of the command; a relative first argument is resolved against it */
	struct span domain; /* of "net:connect", and of a tool that names one */
	struct span address; /* of "net:connect": IPv4 or IPv6 as text */
	uint16_t port; /* of "net:connect" */
	struct span protocol; /* of "net:connect": "tcp", "udp" */
	struct span call_tool; /* of "net:connect": the tool of the dispatched call whose process
				  connects; empty: no call's does */
	struct span call_program; /* as that call names it: argv[0] */
};

/* The answer, complete enough to be decided again (decisions, [2]). */
struct decision {
	bool allowed;
	enum decision_code code;
	struct span policy_id; /* the first that decided: "spec.security.filesystem.write[0]"; the
				  default deny is "default" */
	const struct span *policy_ids; /* all that decided */
	size_t policy_count;
	struct span reason; /* for people: what was refused, and what is accepted */
	struct span policy_set; /* hash of the rule set, hex */
	uint64_t max_response_bytes; /* of the tool's answer; 0: no limit */
};

/* ---- rule sets ---- */

struct rule_set;

enum { RULE_ORIGIN_BYTES = 200 };

/* The vocabulary of requests as a Cedar schema: what operators' policies are validated against. */
struct span context_schema(void);

/* Where a rule was written, so that a denial can point at it. */
struct rule_origin {
	const char *field; /* "spec.tools[2]" */
	const char *file; /* may be NULL */
	int line; /* 0 if unknown */
};

/* Builder: add rules, then seal. Names and patterns are copied. -EINVAL with the reason for a
 * pattern that is not understood; -E2BIG beyond LIMIT_RULES or LIMIT_RULE_SET_BYTES. */
struct rule_set_builder;
struct rule_set_builder *rule_set_builder_new(void);
struct rule_set_builder *rule_set_builder_free(struct rule_set_builder *b);

/* `pattern`: "fs.read", "fs.*" (whole segments: not "fsx.read") or "*". The tool cmd.run needs a
 * command rule besides. */
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
 * below it. Permits "exec" and the tool cmd.run with that command; a set without command rules
 * allows none. */
int rule_allow_command(struct rule_set_builder *b, const char *command,
	const char *const *first_args, size_t count, struct rule_origin o) MUST_USE;

/* At most `calls` per `window_ms` for tools that match. */
int rule_rate_limit(struct rule_set_builder *b, const char *tool_pattern, uint32_t calls,
	int64_t window_ms, struct rule_origin o) MUST_USE;

/* net:connect. `entry` is "example.org" (that name alone), "*.example.org" (one label or more in
 * front), "*" (any name, never an address), an address or a block ("10.0.0.0/8", "::1"), each with
 * ":443" or ":8000-8999" behind it if it holds for these ports only; IPv6 with ports stands in
 * brackets. A denied name is denied with its subdomains. */
int rule_allow_connect(
	struct rule_set_builder *b, const char *entry, struct rule_origin o) MUST_USE;
int rule_deny_connect(struct rule_set_builder *b, const char *entry, struct rule_origin o) MUST_USE;
/* A lease: the same as rule_allow_connect(), for processes of calls of `tool` that run one of
 * `programs`, as argv[0] of the call names it. */
int rule_lease_connect(struct rule_set_builder *b, const char *entry, const char *tool,
	const char *const *programs, size_t count, struct rule_origin o) MUST_USE;
/* -EINVAL with what is accepted. */
int context_check_connect(const char *entry) MUST_USE;

/* Policies as an operator wrote them. -EINVAL with "FILE: line L column C: ..."; a template is
 * refused, since nothing links it here. A policy without @id is named "FILE:LINE". */
int rule_add_cedar(struct rule_set_builder *b, struct span text, const char *file) MUST_USE;

/* All policies of a sealed set, as they stand there. If nothing was added before, the new set
 * shares what was compiled of them and holds a reference: however many they are, it costs no more
 * than what is added to them. */
int rule_add_set(struct rule_set_builder *b, const struct rule_set *s) MUST_USE;

/* Who wrote a policy of a set, by its annotations. */
enum rule_part {
	RULE_PART_FILES = 1, /* operators' files: without @field */
	RULE_PART_CONTEXTS = 2, /* security contexts */
	RULE_PART_OTHERS = 4, /* the rest: manifests */
};
/* Those of the given parts alone. */
int rule_add_set_parts(
	struct rule_set_builder *b, const struct rule_set *s, unsigned parts) MUST_USE;

/* ---- security contexts ---- */

struct rule_strings {
	const char *const *items;
	size_t count;
};

struct rule_command {
	const char *command;
	struct rule_strings first_args; /* empty: any */
};

/* One grant. An empty list restricts nothing. */
struct rule_capability {
	const char *tool_pattern;
	struct rule_strings paths; /* folders and globs */
	struct rule_strings domains;
	const struct rule_command *commands; /* for cmd.run */
	size_t command_count;
	uint32_t calls; /* 0: no rate limit */
	int64_t window_ms;
	uint64_t max_response_bytes; /* 0: no limit */
	int line; /* where it is written; 0 if unknown */
};

/* A named boundary (security_contexts of the node's configuration). Entries of `deny_list`:
 * "fs.delete", "fs.*", "fs.read:/etc/", "cmd.run:rm". */
struct rule_context {
	const char *name;
	const char *file; /* may be NULL */
	int line;
	const struct rule_capability *capabilities;
	size_t capability_count;
	struct rule_strings deny_list;
};

enum rule_context_use {
	RULE_CONTEXT_GRANTS, /* permits what it lists: for a caller that has nothing else */
	RULE_CONTEXT_CEILING, /* forbids what it does not list: beside a manifest's own rules */
};

int rule_add_context(struct rule_set_builder *b, const struct rule_context *c,
	enum rule_context_use use) MUST_USE;

enum rule_cover {
	RULE_NOT_COVERED = 1, /* *ret_doubt: the permission of `inner` that is not, or may not be */
};

/* Is every permission of `inner` one of `outer`? 0 only if it certainly is. */
int rule_context_covers(const struct rule_context *outer, const struct rule_context *inner,
	struct arena *a, struct span *ret_doubt) MUST_USE;

/* ---- sealed sets ---- */

/* Compiles what was added; the builder is empty afterwards. NULL with the reason raised. Parsing
 * needs up to 1 MiB of stack if rule_add_cedar() was used, 64 KiB otherwise. */
struct rule_set *rule_set_seal(struct rule_set_builder *b);
struct rule_set *rule_set_ref(struct rule_set *s);
struct rule_set *rule_set_unref(struct rule_set *s); /* always NULL */
struct span rule_set_hash(const struct rule_set *s); /* BLAKE2b-256 of the text, hex */
/* Cedar; what is stored under that hash. Lives in the set or, if that shares another's policies, in
 * the arena; p NULL: out of memory. */
struct span rule_set_text(const struct rule_set *s, struct arena *a);
size_t rule_set_count(const struct rule_set *s); /* policies */
size_t rule_set_bytes(const struct rule_set *s); /* of memory, without what it shares */

/* One policy of a set. Spans live as long as the set. */
struct rule_policy {
	struct span id;
	struct span file; /* empty: not from a file */
	int line;
	bool forbid;
	enum decision_code code; /* DECISION_OK: none of its own */
};
struct rule_policy rule_set_policy(const struct rule_set *s, size_t index);
void rule_set_policy_text(const struct rule_set *s, size_t index, struct buf *b);

/* A number that no other set of this process has had: a cached verdict of a set holds as long as
 * the one who asks still has a set of that number. Verdicts on "fs:*", "exec", "net:*" and "sys:*"
 * depend on nothing but the request and the set. */
uint64_t rule_set_generation(const struct rule_set *s);

/* The set that a stored text describes: same hash, same decisions. -EINVAL with the reason. */
int rule_set_load(struct span text, struct rule_set **ret) MUST_USE;
/* The same, and what the text begins with is shared with `base`, if that is base's text. */
int rule_set_load_on(const struct rule_set *base, struct span text, struct rule_set **ret) MUST_USE;

/* The mutable half of a decision: token buckets, one state per execution. Only tools are counted.
 * A call takes from the buckets of the state and from those of its root, if it has one: the
 * execution at the top of a swarm, whose set's limits count for all below it together. */
struct rate_state;
struct rate_state *rate_state_new(struct rule_set *s); /* takes a reference; buckets are full */
struct rate_state *rate_state_free(struct rate_state *r);
/* `root` must outlive r; NULL: none. */
void rate_state_set_root(struct rate_state *r, struct rate_state *root);
/* The state under another set: policies that keep their id keep what was taken from them, those
 * that are new are full. The root stays. NULL: out of memory. */
struct rate_state *rate_state_renew(const struct rate_state *r, struct rule_set *s);
/* Empties the buckets: after a restart nobody knows what was taken, so that it is all counted as
 * taken. */
void rate_state_drain(struct rate_state *r, int64_t now_ns);

/* Decides. Spans of *ret live in the arena or in the set. 0 also for a denial; -ENOMEM.
 * `rate` NULL: rate limits are not counted (what-if, dry runs). */
int policy_decide(const struct rule_set *s, struct rate_state *rate,
	const struct decision_request *q, int64_t now_ns, struct arena *a,
	struct decision *ret) MUST_USE;

/* The request as the JSON that decision records keep, and back. Spans of *ret live in the arena or
 * in `v`. */
void decision_request_put(struct json_writer *w, const struct decision_request *q);
int decision_request_load(
	struct arena *a, const struct json *v, struct decision_request *ret) MUST_USE;

/* Why each policy of the set did or did not apply, in the set's order. */
enum rule_fate {
	RULE_APPLIES,
	RULE_OTHER_PRINCIPAL, /* its scope is about others */
	RULE_OTHER_ACTION,
	RULE_OTHER_RESOURCE,
	RULE_CONDITION_FALSE, /* `detail`: the part of the condition */
	RULE_ERROR, /* `detail`: the message; such a policy is passed over */
};
struct rule_verdict {
	struct span id;
	struct span file;
	int line;
	bool forbid;
	enum rule_fate fate;
	struct span detail;
};
const char *rule_fate_text(enum rule_fate f); /* "its action is another one" */

/* For the first path of the request that is denied, or else the last. */
int policy_explain(const struct rule_set *s, const struct decision_request *q, struct arena *a,
	struct decision *ret, struct rule_verdict **ret_verdicts, size_t *ret_count) MUST_USE;

/* What the set says of net:connect, for the execution, agent and tenant of `who`, outside of calls,
 * or within the call that `who` names, as rules for the
 * kernel: same verdicts as policy_decide(), forbidding rules first. -EOPNOTSUPP with policy, file
 * and line for a policy that the kernel cannot check exactly. *ret lives in the arena, also when
 * the set is gone. Needs stack as sealing does. */
struct kernel_rules;
int rule_set_kernel_rules(const struct rule_set *s, const struct decision_request *who,
	struct arena *a, struct kernel_rules *ret) MUST_USE;

/* Whether it says anything else within some call. */
struct rule_calls {
	bool asked; /* some policy about net:connect asks for the call */
	bool permitted; /* some policy may permit a connection, at least within some call */
};
int rule_set_call_rules(const struct rule_set *s, const struct decision_request *who,
	struct arena *a, struct rule_calls *ret) MUST_USE;

/* Adds to *ret what the set forbids of fs:read, fs:write and exec, likewise. A policy about exec
 * that asks for the command is none of them: it is about calls of cmd.run, whose words the kernel
 * does not see. Neither is one about fs:* that forbids all but certain folders: it is about
 * volumes, and decided by the file layer. */
int rule_set_path_rules(const struct rule_set *s, const struct decision_request *who,
	struct arena *a, struct kernel_rules *ret) MUST_USE;

/* ---- the tools that AEGIS itself serves ---- */

/* What a call of the tool asks for besides `tool:NAME`: fs:read, fs:write, or neither. */
struct context_tool {
	const char *name; /* "fs.read" */
	bool reads, writes;
};

/* Ordered by name; NULL at the end of the list. */
const struct context_tool *context_tool_at(size_t index);
bool context_tool_is_file(const struct context_tool *t); /* its calls end in the file layer */

/* Of a question: -EINVAL for a name that neither a tool of AEGIS nor one of a tool server
 * ("SERVER.TOOL") can have, with the names that are accepted. */
int context_check_tool(struct span name) MUST_USE;

/* ---- canonical values ---- */

/* Absolute POSIX path: `cwd` in front of a relative one, "." and "//" folded. ".." is refused, as
 * are NUL, control bytes and anything over LIMIT_PATH_BYTES. -EINVAL with the reason. */
int context_canonical_path(
	struct span path, struct span cwd, struct arena *a, struct span *ret) MUST_USE;

/* Lower-case ASCII form (IDNA 2008) without a trailing dot. -EINVAL with the reason. */
int context_canonical_domain(struct span domain, struct arena *a, struct span *ret) MUST_USE;

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
