/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * What grants, ceilings and the comparison of contexts share: one spelling for each entry of a
 * capability, and its constraints as conditions.
 *
 * A list restricts calls that have such an argument; a pattern narrower than "*" promises that its
 * tools have one, so that a call without it is no way around the list.
 */
#include "policy/context/capability.h"

bool pattern_touches_files(struct span pattern, bool writing)
{
	const struct context_tool *t;

	for (size_t i = 0; (t = context_tool_at(i)); i++)
		if ((writing ? t->writes : t->reads) &&
			tool_pattern_covers(pattern, span_cstr(t->name)))
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

bool capability_is_wide(const struct rule_capability *c)
{
	return strcmp(c->tool_pattern, "*") == 0;
}

bool capability_runs_commands(const struct rule_capability *c)
{
	return tool_pattern_covers(span_cstr(c->tool_pattern), SPAN("cmd.run"));
}

int capability_put_commands(struct buf *b, const struct rule_capability *c, struct rule_origin o)
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
int capability_put_constraints(struct buf *b, const struct rule_capability *c, struct rule_origin o)
{
	if (c->paths.count) {
		buf_puts(b,
			capability_is_wide(c) ? " && (!(context has path) || "
					      : " && context has path && ");
		put_paths(b, "context.path", &c->paths);
		buf_puts(b, capability_is_wide(c) ? ")" : "");
	}
	if (c->domains.count) {
		buf_puts(b,
			capability_is_wide(c) ? " && (!(context has domain) || "
					      : " && context has domain && ");
		put_domains(b, "context.domain", &c->domains);
		buf_puts(b, capability_is_wide(c) ? ")" : "");
	}
	if (!c->command_count || !capability_runs_commands(c))
		return 0;
	if (strcmp(c->tool_pattern, "cmd.run") == 0) {
		buf_puts(b, " && ");
		return err_trace(capability_put_commands(b, c, o));
	}
	buf_puts(b, " && (action != Action::\"tool:cmd.run\" || ");
	int r = capability_put_commands(b, c, o);
	buf_putc(b, ')');
	return err_trace(r);
}

void capability_put_accepted_commands(struct buf *b, const struct rule_capability *c)
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
enum decision_code capability_constraint(const struct rule_capability *c, struct buf *accepts)
{
	if (c->paths.count) {
		put_list(accepts, &c->paths);
		return DECISION_PATH_NOT_ALLOWED;
	}
	if (c->command_count && capability_runs_commands(c)) {
		capability_put_accepted_commands(accepts, c);
		return DECISION_COMMAND_NOT_ALLOWED;
	}
	if (c->domains.count) {
		put_list(accepts, &c->domains);
		return DECISION_DOMAIN_NOT_ALLOWED;
	}
	buf_puts(accepts, c->tool_pattern);
	return DECISION_TOOL_NOT_ALLOWED;
}

/* Tools of the web reach the net; what they may reach by name, a program in the sandbox may. */
bool capability_reaches_net(const struct rule_capability *c)
{
	return tool_pattern_covers(span_cstr(c->tool_pattern), SPAN("web.fetch")) ||
		span_starts(span_cstr(c->tool_pattern), SPAN("web."));
}
