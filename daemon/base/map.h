/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Hash map from bytes to pointers, keyed hashing (an outsider cannot choose colliding keys).
 * Keys are not copied: they live in the object that they find. One thread only.
 */
#pragma once

#include "daemon/base/span.h"

struct map_slot {
	struct span key; /* key.p == NULL: free */
	void *value;
	uint64_t hash;
};

struct map {
	struct map_slot *slots;
	size_t capacity; /* a power of two, or 0 */
	size_t count;
	size_t max; /* entries; one more is refused */
};

void map_init(struct map *m, size_t max_entries);
void map_fini(struct map *m); /* values are the caller's */

void *map_get(const struct map *m, struct span key); /* NULL if absent */
int map_put(struct map *m, struct span key, void *value) MUST_USE; /* value not NULL; -EEXIST,
								    -ENOSPC, -ENOMEM */
void *map_remove(struct map *m, struct span key); /* the value, NULL if absent */

/* Order is unspecified; the map must not be changed inside the loop. */
/* NOLINTBEGIN(bugprone-macro-parentheses): the loop variable's name is no expression */
#define map_for_each(slot, m) \
	for (struct map_slot *slot = (m)->slots; slot && slot < (m)->slots + (m)->capacity; \
		slot++) \
		if (slot->key.p)
/* NOLINTEND(bugprone-macro-parentheses) */

/* SipHash-2-4 under a key drawn at start; the same for the life of the process. */
uint64_t map_hash(struct span key);

/* For the simulator, whose runs must repeat: before the first map is filled. */
void map_hash_fix_key(const uint8_t key[16]);
