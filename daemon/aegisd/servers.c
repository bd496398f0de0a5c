/* SPDX-License-Identifier: AGPL-3.0-only */
/* From `spec.mcp_servers` of the configuration to tool servers. */
#include "daemon/aegisd/aegisd.h"
#include <stdlib.h>

enum { SERVERS_BYTES = 1 << 20 };

static int variables_make(
	struct arena *a, const struct config_mcp_server *c, struct tool_server_config *to)
{
	size_t count = c->credentials.count + c->environment.count;
	struct tool_server_variable *v =
		arena_make_array(a, struct tool_server_variable, count + 1);

	if (!v)
		return err_raise(-ENOMEM, "tool servers: out of memory");
	to->variables = v;
	for (size_t i = 0; i < c->environment.count; i++)
		v[to->variable_count++] = (struct tool_server_variable){
			c->environment.keys[i], span_cstr(c->environment.values[i])};
	for (size_t i = 0; i < c->credentials.count; i++) {
		const struct table_secret *s = &c->credentials.values[i];
		if (s->from == TABLE_SECRET_STORE)
			return err_raise(-EOPNOTSUPP,
				"tool server '%s': credentials.%s 'secret:%s': this build has no "
				"secret store; use env:NAME",
				c->name, c->credentials.keys[i], s->name);
		if (s->value)
			v[to->variable_count++] = (struct tool_server_variable){
				c->credentials.keys[i], secret_reveal(s->value)};
	}
	return 0;
}

/* What capabilities say of arguments, one after the other. */
static int judged_make(
	struct arena *a, const struct config_mcp_server *c, struct tool_server_config *to)
{
	size_t most = 0;

	for (size_t i = 0; i < c->capabilities.count; i++)
		most += c->capabilities.items[i].path_arguments.count + 1;
	struct tool_server_judged *j = arena_make_array(a, struct tool_server_judged, most + 1);
	if (!j)
		return err_raise(-ENOMEM, "tool servers: out of memory");
	to->judged = j;
	for (size_t i = 0; i < c->capabilities.count; i++) {
		const struct config_capability *from = &c->capabilities.items[i];
		for (size_t n = 0; n < from->path_arguments.count; n++)
			j[to->judged_count++] = (struct tool_server_judged){
				from->name, {from->path_arguments.items[n], TOOL_JUDGED_PATH}};
		if (from->domain_argument)
			j[to->judged_count++] = (struct tool_server_judged){
				from->name, {from->domain_argument, TOOL_JUDGED_DOMAIN}};
		if (from->url_argument)
			j[to->judged_count++] = (struct tool_server_judged){
				from->name, {from->url_argument, TOOL_JUDGED_URL}};
	}
	return 0;
}

static int server_make(
	struct arena *a, const struct config_mcp_server *c, struct tool_server_config *to)
{
	const char **capabilities = arena_make_array(a, const char *, c->capabilities.count + 1);

	if (!capabilities)
		return err_raise(-ENOMEM, "tool servers: out of memory");
	for (size_t i = 0; i < c->capabilities.count; i++)
		capabilities[i] = c->capabilities.items[i].name;
	*to = (struct tool_server_config){
		.name = c->name,
		.executable = c->executable,
		.args = (const char *const *)c->args.items,
		.arg_count = c->args.count,
		.http_port = (uint16_t)c->http_port,
		.http_path = c->http_path,
		.url = c->url,
		.capabilities = capabilities,
		.capability_count = c->capabilities.count,
		.network = (const char *const *)c->network_allowlist.items,
		.network_count = c->network_allowlist.count,
		.health_interval_ms = c->health_check.interval_s * 1000,
		.health_timeout_ms = c->health_check.timeout_s * 1000,
		.health_method = c->health_check.method,
		.call_timeout_ms = c->call_timeout_s * 1000,
		.cpu_millis = (uint32_t)c->resource_limits.cpu_millicores,
		.memory_bytes = (uint64_t)c->resource_limits.memory_mb << 20,
	};
	int r = judged_make(a, c, to);
	return r < 0 ? err_trace(r) : err_trace(variables_make(a, c, to));
}

/* Those that are to run. Texts are the configuration's. */
static int servers_make(const struct config *c, struct arena *a,
	const struct tool_server_config **ret, size_t *ret_count)
{
	struct tool_server_config *servers =
		arena_make_array(a, struct tool_server_config, c->mcp_servers.count + 1);
	int r = servers ? 0 : err_raise(-ENOMEM, "tool servers: out of memory");
	size_t count = 0;

	for (size_t i = 0; r == 0 && i < c->mcp_servers.count; i++)
		if (c->mcp_servers.items[i].enabled)
			r = server_make(a, &c->mcp_servers.items[i], &servers[count++]);
	*ret = servers;
	*ret_count = count;
	return err_trace(r);
}

int servers_open(
	const struct config *c, const struct tool_servers_options *with, struct tool_servers **ret)
{
	struct arena *a CLEANUP(arena_cleanup) = arena_new(SERVERS_BYTES);
	struct tool_servers_options o = *with;
	int r = a ? servers_make(c, a, &o.servers, &o.count)
		  : err_raise(-ENOMEM, "tool servers: out of memory");

	if (r == 0)
		r = tool_servers_new(&o, ret);
	return r < 0 ? err_wrap(r, "spec.mcp_servers") : 0;
}

int servers_reload(const struct config *c, struct tool_servers *s)
{
	struct arena *a CLEANUP(arena_cleanup) = arena_new(SERVERS_BYTES);
	struct tool_servers_changes changes;
	const struct tool_server_config *servers;
	size_t count;
	int r = a ? servers_make(c, a, &servers, &count)
		  : err_raise(-ENOMEM, "tool servers: out of memory");

	if (r == 0)
		r = tool_servers_reload(s, servers, count, &changes);
	if (r < 0)
		return err_wrap(r, "spec.mcp_servers");
	if (changes.added + changes.changed + changes.removed)
		log_info("tool servers: %zu added, %zu changed, %zu removed", changes.added,
			changes.changed, changes.removed);
	return 0;
}
