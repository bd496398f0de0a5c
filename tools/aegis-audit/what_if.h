/* SPDX-License-Identifier: AGPL-3.0-only */
/* Other policies in the place of those that were recorded. */
#pragma once

#include "tools/aegis-audit/tool.h"

struct other {
	struct rule_set *files; /* in place of the operators' files, or the whole set */
	bool whole;
	struct map by_hash; /* recorded hash -> the set that takes its place */
};

/* Either `policy` (folder or file) or `set` (file). An exit code; other_close() in any case. */
int other_open(struct other *o, const char *policy, const char *set);
int other_read(const char *file, bool as_written, struct rule_set **ret);
void other_close(struct other *o);
/* What takes the place of the recorded set; borrowed. KEPT_NOT_HERE. */
int other_set(
	struct other *o, struct kept_sets *sets, struct span hash, struct rule_set **ret) MUST_USE;
