/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * What a manifest asks for and does not get yet (decisions, [10]). A notice is named at deploy; a
 * refusal lets the agent deploy and refuses its runs, because a run would be less safe than the
 * manifest says. Most of it stands in the tables; here are the cases that need more than one field.
 */
#include "daemon/agent/agent_internal.h"
#include "policy/context/context.h"
#include <stdio.h>

enum { EFFECTS_MAX = 128, REASON_BYTES = 512 };

struct effects {
	struct arena *arena;
	struct agent_notice *notices, *refusals;
	size_t notice_count, refusal_count;
	bool no_memory;
};

static void add(
	struct effects *e, enum table_effect effect, const char *path, int line, const char *reason)
{
	struct agent_notice *list = effect == TABLE_GUARDED ? e->refusals : e->notices;
	size_t *count = effect == TABLE_GUARDED ? &e->refusal_count : &e->notice_count;
	if (*count == EFFECTS_MAX)
		return;
	struct agent_notice n = {
		.path = arena_strdup(e->arena, path),
		.line = line,
		.reason = arena_strdup(e->arena, reason),
	};
	if (!n.path || !n.reason)
		e->no_memory = true;
	else
		list[(*count)++] = n;
}

static void on_field(
	void *ctx, const char *path, const struct table_field *f, const struct doc *value)
{
	const char *reason = f->effect_says ? f->effect_says
		: f->effect == TABLE_GUARDED
		? "not enforced yet, so a run would be less safe than asked"
		: "it is read, but has no effect yet";
	add(ctx, f->effect, path, value->key_at.line ? value->key_at.line : value->at.line, reason);
}

/* ---- tools ---- */

/* A manifest may name a tool of ours, or all of a kind. */
static const char *known_pattern(const char *name)
{
	static const char *const groups[] = {"fs.*", "cmd.*"};
	const struct context_tool *t;

	for (size_t i = 0; i < ARRAY_LEN(groups); i++)
		if (strcmp(name, groups[i]) == 0)
			return groups[i];
	for (size_t i = 0; (t = context_tool_at(i)); i++)
		if ((context_tool_is_file(t) || strcmp(t->name, "cmd.run") == 0) &&
			strcmp(name, t->name) == 0)
			return t->name;
	return NULL;
}

static void put_known_names(struct buf *b)
{
	const struct context_tool *t;

	for (size_t i = 0; (t = context_tool_at(i)); i++)
		if (context_tool_is_file(t))
			buf_printf(b, "%s, ", t->name);
	buf_puts(b,
		"fs.* for all of these, cmd.run, mcp:filesystem, mcp:SERVER for the tools of a "
		"server of the node");
}

const char *agent_tool_pattern(const struct agent_tool *t)
{
	if (t->server_pattern)
		return t->server_pattern;
	if (t->executor)
		return strcmp(t->executor, "builtin:cmd") == 0 ? "cmd.run" : NULL;
	if (t->server)
		return strcmp(t->server, "mcp:filesystem") == 0 ? "fs.*" : NULL;
	if (strcmp(t->name, "mcp:filesystem") == 0)
		return "fs.*";
	return known_pattern(t->name);
}

const char *agent_tool_server(const struct agent_tool *t)
{
	return t->server_name;
}

static void unknown_tools(struct effects *e, const struct agent_manifest *m)
{
	for (size_t i = 0; i < m->spec.tools.count; i++) {
		const struct agent_tool *t = &m->spec.tools.items[i];
		if (agent_tool_pattern(t))
			continue;
		struct buf reason CLEANUP(buf_fini) = buf_init(REASON_BYTES);
		char path[64];
		snprintf(path, sizeof(path), "spec.tools[%zu]", i);
		buf_printf(&reason, "the tool \"%.128s\" is not known here; accepted: ",
			t->server ? t->server : t->name);
		if (t->server)
			buf_puts(&reason, "the server mcp:filesystem");
		else
			put_known_names(&reason);
		add(e, TABLE_GUARDED, path, agent_manifest_line(m, path), buf_cstr(&reason));
	}
}

/* Settings of a tool are not walked by the table: they are JSON there. */
static void tool_settings(struct effects *e, const struct agent_manifest *m)
{
	for (size_t i = 0; i < m->spec.tools.count; i++) {
		const struct agent_tool *t = &m->spec.tools.items[i];
		char path[64];
		snprintf(path, sizeof(path), "spec.tools[%zu].config", i);
		if (t->server_name && t->config && t->config->count)
			add(e, TABLE_GUARDED, path, agent_manifest_line(m, path),
				"settings of a tool server's tools are not enforced yet; a "
				"security context can limit them");
		if (t->cmd && t->cmd->env_var_denylist.count)
			add(e, TABLE_GUARDED, path, agent_manifest_line(m, path),
				"env_var_denylist is not enforced yet");
		if (t->fs && json_get(t->config, "max_file_size_bytes"))
			add(e, TABLE_GUARDED, path, agent_manifest_line(m, path),
				"max_file_size_bytes is not enforced yet");
	}
}

/* ---- others ---- */

static bool starts(const char *text, const char *prefix)
{
	return strncmp(text, prefix, strlen(prefix)) == 0;
}

static void unresolved_env(struct effects *e, const struct agent_manifest *m)
{
	for (size_t i = 0; i < m->spec.env.count; i++) {
		const char *value = m->spec.env.values[i];
		if (!starts(value, "secret:") && !starts(value, "config:"))
			continue;
		char path[LIMIT_NAME_BYTES];
		snprintf(path, sizeof(path), "spec.env.%.200s", m->spec.env.keys[i]);
		add(e, TABLE_GUARDED, path, agent_manifest_line(m, path),
			"no secret store and no configuration store is connected yet, so the value "
			"cannot be filled in");
	}
}

static void limits_elsewhere(struct effects *e, const struct agent_manifest *m)
{
	for (size_t i = 0; i < m->spec.volumes.count; i++) {
		const struct agent_volume *v = &m->spec.volumes.items[i];
		char path[64];
		if (v->storage_class != AGENT_STORAGE_PERSISTENT || !v->size_limit_bytes)
			continue;
		snprintf(path, sizeof(path), "spec.volumes[%zu].size_limit", i);
		add(e, TABLE_NOTED, path, agent_manifest_line(m, path),
			"a persistent volume has the limit it was created with");
	}
}

int agent_collect_effects(struct arena *a, struct agent_manifest *m)
{
	struct effects e = {
		.arena = a,
		.notices = arena_make_array(a, struct agent_notice, EFFECTS_MAX),
		.refusals = arena_make_array(a, struct agent_notice, EFFECTS_MAX),
	};
	if (!e.notices || !e.refusals)
		return err_raise(-ENOMEM, "no memory for a manifest");
	table_effects(&agent_manifest_table, m->doc, on_field, &e);
	unknown_tools(&e, m);
	tool_settings(&e, m);
	unresolved_env(&e, m);
	limits_elsewhere(&e, m);
	if (e.no_memory)
		return err_raise(-ENOMEM, "no memory for a manifest");
	m->notices = e.notices;
	m->notice_count = e.notice_count;
	m->refusals = e.refusals;
	m->refusal_count = e.refusal_count;
	return 0;
}
