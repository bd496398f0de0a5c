/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Layer 5: the HTTP API. Thin: it finds the route, checks who is at the door, translates JSON into
 * calls of the flows and their outcomes into JSON. Paths, fields and numbers are those that
 * upstream's clients use; where its documents and its SDKs disagree, replies carry both forms. What
 * this build does not serve answers 501 and names itself.
 *
 * Served on the worker of the executions. Errors: {"error": text, "code": word, ...}.
 */
#pragma once

#include "daemon/config/config.h"
#include "daemon/deploy/deploy.h"
#include "daemon/execution/execution.h"
#include "daemon/mcp/mcp.h"
#include "daemon/net/net.h"
#include "daemon/smcp/smcp.h"
#include "daemon/volume/volume.h"

enum api_door_kind {
	API_DOOR_UNIX, /* the CLI's: the kernel has checked who may open it */
	API_DOOR_TCP, /* needs the bearer key unless `open` */
};

/* A door is the tag of its listener and must outlive it. */
struct api_door {
	enum api_door_kind kind;
	bool open; /* --no-auth; loopback only */
	const char *const *authorities; /* accepted in Host and Origin; TCP only */
	int authority_count;
};

struct api_deps {
	struct store *store;
	struct event_bus *bus;
	struct executions *executions;
	const struct volumes *volumes; /* NULL: not served */
	struct smcp_service *smcp; /* NULL: not served */
	struct mcp_service *mcp; /* NULL: not served */
	const struct tool_source *source; /* of tools beyond the built-in ones; NULL: none */
	/* Writes an array of the tool servers; may be NULL. */
	void (*tool_servers)(void *ctx, struct json_writer *w);
	const struct secret *bearer_key;
	const char *tenant_id; /* of requests that name none */
	const char *node_id;
	/* Writes the doctor's report as one JSON value; may take seconds. */
	AWAITS int (*doctor)(void *ctx, struct json_writer *w);
	/* Writes the members of /health beside "status": settings that weaken a guarantee, and so
	 * on. */
	void (*status)(void *ctx, struct json_writer *w);
	struct policies *policies;
	/* Loads the policies again: 0 or POLICY_INVALID, with findings, one a line. */
	AWAITS int (*policy_reload)(void *ctx, struct buf *findings);
	void *ctx; /* of these */
	int64_t started_ns; /* rt_now_ns */
	int64_t list_max; /* most rows of one page */
};

struct api;
int api_new(const struct api_deps *deps, struct api **ret) MUST_USE;
struct api *api_free(struct api *a); /* no request may be under way; always NULL */

/* An http_handler; ctx is the api, the listener's tag a struct api_door. */
AWAITS void api_handle(void *ctx, struct http_request *q, struct http_reply *p);

/* The body of errors that the HTTP server makes itself. */
bool api_beside(void *ctx, const struct http_head *head); /* http_server_options.beside */
void api_write_error(void *ctx, int status, const char *reason, struct buf *body);
