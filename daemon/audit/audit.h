/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Layer 3: the audit journal. Append-only segment files of records, each chained to the one before
 * by BLAKE2b-256, with heads signed at checkpoints, so that whoever holds the public key and a head
 * exported earlier can prove offline that nothing was removed or changed (decisions, [3]). The
 * daemon writes (journal_*); aegis-audit reads and verifies (audit_*). FORMAT.md beside this header
 * is the format.
 *
 * A record is acknowledged when it is durable. When the disk is full nothing is acknowledged: calls
 * fail with -ENOSPC, or wait, and go on when there is room. Records are never dropped by the
 * journal; what a producer lost before it came here is recorded with journal_gap.
 */
#pragma once

#include "daemon/audit/head.h"
#include "daemon/rt/rt.h"

enum {
	AUDIT_HASH_BYTES = HEAD_HASH_BYTES,
};

struct audit_hash {
	uint8_t bytes[AUDIT_HASH_BYTES];
};

/* Who says so. */
enum audit_source {
	AUDIT_JOURNAL = 0, /* the journal itself: "Opened", "Head", "Gap", "Cut" */
	AUDIT_EVENT = 1, /* a row of the store's event table */
	AUDIT_FILE = 2, /* a file operation */
	AUDIT_KERNEL = 3, /* a kernel record: network, system call, exec */
	AUDIT_DAEMON = 4, /* the daemon: start, stop, configuration */
	AUDIT_CALL = 5, /* a call of a client from outside, which has no row in the store */
	AUDIT_SOURCE_COUNT,
};
const char *audit_source_name(enum audit_source s); /* "event" */

/* Kinds of AUDIT_KERNEL. FORMAT.md has what their payloads say. */
#define AUDIT_KIND_FORKED "ProcessForked"
#define AUDIT_KIND_EXECUTED "ProcessExecuted"
#define AUDIT_KIND_EXITED "ProcessExited"
#define AUDIT_KIND_RING "RingCreated"
#define AUDIT_KIND_REQUEST "RingRequest"
#define AUDIT_KIND_FLOW "NetworkFlow"
#define AUDIT_KIND_LEASE_OPENED "LeaseOpened"
#define AUDIT_KIND_LEASE_ENDED "LeaseEnded"
#define AUDIT_KIND_COUNTED "KernelCounted"
#define AUDIT_KIND_NETWORK_DENIED "NetworkDenied"
#define AUDIT_KIND_KERNEL_DENIED "KernelDenied"
#define AUDIT_KIND_NAME_DENIED "NameDenied"
#define AUDIT_KIND_NAME_RESOLVED "NameResolved"

struct audit_record {
	uint64_t number; /* (journal) from 1, without gaps */
	int64_t wall_ns; /* 0: now */
	int64_t mono_ns; /* 0: now; of the boot that the last "Opened" record names */
	enum audit_source source;
	struct span kind; /* "ExecutionStarted", "FileRead"; at most LIMIT_AUDIT_KIND_BYTES */
	struct uuid execution_id;
	struct uuid call_id;
	uint32_t iteration;
	uint64_t event_number; /* AUDIT_EVENT: the row's number; else 0 */
	struct span payload; /* JSON object, at most LIMIT_AUDIT_PAYLOAD_BYTES */
	struct audit_hash previous; /* (journal) hash of the record before; zeros for the first */
	struct audit_hash hash; /* (journal) */
};

/* ---- heads ---- */

/* Has a head signed (helper_sign_head in the daemon; tests sign themselves). The signer signs only
 * what extends the head that it signed last for this journal; else -ESTALE, and *ret_last is that
 * head. It gives the same answer when asked for the last one again. */
typedef AWAITS int (*audit_sign_fn)(void *ctx, const struct head *head, struct head_signed *ret,
	struct head_signed *ret_last, int64_t deadline_ns);

/* ---- writing ---- */

enum journal_sync {
	JOURNAL_SYNC_BATCH, /* fdatasync once for what came within batch_ms; the default */
	JOURNAL_SYNC_RECORD, /* fdatasync after every single record */
	JOURNAL_SYNC_NONE, /* acknowledged when written: survives the daemon, not a power cut */
};

struct journal_options {
	const char *dir; /* made, 0700, if absent */
	enum journal_sync sync;
	int64_t batch_ms; /* how long a batch may wait for company; 0: not at all, so a batch is
			     what arrived during the fsync before */
	uint64_t segment_bytes; /* a new file begins beyond this; 0: 64 MiB */
	size_t queue_bytes; /* records that wait; 0: 8 MiB. Full: producers wait */
	audit_sign_fn sign; /* NULL: heads are not signed, and verification says so */
	void *sign_ctx;
	const uint8_t *key; /* HEAD_PUBLIC_KEY_BYTES: the signer's public key; copied */
};

struct journal;

/* Opens or creates; validates the newest segment. A torn tail that no acknowledgement covers is cut
 * and recorded ("Cut"); -EUCLEAN if the damage reaches into what was acknowledged; -EBUSY if
 * another process writes this journal. */
AWAITS int journal_open(const struct journal_options *o, struct journal **ret) MUST_USE;
/* On the worker that opened it. Writes out and syncs; posts that the disk does not take even now
 * are lost, and the log says how many. NULL is allowed. */
AWAITS void journal_close(struct journal *j);

/* Appends and waits until durable; numbers and hashes are filled in. On an error none of the
 * records is in the journal. -ENOSPC disk full, -EIO the file is broken: only a new journal_open
 * helps. */
AWAITS int journal_append(struct journal *j, struct audit_record *records, size_t count,
	int64_t deadline_ns) MUST_USE;

/* Hands a record over without waiting for the disk; parks only while the queue is full. It will be
 * written in order, however long that takes; journal_sync tells when. */
AWAITS int journal_post(
	struct journal *j, const struct audit_record *record, int64_t deadline_ns) MUST_USE;
AWAITS int journal_sync(struct journal *j, int64_t deadline_ns) MUST_USE;

/* Records that never came here. */
struct audit_gap {
	enum audit_source source; /* who lost them */
	uint64_t count;
	const char *reason;
	struct uuid execution_id; /* whose they were; nil: of several, or nobody knows */
	uint32_t iteration;
};
AWAITS int journal_gap(
	struct journal *j, const struct audit_gap *gap, int64_t deadline_ns) MUST_USE;

/* Syncs, has the newest record signed as a head, and appends the signed head as a record. 0 also
 * if nothing came since the last head. */
AWAITS int journal_checkpoint(struct journal *j, int64_t deadline_ns) MUST_USE;

uint64_t journal_last_event(const struct journal *j); /* greatest event_number written */
struct journal_stats {
	uint64_t records; /* number of the newest durable record */
	uint64_t syncs;
	uint64_t bytes;
	uint64_t gaps; /* records counted as lost, since the journal began */
};
struct journal_stats journal_stats(const struct journal *j);

/* ---- decision records ---- */

/* Complete enough to decide again (decisions, [2]). */
struct audit_decision {
	bool allowed;
	int code; /* SMCP code of a denial, 0 */
	struct span reason;
	struct span policy_set; /* hash, hex; the text is a blob in the store under it, and in the
				   journal (journal_policy_set) */
	const struct span *policies; /* ids of those that decided */
	size_t policy_count;
	struct span request; /* canonical JSON of the request with its context */
	struct span signer; /* "agent" or "daemon" ([11]) */
};

/* Writes the member "decision". -EINVAL if a field that deciding again needs is missing. */
int audit_decision_put(struct json_writer *w, const struct audit_decision *d) MUST_USE;

/* ---- policy sets ---- */

/* Puts the text of a policy set on record, so that what the journal holds can be decided again from
 * the journal alone: records "PolicySet" of source daemon, several where the text is long. `hash`
 * is its BLAKE2b-256 in hex; -EINVAL if it is not. At most LIMIT_RULE_SET_BYTES. */
AWAITS int journal_policy_set(
	struct journal *j, struct span hash, struct span text, int64_t deadline_ns) MUST_USE;

/* One piece of such a text. */
struct audit_policy_part {
	struct span policy_set; /* hash, hex */
	uint32_t part, parts; /* from 1 */
	struct span text; /* UTF-8 */
};

enum audit_policy_outcome {
	AUDIT_NO_POLICY_SET = 1, /* the record is another one, or is not understood */
};

/* What a "PolicySet" record holds; spans live in the arena, which needs 16 times
 * LIMIT_AUDIT_POLICY_PART_BYTES. */
int audit_policy_part_of(
	struct arena *a, const struct audit_record *r, struct audit_policy_part *ret) MUST_USE;

/* ---- reading: blocking, for tools and threads ---- */

struct audit_reader;

/* -ENOENT if there is no journal in `dir`. */
int audit_reader_open(const char *dir, struct audit_reader **ret) MUST_USE;
void audit_reader_close(struct audit_reader *r);
struct uuid audit_reader_journal(const struct audit_reader *r);

enum audit_read_outcome {
	AUDIT_END = 1, /* nothing complete behind; a later call may find more */
};

/* Positions before record `number`. -ENOENT if it is not there. */
int audit_reader_seek(struct audit_reader *r, uint64_t number) MUST_USE;
/* The next record; spans are valid until the next call. -EUCLEAN with place and reason if it does
 * not follow from the one before. */
int audit_reader_next(struct audit_reader *r, struct audit_record *ret) MUST_USE;
/* Number of the newest complete record, 0 if none. */
int audit_reader_newest(struct audit_reader *r, uint64_t *ret) MUST_USE;

/* ---- verifying ---- */

/* A signed head that was exported, with the key that signed it. */
struct audit_anchor {
	struct head_signed head;
	uint8_t key[HEAD_PUBLIC_KEY_BYTES];
};

int audit_anchor_parse(struct span json, struct audit_anchor *ret) MUST_USE;
void audit_anchor_put(struct json_writer *w, const struct audit_anchor *a);
/* What the payload of a "Head" record says. -EINVAL if it is none. */
int audit_anchor_of_record(const struct audit_record *r, struct audit_anchor *ret) MUST_USE;

struct audit_finding {
	uint64_t number; /* record, 0 if none */
	char text[256];
};

struct audit_verify_options {
	const struct audit_anchor *anchors;
	size_t anchor_count;
	const uint8_t (*keys)[HEAD_PUBLIC_KEY_BYTES]; /* trusted; none: whichever key signed */
	size_t key_count;
};

enum { AUDIT_FINDINGS = 32 };

struct audit_verdict {
	bool consistent; /* nothing was found */
	bool newest_proven; /* an anchor seals the newest record, heads aside: only what is kept
			       elsewhere can prove that nothing was cut off behind a head */
	uint64_t records; /* consistent up to this one */
	uint64_t signed_through; /* newest record under a valid (and, with keys, trusted) head */
	uint64_t anchored_through;
	uint64_t heads;
	uint64_t gaps; /* records counted as lost by their producers */
	uint64_t rest_bytes; /* behind the newest record: a write that was torn, or is going on */
	struct audit_finding findings[AUDIT_FINDINGS];
	size_t finding_count; /* may exceed AUDIT_FINDINGS: those beyond are counted, not kept */
};

/* Reads all. 0 with *ret filled, whatever it found; negative only if it could not read. */
int audit_verify(
	const char *dir, const struct audit_verify_options *o, struct audit_verdict *ret) MUST_USE;
