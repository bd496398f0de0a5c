/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Whose a record is that belongs to no execution: a tool server has a sandbox of its own, whose id
 * follows from its name. Names are kept when a server leaves the configuration, because what it did
 * last comes after it has gone.
 */
#include "daemon/aegisd/aegisd.h"
#include <stdlib.h>
#include <string.h>

static bool is_known(const struct recorder *r, struct uuid identity)
{
	for (size_t i = 0; i < r->server_count; i++)
		if (uuid_eq(r->servers[i].identity, identity))
			return true;
	return false;
}

static int add(struct recorder *r, const char *name)
{
	struct record_server s = {.identity = tool_server_identity(name)};

	if (is_known(r, s.identity))
		return 0;
	struct record_server *list =
		realloc(r->servers, (r->server_count + 1) * sizeof(*r->servers));
	if (list)
		r->servers = list;
	s.name = list ? strdup(name) : NULL;
	if (!s.name)
		return err_raise(-ENOMEM, "names of tool servers");
	r->servers[r->server_count++] = s;
	return 0;
}

int record_servers(struct recorder *r, const struct config *c)
{
	int bad = 0;

	for (size_t i = 0; bad == 0 && i < c->mcp_servers.count; i++)
		bad = add(r, c->mcp_servers.items[i].name);
	return err_trace(bad);
}

void record_servers_free(struct recorder *r)
{
	for (size_t i = 0; i < r->server_count; i++)
		free(r->servers[i].name);
	free(r->servers);
	r->servers = NULL;
	r->server_count = 0;
}

void record_server_put(
	const struct recorder *r, struct json_writer *w, const struct uuid *execution)
{
	for (size_t i = 0; i < r->server_count; i++)
		if (uuid_eq(r->servers[i].identity, *execution))
			json_field_cstr(w, "tool_server", r->servers[i].name);
}
