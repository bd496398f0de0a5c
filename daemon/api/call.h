/* SPDX-License-Identifier: AGPL-3.0-only */
/* Inside of daemon/api: one request on its way, and the ways to answer it. */
#pragma once

#include "daemon/api/api.h"

struct api_call;
typedef AWAITS void (*api_fn)(struct api_call *c);

struct api_route {
	enum http_method method;
	const char *pattern;
	api_fn fn;
	size_t body_limit; /* bytes; 0: a body is refused */
	bool without_key; /* answered to anybody at the door */
	size_t open_body_limit; /* then: bytes of who has not shown the key */
};

struct api {
	struct api_deps deps;
	struct deploy deploy;
	struct router *router;
	struct arena *texts; /* patterns of absent routes */
	struct router *absent; /* documented routes that this build does not serve */
	/* See files.c. */
	int transfers; /* requests that have a volume open */
	struct policy_snapshot *files_policy; /* that files_rules were made from; NULL: none */
	struct rule_set *files_rules;
};

struct api_call {
	struct api *api;
	const struct api_door *door;
	const struct api_route *route;
	struct http_request *q;
	struct http_reply *p;
	struct router_match match;
	struct arena *arena;
	struct span body;
	int64_t deadline_ns;
};

/* ---- what was asked ---- */

struct span api_param(const struct api_call *c, const char *name);

/* True with the value; false if the call has been answered (400). Absent gives `otherwise`. */
AWAITS bool api_query_i64(struct api_call *c, const char *key, int64_t least, int64_t most,
	int64_t otherwise, int64_t *ret);
AWAITS bool api_query_bool(struct api_call *c, const char *key, bool otherwise, bool *ret);
AWAITS bool api_query(struct api_call *c, const char *key, struct span *ret); /* empty if absent */

/* limit and offset, checked. */
AWAITS bool api_page(struct api_call *c, struct store_page *ret);

/* The body as a JSON object; an empty body counts as {}. False if answered (400). */
AWAITS bool api_body_object(struct api_call *c, const struct json **ret);

/* The path parameter `name` as an id; false if answered (404). */
AWAITS bool api_id(struct api_call *c, const char *name, const char *noun, struct uuid *ret);

/* The tenant that the request speaks for. */
struct span api_tenant(const struct api_call *c);

/* ---- answers; each ends the call ---- */

/* The buffer that an answer is written into, and the end: 200-class with that JSON. */
struct buf api_reply_begin(void);
AWAITS void api_reply_end(struct api_call *c, int status, struct buf *b);

AWAITS void api_error(struct api_call *c, int status, const char *code, const char *fmt, ...)
	PRINTF_LIKE(4, 5);

/* A negative errno of a flow: back-pressure 503, time 504, full 507, else 500 with a log line. */
AWAITS void api_failed(struct api_call *c, int r, const char *what);

/* {items, count} around what was written between the two, or the bare array if ?format=array. */
struct api_list {
	struct buf b;
	struct json_writer w;
	bool bare;
	size_t count;
};
AWAITS bool api_list_begin(struct api_call *c, struct api_list *l); /* false if answered */
AWAITS void api_list_end(struct api_call *c, struct api_list *l);

void api_put_time(struct json_writer *w, const char *key, int64_t wall_ns); /* null for 0 */
void api_put_uuid(struct json_writer *w, const char *key, struct uuid id); /* null for nil */
void api_put_text(struct json_writer *w, const char *key, struct span text); /* null if empty */
/* A stored JSON text; null if empty. */
void api_put_json(struct json_writer *w, const char *key, struct span text);

/* ---- routes ---- */

extern const struct api_route api_routes_agents[], api_routes_executions[], api_routes_node[],
	api_routes_policy[], api_routes_smcp[], api_routes_mcp[], api_routes_tools[],
	api_routes_volumes[], api_routes_files[];
extern const size_t api_routes_agents_count, api_routes_executions_count, api_routes_node_count,
	api_routes_policy_count, api_routes_smcp_count, api_routes_mcp_count,
	api_routes_tools_count, api_routes_volumes_count, api_routes_files_count;

int api_absent_add(struct api *api) MUST_USE;

AWAITS void api_execution_events(struct api_call *c);
AWAITS void api_execution_stream(struct api_call *c);
AWAITS void api_agent_events(struct api_call *c);

/* From an agent's row and a request's body to an execution; answers. */
AWAITS void api_execute(struct api_call *c, struct uuid agent_id, const struct json *body);
