/* SPDX-License-Identifier: AGPL-3.0-only */
/* Requests as decision records keep them: what was asked, so that it can be asked again. */
#include "policy/context/context.h"

static void put_spans(struct json_writer *w, const char *key, const struct span *list, size_t count)
{
	json_key(w, key);
	json_array(w);
	for (size_t i = 0; i < count; i++)
		json_put_span(w, list[i]);
	json_end(w);
}

static void put_some(struct json_writer *w, const char *key, struct span v)
{
	if (v.n)
		json_field_span(w, key, v);
}

/* In order of the keys. */
void decision_request_put(struct json_writer *w, const struct decision_request *q)
{
	json_object(w);
	json_field_span(w, "action", q->action);
	put_some(w, "address", q->address);
	json_field_span(w, "agent", q->agent);
	if (q->argv_count)
		put_spans(w, "argv", q->argv, q->argv_count);
	put_some(w, "call_program", q->call_program);
	put_some(w, "call_tool", q->call_tool);
	if (q->argv_count)
		json_field_span(w, "cwd", q->cwd);
	put_some(w, "domain", q->domain);
	json_field_span(w, "execution_id", q->execution_id);
	if (q->path_count)
		put_spans(w, "paths", q->paths, q->path_count);
	if (q->port)
		json_field_i64(w, "port", q->port);
	put_some(w, "protocol", q->protocol);
	json_field_span(w, "tenant", q->tenant);
	put_some(w, "volume", q->volume);
	json_end(w);
}

static int load_spans(struct arena *a, const struct json *v, const char *key,
	const struct span **ret, size_t *ret_count)
{
	const struct json *list = json_get(v, key);
	struct span *items;

	if (!list)
		return 0;
	if (list->type != JSON_ARRAY)
		return err_raise(-EINVAL, "request: `%s` must be a list of strings", key);
	items = arena_make_array(a, struct span, list->count + 1);
	if (!items)
		return err_raise(-ENOMEM, "request: out of memory");
	for (size_t i = 0; i < list->count; i++) {
		if (list->items[i].type != JSON_STRING)
			return err_raise(-EINVAL, "request: `%s` must be a list of strings", key);
		items[i] = list->items[i].text;
	}
	*ret = items;
	*ret_count = list->count;
	return 0;
}

static int check_members(const struct json *v)
{
	static const char *const strings[] = {"action", "address", "agent", "call_program",
		"call_tool", "cwd", "domain", "execution_id", "protocol", "tenant", "volume"};
	static const char *const others[] = {"argv", "paths", "port"};

	json_for_each (m, v) {
		bool known = false;
		for (size_t i = 0; i < ARRAY_LEN(strings); i++) {
			if (!span_is(m->key, strings[i]))
				continue;
			known = true;
			if (m->type != JSON_STRING)
				return err_raise(
					-EINVAL, "request: `%s` must be a string", strings[i]);
		}
		for (size_t i = 0; i < ARRAY_LEN(others); i++)
			known = known || span_is(m->key, others[i]);
		if (!known)
			return err_raise(-EINVAL,
				"request: `" SPAN_FMT
				"` is not known; accepted: action, address, agent, argv, "
				"call_program, call_tool, cwd, "
				"domain, execution_id, paths, port, protocol, tenant, volume",
				SPAN_ARG(span_sub(m->key, 0, 60)));
	}
	return 0;
}

int decision_request_load(struct arena *a, const struct json *v, struct decision_request *ret)
{
	struct decision_request q = {0};
	int64_t port = 0;

	if (v->type != JSON_OBJECT)
		return err_raise(-EINVAL, "request: expected an object");
	int r = check_members(v);
	if (r < 0)
		return err_trace(r);
	q.action = json_str(v, "action", SPAN(""));
	if (!q.action.n)
		return err_raise(-EINVAL, "request: `action` is missing");
	q.address = json_str(v, "address", SPAN(""));
	q.agent = json_str(v, "agent", SPAN(""));
	q.call_program = json_str(v, "call_program", SPAN(""));
	q.call_tool = json_str(v, "call_tool", SPAN(""));
	q.cwd = json_str(v, "cwd", SPAN(""));
	q.domain = json_str(v, "domain", SPAN(""));
	q.execution_id = json_str(v, "execution_id", SPAN(""));
	q.protocol = json_str(v, "protocol", SPAN(""));
	q.tenant = json_str(v, "tenant", SPAN(""));
	q.volume = json_str(v, "volume", SPAN(""));
	r = load_spans(a, v, "argv", &q.argv, &q.argv_count);
	if (r == 0)
		r = load_spans(a, v, "paths", &q.paths, &q.path_count);
	if (r < 0)
		return err_trace(r);
	const struct json *p = json_get(v, "port");
	if (p && (json_number_i64(p, &port) < 0 || port < 0 || port > UINT16_MAX)) {
		err_clear();
		return err_raise(-EINVAL, "request: `port` must be a number from 0 to 65535");
	}
	q.port = (uint16_t)port;
	*ret = q;
	return 0;
}
