/* SPDX-License-Identifier: AGPL-3.0-only */
/* /v1/executions: start, look at, cancel, remove, and fetch what came of one. */
#include "daemon/api/call.h"

static void execution_members(struct json_writer *w, const struct store_execution *v)
{
	api_put_uuid(w, "id", v->id);
	api_put_uuid(w, "execution_id", v->id);
	api_put_uuid(w, "agent_id", v->agent_id);
	json_field_span(w, "agent_version", v->agent_version);
	json_field_cstr(w, "status", v->status);
	json_field_span(w, "tenant_id", v->tenant_id);
	json_field_i64(w, "current_iteration", v->current_iteration);
	json_field_i64(w, "max_iterations", v->max_iterations);
	api_put_uuid(w, "parent_execution_id", v->parent_execution_id);
	api_put_time(w, "created_at", v->created_ns);
	/* Clients require it; one that still waits began with its acceptance. */
	api_put_time(w, "started_at", v->started_ns ? v->started_ns : v->created_ns);
	api_put_time(w, "ended_at", v->completed_ns);
	api_put_text(w, "error", v->error_message);
}

static void iterations_put(struct json_writer *w, const struct store_iterations *list)
{
	json_key(w, "iterations");
	json_array(w);
	for (size_t i = 0; i < list->count; i++) {
		const struct store_iteration *v = &list->items[i];
		json_object(w);
		json_field_i64(w, "number", v->number);
		json_field_cstr(w, "status", v->status);
		json_field_span(w, "action", v->action);
		api_put_text(w, "output", v->output);
		api_put_json(w, "error", v->error);
		api_put_json(w, "validation_results", v->validation_results);
		api_put_time(w, "started_at", v->started_ns);
		api_put_time(w, "ended_at", v->ended_ns);
		json_end(w);
	}
	json_end(w);
}

static AWAITS bool execution_get(struct api_call *c, struct store_execution *ret)
{
	struct uuid id;
	if (!api_id(c, "id", "execution", &id))
		return false;
	int r = store_execution_get(c->api->deps.store, id, c->arena, ret, c->deadline_ns);
	if (r == STORE_NOT_FOUND)
		api_error(c, 404, "not_found", "there is no execution '" SPAN_FMT "' on this node",
			SPAN_ARG(api_param(c, "id")));
	else if (r < 0)
		api_failed(c, r, "read the execution");
	return r == 0;
}

/* ---- starting ---- */

static AWAITS void not_started(struct api_call *c, int r, struct span why)
{
	switch (r) {
	case EXECUTION_REFUSED:
		api_error(c, 409, "refused", SPAN_FMT, SPAN_ARG(why));
		return;
	case EXECUTION_NOT_FOUND:
		api_error(c, 404, "not_found", SPAN_FMT, SPAN_ARG(why));
		return;
	case EXECUTION_BAD_INPUT:
		api_error(c, 422, "bad_input", SPAN_FMT, SPAN_ARG(why));
		return;
	case EXECUTION_BUSY:
		http_reply_header(c->p, "Retry-After", SPAN("5"));
		api_error(c, 503, "busy", SPAN_FMT, SPAN_ARG(why));
		return;
	default:
		api_failed(c, r, "start the execution");
	}
}

static int member_text(struct arena *a, const struct json *v, struct span *ret)
{
	struct buf b CLEANUP(buf_fini) = buf_init(LIMIT_JSON_BYTES);
	struct json_writer w = json_writer(&b);
	*ret = SPAN("");
	if (!v)
		return 0;
	json_put(&w, v);
	int r = buf_error(&b);
	if (r < 0)
		return err_trace(r);
	*ret = arena_span(a, buf_view(&b));
	return ret->p ? 0 : err_raise(-ENOMEM, "execute: request memory used up");
}

void api_execute(struct api_call *c, struct uuid agent_id, const struct json *body)
{
	struct execution_request q = {.agent_id = agent_id, .tenant_id = api_tenant(c)};
	const struct json *attachments = json_get(body, "attachments");
	const struct json *overrides = json_get(body, "context_overrides");
	struct span why = SPAN("");
	struct uuid id;

	if (attachments && attachments->type == JSON_ARRAY && attachments->count > 0) {
		api_error(
			c, 501, "not_served", "attachments are not served by this build of AEGIS");
		return;
	}
	if (overrides && overrides->type != JSON_OBJECT && overrides->type != JSON_NULL) {
		api_error(c, 400, "bad_json", "context_overrides must be an object");
		return;
	}
	q.intent = json_str(body, "intent", SPAN(""));
	int r = member_text(c->arena, json_get(body, "input"), &q.input);
	if (r == 0 && overrides && overrides->type == JSON_OBJECT)
		r = member_text(c->arena, overrides, &q.context_overrides);
	if (r == 0)
		r = execution_start(
			c->api->deps.executions, &q, c->arena, &id, &why, c->deadline_ns);
	if (r != 0) {
		not_started(c, r, why);
		return;
	}
	struct buf b CLEANUP(buf_fini) = api_reply_begin();
	struct json_writer w = json_writer(&b);
	json_object(&w);
	api_put_uuid(&w, "execution_id", id);
	api_put_uuid(&w, "id", id);
	api_put_uuid(&w, "agent_id", agent_id);
	json_field_cstr(&w, "status", "pending");
	json_end(&w);
	api_reply_end(c, 202, &b);
}

static AWAITS void executions_start_route(struct api_call *c)
{
	struct store_agent agent;
	const struct json *body;
	if (!api_body_object(c, &body))
		return;
	const struct json *given = json_get(body, "agent_id");
	if (!given)
		given = json_get(body, "agent");
	if (!given || given->type != JSON_STRING || given->text.n == 0) {
		const char *wrong = !given           ? "missing"
			: given->type != JSON_STRING ? "no string"
						     : "empty";
		api_error(c, 400, "bad_json", "agent_id is %s: the agent's id or name is expected",
			wrong);
		return;
	}
	const struct span name = given->text;
	int r = deploy_find(&c->api->deploy, api_tenant(c), name, c->arena, &agent, c->deadline_ns);
	if (r == DEPLOY_NOT_FOUND)
		api_error(
			c, 404, "not_found", "no agent '" SPAN_FMT "' is deployed", SPAN_ARG(name));
	else if (r < 0)
		api_failed(c, r, "read the agent");
	else
		api_execute(c, agent.id, body);
}

/* ---- reading ---- */

/* ?agent_id= as an id or a name; false if answered. */
static AWAITS bool query_agent(struct api_call *c, struct uuid *ret)
{
	struct store_agent agent;
	struct span text;
	if (!api_query(c, "agent_id", &text))
		return false;
	if (text.n == 0)
		return true;
	int r = deploy_find(&c->api->deploy, api_tenant(c), text, c->arena, &agent, c->deadline_ns);
	if (r == DEPLOY_NOT_FOUND)
		api_error(c, 404, "not_found", "there is no agent '" SPAN_FMT "'", SPAN_ARG(text));
	else if (r < 0)
		api_failed(c, r, "read the agent");
	else
		*ret = agent.id;
	return r == 0;
}

static AWAITS void executions_list(struct api_call *c)
{
	struct store_execution_query q = {.tenant_id = api_tenant(c)};
	struct store_executions list;
	struct api_list l;
	struct span status;

	if (!api_page(c, &q.page) || !api_query(c, "status", &status) ||
		!query_agent(c, &q.agent_id))
		return;
	if (status.n) {
		q.status = arena_cstr(c->arena, status);
		if (!q.status || state_parse(&execution_states, q.status) < 0) {
			api_error(c, 400, "bad_query",
				"status: pending, running, completed, failed and cancelled are "
				"accepted");
			return;
		}
	}
	if (!api_list_begin(c, &l))
		return;
	int r = store_execution_list(c->api->deps.store, &q, c->arena, &list, c->deadline_ns);
	if (r < 0) {
		api_failed(c, r, "list the executions");
		return;
	}
	l.w = json_writer(&l.b);
	json_array(&l.w);
	for (l.count = 0; l.count < list.count; l.count++) {
		json_object(&l.w);
		execution_members(&l.w, &list.items[l.count]);
		json_end(&l.w);
	}
	json_end(&l.w);
	api_list_end(c, &l);
}

enum { FIRST_EVENTS = 64 }; /* an execution's volumes are attached before anything else happens */

/* A volume that an execution has or had, by its own events: what became of the volume since is in
 * `status`, and nothing takes it off the list. */
static AWAITS int volume_put(struct api_call *c, struct json_writer *w, const struct json *details)
{
	struct span id = json_str(details, "volume_id", SPAN(""));
	struct store_volume row;
	struct uuid uuid;
	int r = uuid_parse(id, &uuid);

	if (r == 0)
		r = store_volume_get(c->api->deps.store, uuid, c->arena, &row, c->deadline_ns);
	if (r < 0)
		return err_trace(r);
	json_object(w);
	json_field_span(w, "id", id);
	json_field_span(w, "name", json_str(details, "name", SPAN("")));
	json_field_cstr(w, "status", r == STORE_NOT_FOUND ? "deleted" : row.status);
	json_field_span(w, "access_mode", json_str(details, "access_mode", SPAN("")));
	json_field_span(w, "mount_path", json_str(details, "mount_path", SPAN("/workspace")));
	json_end(w);
	return 0;
}

static AWAITS int volumes_put(struct api_call *c, struct json_writer *w, struct uuid execution)
{
	const struct store_event_query q = {.execution_id = execution, .limit = FIRST_EVENTS};
	struct store_events events;
	const struct json *details;
	int r = store_event_list(c->api->deps.store, &q, c->arena, &events, c->deadline_ns);

	json_key(w, "volumes");
	json_array(w);
	for (size_t i = 0; r == 0 && i < events.count; i++) {
		if (!span_is(events.items[i].type, "VolumeAttached"))
			continue;
		r = json_parse(c->arena, events.items[i].details, NULL, &details);
		if (r == 0)
			r = volume_put(c, w, details);
	}
	json_end(w);
	return err_trace(r);
}

static AWAITS void execution_show(struct api_call *c)
{
	struct store_execution v;
	struct store_iterations iterations;
	if (!execution_get(c, &v))
		return;
	int r = store_iteration_list(
		c->api->deps.store, v.id, c->arena, &iterations, c->deadline_ns);
	if (r < 0) {
		api_failed(c, r, "read the iterations");
		return;
	}
	struct buf b CLEANUP(buf_fini) = api_reply_begin();
	struct json_writer w = json_writer(&b);
	json_object(&w);
	execution_members(&w, &v);
	json_field_cstr(&w, "file_access", executions_file_access(c->api->deps.executions));
	json_field_cstr(&w, "program_access", executions_program_access(c->api->deps.executions));
	r = volumes_put(c, &w, v.id);
	if (r < 0) {
		api_failed(c, r, "read the volumes");
		return;
	}
	api_put_json(&w, "input", v.input);
	api_put_text(&w, "output", v.final_output);
	iterations_put(&w, &iterations);
	json_end(&w);
	api_reply_end(c, 200, &b);
}

/* ---- ending ---- */

static AWAITS void answer_status(struct api_call *c, int http, struct uuid id, const char *status)
{
	struct buf b CLEANUP(buf_fini) = api_reply_begin();
	struct json_writer w = json_writer(&b);
	json_object(&w);
	json_field_bool(&w, "success", true);
	json_field_cstr(&w, "status", status);
	api_put_uuid(&w, "execution_id", id);
	json_end(&w);
	api_reply_end(c, http, &b);
}

static AWAITS void execution_cancel_route(struct api_call *c)
{
	struct store_execution v;
	const struct json *body;
	bool force;
	if (!api_query_bool(c, "force", false, &force) || !api_body_object(c, &body) ||
		!execution_get(c, &v))
		return;
	int r = execution_cancel(c->api->deps.executions, v.id,
		json_str(body, "reason", SPAN("cancelled by a client")), force, c->deadline_ns);
	if (r < 0)
		api_failed(c, r, "cancel the execution");
	else if (r == EXECUTION_NOT_FOUND || r == EXECUTION_FINISHED)
		api_error(c, 409, "finished", "the execution has ended already: %s", v.status);
	else
		answer_status(c, 200, v.id, "cancelled");
}

static AWAITS void execution_delete(struct api_call *c)
{
	struct store_execution v;
	if (!execution_get(c, &v))
		return;
	int r = execution_remove(c->api->deps.executions, v.id, c->deadline_ns);
	if (r < 0)
		api_failed(c, r, "remove the execution");
	else if (r == EXECUTION_BUSY)
		api_error(c, 409, "running", "the execution is %s: cancel it first", v.status);
	else if (r == EXECUTION_NOT_FOUND)
		api_error(c, 404, "not_found", "there is no such execution");
	else
		answer_status(c, 200, v.id, "removed");
}

/* ---- files ---- */

static const char *type_word(enum snapshot_type t)
{
	switch (t) {
	case SNAPSHOT_FILE:
		return "file";
	case SNAPSHOT_DIR:
		return "directory";
	case SNAPSHOT_LINK:
		return "link";
	case SNAPSHOT_OTHER:
		return "other";
	}
	UNREACHABLE();
}

static void change_put(struct json_writer *w, const struct execution_change *v)
{
	static const char *const words[] = {[SNAPSHOT_ADDED] = "added",
		[SNAPSHOT_CHANGED] = "changed",
		[SNAPSHOT_REMOVED] = "removed"};
	json_object(w);
	json_field_cstr(w, "change", words[v->kind]);
	json_field_span(w, "path", v->path);
	json_field_cstr(w, "type", type_word(v->type));
	json_field_i64(w, "size_bytes", (int64_t)v->size_bytes);
	json_field_bool(w, "kept", v->kept);
	json_end(w);
}

/* What changed in the workspace up to the iteration that is returned, since iteration ?since=
 * (0: since the beginning). */
static AWAITS void execution_diff(struct api_call *c)
{
	struct store_execution v;
	struct execution_changes changes;
	int64_t since;
	if (!api_query_i64(c, "since", 0, LIMIT_STORE_PAGE, 0, &since) || !execution_get(c, &v))
		return;
	int r = execution_changes(
		c->api->deps.executions, v.id, (uint32_t)since, c->arena, &changes, c->deadline_ns);
	if (r == EXECUTION_NOT_FOUND)
		api_error(c, 404, "not_found", "there is no snapshot of that iteration (yet)");
	else if (r < 0)
		api_failed(c, r, "compare the workspaces");
	if (r != 0)
		return;
	struct buf b CLEANUP(buf_fini) = api_reply_begin();
	struct json_writer w = json_writer(&b);
	json_object(&w);
	json_key(&w, "items");
	json_array(&w);
	for (size_t i = 0; i < changes.count; i++)
		change_put(&w, &changes.items[i]);
	json_end(&w);
	json_field_i64(&w, "count", (int64_t)changes.count);
	json_field_i64(&w, "left_out", (int64_t)changes.left_out);
	json_end(&w);
	api_reply_end(c, 200, &b);
}

static AWAITS void file_send(struct api_call *c, int fd)
{
	enum { PIECE_BYTES = 64 * 1024 };
	char *piece = arena_bytes(c->arena, PIECE_BYTES);
	int r = piece ? http_reply_begin(c->p, 200, "application/octet-stream", -1) : -ENOMEM;
	int64_t offset = 0;
	while (r == 0) {
		ssize_t n = rt_read(fd, piece, PIECE_BYTES, offset, c->deadline_ns);
		if (n <= 0) {
			r = (int)n;
			break;
		}
		offset += n;
		r = http_reply_write(c->p, span_of(piece, (size_t)n));
	}
	/* Without the end the peer sees a broken body, and knows. */
	if (r == 0)
		(void)!http_reply_end(c->p);
}

static AWAITS void execution_file_route(struct api_call *c)
{
	struct store_execution v;
	int fd = -1;
	if (!execution_get(c, &v))
		return;
	int r = execution_file(
		c->api->deps.executions, v.id, api_param(c, "path"), &fd, c->deadline_ns);
	if (r == -EINVAL || r == -EXDEV || r == -ELOOP)
		api_error(c, 400, "bad_path", "%s", err_message(r));
	else if (r == -EISDIR || r == -ENOTDIR)
		api_error(c, 404, "not_found", "%s", err_message(r));
	else if (r < 0 && r != -ENOENT)
		api_failed(c, r, "read the file");
	else if (fd < 0)
		api_error(c, 404, "not_found", "the execution left no file '" SPAN_FMT "'",
			SPAN_ARG(api_param(c, "path")));
	else
		file_send(c, fd);
	rt_close(fd);
}

const struct api_route api_routes_executions[] = {
	{HTTP_GET, "/v1/executions", executions_list, 0, false},
	{HTTP_POST, "/v1/executions", executions_start_route, LIMIT_API_BODY_BYTES, false},
	{HTTP_GET, "/v1/executions/{id}", execution_show, 0, false},
	{HTTP_DELETE, "/v1/executions/{id}", execution_delete, 0, false},
	{HTTP_POST, "/v1/executions/{id}/cancel", execution_cancel_route, LIMIT_API_BODY_BYTES,
		false},
	{HTTP_GET, "/v1/executions/{id}/diff", execution_diff, 0, false},
	{HTTP_GET, "/v1/executions/{id}/files/{path...}", execution_file_route, 0, false},
	{HTTP_GET, "/v1/executions/{id}/events", api_execution_events, 0, false},
	{HTTP_GET, "/v1/executions/{id}/stream", api_execution_stream, 0, false},
	{HTTP_GET, "/v1/agents/{id}/events", api_agent_events, 0, false},
};
const size_t api_routes_executions_count = ARRAY_LEN(api_routes_executions);
