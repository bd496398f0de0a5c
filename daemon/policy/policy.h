/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The node's policy: what operators wrote in policy.d (*.cedar, with *.cedarschema that declare
 * further tools) and in the configuration's security contexts. It is read as one validated set: a
 * mistake anywhere refuses the whole, with file, line and column, and what held before goes on to
 * hold.
 *
 * A snapshot is immutable and shared by reference count. An execution or a session gets a rule set
 * of its own, made from the snapshot that holds when it starts: the files' policies, its security
 * context, and what its manifest allows. The files' policies are compiled once, with the snapshot,
 * and shared by all these sets. When another snapshot holds, it goes over to a new set.
 */
#pragma once

#include "daemon/config/config.h"
#include "daemon/rt/rt.h"
#include "policy/context/context.h"

struct policy_snapshot;

enum policy_outcome {
	POLICY_INVALID = 1, /* *findings has the mistakes, each with file, line and column */
	POLICY_NO_CONTEXT = 2, /* no security context has that name */
};

/* Reads the folder and the contexts of `c` (NULL: neither, unless a folder is given). A folder that
 * is absent counts as empty if it is the default one; `directory` NULL means the configuration's.
 * Blocking, and needs 1 MiB of stack: for start-up, tools and offload threads. Findings may be
 * warnings even at 0. */
int policy_load(const char *directory, const struct config *c, struct buf *findings,
	struct policy_snapshot **ret) MUST_USE;
struct policy_snapshot *policy_ref(struct policy_snapshot *s);
struct policy_snapshot *policy_unref(struct policy_snapshot *s); /* always NULL */

const char *policy_directory(const struct policy_snapshot *s);
/* The files' policies alone. */
const struct rule_set *policy_rules(const struct policy_snapshot *s);

size_t policy_context_count(const struct policy_snapshot *s);
const struct rule_context *policy_context_at(const struct policy_snapshot *s, size_t index);
const struct rule_context *policy_context_find(const struct policy_snapshot *s, struct span name);

/* A builder with the files' policies and the named context. As a ceiling, an empty name means the
 * context `default` if there is one, else none. POLICY_NO_CONTEXT. */
int policy_builder(const struct policy_snapshot *s, struct span context, enum rule_context_use use,
	struct rule_set_builder **ret) MUST_USE;

/* ---- the one that holds, on its home worker ---- */

struct policies;
/* Loads the first snapshot as policy_load(NULL, c) does. POLICY_INVALID. */
AWAITS int policies_open(struct offload *files, const struct config *c, struct buf *findings,
	struct policies **ret, int64_t deadline_ns) MUST_USE;
struct policies *policies_free(struct policies *p); /* NULL is allowed; always NULL */
struct policy_snapshot *policies_current(const struct policies *p); /* a reference for the caller */
int64_t policies_loaded_at_ns(const struct policies *p); /* wall clock */

/* Loads again with the given configuration. POLICY_INVALID: the old snapshot stays. */
AWAITS int policies_reload(struct policies *p, const struct config *c, struct buf *findings,
	int64_t deadline_ns) MUST_USE;

/* Seals on an offload thread, whose stack is large enough for operators' policies. */
AWAITS int policies_seal(struct policies *p, struct rule_set_builder *b, struct rule_set **ret,
	int64_t deadline_ns) MUST_USE;

/* The set that a stored text describes, sharing what it can with the snapshot that holds; on an
 * offload thread, too. */
AWAITS int policies_load_set(
	struct policies *p, struct span text, struct rule_set **ret, int64_t deadline_ns) MUST_USE;

/* A set for a caller that has nothing but a security context. POLICY_NO_CONTEXT. */
AWAITS int policies_context_set(struct policies *p, struct span context, struct rule_set **ret,
	int64_t deadline_ns) MUST_USE;
