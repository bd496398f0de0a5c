/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * /v1/volumes. Upstream's clients call a volume's name its label; answers carry both words, and
 * lists both forms. What a volume uses is counted when it is asked for.
 */
#include "daemon/api/files.h"

enum { USAGE_MS = 10 * 1000 }; /* to count one; the helper may be away */

static AWAITS bool is_absent(struct api_call *c)
{
	if (c->api->deps.volumes)
		return false;
	api_error(c, 501, "not_served", "volumes are not served by this node");
	return true;
}

bool api_volume_refused(struct api_call *c, int r, struct span why, const char *what)
{
	switch (r) {
	case 0:
		return false;
	case VOLUME_NOT_FOUND:
		api_error(c, 404, "not_found", SPAN_FMT, SPAN_ARG(why));
		return true;
	case VOLUME_CONFLICT:
		api_error(c, 409, "conflict", SPAN_FMT, SPAN_ARG(why));
		return true;
	case VOLUME_INVALID:
		api_error(c, 422, "bad_volume", SPAN_FMT, SPAN_ARG(why));
		return true;
	default:
		api_failed(c, r, what);
		return true;
	}
}

bool api_volume_named(struct api_call *c, struct store_volume *ret)
{
	struct span text = api_param(c, "id");

	if (is_absent(c))
		return false;
	int r = volume_find(
		c->api->deps.volumes, api_tenant(c), text, c->arena, ret, c->deadline_ns);
	if (r == VOLUME_NOT_FOUND)
		api_error(c, 404, "not_found", "there is no volume '" SPAN_FMT "'", SPAN_ARG(text));
	else if (r < 0)
		api_failed(c, r, "read the volume");
	return r == 0;
}

static bool has_bytes(const struct store_volume *v)
{
	int state = state_parse(&volume_states, v->status);

	return state == VOLUME_AVAILABLE || state == VOLUME_ATTACHED || state == VOLUME_DETACHED;
}

static AWAITS bool usage_of(
	struct api_call *c, const struct store_volume *v, struct fsal_usage *ret)
{
	*ret = (struct fsal_usage){0};
	if (!has_bytes(v))
		return true;
	int r = volume_usage(c->api->deps.volumes, v, ret,
		deadline_earlier(c->deadline_ns, deadline_in_ms(USAGE_MS)));
	if (r < 0)
		api_failed(c, r, "count what the volume uses");
	return r == 0;
}

static void usage_put(
	struct json_writer *w, const struct store_volume *v, const struct fsal_usage *u)
{
	json_field_i64(w, "size_limit_bytes", v->size_limit_bytes);
	json_field_i64(w, "size_limit_inodes", v->size_limit_inodes);
	json_field_i64(w, "used_bytes", (int64_t)u->bytes);
	json_field_i64(w, "used_inodes", (int64_t)u->inodes);
}

static void volume_put(
	struct json_writer *w, const struct store_volume *v, const struct fsal_usage *u)
{
	json_object(w);
	api_put_uuid(w, "id", v->id);
	json_field_span(w, "name", v->name);
	json_field_span(w, "label", v->name);
	json_field_cstr(w, "status", v->status);
	json_field_span(w, "storage_class", v->storage_class);
	json_field_span(w, "tenant_id", v->tenant_id);
	usage_put(w, v, u);
	api_put_uuid(w, "execution_id", v->execution_id);
	api_put_json(w, "attachments", v->attachments);
	api_put_text(w, "error", v->error_message);
	api_put_time(w, "created_at", v->created_ns);
	api_put_time(w, "attached_at", v->attached_ns);
	api_put_time(w, "detached_at", v->detached_ns);
	api_put_time(w, "expires_at", v->expires_ns);
	json_end(w);
}

static AWAITS void volume_answer(struct api_call *c, int status, const struct store_volume *v)
{
	struct buf b CLEANUP(buf_fini) = api_reply_begin();
	struct json_writer w = json_writer(&b);
	struct fsal_usage used;

	if (!usage_of(c, v, &used))
		return;
	volume_put(&w, v, &used);
	api_reply_end(c, status, &b);
}

/* ---- lists ---- */

struct volumes_found {
	struct store_volumes rows;
	struct fsal_usage *used; /* of each */
};

static AWAITS bool list_read(
	struct api_call *c, const struct store_volume_query *q, struct volumes_found *ret)
{
	int r = store_volume_list(c->api->deps.store, q, c->arena, &ret->rows, c->deadline_ns);

	if (r == 0) {
		ret->used = arena_make_array(c->arena, struct fsal_usage, ret->rows.count + 1);
		r = ret->used ? 0 : err_raise(-ENOMEM, "volumes: request memory used up");
	}
	if (r < 0) {
		api_failed(c, r, "list the volumes");
		return false;
	}
	for (size_t i = 0; i < ret->rows.count; i++)
		if (!usage_of(c, &ret->rows.items[i], &ret->used[i]))
			return false;
	return true;
}

static void items_put(struct json_writer *w, const struct volumes_found *found)
{
	json_array(w);
	for (size_t i = 0; i < found->rows.count; i++)
		volume_put(w, &found->rows.items[i], &found->used[i]);
	json_end(w);
}

static AWAITS void volumes_list(struct api_call *c)
{
	struct buf b CLEANUP(buf_fini) = api_reply_begin();
	struct json_writer w = json_writer(&b);
	struct store_volume_query q = {.tenant_id = api_tenant(c)};
	struct volumes_found found;

	if (is_absent(c) || !api_page(c, &q.page) || !list_read(c, &q, &found))
		return;
	json_object(&w);
	json_key(&w, "items");
	items_put(&w, &found);
	json_key(&w, "volumes");
	items_put(&w, &found);
	json_field_i64(&w, "count", (int64_t)found.rows.count);
	json_field_i64(&w, "total_count", (int64_t)found.rows.count);
	json_end(&w);
	api_reply_end(c, 200, &b);
}

/* No tenant has limits of its own yet: limits are those of its volumes, and 0 says none. */
static AWAITS void volumes_quota(struct api_call *c)
{
	struct buf b CLEANUP(buf_fini) = api_reply_begin();
	struct json_writer w = json_writer(&b);
	struct store_volume_query q = {
		.tenant_id = api_tenant(c), .page = {.limit = LIMIT_STORE_PAGE}};
	struct volumes_found found;
	int64_t limit = 0, used = 0;

	if (is_absent(c) || !list_read(c, &q, &found))
		return;
	for (size_t i = 0; i < found.rows.count; i++) {
		limit += found.rows.items[i].size_limit_bytes;
		used += (int64_t)found.used[i].bytes;
	}
	json_object(&w);
	json_field_i64(&w, "volume_count", (int64_t)found.rows.count);
	json_field_i64(&w, "volume_limit", 0);
	json_field_i64(&w, "max_volumes", 0);
	json_field_i64(&w, "quota_bytes", limit);
	json_field_i64(&w, "total_storage_bytes", limit);
	json_field_i64(&w, "used_bytes", used);
	json_field_i64(&w, "total_bytes_used", used);
	json_end(&w);
	api_reply_end(c, 200, &b);
}

/* ---- one ---- */

/* A member that counts something; false if answered. */
static AWAITS bool body_count(
	struct api_call *c, const struct json *body, const char *key, int64_t *ret)
{
	const struct json *v = json_get(body, key);

	*ret = 0;
	if (!v || v->type == JSON_NULL)
		return true;
	if (v->type == JSON_NUMBER && json_number_i64(v, ret) == 0 && *ret >= 0)
		return true;
	err_clear();
	api_error(c, 422, "bad_volume", "%s must be a whole number, 0 or more", key);
	return false;
}

static AWAITS void volume_post(struct api_call *c)
{
	struct volume_request q = {.tenant_id = api_tenant(c)};
	struct span why = SPAN("");
	struct store_volume row;
	const struct json *body;

	if (is_absent(c) || !api_body_object(c, &body) ||
		!body_count(c, body, "size_limit_bytes", &q.size_limit_bytes) ||
		!body_count(c, body, "size_limit_inodes", &q.size_limit_inodes) ||
		!body_count(c, body, "ttl_hours", &q.ttl_hours))
		return;
	q.name = json_str(body, "label", json_str(body, "name", SPAN("")));
	int r = volume_create(c->api->deps.volumes, &q, c->arena, &row, &why, c->deadline_ns);
	if (!api_volume_refused(c, r, why, "create the volume"))
		volume_answer(c, 201, &row);
}

static AWAITS void volume_show(struct api_call *c)
{
	struct store_volume row;

	if (api_volume_named(c, &row))
		volume_answer(c, 200, &row);
}

static AWAITS void volume_patch(struct api_call *c)
{
	struct span why = SPAN("");
	struct store_volume row, new;
	const struct json *body;

	if (!api_volume_named(c, &row) || !api_body_object(c, &body))
		return;
	int r = volume_rename(c->api->deps.volumes, &row,
		json_str(body, "label", json_str(body, "name", SPAN(""))), c->arena, &new, &why,
		c->deadline_ns);
	if (!api_volume_refused(c, r, why, "rename the volume"))
		volume_answer(c, 200, &new);
}

static AWAITS void volume_remove(struct api_call *c)
{
	struct buf b CLEANUP(buf_fini) = api_reply_begin();
	struct json_writer w = json_writer(&b);
	struct span why = SPAN("");
	struct store_volume row;

	if (!api_volume_named(c, &row))
		return;
	int r = volume_delete(c->api->deps.volumes, &row, c->arena, &why, c->deadline_ns);
	if (api_volume_refused(c, r, why, "delete the volume"))
		return;
	json_object(&w);
	json_field_cstr(&w, "status", "deleted");
	json_field_bool(&w, "success", true);
	api_put_uuid(&w, "id", row.id);
	json_end(&w);
	api_reply_end(c, 200, &b);
}

static AWAITS void volume_used(struct api_call *c)
{
	struct buf b CLEANUP(buf_fini) = api_reply_begin();
	struct json_writer w = json_writer(&b);
	struct store_volume row;
	struct fsal_usage used;

	if (!api_volume_named(c, &row) || !usage_of(c, &row, &used))
		return;
	json_object(&w);
	api_put_uuid(&w, "volume_id", row.id);
	json_field_span(&w, "name", row.name);
	usage_put(&w, &row, &used);
	json_end(&w);
	api_reply_end(c, 200, &b);
}

const struct api_route api_routes_volumes[] = {
	{HTTP_GET, "/v1/volumes", volumes_list, 0, false},
	{HTTP_POST, "/v1/volumes", volume_post, 64 * 1024, false},
	{HTTP_GET, "/v1/volumes/quota", volumes_quota, 0, false},
	{HTTP_GET, "/v1/volumes/{id}", volume_show, 0, false},
	{HTTP_PATCH, "/v1/volumes/{id}", volume_patch, 64 * 1024, false},
	{HTTP_DELETE, "/v1/volumes/{id}", volume_remove, 0, false},
	{HTTP_GET, "/v1/volumes/{id}/usage", volume_used, 0, false},
};
const size_t api_routes_volumes_count = ARRAY_LEN(api_routes_volumes);
