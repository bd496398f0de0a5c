/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * What the configuration says of a server: judged, copied and compared. A copy belongs to its
 * server, so that one which is taken away leaves no credential behind.
 */
#include "daemon/toolserver/internal.h"

enum { BOOTSTRAP_PORT = 8088 }; /* until it knows what it runs: tools/aegis-bootstrap/relay.h */

/* ---- judged ---- */

static int name_check(const struct tool_server_config *c)
{
	size_t n = strlen(c->name);

	if (strchr(c->name, '.') || n > LIMIT_TOOLSERVER_NAME_BYTES)
		return err_raise(-EINVAL,
			"tool server '%s': a name of up to %d bytes without a dot is expected, "
			"because its tools are called NAME.TOOL",
			c->name, LIMIT_TOOLSERVER_NAME_BYTES);
	for (size_t i = 0; tool_at(i); i++)
		if (strncmp(tool_at(i)->name, c->name, n) == 0 && tool_at(i)->name[n] == '.')
			return err_raise(-EINVAL,
				"tool server '%s': that name belongs to built-in tools (%s)",
				c->name, tool_at(i)->name);
	return 0;
}

static int http_check(const struct tool_server_config *c)
{
	if (c->http_port == BOOTSTRAP_PORT)
		return err_raise(-EINVAL,
			"tool server '%s': http_port %d is the sandbox's own: choose another one",
			c->name, BOOTSTRAP_PORT);
	if (c->http_path && !c->http_port)
		return err_raise(-EINVAL,
			"tool server '%s': http_path is for a program with http_port", c->name);
	return 0;
}

int tool_server_config_check(const struct tool_server_config *all, size_t at)
{
	const struct tool_server_config *c = &all[at];
	int r = name_check(c);
	if (r == 0)
		r = http_check(c);

	for (size_t i = 0; r == 0 && i < at; i++)
		if (strcmp(all[i].name, c->name) == 0)
			r = err_raise(-EINVAL, "tool server '%s': that name is another's", c->name);
	for (size_t i = 0; r == 0 && i < c->network_count; i++) {
		r = context_check_connect(c->network[i]);
		if (r < 0)
			return err_wrap(r, "tool server '%s': network_allowlist[%zu]", c->name, i);
	}
	if (r == 0 && strcmp(c->health_method, "ping") != 0 &&
		strcmp(c->health_method, "tools/list") != 0)
		r = err_raise(-EINVAL,
			"tool server '%s': health_check.method: ping and tools/list are accepted, "
			"not '%s'",
			c->name, c->health_method);
	return err_trace(r);
}

/* ---- copied ---- */

static const char *const *copy_texts(struct arena *a, const char *const *from, size_t count)
{
	const char **to = arena_make_array(a, const char *, count + 1);

	for (size_t i = 0; to && i < count; i++)
		if (!(to[i] = arena_strdup(a, from[i])))
			return NULL;
	return to;
}

static const struct tool_server_judged *copy_judged(
	struct arena *a, const struct tool_server_judged *from, size_t count)
{
	struct tool_server_judged *to = arena_make_array(a, struct tool_server_judged, count + 1);

	for (size_t i = 0; to && i < count; i++) {
		to[i].tools = arena_strdup(a, from[i].tools);
		to[i].argument = (struct tool_judged){
			arena_strdup(a, from[i].argument.name), from[i].argument.kind};
		if (!to[i].tools || !to[i].argument.name)
			return NULL;
	}
	return to;
}

int tool_server_config_copy(
	struct arena *a, const struct tool_server_config *from, struct tool_server_config *to)
{
	struct tool_server_variable *variables =
		arena_make_array(a, struct tool_server_variable, from->variable_count + 1);

	*to = *from;
	to->name = arena_strdup(a, from->name);
	to->executable = from->executable ? arena_strdup(a, from->executable) : NULL;
	to->url = from->url ? arena_strdup(a, from->url) : NULL;
	to->http_path = arena_strdup(a, from->http_path ? from->http_path : "/mcp");
	to->health_method = arena_strdup(a, from->health_method);
	to->args = copy_texts(a, from->args, from->arg_count);
	to->capabilities = copy_texts(a, from->capabilities, from->capability_count);
	to->judged = copy_judged(a, from->judged, from->judged_count);
	to->network = copy_texts(a, from->network, from->network_count);
	to->variables = variables;
	to->variable_count = 0;
	bool ok = to->name && to->http_path && to->health_method && to->args && to->capabilities &&
		to->judged && to->network && variables && !to->executable == !from->executable &&
		!to->url == !from->url;
	for (size_t i = 0; ok && i < from->variable_count; i++) {
		variables[i].name = arena_strdup(a, from->variables[i].name);
		variables[i].value = span_cstr(arena_cstr(a, from->variables[i].value));
		ok = variables[i].name && variables[i].value.p;
		to->variable_count += ok;
	}
	return ok ? 0 : err_raise(-ENOMEM, "the configuration of tool servers");
}

void tool_server_config_forget(struct tool_server_config *c)
{
	for (size_t i = 0; i < c->variable_count; i++)
		secret_wipe((void *)(uintptr_t)c->variables[i].value.p, c->variables[i].value.n);
}

/* ---- compared ---- */

static bool same_text(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

static bool same_texts(const char *const *a, size_t a_count, const char *const *b, size_t b_count)
{
	if (a_count != b_count)
		return false;
	for (size_t i = 0; i < a_count; i++)
		if (strcmp(a[i], b[i]) != 0)
			return false;
	return true;
}

static bool same_variables(const struct tool_server_config *a, const struct tool_server_config *b)
{
	if (a->variable_count != b->variable_count)
		return false;
	for (size_t i = 0; i < a->variable_count; i++)
		if (strcmp(a->variables[i].name, b->variables[i].name) != 0 ||
			!span_eq(a->variables[i].value, b->variables[i].value))
			return false;
	return true;
}

/* One of them may be as it was written. */
static bool same_path(const struct tool_server_config *a, const struct tool_server_config *b)
{
	return strcmp(a->http_path ? a->http_path : "/mcp", b->http_path ? b->http_path : "/mcp") ==
		0;
}

static bool same_judged(const struct tool_server_config *a, const struct tool_server_config *b)
{
	if (a->judged_count != b->judged_count)
		return false;
	for (size_t i = 0; i < a->judged_count; i++) {
		const struct tool_server_judged *x = &a->judged[i], *y = &b->judged[i];
		if (strcmp(x->tools, y->tools) != 0 || x->argument.kind != y->argument.kind ||
			strcmp(x->argument.name, y->argument.name) != 0)
			return false;
	}
	return true;
}

bool tool_server_config_same(const struct tool_server_config *a, const struct tool_server_config *b)
{
	return same_text(a->name, b->name) && same_text(a->executable, b->executable) &&
		a->http_port == b->http_port && same_path(a, b) && same_text(a->url, b->url) &&
		same_text(a->health_method, b->health_method) &&
		same_texts(a->args, a->arg_count, b->args, b->arg_count) &&
		same_texts(a->capabilities, a->capability_count, b->capabilities,
			b->capability_count) &&
		same_texts(a->network, a->network_count, b->network, b->network_count) &&
		same_variables(a, b) && same_judged(a, b) &&
		a->health_interval_ms == b->health_interval_ms &&
		a->health_timeout_ms == b->health_timeout_ms &&
		a->call_timeout_ms == b->call_timeout_ms && a->cpu_millis == b->cpu_millis &&
		a->memory_bytes == b->memory_bytes;
}
