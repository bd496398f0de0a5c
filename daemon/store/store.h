/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Layer 3: the truth. Agents, executions and iterations change only by appending events; an event,
 * the changes of the projections that it causes, and its outbox entries are one transaction, which
 * is durable before store_append returns (decisions, [1]). The event rows alone are enough to
 * build the projections again, and store_check does so.
 *
 * A backend stands behind the interface: "sqlite:PATH" (write-ahead log, one writer that commits
 * the transactions of many fibers with one fsync, readers with connections of their own). Nothing
 * here promises more than PostgreSQL can keep too.
 *
 * Functions marked AWAITS park the fiber while offload threads do the work; on a plain thread
 * (tools, tests) they block it instead. Once a write is handed over it is carried through and its
 * outcome returned: cancellation and the deadline apply before that, so a caller is never unsure.
 * Reads give rows that live in the arena given, or nothing (store_row outcomes below).
 *
 * Errors: -ENOSPC disk full, -EBUSY another process holds the database, -EROFS opened read-only,
 * -EUCLEAN the database is damaged, -EAGAIN too many requests wait (back-pressure: say "busy"),
 * -E2BIG beyond a limit, -EINVAL a row that breaks a rule of this header.
 */
#pragma once

#include "daemon/rt/rt.h"

struct store;

enum store_outcome {
	/* The row is not where the caller believed it to be: other revision, exists already, or the
	 * state table does not allow the move. Nothing of the commit was done. */
	STORE_CONFLICT = 1,
	STORE_NOT_FOUND = 2,
};

enum { STORE_HASH_BYTES = 32 };

/* BLAKE2b-256 of a blob's bytes. */
struct store_hash {
	uint8_t bytes[STORE_HASH_BYTES];
};
struct store_hash store_hash_of(struct span bytes);

/* ---- life ---- */

/* The room that owns a noun owns its states; the store refuses every move that they forbid. The
 * tables must outlive the store. Status names are stored as text. */
struct store_states {
	const struct state_table *agent; /* upstream: active, paused, archived, failed */
	const struct state_table *execution; /* pending, running, completed, failed, cancelled */
	const struct state_table *iteration; /* running, success, failed, refining */
	const struct state_table *session; /* active, expired, revoked; NULL: none are written */
	const struct state_table *volume; /* daemon/volume's; NULL: none are written */
};

struct store_options {
	const char *url; /* "sqlite:/var/lib/aegis/aegis.db"; the folder must exist */
	struct store_states states;
	int reader_threads; /* 0: 2 */
	bool read_only; /* no migration, no writer; for tools beside a running daemon */
};

/* Opens or creates, checks integrity, migrates forward. -EPROTO with both numbers if the schema is
 * newer than this program; -EUCLEAN if it was damaged or if a migration that was applied has
 * another checksum than ours. */
AWAITS int store_open(const struct store_options *o, struct store **ret) MUST_USE;
AWAITS void store_close(struct store *s); /* after the last call has returned; NULL is allowed */

/* ---- rows ----
 * In a row to be written an empty span, a NULL, a zero or a nil id means: absent on create,
 * unchanged on update. Fields marked (store) are set by the store and ignored on the way in. */

struct store_agent {
	struct uuid id;
	struct span tenant_id;
	struct span name; /* unique among a tenant's agents that are not removed */
	struct span version;
	struct span description;
	struct span scope;
	struct span runtime; /* "python:3.11" */
	struct span labels; /* JSON object */
	struct span manifest_yaml; /* as sent; lists leave both manifests empty */
	struct span manifest_json; /* after defaults */
	struct store_hash manifest_hash; /* (store) of manifest_json */
	struct store_hash manifest_yaml_hash; /* (store) */
	int64_t timeout_ms;
	const char *status; /* a name of states.agent */
	int64_t revision; /* (store) from 1, +1 per change */
	int64_t created_ns; /* (store) wall clock, as are all times below */
	int64_t updated_ns; /* (store) */
	int64_t removed_ns; /* (store) when a final state was entered; 0 */
};

struct store_agent_version {
	struct span version;
	struct store_hash manifest_hash;
	struct span manifest_yaml;
	int64_t created_ns;
};

struct store_execution {
	struct uuid id;
	struct span tenant_id;
	struct uuid agent_id;
	struct span agent_version;
	struct store_hash manifest_hash; /* the manifest it runs under: a blob */
	struct uuid parent_execution_id;
	struct uuid workflow_execution_id;
	struct span input; /* JSON */
	struct span security_context_name;
	struct span initiating_user_sub;
	uint32_t container_uid;
	uint32_t container_gid;
	const char *status; /* a name of states.execution */
	uint32_t current_iteration;
	uint32_t max_iterations;
	struct span final_output;
	struct span error_message;
	struct span resume; /* JSON, meaningful to the flow only: what a restart needs to go on */
	int64_t revision; /* (store) */
	int64_t created_ns; /* (store) */
	int64_t started_ns; /* (store) when it first left its first state; 0 */
	int64_t completed_ns; /* (store) when a final state was entered; 0 */
};

struct store_iteration {
	struct uuid execution_id;
	uint32_t number; /* from 1 */
	const char *status; /* a name of states.iteration */
	struct span action;
	struct span output;
	struct span error; /* JSON */
	struct span validation_results; /* JSON */
	struct span resume; /* JSON, meaningful to the flow only */
	int64_t revision; /* (store) */
	int64_t started_ns; /* (store) */
	int64_t ended_ns; /* (store) when a final state was entered; 0 */
};

/* What is known of an SMCP session; the client's private key and its tokens never are. */
struct store_session {
	struct uuid id;
	struct span tenant_id;
	struct uuid execution_id; /* nil: a client from outside */
	struct uuid agent_id;
	struct span protocol; /* "smcp/v1" */
	struct span security_context; /* name */
	struct span subject;
	struct span workload_id;
	struct span public_key; /* base64 of 32 bytes */
	int64_t expires_ns;
	const char *status; /* a name of states.session */
	int64_t revision; /* (store) */
	int64_t created_ns; /* (store) */
	int64_t ended_ns; /* (store) when a final state was entered; 0 */
};

/* A volume that outlives executions. */
struct store_volume {
	struct uuid id;
	struct span tenant_id;
	struct span name; /* unique among a tenant's volumes that are not deleted */
	struct span storage_class; /* "persistent", "ephemeral" */
	int64_t size_limit_bytes; /* 0: none */
	int64_t size_limit_inodes; /* 0: none */
	struct uuid execution_id; /* who attached it last */
	struct span attachments; /* JSON array: who has it; empty: never attached */
	struct span error_message; /* why it failed */
	int64_t expires_ns; /* 0: never */
	const char *status; /* a name of states.volume */
	int64_t attached_ns; /* the last time; 0: never */
	int64_t detached_ns;
	int64_t revision; /* (store) */
	int64_t created_ns; /* (store) */
	int64_t deleted_ns; /* (store) when a final state was entered; 0 */
};

/* What happened. daemon/event knows the types and fills category, stage and message. */
struct store_event {
	struct uuid id; /* nil: drawn */
	struct span type; /* "ExecutionStarted" */
	struct span category; /* "execution" */
	struct span stage;
	struct span message;
	struct span tenant_id;
	struct uuid execution_id;
	struct uuid agent_id;
	struct uuid call_id;
	uint32_t iteration; /* 0: none */
	int64_t wall_ns; /* 0: now */
	struct span details; /* JSON object; empty means {} */
	uint64_t number; /* (store) place in the whole table: from 1, without gaps, in order of
			    commit */
	uint64_t sequence; /* (store) place in its stream: from 1, without gaps. The stream is the
			      execution, else the agent, else the daemon */
};

/* ---- writing ---- */

enum store_change_kind {
	STORE_AGENT_CREATE, /* adds the first version */
	STORE_AGENT_UPDATE, /* a manifest given adds a version, or replaces the one of that name */
	STORE_EXECUTION_CREATE,
	STORE_EXECUTION_UPDATE,
	STORE_ITERATION_CREATE,
	STORE_ITERATION_UPDATE,
	STORE_SESSION_CREATE,
	STORE_SESSION_UPDATE,
	STORE_EXECUTION_REMOVE, /* the row of that id and its iterations, if it has ended; its
				   events stay */
	STORE_VOLUME_CREATE,
	STORE_VOLUME_UPDATE,
};

struct store_change {
	enum store_change_kind kind;
	size_t event; /* index of the event that causes it */
	int64_t expect_revision; /* of an update; 0: whichever, the state table alone decides */
	union {
		const struct store_agent *agent;
		const struct store_execution *execution;
		const struct store_iteration *iteration;
		const struct store_session *session;
		const struct store_volume *volume;
	};
};

/* An effect outside of the store that must follow: its performer reads store_outbox_due. */
struct store_outbox_entry {
	uint64_t id; /* (store) */
	struct span topic; /* "webhook" */
	struct span payload; /* JSON */
	uint64_t event_number; /* (store) of the commit's first event */
	uint32_t attempts; /* (store) */
	int64_t due_ns; /* 0: now */
};

enum { STORE_REFUSAL_BYTES = 256 };

struct store_commit {
	struct store_event *events; /* at least one; ids, times, numbers are filled in */
	size_t event_count;
	const struct store_change *changes;
	size_t change_count;
	const struct store_outbox_entry *outbox;
	size_t outbox_count;
	const struct span *blobs; /* kept by hash; those that exist cost nothing */
	size_t blob_count;
	char refusal[STORE_REFUSAL_BYTES]; /* out, with STORE_CONFLICT or STORE_NOT_FOUND: why */
};

AWAITS int store_append(struct store *s, struct store_commit *c, int64_t deadline_ns) MUST_USE;

/* Called after each durable group of commits, before they are acknowledged, on the thread that
 * writes: events in order of their numbers, without gaps from call to call. Must not block. One
 * hook; set it before the first append. */
typedef void (*store_hook)(void *ctx, const struct store_event *events, size_t count);
void store_set_hook(struct store *s, store_hook fn, void *ctx);

/* ---- reading ---- */

AWAITS int store_agent_get(struct store *s, struct uuid id, struct arena *a,
	struct store_agent *ret, int64_t deadline_ns) MUST_USE;
/* The one of that name that is not removed. */
AWAITS int store_agent_find(struct store *s, struct span tenant_id, struct span name,
	struct arena *a, struct store_agent *ret, int64_t deadline_ns) MUST_USE;
AWAITS int store_execution_get(struct store *s, struct uuid id, struct arena *a,
	struct store_execution *ret, int64_t deadline_ns) MUST_USE;

struct store_page {
	uint32_t limit; /* 0: 100; at most LIMIT_STORE_PAGE */
	uint32_t offset;
};

struct store_agent_query {
	struct span tenant_id; /* empty: every tenant */
	const char *status; /* NULL: every status */
	bool with_removed;
	struct store_page page;
};
struct store_agents {
	struct store_agent *items; /* newest first */
	size_t count;
};
AWAITS int store_agent_list(struct store *s, const struct store_agent_query *q, struct arena *a,
	struct store_agents *ret, int64_t deadline_ns) MUST_USE;

struct store_agent_versions {
	struct store_agent_version *items; /* newest first */
	size_t count;
};
AWAITS int store_agent_version_list(struct store *s, struct uuid agent_id, struct store_page page,
	struct arena *a, struct store_agent_versions *ret, int64_t deadline_ns) MUST_USE;

struct store_execution_query {
	struct span tenant_id;
	struct uuid agent_id; /* nil: every agent, and so on */
	struct uuid parent_execution_id;
	const char *status;
	bool unfinished; /* only those not in a final state: what a restart takes up */
	bool oldest_first;
	struct store_page page;
};
struct store_executions {
	struct store_execution *items; /* newest first, unless asked otherwise */
	size_t count;
};
AWAITS int store_execution_list(struct store *s, const struct store_execution_query *q,
	struct arena *a, struct store_executions *ret, int64_t deadline_ns) MUST_USE;

struct store_iterations {
	struct store_iteration *items; /* in order of their numbers */
	size_t count;
};
AWAITS int store_iteration_list(struct store *s, struct uuid execution_id, struct arena *a,
	struct store_iterations *ret, int64_t deadline_ns) MUST_USE;

struct store_session_query {
	struct uuid execution_id; /* nil: of every execution, and of none */
	bool unfinished; /* only those not in a final state */
	struct store_page page;
};
struct store_sessions {
	struct store_session *items; /* newest first */
	size_t count;
};
AWAITS int store_session_get(struct store *s, struct uuid id, struct arena *a,
	struct store_session *ret, int64_t deadline_ns) MUST_USE;
AWAITS int store_session_list(struct store *s, const struct store_session_query *q, struct arena *a,
	struct store_sessions *ret, int64_t deadline_ns) MUST_USE;

struct store_volume_query {
	struct span tenant_id; /* empty: every tenant */
	struct uuid execution_id; /* who attached it last; nil: whoever */
	const char *status; /* NULL: every status */
	bool with_deleted;
	int64_t expired_by_ns; /* only those that expire, and not after this; 0: all */
	struct store_page page;
};
struct store_volumes {
	struct store_volume *items; /* newest first */
	size_t count;
};
AWAITS int store_volume_get(struct store *s, struct uuid id, struct arena *a,
	struct store_volume *ret, int64_t deadline_ns) MUST_USE;
/* The one of that name that is not deleted. */
AWAITS int store_volume_find(struct store *s, struct span tenant_id, struct span name,
	struct arena *a, struct store_volume *ret, int64_t deadline_ns) MUST_USE;
AWAITS int store_volume_list(struct store *s, const struct store_volume_query *q, struct arena *a,
	struct store_volumes *ret, int64_t deadline_ns) MUST_USE;

struct store_event_query {
	struct uuid execution_id; /* nil: of every execution */
	struct uuid agent_id;
	uint64_t after_number; /* strictly greater */
	uint64_t after_sequence; /* with execution_id */
	bool newest_first; /* the last `limit`; the order of the answer is reversed too */
	uint32_t limit; /* 0: 100; at most LIMIT_STORE_PAGE */
};
struct store_events {
	struct store_event *items;
	size_t count;
	uint64_t head; /* number of the newest event in the table when this was read */
};
/* The answer may hold fewer than `limit` rows of which there are more, when they are large
 * (LIMIT_STORE_READ_BYTES); it is empty only if there are none. */
AWAITS int store_event_list(struct store *s, const struct store_event_query *q, struct arena *a,
	struct store_events *ret, int64_t deadline_ns) MUST_USE;
AWAITS int store_event_get(struct store *s, uint64_t number, struct arena *a,
	struct store_event *ret, int64_t deadline_ns) MUST_USE;

/* ---- blobs by hash: policy sets, manifests ---- */

AWAITS int store_blob_put(
	struct store *s, struct span bytes, struct store_hash *ret, int64_t deadline_ns) MUST_USE;
AWAITS int store_blob_get(struct store *s, const struct store_hash *hash, struct arena *a,
	struct span *ret, int64_t deadline_ns) MUST_USE;

/* ---- outbox ---- */

struct store_outbox {
	struct store_outbox_entry *items; /* in order of their ids */
	size_t count;
};
AWAITS int store_outbox_due(struct store *s, struct span topic, int64_t now_ns, uint32_t limit,
	struct arena *a, struct store_outbox *ret, int64_t deadline_ns) MUST_USE;
AWAITS int store_outbox_done(struct store *s, uint64_t id, int64_t deadline_ns) MUST_USE;
/* Counts an attempt and puts the entry off. */
AWAITS int store_outbox_retry(
	struct store *s, uint64_t id, int64_t due_ns, int64_t deadline_ns) MUST_USE;

/* ---- keys: what is known of a credential, never the credential ---- */

struct store_key {
	struct span kind; /* "bearer" */
	struct span name; /* unique within the kind */
	struct span hash; /* of a secret key, or the bytes of a public one */
	struct span metadata; /* JSON object: scopes, owner, ... */
	int64_t created_ns; /* (store) at the first put */
	int64_t expires_ns; /* 0: never */
	bool revoked;
};
struct store_keys {
	struct store_key *items; /* by name */
	size_t count;
};
AWAITS int store_key_put(struct store *s, const struct store_key *k, int64_t deadline_ns) MUST_USE;
AWAITS int store_key_get(struct store *s, struct span kind, struct span name, struct arena *a,
	struct store_key *ret, int64_t deadline_ns) MUST_USE;
AWAITS int store_key_list(struct store *s, struct span kind, struct arena *a,
	struct store_keys *ret, int64_t deadline_ns) MUST_USE;
AWAITS int store_key_remove(
	struct store *s, struct span kind, struct span name, int64_t deadline_ns) MUST_USE;

/* ---- small daemon state ---- */

/* value.p NULL removes the key. */
AWAITS int store_kv_put(
	struct store *s, struct span key, struct span value, int64_t deadline_ns) MUST_USE;
AWAITS int store_kv_get(struct store *s, struct span key, struct arena *a, struct span *ret,
	int64_t deadline_ns) MUST_USE;

/* ---- care ---- */

struct store_stats {
	uint64_t commits; /* acknowledged writes */
	uint64_t groups; /* transactions of the backend, each one fsync */
	uint64_t events; /* number of the newest event */
};
struct store_stats store_stats(const struct store *s);

/* Full integrity check of the file, then builds the projections from the event rows and compares.
 * 0 if all agree; -EUCLEAN with the first difference in the message. Reads everything. */
AWAITS int store_check(struct store *s, int64_t deadline_ns) MUST_USE;
