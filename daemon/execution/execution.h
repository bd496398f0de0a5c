/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Executions, layer 4: an agent at work. The outer loop gives it a fresh sandbox per iteration and
 * one /workspace (decisions, [9]), validates what it answers, and lets the lowest score decide
 * between success, refinement and failure. The inner loop holds the conversation with the model
 * and answers every tool call of a turn in order.
 *
 * Truth is in the store: each step is published (event and projection in one commit) before it
 * shows outside. After a crash executions_start takes every unfinished execution up again [4]: the
 * conversation is rebuilt from its events, a live sandbox is adopted, a model call that was under
 * way is repeated and recorded as repeated, and an iteration whose sandbox died counts as
 * interrupted.
 *
 * All of this lives on one worker, the one that called executions_start; functions are called
 * there.
 */
#pragma once

#include "daemon/agent/agent.h"
#include "daemon/event/event.h"
#include "daemon/llm/llm.h"
#include "daemon/policy/policy.h"
#include "daemon/sandbox/sandbox.h"
#include "daemon/smcp/smcp.h"
#include "daemon/store/store.h"
#include "daemon/tool/tool.h"
#include "daemon/volume/volume.h"

/* Names as stored and as upstream's clients know them. */
extern const struct state_table execution_states; /* pending running completed failed cancelled */
extern const struct state_table iteration_states; /* running success failed refining */

struct executions;

/* The node's ceilings and defaults, from the configuration. */
struct execution_limits {
	size_t running_max; /* more are pending, in order */
	int64_t timeout_ns; /* of an execution whose manifest names none */
	int64_t cmd_timeout_ms;
	size_t cmd_output_bytes;
	int64_t cancel_grace_ns; /* between the request to stop and the kill */
};

/* Whether this host reaches the levels that a manifest requires of it (spec.require); if not, what
 * falls short stands in *why. */
typedef bool (*execution_levels)(void *ctx, const struct agent_spec *spec, struct buf *why);

struct execution_deps {
	struct store *store;
	struct event_bus *bus;
	struct sandbox_driver *sandboxes;
	struct llm *llm;
	struct offload *files; /* for the file layer and snapshots */
	const struct volumes *volumes; /* on this worker; NULL: no execution can name one */
	struct fsal *fsal; /* the file layer; on this worker, stopped after the executions */
	struct policies *policies; /* an execution keeps the set that holds when it starts */
	const struct tool_source *source; /* of tools beyond the built-in ones; NULL: none */
	struct smcp_service *smcp; /* for agents that sign their calls; NULL: none can */
	struct span node_id;
	int snapshots_fd; /* directory that keeps snapshots, one folder per execution; -1: none
			     are taken. Stays the caller's */
	bool programs_decided; /* policy about programs and the runtime's files holds in the kernel
				*/
	bool files_mediated; /* sandboxes get /workspace over NFS, else it is bound in */
	int replies_fd; /* directory for what NFS was answered, over restarts; -1: kept in memory.
			   Stays the caller's */
	fsal_observer file_observer; /* of file operations; may be NULL */
	void *file_observer_ctx;
	int64_t file_coalesce_ns; /* operations of a file within are one record; 0: each */
	execution_levels levels; /* NULL: none is known, and what requires any is refused */
	void *levels_ctx;
	struct execution_limits limits;
};

/* Takes up what a former process left unfinished, then returns; the flows run in the group given.
 */
AWAITS int executions_start(
	struct group *g, const struct execution_deps *deps, struct executions **ret) MUST_USE;

/* Parks every flow where a restart finds it; sandboxes go on. NULL is allowed. */
AWAITS void executions_stop(struct executions *x);

/* To be called when the node's policies have changed: executions that run go over to them, tools,
 * files and network; those that wait do when they begin. One that cannot run by the new policies
 * is cancelled, with the reason. Returns how many. */
AWAITS size_t executions_renew_rules(struct executions *x);

/* Calls `fn` for each execution that waits or runs, with the policy set that it has. */
void executions_policy_sets(struct executions *x,
	void (*fn)(void *ctx, struct uuid id, const struct rule_set *rules), void *ctx);

/* How programs in a sandbox reach files, in words: for the journal and for those who look at an
 * execution. The file tools are another way: each call of theirs is decided and recorded. */
const char *executions_file_access(const struct executions *x);
/* Likewise of programs, and of the files of its runtime. */
const char *executions_program_access(const struct executions *x);

/* ---- asking for work ---- */

enum execution_outcome {
	EXECUTION_REFUSED =
		1, /* parsed but not enforced on this node [10], or the agent is paused */
	EXECUTION_NOT_FOUND = 2,
	EXECUTION_BUSY = 3, /* the queue is full: come again */
	EXECUTION_BAD_INPUT = 4, /* against the manifest's input_schema */
	EXECUTION_FINISHED = 5, /* it has ended already */
};

struct execution_request {
	struct uuid agent_id;
	struct span tenant_id;
	struct span input; /* JSON; empty: null */
	struct span intent;
	struct span context_overrides; /* JSON object; empty: none */
	struct span initiating_user_sub;
};

/* Durable when it returns: ExecutionStarted is in the store. A positive outcome's reason is
 * *ret_why, in the arena. */
AWAITS int execution_start(struct executions *x, const struct execution_request *q, struct arena *a,
	struct uuid *ret_id, struct span *ret_why, int64_t deadline_ns) MUST_USE;

/* Asks its sandbox to stop and kills it after the grace (at once with `force`); returns when the
 * cancellation is recorded. EXECUTION_NOT_FOUND, EXECUTION_FINISHED. */
AWAITS int execution_cancel(struct executions *x, struct uuid id, struct span reason, bool force,
	int64_t deadline_ns) MUST_USE;

/* Waits until it has ended. -ETIME. EXECUTION_NOT_FOUND. */
AWAITS int execution_wait(struct executions *x, struct uuid id, int64_t deadline_ns) MUST_USE;

/* Removes one that has ended: its workspace, its snapshots, and its record, so that no list and no
 * look-up knows it any more. EXECUTION_NOT_FOUND; EXECUTION_BUSY while it runs. What happened stays
 * in the event table, which only grows, and in the journal; the removal is an event of its own. */
AWAITS int execution_remove(struct executions *x, struct uuid id, int64_t deadline_ns) MUST_USE;

/* ---- the dispatch protocol ---- */

/*
 * One message of an agent (POST /v1/dispatch-gateway) that came through the socket of execution
 * `id`: {type: generate | dispatch_result | program_result, ...}. Waits for the answer, which may
 * take as long as a model and appends it to *reply: {type: dispatch | final, ...}; *ret_status is
 * the HTTP status, with {"error": ...} if it is none of 200. An execution_id in the body that is
 * not `id` is refused (403): identity comes from the socket. A message that is repeated under the
 * same request id gets the same answer.
 */
AWAITS int execution_dispatch(struct executions *x, struct uuid id, const struct json *message,
	struct span request_id, struct arena *a, struct buf *reply, int *ret_status,
	int64_t deadline_ns) MUST_USE;

/* ---- what came of it ---- */

/* A file of the iteration that is returned, from its snapshot. A descriptor for reading, or
 * EXECUTION_NOT_FOUND through *ret_fd == -1. `path` relative to the workspace. */
AWAITS int execution_file(struct executions *x, struct uuid id, struct span path, int *ret_fd,
	int64_t deadline_ns) MUST_USE;

/* What the returned iteration's workspace holds, against that of iteration `since`; 0: against the
 * empty workspace at the beginning, so that everything is added. */
struct execution_change {
	struct span path; /* relative, any bytes but NUL */
	enum snapshot_change kind;
	enum snapshot_type type;
	uint64_t size_bytes; /* 0 if removed */
	bool kept; /* execution_file can give its content */
};
struct execution_changes {
	struct execution_change *items; /* by path */
	size_t count;
	uint64_t left_out; /* entries or contents beyond the limits of a snapshot */
};
/* EXECUTION_NOT_FOUND: no such execution, or no snapshot of one of the two. */
AWAITS int execution_changes(struct executions *x, struct uuid id, uint32_t since, struct arena *a,
	struct execution_changes *ret, int64_t deadline_ns) MUST_USE;
