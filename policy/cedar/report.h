/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Findings of a validation, each once, whatever number of environments it is found in. At most
 * LIMIT_CEDAR_FINDINGS are kept; that there were more is then said in the last one.
 */
#pragma once

#include "policy/cedar/ast.h"

struct report_item {
	struct cedar_finding shown;
	uint32_t pos;
	size_t policy_number;
};

struct report {
	struct arena *arena; /* that findings live in */
	const struct cedar_policy *policy; /* the one looked at */
	struct report_item *items;
	size_t count, capacity;
	size_t policy_number; /* policies looked at before this one */
	bool errors; /* there is one that is no warning */
	bool no_memory;
};

/* A place without a position (0, or a policy that is not from text) is that of the policy. */
void cedar_report_error(struct report *r, uint32_t pos, const char *fmt, ...) PRINTF_LIKE(3, 4);
void cedar_report_warning(struct report *r, uint32_t pos, const char *fmt, ...) PRINTF_LIKE(3, 4);

int report_finish(struct report *r, struct cedar_validation *ret) MUST_USE;

/* The expression as text, cut where it is long; valid until the arena goes. "" beyond it. */
const char *report_expr(struct arena *a, const struct expr *e);
