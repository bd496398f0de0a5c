/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * What to say when nothing was found: an agent or a tool that the journal has never heard of may be
 * misspelt, so those that it knows are looked up, in one pass that nobody else pays for.
 */
#include "tools/aegis-audit/tool.h"
#include "daemon/schema/schema.h"

#include <errno.h>
#include <stdio.h>

enum { NAMES_MAX = 1024, NAMES_BYTES = 1024 * 1024, SHOWN_MAX = 8 };

struct names {
	const char *items[NAMES_MAX + 1]; /* NULL ends */
	size_t count;
	bool met; /* the one that was asked for */
};

static void note(struct names *n, struct arena *a, struct span name)
{
	for (size_t i = 0; i < n->count; i++)
		if (span_is(name, n->items[i]))
			return;
	if (!name.n || n->count == NAMES_MAX)
		return;
	n->items[n->count] = arena_cstr(a, name);
	n->count += n->items[n->count] != NULL;
}

static void note_agent(struct names *n, struct arena *a, const struct facts *f, const char *asked)
{
	const struct span said[] = {json_str(f->request, "agent", SPAN("")),
		json_str(f->details, "agent_name", SPAN(""))};

	for (size_t i = 0; i < ARRAY_LEN(said); i++) {
		n->met |= span_is(said[i], asked);
		note(n, a, said[i]);
	}
}

static void say(const char *option, const char *asked, const char *what, const struct names *n)
{
	const char *nearest = table_nearest(asked, n->items);
	struct buf b CLEANUP(buf_fini) = buf_init(NAMES_BYTES);

	if (n->met)
		return;
	for (size_t i = 0; !nearest && i < MIN(n->count, (size_t)SHOWN_MAX); i++) {
		buf_puts(&b, i ? ", " : "");
		cli_put_safe(&b, span_cstr(n->items[i]), false);
	}
	if (nearest)
		tool_fail(0, "--%s %s: no record names that %s; did you mean %s?", option, asked,
			what, nearest);
	else if (n->count)
		tool_fail(0, "--%s %s: no record names that %s; there are: %s%s", option, asked,
			what, buf_cstr(&b), n->count > SHOWN_MAX ? " and others" : "");
	else
		tool_fail(0, "--%s %s: no record names any %s", option, asked, what);
}

void hint_at_names(const struct tool *t)
{
	const struct filter *f = &t->filter;
	struct arena *facts CLEANUP(arena_cleanup) = facts_arena();
	struct arena *kept CLEANUP(arena_cleanup) = arena_new(NAMES_BYTES);
	struct names *agents = kept ? arena_make(kept, struct names) : NULL;
	struct names *tools = kept ? arena_make(kept, struct names) : NULL;
	struct audit_reader *reader = NULL;
	struct audit_record record;

	if ((!f->agent && !f->tool) || !facts || !agents || !tools ||
		audit_reader_open(t->dir, &reader) < 0) {
		err_clear();
		return;
	}
	*agents = *tools = (struct names){0};
	int r = audit_reader_seek(reader, 1);
	while (r == 0 && (r = audit_reader_next(reader, &record)) == 0) {
		struct facts said = facts_of(facts, &record);
		struct span tool = facts_tool(&said);
		if (f->agent)
			note_agent(agents, kept, &said, f->agent);
		tools->met |= f->tool && tool.n && context_glob_match(span_cstr(f->tool), tool);
		note(tools, kept, tool);
	}
	audit_reader_close(reader);
	err_clear(); /* damage was told before */
	if (f->agent)
		say("agent", f->agent, "agent", agents);
	if (f->tool)
		say("tool", f->tool, "tool", tools);
}
