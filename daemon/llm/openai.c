/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The chat completions API as OpenAI documents it and as others speak it (vLLM, llama.cpp, LM
 * Studio, Ollama under /v1, Gemini under /openai).
 */
#include "daemon/llm/openai.h"

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
		wire_name_put(w, m->tool_calls[i].name);
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
		wire_name_put(w, q->tools[i].name);
		json_field_span(w, "description", q->tools[i].description);
		json_key(w, "parameters");
		json_put_raw(w, q->tools[i].schema);
		json_end(w);
		json_end(w);
	}
	json_end(w);
}

int openai_request(const struct wire_request *r, struct buf *b)
{
	const struct llm_request *q = r->q;
	struct json_writer w = json_writer(b);

	json_object(&w);
	json_field_cstr(&w, "model", r->model);
	json_key(&w, "messages");
	json_array(&w);
	for (size_t i = 0; i < q->message_count; i++)
		message_put(&w, &q->messages[i]);
	json_end(&w);
	if (q->tool_count)
		tools_put(&w, q);
	if (r->temperature >= 0) {
		json_key(&w, "temperature");
		json_put_double(&w, r->temperature);
	}
	/* OpenAI's newer models refuse the older name, which is the only one that others know. */
	if (r->max_tokens)
		json_field_i64(
			&w, r->genuine ? "max_completion_tokens" : "max_tokens", r->max_tokens);
	if (r->stream)
		json_field_bool(&w, "stream", true);
	if (r->stream && r->genuine) {
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
		calls[i].name = wire_name_get(q, name);
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

static int stream_tool_call(struct answer *s, const struct json *v)
{
	struct answer_call *call;
	int r = answer_call(s, json_i64(v, "index", 0), &call);
	if (r < 0)
		return err_trace(r);
	const struct json *function = json_get(v, "function");
	struct span id = json_str(v, "id", SPAN("")), name = json_str(function, "name", SPAN(""));
	if (id.n)
		call->id = arena_span(s->arena, id);
	if (name.n)
		call->name = arena_span(s->arena, name);
	buf_span(&call->arguments, json_str(function, "arguments", SPAN("")));
	return err_trace(buf_error(&call->arguments));
}

static int stream_choice(struct answer *s, const struct json *choice, struct span *ret_text)
{
	const struct json *delta = json_get(choice, "delta");
	const struct json *calls = json_get(delta, "tool_calls");
	struct span reason = json_str(choice, "finish_reason", SPAN(""));
	int r = answer_text(s, json_str(delta, "content", SPAN("")), ret_text);

	if (reason.n) {
		s->reply->finish_reason = arena_span(s->arena, reason);
		s->whole = true;
	}
	for (size_t i = 0; r == 0 && calls && calls->type == JSON_ARRAY && i < calls->count; i++)
		r = stream_tool_call(s, &calls->items[i]);
	return err_trace(r);
}

int openai_stream_event(struct answer *s, struct span data, struct span *ret_text)
{
	const struct json *v;
	*ret_text = SPAN("");
	if (span_is(data, "[DONE]")) {
		s->whole = s->done = true;
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
	return err_trace(stream_choice(s, &choices->items[0], ret_text));
}
