/* SPDX-License-Identifier: AGPL-3.0-only */
/* Inside of daemon/policy: what a snapshot consists of. */
#pragma once

#include "daemon/policy/policy.h"

struct policy_file {
	const char *label; /* "policy.d/net.cedar": how decisions name it */
	struct span text;
	bool schema; /* *.cedarschema */
};

struct policy_snapshot {
	int refs; /* atomic */
	struct arena *arena;
	const char *directory;
	struct policy_file *files; /* by name */
	size_t file_count;
	struct rule_set *rules;
	const struct config *config; /* held for the contexts' texts; may be NULL */
	struct rule_context *contexts;
	size_t context_count;
};

/* Reads the folder. -errno; a mistake is a finding. */
int files_read(struct policy_snapshot *s, bool may_be_absent, struct buf *findings,
	bool *ret_valid) MUST_USE;

/* The configuration's contexts in the words of policy/context. */
int contexts_make(struct policy_snapshot *s, const struct config *c) MUST_USE;
