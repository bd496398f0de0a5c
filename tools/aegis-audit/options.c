/* SPDX-License-Identifier: AGPL-3.0-only */
/* What a command line asks for, checked before anything is read. */
#include "tools/aegis-audit/tool.h"

#include <errno.h>
#include <stdio.h>

int tool_fail(int code, const char *fmt, ...)
{
	va_list args;

	fflush(stdout);
	fputs("aegis-audit: ", stderr);
	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	fputc('\n', stderr);
	return code;
}

int tool_fail_errno(int r)
{
	int code = r == -ENOENT || r == -ENOTDIR ? CLI_NOT_FOUND
		: r == -EACCES || r == -EPERM    ? CLI_DENIED
		: r == -EUCLEAN                  ? CLI_CONFLICT
		: r == -EINVAL || r == -E2BIG    ? CLI_INVALID
						 : CLI_INTERNAL;

	tool_fail(code, "%s", err_message(r));
	err_clear();
	return code;
}

int tool_open(const struct tool *t, struct audit_reader **ret)
{
	int r = audit_reader_open(t->dir, ret);

	return r < 0 ? tool_fail_errno(r) : CLI_OK;
}

static int bad_value(const char *option, const char *value, const char *accepted)
{
	return tool_fail(CLI_INVALID, "--%s %s: accepted: %s", option, value, accepted);
}

int tool_number(const struct tool *t, const char *option, uint64_t min, uint64_t max, uint64_t *ret)
{
	const char *value = cli_value(t->cli, option);
	uint64_t n = 0;

	if (!value)
		return CLI_OK;
	if (span_to_u64(span_cstr(value), &n) < 0 || n < min || n > max)
		return tool_fail(CLI_INVALID, "--%s %s: accepted: %llu to %llu", option, value,
			(unsigned long long)min, (unsigned long long)max);
	*ret = n;
	return CLI_OK;
}

/* A place in time, or how long ago. */
static int set_time(const char *option, const char *value, int64_t *ret)
{
	struct span s = span_cstr(value);
	int64_t ago_ns;

	if (clock_parse_rfc3339(s, ret) == 0)
		return CLI_OK;
	if (clock_parse_duration(s, &ago_ns) < 0)
		return bad_value(option, value,
			"a time such as 2026-03-01T14:00:00Z, or how long ago: 90s, 2h, 7d");
	*ret = clock_wall_ns() - ago_ns;
	return CLI_OK;
}

static int set_source(struct filter *f, const char *value)
{
	for (int i = 0; i < AUDIT_SOURCE_COUNT; i++)
		if (strcmp(audit_source_name((enum audit_source)i), value) == 0)
			f->source = i;
	return CLI_OK;
}

static int set_id(const char *option, const char *value, const char *of, struct uuid *ret)
{
	return uuid_parse(span_cstr(value), ret) < 0 ? bad_value(option, value, of) : CLI_OK;
}

static int set_iteration(struct filter *f, const char *value)
{
	uint64_t n = 0;

	if (span_to_u64(span_cstr(value), &n) < 0 || n < 1 || n > UINT32_MAX)
		return bad_value("iteration", value, "the number of an iteration, from 1");
	f->iteration = (uint32_t)n;
	return CLI_OK;
}

static int set_path(struct filter *f, const char *value)
{
	f->path = value;
	return value[0] == '/' || strpbrk(value, "*?")
		? CLI_OK
		: bad_value("path", value, "an absolute path, or a glob such as '**/*.env'");
}

/* Those whose value is the text as it stands. */
static const char **text_of(struct filter *f, const char *name)
{
	const struct {
		const char *name;
		const char **at;
	} texts[] = {{"kind", &f->kind}, {"agent", &f->agent}, {"tenant", &f->tenant},
		{"tool", &f->tool}, {"destination", &f->destination}, {"text", &f->text},
		{"policy", &f->policy}};

	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		if (strcmp(texts[i].name, name) == 0)
			return texts[i].at;
	return NULL;
}

static int set_filter(struct filter *f, const char *name, const char *value)
{
	const char **text = text_of(f, name);

	if (strcmp(name, "destination") == 0 && !filter_destination_valid(value))
		return bad_value(name, value,
			"a name, *.NAME, an address or a block such as 10.0.0.0/8; behind it :PORT "
			"(IPv6 then in brackets)");
	if (text)
		*text = value;
	else if (strcmp(name, "execution") == 0)
		return set_id(name, value, "the UUID of an execution", &f->execution);
	else if (strcmp(name, "call") == 0)
		return set_id(name, value, "the UUID of a tool call", &f->call);
	else if (strcmp(name, "iteration") == 0)
		return set_iteration(f, value);
	else if (strcmp(name, "source") == 0)
		return set_source(f, value);
	else if (strcmp(name, "path") == 0)
		return set_path(f, value);
	else if (strcmp(name, "verdict") == 0)
		f->verdict = strcmp(value, "denied") == 0 ? VERDICT_DENIED : VERDICT_ALLOWED;
	else if (strcmp(name, "denied") == 0)
		f->verdict = VERDICT_DENIED;
	else if (strcmp(name, "from") == 0)
		return set_time(name, value, &f->from_ns);
	else if (strcmp(name, "to") == 0)
		return set_time(name, value, &f->to_ns);
	return CLI_OK;
}

static int prepare_runs(struct tool *t)
{
	if (!t->filter.agent && !t->filter.tenant)
		return CLI_OK;
	t->filter.runs = runs_new();
	return t->filter.runs ? survey(t, t->filter.runs, NULL) : tool_fail_errno(-ENOMEM);
}

int tool_begin(struct tool *t, const struct cli *c)
{
	int code = CLI_OK;

	*t = (struct tool){.dir = c->journal,
		.format = c->format,
		.cli = c,
		.lines = 20,
		.filter = {.source = -1, .to_ns = INT64_MAX}};
	for (int i = 0; code == CLI_OK && i < c->given_count; i++)
		code = set_filter(&t->filter, c->given[i].name, c->given[i].value);
	if (code == CLI_OK && t->filter.kind)
		code = survey_kind(t, t->filter.kind);
	return code ? code : prepare_runs(t);
}

void tool_end(struct tool *t)
{
	t->filter.runs = runs_free(t->filter.runs);
}
