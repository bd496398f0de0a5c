/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Regular expressions from outside: what PCRE2 and ECMA-262 share, on UTF-8, under limits of
 * length, nesting, steps and memory (LIMIT_PATTERN_*). A pattern that backtracks without end is an
 * error, never a hang.
 */
#pragma once

#include "daemon/base/base.h"

struct pattern;

/* `whole`: a match must cover the subject. -EINVAL with the reason and the offset; -ENOMEM. */
int pattern_new(struct span source, bool whole, struct pattern **ret) MUST_USE;
struct pattern *pattern_free(struct pattern *p); /* always NULL */
void pattern_cleanup(struct pattern **p); /* for CLEANUP */

enum { PATTERN_NO_MATCH = 1 };

/* `subject` is valid UTF-8. *steps is what the match may cost, and then what is left of it, so that
 * many matches share one budget; NULL: LIMIT_PATTERN_MATCH_STEPS. 0 if it matches,
 * PATTERN_NO_MATCH, -E2BIG if a limit is reached, -ENOMEM. Any thread: a pattern is immutable. */
int pattern_match(const struct pattern *p, struct span subject, int64_t *steps) MUST_USE;
