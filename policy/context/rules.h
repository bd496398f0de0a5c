/* SPDX-License-Identifier: AGPL-3.0-only */
/* Inside of policy/context: what a sealed rule set consists of. */
#pragma once

#include "policy/context/context.h"

enum rule_kind {
	RULE_DENY_TOOL, /* forbid before permit: the order of the enum is the order in the set */
	RULE_ALLOW_TOOL,
	RULE_ALLOW_PATH,
	RULE_ALLOW_COMMAND,
	RULE_RATE_LIMIT,
	RULE_KINDS,
};

struct rule {
	enum rule_kind kind;
	struct span id; /* origin field; the policy id of decisions */
	struct span file;
	int line;
	struct span pattern; /* tool pattern, path glob or command name */
	struct span action; /* RULE_ALLOW_PATH */
	const struct span *first_args; /* RULE_ALLOW_COMMAND; NULL: any */
	size_t first_arg_count;
	uint32_t calls; /* RULE_RATE_LIMIT */
	int64_t window_ms;
};

struct rule_set {
	int refs; /* atomic */
	struct arena *arena;
	struct rule *rules; /* grouped by kind */
	size_t count;
	size_t first[RULE_KINDS + 1]; /* rules of kind k: [first[k], first[k + 1]) */
	struct span text;
	struct span hash;
};

bool glob_is_plain(struct span glob);
/* Plain: the folder and everything below it. Otherwise the glob. */
bool path_rule_match(struct span pattern, struct span path);
bool tool_pattern_match(struct span pattern, struct span name);
