/* SPDX-License-Identifier: AGPL-3.0-only */
/* Inside of policy/context: what the two readers of security contexts share. */
#pragma once

#include "policy/context/rules.h"

bool pattern_touches_files(struct span pattern, bool writing);

/* A capability with one spelling for each entry. */
int capability_canonical(const struct rule_capability *c, struct rule_origin o, struct arena *a,
	struct rule_capability *ret) MUST_USE;

/* An entry of a deny_list. At most one of the last three is set. */
struct deny_entry {
	const char *pattern;
	const char *path;
	const char *command;
	const char *domain;
};
int deny_entry_parse(
	const char *entry, struct rule_origin o, struct arena *a, struct deny_entry *ret) MUST_USE;

/* The field that is being turned into policies. */
struct naming {
	struct rule_set_builder *b;
	char field[RULE_ORIGIN_BYTES];
	struct rule_origin origin;
};

/* "spec.security_contexts.NAME" + what + "[i]"; `what` empty: the context itself. */
void context_name(
	struct naming *n, const struct rule_context *c, const char *what, size_t i, int line);

bool capability_is_wide(const struct rule_capability *c); /* of all tools */
bool capability_runs_commands(const struct rule_capability *c);
/* Tools of the web reach the net; what they may reach by name, a program in the sandbox may. */
bool capability_reaches_net(const struct rule_capability *c);

/* The commands as one parenthesis. */
int capability_put_commands(
	struct buf *b, const struct rule_capability *c, struct rule_origin o) MUST_USE;
/* " && " and the constraints on a tool call. */
int capability_put_constraints(
	struct buf *b, const struct rule_capability *c, struct rule_origin o) MUST_USE;
void capability_put_accepted_commands(struct buf *b, const struct rule_capability *c);
/* The code that a denial for want of this capability gets, and what is accepted. */
enum decision_code capability_constraint(const struct rule_capability *c, struct buf *accepts);

/* The capabilities are canonical. */
int capability_grant(struct naming *n, const struct rule_capability *c) MUST_USE;
int context_ceiling(struct naming *n, const struct rule_context *c,
	const struct rule_capability *list) MUST_USE;
int context_deny(struct naming *n, const char *entry, struct arena *a) MUST_USE;
