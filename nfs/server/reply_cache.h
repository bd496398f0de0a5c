/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Replies to procedures that must not run twice, so that a repeated call gets the first one's
 * reply: also when the repetition comes on another connection, while the first still runs, or
 * after the daemon was killed. For this room only.
 */
#pragma once

#include "daemon/rt/rt.h"

enum { REPLY_CACHE_REPLY_BYTES = 448 };

struct reply_cache;
struct reply_slot; /* one call's place; never moves */

/* `file` becomes the cache's, also on failure; what a former process left in it counts if the
 * machine has not been restarted since. -1: memory only. `slots` are rounded up to a power of
 * two. -EBUSY: another process has the file. */
int reply_cache_open(int file, uint32_t slots, struct reply_cache **ret) MUST_USE;
void reply_cache_close(struct reply_cache *c); /* nothing may be in progress; NULL is allowed */

struct reply_key {
	struct span client; /* who calls: the address without its port */
	uint32_t xid;
	uint32_t proc;
	struct span cred;
	struct span args; /* as they came */
};

enum reply_cache_outcome {
	REPLY_NEW, /* run it, then reply_cache_done or reply_cache_drop; intent is noted */
	REPLY_UNFINISHED, /* as REPLY_NEW, but a process that died had begun: settle it */
	REPLY_IN_PROGRESS, /* another runs: reply_cache_wait */
	REPLY_DONE, /* reply_cache_reply has it */
	REPLY_FULL, /* everything is in progress: say busy */
};

/* *ret_intent_ns: of REPLY_UNFINISHED, the wall clock when it was begun. */
enum reply_cache_outcome reply_cache_begin(struct reply_cache *c, const struct reply_key *key,
	struct reply_slot **ret, int64_t *ret_intent_ns);

/* Keeps the reply (at most REPLY_CACHE_REPLY_BYTES, a longer one is a bug) and wakes who waits. */
void reply_cache_done(struct reply_cache *c, struct reply_slot *s, struct span reply);
/* The call did nothing (busy): forgets it, and wakes who waits. */
void reply_cache_drop(struct reply_cache *c, struct reply_slot *s);
/* The call ended without anybody knowing what it did: a repetition gets REPLY_UNFINISHED. */
void reply_cache_abandon(struct reply_cache *c, struct reply_slot *s);

/* Until the call of this slot is done. REPLY_DONE, or REPLY_NEW if it was dropped or replaced. */
AWAITS int reply_cache_wait(
	struct reply_cache *c, struct reply_slot *s, int64_t deadline_ns) MUST_USE;
struct span reply_cache_reply(const struct reply_slot *s);
