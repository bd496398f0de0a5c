/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Inside of daemon/execution. An execution in memory is a `flow`; while it runs, two fibers of it
 * exist at least: its main fiber, which waits for the end, a cancellation or the deadline, and the
 * work, which goes from iteration to iteration. An iteration has a group of its own for its
 * conversation, the watch over its sandbox and its log.
 *
 * Who ends what: the work returns early when its group is cancelled and leaves the sandbox to the
 * main fiber, which alone decides whether it is ended (cancel, timeout) or left alone (the daemon
 * stops).
 */
#pragma once

#include "daemon/execution/execution.h"
#include "daemon/net/net.h"

enum {
	ID_TEXT_BYTES = UUID_TEXT_BYTES,
	REASON_BYTES = 1024,
	SANDBOX_DEADLINE_MS = 60 * 1000, /* of one order to the driver */
	PUBLISH_DEADLINE_MS = 60 * 1000,
	LAST_WORDS_MS = 10 * 1000, /* for an agent to end after it got its final answer */
	DISPATCH_SLACK_MS = 15 * 1000, /* beyond a command's own timeout, for its report */
	FULL_VOLUMES = 32,
};

/* ---- what went wrong with an iteration ---- */

struct failure {
	const char *kind; /* NULL: nothing. "agent", "llm", "llm_timeout", "iteration_timeout",
			     "interrupted", "rounds", "sandbox", "internal" */
	struct span message;
	bool fatal; /* another iteration would not help */
};

/* An earlier iteration, as the next one is told about it. */
struct attempt {
	uint32_t number;
	struct span output;
	struct span error;
	struct span feedback;
};

/* ---- flows ---- */

struct iteration;

/* A volume as the execution sees it; or a directory of its own, if no volume is named for
 * /workspace. */
struct flow_mount {
	struct flow *f;
	struct span path; /* "/workspace", "/workspace/data" */
	struct uuid id; /* of its directory: the volume's, or the execution's */
	bool lent; /* a volume */
	bool read_only;
	struct fsal_quota quota;
	struct fsal_volume *volume;
	struct fsal_attachment *attachment;
};

/* See flow_files.c. */
struct workspace {
	bool open;
	struct flow_mount mounts[1 + LIMIT_VOLUME_MOUNTS]; /* the first is /workspace itself */
	size_t count;
	int fd; /* of the directory of /workspace */
	struct nfs_server *server; /* NULL: no sandbox is served */
	int listener; /* until the server has it */
	struct group serving;
};

struct flow {
	struct list link; /* executions.queue or executions.active */
	struct executions *x;
	int refs;
	struct arena *arena;
	struct uuid id, agent_id;
	char id_text[ID_TEXT_BYTES], agent_text[ID_TEXT_BYTES];
	struct span tenant;
	const struct agent_manifest *manifest;
	struct policy_snapshot *policy; /* what `rules` were made from; NULL: read from the store */
	struct rule_set *rules;
	struct rate_state *rate;
	bool renewing; /* its rules; others wait in `renewed` */
	struct waitq renewed;
	uint8_t public_key[32], signing_key[64];
	char public_key_text[64]; /* base64 */

	int state; /* execution_states */
	uint32_t iteration; /* the newest that was begun; 0 */
	bool resumed; /* by executions_start: the newest iteration may be under way */
	int64_t deadline_ns; /* of the whole; DEADLINE_NONE until it runs */
	int64_t timeout_ns;
	const struct json *input; /* may be NULL */
	struct span intent;
	const struct json *overrides; /* may be NULL */
	struct attempt *attempts;
	size_t attempt_count;

	bool running; /* counts among executions.running */
	struct group work;
	bool work_done;
	int work_result;
	struct waitq changed; /* the main fiber waits here */
	struct waitq ended; /* and others here for its end */
	bool finished;
	bool cancel_asked, cancel_force;
	char end_reason[REASON_BYTES]; /* of a cancellation, or what broke */

	struct iteration *now; /* NULL between iterations */
	struct sandbox *sandbox; /* NULL: none known */
	struct workspace workspace; /* open while there is an iteration or a sandbox */
};

struct executions {
	struct execution_deps deps;
	struct list queue; /* pending flows, oldest first */
	struct list active;
	struct map by_id; /* 16 bytes -> struct flow */
	size_t queued, running;
	struct group flows;
	struct waitq wake; /* the service fiber waits here */
	struct waitq stopped_wake;
	bool stopping, stopped;
	struct http_server *server; /* the dispatch gateway of all sandboxes */
	/* Volumes of which was said of late that they are full: see flow_quota.c. */
	struct full_volume {
		char text[UUID_TEXT_BYTES]; /* its id */
		int64_t said_ns;
	} full[FULL_VOLUMES];
	size_t full_next;
};

struct flow *flow_find(struct executions *x, struct uuid id); /* a reference, or NULL */
struct flow *flow_ref(struct flow *f);
struct flow *flow_unref(struct flow *f); /* NULL */

/* A flow for this row; not in any list yet. The manifest must parse (-EINVAL). */
AWAITS int flow_load(
	struct executions *x, const struct store_execution *row, struct flow **ret) MUST_USE;
/* Gives a queued flow its fiber. -EAGAIN. */
int flow_begin(struct executions *x, struct flow *f) MUST_USE;
void flow_main(void *flow);
void flow_work(void *flow);

/* Ends the sandbox of the flow, and any other that bears its id. */
/* Negative `grace_ns`: nobody serves their files any more. */
AWAITS int flow_end_sandboxes(struct flow *f, int64_t grace_ns) MUST_USE;
/* Kills and releases one that only the driver knows. */
AWAITS int end_entry(
	struct sandbox_driver *d, const struct sandbox_entry *e, int64_t deadline_ns) MUST_USE;

/* ---- rules ---- */

/* The set that stands in the store under this hash, or, if it is empty, a set by the manifest and
 * the node's policies. -EINVAL. */
AWAITS int flow_rules_make(struct flow *f, struct span hash) MUST_USE;
/* Goes over to the node's present policies, on record and with all that decides by them, if these
 * are others than it has. An error means that it must not go on. */
AWAITS int flow_rules_renew(struct flow *f) MUST_USE;

/* ---- workspaces ---- */

/* Opens it, if need be, for this iteration's work. */
AWAITS int flow_files_open(struct flow *f, uint32_t iteration) MUST_USE;
/* Serves it to the sandbox: the serve() of struct sandbox_files; and to one that was adopted. */
AWAITS int flow_files_serve(void *flow, int listener, uint32_t uid) MUST_USE;
AWAITS int flow_files_serve_again(struct flow *f) MUST_USE;
AWAITS void flow_files_close(struct flow *f); /* open or not */
/* Below /workspace there are count - 1 mounts; where one is, relative to /workspace. */
struct span flow_mount_place(const struct flow_mount *m);
/* Who works at the moment, and by which rules, at all of them. */
int flow_files_set_origin(struct flow *f, uint32_t iteration, struct span call_id) MUST_USE;
void flow_files_set_rules(struct flow *f);

/* Finds out what the execution works on, makes the volumes that are to last as long as it does, and
 * attaches them and the ones that its manifest names: fills path, id, read_only and quota of the
 * mounts. -EBUSY names who has one. */
AWAITS int flow_volumes_attach(struct flow *f) MUST_USE;
/* When the execution is over and nothing of it runs. */
AWAITS void flow_volumes_detach(struct flow *f);
/* The observer of all mounts; ctx is the struct executions. */
AWAITS void flow_files_observe(void *executions, const struct fsal_record *r);
/* That execution has ended on record, or never was. */
AWAITS int flow_is_over(struct executions *x, struct uuid id, bool *ret) MUST_USE;

/* ---- iterations ---- */

/* The one exchange between a sandbox's agent and its conversation (gateway.c). */
struct talk {
	char request_id[LIMIT_REQUEST_ID_BYTES]; /* of the message that is answered; "": none */
	bool open; /* a message was taken and has no answer yet */
	bool restored; /* nobody has asked since the restart */
	bool closed; /* the iteration is over */
	bool delivered; /* the answer was fetched */
	int status; /* of the answer; 0: none yet */
	struct buf answer;
	uint64_t turn; /* counts messages taken */
	struct waitq wake;
};

/* A command that was sent into the sandbox and has not come back. */
struct outstanding {
	struct uuid id; /* call id and dispatch id */
	bool active;
	bool arrived;
	uint64_t identity; /* of its cgroup; 0: not known (yet) */
	struct span program; /* argv[0], in the iteration's arena */
	int64_t lease_ends_ns; /* set before its dispatch, whenever the lease is opened */
	bool again; /* it was dispatched by a former daemon, and is taken up */
	bool abandoned; /* it was dispatched by a former daemon, and may not go on */
	bool ruled; /* it has rules of its own */
	struct tool_dispatch_result result; /* in the iteration's arena */
};

struct conversation;

struct iteration {
	struct flow *f;
	uint32_t number;
	int64_t deadline_ns;
	struct arena *arena;
	bool resumed;
	bool own_program;

	struct tool_context tools;
	struct tool_mount mounts[LIMIT_VOLUME_MOUNTS];
	uint64_t kernel_by; /* generation of the set whose rules the kernel has of it; 0: none */

	struct http_listener *listener;
	struct group group;
	struct waitq changed; /* the work waits here */
	struct talk talk;
	int letters; /* messages inside execution_dispatch, and others who hold the iteration */
	struct conversation *conversation; /* NULL: none was begun */
	struct outstanding command;
	struct rule_calls calls; /* what the rules that the kernel decides by say of calls */
	struct waitq command_wake;
	struct list done_dispatches; /* struct done_dispatch */

	bool spawned; /* the sandbox: recorded as started */
	bool ended; /* the sandbox */
	bool ending_recorded;
	struct sandbox_ending ending;
	int64_t last_words_ns; /* when the final answer was fetched; 0 */
	struct buf log;

	bool answered; /* a final answer of the model is there */
	struct span answer;
	bool program_reported;
	int exit_code;
	struct span output, errors; /* of the agent's own program */
	struct failure failure;
};

struct done_dispatch {
	struct list link;
	struct uuid id;
};

/* Runs the next iteration, or the one that is under way, to its recorded end. 0: another one
 * follows; ITERATION_WAS_LAST: the end of the execution is recorded with it. -ECANCELED leaves the
 * sandbox to the main fiber. */
enum { ITERATION_WAS_LAST = 1 };
AWAITS int iteration_run(struct flow *f) MUST_USE;

/* Opens the workspace, starts the sandbox or adopts it, and lets its agent in. */
AWAITS int iteration_open(struct iteration *it) MUST_USE;
/* Hands the flow's rules to the tools, the files and the kernel, for the iteration. */
AWAITS int iteration_take_rules(struct iteration *it) MUST_USE;
/* Gives the command that is out, whose cgroup is known, the rules of its own that policy has for
 * it, if any: a lease. Does nothing more when that command is over. */
AWAITS int iteration_lease(struct iteration *it) MUST_USE;
/* Ends the sandbox, if need be, and records how it ended. */
AWAITS int iteration_close(struct iteration *it) MUST_USE;
/* Validates and records the end. As iteration_run. */
AWAITS int iteration_conclude(struct iteration *it) MUST_USE;

/* Remembers an attempt for the next ones; texts are copied and cut. */
int flow_add_attempt(struct flow *f, const struct attempt *a) MUST_USE;

/* Ends the conversation's part of an iteration. `message` is copied. */
void iteration_fail(struct iteration *it, const char *kind, bool fatal, struct span message);

/* ---- the gateway ---- */

void gateway_handle(void *executions, struct http_request *q, struct http_reply *p);
void talk_init(struct talk *t);
void talk_fini(struct talk *t);
/* Answers the message that is open, or the next repetition of it. */
void talk_answer(struct talk *t, int status, struct span body);
void talk_error(struct talk *t, int status, struct span message);
void talk_close(struct talk *t, struct span message);

/* ---- conversations ---- */

struct started_call { /* a call that began before the restart and has no result */
	bool is;
	struct uuid id;
	bool dispatched;
};

struct conversation {
	struct iteration *it;
	char request_id[LIMIT_REQUEST_ID_BYTES]; /* of the generate */
	struct llm_message *messages; /* LIMIT_EXECUTION_MESSAGES */
	size_t count;
	size_t prompt_count; /* messages that the generate brought */
	uint32_t rounds; /* turns of the model that are recorded */
	uint32_t tool_calls; /* answered */
	bool done; /* the last message is the final answer */
	bool repeated; /* the next model call may have been made before the restart */
	struct started_call started;
};

struct message;
/* From a generate message, which was read from `json`. -EINVAL with the reason. */
int conversation_begin(struct iteration *it, const struct json *json, const struct message *message,
	struct span request_id) MUST_USE;
int conversation_spawn(struct conversation *c) MUST_USE;
void conversation_put_final(struct conversation *c); /* as the answer of the talk */
int conversation_add(struct conversation *c, const struct llm_message *m) MUST_USE;
struct conversation *conversation_new(struct iteration *it);

/* Answers call `index` of the last turn and adds the tool message. */
AWAITS int call_answer(
	struct conversation *c, const struct llm_tool_call *call, size_t index) MUST_USE;

/* tool_dispatch_fn of an iteration. */
AWAITS int command_dispatch(void *iteration, struct span call_id, const struct tool_dispatch *d,
	struct arena *a, struct tool_dispatch_result *ret);
/* Ends the command that a former daemon dispatched, with its rights and all that is left of it. */
AWAITS int command_abandon(struct iteration *it) MUST_USE;

/* ---- rebuilding after a restart: pure ---- */

/* Reads one event of the iteration into its state. -EUCLEAN if it does not fit. */
int rebuild_event(struct iteration *it, const struct store_event *e) MUST_USE;

/* ---- records ---- */

enum { RECORD_EVENTS = 8, RECORD_CHANGES = 4 };

/* One commit in the making. */
struct record {
	struct flow *f;
	struct arena *arena;
	struct store_event events[RECORD_EVENTS];
	size_t event_count;
	struct store_change changes[RECORD_CHANGES];
	size_t change_count;
	struct store_execution execution;
	struct store_iteration iteration;
	struct span blobs[2];
	size_t blob_count;
	struct buf details; /* of the event that is being written */
	struct json_writer w;
};

int record_begin(struct flow *f, struct record *r) MUST_USE;
void record_fini(struct record *r);
/* Opens the details object of a new event; write members to r->w; record_event_end closes it. */
struct store_event *record_event(struct record *r, enum event_type t, uint32_t iteration);
int record_event_end(struct record *r) MUST_USE;
/* The row changes with the last event; fill r->execution or r->iteration before. */
void record_change(struct record *r, enum store_change_kind kind);
/* The text of the rules goes along, for whoever decides again what was decided by them. */
int record_rules(struct record *r, const struct rule_set *rules) MUST_USE;
AWAITS int record_publish(struct record *r) MUST_USE;

/* ---- prompts and environments ---- */

int prompt_render(
	struct flow *f, uint32_t number, bool with_history, struct arena *a, char **ret) MUST_USE;
/* What templates are filled in with. */
int prompt_context(
	struct flow *f, uint32_t number, struct arena *a, const struct json **ret) MUST_USE;
int prompt_history(struct flow *f, struct arena *a, struct span *ret) MUST_USE; /* JSON */
int environment_make(struct flow *f, uint32_t number, struct arena *a, char ***ret) MUST_USE;

/* ---- validation ---- */

struct verdict {
	const struct agent_validator *validator;
	bool ran; /* otherwise `reason` says why not */
	bool passed;
	double score;
	struct span reason;
};
struct validation {
	struct verdict *verdicts;
	size_t count;
	double score; /* the lowest of those that ran; 1 if none did */
	bool passed;
};
struct evidence {
	int exit_code;
	struct span output, errors;
};
/* Pure. -ENOMEM. */
int validate(const struct agent_manifest *m, const struct evidence *e, struct arena *a,
	struct validation *ret) MUST_USE;
void validation_put(struct json_writer *w, const struct validation *v);
/* The refinement message for the next attempt. */
int validation_feedback(
	const struct validation *v, uint32_t number, struct arena *a, struct span *ret) MUST_USE;

/* ---- files ---- */

AWAITS void files_snapshot(struct iteration *it);
