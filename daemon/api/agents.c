/* SPDX-License-Identifier: AGPL-3.0-only */
/* /v1/agents: deploy, look up, change state, and set to work. */
#include "daemon/api/call.h"

static struct span scope_of(const struct store_agent *v)
{
	return v->scope.n ? v->scope : SPAN("global");
}

static void agent_put(struct json_writer *w, const struct store_agent *v, bool detail)
{
	json_object(w);
	api_put_uuid(w, "id", v->id);
	api_put_uuid(w, "agent_id", v->id);
	json_field_span(w, "name", v->name);
	json_field_span(w, "version", v->version);
	json_field_span(w, "description", v->description);
	json_field_cstr(w, "status", v->status);
	json_field_span(w, "scope", scope_of(v));
	json_field_span(w, "runtime", v->runtime);
	json_key(w, "labels");
	json_put_raw(w, v->labels.n ? v->labels : SPAN("{}"));
	json_field_span(w, "tenant_id", v->tenant_id);
	json_field_i64(w, "timeout_seconds", v->timeout_ms / 1000);
	api_put_time(w, "created_at", v->created_ns);
	api_put_time(w, "updated_at", v->updated_ns);
	api_put_time(w, "removed_at", v->removed_ns);
	if (detail) {
		api_put_json(w, "manifest", v->manifest_json);
		api_put_text(w, "manifest_yaml", v->manifest_yaml);
	}
	json_end(w);
}

/* The agent that {id} names, an id or a name; false if answered. */
static AWAITS bool agent_get(struct api_call *c, struct store_agent *ret)
{
	struct span text = api_param(c, "id");
	int r = deploy_find(&c->api->deploy, api_tenant(c), text, c->arena, ret, c->deadline_ns);
	if (r == DEPLOY_NOT_FOUND)
		api_error(
			c, 404, "not_found", "no agent '" SPAN_FMT "' is deployed", SPAN_ARG(text));
	else if (r < 0)
		api_failed(c, r, "read the agent");
	return r == 0;
}

static AWAITS void agents_list(struct api_call *c)
{
	struct store_agent_query q = {.tenant_id = api_tenant(c)};
	struct store_agents agents;
	struct api_list l;
	struct span status;

	if (!api_page(c, &q.page) || !api_query(c, "status", &status) || !api_list_begin(c, &l))
		return;
	if (status.n) {
		q.status = arena_cstr(c->arena, status);
		q.with_removed = span_is(status, agent_states.rows[AGENT_ARCHIVED].name);
	}
	int r = store_agent_list(c->api->deps.store, &q, c->arena, &agents, c->deadline_ns);
	if (r < 0) {
		api_failed(c, r, "list the agents");
		return;
	}
	l.w = json_writer(&l.b);
	json_array(&l.w);
	for (l.count = 0; l.count < agents.count; l.count++)
		agent_put(&l.w, &agents.items[l.count], false);
	json_end(&l.w);
	api_list_end(c, &l);
}

static AWAITS void agent_show(struct api_call *c)
{
	struct store_agent agent;
	if (!agent_get(c, &agent))
		return;
	struct buf b CLEANUP(buf_fini) = api_reply_begin();
	struct json_writer w = json_writer(&b);
	agent_put(&w, &agent, true);
	api_reply_end(c, 200, &b);
}

/* ---- deploying ---- */

static void notices_put(
	struct json_writer *w, const char *key, const struct agent_notice *list, size_t count)
{
	json_key(w, key);
	json_array(w);
	for (size_t i = 0; i < count; i++) {
		json_object(w);
		json_field_cstr(w, "path", list[i].path);
		json_field_i64(w, "line", list[i].line);
		json_field_cstr(w, "reason", list[i].reason);
		json_end(w);
	}
	json_end(w);
}

/* `was` is the agent before an update, whose members clients expect in the answer; NULL when
 * deploying. */
static AWAITS void deployed(struct api_call *c, const struct store_agent *was,
	const struct deploy_result *d, const struct report *report)
{
	static const char *const words[] = {[DEPLOY_CREATED] = "created",
		[DEPLOY_UPDATED] = "updated",
		[DEPLOY_UNCHANGED] = "unchanged"};
	struct buf b CLEANUP(buf_fini) = api_reply_begin();
	struct json_writer w = json_writer(&b);

	json_object(&w);
	api_put_uuid(&w, "id", d->id);
	api_put_uuid(&w, "agent_id", d->id);
	json_field_span(&w, "name", d->name);
	json_field_span(&w, "version", d->version);
	json_field_cstr(&w, "status", words[d->done]);
	api_put_time(&w, "deployed_at", d->deployed_ns);
	if (was) {
		json_field_span(&w, "scope", scope_of(was));
		api_put_time(&w, "created_at", was->created_ns);
	}
	notices_put(&w, "without_effect", d->manifest->notices, d->manifest->notice_count);
	notices_put(&w, "refused_at_run", d->manifest->refusals, d->manifest->refusal_count);
	json_key(&w, "warnings");
	report_json(report, &w);
	json_end(&w);
	api_reply_end(c, d->done == DEPLOY_CREATED ? 201 : 200, &b);
}

static AWAITS void not_deployed(
	struct api_call *c, int r, const struct report *report, struct span why)
{
	if (r == DEPLOY_EXISTS || r == DEPLOY_CONFLICT) {
		api_error(c, 409, "conflict", SPAN_FMT, SPAN_ARG(why));
		return;
	}
	if (r == DEPLOY_NOT_FOUND) {
		api_error(c, 404, "not_found", SPAN_FMT, SPAN_ARG(why));
		return;
	}
	if (r < 0) {
		api_failed(c, r, "deploy the agent");
		return;
	}
	struct buf b CLEANUP(buf_fini) = api_reply_begin();
	struct buf summary CLEANUP(buf_fini) = buf_init(4096);
	struct json_writer w = json_writer(&b);
	report_summary(report, &summary);
	json_object(&w);
	json_field_span(&w, "error", buf_view(&summary));
	json_field_cstr(&w, "code", "invalid_manifest");
	json_field_i64(&w, "status", 422);
	json_key(&w, "findings");
	report_json(report, &w);
	json_end(&w);
	api_reply_end(c, 422, &b);
}

/* SDKs send the manifest itself, as YAML or JSON, whatever the content type says; some wrap it as
 * {"manifest_yaml": "..."}. */
static AWAITS bool manifest_text(struct api_call *c, struct span *ret)
{
	const struct json *v;
	*ret = c->body;
	if (span_trim(c->body).n == 0) {
		api_error(c, 400, "bad_body",
			"the body must be the agent's manifest, as YAML or JSON");
		return false;
	}
	if (!span_starts(span_trim(c->body), SPAN("{")))
		return true;
	if (!api_body_object(c, &v))
		return false;
	const struct json *wrapped = json_get(v, "manifest_yaml");
	if (wrapped && wrapped->type == JSON_STRING)
		*ret = wrapped->text;
	return true;
}

static AWAITS void agents_deploy(struct api_call *c)
{
	struct deploy_result d;
	struct report report;
	struct span text, scope, why = SPAN("");
	bool force;

	if (!api_query_bool(c, "force", false, &force) || !api_query(c, "scope", &scope) ||
		!manifest_text(c, &text))
		return;
	struct arena *a CLEANUP(arena_cleanup) = arena_new(LIMIT_API_MANIFEST_ARENA_BYTES);
	int r = a ? report_init(&report, a, "manifest") : -ENOMEM;
	if (r == 0)
		r = deploy_agent(&c->api->deploy, api_tenant(c), text, scope, force, &report, &d,
			&why, c->deadline_ns);
	if (r == 0) {
		deployed(c, NULL, &d, &report);
		agent_manifest_unref(d.manifest);
	} else {
		not_deployed(c, r, &report, why);
	}
}

static AWAITS void agent_update(struct api_call *c)
{
	struct deploy_result d;
	struct store_agent agent;
	struct report report;
	struct span text, why = SPAN("");
	bool force;

	if (!api_query_bool(c, "force", false, &force) || !manifest_text(c, &text) ||
		!agent_get(c, &agent))
		return;
	struct arena *a CLEANUP(arena_cleanup) = arena_new(LIMIT_API_MANIFEST_ARENA_BYTES);
	int r = a ? report_init(&report, a, "manifest") : -ENOMEM;
	if (r == 0)
		r = deploy_update(
			&c->api->deploy, agent.id, text, force, &report, &d, &why, c->deadline_ns);
	if (r == 0) {
		deployed(c, &agent, &d, &report);
		agent_manifest_unref(d.manifest);
	} else {
		not_deployed(c, r, &report, why);
	}
}

/* ---- states ---- */

static AWAITS void agent_move(struct api_call *c, enum agent_state to, const char *done)
{
	struct store_agent agent;
	struct span why = SPAN("");
	if (!agent_get(c, &agent))
		return;
	int r = deploy_set_state(&c->api->deploy, agent.id, to, c->arena, &why, c->deadline_ns);
	if (r != 0) {
		if (r < 0)
			api_failed(c, r, "change the agent");
		else
			api_error(c, r == DEPLOY_NOT_FOUND ? 404 : 409, "conflict", SPAN_FMT,
				SPAN_ARG(why));
		return;
	}
	struct buf b CLEANUP(buf_fini) = api_reply_begin();
	struct json_writer w = json_writer(&b);
	json_object(&w);
	json_field_bool(&w, "success", true);
	json_field_cstr(&w, "status", done);
	api_put_uuid(&w, "id", agent.id);
	api_put_uuid(&w, "agent_id", agent.id);
	json_field_span(&w, "name", agent.name);
	json_end(&w);
	api_reply_end(c, 200, &b);
}

static AWAITS void agent_pause(struct api_call *c)
{
	agent_move(c, AGENT_PAUSED, "paused");
}

static AWAITS void agent_resume(struct api_call *c)
{
	agent_move(c, AGENT_ACTIVE, "active");
}

static AWAITS void agent_delete(struct api_call *c)
{
	agent_move(c, AGENT_ARCHIVED, "deleted");
}

static AWAITS void agent_versions(struct api_call *c)
{
	struct store_agent agent;
	struct store_agent_versions versions;
	struct store_page page;
	char hash[2 * STORE_HASH_BYTES + 1];

	if (!api_page(c, &page) || !agent_get(c, &agent))
		return;
	int r = store_agent_version_list(
		c->api->deps.store, agent.id, page, c->arena, &versions, c->deadline_ns);
	if (r < 0) {
		api_failed(c, r, "list the versions");
		return;
	}
	struct buf b CLEANUP(buf_fini) = api_reply_begin();
	struct json_writer w = json_writer(&b);
	json_object(&w);
	json_key(&w, "versions");
	json_array(&w);
	for (size_t i = 0; i < versions.count; i++) {
		struct buf hex CLEANUP(buf_fini) = buf_init(sizeof(hash));
		hex_encode(&hex, span_of(versions.items[i].manifest_hash.bytes, STORE_HASH_BYTES));
		json_object(&w);
		json_field_span(&w, "id", buf_view(&hex));
		api_put_uuid(&w, "agent_id", agent.id);
		json_field_span(&w, "version", versions.items[i].version);
		json_field_bool(&w, "current", span_eq(versions.items[i].version, agent.version));
		api_put_time(&w, "deployed_at", versions.items[i].created_ns);
		api_put_time(&w, "created_at", versions.items[i].created_ns);
		json_end(&w);
	}
	json_end(&w);
	json_field_i64(&w, "count", (int64_t)versions.count);
	json_end(&w);
	api_reply_end(c, 200, &b);
}

static AWAITS void agent_execute(struct api_call *c)
{
	struct store_agent agent;
	const struct json *body;
	if (api_body_object(c, &body) && agent_get(c, &agent))
		api_execute(c, agent.id, body);
}

const struct api_route api_routes_agents[] = {
	{HTTP_GET, "/v1/agents", agents_list, 0, false},
	{HTTP_POST, "/v1/agents", agents_deploy, LIMIT_API_MANIFEST_BYTES, false},
	{HTTP_GET, "/v1/agents/lookup/{id}", agent_show, 0, false},
	{HTTP_GET, "/v1/agents/{id}", agent_show, 0, false},
	{HTTP_PATCH, "/v1/agents/{id}", agent_update, LIMIT_API_MANIFEST_BYTES, false},
	{HTTP_DELETE, "/v1/agents/{id}", agent_delete, 0, false},
	{HTTP_POST, "/v1/agents/{id}/pause", agent_pause, LIMIT_API_BODY_BYTES, false},
	{HTTP_POST, "/v1/agents/{id}/resume", agent_resume, LIMIT_API_BODY_BYTES, false},
	{HTTP_GET, "/v1/agents/{id}/versions", agent_versions, 0, false},
	{HTTP_POST, "/v1/agents/{id}/execute", agent_execute, LIMIT_API_BODY_BYTES, false},
};
const size_t api_routes_agents_count = ARRAY_LEN(api_routes_agents);
