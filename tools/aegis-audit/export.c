/* SPDX-License-Identifier: AGPL-3.0-only */
/* export: the records from a number on, one a line, for programs that speak another dialect. */
#include "tools/aegis-audit/tool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

enum { LINE_BYTES = 2 * RECORD_TEXT_BYTES };

struct span export_message(const struct exported *e)
{
	struct span decided = json_str(e->facts.decision, "reason", SPAN(""));
	struct span reason = json_str(e->facts.details, "reason", SPAN(""));

	return json_str(e->facts.payload, "message", decided.n ? decided : reason);
}

static int put_exported(struct buf *b, const struct tool *t, const struct exported *e)
{
	struct json_writer w = json_writer(b);

	const char *format = cli_value(t->cli, "format");

	if (format && strcmp(format, "ocsf") == 0)
		put_ocsf(&w, e);
	else if (format && strcmp(format, "cef") == 0)
		put_cef(b, e);
	else
		put_record_json(&w, e->record);
	buf_puts(b, "\n");
	return buf_error(b);
}

static int export_all(
	const struct tool *t, struct arena *a, struct audit_reader *reader, uint64_t number, int fd)
{
	struct buf b CLEANUP(buf_fini) = buf_init(LINE_BYTES);
	struct audit_record record;
	int r = audit_reader_seek(reader, number);

	while (r == 0) {
		r = audit_reader_next(reader, &record);
		if (r != 0 || !filter_takes(&t->filter, a, &record))
			continue;
		struct exported e = {audit_reader_journal(reader), &record, facts_of(a, &record)};
		buf_reset(&b);
		r = put_exported(&b, t, &e);
		if (r == 0)
			r = fd_write_all(fd, buf_view(&b));
	}
	return r < 0 ? err_trace(r) : 0;
}

static int export(struct tool *t, uint64_t number)
{
	struct arena *a CLEANUP(arena_cleanup) = facts_arena();
	const char *name = cli_value(t->cli, "file");
	struct audit_reader *reader = NULL;
	AUTO_FD file = -1;
	int code = a ? tool_open(t, &reader) : tool_fail_errno(-ENOMEM);

	if (code)
		return code;
	if (name) {
		file = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
		if (file < 0)
			code = tool_fail_errno(err_sys(-errno, "open %s", name));
	}
	if (code == CLI_OK) {
		fflush(stdout);
		int r = export_all(t, a, reader, number, name ? file : STDOUT_FILENO);
		if (r == 0 && name && fsync(file) < 0 && errno != EINVAL && errno != EROFS)
			r = err_sys(-errno, "sync %s", name);
		code = r < 0 ? tool_fail_errno(r) : CLI_OK;
	}
	audit_reader_close(reader);
	return code;
}

static int run_export(struct cli *c)
{
	struct tool t;
	uint64_t number = 1;
	int code = tool_begin(&t, c);

	if (code == CLI_OK && (t.format == CLI_YAML || t.format == CLI_TABLE))
		code = tool_fail(CLI_INVALID,
			"export writes records for programs: accepted: --format jsonl ocsf cef; "
			"for people: search, with the same filters");
	if (code == CLI_OK)
		code = tool_number(&t, "number", 1, UINT64_MAX, &number);
	if (code == CLI_OK)
		code = export(&t, number);
	tool_end(&t);
	return code;
}

static const struct cli_option export_options[] = {
	{"format", 0, "NAME", "jsonl as --output json writes it (the default), OCSF 1.3.0, CEF:0",
		"jsonl ocsf cef"},
	{"number", 0, "N", "Begin with that record", NULL},
	{"file", 0, "FILE", "There instead of standard output; what it held is replaced", NULL},
	FILTER_OPTIONS,
};

const struct verb verb_export = {
	.name = "export",
	.arguments = "",
	.options = export_options,
	.summary = "Write records for other programs",
	.help = "Writes the records that the filters take, one a line, oldest first.",
	.examples = "aegis-audit export --format ocsf --number 1205 --file new.jsonl\n"
		    "aegis-audit export --format cef --denied",
	.run = run_export,
};
