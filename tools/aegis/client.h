/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Requests to the daemon, blocking, through libcurl. The Unix socket of the configuration is the
 * door unless --host or --port (or their variables) name the network door, which wants the bearer
 * key of api_key_path.
 */
#pragma once

#include "tools/aegis/cli.h"

struct client;

/* Finds the door. 0 with *ret, or an enum cli_exit after saying why. */
int client_open(const struct cli *c, struct client **ret) MUST_USE;
struct client *client_close(struct client *c); /* always NULL */
void client_cleanup(struct client **c); /* for CLEANUP */
const char *client_door(const struct client *c); /* "unix:/run/...", "http://127.0.0.1:8088" */

struct client_request {
	const char *method; /* "GET" */
	const char *path; /* "/v1/agents?limit=20"; already encoded */
	const char *content_type; /* of the body */
	struct span body;
	int64_t timeout_ms; /* 0: none */
	const char *last_event_id; /* of a stream that is taken up again; NULL */
	bool quiet_if_away; /* say nothing if the daemon does not answer */
	/* For streams: called with what arrives; nonzero ends the request early, and well. The body
	 * of a refusal (400 and above) is kept instead. */
	int (*on_data)(void *ctx, struct span data);
	void *ctx;
};

/* Sends it. CLI_OK with the JSON of the reply in `a` (*ret NULL if the body is empty or was given
 * to on_data); otherwise the exit code that goes with the HTTP status or the failure, after saying
 * why. */
int client_call(struct client *c, const struct client_request *q, struct arena *a,
	const struct json **ret) MUST_USE;

/* One path segment, percent-encoded, appended to b. */
void client_put_segment(struct buf *b, const char *segment);
