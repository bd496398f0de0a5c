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

/* Takes over `items`, finds their ancestors; refuses cycles, and doubles that differ. */
int entities_make(struct arena *a, struct entity *items, size_t count,
	const struct cedar_entities **ret) MUST_USE;

/* value_json.c: a value in JSON, with __entity and __extn escapes. */
int value_from_json(struct arena *a, const struct json *v, struct cedar_value *ret) MUST_USE;
int value_uid_from_json(struct arena *a, const struct json *v, struct cedar_value *ret) MUST_USE;
bool value_is_uid(const struct json *v); /* {type, id} */
/* What stands in the escape {__entity}, if that is an entity; else v itself. */
const struct json *value_uid_within(const struct json *v);
bool value_is_expr(const struct json *v); /* {__expr}, which is refused */
bool value_is_call(const struct json *v); /* {fn, arg} or {fn, args} */
int value_call_function(const struct json *v, enum ext_fn *ret) MUST_USE;

/* value_typed.c: where the schema says what is expected. */
struct cedar_type;
struct schema_attrs;
int value_from_json_typed(struct arena *a, const struct json *v, const struct cedar_type *type,
	struct cedar_value *ret) MUST_USE;
int value_record_from_json_typed(struct arena *a, const struct json *v,
	const struct schema_attrs *attrs, struct cedar_value *ret) MUST_USE;
