/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Security contexts as policies. As grants, each capability is a permit for its tools, and for what
 * its file tools do to files. As a ceiling, the same conditions stand in forbids: what no
 * capability lists is forbidden, whoever permits it. Entries of deny_list are forbids in both.
 *
 * A list restricts calls that have such an argument; a pattern narrower than "*" promises that its
 * tools have one, so that a call without it is no way around the list.
 */
#include "policy/context/capability.h"
#include <stdio.h>

static const struct file_tool file_tools[] = {
	{"fs.create_dir", false, true},
	{"fs.delete", false, true},
	{"fs.edit", true, true},
	{"fs.glob", true, false},
	{"fs.grep", true, false},
	{"fs.list", true, false},
	{"fs.multi_edit", true, true},
	{"fs.read", true, false},
	{"fs.write", false, true},
};

bool pattern_touches_files(struct span pattern, bool writing)
{
	for (size_t i = 0; i < ARRAY_LEN(file_tools); i++)
		if ((writing ? file_tools[i].writes : file_tools[i].reads) &&
			tool_pattern_covers(pattern, span_cstr(file_tools[i].name)))
			return true;
	return false;
}

/* ---- canonical entries ---- */

typedef int (*entry_fn)(const char *, struct rule_origin, struct arena *, const char **);

static int canonical_list(const struct rule_strings *list, entry_fn fn, struct rule_origin o,
	struct arena *a, struct rule_strings *ret)
{
	const char **items = arena_make_array(a, const char *, list->count + 1);

	if (!items)
		return err_raise(-ENOMEM, "%s: out of memory", o.field);
	for (size_t i = 0; i < list->count; i++) {
		int r = fn(list->items[i], o, a, &items[i]);
		if (r < 0)
			return err_trace(r);
	}
	*ret = (struct rule_strings){items, list->count};
	return 0;
}

static int canonical_commands(struct rule_capability *c, struct rule_origin o, struct arena *a)
{
	struct rule_command *commands =
		arena_make_array(a, struct rule_command, c->command_count + 1);

	if (!commands)
		return err_raise(-ENOMEM, "%s: out of memory", o.field);
	for (size_t i = 0; i < c->command_count; i++) {
		const struct rule_strings *args = &c->commands[i].first_args;
		const char **items = arena_make_array(a, const char *, args->count + 1);
		commands[i].command = c->commands[i].command;
		for (size_t k = 0; items && k < args->count; k++) {
			items[k] = args->items[k];
			int r = items[k][0] == '/' ? context_path_entry(items[k], o, a, &items[k])
						   : 0;
			if (r < 0)
				return err_trace(r);
		}
		if (!items)
			return err_raise(-ENOMEM, "%s: out of memory", o.field);
		commands[i].first_args = (struct rule_strings){items, args->count};
	}
	c->commands = commands;
	return 0;
}

int capability_canonical(const struct rule_capability *c, struct rule_origin o, struct arena *a,
	struct rule_capability *ret)
{
	struct rule_capability copy = *c;
	int r = tool_pattern_check(c->tool_pattern, o);

	if (r == 0)
		r = canonical_list(&c->paths, context_path_entry, o, a, &copy.paths);
	if (r == 0)
		r = canonical_list(&c->domains, context_domain_entry, o, a, &copy.domains);
	if (r == 0)
		r = canonical_commands(&copy, o, a);
	if (r == 0)
		*ret = copy;
	return err_trace(r);
}

/* ---- conditions ---- */

static bool is_wide(const struct rule_capability *c)
{
	return strcmp(c->tool_pattern, "*") == 0;
}

static bool runs_commands(const struct rule_capability *c)
{
	return tool_pattern_covers(span_cstr(c->tool_pattern), SPAN("cmd.run"));
}

static int put_commands(struct buf *b, const struct rule_capability *c, struct rule_origin o)
{
	buf_putc(b, '(');
	for (size_t i = 0; i < c->command_count; i++) {
		buf_puts(b, i ? " || (" : "(");
		int r = put_command(b, &c->commands[i], o);
		if (r < 0)
			return err_trace(r);
		buf_putc(b, ')');
	}
	buf_puts(b, ")");
	return 0;
}

/* " && " and the constraints of a capability on a tool call. */
static int put_constraints(struct buf *b, const struct rule_capability *c, struct rule_origin o)
{
	if (c->paths.count) {
		buf_puts(b,
			is_wide(c) ? " && (!(context has path) || " : " && context has path && ");
		put_paths(b, "context.path", &c->paths);
		buf_puts(b, is_wide(c) ? ")" : "");
	}
	if (c->domains.count) {
		buf_puts(b,
			is_wide(c) ? " && (!(context has domain) || "
				   : " && context has domain && ");
		put_domains(b, "context.domain", &c->domains);
		buf_puts(b, is_wide(c) ? ")" : "");
	}
	if (!c->command_count || !runs_commands(c))
		return 0;
	if (strcmp(c->tool_pattern, "cmd.run") == 0) {
		buf_puts(b, " && ");
		return err_trace(put_commands(b, c, o));
	}
	buf_puts(b, " && (action != Action::\"tool:cmd.run\" || ");
	int r = put_commands(b, c, o);
	buf_putc(b, ')');
	return err_trace(r);
}

static void put_commands_accepted(struct buf *b, const struct rule_capability *c)
{
	for (size_t i = 0; i < c->command_count && b->len < 400; i++) {
		buf_puts(b, i ? ", " : "");
		buf_puts(b, c->commands[i].command);
		if (!c->commands[i].first_args.count)
			continue;
		buf_puts(b, " (");
		put_list(b, &c->commands[i].first_args);
		buf_putc(b, ')');
	}
}

/* The code that a denial for want of this capability gets, and what is accepted. */
static enum decision_code constraint_of(const struct rule_capability *c, struct buf *accepts)
{
	if (c->paths.count) {
		put_list(accepts, &c->paths);
		return DECISION_PATH_NOT_ALLOWED;
	}
	if (c->command_count && runs_commands(c)) {
		put_commands_accepted(accepts, c);
		return DECISION_COMMAND_NOT_ALLOWED;
	}
	if (c->domains.count) {
		put_list(accepts, &c->domains);
		return DECISION_DOMAIN_NOT_ALLOWED;
	}
	buf_puts(accepts, c->tool_pattern);
	return DECISION_TOOL_NOT_ALLOWED;
}

/* ---- as grants ---- */

static int grant_tools(struct naming *n, const struct rule_capability *c)
{
	struct buf accepts CLEANUP(buf_fini) = buf_init(8192),
			   condition CLEANUP(buf_fini) = buf_init(LIMIT_RULE_SET_BYTES);
	struct rule_head head = {.origin = n->origin};

	head.code = constraint_of(c, &accepts);
	head.accepts = buf_view(&accepts);
	int r = put_constraints(&condition, c, n->origin);
	if (r == 0)
		r = rule_begin(n->b, &head);
	if (r == 0)
		r = buf_error(&condition);
	if (r < 0)
		return err_trace(r);
	buf_puts(&n->b->text, "permit (principal, ");
	put_tool_action(&n->b->text, span_cstr(c->tool_pattern));
	buf_puts(&n->b->text, ", resource)");
	if (condition.len) {
		buf_puts(&n->b->text, "\nwhen { true");
		buf_span(&n->b->text, buf_view(&condition));
		buf_puts(&n->b->text, " }");
	}
	buf_puts(&n->b->text, ";\n");
	return 0;
}

static int grant_files(struct naming *n, const struct rule_capability *c, bool writing)
{
	struct buf accepts CLEANUP(buf_fini) = buf_init(8192);
	struct rule_head head = {.origin = n->origin,
		.suffix = writing ? ".fs:write" : ".fs:read",
		.code = DECISION_PATH_NOT_ALLOWED};

	if (!pattern_touches_files(span_cstr(c->tool_pattern), writing))
		return 0;
	put_list(&accepts, &c->paths);
	head.accepts = accepts.len ? buf_view(&accepts) : SPAN("/");
	int r = rule_begin(n->b, &head);
	if (r < 0)
		return err_trace(r);
	buf_printf(&n->b->text, "permit (principal, action == Action::\"%s\", resource)",
		writing ? "fs:write" : "fs:read");
	if (c->paths.count) {
		buf_puts(&n->b->text, "\nwhen { ");
		put_paths(&n->b->text, "resource", &c->paths);
		buf_puts(&n->b->text, " }");
	}
	buf_puts(&n->b->text, ";\n");
	return 0;
}

static int grant_programs(struct naming *n, const struct rule_capability *c)
{
	struct buf accepts CLEANUP(buf_fini) = buf_init(8192);
	struct rule_head head = {
		.origin = n->origin, .suffix = ".exec", .code = DECISION_COMMAND_NOT_ALLOWED};

	if (!runs_commands(c))
		return 0;
	put_commands_accepted(&accepts, c);
	head.accepts = accepts.len ? buf_view(&accepts) : SPAN("*");
	int r = rule_begin(n->b, &head);
	if (r < 0)
		return err_trace(r);
	buf_puts(&n->b->text, "permit (principal, action == Action::\"exec\", resource)");
	if (c->command_count) {
		buf_puts(&n->b->text, "\nwhen { ");
		r = put_commands(&n->b->text, c, n->origin);
		buf_puts(&n->b->text, " }");
	}
	buf_puts(&n->b->text, ";\n");
	return err_trace(r);
}

/* Tools of the web reach the net; what they may reach by name, a program in the sandbox may. */
static bool reaches_net(const struct rule_capability *c)
{
	return tool_pattern_covers(span_cstr(c->tool_pattern), SPAN("web.fetch")) ||
		span_starts(span_cstr(c->tool_pattern), SPAN("web."));
}

static int grant_net(struct naming *n, const struct rule_capability *c)
{
	struct buf accepts CLEANUP(buf_fini) = buf_init(8192);
	struct rule_head head = {
		.origin = n->origin, .suffix = ".net", .code = DECISION_DOMAIN_NOT_ALLOWED};

	if (!reaches_net(c))
		return 0;
	put_list(&accepts, &c->domains);
	head.accepts = accepts.len ? buf_view(&accepts) : SPAN("*");
	int r = rule_begin(n->b, &head);
	if (r < 0)
		return err_trace(r);
	buf_puts(&n->b->text,
		"permit (principal, action == Action::\"net:connect\", resource is Domain)");
	if (c->domains.count) {
		buf_puts(&n->b->text, "\nwhen { ");
		put_domains(&n->b->text, "resource", &c->domains);
		buf_puts(&n->b->text, " }");
	}
	buf_puts(&n->b->text, ";\n");
	return 0;
}

/* ---- as a ceiling ---- */

/* All capabilities, one behind the other, as the body of an `unless`. */
static int put_any(struct naming *n, const struct rule_capability *list, size_t count)
{
	struct buf *b = &n->b->text;

	buf_puts(b, count ? "" : "false");
	for (size_t i = 0; i < count; i++) {
		buf_puts(b, i ? "\n\t|| (" : "(");
		put_tool_action(b, span_cstr(list[i].tool_pattern));
		int r = put_constraints(b, &list[i], n->origin);
		if (r < 0)
			return err_trace(r);
		buf_putc(b, ')');
	}
	return 0;
}

static int forbid_other_tools(struct naming *n, const struct rule_capability *list, size_t count)
{
	struct buf accepts CLEANUP(buf_fini) = buf_init(8192);
	struct rule_head head = {
		.origin = n->origin, .suffix = ".capabilities", .code = DECISION_TOOL_NOT_ALLOWED};

	for (size_t i = 0; i < count && accepts.len < 400; i++)
		buf_printf(&accepts, "%s%s", i ? ", " : "", list[i].tool_pattern);
	head.accepts = accepts.len ? buf_view(&accepts) : SPAN("nothing");
	int r = rule_begin(n->b, &head);
	if (r < 0)
		return err_trace(r);
	buf_puts(
		&n->b->text, "forbid (principal, action in Action::\"tool\", resource)\nunless { ");
	buf_puts(&n->b->text, count ? "" : "false");
	for (size_t i = 0; i < count; i++) {
		buf_puts(&n->b->text, i ? " || " : "");
		put_tool_action(&n->b->text, span_cstr(list[i].tool_pattern));
	}
	buf_puts(&n->b->text, " };\n");
	return 0;
}

/* For the tools of one constrained capability: none of all capabilities lists the call. */
static int forbid_unlisted(
	struct naming *n, const struct rule_capability *list, size_t count, size_t of)
{
	struct buf accepts CLEANUP(buf_fini) = buf_init(8192);
	struct rule_head head = {.origin = n->origin, .code = constraint_of(&list[of], &accepts)};

	head.accepts = buf_view(&accepts);
	if (head.code == DECISION_TOOL_NOT_ALLOWED)
		return 0;
	int r = rule_begin(n->b, &head);
	if (r < 0)
		return err_trace(r);
	buf_puts(&n->b->text, "forbid (principal, ");
	put_tool_action(&n->b->text, span_cstr(list[of].tool_pattern));
	buf_puts(&n->b->text, ", resource)\nunless { ");
	r = put_any(n, list, count);
	buf_puts(&n->b->text, " };\n");
	return err_trace(r);
}

static int forbid_other_files(
	struct naming *n, const struct rule_capability *list, size_t count, bool writing)
{
	struct buf accepts CLEANUP(buf_fini) = buf_init(8192),
			   any CLEANUP(buf_fini) = buf_init(LIMIT_RULE_SET_BYTES);
	struct rule_head head = {.origin = n->origin,
		.suffix = writing ? ".fs:write" : ".fs:read",
		.code = DECISION_PATH_NOT_ALLOWED};

	for (size_t i = 0; i < count; i++) {
		if (!pattern_touches_files(span_cstr(list[i].tool_pattern), writing))
			continue;
		if (!list[i].paths.count)
			return 0;
		buf_puts(&accepts, accepts.len ? ", " : "");
		put_list(&accepts, &list[i].paths);
		buf_puts(&any, any.len ? " || " : "");
		put_paths(&any, "resource", &list[i].paths);
	}
	head.accepts = accepts.len ? buf_view(&accepts) : SPAN("nothing");
	int r = buf_error(&accepts);
	if (r == 0)
		r = buf_error(&any);
	if (r == 0)
		r = rule_begin(n->b, &head);
	if (r < 0)
		return err_trace(r);
	buf_printf(&n->b->text, "forbid (principal, action == Action::\"%s\", resource)",
		writing ? "fs:write" : "fs:read");
	if (any.len) {
		buf_puts(&n->b->text, "\nunless { ");
		buf_span(&n->b->text, buf_view(&any));
		buf_puts(&n->b->text, " }");
	}
	buf_puts(&n->b->text, ";\n");
	return 0;
}

static int forbid_other_programs(struct naming *n, const struct rule_capability *list, size_t count)
{
	const struct rule_head head = {
		.origin = n->origin, .suffix = ".exec", .code = DECISION_COMMAND_NOT_ALLOWED};
	size_t limited = 0;

	for (size_t i = 0; i < count; i++) {
		if (runs_commands(&list[i]) && !list[i].command_count)
			return 0;
		limited += runs_commands(&list[i]);
	}
	int r = rule_begin(n->b, &head);
	if (r < 0)
		return err_trace(r);
	buf_puts(&n->b->text, "forbid (principal, action == Action::\"exec\", resource)");
	buf_puts(&n->b->text, limited ? "\nunless { " : "");
	for (size_t i = 0, put = 0; r == 0 && i < count; i++) {
		if (!runs_commands(&list[i]))
			continue;
		buf_puts(&n->b->text, put++ ? " || " : "");
		r = put_commands(&n->b->text, &list[i], n->origin);
	}
	buf_puts(&n->b->text, limited ? " };\n" : ";\n");
	return err_trace(r);
}

static int forbid_other_net(struct naming *n, const struct rule_capability *list, size_t count)
{
	struct buf accepts CLEANUP(buf_fini) = buf_init(8192),
			   any CLEANUP(buf_fini) = buf_init(LIMIT_RULE_SET_BYTES);
	struct rule_head head = {
		.origin = n->origin, .suffix = ".net", .code = DECISION_DOMAIN_NOT_ALLOWED};

	for (size_t i = 0; i < count; i++) {
		if (!reaches_net(&list[i]))
			continue;
		if (is_wide(&list[i]) && !list[i].domains.count)
			return 0;
		buf_puts(&any, any.len ? " || " : "");
		buf_puts(&accepts, accepts.len ? ", " : "");
		if (list[i].domains.count) {
			put_domains(&any, "resource", &list[i].domains);
			put_list(&accepts, &list[i].domains);
		} else {
			buf_puts(&any, "resource is Domain");
			buf_puts(&accepts, "*");
		}
	}
	head.accepts = accepts.len ? buf_view(&accepts) : SPAN("nothing");
	int r = buf_error(&any);
	if (r == 0)
		r = rule_begin(n->b, &head);
	if (r < 0)
		return err_trace(r);
	buf_puts(&n->b->text, "forbid (principal, action == Action::\"net:connect\", resource)");
	if (any.len) {
		buf_puts(&n->b->text, "\nunless { ");
		buf_span(&n->b->text, buf_view(&any));
		buf_puts(&n->b->text, " }");
	}
	buf_puts(&n->b->text, ";\n");
	return 0;
}

/* ---- limits ---- */

static int add_limit(struct naming *n, const struct rule_capability *c)
{
	struct buf condition CLEANUP(buf_fini) = buf_init(LIMIT_RULE_SET_BYTES);
	struct rule_head head = {
		.origin = n->origin, .suffix = ".limits", .code = DECISION_RATE_LIMIT_EXCEEDED};

	if (!c->calls && !c->max_response_bytes)
		return 0;
	int r = put_constraints(&condition, c, n->origin);
	if (r == 0)
		r = rule_begin(n->b, &head);
	if (r == 0)
		r = buf_error(&condition);
	if (r < 0)
		return err_trace(r);
	if (c->calls)
		buf_printf(&n->b->text, "@rate_calls(\"%u\")\n@rate_window_ms(\"%lld\")\n",
			c->calls, (long long)c->window_ms);
	if (c->max_response_bytes)
		buf_printf(&n->b->text, "@max_response_bytes(\"%llu\")\n",
			(unsigned long long)c->max_response_bytes);
	buf_puts(&n->b->text, "forbid (principal, ");
	put_tool_action(&n->b->text, span_cstr(c->tool_pattern));
	buf_puts(&n->b->text, ", resource)\nwhen { true");
	buf_span(&n->b->text, buf_view(&condition));
	buf_puts(&n->b->text, " };\n");
	return 0;
}

/* ---- deny_list ---- */

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

static int add_deny(struct naming *n, const char *entry, struct arena *a)
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
	return r < 0 ? err_trace(r) : err_trace(forbid_net(n, &e));
}

/* ---- the whole context ---- */

static void name_field(
	struct naming *n, const struct rule_context *c, const char *what, size_t i, int line)
{
	snprintf(n->field, sizeof(n->field), "spec.security_contexts.%.80s%s", c->name, what);
	if (what[0])
		snprintf(n->field + strlen(n->field), sizeof(n->field) - strlen(n->field), "[%zu]",
			i);
	n->origin = (struct rule_origin){
		.field = n->field, .file = c->file, .line = line ? line : c->line};
}

static int add_capability(struct naming *n, const struct rule_capability *c)
{
	int r = grant_tools(n, c);

	if (r == 0)
		r = grant_files(n, c, false);
	if (r == 0)
		r = grant_files(n, c, true);
	if (r == 0)
		r = grant_net(n, c);
	return r < 0 ? err_trace(r) : err_trace(grant_programs(n, c));
}

static int add_ceiling(
	struct naming *n, const struct rule_context *c, const struct rule_capability *list)
{
	size_t count = c->capability_count;

	name_field(n, c, "", 0, 0);
	int r = forbid_other_tools(n, list, count);
	if (r == 0)
		r = forbid_other_files(n, list, count, false);
	if (r == 0)
		r = forbid_other_files(n, list, count, true);
	if (r == 0)
		r = forbid_other_programs(n, list, count);
	if (r == 0)
		r = forbid_other_net(n, list, count);
	for (size_t i = 0; r == 0 && i < count; i++) {
		name_field(n, c, ".capabilities", i, list[i].line);
		r = forbid_unlisted(n, list, count, i);
	}
	return err_trace(r);
}

int rule_add_context(
	struct rule_set_builder *b, const struct rule_context *c, enum rule_context_use use)
{
	struct arena *a CLEANUP(arena_cleanup) = arena_new(LIMIT_RULE_SET_MEMORY_BYTES);
	struct naming n = {.b = b};
	struct rule_capability *list =
		a ? arena_make_array(a, struct rule_capability, c->capability_count + 1) : NULL;
	int r = list ? 0 : err_raise(-ENOMEM, "security context: out of memory");

	for (size_t i = 0; r == 0 && i < c->deny_list.count; i++) {
		name_field(&n, c, ".deny_list", i, 0);
		r = add_deny(&n, c->deny_list.items[i], a);
	}
	for (size_t i = 0; r == 0 && i < c->capability_count; i++) {
		name_field(&n, c, ".capabilities", i, c->capabilities[i].line);
		r = capability_canonical(&c->capabilities[i], n.origin, a, &list[i]);
		if (r == 0 && use == RULE_CONTEXT_GRANTS)
			r = add_capability(&n, &list[i]);
		if (r == 0)
			r = add_limit(&n, &list[i]);
	}
	if (r == 0 && use == RULE_CONTEXT_CEILING)
		r = add_ceiling(&n, c, list);
	return err_trace(r);
}
