/* SPDX-License-Identifier: AGPL-3.0-only */
#include "tests/unit/ranges.h"
#include <stdio.h>

static bool is_accepted(
	const struct range *row, struct span value, range_judge judge, struct buf *report)
{
	struct buf document CLEANUP(buf_fini) = buf_init(1 << 16);
	const char *at = strstr(row->text, "%s");
	CHECK(at);
	buf_put(&document, row->text, (size_t)(at - row->text));
	buf_put(&document, value.p, value.n);
	buf_puts(&document, at + 2);
	return judge(buf_view(&document), report);
}

static bool next_value(const char **rest, struct span *ret)
{
	const char *gap = strstr(*rest, " | ");
	size_t n = gap ? (size_t)(gap - *rest) : strlen(*rest);
	*ret = span_of(*rest, n);
	*rest += n + (gap ? 3 : 0);
	return ret->n > 0;
}

static bool is_refused_well(const struct range *row, struct span value, range_judge judge)
{
	struct buf report CLEANUP(buf_fini) = buf_init(1 << 16);
	char where[160];
	bool accepted = is_accepted(row, value, judge, &report);
	snprintf(where, sizeof(where), ": %s: ", row->path);
	const char *text = report.len ? buf_cstr(&report) : "";
	if (!accepted && strstr(text, where) && strstr(text, row->says))
		return true;
	printf("# %s: " SPAN_FMT " should be refused with \"%s\": %s\n", row->path, SPAN_ARG(value),
		row->says, text);
	return false;
}

static bool is_taken(const struct range *row, struct span value, range_judge judge)
{
	struct buf report CLEANUP(buf_fini) = buf_init(1 << 16);
	if (is_accepted(row, value, judge, &report))
		return true;
	printf("# %s: " SPAN_FMT " is refused: %s\n", row->path, SPAN_ARG(value),
		report.len ? buf_cstr(&report) : "");
	return false;
}

int ranges_wrong(const struct range *rows, size_t count, range_judge judge)
{
	int wrong = 0;
	struct span value;
	for (size_t i = 0; i < count; i++) {
		for (const char *rest = rows[i].good; next_value(&rest, &value);)
			wrong += !is_taken(&rows[i], value, judge);
		for (const char *rest = rows[i].bad; next_value(&rest, &value);)
			wrong += !is_refused_well(&rows[i], value, judge);
	}
	return wrong;
}
