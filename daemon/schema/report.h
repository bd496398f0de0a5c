/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * What is wrong with a document. Checks go on after the first finding and collect up to
 * LIMIT_REPORT_FINDINGS of them, in the order of the document; further ones are only counted.
 * A finding reads:
 *
 *	agent.yaml:12:21: spec.execution.max_iterations: 25 is out of range; accepted: 1 to 20
 *	agent.yaml:14:3: spec.exection: unknown field; did you mean "execution"?
 */
#pragma once

#include "daemon/base/base.h"

struct report_place {
	int line; /* 1-based; 0: the document as a whole */
	int column; /* 1-based, in characters */
};

enum report_level {
	REPORT_ERROR, /* the document is refused */
	REPORT_WARNING, /* accepted, but worth a word: an old name, a value without effect */
};

struct report_finding {
	enum report_level level;
	struct report_place at;
	const char *path; /* "spec.tools[2].name"; "" for the whole document */
	const char *message; /* what is wrong, and what would be accepted */
};

struct report {
	struct arena *arena; /* holds the texts, and the documents parsed under this report */
	const char *file; /* as the user named it */
	size_t count; /* findings kept */
	size_t error_count; /* all errors, kept or not */
	size_t warning_count;
	struct report_finding *findings;
};

/* `file` is copied. */
int report_init(struct report *r, struct arena *a, const char *file) MUST_USE; /* -ENOMEM */

void report_error(struct report *r, struct report_place at, const char *path, const char *fmt, ...)
	PRINTF_LIKE(4, 5);
void report_warning(struct report *r, struct report_place at, const char *path, const char *fmt,
	...) PRINTF_LIKE(4, 5);

/* Adds the findings of `from`, copied: its arena may go. */
void report_take(struct report *r, const struct report *from);

static inline bool report_ok(const struct report *r)
{
	return r->error_count == 0;
}

/* One line per finding, each with a newline; the last says how many were left out, if any. */
void report_text(const struct report *r, struct buf *b);

/* [{"level","file","line","column","path","message"}] */
void report_json(const struct report *r, struct json_writer *w);

/* The first error on one line, with "(and N more)" behind it. */
void report_summary(const struct report *r, struct buf *b);
