/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The chat completions API as OpenAI documents it and as others speak it (vLLM, llama.cpp, LM
 * Studio, Ollama under /v1). Function names there may not hold dots: "fs.read" travels as
 * "fs_read", and an answer is mapped back through the tools of its request.
 */
#include "daemon/llm/openai.h"
#include "daemon/llm/internal.h"

static void wire_name(struct json_writer *w, struct span name)
{
	char wire[LIMIT_LLM_TOOL_NAME_BYTES];
	size_t n = MIN(name.n, sizeof(wire));
	for (size_t i = 0; i < n; i++)
		wire[i] = name.p[i] == '.' ? '_' : name.p[i];
	json_put_span(w, span_of(wire, n));
}

static bool is_wire_name(struct span wire, struct span name)
{
	if (wire.n != name.n)
		return false;
	for (size_t i = 0; i < name.n; i++)
		if (wire.p[i] != name.p[i] && !(wire.p[i] == '_' && name.p[i] == '.'))
			return false;
	return true;
}

/* A name that the request did not offer is passed on as it is: the tool router refuses it, and
 * the model gets to know. */
struct span openai_tool_name(const struct llm_request *q, struct span wire)
{
	for (size_t i = 0; i < q->tool_count; i++)
		if (is_wire_name(wire, q->tools[i].name))
			return q->tools[i].name;
	return wire;
}

static void tool_calls_put(struct json_writer *w, const struct llm_message *m)
{
	json_key(w, "tool_calls");
	json_array(w);
	for (size_t i = 0; i < m->tool_call_count; i++) {
		json_object(w);
		json_field_span(w, "id", m->tool_calls[i].id);
		json_field_cstr(w, "type", "function");
		json_key(w, "function");
		json_object(w);
		json_key(w, "name");
		wire_name(w, m->tool_calls[i].name);
		json_field_span(w, "arguments", m->tool_calls[i].arguments);
		json_end(w);
		json_end(w);
	}
	json_end(w);
}

static void message_put(struct json_writer *w, const struct llm_message *m)
{
	static const char *const roles[] = {"system", "user", "assistant", "tool"};

	json_object(w);
	json_field_cstr(w, "role", roles[m->role]);
	json_key(w, "content");
	if (m->content.n || !m->tool_call_count)
		json_put_span(w, m->content);
	else
		json_put_null(w);
	if (m->tool_call_count)
		tool_calls_put(w, m);
	if (m->role == LLM_TOOL)
		json_field_span(w, "tool_call_id", m->tool_call_id);
	json_end(w);
}

static void tools_put(struct json_writer *w, const struct llm_request *q)
{
	json_key(w, "tools");
	json_array(w);
	for (size_t i = 0; i < q->tool_count; i++) {
		json_object(w);
		json_field_cstr(w, "type", "function");
		json_key(w, "function");
		json_object(w);
		json_key(w, "name");
		wire_name(w, q->tools[i].name);
		json_field_span(w, "description", q->tools[i].description);
		json_key(w, "parameters");
		json_put_raw(w, q->tools[i].schema);
		json_end(w);
		json_end(w);
	}
	json_end(w);
}

int openai_request(
	const struct llm_request *q, const char *model, bool stream, bool usage, struct buf *b)
{
	struct json_writer w = json_writer(b);

	json_object(&w);
	json_field_cstr(&w, "model", model);
	json_key(&w, "messages");
	json_array(&w);
	for (size_t i = 0; i < q->message_count; i++)
		message_put(&w, &q->messages[i]);
	json_end(&w);
	if (q->tool_count)
		tools_put(&w, q);
	if (q->temperature >= 0) {
		json_key(&w, "temperature");
		json_put_double(&w, q->temperature);
	}
	if (stream)
		json_field_bool(&w, "stream", true);
	if (stream && usage) {
		json_key(&w, "stream_options");
		json_object(&w);
		json_field_bool(&w, "include_usage", true);
		json_end(&w);
	}
	json_end(&w);
	return err_trace(buf_error(b));
}

/* ---- answers ---- */

static void usage_get(const struct json *v, struct llm_reply *ret)
{
	const struct json *usage = json_get(v, "usage");
	if (!usage || usage->type != JSON_OBJECT)
		return;
	ret->prompt_tokens = json_i64(usage, "prompt_tokens", -1);
	ret->completion_tokens = json_i64(usage, "completion_tokens", -1);
}

static int tool_calls_get(
	const struct llm_request *q, const struct json *v, struct arena *a, struct llm_message *m)
{
	if (!v || v->type == JSON_NULL)
		return 0;
	if (v->type != JSON_ARRAY || v->count > LIMIT_LLM_TOOL_CALLS)
		return err_raise(
			-EBADMSG, "tool_calls is no array of at most %d", LIMIT_LLM_TOOL_CALLS);
	struct llm_tool_call *calls = arena_make_array(a, struct llm_tool_call, v->count + 1);
	if (!calls)
		return err_raise(-ENOMEM, "model reply: request memory used up");
	for (size_t i = 0; i < v->count; i++) {
		const struct json *function = json_get(&v->items[i], "function");
		struct span name = json_str(function, "name", SPAN(""));
		if (name.n == 0)
			return err_raise(-EBADMSG, "tool_calls[%zu] has no function name", i);
		calls[i].name = openai_tool_name(q, name);
		calls[i].id = json_str(&v->items[i], "id", SPAN(""));
		calls[i].arguments = json_str(function, "arguments", SPAN("{}"));
	}
	m->tool_calls = calls;
	m->tool_call_count = v->count;
	return 0;
}

int openai_reply(
	const struct llm_request *q, struct span body, struct arena *a, struct llm_reply *ret)
{
	const struct json *v;
	int r = json_parse(a, body, NULL, &v);
	if (r < 0)
		return r == -ENOMEM ? err_trace(r)
				    : err_raise(-EBADMSG, "not JSON: %s", err_message(r));
	const struct json *choices = json_get(v, "choices");
	if (!choices || choices->type != JSON_ARRAY || choices->count == 0)
		return err_raise(-EBADMSG, "no 'choices'");
	const struct json *message = json_get(&choices->items[0], "message");
	if (!message || message->type != JSON_OBJECT)
		return err_raise(-EBADMSG, "no 'choices[0].message'");
	r = tool_calls_get(q, json_get(message, "tool_calls"), a, &ret->message);
	if (r < 0)
		return err_trace(r);
	ret->message.role = LLM_ASSISTANT;
	ret->message.content = json_str(message, "content", SPAN(""));
	ret->finish_reason = json_str(&choices->items[0], "finish_reason", SPAN(""));
	ret->model = json_str(v, "model", SPAN(""));
	usage_get(v, ret);
	return 0;
}

/* ---- streamed answers ---- */

static struct openai_call *stream_call(struct openai_stream *s, int64_t index)
{
	if (index < 0 || index >= LIMIT_LLM_TOOL_CALLS)
		return NULL;
	if ((size_t)index >= s->call_count)
		s->call_count = (size_t)index + 1;
	struct openai_call *call = &s->calls[index];
	call->arguments.max = LIMIT_LLM_REPLY_BYTES;
	return call;
}

static int stream_tool_call(struct openai_stream *s, const struct json *v)
{
	struct openai_call *call = stream_call(s, json_i64(v, "index", 0));
	if (!call)
		return err_raise(-EBADMSG, "more than %d tool calls", LIMIT_LLM_TOOL_CALLS);
	const struct json *function = json_get(v, "function");
	struct span id = json_str(v, "id", SPAN("")), name = json_str(function, "name", SPAN(""));
	if (id.n)
		call->id = arena_span(s->arena, id);
	if (name.n)
		call->name = arena_span(s->arena, name);
	buf_span(&call->arguments, json_str(function, "arguments", SPAN("")));
	return err_trace(buf_error(&call->arguments));
}

int openai_stream_event(struct openai_stream *s, struct span data, struct span *ret_text)
{
	const struct json *v;
	*ret_text = SPAN("");
	if (span_is(data, "[DONE]")) {
		s->done = true;
		return 0;
	}
	struct arena *scratch CLEANUP(arena_cleanup) = arena_new(16 * LIMIT_SSE_EVENT_BYTES);
	if (!scratch)
		return err_raise(-ENOMEM, "model reply: out of memory");
	int r = json_parse(scratch, data, NULL, &v);
	if (r < 0)
		return r == -ENOMEM ? err_trace(r)
				    : err_raise(-EBADMSG, "not JSON: %s", err_message(r));
	if (json_get(v, "error"))
		return err_raise(-EBADMSG, "error in the stream: " SPAN_FMT,
			SPAN_ARG(json_str(json_get(v, "error"), "message", SPAN("no message"))));
	usage_get(v, s->reply);
	if (!s->reply->model.n)
		s->reply->model = arena_span(s->arena, json_str(v, "model", SPAN("")));
	const struct json *choices = json_get(v, "choices");
	if (!choices || choices->type != JSON_ARRAY || choices->count == 0)
		return 0;
	const struct json *delta = json_get(&choices->items[0], "delta");
	struct span reason = json_str(&choices->items[0], "finish_reason", SPAN(""));
	if (reason.n)
		s->reply->finish_reason = arena_span(s->arena, reason);
	struct span text = json_str(delta, "content", SPAN(""));
	size_t before = s->content.len;
	buf_span(&s->content, text);
	const struct json *calls = json_get(delta, "tool_calls");
	for (size_t i = 0; r == 0 && calls && calls->type == JSON_ARRAY && i < calls->count; i++)
		r = stream_tool_call(s, &calls->items[i]);
	if (r == 0)
		r = buf_error(&s->content);
	if (r < 0)
		return err_trace(r);
	*ret_text = span_sub(buf_view(&s->content), before, s->content.len);
	return 0;
}

int openai_stream_end(struct openai_stream *s, const struct llm_request *q)
{
	struct llm_tool_call *calls =
		arena_make_array(s->arena, struct llm_tool_call, s->call_count + 1);
	if (!s->done && !s->reply->finish_reason.n)
		return err_raise(-EBADMSG, "the stream ended before the answer did");
	if (!calls)
		return err_raise(-ENOMEM, "model reply: request memory used up");
	for (size_t i = 0; i < s->call_count; i++) {
		if (!s->calls[i].name.n)
			return err_raise(-EBADMSG, "tool_calls[%zu] has no function name", i);
		struct span arguments = buf_view(&s->calls[i].arguments);
		calls[i].id = s->calls[i].id;
		calls[i].name = openai_tool_name(q, s->calls[i].name);
		calls[i].arguments = arena_span(s->arena, arguments.n ? arguments : SPAN("{}"));
		if (!calls[i].arguments.p)
			return err_raise(-ENOMEM, "model reply: request memory used up");
	}
	s->reply->message = (struct llm_message){
		.role = LLM_ASSISTANT,
		.content = arena_span(s->arena, buf_view(&s->content)),
		.tool_calls = calls,
		.tool_call_count = s->call_count,
	};
	return 0;
}

void openai_stream_fini(struct openai_stream *s)
{
	buf_fini(&s->content);
	for (size_t i = 0; i < s->call_count; i++)
		buf_fini(&s->calls[i].arguments);
}
