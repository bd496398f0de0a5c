/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The compiled set of policies and its index. Each policy stands in one bucket: that of the fact
 * about a request which it needs to apply and which the fewest others need. A policy may be passed
 * over only if it is false without an error for this request.
 */
#pragma once

#include "policy/cedar/program.h"

enum { PATHS_MAX = 64, KEYS_MAX = 4 };

/* What a bucket's key is compared with; KEY_PATH + i: the value at paths[i]. */
enum key_kind {
	KEY_PRINCIPAL, /* the entity itself */
	KEY_PRINCIPAL_IN, /* the entity or one above it */
	KEY_RESOURCE,
	KEY_RESOURCE_IN,
	KEY_ACTION,
	KEY_ACTION_IN,
	KEY_PATH,
};

struct compiled {
	const struct cedar_policy *policy;
	struct program program;
};

struct members {
	uint32_t *policies; /* ascending */
	uint32_t count;
	uint32_t capacity;
};

struct bucket {
	uint32_t kind;
	struct cedar_value key;
	uint32_t wanted; /* policies that could stand here */
	struct members members;
};

/* variable.name.name..., whose comparison with a constant comes first in some policies. */
struct path {
	enum cedar_var var;
	size_t count;
	const struct span *names; /* from the variable outwards */
	struct members members; /* of all buckets of this path */
};

struct set_index {
	struct bucket **slots; /* open addressing */
	size_t capacity; /* a power of two, or 0 */
	size_t count;
	struct path paths[PATHS_MAX];
	size_t path_count;
	struct members always; /* no fact decides */
};

struct cedar_set {
	struct compiled *policies; /* links and static policies, no templates */
	size_t count;
	uint32_t stack; /* values that the hungriest program needs */
	struct set_index index;
};

/* Does what the head of a policy says of one variable hold? */
bool scope_holds(
	const struct cedar_entities *entities, const struct scope *s, const struct cedar_uid *uid);

int set_index_build(struct arena *a, struct cedar_set *s) MUST_USE;

/* The policies that could apply or fail, ascending, in the request's arena. */
int set_index_candidates(const struct eval *e, const struct cedar_set *s, const uint32_t **ret,
	size_t *ret_count) MUST_USE;
