/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Fields of a document from both sides: what stands just inside a range is accepted, what stands
 * just outside is refused, at its field, with what would be accepted. LINK test_ranges.
 */
#pragma once

#include "daemon/base/base.h"

struct range {
	const char *path; /* what a refusal names */
	const char *text; /* the document; "%s" stands for the value */
	const char *good, *bad; /* values, parted by " | " */
	const char *says; /* part of each refusal */
};

/* Whether the document is accepted; its report goes to `ret_report`. */
typedef bool (*range_judge)(struct span document, struct buf *ret_report);

/* Prints what is decided otherwise, and returns how often. */
int ranges_wrong(const struct range *rows, size_t count, range_judge judge);
