/* SPDX-License-Identifier: AGPL-3.0-only */
#include "tools/aegis/policy_source.h"
#include "daemon/agent/agent.h"
#include "daemon/schema/schema.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { ARENA_BYTES = 256 * 1024 * 1024, FINDINGS_BYTES = 1024 * 1024, CONTEXTS_SHOWN = 16 };

static int say_findings(const struct buf *findings)
{
	fwrite(findings->data ? findings->data : "", 1, findings->len, stderr);
	return CLI_INVALID;
}

int policy_source_load(struct policy_source *s, const struct cli *c, const char *directory)
{
	struct buf findings CLEANUP(buf_fini) = buf_init(FINDINGS_BYTES);
	int code = config_source_open(&s->config, c, NULL, true);

	s->config_open = true;
	if (code == CLI_INVALID) {
		report_text(&s->config.report, &findings);
		return say_findings(&findings);
	}
	if (code)
		return code;
	int r = policy_load(directory, s->config.config, &findings, &s->snapshot);
	if (r == -ENOENT && directory && directory[0] != '/') {
		char *here = getcwd(NULL, 0);
		r = err_wrap(r, "below the folder that you are in, %s", here ? here : "?");
		free(here);
	}
	if (r < 0)
		return cli_fail_errno(r);
	say_findings(&findings);
	return r == POLICY_INVALID ? CLI_INVALID : CLI_OK;
}

/* ---- the set ---- */

static int read_set(struct policy_source *s, const char *file)
{
	struct buf text CLEANUP(buf_fini) = buf_init(LIMIT_RULE_SET_BYTES);
	int code = cli_read(file, &text);

	if (code)
		return code;
	int r = rule_set_load(buf_view(&text), &s->rules);
	return r < 0 ? cli_fail_errno(err_wrap(r, "%s", file)) : CLI_OK;
}

static int read_manifest(
	struct policy_source *s, const char *file, const struct agent_manifest **ret)
{
	struct buf input CLEANUP(buf_fini) = buf_init(LIMIT_DOC_BYTES + 1);
	struct buf text CLEANUP(buf_fini) = buf_init(FINDINGS_BYTES);
	struct report report;
	int code = cli_read(file, &input);

	if (code)
		return code;
	struct span kept = arena_span(s->arena, buf_view(&input));
	int r = report_init(&report, s->arena, file);
	if (r == 0)
		r = agent_manifest_parse(&report, kept, ret);
	if (r < 0)
		return cli_fail_errno(r);
	if (r == 0)
		return CLI_OK;
	report_text(&report, &text);
	return say_findings(&text);
}

static int seal(struct policy_source *s, struct rule_set_builder *b)
{
	s->rules = rule_set_seal(b);
	rule_set_builder_free(b);
	return s->rules ? CLI_OK : cli_fail(CLI_INVALID, "%s", err_message(-EINVAL));
}

int policy_no_context(const struct policy_snapshot *s, const char *name)
{
	struct buf all CLEANUP(buf_fini) = buf_init(4096);
	const char *names[CONTEXTS_SHOWN + 1] = {NULL};
	size_t count = policy_context_count(s);

	for (size_t i = 0; i < MIN(count, (size_t)CONTEXTS_SHOWN); i++) {
		names[i] = policy_context_at(s, i)->name;
		buf_printf(&all, "%s%s", i ? ", " : "", names[i]);
	}
	const char *nearest = table_nearest(name, names);
	return cli_fail(CLI_NOT_FOUND, "the configuration has no security context '%s'; %s%s%s",
		name, nearest ? "did you mean " : "it has: ",
		nearest         ? nearest
			: count ? buf_cstr(&all)
				: "none",
		nearest ? "?" : "");
}

static int build(struct policy_source *s, const char *context, const struct agent_manifest *m)
{
	enum rule_context_use use = RULE_CONTEXT_CEILING;
	struct rule_set_builder *b = NULL;

	if (context && !m)
		use = RULE_CONTEXT_GRANTS;
	if (!context && m)
		context = m->spec.security_context;
	int r = 0;
	if (context || m) {
		r = policy_builder(s->snapshot, span_cstr(context), use, &b);
	} else { /* the node's policies alone */
		b = rule_set_builder_new();
		r = b ? rule_add_set(b, policy_rules(s->snapshot)) : -ENOMEM;
	}
	if (r == POLICY_NO_CONTEXT)
		return policy_no_context(s->snapshot, context);
	if (r == 0 && m)
		r = agent_rules(m, b);
	if (r < 0) {
		rule_set_builder_free(b);
		return cli_fail_errno(r);
	}
	return seal(s, b);
}

int policy_source_make(struct policy_source *s, const struct cli *c, const char *policies,
	const char *context, const char *manifest)
{
	const struct agent_manifest *m = NULL;

	*s = (struct policy_source){.arena = arena_new(ARENA_BYTES)};
	if (!s->arena)
		return cli_fail(CLI_INTERNAL, "no memory");
	int code = policy_source_load(s, c, policies);
	if (code == CLI_OK && manifest)
		code = read_manifest(s, manifest, &m);
	if (code == CLI_OK)
		code = build(s, context, m);
	if (m)
		s->agent = arena_strdup(s->arena, m->metadata.name);
	agent_manifest_unref(m);
	return code;
}

int policy_source_open(struct policy_source *s, const struct cli *c)
{
	const char *file = cli_value(c, "set");

	if (!file)
		return policy_source_make(s, c, cli_value(c, "policies"), cli_value(c, "context"),
			cli_value(c, "manifest"));
	*s = (struct policy_source){.arena = arena_new(ARENA_BYTES)};
	return s->arena ? read_set(s, file) : cli_fail(CLI_INTERNAL, "no memory");
}

void policy_source_close(struct policy_source *s)
{
	rule_set_unref(s->rules);
	policy_unref(s->snapshot);
	if (s->config_open)
		config_source_close(&s->config);
	s->arena = arena_free(s->arena);
}

/* ---- the question ---- */

static int canonical_paths(struct arena *a, struct decision_request *q)
{
	struct span *paths = arena_make_array(a, struct span, q->path_count + 1);

	if (!paths)
		return err_raise(-ENOMEM, "no memory");
	for (size_t i = 0; i < q->path_count; i++) {
		int r = context_canonical_path(q->paths[i], SPAN("/workspace"), a, &paths[i]);
		if (r < 0)
			return err_trace(r);
	}
	q->paths = paths;
	return 0;
}

/* A misspelt action would be denied, which a test that expects a denial takes for a pass. */
static int check_action(struct span action)
{
	static const char *const names[] = {"fs:read", "fs:write", "exec", "net:connect", NULL};
	char text[64] = "";

	if (span_starts(action, SPAN("tool:")))
		return err_trace(context_check_tool(span_sub(action, strlen("tool:"), action.n)));
	if (span_starts(action, SPAN("sys:")) && action.n > strlen("sys:"))
		return 0;
	for (size_t i = 0; names[i]; i++)
		if (span_is(action, names[i]))
			return 0;
	if (action.n < sizeof(text))
		memcpy(text, action.p, action.n);
	const char *near = text[0] ? table_nearest(text, names) : NULL;
	return err_raise(-EINVAL,
		"action \"" SPAN_FMT "\" is not known; accepted: tool:NAME, fs:read, fs:write, "
		"exec, net:connect, sys:NAME%s%s%s",
		SPAN_ARG(action), near ? "; did you mean \"" : "", near ? near : "",
		near ? "\"?" : "");
}

int policy_canonical(struct arena *a, struct decision_request *q)
{
	int r = check_action(q->action);

	if (r == 0)
		r = canonical_paths(a, q);
	if (r == 0 && q->domain.n)
		r = context_canonical_domain(q->domain, a, &q->domain);
	if (q->argv_count && !q->cwd.n)
		q->cwd = SPAN("/workspace");
	if (!q->tenant.n)
		q->tenant = SPAN("local");
	return err_trace(r);
}

static int parse_command(struct arena *a, const char *line, struct decision_request *q)
{
	struct span *argv, why;
	size_t count;
	int r = context_parse_argv(span_cstr(line), a, &argv, &count, &why);

	if (r < 0)
		return err_trace(r);
	if (r == CONTEXT_ARGV_SHELL) {
		argv = arena_make_array(a, struct span, 3);
		if (!argv)
			return err_raise(-ENOMEM, "no memory");
		argv[0] = SPAN("sh");
		argv[1] = SPAN("-c");
		argv[2] = span_cstr(line);
		count = 3;
	}
	q->argv = argv;
	q->argv_count = count;
	return 0;
}

static int parse_address(const char *text, struct decision_request *q)
{
	const char *colon = strrchr(text, ':');
	uint64_t port;

	if (!colon || span_to_u64(span_cstr(colon + 1), &port) < 0 || port > UINT16_MAX)
		return err_raise(-EINVAL,
			"--address: '%s' is not ADDRESS:PORT, such as 10.0.0.1:443 or [::1]:443",
			text);
	q->address = span_of(text, (size_t)(colon - text));
	if (q->address.n > 2 && q->address.p[0] == '[')
		q->address = span_sub(q->address, 1, q->address.n - 1);
	q->port = (uint16_t)port;
	q->protocol = SPAN("tcp");
	return 0;
}

static int question_from_options(
	struct policy_source *s, const struct cli *c, struct decision_request *q)
{
	const char *path = cli_value(c, "path"), *command = cli_value(c, "command");
	const char *address = cli_value(c, "address"), *agent = cli_value(c, "agent");
	int r = 0;

	q->action = span_cstr(cli_value(c, "action"));
	if (!q->action.n && command)
		q->action = SPAN("tool:cmd.run");
	if (!q->action.n)
		return err_raise(-EINVAL, "give a file with a request, or --action");
	if (path) {
		struct span *paths = arena_make_array(s->arena, struct span, 1);
		if (!paths)
			return err_raise(-ENOMEM, "no memory");
		paths[0] = span_cstr(path);
		q->paths = paths;
		q->path_count = 1;
	}
	q->domain = span_cstr(cli_value(c, "domain"));
	q->agent = span_cstr(agent ? agent : s->agent);
	q->tenant = span_cstr(cli_value(c, "tenant"));
	if (command)
		r = parse_command(s->arena, command, q);
	if (r == 0 && address)
		r = parse_address(address, q);
	return err_trace(r);
}

static int question_from_file(struct policy_source *s, const char *file, struct decision_request *q)
{
	struct buf text CLEANUP(buf_fini) = buf_init(LIMIT_JSON_BYTES);
	const struct json *v;
	int code = cli_read(file, &text);

	if (code)
		return code;
	int r = json_parse(s->arena, buf_view(&text), NULL, &v);
	if (r == 0)
		r = decision_request_load(s->arena, v, q);
	return r < 0 ? cli_fail_errno(err_wrap(r, "%s", file)) : CLI_OK;
}

int policy_question(struct policy_source *s, const struct cli *c, struct decision_request *ret)
{
	*ret = (struct decision_request){0};
	if (c->arg_count) {
		int code = question_from_file(s, c->args[0], ret);
		if (code)
			return code;
	} else {
		int r = question_from_options(s, c, ret);
		if (r < 0)
			return cli_fail_errno(r);
	}
	int r = policy_canonical(s->arena, ret);
	return r < 0 ? cli_fail_errno(r) : CLI_OK;
}

int policy_answer(const struct cli *c, policy_answer_fn fn)
{
	struct policy_source s;
	struct decision_request q;
	struct decision d = {0};
	int code = policy_source_open(&s, c);

	if (code == CLI_OK)
		code = policy_question(&s, c, &q);
	if (code == CLI_OK)
		code = fn(c, &s, &q, &d);
	policy_source_close(&s);
	return code == CLI_OK && !d.allowed ? CLI_DENIED : code;
}

void policy_put_decision(struct json_writer *w, const struct decision *d)
{
	json_field_cstr(w, "decision", d->allowed ? "allow" : "deny");
	json_field_i64(w, "code", (int64_t)d->code);
	json_field_cstr(w, "name", decision_code_name(d->code));
	json_field_span(w, "policy_id", d->policy_id);
	json_key(w, "policies");
	json_array(w);
	for (size_t i = 0; i < d->policy_count; i++)
		json_put_span(w, d->policy_ids[i]);
	json_end(w);
	json_field_span(w, "reason", d->reason);
	json_field_span(w, "policy_set", d->policy_set);
	if (d->max_response_bytes)
		json_field_i64(w, "max_response_bytes", (int64_t)d->max_response_bytes);
}

/* ---- types ---- */

int policy_check_types(struct arena *a, const struct cedar_schema *schema, const char *file,
	struct span text, int level, struct cedar_validation *ret)
{
	struct cedar_policies policies;
	int r = a ? cedar_policies_parse(a, text, &policies) : err_raise(-ENOMEM, "no memory");

	if (r == 0)
		r = cedar_validate(a, schema, &policies, level, ret);
	return r < 0 ? err_wrap(r, "%s", file) : 0;
}

void policy_put_finding(struct buf *b, const char *file, const struct cedar_finding *f)
{
	buf_printf(b, "%s:%u:%u: %s%s\n%s%s", file, f->line, f->column,
		f->warning ? "warning: " : "", f->message, f->excerpt, f->excerpt[0] ? "\n" : "");
}
