/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Suggestions by edit distance: at most a third of the longer name may differ. Names longer than
 * NAME_BYTES_MAX are never suggested, which bounds the work.
 */
#include "policy/cedar/nearest.h"
#include <stdio.h>

enum { NAME_BYTES_MAX = 64 };

static size_t distance(struct span a, struct span b)
{
	size_t row[NAME_BYTES_MAX + 1];
	for (size_t j = 0; j <= b.n; j++)
		row[j] = j;
	for (size_t i = 1; i <= a.n; i++) {
		size_t diagonal = row[0];
		row[0] = i;
		for (size_t j = 1; j <= b.n; j++) {
			size_t changed = diagonal + (a.p[i - 1] != b.p[j - 1]);
			diagonal = row[j];
			row[j] = MIN(row[j], row[j - 1]) + 1;
			row[j] = MIN(row[j], changed);
		}
	}
	return row[b.n];
}

struct nearest nearest_to(struct span wanted)
{
	return (struct nearest){.wanted = wanted, .distance = SIZE_MAX};
}

void nearest_offer(struct nearest *n, struct span candidate)
{
	size_t most = MAX(n->wanted.n, candidate.n) / 3, d;
	if (n->wanted.n > NAME_BYTES_MAX || candidate.n > NAME_BYTES_MAX)
		return;
	/* User for MyApp::User: what is missing is the namespace. */
	if (n->wanted.n > 0 && span_ends(candidate, n->wanted) && candidate.n > n->wanted.n + 2 &&
		candidate.p[candidate.n - n->wanted.n - 1] == ':')
		d = 0;
	else
		d = distance(n->wanted, candidate);
	if (d <= most && d < n->distance) {
		n->distance = d;
		n->best = candidate;
	}
}

const char *nearest_hint(const struct nearest *n, char *bytes, size_t size)
{
	*bytes = '\0';
	if (n->best.n > 0)
		snprintf(bytes, size, "; did you mean `" SPAN_FMT "`?", SPAN_ARG(n->best));
	return bytes;
}
