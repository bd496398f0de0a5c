/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * What a tool server writes is judged here before anything acts on it: one JSON-RPC message that is
 * a request, a notification or an answer, and nothing in between.
 */
#include "daemon/toolserver/rpc.h"

/* ---- reading ---- */

static int read_answer(const struct json *v, struct rpc_message *m)
{
	const struct json *result = json_get(v, "result"), *error = json_get(v, "error");
	const struct json *id = json_get(v, "id");

	m->answers = -1;
	/* An error without an id speaks of something that the server could not read. */
	if (id && id->type == JSON_NUMBER && json_number_i64(id, &m->answers) < 0) {
		err_clear();
		m->answers = -1;
	}
	if (!result == !error)
		return err_raise(-EINVAL, "an answer has either a result or an error");
	if (result) {
		m->kind = RPC_RESULT;
		m->result = result;
		return result->type == JSON_OBJECT
			? 0
			: err_raise(-EINVAL, "result: an object is expected, not %s",
				  json_type_name(result->type));
	}
	m->kind = RPC_ERROR;
	m->code = json_i64(error, "code", 0);
	m->words = json_str(error, "message", SPAN(""));
	return error->type == JSON_OBJECT
		? 0
		: err_raise(-EINVAL, "error: an object is expected, not %s",
			  json_type_name(error->type));
}

int rpc_parse(struct arena *a, struct span text, struct rpc_message *ret)
{
	static const struct json_limits limits = {
		LIMIT_TOOLSERVER_MESSAGE_BYTES, LIMIT_TOOLSERVER_MESSAGE_DEPTH};
	struct rpc_message m = {.answers = -1};
	const struct json *v;
	int r = json_parse(a, text, &limits, &v);

	if (r < 0)
		return err_trace(r);
	if (v->type != JSON_OBJECT || !span_is(json_str(v, "jsonrpc", SPAN("")), "2.0"))
		return err_raise(-EINVAL, "one JSON-RPC 2.0 message is expected, not %s",
			json_type_name(v->type));
	const struct json *method = json_get(v, "method");
	if (!method) {
		r = read_answer(v, &m);
		if (r == 0)
			*ret = m;
		return err_trace(r);
	}
	m.id = json_get(v, "id");
	m.kind = m.id ? RPC_REQUEST : RPC_NOTIFICATION;
	m.method = method->text;
	m.params = json_get(v, "params");
	if (method->type != JSON_STRING || m.method.n == 0)
		return err_raise(-EINVAL, "method: a name is expected");
	if (m.id && m.id->type != JSON_STRING && m.id->type != JSON_NUMBER)
		return err_raise(-EINVAL, "id: a string or a number is expected");
	if (m.params && m.params->type != JSON_OBJECT)
		return err_raise(-EINVAL, "params: an object is expected");
	*ret = m;
	return 0;
}

/* ---- writing ---- */

static struct json_writer begin(struct buf *b)
{
	struct json_writer w = json_writer(b);

	json_object(&w);
	json_field_cstr(&w, "jsonrpc", "2.0");
	return w;
}

static void method_put(struct json_writer *w, const char *method, struct span params)
{
	json_field_cstr(w, "method", method);
	if (params.n) {
		json_key(w, "params");
		json_put_raw(w, params);
	}
	json_end(w);
}

void rpc_put_request(struct buf *b, int64_t id, const char *method, struct span params)
{
	struct json_writer w = begin(b);

	json_field_i64(&w, "id", id);
	method_put(&w, method, params);
}

void rpc_put_notification(struct buf *b, const char *method, struct span params)
{
	struct json_writer w = begin(b);

	method_put(&w, method, params);
}

void rpc_put_empty_result(struct buf *b, const struct json *id)
{
	struct json_writer w = begin(b);

	json_key(&w, "id");
	json_put(&w, id);
	json_key(&w, "result");
	json_object(&w);
	json_end(&w);
	json_end(&w);
}

void rpc_put_error(struct buf *b, const struct json *id, int64_t code, const char *words)
{
	struct json_writer w = begin(b);

	json_key(&w, "id");
	json_put(&w, id);
	json_key(&w, "error");
	json_object(&w);
	json_field_i64(&w, "code", code);
	json_field_cstr(&w, "message", words);
	json_end(&w);
	json_end(&w);
}

/* ---- lines ---- */

struct rpc_lines rpc_lines_init(size_t longest)
{
	return (struct rpc_lines){.held = buf_init(longest)};
}

void rpc_lines_fini(struct rpc_lines *l)
{
	buf_fini(&l->held);
}

int rpc_lines_next(struct rpc_lines *l, struct span in, size_t *ret_used, struct span *ret_line)
{
	ssize_t end = span_find_byte(in, '\n', 0);
	size_t n = end < 0 ? in.n : (size_t)end;

	if (l->whole)
		buf_reset(&l->held);
	l->whole = end >= 0;
	if (n > l->held.max - l->held.len)
		return err_raise(-E2BIG, "a line is longer than the %zu bytes that are accepted",
			l->held.max);
	*ret_used = l->whole ? n + 1 : n;
	if (l->whole && l->held.len == 0) {
		*ret_line = span_trim(span_sub(in, 0, n));
		return RPC_LINE;
	}
	buf_span(&l->held, span_sub(in, 0, n));
	int r = buf_error(&l->held);
	if (r < 0)
		return err_trace(r);
	if (!l->whole)
		return 0;
	*ret_line = span_trim(buf_view(&l->held));
	return RPC_LINE;
}
