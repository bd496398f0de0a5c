/* SPDX-License-Identifier: AGPL-3.0-only */
/* What the files of the writer share. */
#pragma once

#include "daemon/audit/frame.h"
#include <pthread.h>
#include <stdatomic.h>

enum {
	JOURNAL_BATCH_BYTES =
		4 * 1024 * 1024, /* taken from the queue at a time, at least one entry */
	JOURNAL_CALLS_MAX = 8192, /* fibers that wait; more are told -EAGAIN */
};

/* Where the chain ends. */
struct tip {
	uint64_t segment; /* ordinal of the one that is written */
	uint64_t number;
	struct audit_hash hash;
	uint64_t last_event;
	uint64_t gaps;
	uint64_t head_record; /* the newest signed head in the journal */
	struct audit_hash head_hash;
	bool is_head; /* the record at `number` is a "Head" */
};

/* What waits to be written: records that become durable together. */
struct entry {
	struct list link;
	struct audit_record *records;
	size_t count; /* 0: only wants to know when all before it are durable */
	size_t bytes; /* about what its frames will take */
	uint64_t gaps; /* counted by its records */
	const struct head *head; /* sealed by its record */
	struct tip tip; /* out, if count is 0: the end of what is durable now */
	bool posted; /* the journal's own copy; nobody waits for it */
	bool done;
	int result;
	char message[ERR_MESSAGE_BYTES]; /* with a negative result; last: it is not zeroed for posts
					  */
};

struct journal {
	char *dir;
	enum journal_sync sync;
	int64_t batch_ns;
	uint64_t segment_bytes;
	size_t queue_max;
	audit_sign_fn sign;
	void *sign_ctx;
	uint8_t key[HEAD_PUBLIC_KEY_BYTES];
	struct uuid id;
	int dirfd;
	int lock_fd;

	pthread_mutex_t write_lock; /* all until the queue */
	int fd; /* the newest segment */
	uint64_t end; /* its length as acknowledged */
	struct tip tip;
	uint64_t synced; /* number of the newest record known to be durable */
	bool broken;
	struct buf out;

	pthread_mutex_t queue_lock;
	pthread_cond_t queue_grew;
	struct list queue; /* struct entry */
	size_t queue_bytes;
	size_t queue_count;
	size_t usual_count; /* entries of the batches before */
	int64_t last_sync_ns; /* how long it took to make them durable */
	int64_t oldest_ns; /* when the queue became non-empty, clock_mono_ns */

	struct offload *offload; /* NULL: opened outside of the workers */
	struct group services;
	struct worker *home;
	struct waitq posted; /* the service waits here */
	struct msg wake;
	atomic_bool wake_sent;
	atomic_bool checkpointing;

	_Atomic uint64_t newest; /* durable */
	_Atomic uint64_t newest_event;
	_Atomic uint64_t syncs;
	_Atomic uint64_t bytes;
	_Atomic uint64_t gaps;
};

/* ---- flush.c ---- */

/* Queues the entry and waits until it is done; its result. Works in fibers and on plain threads. */
AWAITS int journal_run(struct journal *j, struct entry *e, int64_t deadline_ns) MUST_USE;
/* Queues a copy that the journal frees; waits for room only. */
AWAITS int journal_hand_over(struct journal *j, struct entry *e, int64_t deadline_ns) MUST_USE;
/* Writes what is queued now; blocking. */
int journal_flush(struct journal *j) MUST_USE;
/* The fiber that writes what was posted. */
void journal_service(void *arg);
void journal_wake_service(struct journal *j);

/* ---- segments.c ---- */

/* Makes the segment that follows `tip` durable and the one that is written. Needs the write lock.
 */
int segment_begin(struct journal *j) MUST_USE;
/* Finds the end of the newest segment, cuts a torn tail; *ret_cut bytes were cut. */
int segment_recover(struct journal *j, uint64_t *ret_cut) MUST_USE;
