/* SPDX-License-Identifier: AGPL-3.0-only */
/* Entities with their attributes, tags and ancestors: all that are above, not the parents only. */
#pragma once

#include "policy/cedar/value.h"

struct entity {
	struct cedar_uid uid;
	const struct value_record *attrs;
	const struct value_record *tags;
	size_t parent_count;
	const struct cedar_uid *parents; /* as given */
	size_t ancestor_count;
	const struct cedar_uid **ancestors; /* in order of their hashes */
	size_t parents_done; /* while ancestors are sought: parents whose own are known */
	int visit; /* likewise: 0 not yet, 1 begun, 2 done */
};

struct cedar_entities {
	struct entity **slots; /* open addressing by hash */
	size_t capacity; /* a power of two */
	struct entity *items;
	size_t count;
};

const struct entity *entities_find(const struct cedar_entities *e, const struct cedar_uid *uid);
bool entity_below(const struct entity *e, const struct cedar_uid *ancestor);

/* Takes over `items`, finds their ancestors; refuses doubles and cycles. */
int entities_make(struct arena *a, struct entity *items, size_t count,
	const struct cedar_entities **ret) MUST_USE;

/* A value in JSON, with __entity and __extn escapes. */
int value_from_json(struct arena *a, const struct json *v, struct cedar_value *ret) MUST_USE;
