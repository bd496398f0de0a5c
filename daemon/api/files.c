/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * /v1/volumes/{id}/files: what stands in a volume. Each request opens the volume for itself
 * through the file layer; the operators' policies decide, which see the path below /workspace and
 * the agent `operator`. Upstream's clients disagree on answers, so these carry the members of all.
 */
#include "daemon/api/files.h"
#include <stdio.h>

/* ---- rules ---- */

static AWAITS int make_rules(struct api_call *c, struct policy_snapshot *now, struct rule_set **ret)
{
	static const char *const actions[] = {"fs:read", "fs:write"};
	struct rule_set_builder *b = rule_set_builder_new();
	int r = b ? rule_add_set(b, policy_rules(now)) : err_raise(-ENOMEM, "rules: out of memory");

	for (size_t i = 0; r == 0 && i < ARRAY_LEN(actions); i++)
		r = rule_allow_path(b, actions[i], "/workspace",
			(struct rule_origin){.field = "the operator's access to volumes"});
	if (r == 0)
		r = policies_seal(c->api->deps.policies, b, ret, c->deadline_ns);
	rule_set_builder_free(b);
	return err_trace(r);
}

/* Sealed once for each of the node's policies; *ret is a reference. */
static AWAITS int rules_now(struct api_call *c, struct rule_set **ret)
{
	struct api *api = c->api;
	struct policy_snapshot *now = policies_current(api->deps.policies);
	int r = 0;

	if (now == api->files_policy) {
		*ret = rule_set_ref(api->files_rules);
		policy_unref(now);
		return 0;
	}
	r = make_rules(c, now, ret);
	if (r < 0) {
		policy_unref(now);
		return err_trace(r);
	}
	policy_unref(api->files_policy);
	rule_set_unref(api->files_rules);
	api->files_policy = now;
	api->files_rules = rule_set_ref(*ret);
	return 0;
}

/* ---- opening ---- */

bool api_files_open(struct api_call *c, bool writes, struct api_files *ret)
{
	struct span why = SPAN("there is no such volume");
	struct rule_set *rules = NULL;
	struct store_volume row;

	*ret = (struct api_files){.c = c};
	if (!api_volume_named(c, &row))
		return false;
	if (c->api->transfers == LIMIT_UPLOADS) {
		api_failed(c, -EBUSY, "open the volume");
		return false;
	}
	c->api->transfers++;
	int r = rules_now(c, &rules);
	if (r == 0)
		r = volume_files_open(c->api->deps.volumes, row.id, rules, writes, c->arena,
			&ret->files, &why, c->deadline_ns);
	rule_set_unref(rules);
	if (r != 0) {
		c->api->transfers--;
		(void)api_volume_refused(c, r, why, "open the volume");
		return false;
	}
	ret->volume = row.id;
	ret->at = volume_files_at(ret->files);
	ret->call = (struct fsal_call){.door = ret->files,
		.may_park = true,
		.arena = c->arena,
		.decision = &ret->decision};
	api_files_step(ret);
	return true;
}

void api_files_step(struct api_files *f)
{
	f->call.deadline_ns = deadline_in_ms(FILES_STEP_MS);
}

void api_files_close(struct api_files *f)
{
	volume_files_close(f->files);
	f->c->api->transfers--;
}

/* ---- what was asked ---- */

bool api_files_path(struct api_files *f, struct span text, struct span *ret)
{
	struct span path;
	int r = context_canonical_path(text, SPAN("/"), f->c->arena, &path);

	if (r == 0) {
		*ret = span_sub(path, 1, path.n);
		return true;
	}
	if (r == -EINVAL)
		api_error(f->c, 400, "bad_path", "path: %s", err_message(r));
	else
		api_failed(f->c, r, "read the path");
	return false;
}

static AWAITS bool query_path(struct api_files *f, struct span *ret)
{
	struct span text;

	return api_query(f->c, "path", &text) && api_files_path(f, text.n ? text : SPAN("/"), ret);
}

/* A member of the body; false if answered. */
static AWAITS bool body_path(
	struct api_files *f, const struct json *body, const char *key, struct span *ret)
{
	struct span text = json_str(body, key, SPAN(""));

	if (text.n)
		return api_files_path(f, text, ret);
	api_error(f->c, 422, "bad_path", "%s must be a path in the volume", key);
	return false;
}

/* ---- answers ---- */

void api_files_refused(struct api_files *f, int r, struct span path)
{
	struct api_call *c = f->c;
	int status = 500;

	if (r == FSAL_DENIED) {
		api_error(c, 403, "forbidden", SPAN_FMT, SPAN_ARG(f->decision.reason));
		return;
	}
	switch (-r) {
	case ENOENT:
		status = 404;
		break;
	case EEXIST:
	case ENOTEMPTY:
	case EISDIR:
	case ENOTDIR:
	case EBUSY:
	case ESTALE:
		status = 409;
		break;
	case EINVAL:
	case EXDEV:
	case ENAMETOOLONG:
	case ELOOP:
		status = 400;
		break;
	case EACCES:
	case EPERM:
		status = 403;
		break;
	case EDQUOT:
	case ENOSPC:
		status = 507;
		break;
	case EFBIG:
	case EOVERFLOW:
		status = 413;
		break;
	default:
		api_failed(c, r, "work on the volume's files");
		return;
	}
	api_error(c, status, err_name(r), "'/" SPAN_FMT "': %s", SPAN_ARG(path),
		r == -EDQUOT ? "the volume has no room for it" : strerror(-r));
}

static const char *type_name(uint32_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFDIR:
		return "directory";
	case S_IFLNK:
		return "symlink";
	case S_IFREG:
		return "file";
	default:
		return "other";
	}
}

static void entry_put(struct json_writer *w, const struct fsal_entry *e)
{
	json_object(w);
	json_field_span(w, "name", e->name);
	json_field_cstr(w, "type", type_name(e->attr.mode));
	json_field_cstr(w, "file_type", type_name(e->attr.mode));
	json_field_i64(w, "size_bytes", (int64_t)e->attr.size_bytes);
	api_put_time(w, "modified_at", e->attr.mtime_ns);
	json_end(w);
}

static AWAITS void list(struct api_files *f, struct span path)
{
	struct buf b CLEANUP(buf_fini) = api_reply_begin();
	struct json_writer w = json_writer(&b);
	struct fsal_entry *entries;
	size_t count;
	int r = fsal_list(&f->call, f->at, path, &entries, &count);

	if (r != 0) {
		api_files_refused(f, r, path);
		return;
	}
	json_object(&w);
	api_put_uuid(&w, "volume_id", f->volume);
	json_field_span(&w, "path", path);
	json_key(&w, "entries");
	json_array(&w);
	for (size_t i = 0; i < count; i++)
		entry_put(&w, &entries[i]);
	json_end(&w);
	json_field_i64(&w, "count", (int64_t)count);
	json_end(&w);
	api_reply_end(f->c, 200, &b);
}

static AWAITS void files_list(struct api_call *c)
{
	struct api_files f;
	struct span path;

	if (!api_files_open(c, false, &f))
		return;
	if (query_path(&f, &path))
		list(&f, path);
	api_files_close(&f);
}

/* What changed something: the words of both SDKs. */
static AWAITS void done(
	struct api_files *f, int status, const char *when, struct span path, struct span from)
{
	struct buf b CLEANUP(buf_fini) = api_reply_begin();
	struct json_writer w = json_writer(&b);

	json_object(&w);
	json_field_bool(&w, "success", true);
	json_field_cstr(&w, "status", "ok");
	if (from.n)
		json_field_span(&w, "from", from);
	json_field_span(&w, from.n ? "to" : "path", path);
	api_put_time(&w, when, rt_wall_ns());
	json_end(&w);
	api_reply_end(f->c, status, &b);
}

static AWAITS void files_mkdir(struct api_call *c)
{
	const struct json *body;
	struct api_files f;
	struct span path;

	if (!api_body_object(c, &body) || !api_files_open(c, true, &f))
		return;
	if (body_path(&f, body, "path", &path)) {
		int r = fsal_mkdirs(&f.call, f.at, path);
		if (r != 0)
			api_files_refused(&f, r, path);
		else
			done(&f, 201, "created_at", path, SPAN(""));
	}
	api_files_close(&f);
}

static AWAITS int move(struct api_files *f, struct span from, struct span to)
{
	struct fsal_object *a, *b = NULL;
	struct fsal_wcc before, after;
	struct span from_name, to_name;
	int r = fsal_parent(&f->call, f->at, from, &a, &from_name);

	if (r != 0)
		return r;
	r = fsal_parent(&f->call, f->at, to, &b, &to_name);
	if (r == 0)
		r = fsal_rename(&f->call, a, from_name, b, to_name, &before, &after);
	fsal_unref(a);
	fsal_unref(b);
	return r;
}

static AWAITS void files_move(struct api_call *c)
{
	const struct json *body;
	struct api_files f;
	struct span from, to;

	if (!api_body_object(c, &body) || !api_files_open(c, true, &f))
		return;
	if (body_path(&f, body, "from", &from) && body_path(&f, body, "to", &to)) {
		int r = move(&f, from, to);
		if (r != 0)
			api_files_refused(&f, r, from);
		else
			done(&f, 200, "moved_at", to, from);
	}
	api_files_close(&f);
}

static AWAITS void files_delete(struct api_call *c)
{
	struct api_files f;
	struct span path;
	bool recursive;

	if (!api_query_bool(c, "recursive", true, &recursive) || !api_files_open(c, true, &f))
		return;
	if (query_path(&f, &path)) {
		int r = fsal_remove_path(&f.call, f.at, path, recursive);
		if (r != 0)
			api_files_refused(&f, r, path);
		else
			done(&f, 200, "deleted_at", path, SPAN(""));
	}
	api_files_close(&f);
}

static AWAITS void files_stat(struct api_call *c)
{
	struct api_files f;
	struct span path;

	if (!api_files_open(c, false, &f))
		return;
	if (query_path(&f, &path))
		api_files_stat(&f, path);
	api_files_close(&f);
}

static AWAITS void files_download(struct api_call *c)
{
	struct api_files f;
	struct span path;

	if (!api_files_open(c, false, &f))
		return;
	if (query_path(&f, &path))
		api_files_download(&f, path);
	api_files_close(&f);
}

static AWAITS void files_upload(struct api_call *c)
{
	struct api_files f;

	if (!api_files_open(c, true, &f))
		return;
	api_files_upload(&f);
	api_files_close(&f);
}

const struct api_route api_routes_files[] = {
	{HTTP_GET, "/v1/volumes/{id}/files", files_list, 0, false},
	{HTTP_DELETE, "/v1/volumes/{id}/files", files_delete, 0, false},
	{HTTP_GET, "/v1/volumes/{id}/files/stat", files_stat, 0, false},
	{HTTP_GET, "/v1/volumes/{id}/files/download", files_download, 0, false},
	{HTTP_POST, "/v1/volumes/{id}/files/mkdir", files_mkdir, 64 * 1024, false},
	{HTTP_POST, "/v1/volumes/{id}/files/move", files_move, 64 * 1024, false},
	/* It reads the body itself, as it comes. */
	{HTTP_POST, "/v1/volumes/{id}/files/upload", files_upload, 0, false},
};
const size_t api_routes_files_count = ARRAY_LEN(api_routes_files);
