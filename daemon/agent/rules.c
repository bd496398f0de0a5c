/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * From a manifest's `security` and `tools` to rules. These are permits only: what a security
 * context or the node's policies forbid stays forbidden. Everything is denied that no line of the
 * manifest allows, and each rule carries the line it comes from.
 *
 * The settings of a tool only ever narrow: `allowed_paths` of mcp:filesystem cut down what
 * security.filesystem allows, and its `access_mode` (read-only by default) leaves the tools that
 * write out. A plain "cmd.run" allows every program but shells, so that a line that needs one is
 * refused; builtin:cmd allows what its subcommand_allowlist names.
 */
#include "daemon/agent/agent_internal.h"
#include "policy/context/context.h"
#include <stdio.h>
#include <stdlib.h>

enum { FIELD_BYTES = RULE_ORIGIN_BYTES };

struct making {
	const struct agent_manifest *m;
	struct rule_set_builder *b;
	char field[FIELD_BYTES]; /* of the rule at hand */
};

static struct rule_origin origin(struct making *k, const char *fmt, ...) PRINTF_LIKE(2, 3);
static struct rule_origin origin(struct making *k, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(k->field, sizeof(k->field), fmt, args);
	va_end(args);
	return (struct rule_origin){.field = k->field, .line = agent_manifest_line(k->m, k->field)};
}

/* ---- tools ---- */

static bool is_filesystem_server(const struct agent_tool *t)
{
	return strcmp(t->server ? t->server : t->name, "mcp:filesystem") == 0;
}

static bool may_write(const struct agent_tool *t)
{
	return span_is(json_str(t->config, "access_mode", SPAN("")), "read-write");
}

static int allow_subcommands(struct making *k, size_t i, const struct agent_cmd_policy *cmd)
{
	int r = 0;

	for (size_t n = 0; r == 0 && n < cmd->subcommand_allowlist.count; n++) {
		const char *name = cmd->subcommand_allowlist.keys[n];
		const agent_strings *args = &cmd->subcommand_allowlist.values[n];
		r = rule_allow_command(k->b, name,
			args->items ? (const char *const *)args->items
				    : (const char *const[]){NULL},
			args->count,
			origin(k, "spec.tools[%zu].config.subcommand_allowlist.%.100s", i, name));
	}
	if (r == 0 && cmd->allow_shell)
		r = rule_allow_command(
			k->b, "sh", NULL, 0, origin(k, "spec.tools[%zu].config.allow_shell", i));
	return err_trace(r);
}

/* The file tools that change nothing. */
static int allow_reading(struct making *k, size_t i)
{
	const struct context_tool *t;
	int r = 0;

	for (size_t n = 0; r == 0 && (t = context_tool_at(n)); n++)
		if (t->reads && !t->writes)
			r = rule_allow_tool(k->b, t->name, origin(k, "spec.tools[%zu]", i));
	return err_trace(r);
}

static int allow_tool(struct making *k, size_t i)
{
	const struct agent_tool *t = &k->m->spec.tools.items[i];
	const char *pattern = agent_tool_pattern(t);
	int r = 0;

	if (!pattern) /* unknown here: allows nothing, and the manifest refuses to run */
		return 0;
	if (is_filesystem_server(t) && !may_write(t))
		return err_trace(allow_reading(k, i));
	r = rule_allow_tool(k->b, pattern, origin(k, "spec.tools[%zu]", i));
	if (r == 0 && t->cmd)
		return err_trace(allow_subcommands(k, i, t->cmd));
	if (r == 0 && strncmp(pattern, "cmd.", 4) == 0)
		r = rule_allow_command(
			k->b, CONTEXT_ANY_BUT_SHELL, NULL, 0, origin(k, "spec.tools[%zu]", i));
	return err_trace(r);
}

/* ---- paths ---- */

static bool within(struct span path, struct span folder)
{
	while (folder.n > 1 && folder.p[folder.n - 1] == '/')
		folder.n--;
	return span_starts(path, folder) &&
		(path.n == folder.n || folder.n == 1 || path.p[folder.n] == '/');
}

static bool is_glob(struct span s)
{
	return span_find_byte(s, '*', 0) >= 0 || span_find_byte(s, '?', 0) >= 0;
}

/* The paths that both allow: of two folders, one inside the other, the inner one. A glob counts as
 * inside only with its whole fixed beginning, else it is left out: narrower, never wider. */
static int allow_both(struct making *k, const char *action, const char *glob,
	const struct json *allowed, struct rule_origin o)
{
	struct span s = span_cstr(glob);
	int r = 0;

	json_for_each (item, allowed) {
		if (r < 0 || item->type != JSON_STRING)
			continue;
		if (!is_glob(item->text) && within(s, item->text))
			return err_trace(rule_allow_path(k->b, action, glob, o));
		if (is_glob(s) || !within(item->text, s))
			continue;
		char *path = span_dup(item->text);
		r = path ? rule_allow_path(k->b, action, path, o)
			 : err_raise(-ENOMEM, "rules: out of memory");
		free(path);
	}
	return err_trace(r);
}

/* allowed_paths of the first mcp:filesystem tool that has them, NULL if there is none. */
static const struct json *narrowing(const struct agent_manifest *m)
{
	for (size_t i = 0; i < m->spec.tools.count; i++) {
		const struct agent_tool *t = &m->spec.tools.items[i];
		const struct json *paths =
			is_filesystem_server(t) ? json_get(t->config, "allowed_paths") : NULL;
		if (paths && paths->type == JSON_ARRAY)
			return paths;
	}
	return NULL;
}

static int allow_paths(
	struct making *k, const char *action, const char *field, const agent_strings *globs)
{
	const struct json *allowed = narrowing(k->m);
	int r = 0;

	for (size_t i = 0; r == 0 && i < globs->count; i++) {
		struct rule_origin o = origin(k, "spec.security.filesystem.%s[%zu]", field, i);
		r = allowed ? allow_both(k, action, globs->items[i], allowed, o)
			    : rule_allow_path(k->b, action, globs->items[i], o);
	}
	return err_trace(r);
}

/* ---- network ---- */

/* `deny` means any name but the list, and never an address by itself (decisions, [17]). */
static int allow_network(struct making *k)
{
	const struct agent_security *s = &k->m->spec.security;
	int r = 0;

	if (s->network.mode == AGENT_NETWORK_NONE)
		return 0;
	if (s->network.mode == AGENT_NETWORK_DENY)
		r = rule_allow_connect(k->b, "*", origin(k, "spec.security.network.mode"));
	for (size_t i = 0;
		r == 0 && s->network.mode == AGENT_NETWORK_ALLOW && i < s->network.allowlist.count;
		i++)
		r = rule_allow_connect(k->b, s->network.allowlist.items[i],
			origin(k, "spec.security.network.allowlist[%zu]", i));
	for (size_t i = 0; r == 0 && i < s->network.denylist.count; i++)
		r = rule_deny_connect(k->b, s->network.denylist.items[i],
			origin(k, "spec.security.network.denylist[%zu]", i));
	return err_trace(r);
}

static int allow_lease(struct making *k, size_t i)
{
	const struct agent_lease *l = &k->m->spec.security.leases.items[i];
	int r = 0;

	for (size_t n = 0; r == 0 && n < l->destinations.count; n++)
		r = rule_lease_connect(k->b, l->destinations.items[n], l->tool, l->programs.items,
			l->programs.count,
			origin(k, "spec.security.leases[%zu].destinations[%zu]", i, n));
	return err_trace(r);
}

static bool workspace_is_read_only(const struct agent_manifest *m)
{
	if (m->spec.security.filesystem.read_only)
		return true;
	for (size_t i = 0; i < m->spec.volumes.count; i++)
		if (strcmp(m->spec.volumes.items[i].mount_path, "/workspace") == 0 &&
			m->spec.volumes.items[i].access_mode == AGENT_READ_ONLY)
			return true;
	return false;
}

static int make_rules(struct making *k)
{
	const struct agent_manifest *m = k->m;
	int r = 0;

	for (size_t i = 0; r == 0 && i < m->spec.tools.count; i++)
		r = allow_tool(k, i);
	if (r == 0)
		r = allow_paths(k, "fs:read", "read", &m->spec.security.filesystem.read);
	if (r == 0 && !workspace_is_read_only(m))
		r = allow_paths(k, "fs:write", "write", &m->spec.security.filesystem.write);
	if (r == 0)
		r = allow_network(k);
	for (size_t i = 0; r == 0 && i < m->spec.security.leases.count; i++)
		r = allow_lease(k, i);
	return err_trace(r);
}

int agent_rules(const struct agent_manifest *m, struct rule_set_builder *b)
{
	struct making k = {.m = m, .b = b};

	return err_trace(make_rules(&k));
}

int agent_check_rules(struct report *report, const struct agent_manifest *m)
{
	struct making k = {.m = m, .b = rule_set_builder_new()};

	if (!k.b)
		return err_raise(-ENOMEM, "no memory for a manifest");
	int r = make_rules(&k);
	rule_set_builder_free(k.b);
	if (r != -EINVAL && r != -E2BIG)
		return err_trace(r);
	const char *message = err_message(r);
	size_t n = strlen(k.field);
	/* A finding names its field itself. */
	if (strncmp(message, k.field, n) == 0 && strncmp(message + n, ": ", 2) == 0)
		message += n + 2;
	agent_finding(report, m, k.field, message);
	return DOC_BAD;
}
