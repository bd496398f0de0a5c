/* SPDX-License-Identifier: AGPL-3.0-only */
/* Texts that tests expect, told in full when they differ. */
#pragma once

#include "tests/unit/daemon/execution/bench.h"

#define TOOLS "tools: [\"fs.*\", \"cmd.run\"]"

void expect_text(
	const char *actual, const char *wanted, const char *what, const char *file, int line);
#define EXPECT_TEXT(actual, wanted) expect_text((actual), (wanted), #actual, __FILE__, __LINE__)
#define EXPECT_HAS(actual, part) \
	do { \
		const char *has_ = (actual); \
		if (!strstr(has_, (part))) \
			expect_text(has_, "..." part "...", #actual, __FILE__, __LINE__); \
	} while (0)

AWAITS const char *output_of(struct bench *b, struct uuid id);
AWAITS const char *error_of(struct bench *b, struct uuid id);
