/* SPDX-License-Identifier: AGPL-3.0-only */
/* A conversation's one JSON form: in events, in recordings, and under the key of a recording. */
#include "daemon/llm/llm.h"

static const char *const role_names[] = {[LLM_SYSTEM] = "system",
	[LLM_USER] = "user",
	[LLM_ASSISTANT] = "assistant",
	[LLM_TOOL] = "tool"};

void llm_message_put(struct json_writer *w, const struct llm_message *m)
{
	json_object(w);
	json_field_cstr(w, "role", role_names[m->role]);
	json_field_span(w, "content", m->content);
	if (m->tool_call_count) {
		json_key(w, "tool_calls");
		json_array(w);
		for (size_t i = 0; i < m->tool_call_count; i++) {
			json_object(w);
			json_field_span(w, "id", m->tool_calls[i].id);
			json_field_span(w, "name", m->tool_calls[i].name);
			json_field_span(w, "arguments", m->tool_calls[i].arguments);
			json_end(w);
		}
		json_end(w);
	}
	if (m->role == LLM_TOOL)
		json_field_span(w, "tool_call_id", m->tool_call_id);
	json_end(w);
}

static int role_parse(struct span name, enum llm_role *ret)
{
	for (size_t i = 0; i < ARRAY_LEN(role_names); i++) {
		if (span_is(name, role_names[i])) {
			*ret = (enum llm_role)i;
			return 0;
		}
	}
	return err_raise(-EINVAL,
		"role '" SPAN_FMT "': system, user, assistant and tool are accepted",
		SPAN_ARG(name));
}

static int tool_calls_get(struct arena *a, const struct json *v, struct llm_message *m)
{
	if (!v)
		return 0;
	if (v->type != JSON_ARRAY || v->count > LIMIT_LLM_TOOL_CALLS)
		return err_raise(-EINVAL, "tool_calls: an array of at most %d is accepted",
			LIMIT_LLM_TOOL_CALLS);
	struct llm_tool_call *calls = arena_make_array(a, struct llm_tool_call, v->count + 1);
	if (!calls)
		return err_raise(-ENOMEM, "message: request memory used up");
	for (size_t i = 0; i < v->count; i++) {
		calls[i].id = json_str(&v->items[i], "id", SPAN(""));
		calls[i].name = json_str(&v->items[i], "name", SPAN(""));
		calls[i].arguments = json_str(&v->items[i], "arguments", SPAN("{}"));
		if (calls[i].name.n == 0)
			return err_raise(-EINVAL, "tool_calls[%zu]: 'name' is missing", i);
	}
	m->tool_calls = calls;
	m->tool_call_count = v->count;
	return 0;
}

int llm_message_get(struct arena *a, const struct json *v, struct llm_message *ret)
{
	struct llm_message m = {0};
	int r = role_parse(json_str(v, "role", SPAN("")), &m.role);
	if (r == 0)
		r = tool_calls_get(a, json_get(v, "tool_calls"), &m);
	if (r < 0)
		return err_trace(r);
	m.content = json_str(v, "content", SPAN(""));
	m.tool_call_id = json_str(v, "tool_call_id", SPAN(""));
	*ret = m;
	return 0;
}
