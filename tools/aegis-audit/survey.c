/* SPDX-License-Identifier: AGPL-3.0-only */
/* One pass over the whole journal, for what later records need to be understood. */
#include "tools/aegis-audit/tool.h"
#include "daemon/schema/schema.h"

#include <errno.h>
#include <stdlib.h>

/* End and damage alike: the verb that follows meets the damage, and says so. */
static int settle(int r)
{
	if (r >= 0 || r == -EUCLEAN) {
		err_clear();
		return CLI_OK;
	}
	return tool_fail_errno(r);
}

int survey(const struct tool *t, struct runs *runs, struct kept_sets *sets)
{
	struct arena *a CLEANUP(arena_cleanup) = facts_arena();
	struct audit_reader *reader = NULL;
	struct audit_record record;
	int code = a ? tool_open(t, &reader) : tool_fail_errno(-ENOMEM);

	if (code)
		return code;
	int r = audit_reader_seek(reader, 1);
	while (r == 0 && (r = audit_reader_next(reader, &record)) == 0) {
		if (runs)
			r = runs_note(runs, a, &record);
		if (r == 0 && sets)
			r = kept_note(sets, a, &record);
	}
	audit_reader_close(reader);
	return settle(r);
}

static bool is_known(const char *kind)
{
	for (size_t i = 0; audit_kinds[i]; i++)
		if (strcmp(audit_kinds[i], kind) == 0)
			return true;
	return false;
}

int survey_kind(const struct tool *t, const char *kind)
{
	struct audit_reader *reader = NULL;
	struct audit_record record;
	bool found = is_known(kind);
	int code = found ? CLI_OK : tool_open(t, &reader);

	if (found || code)
		return code;
	int r = audit_reader_seek(reader, 1);
	while (r == 0 && !found && (r = audit_reader_next(reader, &record)) == 0)
		found = span_is(record.kind, kind);
	audit_reader_close(reader);
	code = settle(found ? 0 : r);
	if (found || code)
		return code;
	const char *nearest = table_nearest(kind, audit_kinds);
	return tool_fail(CLI_INVALID,
		"--kind %s: nothing of that kind is written%s%s%s; accepted: the kind of a record, "
		"as `aegis-audit stats` lists them",
		kind, nearest ? ", did you mean " : "", nearest ? nearest : "", nearest ? "?" : "");
}
