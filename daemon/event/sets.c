/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Texts of policy sets, from the store into the journal: before the first record that names a set,
 * once in each life of the daemon, so that what the journal holds can be decided again without the
 * store. Which sets are there already is a list of each worker's own; what is forgotten, because
 * there are too many, is written once more.
 */
#include "daemon/event/internal.h"

#include <errno.h>
#include <stdlib.h>

enum { HASH_CHARS = 64, SETS_MAX = 4096 };

struct known_set {
	char hash[HASH_CHARS];
};

void sets_init(struct part *p)
{
	map_init(&p->sets, SETS_MAX);
}

static void forget_all(struct part *p)
{
	map_for_each (slot, &p->sets)
		free(slot->value);
	map_fini(&p->sets);
	map_init(&p->sets, SETS_MAX);
}

void sets_fini(struct part *p)
{
	forget_all(p);
	map_fini(&p->sets);
}

static int remember(struct part *p, struct span hash)
{
	if (map_get(&p->sets, hash))
		return 0;
	struct known_set *k = malloc(sizeof(*k));
	if (p->sets.count == SETS_MAX)
		forget_all(p);
	if (!k)
		return err_raise(-ENOMEM, "out of memory");
	memcpy(k->hash, hash.p, HASH_CHARS);
	int r = map_put(&p->sets, span_of(k->hash, HASH_CHARS), k);
	if (r < 0)
		free(k);
	return err_trace(r);
}

/* A name that no set in the store has is passed over: nothing was decided by it. */
static AWAITS int write_set(
	struct event_bus *b, struct part *p, struct span hash, int64_t deadline_ns)
{
	struct arena *a CLEANUP(arena_cleanup) = arena_new((size_t)2 * LIMIT_RULE_SET_BYTES);
	char copy[HASH_CHARS];
	struct store_hash name;
	struct span text;

	if (!a || hex_decode(hash, name.bytes, sizeof(name.bytes)) < 0) {
		err_clear();
		return a ? 0 : err_raise(-ENOMEM, "out of memory");
	}
	memcpy(copy, hash.p, HASH_CHARS);
	int r = store_blob_get(b->store, &name, a, &text, deadline_ns);
	if (r == 0)
		r = journal_policy_set(b->journal, span_of(copy, HASH_CHARS), text, deadline_ns);
	/* Last: who meets it meanwhile writes it, too, rather than go on record before it. */
	if (r >= 0)
		r = remember(p, span_of(copy, HASH_CHARS));
	return r < 0 ? err_trace(r) : 0;
}

static AWAITS int announce(
	struct event_bus *b, struct part *p, const struct json *named, int64_t deadline_ns)
{
	struct span hash = json_str(named, "policy_set", SPAN(""));

	if (hash.n != HASH_CHARS || map_get(&p->sets, hash))
		return 0;
	return write_set(b, p, hash, deadline_ns);
}

/* Most events name a set that is known, or none; only the others are parsed. */
static bool may_be_new(const struct part *p, struct span details)
{
	static const char key[] = "\"policy_set\":\"";
	const char *at = details.p, *end = details.p + details.n;

	while (at && (at = memmem(at, (size_t)(end - at), key, sizeof(key) - 1))) {
		at += sizeof(key) - 1;
		if (end - at >= HASH_CHARS && !map_get(&p->sets, span_of(at, HASH_CHARS)))
			return true;
	}
	return false;
}

int sets_announce(struct event_bus *b, struct part *p, struct span details, int64_t deadline_ns)
{
	if (!details.n || !may_be_new(p, details))
		return 0;
	struct arena *a CLEANUP(arena_cleanup) = arena_new(16 * (size_t)LIMIT_STORE_TEXT_BYTES);
	const struct json *v;
	int r = a ? json_parse(a, details, NULL, &v) : err_raise(-ENOMEM, "out of memory");
	if (r == 0)
		r = announce(b, p, v, deadline_ns);
	if (r == 0)
		r = announce(b, p, json_get(v, "decision"), deadline_ns);
	return r < 0 ? err_trace(r) : 0;
}
