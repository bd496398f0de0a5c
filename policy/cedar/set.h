/* SPDX-License-Identifier: AGPL-3.0-only */
/* The compiled set of policies. */
#pragma once

#include "policy/cedar/program.h"

struct compiled {
	const struct cedar_policy *policy;
	struct program program;
};

struct cedar_set {
	const struct compiled *policies; /* links and static policies, no templates */
	size_t count;
	uint32_t stack; /* values that the hungriest program needs */
};
