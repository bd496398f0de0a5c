/* SPDX-License-Identifier: AGPL-3.0-only */
/* The smallest security context that permits what a recording was permitted. */
#pragma once

#include "tools/aegis-audit/tool.h"

enum {
	LEARN_QUESTIONS_MAX = 200 * 1000, /* different ones */
	LEARN_GRANTS_MAX = 128,
	LEARN_ENTRIES_MAX = 1024, /* of one list of a capability: what the configuration accepts */
};

struct learn_grant {
	const char *tool;
	bool with_path, with_domain;
	const char **paths, **domains;
	struct rule_command *commands; /* first_args belong to the grant */
	size_t path_count, domain_count, command_count;
};

struct learn {
	struct arena *arena; /* of questions and grants */
	struct arena *ask; /* of one decision */
	struct map known; /* questions, as text */
	const struct decision_request **questions;
	size_t count;
	bool *beyond; /* of each question: no context can permit it */
	size_t beyond_count;
	struct learn_grant grants[LEARN_GRANTS_MAX];
	size_t grant_count;
	const char *name; /* of the context */
};

/* Takes an allowed question in, once. */
int learn_question(struct learn *l, const struct decision_request *q) MUST_USE;
/* Adds grants until each question is permitted, or known to be beyond; then takes out again what is
 * not needed. */
int learn_solve(struct learn *l) MUST_USE;
/* The context so far; lives in the arena. */
int learn_context(struct learn *l, struct rule_context *ret) MUST_USE;
/* How many questions a set denies that are not beyond; *ret_first is one of them. */
int learn_denied(
	struct learn *l, const struct rule_set *set, size_t *ret, size_t *ret_first) MUST_USE;

/* The context as an operator writes it, an item of spec.security_contexts. */
void learn_put_yaml(struct buf *b, const struct rule_context *c, const char *description);

/* Lines of `new` against those of `old`, three of context around each change; nothing if they are
 * equal. */
int diff_put(struct buf *b, const char *old_name, struct span old, const char *new_name,
	struct span new) MUST_USE;
