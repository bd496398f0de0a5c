/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * A manifest becomes a row, a version and an event in one commit. Whether that is a new agent, a
 * new version or nothing at all is read from the store just before; the revision that was read
 * guards the commit, so of two deployments at once one is told to look again.
 */
#include "daemon/deploy/deploy.h"

static const struct state_row rows[AGENT_STATE_COUNT] = {
	[AGENT_ACTIVE] = {"active",
		STATE_BIT(AGENT_PAUSED) | STATE_BIT(AGENT_ARCHIVED) | STATE_BIT(AGENT_FAILED), 0},
	[AGENT_PAUSED] = {"paused", STATE_BIT(AGENT_ACTIVE) | STATE_BIT(AGENT_ARCHIVED), 0},
	[AGENT_ARCHIVED] = {"archived", 0, STATE_FINAL},
	[AGENT_FAILED] = {"failed", STATE_BIT(AGENT_ACTIVE) | STATE_BIT(AGENT_ARCHIVED), 0},
};
const struct state_table agent_states = {"agent", rows, AGENT_STATE_COUNT};

static int because(struct arena *a, struct span *ret_why, int outcome, const char *fmt, ...)
	PRINTF_LIKE(4, 5);

static int because(struct arena *a, struct span *ret_why, int outcome, const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	char *text = arena_vprintf(a, fmt, args);
	va_end(args);
	if (!text)
		return err_raise(-ENOMEM, "deploy: request memory used up");
	*ret_why = span_cstr(text);
	return outcome;
}

static int json_text(struct arena *a, const struct json *v, struct span *ret)
{
	struct buf b CLEANUP(buf_fini) = buf_init(LIMIT_JSON_BYTES);
	struct json_writer w = json_writer(&b);
	json_put(&w, v);
	int r = buf_error(&b);
	if (r < 0)
		return err_trace(r);
	*ret = arena_span(a, buf_view(&b));
	return ret->p ? 0 : err_raise(-ENOMEM, "deploy: request memory used up");
}

static int labels_text(struct arena *a, const struct agent_metadata *m, struct span *ret)
{
	struct buf b CLEANUP(buf_fini) = buf_init(LIMIT_JSON_BYTES);
	struct json_writer w = json_writer(&b);
	json_object(&w);
	for (size_t i = 0; i < m->labels.count; i++)
		json_field_cstr(&w, m->labels.keys[i], m->labels.values[i]);
	json_end(&w);
	int r = buf_error(&b);
	if (r < 0)
		return err_trace(r);
	*ret = arena_span(a, buf_view(&b));
	return ret->p ? 0 : err_raise(-ENOMEM, "deploy: request memory used up");
}

/* The row that a manifest makes. */
static int row_of(struct arena *a, const struct agent_manifest *m, struct span tenant_id,
	struct span scope, struct store_agent *ret)
{
	const struct agent_runtime *run = &m->spec.runtime;
	const char *runtime = run->image ? arena_strdup(a, run->image)
					 : arena_printf(a, "%s:%s", run->language, run->version);
	*ret = (struct store_agent){
		.tenant_id = tenant_id,
		.name = span_cstr(m->metadata.name),
		.version = span_cstr(m->metadata.version),
		.description = span_cstr(m->metadata.description),
		.scope = scope,
		.runtime = span_cstr(runtime),
		.manifest_yaml = m->text,
		.timeout_ms = m->spec.security.resources.timeout_ns / NS_PER_MS,
	};
	int r = runtime ? json_text(a, m->json, &ret->manifest_json) : -ENOMEM;
	if (r == 0)
		r = labels_text(a, &m->metadata, &ret->labels);
	return err_trace(r);
}

static int details_text(struct arena *a, const char *key1, struct span value1, const char *key2,
	struct span value2, struct span *ret)
{
	struct buf b CLEANUP(buf_fini) = buf_init(64 * 1024);
	struct json_writer w = json_writer(&b);
	json_object(&w);
	json_field_span(&w, key1, value1);
	json_field_span(&w, key2, value2);
	json_end(&w);
	int r = buf_error(&b);
	if (r < 0)
		return err_trace(r);
	*ret = arena_span(a, buf_view(&b));
	return ret->p ? 0 : err_raise(-ENOMEM, "deploy: request memory used up");
}

static AWAITS int publish(const struct deploy *d, struct store_event *event,
	enum store_change_kind kind, const struct store_agent *row, int64_t expect_revision,
	struct arena *a, struct span *ret_why, int64_t deadline_ns)
{
	struct store_change change = {
		.kind = kind, .expect_revision = expect_revision, .agent = row};
	struct store_commit c = {
		.events = event, .event_count = 1, .changes = &change, .change_count = 1};
	int r = event_publish(d->bus, &c, deadline_ns);
	if (r == STORE_CONFLICT)
		return because(a, ret_why, DEPLOY_CONFLICT, "%s", c.refusal);
	if (r == STORE_NOT_FOUND)
		return because(a, ret_why, DEPLOY_NOT_FOUND, "%s", c.refusal);
	return err_trace(r);
}

static AWAITS int create(const struct deploy *d, struct store_agent *row, struct arena *a,
	struct deploy_result *res, struct span *ret_why, int64_t deadline_ns)
{
	uint8_t random[16];
	rt_random(random, sizeof(random));
	row->id = uuid_from_random(random);
	row->status = agent_states.rows[AGENT_ACTIVE].name;
	struct store_event e = event_of(EVENT_AGENT_DEPLOYED, (struct uuid){{0}}, row->id, 0);
	int r = details_text(a, "name", row->name, "version", row->version, &e.details);
	if (r == 0)
		r = publish(d, &e, STORE_AGENT_CREATE, row, 0, a, ret_why, deadline_ns);
	res->done = DEPLOY_CREATED;
	res->id = row->id;
	res->deployed_ns = e.wall_ns;
	return err_trace(r);
}

/* Whether `version` is among those deployed, and with which content. */
static AWAITS int version_find(const struct deploy *d, struct uuid id, struct span version,
	struct arena *a, struct store_agent_version *ret, bool *ret_found, int64_t deadline_ns)
{
	struct store_agent_versions page;
	struct store_page at = {.limit = LIMIT_STORE_PAGE};
	*ret_found = false;
	do {
		int r = store_agent_version_list(d->store, id, at, a, &page, deadline_ns);
		if (r < 0)
			return err_trace(r);
		for (size_t i = 0; i < page.count; i++) {
			if (span_eq(page.items[i].version, version)) {
				*ret = page.items[i];
				*ret_found = true;
				return 0;
			}
		}
		at.offset += (uint32_t)page.count;
	} while (page.count == at.limit);
	return 0;
}

static AWAITS int update(const struct deploy *d, const struct store_agent *old,
	struct store_agent *row, bool force, struct arena *a, struct deploy_result *res,
	struct span *ret_why, int64_t deadline_ns)
{
	struct store_agent_version version;
	bool found;
	struct store_hash hash = store_hash_of(row->manifest_json);
	int r = version_find(d, old->id, row->version, a, &version, &found, deadline_ns);
	if (r < 0)
		return err_trace(r);
	res->id = old->id;
	bool same = found && memcmp(&hash, &version.manifest_hash, sizeof(hash)) == 0;
	if (same && span_eq(old->version, row->version)) {
		res->done = DEPLOY_UNCHANGED;
		res->deployed_ns = version.created_ns;
		return 0;
	}
	if (found && !same && !force)
		return because(a, ret_why, DEPLOY_EXISTS,
			"agent '" SPAN_FMT "' has a version " SPAN_FMT
			" with another manifest: raise metadata.version, or deploy with force",
			SPAN_ARG(row->name), SPAN_ARG(row->version));
	row->id = old->id;
	struct store_event e = event_of(EVENT_AGENT_UPDATED, (struct uuid){{0}}, old->id, 0);
	r = details_text(a, "old_version", old->version, "new_version", row->version, &e.details);
	if (r == 0)
		r = publish(d, &e, STORE_AGENT_UPDATE, row, old->revision, a, ret_why, deadline_ns);
	res->done = DEPLOY_UPDATED;
	res->deployed_ns = e.wall_ns;
	return err_trace(r);
}

static int parse(struct report *report, struct span text, struct span tenant_id, struct span scope,
	struct store_agent *row, struct deploy_result *res)
{
	int r = agent_manifest_parse(report, text, &res->manifest);
	if (r == AGENT_INVALID)
		return DEPLOY_INVALID;
	if (r == 0)
		r = row_of(report->arena, res->manifest, tenant_id, scope, row);
	if (r < 0)
		return err_trace(r);
	res->name = row->name;
	res->version = row->version;
	return 0;
}

static int deploy_done(int r, struct deploy_result *res, struct deploy_result *ret)
{
	if (r == 0)
		*ret = *res;
	else
		res->manifest = agent_manifest_unref(res->manifest);
	return r;
}

int deploy_agent(const struct deploy *d, struct span tenant_id, struct span text, struct span scope,
	bool force, struct report *report, struct deploy_result *ret, struct span *ret_why,
	int64_t deadline_ns)
{
	struct deploy_result res = {0};
	struct store_agent old, row;
	struct arena *a = report->arena;
	int r = parse(report, text, tenant_id, scope, &row, &res);
	if (r != 0)
		return deploy_done(r, &res, ret);
	r = store_agent_find(d->store, tenant_id, row.name, a, &old, deadline_ns);
	if (r == STORE_NOT_FOUND)
		r = create(d, &row, a, &res, ret_why, deadline_ns);
	else if (r == 0)
		r = update(d, &old, &row, force, a, &res, ret_why, deadline_ns);
	return deploy_done(r, &res, ret);
}

int deploy_update(const struct deploy *d, struct uuid id, struct span text, bool force,
	struct report *report, struct deploy_result *ret, struct span *ret_why, int64_t deadline_ns)
{
	struct deploy_result res = {0};
	struct store_agent old, row;
	struct arena *a = report->arena;
	int r = store_agent_get(d->store, id, a, &old, deadline_ns);
	if (r == STORE_NOT_FOUND)
		return because(a, ret_why, DEPLOY_NOT_FOUND, "there is no such agent");
	if (r == 0)
		r = parse(report, text, old.tenant_id, (struct span){0}, &row, &res);
	if (r == 0 && !span_eq(old.name, row.name))
		r = because(a, ret_why, DEPLOY_CONFLICT,
			"metadata.name is '" SPAN_FMT "', the agent's name is '" SPAN_FMT
			"': names do not change",
			SPAN_ARG(row.name), SPAN_ARG(old.name));
	if (r == 0)
		r = update(d, &old, &row, force, a, &res, ret_why, deadline_ns);
	return deploy_done(r, &res, ret);
}

int deploy_set_state(const struct deploy *d, struct uuid id, enum agent_state to, struct arena *a,
	struct span *ret_why, int64_t deadline_ns)
{
	static const enum event_type events[AGENT_STATE_COUNT] = {
		[AGENT_ACTIVE] = EVENT_AGENT_RESUMED,
		[AGENT_PAUSED] = EVENT_AGENT_PAUSED,
		[AGENT_ARCHIVED] = EVENT_AGENT_REMOVED,
		[AGENT_FAILED] = EVENT_AGENT_FAILED,
	};
	CHECK(to == AGENT_ACTIVE || to == AGENT_PAUSED || to == AGENT_ARCHIVED);
	struct store_agent old;
	int r = store_agent_get(d->store, id, a, &old, deadline_ns);
	if (r == STORE_NOT_FOUND)
		return because(a, ret_why, DEPLOY_NOT_FOUND, "there is no such agent");
	if (r < 0 || strcmp(old.status, agent_states.rows[to].name) == 0)
		return err_trace(r);
	struct store_agent row = {.id = id, .status = agent_states.rows[to].name};
	struct store_event e = event_of(events[to], (struct uuid){{0}}, id, 0);
	return err_trace(
		publish(d, &e, STORE_AGENT_UPDATE, &row, old.revision, a, ret_why, deadline_ns));
}

int deploy_find(const struct deploy *d, struct span tenant_id, struct span id_or_name,
	struct arena *a, struct store_agent *ret, int64_t deadline_ns)
{
	struct uuid id;
	int r;
	if (uuid_parse(id_or_name, &id) == 0)
		r = store_agent_get(d->store, id, a, ret, deadline_ns);
	else
		r = store_agent_find(d->store, tenant_id, id_or_name, a, ret, deadline_ns);
	return r == STORE_NOT_FOUND ? DEPLOY_NOT_FOUND : err_trace(r);
}
