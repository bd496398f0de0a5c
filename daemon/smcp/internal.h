/* SPDX-License-Identifier: AGPL-3.0-only */
/* Inside of daemon/smcp. Everything here runs on the service's home worker. */
#pragma once

#include "daemon/smcp/smcp.h"

enum {
	KEY_LIFE_S = 90 * 24 * 3600, /* specification, section 7.4 */
	KEY_GRACE_S = 24 * 3600, /* a replaced key still verifies for so long */
	TOKENS_PER_SESSION = 4, /* that are known without looking at their signature again */
	REPORTS_PER_MINUTE = 20, /* failures of one session that go on record */
	ATTESTS_PER_MINUTE = 30, /* of one execution, failures included */
	ATTESTS_KEPT = 1024,
	HORIZON_STEP_S = 5,
	CALL_IDS = 64, /* asked of the kernel at a time */
	PUBLISH_MS = 60 * 1000,
};

/* ---- keys ---- */

struct keyring {
	struct smcp_key *keys[LIMIT_SMCP_KEYS]; /* oldest first */
	int64_t made_s[LIMIT_SMCP_KEYS];
	size_t count;
};

/* Reads the directory; makes the keys of either algorithm that are missing or older than life_s (0:
 * all); removes those that were replaced more than KEY_GRACE_S ago. Blocking: for an offload
 * thread. On failure *r is as it was. */
struct keyring_errand {
	struct keyring ring;
	const char *directory;
	const char *own_key_path; /* may be NULL */
	int64_t now_s;
	int64_t life_s;
};
int keyring_refresh(void *keyring_errand);
void keyring_fini(struct keyring *r);
const struct smcp_key *keyring_newest(const struct keyring *r, enum smcp_algorithm a);

/* ---- sessions ---- */

struct token_note {
	struct store_hash hash;
	int64_t expires_s;
	struct session *session; /* NULL: free */
};

/* What a client from outside may do. Calls under way hold it. */
struct grant {
	int refs;
	struct smcp_rules *rules; /* a reference */
	struct fsal_volume *volume; /* these two are NULL until a file tool is called */
	struct fsal_attachment *workspace;
};

struct session {
	struct smcp_service *s;
	int refs; /* the maps hold one together */
	struct uuid id;
	char id_text[UUID_TEXT_BYTES];
	enum smcp_protocol protocol;
	struct uuid execution_id, agent_id; /* nil: a client from outside */
	char *scope, *subject, *workload_id;
	uint8_t public_key[SMCP_PUBLIC_KEY_BYTES];
	char public_key_text[48];
	int state; /* smcp_session_states */
	int64_t expires_s;
	int64_t floor_s; /* envelopes stamped at or before it are refused */
	int64_t horizon_s; /* the same for the next life of the daemon, as persisted */
	struct grant *grant; /* of a client from outside; NULL before its first call after a
				restart */
	struct token_note notes[TOKENS_PER_SESSION];
	size_t next_note;
	int64_t reports_since_ns;
	int reports;
};

/* An attestation that was asked for, so that a workload cannot fill the store with them. */
struct attest_note {
	struct uuid execution_id;
	int64_t at_ns;
};

struct smcp_service {
	struct smcp_service_options o;
	struct worker *home;
	int64_t start_s;
	/* No later second than this has accepted an envelope, as persisted [12]. */
	int64_t clock_s;
	bool clock_busy;
	struct waitq clock_kept;
	struct keyring ring;
	struct smcp_replay *replay;
	struct attest_note attests[ATTESTS_KEPT]; /* a ring */
	size_t next_attest;
	uint8_t random[CALL_IDS][16]; /* of calls to come; names, no secrets */
	size_t random_left;
	uint64_t rules_serial; /* counts changes of security contexts and policies */
	struct map by_id; /* 16 bytes -> struct session, active ones */
	struct map by_scope; /* struct smcp_rules */
	struct map by_token; /* 32 bytes -> struct token_note */
};

/* What this life may accept must be stamped after what earlier ones have accepted, also if the
 * clock was set back in between. */
AWAITS int clock_restore(struct smcp_service *s) MUST_USE;
/* Persisted before an envelope is accepted at now_s. */
AWAITS int clock_keep(struct smcp_service *s, int64_t now_s) MUST_USE;

/* The active session of that id, or NULL. */
struct session *session_find(struct smcp_service *s, struct uuid id);
struct session *session_ref(struct session *x);
struct session *session_unref(struct session *x); /* NULL */

struct session_request {
	enum smcp_protocol protocol;
	const struct smcp_workload *workload; /* may be NULL */
	struct span scope, subject, workload_id;
	const uint8_t *public_key;
	struct smcp_rules *rules; /* of a client from outside, else NULL; a reference is taken */
	const struct uuid *id; /* NULL: a new one */
};

/* A new session, on record, with its first token. -ENOSPC: there are too many. */
AWAITS int session_create(struct smcp_service *s, const struct session_request *q,
	struct buf *token, struct session **ret, int64_t deadline_ns) MUST_USE;

/* Another token, and the time until when it is good; on record. */
AWAITS int session_refresh(struct session *x, struct buf *token, int64_t deadline_ns) MUST_USE;

/* Ends it: `state` SMCP_EXPIRED or SMCP_REVOKED. 0; SMCP_SESSION_OVER. */
AWAITS int session_end(
	struct session *x, int state, struct span reason, int64_t deadline_ns) MUST_USE;

/* The grant's workspace, if there is none yet. */
AWAITS int workspace_open(struct session *x, struct grant *g, int64_t deadline_ns) MUST_USE;
void workspace_close(struct grant *g);
/* Its files. */
AWAITS int workspace_remove(struct session *x, int64_t deadline_ns) MUST_USE;

AWAITS int sessions_restore(struct smcp_service *s) MUST_USE;
AWAITS void sessions_expire(struct smcp_service *s);

/* What the client's context grants, as a reference. 0; SMCP_SCOPE_NOT_FOUND. */
AWAITS int session_grant(struct session *x, struct grant **ret, int64_t deadline_ns) MUST_USE;
struct grant *grant_unref(struct grant *g); /* NULL */

/* Lets go of the contexts' rules. */
void rules_forget(struct smcp_service *s);

/* Remembers that this token was verified, and whose it is. */
int session_note(struct session *x, const struct store_hash *token, int64_t expires_s) MUST_USE;

/* ---- one request ---- */

struct call {
	struct smcp_service *s;
	const struct smcp_request *q;
	struct arena *arena;
	struct buf *reply;
	int *status;
	int64_t deadline_ns;
	struct smcp_envelope envelope; /* what follows: of requests with one */
	struct session *session; /* a reference */
	struct span signed_bytes;
};

/* From an envelope to its session, in the order of policy/smcp. 0; CALL_ANSWERED: it was refused;
 * -ECANCELED. */
enum { CALL_ANSWERED = 1 };
AWAITS int call_authenticate(struct call *c) MUST_USE;

AWAITS int attest_serve(struct call *c) MUST_USE;
AWAITS int provision_serve(struct call *c) MUST_USE;
AWAITS int invoke_serve(struct call *c) MUST_USE;
AWAITS int tools_serve(struct call *c) MUST_USE;

/* ---- answers ---- */

void answer_error(struct call *c, int code, struct span message, struct span policy_id);
void answer_refusal(struct call *c, const struct smcp_refusal *why);
void answer_token(struct call *c, const struct session *x, struct span token, const char *status);
/* The same for a session that an operator made. */
void answer_provisioned(struct call *c, const struct session *x, struct span token);
/* {"payload":{"jsonrpc","id","result": ...}}: begin, write one value into w, end. */
void answer_result_begin(struct call *c, struct json_writer *w);
void answer_result_end(struct call *c, struct json_writer *w);
void answer_rpc_error(struct call *c, int status, int code, struct span message);

/* ---- records ---- */

struct entry {
	struct store_event events[2];
	size_t count;
	struct store_change change;
	struct store_session row;
	bool has_change;
	struct span blobs[2];
	size_t blob_count;
	struct buf details[2]; /* of each event */
	struct json_writer w;
	struct arena *arena;
};

int entry_begin(struct entry *e) MUST_USE;
void entry_fini(struct entry *e);
/* Begins an event's details; x may be NULL. */
struct store_event *entry_event(
	struct entry *e, enum event_type t, const struct smcp_service *s, const struct session *x);
int entry_event_end(struct entry *e) MUST_USE;
void entry_change(struct entry *e, enum store_change_kind kind);
AWAITS int entry_publish(struct entry *e, struct smcp_service *s, int64_t deadline_ns) MUST_USE;
/* One event without a change: of an execution as entry_publish has it; of a client from outside
 * into the journal alone [1], its blobs into the store before. */
AWAITS int entry_record(
	struct entry *e, struct smcp_service *s, bool outside, int64_t deadline_ns) MUST_USE;

/* A failure that a known session or workload caused; bounded in number, and what cannot be recorded
 * is logged. */
AWAITS void report_failure(struct call *c, enum event_type t, const struct smcp_refusal *why);
