/* SPDX-License-Identifier: AGPL-3.0-only */
/* Inside of daemon/tool: what a running call carries, and the functions that run tools. */
#pragma once

#include "daemon/tool/tool.h"

struct tool_call {
	const struct tool_context *t;
	const struct tool_description *tool; /* NULL: one that a source offers */
	const struct tool_envelope *envelope;
	const struct json *arguments; /* validated: an object whose members have their types */
	struct arena *arena;
	int64_t deadline_ns;
	uint64_t response_bytes_max; /* what policy says of the answer; 0: nothing */
	struct span
		tool_request; /* what policy was asked about the tool, once a file is asked about */
	struct tool_result *result;
};

/* Each answers by tool_ok or tool_refuse and returns 0, or a negative errno that ends the flow. */
typedef AWAITS int (*tool_run_fn)(struct tool_call *c);

struct tool_entry {
	struct tool_description description;
	tool_run_fn run;
};

extern const struct tool_entry tool_entries[];
extern const size_t tool_entry_count;

AWAITS int fs_read_run(struct tool_call *c);
AWAITS int fs_write_run(struct tool_call *c);
AWAITS int fs_list_run(struct tool_call *c);
AWAITS int fs_create_dir_run(struct tool_call *c);
AWAITS int fs_delete_run(struct tool_call *c);
AWAITS int fs_edit_run(struct tool_call *c);
AWAITS int fs_multi_edit_run(struct tool_call *c);
AWAITS int fs_grep_run(struct tool_call *c);
AWAITS int fs_glob_run(struct tool_call *c);
AWAITS int cmd_run_run(struct tool_call *c);
int system_info_run(struct tool_call *c);

/* Answers. `content` is copied into the arena, and its head cut off beyond LIMIT_TOOL_OUTPUT_BYTES.
 */
int tool_ok(struct tool_call *c, struct span content);
int tool_okf(struct tool_call *c, const char *fmt, ...) PRINTF_LIKE(2, 3);
int tool_refuse(struct tool_call *c, enum tool_status status, struct span reason);

/* Asks policy; the question is kept in the result. The result's status is TOOL_DENIED if it said
 * no. */
int tool_decide(struct tool_call *c, const struct decision_request *q) MUST_USE;
int tool_request_keep(struct tool_call *c, const struct decision_request *q) MUST_USE;
int tool_deny(struct tool_call *c, const struct decision *d) MUST_USE;

/* The MCP call as JSON-RPC, with the time, in canonical form: what is signed and kept. */
int tool_envelope_seal(struct tool_call *c) MUST_USE;

/* The way of a call of a tool that a source offers. */
AWAITS int offer_run(struct tool_call *c, const struct tool_offer *o) MUST_USE;

/* What the operator says of its arguments, into the question. -EINVAL names one that is not what it
 * should be. */
int offer_judge(
	struct tool_call *c, const struct tool_offer *o, struct decision_request *q) MUST_USE;

/* Between the decision and the tool: the caller may want to put on record that it was allowed. */
AWAITS int tool_effect_begins(struct tool_call *c) MUST_USE;

/* ---- files ---- */

/* What the file operations of one call carry along. */
struct tool_file {
	struct fsal_call call;
	const struct tool_context *t;
	struct decision decision; /* of the last operation */
};

/* The named argument as a canonical path, as the agent sees it. */
enum tool_path_outcome { TOOL_PATH_ANSWERED = 1 }; /* the call has its answer already */
int tool_canonical_path(struct tool_call *c, const char *argument, struct span *ret) MUST_USE;

/* The named argument as a path inside the workspace, relative to it. `f` stays where it is: it
 * points into itself. */
AWAITS int tool_path(struct tool_call *c, const char *argument, const char *action,
	struct tool_file *f, struct span *ret_path) MUST_USE;

/* Takes over what the file layer decided. If it came to nothing that is decided (no such file), the
 * decision on the tool stands, with its question. */
void tool_file_decided(struct tool_call *c, const struct decision *d);

/* Turns what a file operation returned into the call's answer: a denial, a failure that the model
 * can read, or a negative errno that ends the flow. */
int tool_file_outcome(struct tool_call *c, const struct tool_file *f, int r);

/* A whole file. TOOL_PATH_ANSWERED if the call has its answer already. */
AWAITS int tool_read_file(
	struct tool_call *c, struct tool_file *f, struct span path, struct span *ret) MUST_USE;

/* Paths are relative to the workspace; where another volume is mounted below it, that one is meant.
 * These return what operations of the file layer return. Links in the path are followed, the last
 * component's only where that is said. A link of one volume leads to no other. */
AWAITS int tool_file_stat(
	struct tool_file *f, struct span path, bool follow, struct fsal_attr *ret) MUST_USE;
/* Reads up to n bytes from the beginning; *ret_n. Follows. */
AWAITS int tool_file_read(
	struct tool_file *f, struct span path, void *p, size_t n, size_t *ret_n) MUST_USE;
AWAITS int tool_file_replace(struct tool_file *f, struct span path, struct span content) MUST_USE;
/* Entries in order of bytes of their names; at most LIMIT_FSAL_LIST_ENTRIES, -EOVERFLOW beyond. */
AWAITS int tool_file_list(
	struct tool_file *f, struct span path, struct fsal_entry **ret, size_t *ret_count) MUST_USE;
/* With all folders above it. 0 if it is there already. */
AWAITS int tool_file_mkdirs(struct tool_file *f, struct span path) MUST_USE;
AWAITS int tool_file_remove(struct tool_file *f, struct span path, bool recursive) MUST_USE;
