/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * A BPF ring buffer, read where it lies, and the count of what it had no room for; private to this
 * room. The ring's room is given back when the records are safe elsewhere, so whoever dies in
 * between finds them again: after a kill a record may be told twice, and none is lost. libbpf's
 * reader gives the room back before.
 */
#pragma once

#include "daemon/base/base.h"
#include "daemon/sensor/losses.h"

enum { SENSOR_RING_BATCH = 4096 }; /* records looked at at a time, at most */

struct sensor_ring {
	int epoll;
	size_t page, bytes;
	unsigned long *reader; /* bytes let go of since the ring was made */
	const unsigned long *kernel; /* bytes written; the ring begins on the next page */
	unsigned long next; /* where `reader` will be */
	const void *records[SENSOR_RING_BATCH];
};

/* `map` stays the caller's and must outlive it. Half-built is for close. */
int sensor_ring_open(struct sensor_ring *r, int map) MUST_USE;
void sensor_ring_close(struct sensor_ring *r);

/* The records behind those that were let go of, in order; how many. They lie there until
 * sensor_ring_done(), which lets go of all that were returned last. */
size_t sensor_ring_next(struct sensor_ring *r);
void sensor_ring_done(struct sensor_ring *r);

/* As the public functions of losses.h, for a map of that form. */
size_t sensor_losses_of(int map, struct sensor_loss *ret, size_t room);
void sensor_loss_told_of(int map, const struct sensor_loss *l);
void sensor_loss_forget_of(int map, uint64_t cgroup);
