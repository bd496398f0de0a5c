/* SPDX-License-Identifier: AGPL-3.0-only */
/* Entries of a context's deny_list: forbids, whatever else is said. */
#include "policy/context/capability.h"

int deny_entry_parse(
	const char *entry, struct rule_origin o, struct arena *a, struct deny_entry *ret)
{
	struct span text = span_cstr(entry);
	ssize_t colon = span_find_byte(text, ':', 0);
	struct deny_entry e = {.pattern = entry};

	if (colon < 0) {
		*ret = e;
		return err_trace(tool_pattern_check(entry, o));
	}
	e.pattern = arena_cstr(a, span_sub(text, 0, (size_t)colon));
	char *argument = arena_cstr(a, span_sub(text, (size_t)colon + 1, text.n));
	if (!e.pattern || !argument)
		return err_raise(-ENOMEM, "%s: out of memory", o.field);
	int r = tool_pattern_check(e.pattern, o);
	if (r < 0)
		return err_trace(r);
	if (argument[0] == '/') {
		/* A star behind the folder means everything below; a deny takes the folder, too. */
		struct span path = span_cstr(argument);
		while (path.n > 1 && (path.p[path.n - 1] == '*' || path.p[path.n - 1] == '/'))
			path.n--;
		argument[path.n] = '\0';
		r = context_path_entry(argument, o, a, &e.path);
	} else if (strcmp(e.pattern, "cmd.run") == 0 || strcmp(e.pattern, "cmd.*") == 0) {
		e.command = argument;
		if (!argument[0] || strchr(argument, '/') || strchr(argument, ' '))
			r = err_raise(-EINVAL,
				"%s: '%s': a tool, a pattern, TOOL:/PATH, cmd.run:PROGRAM or "
				"TOOL:DOMAIN is accepted",
				o.field, entry);
	} else {
		r = context_domain_entry(argument, o, a, &e.domain);
	}
	*ret = e;
	return err_trace(r);
}

static int forbid_files(struct naming *n, const struct deny_entry *e, bool writing)
{
	const struct rule_head head = {.origin = n->origin,
		.suffix = writing ? ".fs:write" : ".fs:read",
		.code = DECISION_PATH_NOT_ALLOWED};

	/* Who denies writing by its plain tool denies it to whatever writes. */
	if (!tool_pattern_covers(
		    span_cstr(e->pattern), writing ? SPAN("fs.write") : SPAN("fs.read")) ||
		e->command || e->domain)
		return 0;
	int r = rule_begin(n->b, &head);
	if (r < 0)
		return err_trace(r);
	buf_printf(&n->b->text, "forbid (principal, action == Action::\"%s\", resource",
		writing ? "fs:write" : "fs:read");
	if (e->path) {
		bool plain = glob_is_plain(span_cstr(e->path));
		buf_puts(&n->b->text, plain ? " in Path::" : " in PathPattern::");
		cedar_print_string(&n->b->text, span_cstr(e->path));
	}
	buf_puts(&n->b->text, ");\n");
	return 0;
}

static int forbid_programs(struct naming *n, const struct deny_entry *e)
{
	const struct rule_head head = {
		.origin = n->origin, .suffix = ".exec", .code = DECISION_COMMAND_NOT_ALLOWED};

	if (!tool_pattern_covers(span_cstr(e->pattern), SPAN("cmd.run")) || e->path || e->command ||
		e->domain)
		return 0;
	int r = rule_begin(n->b, &head);
	if (r == 0)
		buf_puts(
			&n->b->text, "forbid (principal, action == Action::\"exec\", resource);\n");
	return err_trace(r);
}

/* Who denies the tools of the web denies the net, too. */
static int forbid_net(struct naming *n, const struct deny_entry *e)
{
	const struct rule_head head = {
		.origin = n->origin, .suffix = ".net", .code = DECISION_DOMAIN_NOT_ALLOWED};

	if (!tool_pattern_covers(span_cstr(e->pattern), SPAN("web.fetch")) || e->path || e->command)
		return 0;
	int r = rule_begin(n->b, &head);
	if (r < 0)
		return err_trace(r);
	buf_puts(&n->b->text, "forbid (principal, action == Action::\"net:connect\", resource)");
	if (e->domain) {
		buf_puts(&n->b->text, "\nwhen { ");
		put_domains(&n->b->text, "resource", &(const struct rule_strings){&e->domain, 1});
		buf_puts(&n->b->text, " }");
	}
	buf_puts(&n->b->text, ";\n");
	return 0;
}

int context_deny(struct naming *n, const char *entry, struct arena *a)
{
	const struct rule_head head = {.origin = n->origin, .code = DECISION_TOOL_DENIED};
	struct deny_entry e;
	int r = deny_entry_parse(entry, n->origin, a, &e);

	if (r == 0)
		r = rule_begin(n->b, &head);
	if (r < 0)
		return err_trace(r);
	struct buf *b = &n->b->text;
	buf_puts(b, "forbid (principal, ");
	if (e.command)
		buf_puts(b, "action in [Action::\"tool:cmd.run\", Action::\"exec\"]");
	else
		put_tool_action(b, span_cstr(e.pattern));
	buf_puts(b, ", resource)");
	if (e.command) {
		/* A shell can start any program by a line that nobody reads here. */
		buf_puts(b, "\nwhen { context.command.base == ");
		cedar_print_string(b, span_cstr(e.command));
		buf_puts(b, " || context.command.shell }");
	} else if (e.path) {
		buf_puts(b, "\nwhen { context has path && ");
		put_paths(b, "context.path", &(const struct rule_strings){&e.path, 1});
		buf_puts(b, " }");
	} else if (e.domain) {
		buf_puts(b, "\nwhen { context has domain && ");
		put_domains(b, "context.domain", &(const struct rule_strings){&e.domain, 1});
		buf_puts(b, " }");
	}
	buf_puts(b, ";\n");
	r = forbid_files(n, &e, false);
	if (r == 0)
		r = forbid_files(n, &e, true);
	if (r == 0)
		r = forbid_programs(n, &e);
	return r < 0 ? err_trace(r) : err_trace(forbid_net(n, &e));
}
