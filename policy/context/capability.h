/* SPDX-License-Identifier: AGPL-3.0-only */
/* Inside of policy/context: what the two readers of security contexts share. */
#pragma once

#include "policy/context/rules.h"

/* The built-in tools that touch files, and how: their calls end as fs:read and fs:write. */
struct file_tool {
	const char *name;
	bool reads, writes;
};

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
