/* SPDX-License-Identifier: AGPL-3.0-only */
/* What the files of this room share. */
#pragma once

#include "daemon/event/event.h"
#include <stdatomic.h>

/* Checks type and details, fills category, stage and message; spans live in the arena. */
int event_fill(struct store_event *e, struct arena *a) MUST_USE;
/* The same for details that somebody vouches for, with a message. */
int event_fill_known(struct store_event *e) MUST_USE;

/* The event as a record of the journal; its payload lives in the buffer, which is empty before. */
int event_to_record(const struct store_event *e, enum audit_source source, struct buf *b,
	struct audit_record *ret) MUST_USE;

/* The member of aegis.runtime.v1.ExecutionEvent ("execution_started": {...}), written with its key;
 * nothing for types that have none. `details` is e's, parsed. */
void event_put_member(
	struct json_writer *w, const struct store_event *e, const struct json *details);

void event_put_id(
	struct json_writer *w, const char *key, struct uuid id); /* nothing for the nil one */

/* ---- the bus ---- */

/* Events of one group commit, shared by the workers, immutable. */
struct batch {
	_Atomic int refs;
	size_t count;
	size_t bytes;
	struct store_event events[];
};

enum {
	RING_BATCHES = 256,
	RING_BYTES = 8 * 1024 * 1024, /* of recent events that a worker keeps for its subscribers */
	CHECK_AGAIN_MS = 1000, /* a lost wake-up costs at most this */
};

/* A worker's half of the bus. */
struct part {
	struct event_bus *bus;
	struct list subs; /* struct event_sub */
	struct batch *ring[RING_BATCHES];
	unsigned first; /* index of the oldest */
	unsigned count;
	size_t bytes;

	struct list to_record; /* struct waiter, of record.c */
	size_t to_record_count;
	bool recording; /* one of them writes */

	struct map sets; /* hashes of policy sets whose texts are in the journal */
};

struct event_bus {
	struct store *store;
	struct journal *journal;
	int64_t checkpoint_ns;
	_Atomic uint64_t head; /* number of the newest committed event */
	_Atomic int subscribers;
	_Atomic int deliveries; /* messages under way */

	struct worker *home;
	struct group services;
	struct waitq feed_work; /* the feed waits here */
	struct waitq journaled; /* and those who wait for it */
	struct msg feed_wake;
	atomic_bool feed_wake_sent;
	bool stopping;

	int part_count;
	struct part parts[]; /* by index of worker */
};

/* ---- texts of policy sets ---- */

void sets_init(struct part *p);
void sets_fini(struct part *p);
/* Puts those that an event's details name, and that this part does not know, into the journal. */
AWAITS int sets_announce(
	struct event_bus *b, struct part *p, struct span details, int64_t deadline_ns) MUST_USE;

void bus_hook(void *ctx, const struct store_event *events, size_t count);
void feed_service(void *arg); /* the fiber that feeds the journal */
void feed_wake(struct event_bus *b); /* from any thread */
