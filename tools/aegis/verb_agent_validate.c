/* SPDX-License-Identifier: AGPL-3.0-only */
#include "tools/aegis/probes.h"
#include "tools/aegis/verbs.h"
#include "daemon/agent/agent.h"
#include <errno.h>
#include <stdio.h>

static void put_notices(
	struct json_writer *w, const char *name, const struct agent_notice *list, size_t count)
{
	json_key(w, name);
	json_array(w);
	for (size_t i = 0; i < count; i++) {
		json_object(w);
		json_field_cstr(w, "path", list[i].path);
		json_field_i64(w, "line", list[i].line);
		json_field_cstr(w, "reason", list[i].reason);
		json_end(w);
	}
	json_end(w);
}

static void put_json(struct json_writer *w, const char *file, const struct report *report,
	const struct agent_manifest *m)
{
	json_object(w);
	json_field_cstr(w, "file", file);
	json_field_bool(w, "valid", m && report_ok(report));
	json_field_cstr(w, "name", m ? m->metadata.name : NULL);
	json_field_cstr(w, "version", m ? m->metadata.version : NULL);
	json_key(w, "findings");
	report_json(report, w);
	put_notices(w, "notices", m ? m->notices : NULL, m ? m->notice_count : 0);
	put_notices(w, "refusals", m ? m->refusals : NULL, m ? m->refusal_count : 0);
	json_end(w);
}

static void put_lines(struct buf *b, const char *file, const char *what,
	const struct agent_notice *list, size_t count)
{
	for (size_t i = 0; i < count; i++)
		buf_printf(b, "%s:%d: %s: %s: %s\n", file, list[i].line, what, list[i].path,
			list[i].reason);
}

static void put_text(struct buf *b, const char *file, const struct report *report,
	const struct agent_manifest *m)
{
	report_text(report, b);
	if (!m || !report_ok(report)) {
		buf_printf(b, "%s: not valid\n", file);
		return;
	}
	put_lines(b, file, "no effect yet", m->notices, m->notice_count);
	put_lines(b, file, "a run would be refused", m->refusals, m->refusal_count);
	buf_printf(b, "%s: valid: agent %s %s\n", file, m->metadata.name, m->metadata.version);
}

/* One file: its part of the output, and the worst exit code so far. */
static int validate(struct cli *c, const char *file, struct buf *text, struct json_writer *w)
{
	struct buf input CLEANUP(buf_fini) = buf_init(LIMIT_DOC_BYTES + 1);
	int code = cli_read(file, &input);
	if (code)
		return code;
	struct arena *a CLEANUP(arena_cleanup) = arena_new(LIMIT_MANIFEST_ARENA_BYTES);
	struct report report;
	const struct agent_manifest *m = NULL;
	int r = a ? report_init(&report, a, file) : -ENOMEM;
	if (r == 0)
		r = agent_manifest_parse(&report, buf_view(&input), &m);
	if (r < 0)
		return cli_fail_errno(r);
	if (m)
		probes_check(&report, "spec.require", m->spec.require.keys, m->spec.require.count,
			"all");
	if (c->format == CLI_TEXT || c->format == CLI_TABLE)
		put_text(text, file, &report, m);
	else
		put_json(w, file, &report, m);
	agent_manifest_unref(m);
	return r || !report_ok(&report) ? CLI_INVALID : CLI_OK;
}

static int run(struct cli *c)
{
	struct buf text CLEANUP(buf_fini) = buf_init(LIMIT_JSON_BYTES);
	struct buf json CLEANUP(buf_fini) = buf_init(LIMIT_JSON_BYTES);
	struct json_writer w = json_writer(&json);
	bool many = c->arg_count > 1;
	int worst = CLI_OK;
	if (many)
		json_array(&w);
	for (int i = 0; i < c->arg_count; i++) {
		int code = validate(c, c->args[i], &text, &w);
		worst = MAX(worst, code);
	}
	if (many)
		json_end(&w);
	int code = CLI_OK;
	if (c->format == CLI_TEXT || c->format == CLI_TABLE)
		code = cli_write(buf_view(&text));
	else if (json.len)
		code = cli_print_text(c, buf_view(&json), NULL);
	return MAX(worst, code);
}

const struct verb verb_agent_validate = {
	.group = "agent",
	.name = "validate",
	.arguments = "FILE...",
	.min_args = 1,
	.max_args = CLI_ARGS_MAX,
	.summary = "Check agent manifests without the daemon",
	.help = "Reads manifests (\"-\" is standard input) and says for each whether it is valid: "
		"what\n"
		"is wrong, at which line and field, and what would be accepted. It also lists "
		"fields\n"
		"that have no effect yet, and those for which a run would be refused.",
	.examples = "aegis agent validate agent.yaml\n"
		    "aegis agent validate --output json agents/*.yaml\n"
		    "generate-agent | aegis agent validate -",
	.run = run,
};
