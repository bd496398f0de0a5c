/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * For a program that asks many times: entities and values made in memory instead of read from JSON,
 * and a compiled set asked about itself. What cedar.h says of memory and errors holds here too.
 */
#pragma once

#include "policy/cedar/entities.h"

/* Entities whose ancestors are all given: no parents are followed. Takes over `items`, whose
 * ancestors are put in order; attrs may be NULL. Names twice: -EINVAL. */
int cedar_entities_make(struct arena *a, struct entity *items, size_t count,
	const struct cedar_entities **ret) MUST_USE;

/* cedar_uid_of() with a type whose part of the hash is known. */
struct cedar_type_name {
	struct span name;
	uint64_t hash;
};
struct cedar_type_name cedar_type_name_of(struct span name);
struct cedar_uid cedar_uid_with(const struct cedar_type_name *type, struct span id);

/* cedar_policies_parse() of a text that goes on where one of `first` policies ended: its own are
 * named "policyFIRST" and so on. */
int cedar_policies_parse_from(
	struct arena *a, struct span text, size_t first, struct cedar_policies *ret) MUST_USE;

/* The policies of a set, in its order: links and static ones. */
size_t cedar_set_count(const struct cedar_set *s);
const struct cedar_policy *cedar_set_policy(const struct cedar_set *s, size_t index);

/* Byte offset of a policy in the text that it was read from. */
uint32_t cedar_policy_position(const struct cedar_policy *p);

/* The names of entities that stand in policies, each once, in order of their hashes. An entity that
 * is not among them can be left out of every list of ancestors. */
int cedar_policies_names(struct arena *a, const struct cedar_policies *policies,
	const struct cedar_uid *const **ret, size_t *ret_count) MUST_USE;

/* Does what stands in the head of a policy hold? */
bool cedar_policy_meets_action(const struct cedar_policy *p, const struct cedar_entities *entities,
	const struct cedar_uid *action);
bool cedar_policy_meets_scope(const struct cedar_policy *p, const struct cedar_entities *entities,
	const struct cedar_request *request);

enum cedar_fate {
	CEDAR_SATISFIED,
	CEDAR_OTHER_PRINCIPAL,
	CEDAR_OTHER_ACTION,
	CEDAR_OTHER_RESOURCE,
	CEDAR_CONDITION_FALSE,
	CEDAR_FAILED,
};

/* Why a policy did or did not apply. */
struct cedar_verdict {
	const struct cedar_policy *policy;
	enum cedar_fate fate;
	struct span detail; /* CEDAR_CONDITION_FALSE: the first part of the conditions that is
			       false, as text; CEDAR_FAILED: the message */
};

/* One verdict for each policy of the set, in its order. Far slower than a decision. */
int cedar_explain(struct arena *a, const struct cedar_set *s, const struct cedar_entities *entities,
	const struct cedar_request *request, struct cedar_verdict **ret) MUST_USE;
