/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Layer 3: domain events. A flow describes what happened as a struct store_event of one of the
 * types below, publishes it together with the changes it causes, and from then on it is in the
 * store, on its way to every subscriber in order, and soon in the audit journal, once.
 *
 * Type names, categories and stages are upstream's (domain/events.rs, event_bus.rs); each type
 * lists the members that its `details` must have.
 */
#pragma once

#include "daemon/audit/audit.h"
#include "daemon/store/store.h"

/* ---- types ---- */

enum event_type {
	/* agent */
	EVENT_AGENT_DEPLOYED,
	EVENT_AGENT_UPDATED,
	EVENT_AGENT_PAUSED,
	EVENT_AGENT_RESUMED,
	EVENT_AGENT_REMOVED,
	EVENT_AGENT_FAILED,
	/* execution */
	EVENT_EXECUTION_STARTED,
	EVENT_EXECUTION_COMPLETED,
	EVENT_EXECUTION_FAILED,
	EVENT_EXECUTION_CANCELLED,
	EVENT_EXECUTION_TIMED_OUT,
	EVENT_EXECUTION_POLICY_CHANGED, /* ours: it goes on under another policy set */
	EVENT_EXECUTION_REMOVED, /* ours: from here on only its events are known */
	EVENT_ITERATION_STARTED,
	EVENT_ITERATION_OUTPUT,
	EVENT_ITERATION_COMPLETED,
	EVENT_ITERATION_FAILED,
	EVENT_REFINEMENT_APPLIED,
	EVENT_VALIDATION_PERFORMED, /* "GradientValidationPerformed" */
	EVENT_CONSOLE_OUTPUT,
	EVENT_LLM_INTERACTION,
	EVENT_LLM_CALL_FAILED,
	EVENT_INSTANCE_SPAWNED,
	EVENT_INSTANCE_TERMINATED,
	/* tools; "InvocationRequested", ... */
	EVENT_TOOL_REQUESTED,
	EVENT_TOOL_STARTED,
	EVENT_TOOL_COMPLETED,
	EVENT_TOOL_FAILED,
	EVENT_TOOL_DENIED, /* "ToolPolicyViolation" */
	/* tool servers; "ServerStarted", ... */
	EVENT_TOOL_SERVER_STARTED,
	EVENT_TOOL_SERVER_STOPPED,
	EVENT_TOOL_SERVER_FAILED,
	EVENT_TOOL_SERVER_UNHEALTHY,
	/* commands in the sandbox */
	EVENT_COMMAND_STARTED,
	EVENT_COMMAND_COMPLETED,
	EVENT_COMMAND_FAILED,
	EVENT_COMMAND_DENIED, /* "CommandPolicyViolation" */
	/* policy */
	EVENT_POLICY_VIOLATION_BLOCKED,
	/* SMCP */
	EVENT_SMCP_SESSION_CREATED, /* "SessionCreated" */
	EVENT_SMCP_ATTESTED, /* "AttestationSucceeded" */
	EVENT_SMCP_ATTESTATION_FAILED,
	EVENT_SMCP_CALL_AUTHORIZED, /* "ToolCallAuthorized" */
	EVENT_SMCP_SIGNATURE_FAILED, /* "SignatureVerificationFailed" */
	EVENT_SMCP_TOKEN_EXPIRED, /* "SecurityTokenExpired" */
	EVENT_SMCP_TOKEN_REFRESHED, /* "SecurityTokenRefreshed" */
	EVENT_SMCP_SESSION_REVOKED, /* "SessionRevoked" */
	EVENT_SMCP_SESSION_EXPIRED, /* "SessionExpired" */
	/* volumes */
	EVENT_VOLUME_CREATING, /* ours, as are all without a name of upstream's */
	EVENT_VOLUME_CREATED,
	EVENT_VOLUME_RENAMED,
	EVENT_VOLUME_ATTACHED,
	EVENT_VOLUME_DETACHED,
	EVENT_VOLUME_EXPIRED,
	EVENT_VOLUME_DELETING,
	EVENT_VOLUME_DELETED,
	EVENT_VOLUME_FAILED,
	EVENT_VOLUME_QUOTA_EXCEEDED,
	EVENT_TYPE_COUNT,
};

struct event_info {
	const char *name; /* "ExecutionStarted" */
	const char *snake; /* "execution_started" */
	const char *category; /* "execution" */
	const char *stage;
	const char *message; /* template: "Iteration {iteration_number} started: {action}" */
	const char *const *details; /* members that must be there, NULL-terminated */
};
const struct event_info *event_info(enum event_type t);
/* By either name; -1 if unknown. */
int event_type_parse(struct span name);

/* ---- making ---- */

/* An event of type t; nil ids and iteration 0 where there is none. Set wall_ns, call_id, details
 * and, to say more than the type's template does, message. */
struct store_event event_of(
	enum event_type t, struct uuid execution_id, struct uuid agent_id, uint32_t iteration);

/* ---- the bus ---- */

struct event_bus;

struct event_bus_options {
	struct store *store;
	struct journal *journal; /* NULL: events are not journaled (tests) */
	int64_t checkpoint_ms; /* a head is signed this long after the last, if there is anything
				  new; 0: never */
};

/* Takes the store's hook. -EUCLEAN if the journal knows more events than the store has: the store
 * was replaced by an older copy, and new events would take the numbers of journaled ones. */
AWAITS int event_bus_start(const struct event_bus_options *o, struct event_bus **ret) MUST_USE;
/* On the worker that started it, when subscriptions are gone and nobody publishes any more.
 * Journals what is committed, unless the journal cannot; NULL is allowed. */
AWAITS void event_bus_stop(struct event_bus *b);

/*
 * store_append, after checking that each event has a known type and the details of that type, and
 * after filling in category, stage and message. -EINVAL with what is missing; else as
 * store_append, its positive outcomes too. On any worker.
 */
AWAITS int event_publish(struct event_bus *b, struct store_commit *c, int64_t deadline_ns) MUST_USE;

/*
 * For what is too much for the store: completes the event as event_publish does, and appends it to
 * the journal alone, as a record of source AUDIT_CALL. It is durable when this returns 0; it has no
 * row, no number and no subscriber. Those that come while one write is under way share the next,
 * and its sync. With a message its details are taken as they are: they are valid JSON and have what
 * the type needs. -ENOTSUP without a journal; else as journal_append. On any worker.
 */
AWAITS int event_record(struct event_bus *b, struct store_event *e, int64_t deadline_ns) MUST_USE;

/* Waits until the journal holds every event up to `number`, durably. */
AWAITS int event_journaled(struct event_bus *b, uint64_t number, int64_t deadline_ns) MUST_USE;

/* Number of the newest event in the journal; the store's head minus this is its lag. */
uint64_t event_journaled_through(const struct event_bus *b);

/* ---- subscribing ---- */

struct event_filter {
	struct uuid execution_id; /* nil: of every execution */
	struct uuid agent_id;
	uint64_t after_number; /* begin behind this; UINT64_MAX: only what comes from now on */
};

/*
 * A place in the order of events. Recent events come from memory that all subscribers of a worker
 * share and whose size is fixed; one that has fallen behind reads the store from its own last
 * number. So a slow one costs nothing, delays nobody, and misses nothing. It belongs to the worker
 * that made it.
 */
struct event_sub;
int event_subscribe(
	struct event_bus *b, const struct event_filter *f, struct event_sub **ret) MUST_USE;
void event_unsubscribe(struct event_sub *s); /* NULL is allowed */

/* The next event that matches, copied into the arena. -ETIME if none comes in time. */
AWAITS int event_next(struct event_sub *s, struct arena *a, struct store_event *ret,
	int64_t deadline_ns) MUST_USE;

/* ---- as JSON and protobuf ---- */

enum event_form {
	EVENT_ACTIVITY, /* /events, logs: type, event_type, category, timestamp, ids, iteration,
			   stage, message, details, data, sequence */
	EVENT_STREAM, /* /stream: the same, and the member of aegis.runtime.v1.ExecutionEvent
			 ("execution_started": {...}) of the types that have one */
};

/* One object that every known reader accepts. */
void event_json(struct json_writer *w, const struct store_event *e, enum event_form form);

enum event_pack_outcome {
	EVENT_NO_MESSAGE = 1, /* the type has no member in aegis.runtime.v1.ExecutionEvent */
};
/* The serialised aegis.runtime.v1.ExecutionEvent. */
int event_pack(const struct store_event *e, struct buf *b) MUST_USE;
