/* SPDX-License-Identifier: AGPL-3.0-only */
/* Inside of daemon/toolserver: the servers of a node, and the life of one. */
#pragma once

#include "daemon/toolserver/child.h"
#include "daemon/toolserver/endpoint.h"
#include "daemon/toolserver/pipe.h"
#include "daemon/toolserver/toolset.h"

struct tool_server {
	struct tool_servers *all;
	int refs; /* its place in the list, and each call */
	uint64_t number; /* never another's */
	struct arena *arena; /* of the configuration */
	struct tool_server_config config;
	struct group life; /* its fiber */
	bool started;
	const char *ending; /* why it leaves the list; NULL: it does not */
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
	struct waitq changed; /* the state of one, or a reload is over */
	struct tool_server **items;
	size_t count;
	uint64_t numbers; /* given so far */
	bool reloading;
	struct tool_catalog *catalog;
	struct tool_source source;
};

/* The whole life of a server: a fiber. */
void tool_server_run(void *server);

struct tool_server *tool_server_ref(struct tool_server *s);
void tool_server_unref(struct tool_server *s); /* NULL is allowed */

/* -EINVAL names the server; `all` up to `at` is accepted already. */
int tool_server_config_check(const struct tool_server_config *all, size_t at) MUST_USE;
/* All texts are the arena's; -ENOMEM leaves a copy that can be forgotten. */
int tool_server_config_copy(struct arena *a, const struct tool_server_config *from,
	struct tool_server_config *to) MUST_USE;
void tool_server_config_forget(struct tool_server_config *c); /* wipes the credentials */
bool tool_server_config_same(
	const struct tool_server_config *a, const struct tool_server_config *b);

void tool_servers_source_make(struct tool_servers *s);

/* Tools have changed: what is on offer is made anew. -ENOMEM: the old one stays. */
int tool_servers_publish(struct tool_servers *s) MUST_USE;

/* What happened to a server, on record and in the log. */
AWAITS void tool_server_record(struct tool_server *s, enum event_type type, const char *error);
