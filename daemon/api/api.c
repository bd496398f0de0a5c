/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The way of a request: door (Host, Origin, key), route, body, handler. A request that fails one of
 * these never reaches the next, and the answer says which one it was.
 */
#include "daemon/api/call.h"
#include <stdlib.h>

enum { CALL_TIMEOUT_MS = 60000 };

/* ---- making ---- */

static int routes_add(struct router *r, const struct api_route *routes, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		/* The router hands the value back untouched; nobody writes through it. */
		int added = router_add(
			r, routes[i].method, routes[i].pattern, (void *)(uintptr_t)&routes[i]);
		if (added < 0)
			return err_trace(added);
	}
	return 0;
}

int api_new(const struct api_deps *deps, struct api **ret)
{
	struct api *a = calloc(1, sizeof(*a));
	if (!a)
		return err_raise(-ENOMEM, "api: out of memory");
	a->deps = *deps;
	a->deploy = (struct deploy){deps->store, deps->bus};
	a->router = router_new();
	a->absent = router_new();
	a->texts = arena_new(64 * 1024);
	int r = a->router && a->absent && a->texts ? 0 : err_raise(-ENOMEM, "api: out of memory");
	if (r == 0)
		r = routes_add(a->router, api_routes_node, api_routes_node_count);
	if (r == 0)
		r = routes_add(a->router, api_routes_agents, api_routes_agents_count);
	if (r == 0)
		r = routes_add(a->router, api_routes_executions, api_routes_executions_count);
	if (r == 0)
		r = routes_add(a->router, api_routes_smcp, api_routes_smcp_count);
	if (r == 0)
		r = routes_add(a->router, api_routes_policy, api_routes_policy_count);
	if (r == 0)
		r = routes_add(a->router, api_routes_mcp, api_routes_mcp_count);
	if (r == 0)
		r = routes_add(a->router, api_routes_tools, api_routes_tools_count);
	if (r == 0)
		r = routes_add(a->router, api_routes_volumes, api_routes_volumes_count);
	if (r == 0)
		r = routes_add(a->router, api_routes_files, api_routes_files_count);
	if (r == 0)
		r = api_absent_add(a);
	if (r < 0) {
		api_free(a);
		return err_trace(r);
	}
	*ret = a;
	return 0;
}

struct api *api_free(struct api *a)
{
	if (!a)
		return NULL;
	router_free(a->router);
	router_free(a->absent);
	arena_free(a->texts);
	policy_unref(a->files_policy);
	rule_set_unref(a->files_rules);
	free(a);
	return NULL;
}

void api_write_error(void *ctx, int status, const char *reason, struct buf *body)
{
	struct json_writer w = json_writer(body);
	json_object(&w);
	json_field_cstr(&w, "error", reason);
	json_field_i64(&w, "status", status);
	json_end(&w);
}

/* Signed calls carry all that they need, so those of one connection need not wait for each other.
 */
bool api_beside(void *ctx, const struct http_head *head)
{
	struct smcp_request q;

	return smcp_request_of(head->method == HTTP_POST, head->path, &q) &&
		q.operation == SMCP_OP_INVOKE;
}

/* ---- the door ---- */

/* Browsers cannot set headers on an event stream: there the key may come as ?token=. */
static bool token_in_query(struct api_call *c)
{
	struct span token;
	bool is_stream = c->route && span_ends(span_cstr(c->route->pattern), SPAN("/stream"));
	return is_stream && url_query_get(c->arena, c->q->head->query, "token", &token) == 0 &&
		secret_eq(c->api->deps.bearer_key, token);
}

/* The Unix socket is guarded by its mode; TCP by the authority and the key. Fails closed: a door
 * of another kind lets nobody in. */
static AWAITS bool door_passes(struct api_call *c)
{
	const struct api_door *d = c->door;
	int r;

	if (d->kind == API_DOOR_UNIX)
		return true;
	if (d->kind != API_DOOR_TCP) {
		api_error(c, 403, "forbidden", "this door is closed");
		return false;
	}
	r = door_check_origin(c->q->head, d->authorities, d->authority_count);
	if (r < 0) {
		api_error(c, 403, "forbidden_origin", "%s", err_message(r));
		return false;
	}
	if (d->open || (c->route && c->route->without_key) || token_in_query(c))
		return true;
	err_clear();
	r = door_check_bearer(c->q->head, c->api->deps.bearer_key);
	if (r == 0)
		return true;
	http_reply_header(c->p, "WWW-Authenticate", SPAN("Bearer realm=\"aegis\""));
	api_error(c, 401, "unauthorized",
		"%s; the key stands in the file api.key of the data directory", err_message(r));
	return false;
}

/* ---- the route ---- */

static AWAITS void no_route(struct api_call *c, int found)
{
	struct router_match absent;
	if (found == ROUTER_METHOD) {
		http_reply_header(c->p, "Allow", span_cstr(c->match.allow));
		api_error(c, 405, "method_not_allowed", "%s is not offered here; allowed: %s",
			http_method_name(c->q->head->method), c->match.allow);
		return;
	}
	if (router_find(c->api->absent, c->arena, c->q->head->method, c->q->head->path, &absent) ==
		0) {
		api_error(c, 501, "not_served", "%s is not served by this build of AEGIS",
			(const char *)absent.value);
		return;
	}
	err_clear();
	api_error(c, 404, "not_found", "there is nothing at " SPAN_FMT, SPAN_ARG(c->q->head->path));
}

/* Whoever has shown no key gives a short body only: it is read before its envelope is known. */
static bool is_stranger(struct api_call *c)
{
	if (!c->route->without_key || c->door->kind == API_DOOR_UNIX || c->door->open)
		return false;
	bool shown = door_check_bearer(c->q->head, c->api->deps.bearer_key) == 0;
	err_clear();
	return !shown;
}

static AWAITS bool body_read(struct api_call *c)
{
	if (c->route->body_limit == 0)
		return true;
	size_t limit = c->route->body_limit;
	c->q->stranger = is_stranger(c);
	if (c->q->stranger)
		limit = MIN(limit, c->route->open_body_limit);
	int r = http_body_all(c->q, limit, &c->body);
	if (r == 0)
		return true;
	if (r == -E2BIG && limit < c->route->body_limit)
		api_error(c, 413, "bad_body",
			"without the bearer key at most %zu bytes are accepted here, with it %zu",
			limit, c->route->body_limit);
	else
		api_error(c, http_body_status(r), "bad_body", "%s", err_message(r));
	return false;
}

void api_handle(void *ctx, struct http_request *q, struct http_reply *p)
{
	struct api_call c = {
		.api = ctx,
		.door = q->peer->listener_tag,
		.q = q,
		.p = p,
		.arena = q->arena,
		.deadline_ns = deadline_in_ms(CALL_TIMEOUT_MS),
	};
	int found = router_find(c.api->router, c.arena, q->head->method, q->head->path, &c.match);
	if (found == 0)
		c.route = c.match.value;
	if (!door_passes(&c))
		return;
	if (found == ROUTER_NONE || found == ROUTER_METHOD)
		no_route(&c, found);
	else if (found == -EINVAL)
		api_error(&c, 400, "bad_path", "%s", err_message(found));
	else if (found < 0)
		api_failed(&c, found, "find the route");
	else if (body_read(&c))
		c.route->fn(&c);
	err_clear();
}
