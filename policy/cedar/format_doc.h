/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Documents that can be laid out on one line or on many, after Wadler ("A prettier printer"): a
 * group stands on one line if it fits together with what follows it up to the next line break.
 * NULL is the empty document everywhere.
 */
#pragma once

#include "daemon/base/base.h"

struct doc;

/* Beyond the arena `failed` is set, and what is made is not to be used. */
struct docs {
	struct arena *arena;
	bool failed;
};

const struct doc *doc_text(struct docs *d, struct span text); /* kept, not copied */
const struct doc *doc_line(struct docs *d); /* a blank on one line, else a line break */
const struct doc *doc_soft(struct docs *d); /* nothing on one line, else a line break */
const struct doc *doc_hard(struct docs *d); /* a line break: forbids one line to groups */
const struct doc *doc_nest(struct docs *d, int blanks, const struct doc *of);
const struct doc *doc_group(struct docs *d, const struct doc *of);

/* *doc and then `next`, in place of *doc. */
void doc_add(struct docs *d, const struct doc **doc, const struct doc *next);

int doc_render(struct docs *d, const struct doc *doc, size_t columns, struct buf *b) MUST_USE;

/* Columns that the text takes on a terminal. */
size_t text_width(struct span utf8);
