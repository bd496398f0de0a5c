/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * What the recording programs count, as inline functions over memory: no map, no helper, so that
 * the same code runs in the kernel and in a test.
 */
#pragma once

#include "bpf/record/record_api.h"

#define RECORD_INLINE static inline __attribute__((always_inline))

/* Whether one more record of this sandbox is within its budget. Two CPUs that begin a second at
 * once may both reset it: then a few more are recorded, and none uncounted. */
RECORD_INLINE int record_within_budget(struct record_agent *a, __u64 now_ns)
{
	__u64 second = now_ns >> RECORD_SECOND_SHIFT;

	if (a->second != second) {
		a->second = second;
		a->used = 0;
	}
	return __sync_fetch_and_add(&a->used, 1) < a->budget;
}

/* Whether the record that made it so much wakes the reader. Only those do that stand near a
 * multiple of RECORD_WAKE_BYTES: while a reader is behind, each of them would, and that costs the
 * agent far more than the record. One that is passed over is met by the next multiple or the
 * reader's clock. */
RECORD_INLINE int record_wakes(__u64 waiting_bytes)
{
	return waiting_bytes >= RECORD_WAKE_BYTES &&
		waiting_bytes % RECORD_WAKE_BYTES < RECORD_WAKE_SLACK_BYTES;
}

enum record_room { RECORD_ROOM, RECORD_OVER, RECORD_FULL };

/* Whether one more record of that kind may take room in a ring of that size, where so much waits to
 * be read. Of a strict sandbox: see record_api.h. */
RECORD_INLINE enum record_room record_may_take(struct record_agent *a, enum record_kind kind,
	__u64 now_ns, __u64 waiting, __u64 ring_bytes)
{
	int within = record_within_budget(a, now_ns);
	__u64 ends = ring_bytes / 16, strict = ring_bytes / 2;

	if (a->strict && kind == RECORD_EXIT)
		return RECORD_ROOM;
	if (!within)
		return RECORD_OVER;
	return waiting > ring_bytes - ends - (a->strict ? 0 : strict) ? RECORD_FULL : RECORD_ROOM;
}

/* Whether who did what could not be recorded is killed for it; what ends is at its end. */
RECORD_INLINE int record_kills(const struct record_agent *a, enum record_kind kind)
{
	return a->strict && kind != RECORD_EXIT;
}

/* How many of the arguments are in the record: `bytes` of them fit into `room`. */
RECORD_INLINE __u32 record_arguments_kept(__u32 bytes, __u32 room)
{
	return bytes < room ? bytes : room;
}

RECORD_INLINE __u64 record_lost(const struct record_count *c)
{
	return c->full + c->over;
}
