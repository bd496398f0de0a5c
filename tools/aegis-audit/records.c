/* SPDX-License-Identifier: AGPL-3.0-only */
/* tail, show and search: records as they stand in the journal. */
#include "tools/aegis-audit/tool.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { POLL_MS = 200, LINES_MAX = 1000 };

/* With a filter the last `lines` matches may lie anywhere: their numbers are gathered first. */
static int first_of_tail(
	const struct tool *t, struct arena *a, struct audit_reader *reader, uint64_t *ret)
{
	uint64_t *ring = calloc(t->lines + 1, sizeof(*ring));
	uint64_t matches = 0;
	struct audit_record r = {0};
	int outcome = ring ? audit_reader_seek(reader, 1) : err_raise(-ENOMEM, "out of memory");

	while (outcome == 0) {
		outcome = audit_reader_next(reader, &r);
		if (outcome == 0 && filter_takes(&t->filter, a, &r))
			ring[matches++ % (t->lines + 1)] = r.number;
	}
	if (outcome > 0) {
		uint64_t skip = matches > t->lines ? matches - t->lines : 0;
		*ret = skip < matches ? ring[skip % (t->lines + 1)] : r.number + 1;
	}
	free(ring);
	return outcome < 0 ? err_trace(outcome) : 0;
}

static int seek_tail(const struct tool *t, struct arena *a, struct audit_reader *reader)
{
	uint64_t first = 0;
	uint64_t newest = 0;
	int r;

	if (!filter_is_any(&t->filter)) {
		r = first_of_tail(t, a, reader, &first);
	} else {
		r = audit_reader_newest(reader, &newest);
		first = newest >= t->lines ? newest - t->lines + 1 : 1;
	}
	if (r == 0)
		r = audit_reader_seek(reader, MAX(first, (uint64_t)1));
	return r < 0 ? err_trace(r) : 0;
}

static int tail(struct tool *t)
{
	struct arena *a CLEANUP(arena_cleanup) = facts_arena();
	struct audit_reader *reader;
	struct audit_record record;
	const struct timespec pause = {.tv_nsec = POLL_MS * NS_PER_MS};
	int code = a ? tool_open(t, &reader) : tool_fail_errno(-ENOMEM);

	if (code)
		return code;
	int r = seek_tail(t, a, reader);
	print_table_header(t);
	while (r == 0) {
		r = audit_reader_next(reader, &record);
		if (r == 0 && filter_takes(&t->filter, a, &record) &&
			!print_record(t, &record, false))
			break;
		if (r == AUDIT_END && cli_value(t->cli, "follow")) {
			fflush(stdout);
			nanosleep(&pause, NULL);
			r = 0;
		}
	}
	audit_reader_close(reader);
	return r < 0 ? tool_fail_errno(r) : CLI_OK;
}

static int run_tail(struct cli *c)
{
	struct tool t;
	int code = tool_begin(&t, c);

	if (code == CLI_OK)
		code = tool_number(&t, "lines", 0, LINES_MAX, &t.lines);
	if (code == CLI_OK)
		code = tail(&t);
	tool_end(&t);
	return code;
}

static const struct cli_option tail_options[] = {
	{"follow", 'f', NULL, "Wait for new records", NULL},
	{"lines", 'n', "N", "How many at most (20)", NULL},
	FILTER_OPTIONS,
};

const struct verb verb_tail = {
	.name = "tail",
	.arguments = "",
	.options = tail_options,
	.summary = "Print the newest records",
	.help = "Prints the newest records that the filters take, one a line; with -f also those "
		"that\n"
		"come.",
	.examples =
		"aegis-audit tail -f --kind ToolPolicyViolation\n"
		"aegis-audit tail -n 1000 --output json | jq 'select(.payload.details.decision)'",
	.run = run_tail,
};

/* ---- show ---- */

typedef bool (*named_fn)(void *ctx, const struct audit_record *r);

static int each_number(
	const struct tool *t, struct audit_reader *reader, uint64_t number, named_fn fn, void *ctx)
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
	fn(ctx, &record);
	return CLI_OK;
}

static bool has_event_id(struct arena *a, const struct audit_record *r, const char *id)
{
	return r->source == AUDIT_EVENT &&
		span_is(json_str(facts_of(a, r).payload, "id", SPAN("")), id);
}

/* By the number of a row in the event table, or by a UUID: of an event or of a call, which may have
 * several records. */
static int each_search(const struct tool *t, struct audit_reader *reader, uint64_t event,
	const struct uuid *id, const char *name, named_fn fn, void *ctx)
{
	struct arena *a CLEANUP(arena_cleanup) = facts_arena();
	char text[UUID_TEXT_BYTES] = "";
	struct audit_record r;
	bool found = false, execution = false;
	int outcome = a ? 0 : -ENOMEM;

	if (id)
		uuid_text(*id, text);
	while (outcome == 0 && (outcome = audit_reader_next(reader, &r)) == 0) {
		execution |= id && uuid_eq(r.execution_id, *id);
		bool match = id ? uuid_eq(r.call_id, *id) || has_event_id(a, &r, text)
				: r.source == AUDIT_EVENT && r.event_number == event;
		if (!match)
			continue;
		found = true;
		if (!fn(ctx, &r))
			return CLI_OK;
	}
	if (outcome < 0)
		return tool_fail_errno(outcome);
	if (!found && execution)
		return tool_fail(CLI_NOT_FOUND,
			"%s is an execution; its records: aegis-audit search --execution %s "
			"(--denied for what it was refused)",
			name, name);
	return found ? CLI_OK : tool_fail(CLI_NOT_FOUND, "nothing in %s for %s", t->dir, name);
}

int each_named(const struct tool *t, const char *name, named_fn fn, void *ctx)
{
	struct span what = span_cstr(name);
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
			name);
	code = tool_open(t, &reader);
	if (code)
		return code;
	if (is_number)
		code = each_number(t, reader, number, fn, ctx);
	else
		code = each_search(t, reader, number, is_id ? &id : NULL, name, fn, ctx);
	audit_reader_close(reader);
	return code;
}

struct show {
	const struct tool *tool;
	bool any;
};

static bool show_one(void *ctx, const struct audit_record *r)
{
	struct show *s = ctx;

	if (!s->any)
		print_table_header(s->tool);
	s->any = true;
	return print_record(s->tool, r, true);
}

static int run_show(struct cli *c)
{
	struct tool t;
	struct show s = {.tool = &t};
	int code = tool_begin(&t, c);

	if (code == CLI_OK)
		code = each_named(&t, c->args[0], show_one, &s);
	tool_end(&t);
	return code;
}

const struct verb verb_show = {
	.name = "show",
	.arguments = "RECORD",
	.min_args = 1,
	.max_args = 1,
	.summary = "Show one record whole",
	.help = "RECORD is its number, event:NUMBER of the event table, or the UUID of an event or "
		"of\n"
		"a call, which may have several records.",
	.examples = "aegis-audit show 1204 --output yaml\naegis-audit show event:17",
	.run = run_show,
};

/* ---- search ---- */

/* The newest come first, and the reader goes forward only: the last matches are kept as text. */
struct newest {
	struct buf *texts; /* a ring */
	uint64_t matches;
	size_t bytes;
};

enum { SEARCH_BYTES = 512 * 1024 * 1024 }; /* of the texts kept */

static int keep(struct newest *n, const struct tool *t, const struct audit_record *r)
{
	struct buf *slot = &n->texts[n->matches % t->lines];

	n->matches++;
	n->bytes -= slot->len;
	buf_fini(slot);
	*slot = buf_init(2 * (size_t)RECORD_TEXT_BYTES);
	int res = put_record(slot, t, r, false);
	n->bytes += slot->len;
	if (res < 0)
		return err_trace(res);
	return n->bytes <= SEARCH_BYTES ? 0
					: err_raise(-E2BIG,
						  "the records found are more than %d MiB: use a "
						  "smaller --limit, or --oldest",
						  SEARCH_BYTES >> 20);
}

static void print_newest(struct newest *n, const struct tool *t)
{
	for (uint64_t i = n->matches; i > 0 && n->matches - i < t->lines; i--)
		if (!tool_write(buf_view(&n->texts[(i - 1) % t->lines])))
			return;
}

static int search(
	const struct tool *t, struct arena *a, struct audit_reader *reader, struct newest *n)
{
	struct audit_record r;
	bool oldest = cli_value(t->cli, "oldest");
	int outcome = audit_reader_seek(reader, 1);

	while (outcome == 0 && (!oldest || n->matches < t->lines)) {
		outcome = audit_reader_next(reader, &r);
		if (outcome != 0 || !filter_takes(&t->filter, a, &r))
			continue;
		if (!oldest) {
			outcome = keep(n, t, &r);
		} else {
			n->matches++;
			if (!print_record(t, &r, false))
				break;
		}
	}
	return outcome < 0 ? err_trace(outcome) : 0;
}

static int search_all(struct tool *t)
{
	struct arena *a CLEANUP(arena_cleanup) = facts_arena();
	struct newest n = {.texts = calloc(t->lines + 1, sizeof(*n.texts))};
	struct audit_reader *reader = NULL;
	int code = a && n.texts ? tool_open(t, &reader) : tool_fail_errno(-ENOMEM);

	if (code == CLI_OK) {
		print_table_header(t);
		int r = search(t, a, reader, &n);
		if (r == 0 || r == -EUCLEAN) /* what stands before damage is still of use */
			print_newest(&n, t);
		code = r < 0        ? tool_fail_errno(r)
			: n.matches ? CLI_OK
				    : tool_fail(CLI_NOT_FOUND, "no such record in %s", t->dir);
		if (r == 0 && !n.matches)
			hint_at_names(t);
	}
	audit_reader_close(reader);
	for (uint64_t i = 0; n.texts && i < t->lines; i++)
		buf_fini(&n.texts[i]);
	free(n.texts);
	return code;
}

static int run_search(struct cli *c)
{
	struct tool t;
	int code = tool_begin(&t, c);

	if (code == CLI_OK)
		code = tool_number(&t, "limit", 1, LINES_MAX, &t.lines);
	if (code == CLI_OK)
		code = search_all(&t);
	tool_end(&t);
	return code;
}

static const struct cli_option search_options[] = {
	{"limit", 'n', "N", "How many at most (20)", NULL},
	{"oldest", 0, NULL, "Oldest first", NULL},
	FILTER_OPTIONS,
};

const struct verb verb_search = {
	.name = "search",
	.arguments = "",
	.options = search_options,
	.summary = "Find records",
	.help = "Prints the records that the filters take, newest first. Exits 1 if there are "
		"none.",
	.examples = "aegis-audit search --denied --from 24h --path /etc\n"
		    "aegis-audit search --agent coder --tool 'fs.*' --verdict allowed\n"
		    "aegis-audit search --destination '*.example.org:443' --output json",
	.run = run_search,
};
