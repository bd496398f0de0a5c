/* SPDX-License-Identifier: AGPL-3.0-only */
/* What every handler needs: values out of a request, and answers in one form. */
#include "daemon/api/call.h"
#include <stdio.h>

#define JSON_TYPE "application/json"

struct span api_param(const struct api_call *c, const char *name)
{
	return router_param(&c->match, name);
}

bool api_query_i64(struct api_call *c, const char *key, int64_t least, int64_t most,
	int64_t otherwise, int64_t *ret)
{
	int r = url_query_i64(c->arena, c->q->head->query, key, least, most, otherwise, ret);
	if (r < 0)
		api_error(c, 400, "bad_query", "%s", err_message(r));
	return r >= 0;
}

bool api_query_bool(struct api_call *c, const char *key, bool otherwise, bool *ret)
{
	int r = url_query_bool(c->arena, c->q->head->query, key, otherwise, ret);
	if (r < 0)
		api_error(c, 400, "bad_query", "%s", err_message(r));
	return r >= 0;
}

bool api_query(struct api_call *c, const char *key, struct span *ret)
{
	*ret = SPAN("");
	int r = url_query_get(c->arena, c->q->head->query, key, ret);
	if (r < 0)
		api_error(c, 400, "bad_query", "%s", err_message(r));
	return r >= 0;
}

bool api_page(struct api_call *c, struct store_page *ret)
{
	int64_t limit, offset, most = MIN(c->api->deps.list_max, (int64_t)LIMIT_STORE_PAGE);
	if (!api_query_i64(c, "limit", 1, most, MIN(most, (int64_t)100), &limit) ||
		!api_query_i64(c, "offset", 0, INT32_MAX, 0, &offset))
		return false;
	*ret = (struct store_page){.limit = (uint32_t)limit, .offset = (uint32_t)offset};
	return true;
}

bool api_body_object(struct api_call *c, const struct json **ret)
{
	int r = json_parse(c->arena, span_trim(c->body).n ? c->body : SPAN("{}"), NULL, ret);
	if (r < 0) {
		api_error(c, r == -E2BIG ? 413 : 400, "bad_json", "the body is not JSON: %s",
			err_message(r));
		return false;
	}
	if ((*ret)->type != JSON_OBJECT) {
		api_error(c, 400, "bad_json", "the body must be a JSON object, not %s",
			json_type_name((*ret)->type));
		return false;
	}
	return true;
}

bool api_id(struct api_call *c, const char *name, const char *noun, struct uuid *ret)
{
	struct span text = api_param(c, name);
	if (uuid_parse(text, ret) == 0)
		return true;
	api_error(c, 404, "not_found", "there is no %s '" SPAN_FMT "': a UUID is expected", noun,
		SPAN_ARG(text));
	return false;
}

struct span api_tenant(const struct api_call *c)
{
	return span_cstr(c->api->deps.tenant_id);
}

/* ---- answers ---- */

struct buf api_reply_begin(void)
{
	struct buf b = buf_init(LIMIT_API_REPLY_BYTES);

	(void)buf_reserve(&b, 1024);
	return b;
}

void api_reply_end(struct api_call *c, int status, struct buf *b)
{
	int r = buf_error(b);
	if (r < 0) {
		api_failed(c, r, "write the answer");
		return;
	}
	/* A peer that is gone has nothing to be told. */
	(void)!http_reply(c->p, status, JSON_TYPE, buf_view(b));
}

void api_error(struct api_call *c, int status, const char *code, const char *fmt, ...)
{
	struct buf b CLEANUP(buf_fini) = buf_init(64 * 1024);
	struct json_writer w = json_writer(&b);
	char text[2048];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	err_clear();
	json_object(&w);
	json_field_cstr(&w, "error", text);
	json_field_cstr(&w, "code", code);
	json_field_i64(&w, "status", status);
	json_end(&w);
	(void)!http_reply(c->p, status, JSON_TYPE, buf_view(&b));
}

void api_failed(struct api_call *c, int r, const char *what)
{
	switch (-r) {
	case EAGAIN:
	case EBUSY:
	case ENOBUFS:
		http_reply_header(c->p, "Retry-After", SPAN("1"));
		api_error(c, 503, "busy", "the node is busy: come again");
		return;
	case ECANCELED:
		http_reply_header(c->p, "Retry-After", SPAN("2"));
		api_error(c, 503, "stopping", "the daemon is stopping: come again");
		return;
	case ENOTCONN:
		http_reply_header(c->p, "Retry-After", SPAN("2"));
		api_error(c, 503, "no_helper",
			"the privileged helper is away: see `aegis daemon status`");
		return;
	case ETIME:
		api_error(c, 504, "timeout", "this took too long; it may still happen: look again");
		return;
	case ENOSPC:
	case EDQUOT:
		api_error(c, 507, "disk_full", "the node's disk is full; nothing was changed");
		return;
	case E2BIG:
		api_error(c, 413, "too_large", "%s", err_message(r));
		return;
	default:
		err_log(r, what);
		api_error(c, 500, "internal", "%s failed: see the daemon's log", what);
	}
}

bool api_list_begin(struct api_call *c, struct api_list *l)
{
	struct span format;
	if (!api_query(c, "format", &format))
		return false;
	if (format.n && !span_is(format, "array") && !span_is(format, "object")) {
		api_error(c, 400, "bad_query", "format: array and object are accepted");
		return false;
	}
	*l = (struct api_list){.b = api_reply_begin(), .bare = span_is(format, "array")};
	return true;
}

void api_list_end(struct api_call *c, struct api_list *l)
{
	struct buf whole CLEANUP(buf_fini) = api_reply_begin();
	if (l->bare) {
		api_reply_end(c, 200, &l->b);
	} else {
		struct json_writer w = json_writer(&whole);
		json_object(&w);
		json_key(&w, "items");
		json_put_raw(&w, buf_view(&l->b));
		json_field_i64(&w, "count", (int64_t)l->count);
		json_end(&w);
		if (l->b.error)
			whole.error = l->b.error;
		api_reply_end(c, 200, &whole);
	}
	buf_fini(&l->b);
}

void api_put_time(struct json_writer *w, const char *key, int64_t wall_ns)
{
	char text[CLOCK_RFC3339_BYTES];
	json_key(w, key);
	if (!wall_ns) {
		json_put_null(w);
		return;
	}
	clock_rfc3339(wall_ns, 3, text);
	json_put_cstr(w, text);
}

void api_put_uuid(struct json_writer *w, const char *key, struct uuid id)
{
	char text[UUID_TEXT_BYTES];
	json_key(w, key);
	if (uuid_is_nil(id)) {
		json_put_null(w);
		return;
	}
	uuid_text(id, text);
	json_put_cstr(w, text);
}

void api_put_text(struct json_writer *w, const char *key, struct span text)
{
	json_key(w, key);
	if (text.n)
		json_put_span(w, text);
	else
		json_put_null(w);
}

void api_put_json(struct json_writer *w, const char *key, struct span text)
{
	json_key(w, key);
	json_put_raw(w, text.n ? text : SPAN("null"));
}
