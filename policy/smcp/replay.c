/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The signatures of accepted envelopes, for as long as their stamps may pass. The first half of an
 * Ed25519 signature (R) stands for the whole: a signer makes another one for every message, and
 * nobody can make a second valid signature around somebody else's.
 *
 * Two generations of a hash set: new ones go into `now`, both are asked, and once in a lifetime
 * `now` becomes `before` and the older one is forgotten. So an entry stays for one lifetime at
 * least, and nothing is ever searched for what is old.
 */
#include "policy/smcp/internal.h"
#include <stdlib.h>

enum {
	TAG_BYTES = 16, /* of R: a chance hit needs 2^64 tries by the holder of the same key */
	FIRST_SLOTS = 1024,
	/* An envelope may be stamped one window ahead and is good for another; seconds are floored.
	 */
	LIFETIME_S = 2 * SMCP_WINDOW_S + 2,
};

struct generation {
	uint8_t (*slots)[TAG_BYTES]; /* all zeros: free */
	size_t capacity; /* a power of two, or 0 */
	size_t count;
};

struct smcp_replay {
	struct generation now, before;
	size_t max; /* entries of one generation */
	int64_t turned_ns;
};

struct smcp_replay *smcp_replay_new(size_t max_entries)
{
	struct smcp_replay *r = calloc(1, sizeof(*r));

	if (r)
		r->max = max_entries;
	return r;
}

struct smcp_replay *smcp_replay_free(struct smcp_replay *r)
{
	if (!r)
		return NULL;
	free(r->now.slots);
	free(r->before.slots);
	free(r);
	return NULL;
}

static bool is_free(const uint8_t *slot)
{
	static const uint8_t zero[TAG_BYTES];
	return memcmp(slot, zero, TAG_BYTES) == 0;
}

/* The slot that holds the tag, or the free one where it belongs. capacity > count. */
static uint8_t *slot_of(const struct generation *g, const uint8_t *tag)
{
	size_t at = (size_t)map_hash(span_of(tag, TAG_BYTES)) & (g->capacity - 1);

	while (!is_free(g->slots[at]) && memcmp(g->slots[at], tag, TAG_BYTES) != 0)
		at = (at + 1) & (g->capacity - 1);
	return g->slots[at];
}

static bool has(const struct generation *g, const uint8_t *tag)
{
	return g->count > 0 && !is_free(slot_of(g, tag));
}

/* Keeps a third of the slots free. */
static int make_room(struct generation *g)
{
	struct generation larger = {.count = g->count};

	if (g->count + 1 <= g->capacity / 3 * 2)
		return 0;
	larger.capacity = g->capacity ? g->capacity * 2 : FIRST_SLOTS;
	larger.slots = calloc(larger.capacity, TAG_BYTES);
	if (!larger.slots)
		return err_raise(-ENOMEM, "smcp: no memory to remember signatures in");
	for (size_t i = 0; i < g->capacity; i++)
		if (!is_free(g->slots[i]))
			memcpy(slot_of(&larger, g->slots[i]), g->slots[i], TAG_BYTES);
	free(g->slots);
	*g = larger;
	return 0;
}

static void turn(struct smcp_replay *r, int64_t now_ns)
{
	int64_t age_ns = now_ns - r->turned_ns;

	if (age_ns >= 0 && age_ns < LIFETIME_S * NS_PER_S)
		return;
	/* A clock that was set back forgets nothing: the count goes on from where it is now. */
	r->turned_ns = now_ns;
	if (age_ns < 0)
		return;
	free(r->before.slots);
	r->before = r->now;
	r->now = (struct generation){0};
}

int smcp_replay_admit(struct smcp_replay *r, const uint8_t signature[SMCP_SIGNATURE_BYTES],
	int64_t now_ns, struct smcp_refusal *why)
{
	turn(r, now_ns);
	if (has(&r->now, signature) || has(&r->before, signature))
		return smcp_refuse(why, SMCP_TOKEN_VERIFICATION_FAILED,
			"replay: this envelope was accepted before; sign the call again");
	if (r->now.count >= r->max)
		return err_raise(-ENOSPC,
			"smcp: %zu calls within %d s are remembered already, more would be "
			"forgotten",
			r->max, LIFETIME_S);
	int error = make_room(&r->now);
	if (error < 0)
		return err_trace(error);
	memcpy(slot_of(&r->now, signature), signature, TAG_BYTES);
	r->now.count++;
	return 0;
}
