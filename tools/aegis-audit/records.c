/* SPDX-License-Identifier: AGPL-3.0-only */
/* tail and show: records as they stand in the journal. */
#include "tools/aegis-audit/tool.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { POLL_MS = 200 };

static bool wanted(const struct tool *t, const struct audit_record *r)
{
	if (!uuid_is_nil(t->execution) && !uuid_eq(t->execution, r->execution_id))
		return false;
	if (t->source >= 0 && t->source != (int)r->source)
		return false;
	return !t->kind || span_is(r->kind, t->kind);
}

/* With a filter the last `lines` matches may lie anywhere: their numbers are gathered first. */
static int first_of_tail(const struct tool *t, struct audit_reader *reader, uint64_t *ret)
{
	uint64_t *ring = calloc(t->lines + 1, sizeof(*ring));
	uint64_t matches = 0;
	struct audit_record r = {0};
	int outcome = ring ? audit_reader_seek(reader, 1) : err_raise(-ENOMEM, "out of memory");

	while (outcome == 0) {
		outcome = audit_reader_next(reader, &r);
		if (outcome == 0 && wanted(t, &r))
			ring[matches++ % (t->lines + 1)] = r.number;
	}
	if (outcome > 0) {
		uint64_t skip = matches > t->lines ? matches - t->lines : 0;
		*ret = skip < matches ? ring[skip % (t->lines + 1)] : r.number + 1;
	}
	free(ring);
	return outcome < 0 ? err_trace(outcome) : 0;
}

static bool is_filtered(const struct tool *t)
{
	return !uuid_is_nil(t->execution) || t->source >= 0 || t->kind;
}

static int seek_tail(const struct tool *t, struct audit_reader *reader)
{
	uint64_t first = 0;
	uint64_t newest = 0;
	int r;

	if (is_filtered(t)) {
		r = first_of_tail(t, reader, &first);
	} else {
		r = audit_reader_newest(reader, &newest);
		first = newest >= t->lines ? newest - t->lines + 1 : 1;
	}
	if (r == 0)
		r = audit_reader_seek(reader, MAX(first, (uint64_t)1));
	return r < 0 ? err_trace(r) : 0;
}

int verb_tail(struct tool *t)
{
	struct audit_reader *reader;
	struct audit_record record;
	const struct timespec pause = {.tv_nsec = POLL_MS * NS_PER_MS};
	int code = tool_open(t, &reader);

	if (code)
		return code;
	int r = seek_tail(t, reader);
	print_table_header(t);
	while (r == 0) {
		r = audit_reader_next(reader, &record);
		if (r == 0 && wanted(t, &record) && !print_record(t, &record, false))
			break;
		if (r == AUDIT_END && t->follow) {
			fflush(stdout);
			nanosleep(&pause, NULL);
			r = 0;
		}
	}
	audit_reader_close(reader);
	return r < 0 ? tool_fail_errno(r) : CLI_OK;
}

static int show_number(struct tool *t, struct audit_reader *reader, uint64_t number)
{
	struct audit_record record;
	int r = audit_reader_seek(reader, number);

	if (r == 0)
		r = audit_reader_next(reader, &record);
	if (r == AUDIT_END)
		return tool_fail(
			CLI_NOT_FOUND, "no record %llu in %s", (unsigned long long)number, t->dir);
	if (r < 0)
		return tool_fail_errno(r);
	print_table_header(t);
	print_record(t, &record, true);
	return CLI_OK;
}

static bool has_event_id(const struct audit_record *r, const char *id)
{
	struct arena *a CLEANUP(arena_cleanup) = arena_new(16 * (size_t)LIMIT_AUDIT_PAYLOAD_BYTES);
	const struct json *v;

	if (r->source != AUDIT_EVENT || !a)
		return false;
	if (json_parse(a, r->payload, NULL, &v) < 0) {
		err_clear();
		return false;
	}
	return span_is(json_str(v, "id", SPAN("")), id);
}

/* By the number of a row in the event table, or by a UUID: of an event or of a call, which may have
 * several records. */
static int show_search(
	struct tool *t, struct audit_reader *reader, uint64_t event, const struct uuid *id)
{
	char text[UUID_TEXT_BYTES] = "";
	struct audit_record r;
	int found = 0;
	int outcome;

	if (id)
		uuid_text(*id, text);
	while ((outcome = audit_reader_next(reader, &r)) == 0) {
		bool match = id ? uuid_eq(r.call_id, *id) || has_event_id(&r, text)
				: r.source == AUDIT_EVENT && r.event_number == event;
		if (!match)
			continue;
		if (found++ == 0)
			print_table_header(t);
		if (!print_record(t, &r, true))
			return CLI_OK;
	}
	if (outcome < 0)
		return tool_fail_errno(outcome);
	return found ? CLI_OK
		     : tool_fail(CLI_NOT_FOUND, "nothing in %s for %s", t->dir, t->args[0]);
}

int verb_show(struct tool *t)
{
	struct span what = span_cstr(t->args[0]);
	struct span event = SPAN("event:");
	struct audit_reader *reader;
	struct uuid id;
	uint64_t number;
	int code;

	bool is_number = span_to_u64(what, &number) == 0;
	bool is_event = !is_number && span_starts(what, event) &&
		span_to_u64(span_sub(what, event.n, what.n), &number) == 0;
	bool is_id = !is_number && !is_event && uuid_parse(what, &id) == 0;
	if (!is_number && !is_event && !is_id)
		return tool_fail(CLI_INVALID,
			"'%s': accepted is the number of a record, event:NUMBER of the event "
			"table, "
			"or the UUID of an event or of a call",
			t->args[0]);
	code = tool_open(t, &reader);
	if (code)
		return code;
	if (is_number)
		code = show_number(t, reader, number);
	else
		code = show_search(t, reader, number, is_id ? &id : NULL);
	audit_reader_close(reader);
	return code;
}
