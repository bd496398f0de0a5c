/* SPDX-License-Identifier: AGPL-3.0-only */
/* The node itself: health, what it can enforce, and the door that agents must not use. */
#include "daemon/api/call.h"

static void health_put(struct api_call *c, struct json_writer *w)
{
	json_object(w);
	json_field_cstr(w, "status", "ok");
	json_field_cstr(w, "version", AEGIS_VERSION);
	json_field_cstr(w, "node_id", c->api->deps.node_id);
	json_field_i64(w, "uptime_seconds", (rt_now_ns() - c->api->deps.started_ns) / NS_PER_S);
	if (c->api->deps.status)
		c->api->deps.status(c->api->deps.ctx, w);
	json_end(w);
}

static AWAITS void health(struct api_call *c)
{
	struct buf b CLEANUP(buf_fini) = api_reply_begin();
	struct json_writer w = json_writer(&b);
	health_put(c, &w);
	api_reply_end(c, 200, &b);
}

/* Ready means that the store answers: everything that is acknowledged goes through it. */
static AWAITS void health_ready(struct api_call *c)
{
	struct span value;
	int r = store_kv_get(
		c->api->deps.store, SPAN("ready"), c->arena, &value, deadline_in_ms(2000));
	if (r < 0) {
		api_error(c, 503, "not_ready", "the store does not answer: %s", err_message(r));
		return;
	}
	health(c);
}

static AWAITS void doctor(struct api_call *c)
{
	struct buf b CLEANUP(buf_fini) = api_reply_begin();
	struct json_writer w = json_writer(&b);
	int r = c->api->deps.doctor(c->api->deps.ctx, &w);
	if (r < 0)
		api_failed(c, r, "examine this host");
	else
		api_reply_end(c, 200, &b);
}

static AWAITS void dispatch_gateway(struct api_call *c)
{
	api_error(c, 403, "not_a_sandbox",
		"the dispatch gateway is offered inside sandboxes only: an execution is known by "
		"the socket "
		"it comes through, never by what it says");
}

const struct api_route api_routes_node[] = {
	{HTTP_GET, "/health", health, 0, true},
	{HTTP_GET, "/health/live", health, 0, true},
	{HTTP_GET, "/health/ready", health_ready, 0, true},
	{HTTP_GET, "/v1/doctor", doctor, 0, false},
	{HTTP_POST, "/v1/dispatch-gateway", dispatch_gateway, LIMIT_API_BODY_BYTES, false},
};
const size_t api_routes_node_count = ARRAY_LEN(api_routes_node);
