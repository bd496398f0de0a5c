/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Open addressing with linear probing, at most three quarters full. Removal shifts the entries
 * behind the gap back, so there are no tombstones and a map that lives for months stays as quick
 * as a new one.
 */
#include "daemon/base/map.h"
#include "daemon/base/check.h"
#include "daemon/base/err.h"
#include <errno.h>
#include <pthread.h>
#include <sodium.h>
#include <stdlib.h>
#include <sys/random.h>

enum { FIRST_CAPACITY = 16 };

static unsigned char hash_key[crypto_shorthash_KEYBYTES];
static pthread_once_t hash_key_once = PTHREAD_ONCE_INIT;

static void draw_hash_key(void)
{
	CHECK(getrandom(hash_key, sizeof(hash_key), 0) == (ssize_t)sizeof(hash_key));
}

void map_hash_fix_key(const uint8_t key[16])
{
	pthread_once(&hash_key_once, draw_hash_key);
	memcpy(hash_key, key, sizeof(hash_key));
}

uint64_t map_hash(struct span key)
{
	uint64_t hash;
	pthread_once(&hash_key_once, draw_hash_key);
	crypto_shorthash((unsigned char *)&hash, (const unsigned char *)(key.p ? key.p : ""), key.n,
		hash_key);
	return hash;
}

void map_init(struct map *m, size_t max_entries)
{
	*m = (struct map){.max = max_entries};
}

void map_fini(struct map *m)
{
	free(m->slots);
	*m = (struct map){.max = m->max};
}

/* The slot that holds the key, or the free one where it would go. Needs a free slot. */
static struct map_slot *find(const struct map *m, struct span key, uint64_t hash)
{
	size_t mask = m->capacity - 1;
	for (size_t i = hash & mask;; i = (i + 1) & mask) {
		struct map_slot *s = &m->slots[i];
		if (!s->key.p || (s->hash == hash && span_eq(s->key, key)))
			return s;
	}
}

void *map_get(const struct map *m, struct span key)
{
	if (m->count == 0)
		return NULL;
	return find(m, key, map_hash(key))->value;
}

static int grow(struct map *m)
{
	struct map larger = *m;
	larger.capacity = m->capacity ? m->capacity * 2 : FIRST_CAPACITY;
	larger.slots = calloc(larger.capacity, sizeof(*larger.slots));
	if (!larger.slots)
		return err_raise(-ENOMEM, "map of %zu entries", m->count);
	map_for_each (s, m)
		*find(&larger, s->key, s->hash) = *s;
	free(m->slots);
	*m = larger;
	return 0;
}

int map_put(struct map *m, struct span key, void *value)
{
	CHECK(value);
	uint64_t hash = map_hash(key);
	if (m->count > 0 && find(m, key, hash)->value)
		return err_raise(-EEXIST, "\"" SPAN_FMT "\" is there already", SPAN_ARG(key));
	if (m->count >= m->max)
		return err_raise(-ENOSPC, "%zu entries are the most that fit", m->max);
	if (m->count >= m->capacity / 4 * 3) {
		int r = grow(m);
		if (r < 0)
			return err_trace(r);
	}
	if (!key.p)
		key.p = "";
	*find(m, key, hash) = (struct map_slot){key, value, hash};
	m->count++;
	return 0;
}

void *map_remove(struct map *m, struct span key)
{
	if (m->count == 0)
		return NULL;
	struct map_slot *gap = find(m, key, map_hash(key));
	void *value = gap->value;
	if (!value)
		return NULL;
	size_t mask = m->capacity - 1;
	size_t hole = (size_t)(gap - m->slots);
	for (size_t i = (hole + 1) & mask; m->slots[i].key.p; i = (i + 1) & mask) {
		/* An entry may move into the hole only if its probe sequence passes there. */
		size_t home = m->slots[i].hash & mask;
		if (((i - home) & mask) >= ((i - hole) & mask)) {
			m->slots[hole] = m->slots[i];
			hole = i;
		}
	}
	m->slots[hole] = (struct map_slot){0};
	m->count--;
	return value;
}
