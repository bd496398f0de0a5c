/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * trace: what happened, in the order in which it did, below who caused it: execution, iteration,
 * call, and the tree of processes. What stands above a line is printed when it is another than
 * above the line before, so that the stream can be read from any place on.
 *
 * A process is its pid and the moment of its birth. Those that ended stay known until there are too
 * many; then all are forgotten, and the tree begins anew with whoever is named next.
 */
#include "tools/aegis-audit/tool.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum {
	POLL_MS = 100,
	HOLD_LIVE_MS = 500,
	HOLD_ONCE_MS = 30000,
	PROCESSES_MAX = 100 * 1000,
	DEPTH_MAX = 24,
	SUMMARY_BYTES = 300
};

struct process_id {
	struct uuid execution;
	int64_t pid, start_ns;
};

struct process {
	struct process_id id;
	const struct process *parent;
	char command[32];
};

struct trace {
	const struct tool *tool;
	struct arena *facts, *arena;
	struct runs *runs;
	struct map processes;
	struct order *order;
	struct uuid execution, call;
	uint32_t iteration;
	bool any;
};

static volatile sig_atomic_t stopping;

static void on_signal(int number)
{
	(void)number;
	stopping = 1;
}

/* ---- processes ---- */

static void name_process(struct process *p, const struct facts *f)
{
	struct span command = json_str(f->details, "command", SPAN(""));

	if (command.n)
		snprintf(p->command, sizeof(p->command), SPAN_FMT, SPAN_ARG(command));
}

static struct process *process_of(struct trace *y, const struct process_id *id)
{
	struct process *p = map_get(&y->processes, span_of(id, sizeof(*id)));

	if (p || id->pid <= 0)
		return p;
	p = arena_make(y->arena, struct process);
	if (!p)
		return NULL;
	*p = (struct process){.id = *id};
	if (map_put(&y->processes, span_of(&p->id, sizeof(p->id)), p) < 0) {
		err_clear();
		return NULL;
	}
	return p;
}

/* Processes that ended long ago are forgotten with all others, before one more is looked at. */
static void make_room(struct trace *y)
{
	if (y->processes.count + 2 <= PROCESSES_MAX)
		return;
	map_fini(&y->processes);
	map_init(&y->processes, PROCESSES_MAX);
	arena_reset(y->arena);
}

/* The process that a kernel record is about; NULL: none, or of another source. Records of packets
 * and files say the pid alone. */
static const struct process *process_at(
	struct trace *y, const struct audit_record *r, const struct facts *f)
{
	struct process_id id;

	if (r->source != AUDIT_KERNEL || !f->details)
		return NULL;
	memset(&id, 0, sizeof(id));
	id.execution = r->execution_id;
	id.pid = json_i64(f->details, "pid", 0);
	id.start_ns = json_i64(f->details, "start_ns", 0);
	struct process_id above = id;
	above.pid = json_i64(f->details, "parent_pid", 0);
	above.start_ns = json_i64(f->details, "parent_start_ns", 0);
	make_room(y);
	const struct process *parent = above.start_ns ? process_of(y, &above) : NULL;
	struct process *p = process_of(y, &id);
	if (!p)
		return NULL;
	if (parent && parent != p && !p->parent)
		p->parent = parent;
	name_process(p, f);
	return p;
}

static int depth_of(const struct process *p)
{
	int n = 0;

	for (; p && p->parent && n < DEPTH_MAX; p = p->parent)
		n++;
	return n;
}

/* ---- for people ---- */

static void put_indent(struct buf *b, int depth)
{
	for (int i = 0; i < depth; i++)
		buf_puts(b, "  ");
}

static void put_execution(
	struct trace *y, struct buf *b, const struct audit_record *r, const struct facts *f)
{
	const struct run *run = runs_find(y->runs, r->execution_id);
	char id[UUID_TEXT_BYTES];

	if (uuid_is_nil(r->execution_id)) {
		buf_puts(b, "daemon\n");
		return;
	}
	uuid_text(r->execution_id, id);
	struct span server = json_str(f->details, "tool_server", SPAN(""));
	if (server.n) {
		buf_puts(b, "tool server ");
		cli_put_safe(b, server, false);
		buf_puts(b, "\n");
		return;
	}
	buf_printf(b, "execution %s", id);
	if (run && run->agent.n) {
		buf_puts(b, "  agent ");
		cli_put_safe(b, run->agent, false);
	}
	buf_puts(b, "\n");
}

/* The lines above, where they differ from those above the last record. */
static int put_above(
	struct trace *y, struct buf *b, const struct audit_record *r, const struct facts *f)
{
	bool run = !y->any || !uuid_eq(r->execution_id, y->execution);
	bool iteration = run || r->iteration != y->iteration;
	bool call = iteration || !uuid_eq(r->call_id, y->call);
	int depth = 1;
	char id[UUID_TEXT_BYTES];

	if (run)
		put_execution(y, b, r, f);
	if (r->iteration) {
		if (iteration)
			buf_printf(b, "  iteration %u\n", r->iteration);
		depth++;
	}
	if (!uuid_is_nil(r->call_id)) {
		if (call) {
			uuid_text(r->call_id, id);
			put_indent(b, depth);
			buf_printf(b, "call %s\n", id);
		}
		depth++;
	}
	y->any = true;
	y->execution = r->execution_id;
	y->iteration = r->iteration;
	y->call = r->call_id;
	return depth;
}

static void put_process(struct buf *b, const struct process *p)
{
	if (!p)
		return;
	buf_printf(b, " [%lld", (long long)p->id.pid);
	if (p->command[0]) {
		buf_putc(b, ' ');
		cli_put_safe(b, span_cstr(p->command), false);
	}
	buf_putc(b, ']');
}

static void put_arguments(struct buf *b, const struct json *list)
{
	json_for_each (item, list) {
		buf_putc(b, ' ');
		cli_put_safe(b, span_sub(item->text, 0, 100), false);
		if (b->len > (size_t)8 * SUMMARY_BYTES)
			return;
	}
}

static void put_bytes(struct buf *b, const struct json *d)
{
	buf_printf(b, " sent %lld received %lld", (long long)json_i64(d, "sent_bytes", 0),
		(long long)json_i64(d, "received_bytes", 0));
}

static void put_said(struct buf *b, const struct json *d, const char *member, const char *before)
{
	struct span said = json_str(d, member, SPAN(""));

	if (!said.n)
		return;
	buf_puts(b, before);
	cli_put_safe(b, span_sub(said, 0, SUMMARY_BYTES), false);
}

/* Of a file as its agent sees it, which tells volumes apart. */
static void put_path(struct buf *b, const struct audit_record *r, const struct facts *f)
{
	const struct json *paths = json_get(f->request, "paths");

	if (r->source == AUDIT_FILE && paths && paths->type == JSON_ARRAY)
		json_for_each (path, paths) {
			buf_putc(b, ' ');
			cli_put_safe(b, span_sub(path->text, 0, SUMMARY_BYTES), false);
		}
	else
		put_said(b, f->details, "path", " ");
}

/* What matters of a record of the kernel or of a file; of others, and of kinds that came later,
 * what every list shows. */
static void put_what(struct buf *b, const struct audit_record *r, const struct facts *f)
{
	const struct json *d = f->details, *arguments = json_get(d, "arguments");

	if (r->source == AUDIT_KERNEL && span_is(r->kind, AUDIT_KIND_EXITED)) {
		if (json_get(d, "signal"))
			buf_printf(b, " signal %lld", (long long)json_i64(d, "signal", 0));
		else
			buf_printf(b, " status %lld", (long long)json_i64(d, "status", 0));
		return;
	}
	if (r->source == AUDIT_KERNEL && span_is(r->kind, AUDIT_KIND_FORKED)) {
		buf_printf(b, " by %lld", (long long)json_i64(d, "parent_pid", 0));
		return;
	}
	if (r->source == AUDIT_KERNEL && span_is(r->kind, AUDIT_KIND_REQUEST)) {
		buf_printf(b, " opcode %lld", (long long)json_i64(d, "opcode", 0));
		return;
	}
	if (!json_get(d, "path") && !json_get(d, "address") && !json_get(d, "name")) {
		buf_putc(b, ' ');
		put_summary(b, r, SUMMARY_BYTES);
		return;
	}
	put_path(b, r, f);
	if (arguments && arguments->type == JSON_ARRAY)
		put_arguments(b, arguments);
	put_said(b, d, "name", " ");
	put_said(b, d, "address", " ");
	if (json_get(d, "port"))
		buf_printf(b, ":%lld", (long long)json_i64(d, "port", 0));
	if (json_get(d, "sent_bytes"))
		put_bytes(b, d);
	if (f->denied)
		put_said(b, f->decision ? f->decision : d, "reason", ": ");
	if (facts_failure(r, f).n)
		put_said(b, d, "error", " failed: ");
}

static void put_line(struct trace *y, struct buf *b, const struct ordered *o, const struct facts *f,
	const struct process *p)
{
	const struct audit_record *r = &o->record;
	char time[CLOCK_RFC3339_BYTES];
	int depth = put_above(y, b, r, f);

	clock_rfc3339(o->happened_ns, 3, time);
	put_indent(b, depth);
	buf_printf(b, "%.12s ", time + strlen("2026-03-01T"));
	put_indent(b, depth_of(p));
	if (f->denied)
		buf_puts(b, "DENIED ");
	cli_put_safe(b, r->kind, false);
	put_process(b, p);
	if (r->source == AUDIT_KERNEL || r->source == AUDIT_FILE) {
		put_what(b, r, f);
	} else {
		buf_putc(b, ' ');
		put_summary(b, r, SUMMARY_BYTES);
	}
	buf_puts(b, "\n");
}

/* ---- for programs: the record, with whose it is ---- */

static void put_json(struct trace *y, struct json_writer *w, const struct audit_record *r,
	const struct facts *f, const struct process *p)
{
	const struct run *run = runs_find(y->runs, r->execution_id);

	json_object(w);
	if (run && run->agent.n)
		json_field_span(w, "agent", run->agent);
	json_field_bool(w, "denied", f->denied);
	if (p) {
		json_key(w, "ancestors"); /* nearest first */
		json_array(w);
		int n = 0;
		for (const struct process *at = p->parent; at && n < DEPTH_MAX; at = at->parent) {
			json_object(w);
			json_field_i64(w, "pid", at->id.pid);
			json_field_i64(w, "start_ns", at->id.start_ns);
			json_field_cstr(w, "command", at->command);
			json_end(w);
			n++;
		}
		json_end(w);
	}
	put_record_members(w, r);
	json_end(w);
}

static int print_one(struct trace *y, const struct ordered *o)
{
	const struct audit_record *r = &o->record;
	struct buf json CLEANUP(buf_fini) = buf_init(RECORD_TEXT_BYTES);
	struct buf b CLEANUP(buf_fini) = buf_init(2 * (size_t)RECORD_TEXT_BYTES);
	struct json_writer w = json_writer(&json);
	struct facts f = facts_of(y->facts, r);
	const struct process *p = process_at(y, r, &f);
	int res;

	if (!o->shown)
		return 0;
	if (y->tool->format == CLI_JSON || y->tool->format == CLI_YAML) {
		put_json(y, &w, r, &f, p);
		res = buf_error(&json);
		if (res == 0)
			res = put_document(&b, y->tool, buf_view(&json));
	} else {
		put_line(y, &b, o, &f, p);
		res = buf_error(&b);
	}
	if (res < 0)
		return err_trace(res);
	return tool_write(buf_view(&b)) ? 0 : AUDIT_END;
}

/* ---- following ---- */

/* Those that are due. AUDIT_END: nobody reads any more. */
static int print_due(struct trace *y, bool all)
{
	struct ordered *o;
	int r = 0;

	while (r == 0 && (o = order_next(y->order, all))) {
		r = print_one(y, o);
		order_done(o);
	}
	return r;
}

static int take(struct trace *y, const struct audit_record *record, uint64_t first)
{
	int64_t boot_time_ns = 0;
	int r = runs_note(y->runs, y->facts, record);

	if (r < 0)
		return err_trace(r);
	if (record->source == AUDIT_KERNEL) {
		struct facts f = facts_unasked(y->facts, record);
		boot_time_ns = json_i64(f.details, "boot_time_ns", 0);
	}
	/* The tree is known from all records, whichever are shown. */
	bool takes = filter_takes(&y->tool->filter, y->facts, record);
	r = order_put(y->order, record, boot_time_ns, takes && record->number >= first);
	return r < 0 ? err_trace(r) : print_due(y, false);
}

static int follow(struct trace *y, struct audit_reader *reader, uint64_t first, bool wait)
{
	const struct timespec pause = {.tv_nsec = POLL_MS * NS_PER_MS};
	struct audit_record record;
	int r = 0, idle_ms = 0;

	while (r == 0 && !stopping) {
		r = audit_reader_next(reader, &record);
		if (r == 0) {
			idle_ms = 0;
			r = take(y, &record, first);
			if (r == AUDIT_END)
				return 0;
		} else if (r == AUDIT_END && wait) {
			idle_ms += POLL_MS;
			r = print_due(y, idle_ms >= HOLD_LIVE_MS);
			if (r == AUDIT_END)
				return 0;
			fflush(stdout);
			nanosleep(&pause, NULL);
		}
	}
	int rest = r < 0 ? r : print_due(y, true);
	return rest < 0 ? err_trace(rest) : 0;
}

static int trace_from(const struct tool *t, struct audit_reader *reader, uint64_t *ret_first)
{
	uint64_t newest = 0;

	if (cli_value(t->cli, "all")) {
		*ret_first = 1;
		return 0;
	}
	int r = audit_reader_newest(reader, &newest);
	*ret_first = newest >= t->lines ? newest - t->lines + 1 : 1;
	return err_trace(r);
}

static int trace(const struct tool *t)
{
	struct arena *facts CLEANUP(arena_cleanup) = facts_arena();
	struct arena *arena CLEANUP(arena_cleanup) =
		arena_new(2 * PROCESSES_MAX * sizeof(struct process));
	const int hold_ms = cli_value(t->cli, "once") ? HOLD_ONCE_MS : HOLD_LIVE_MS;
	struct trace y = {.tool = t,
		.facts = facts,
		.arena = arena,
		.runs = runs_new(),
		.order = order_new(hold_ms * NS_PER_MS)};
	struct audit_reader *reader = NULL;
	uint64_t first = 1;
	int code = facts && arena && y.runs && y.order ? tool_open(t, &reader)
						       : tool_fail_errno(-ENOMEM);

	map_init(&y.processes, PROCESSES_MAX);
	if (code == CLI_OK) {
		int r = trace_from(t, reader, &first);
		if (r == 0)
			r = audit_reader_seek(reader, 1);
		if (r == 0)
			r = follow(&y, reader, first, !cli_value(t->cli, "once"));
		fflush(stdout);
		code = r < 0 ? tool_fail_errno(r) : CLI_OK;
	}
	audit_reader_close(reader);
	map_fini(&y.processes);
	order_free(y.order);
	runs_free(y.runs);
	return code;
}

static int run_trace(struct cli *c)
{
	const struct sigaction ends = {.sa_handler = on_signal};
	struct tool t;
	int code = tool_begin(&t, c);

	t.lines = cli_value(c, "lines") ? t.lines : 0;
	if (code == CLI_OK)
		code = tool_number(&t, "lines", 0, 1000 * 1000, &t.lines);
	if (code == CLI_OK &&
		(sigaction(SIGINT, &ends, NULL) < 0 || sigaction(SIGTERM, &ends, NULL) < 0))
		code = tool_fail(CLI_INTERNAL, "signals cannot be handled");
	if (code == CLI_OK)
		code = trace(&t);
	tool_end(&t);
	return code;
}

static const struct cli_option trace_options[] = {
	{"all", 0, NULL, "Begin with the first record", NULL},
	{"lines", 'n', "N", "Begin that many records before the newest (0)", NULL},
	{"once", 0, NULL, "End at the newest record instead of waiting for more", NULL},
	FILTER_OPTIONS,
};

const struct verb verb_trace = {
	.name = "trace",
	.arguments = "",
	.options = trace_options,
	.summary = "Watch what happens, by execution, iteration, call and process",
	.help = "Follows the journal and prints what comes under the execution, the iteration and "
		"the\n"
		"call that caused it, by the time at which it happened; processes are indented "
		"below "
		"their\nparents. What happens is shown half a second later. JSON has one "
		"object\n"
		"a line: the record, the agent and the process's ancestors. Ctrl-C ends it with "
		"exit\n"
		"code 0.",
	.examples =
		"aegis-audit trace\n"
		"aegis-audit trace --agent coder --source kernel\n"
		"aegis-audit trace --all --once --execution 7f1c1f8e-0a51-4f0b-9d2e-6a2f3c1b0d4e",
	.run = run_trace,
};
