/* SPDX-License-Identifier: AGPL-3.0-only */
/* Inside of daemon/toolserver: the servers of a node, and the life of one. */
#pragma once

#include "daemon/toolserver/endpoint.h"
#include "daemon/toolserver/pipe.h"
#include "daemon/toolserver/toolset.h"

struct tool_server {
	struct tool_servers *all;
	struct tool_server_config config; /* copied; in the arena of `all` */
	int state; /* enum tool_server_state */
	struct mcp_client *client; /* while ready or unhealthy */
	struct toolset *tools; /* as it listed them last, also while it is down; NULL: never */
	int calls; /* under way */
	uint32_t starts;
	int failures; /* in a row */
	int64_t next_start_ns; /* while backing off */
	int64_t ready_ns; /* when it was ready last; 0: never */
	char error[ERR_MESSAGE_BYTES]; /* of the last end; "" */
};

struct tool_servers {
	struct tool_servers_options o;
	struct arena *arena; /* of the configuration */
	struct group group;
	struct waitq changed; /* the state of one */
	struct tool_server *items;
	size_t count;
	struct tool_catalog *catalog;
	struct tool_source source;
};

/* The whole life of a server: a fiber. */
void tool_server_run(void *server);

/* Tools have changed: what is on offer is made anew. -ENOMEM: the old one stays. */
int tool_servers_publish(struct tool_servers *s) MUST_USE;

/* What happened to a server, on record and in the log. */
AWAITS void tool_server_record(struct tool_server *s, enum event_type type, const char *error);
