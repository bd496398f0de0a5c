/* SPDX-License-Identifier: AGPL-3.0-only */
/* stats: how many records there are of what, and how many never came. */
#include "tools/aegis-audit/tool.h"

#include <errno.h>
#include <stdlib.h>

enum {
	NAMES_MAX = 100000, /* of one table; what comes beyond is counted together */
	STATS_BYTES = 64 * 1024 * 1024,
};

struct tally {
	struct span name;
	uint64_t count;
};

struct table {
	const char *title;
	struct map by_name;
	uint64_t others;
};

enum { BY_SOURCE, BY_KIND, BY_VERDICT, BY_TOOL, BY_POLICY, BY_AGENT, BY_EXECUTION, TABLES };

struct stats {
	struct arena *names; /* lives as long as the tables */
	struct arena *facts;
	struct runs *runs;
	struct told *told;
	struct table tables[TABLES];
	uint64_t records, first, last;
	int64_t first_ns, last_ns;
	uint64_t gaps, lost;
};

static int add(struct stats *s, int table, struct span name, uint64_t n)
{
	struct table *t = &s->tables[table];

	if (!name.n)
		name = SPAN("none");
	struct tally *c = map_get(&t->by_name, name);

	if (!c && t->by_name.count == NAMES_MAX) {
		t->others += n;
		return 0;
	}
	if (!c) {
		c = arena_make(s->names, struct tally);
		if (c)
			c->name = arena_span(s->names, name);
		if (!c || !c->name.p)
			return err_raise(-ENOMEM, "out of memory");
		int r = map_put(&t->by_name, c->name, c);
		if (r < 0)
			return err_trace(r);
	}
	c->count += n;
	return 0;
}

/* Policies are counted where they denied. */
static int add_policies(struct stats *s, const struct facts *f)
{
	const struct json *list = json_get(f->decision, "policies");
	struct span one = json_str(f->details, "policy_id", SPAN(""));
	int r = 0;

	enum basis basis = facts_basis(f);

	if (basis == BASIS_OTHER)
		return 0;
	if (!list || list->type != JSON_ARRAY)
		return add(s, BY_POLICY,
			one.n                            ? one
				: basis == BASIS_DEFAULT ? SPAN("default")
							 : SPAN("not named"),
			1);
	json_for_each (item, list)
		if (r == 0 && item->type == JSON_STRING)
			r = add(s, BY_POLICY, item->text, 1);
	return r;
}

/* Records of no agent are not counted here. */
static int add_agent(struct stats *s, const struct audit_record *rec, const struct facts *f)
{
	const struct run *run = runs_find(s->runs, rec->execution_id);
	struct span agent = json_str(f->request, "agent", run ? run->agent : SPAN(""));

	return agent.n ? add(s, BY_AGENT, agent, 1) : 0;
}

static int count_record(struct stats *s, const struct audit_record *rec)
{
	struct facts f = facts_of(s->facts, rec);
	bool verdict = (f.denied || f.decision) && !told_again(s->told, rec, &f);
	char id[UUID_TEXT_BYTES];
	int r;

	if (s->records++ == 0) {
		s->first = rec->number;
		s->first_ns = rec->wall_ns;
	}
	s->last = rec->number;
	s->last_ns = rec->wall_ns;
	if (rec->source == AUDIT_JOURNAL && span_is(rec->kind, "Gap")) {
		s->gaps++;
		s->lost += (uint64_t)MAX(json_i64(f.payload, "lost", 0), INT64_C(0));
	}
	r = add(s, BY_SOURCE, span_cstr(audit_source_name(rec->source)), 1);
	if (r == 0)
		r = add(s, BY_KIND, rec->kind, 1);
	if (r == 0 && verdict)
		r = add(s, BY_VERDICT, f.denied ? SPAN("denied") : SPAN("allowed"), 1);
	if (r == 0 && verdict && f.denied)
		r = add_policies(s, &f);
	if (r == 0 && (f.denied || f.decision) && facts_tool(&f).n)
		r = add(s, BY_TOOL, facts_tool(&f), 1);
	if (r == 0)
		r = add_agent(s, rec, &f);
	if (r == 0 && !uuid_is_nil(rec->execution_id)) {
		uuid_text(rec->execution_id, id);
		r = add(s, BY_EXECUTION, span_cstr(id), 1);
	}
	return r < 0 ? err_trace(r) : 0;
}

static int by_count(const void *left, const void *right)
{
	const struct tally *a = *(const struct tally *const *)left;
	const struct tally *b = *(const struct tally *const *)right;

	return a->count != b->count ? (a->count < b->count ? 1 : -1) : span_cmp(a->name, b->name);
}

/* Most frequent first. NULL if out of memory; free() it. */
static const struct tally **sorted(const struct table *t)
{
	const struct tally **list = calloc(t->by_name.count + 1, sizeof(*list));
	size_t n = 0;

	if (!list)
		return NULL;
	map_for_each (slot, &t->by_name)
		list[n++] = slot->value;
	qsort(list, n, sizeof(struct tally *), by_count);
	return list;
}

static void put_number(struct json_writer *w, const char *key, uint64_t n)
{
	json_key(w, key);
	json_put_u64(w, n);
}

static int put_table_json(struct json_writer *w, const struct table *t)
{
	const struct tally **list = sorted(t);

	if (!list)
		return err_raise(-ENOMEM, "out of memory");
	json_key(w, t->title);
	json_object(w);
	for (size_t i = 0; i < t->by_name.count; i++) {
		json_key_span(w, list[i]->name);
		json_put_u64(w, list[i]->count);
	}
	json_end(w);
	free(list);
	return 0;
}

static int put_json(struct buf *b, const struct stats *s)
{
	struct json_writer w = json_writer(b);
	char time[CLOCK_RFC3339_BYTES];
	uint64_t others = 0;
	int r = 0;

	json_object(&w);
	put_number(&w, "records", s->records);
	if (s->records) {
		put_number(&w, "first_record", s->first);
		put_number(&w, "last_record", s->last);
		clock_rfc3339(s->first_ns, 6, time);
		json_field_cstr(&w, "first_time", time);
		clock_rfc3339(s->last_ns, 6, time);
		json_field_cstr(&w, "last_time", time);
	}
	put_number(&w, "gaps", s->gaps);
	put_number(&w, "lost", s->lost);
	for (int i = 0; r == 0 && i < TABLES; i++) {
		r = put_table_json(&w, &s->tables[i]);
		others += s->tables[i].others;
	}
	if (r < 0)
		return err_trace(r);
	put_number(&w, "beyond_the_tables", others);
	json_end(&w);
	return buf_error(b);
}

static int put_text(struct buf *b, const struct stats *s)
{
	char first[CLOCK_RFC3339_BYTES];
	char last[CLOCK_RFC3339_BYTES];

	clock_rfc3339(s->first_ns, 3, first);
	clock_rfc3339(s->last_ns, 3, last);
	buf_printf(b, "%llu records", (unsigned long long)s->records);
	if (s->records)
		buf_printf(b, ", %llu to %llu, %s to %s", (unsigned long long)s->first,
			(unsigned long long)s->last, first, last);
	buf_printf(b, "\n%llu gaps: %llu records were lost before they came here\n",
		(unsigned long long)s->gaps, (unsigned long long)s->lost);
	for (int i = 0; i < TABLES; i++) {
		const struct table *t = &s->tables[i];
		const struct tally **list = sorted(t);
		if (!list)
			return err_raise(-ENOMEM, "out of memory");
		if (t->by_name.count)
			buf_printf(b, "\n%s\n", t->title);
		for (size_t k = 0; k < t->by_name.count; k++) {
			buf_printf(b, "%12llu  ", (unsigned long long)list[k]->count);
			cli_put_safe(b, list[k]->name, false);
			buf_puts(b, "\n");
		}
		if (t->others)
			buf_printf(b, "%12llu  others\n", (unsigned long long)t->others);
		free(list);
	}
	return buf_error(b);
}

static int count_all(struct stats *s, const struct tool *t, struct audit_reader *reader)
{
	struct audit_record record;
	int r = audit_reader_seek(reader, 1);

	while (r == 0) {
		r = audit_reader_next(reader, &record);
		if (r == 0 && filter_takes(&t->filter, s->facts, &record))
			r = count_record(s, &record);
	}
	return r < 0 ? err_trace(r) : 0;
}

static int print_stats(const struct stats *s, const struct tool *t)
{
	struct buf json CLEANUP(buf_fini) = buf_init(STATS_BYTES);
	struct buf b CLEANUP(buf_fini) = buf_init(STATS_BYTES);
	int r;

	if (t->format == CLI_JSON || t->format == CLI_YAML) {
		r = put_json(&json, s);
		if (r == 0)
			r = put_document(&b, t, buf_view(&json));
	} else {
		r = put_text(&b, s);
	}
	if (r < 0)
		return err_trace(r);
	tool_write(buf_view(&b));
	return 0;
}

static int count(struct tool *t, struct runs *runs)
{
	static const char *const titles[TABLES] = {"sources", "kinds", "verdicts", "tools",
		"policies_denying", "agents", "executions"};
	struct arena *names CLEANUP(arena_cleanup) = arena_new(STATS_BYTES);
	struct arena *facts CLEANUP(arena_cleanup) = facts_arena();
	struct stats s = {.names = names, .facts = facts, .runs = runs, .told = told_new()};
	struct audit_reader *reader = NULL;
	int code = names && facts && s.told ? tool_open(t, &reader) : tool_fail_errno(-ENOMEM);

	for (int i = 0; i < TABLES; i++) {
		s.tables[i].title = titles[i];
		map_init(&s.tables[i].by_name, NAMES_MAX);
	}
	if (code == CLI_OK) {
		int r = count_all(&s, t, reader);
		if (r == 0)
			r = print_stats(&s, t);
		if (r == 0 && !s.records)
			hint_at_names(t);
		code = r < 0 ? tool_fail_errno(r) : CLI_OK;
	}
	audit_reader_close(reader);
	told_free(s.told);
	for (int i = 0; i < TABLES; i++)
		map_fini(&s.tables[i].by_name);
	return code;
}

static int run_stats(struct cli *c)
{
	struct tool t;
	struct runs *runs = NULL;
	int code = tool_begin(&t, c);

	if (code == CLI_OK)
		runs = runs_new();
	if (code == CLI_OK)
		code = runs ? survey(&t, runs, NULL) : tool_fail_errno(-ENOMEM);
	if (code == CLI_OK)
		code = count(&t, runs);
	runs_free(runs);
	tool_end(&t);
	return code;
}

static const struct cli_option stats_options[] = {FILTER_OPTIONS};

const struct verb verb_stats = {
	.name = "stats",
	.arguments = "",
	.options = stats_options,
	.summary = "Count records",
	.help = "Counts what the filters take by source, kind, verdict, tool, agent, execution and "
		"by\n"
		"the policies that denied, and how many records were lost before they came here. "
		"A\n"
		"decision that a file's record and the event of its tool call both hold counts "
		"once.",
	.examples = "aegis-audit stats --from 7d --output json\naegis-audit stats --agent coder "
		    "--denied",
	.run = run_stats,
};
