/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * One function takes every tool call, as an envelope (decisions, [11]): it validates the arguments
 * against the tool's schema, asks policy, runs the call, and reports one record. File tools run in
 * the daemon on nfs/fsal; cmd.run is handed to the sandbox by the dispatch function that the
 * execution gives. A command line that needs a shell is decided, and run, as `sh -c`.
 */
#pragma once

#include "nfs/fsal/fsal.h"
#include "policy/context/context.h"

enum tool_argument_type { TOOL_ARG_STRING, TOOL_ARG_BOOL, TOOL_ARG_EDITS };

struct tool_argument {
	const char *name;
	enum tool_argument_type type;
	bool required;
	const char *description;
};

struct tool_description {
	const char *name; /* "fs.read" */
	const char *description; /* shown to the model */
	const struct tool_argument *arguments;
	size_t argument_count;
	bool read_only;
};

/* The built-in tools, ordered by name; NULL at the end of the list, or if the name is unknown. */
const struct tool_description *tool_at(size_t index);
const struct tool_description *tool_find(struct span name);

/* JSON Schema of a tool's arguments, made from the table that validates them. */
void tool_schema_put(struct json_writer *w, const struct tool_description *d);

/* ---- tools that others serve ---- */

/* An argument that policy is asked about, because the operator said what it is. */
enum tool_judged_kind {
	TOOL_JUDGED_PATH, /* a string, or an array of them */
	TOOL_JUDGED_DOMAIN, /* a host name */
	TOOL_JUDGED_URL, /* its host name is judged */
};
struct tool_judged {
	const char *name;
	enum tool_judged_kind kind;
};

/* A tool of a tool server. Everything belongs to the catalog. */
struct tool_offer {
	const char *name; /* "SERVER.TOOL" */
	const char *server;
	const char *remote; /* what the server calls it */
	const char *description;
	struct span schema; /* of its arguments: a JSON Schema, as text */
	const struct tool_judged *judged; /* at most one of them a domain or a URL */
	size_t judged_count;
	const char *cwd; /* what its relative paths are relative to; NULL: nobody knows */
	const void *of; /* the source's own */
};

/* What is on offer now, in order of server and name. Never changes; another one takes its place. */
struct tool_catalog {
	int refs;
	size_t count;
	const struct tool_offer *items;
	void (*free)(struct tool_catalog *c);
};
static inline void tool_catalog_unref(struct tool_catalog *c) /* NULL is allowed */
{
	if (c && --c->refs == 0)
		c->free(c);
}

/* Where such tools come from; on the worker of those who call. */
struct tool_source {
	/* A reference, never NULL. */
	struct tool_catalog *(*catalog)(void *ctx);
	/* The arguments against the tool's schema: -EINVAL with what is wrong; -ENOMEM, -ECANCELED,
	 * -ETIME, -EAGAIN. A schema is its server's and may be made to cost: asked only about calls
	 * that policy allows. */
	AWAITS int (*check)(void *ctx, const struct tool_offer *o, const struct json *arguments,
		int64_t deadline_ns);
	/* 0 with what the tool answered, in the arena; *ret_failed: it says that it failed, or it
	 * could not be asked. Negative: -ECANCELED, -ETIME, -ENOMEM. */
	AWAITS int (*call)(void *ctx, const struct tool_offer *o, const struct json *arguments,
		struct arena *a, int64_t deadline_ns, struct span *ret, bool *ret_failed);
	/* Whether the node has a server of that name; the names of all, if `known` is given. */
	bool (*has_server)(void *ctx, struct span name, struct buf *known);
	void *ctx;
};

/* The offer of that name, or NULL. */
const struct tool_offer *tool_catalog_find(const struct tool_catalog *c, struct span name);

/* How the call came in, and who vouches for it. */
enum tool_signer {
	TOOL_SIGNED_BY_AGENT, /* a key that the caller alone holds (SMCP); non-repudiation is
				 claimed */
	TOOL_SIGNED_BY_DAEMON, /* the daemon's own conversation loop */
};

struct tool_result;

/* Told that a call is allowed and is about to have an effect; never of a read-only tool. *so_far
 * has the decision. A negative result keeps the tool from running and is tool_invoke's. */
typedef AWAITS int (*tool_allowed_fn)(void *ctx, const struct tool_result *so_far);

struct tool_envelope {
	struct span call_id; /* ours, a UUID */
	struct span name;
	struct span arguments; /* JSON text */
	enum tool_signer signer;
	/* TOOL_SIGNED_BY_AGENT: base64, verified by the caller, and the bytes that are signed; both
	 * are kept for the record. */
	struct span signature;
	struct span canonical;
	tool_allowed_fn allowed; /* may be NULL */
	void *allowed_ctx;
};

struct tool_dispatch {
	struct span command; /* argv[0] */
	const struct span *argv; /* the whole, argv[0] included */
	size_t argc;
	struct span cwd; /* in the sandbox */
	int64_t timeout_ms;
	size_t max_output_bytes; /* of stdout and stderr together; the tail is kept */
};
struct tool_dispatch_result {
	int exit_code; /* -1: could not be run, timed out */
	struct span stdout_text;
	struct span stderr_text;
	int64_t duration_ms;
	bool truncated;
};

/* Runs a command in the execution's sandbox; -ECANCELED, -ETIME, -EPIPE if the sandbox is gone. */
typedef AWAITS int (*tool_dispatch_fn)(void *ctx, struct span call_id,
	const struct tool_dispatch *d, struct arena *a, struct tool_dispatch_result *ret);

/* A volume that is mounted below the workspace. */
struct tool_mount {
	struct span at; /* relative to workspace_path: "data/in" */
	struct fsal_attachment *attachment;
};

/* What a call may touch: made by the execution once per iteration, by an SMCP session once. */
struct tool_context {
	struct span execution_id;
	struct span agent;
	struct span tenant;
	const struct rule_set *rules;
	struct rate_state *rate;
	struct fsal_attachment *workspace; /* mounted at workspace_path; NULL: none */
	struct span workspace_path; /* "/workspace" */
	const struct tool_mount *mounts; /* none inside another */
	size_t mount_count;
	tool_dispatch_fn dispatch; /* NULL: no command can be run for this caller */
	void *dispatch_ctx;
	int64_t cmd_timeout_ms; /* node's ceiling */
	size_t cmd_output_bytes;
	const struct tool_source *source; /* of tools beyond the built-in ones; NULL: none */
	const uint8_t *signing_key; /* 64 bytes, libsodium's form: the execution's daemon key; NULL:
				       none */
};

enum tool_status { TOOL_OK, TOOL_DENIED, TOOL_BAD_ARGUMENTS, TOOL_UNKNOWN, TOOL_FAILED };

/* JSON-RPC codes that go with them (builtin-tools reference): 0, -32000, -32602, -32601, -32603. */
int tool_status_rpc_code(enum tool_status s);

struct tool_result {
	enum tool_status status;
	struct span server; /* who served it: "builtin", or a tool server's name */
	struct span content; /* what the model is told: text, or JSON text for cmd.run */
	struct decision decision; /* the one that allowed or denied */
	struct span canonical_request; /* JSON of the question as decided, for the record [2] */
	struct span
		envelope; /* canonical JSON of {payload, timestamp}: the bytes that are signed */
	struct span signature; /* base64 Ed25519 over the envelope; empty without a signing key */
	int64_t duration_ns;
};

/* `t` is looked at anew for each decision, so that what changes in it meanwhile holds from then on.
 * 0 with *ret filled, whatever the call's fate; negative only if the caller must stop
 * (-ECANCELED, -ETIME, -ENOMEM). Everything lives in the arena. */
AWAITS int tool_invoke(const struct tool_context *t, const struct tool_envelope *e, struct arena *a,
	int64_t deadline_ns, struct tool_result *ret) MUST_USE;

/* The members of a record that say how a call was decided, with every policy that did; into the
 * object that `w` is in. Nothing if policy was not asked: an unknown tool, bad arguments. */
int tool_decision_put(struct json_writer *w, const struct decision *decision,
	struct span canonical_request, enum tool_signer signer) MUST_USE;
