/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Anthropic's Messages API. It differs from chat completions in what it wraps: the system prompt
 * stands beside the messages, text and tool calls are blocks of one message, the results of all
 * calls of a turn are blocks of the user's next one, arguments are JSON values, and a limit of
 * tokens must be given.
 */
#include "daemon/llm/anthropic.h"

/* Upstream's. spec.llm_providers[].models[].max_output_tokens says more. */
enum { DEFAULT_MAX_TOKENS = 4096, ARGUMENTS_ARENA_BYTES = 16 * LIMIT_LLM_REPLY_BYTES };

/* ---- requests ---- */

static bool is_empty(const struct llm_message *m)
{
	return m->role != LLM_TOOL && m->content.n == 0 && m->tool_call_count == 0;
}

static void system_put(struct json_writer *w, const struct llm_request *q)
{
	struct buf text CLEANUP(buf_fini) = buf_init(LIMIT_LLM_REQUEST_BYTES);
	for (size_t i = 0; i < q->message_count; i++) {
		if (q->messages[i].role != LLM_SYSTEM || !q->messages[i].content.n)
			continue;
		if (text.len)
			buf_putc(&text, '\n');
		buf_span(&text, q->messages[i].content);
	}
	if (text.error)
		w->b->error = text.error;
	if (text.len)
		json_field_span(w, "system", buf_view(&text));
}

static void text_block_put(struct json_writer *w, struct span text)
{
	if (text.n == 0) /* refused by the API */
		return;
	json_object(w);
	json_field_cstr(w, "type", "text");
	json_field_span(w, "text", text);
	json_end(w);
}

/* What a model wrote that is no object cannot be sent back as it was; that it was refused stands in
 * the result. */
static int tool_use_put(struct json_writer *w, const struct llm_tool_call *c)
{
	/* Each turn sends all the calls before it again. */
	struct arena *a CLEANUP(arena_cleanup) = arena_new(ARGUMENTS_ARENA_BYTES);
	const struct json *input;
	if (!a)
		return err_raise(-ENOMEM, "model request: out of memory");
	int r = json_parse(a, c->arguments, NULL, &input);
	if (r == -ENOMEM)
		return err_trace(r);
	err_clear();
	json_object(w);
	json_field_cstr(w, "type", "tool_use");
	json_field_span(w, "id", c->id);
	json_key(w, "name");
	wire_name_put(w, c->name);
	json_key(w, "input");
	json_put_raw(w, r == 0 && input->type == JSON_OBJECT ? c->arguments : SPAN("{}"));
	json_end(w);
	return 0;
}

static void tool_result_put(struct json_writer *w, const struct llm_message *m)
{
	json_object(w);
	json_field_cstr(w, "type", "tool_result");
	json_field_span(w, "tool_use_id", m->tool_call_id);
	if (m->content.n)
		json_field_span(w, "content", m->content);
	json_end(w);
}

/* One message of the API: of ours the one at *at, with what follows it if both are results. */
static int message_put(struct json_writer *w, const struct llm_request *q, size_t *at)
{
	const struct llm_message *m = &q->messages[*at];
	int r = 0;

	json_object(w);
	json_field_cstr(w, "role", m->role == LLM_ASSISTANT ? "assistant" : "user");
	json_key(w, "content");
	json_array(w);
	if (m->role != LLM_TOOL)
		text_block_put(w, m->content);
	for (size_t i = 0; r == 0 && i < m->tool_call_count; i++)
		r = tool_use_put(w, &m->tool_calls[i]);
	if (m->role == LLM_TOOL)
		tool_result_put(w, m);
	while (m->role == LLM_TOOL && *at + 1 < q->message_count &&
		q->messages[*at + 1].role == LLM_TOOL)
		tool_result_put(w, &q->messages[++*at]);
	json_end(w);
	json_end(w);
	return err_trace(r);
}

static void tools_put(struct json_writer *w, const struct llm_request *q)
{
	json_key(w, "tools");
	json_array(w);
	for (size_t i = 0; i < q->tool_count; i++) {
		json_object(w);
		json_key(w, "name");
		wire_name_put(w, q->tools[i].name);
		json_field_span(w, "description", q->tools[i].description);
		json_key(w, "input_schema");
		json_put_raw(w, q->tools[i].schema);
		json_end(w);
	}
	json_end(w);
}

int anthropic_request(const struct wire_request *r, struct buf *b)
{
	const struct llm_request *q = r->q;
	struct json_writer w = json_writer(b);
	int error = 0;

	json_object(&w);
	json_field_cstr(&w, "model", r->model);
	json_field_i64(&w, "max_tokens", r->max_tokens ? r->max_tokens : DEFAULT_MAX_TOKENS);
	system_put(&w, q);
	json_key(&w, "messages");
	json_array(&w);
	for (size_t i = 0; error == 0 && i < q->message_count; i++)
		if (q->messages[i].role != LLM_SYSTEM && !is_empty(&q->messages[i]))
			error = message_put(&w, q, &i);
	json_end(&w);
	if (q->tool_count)
		tools_put(&w, q);
	if (r->temperature >= 0) {
		json_key(&w, "temperature");
		json_put_double(&w, r->temperature);
	}
	if (r->stream)
		json_field_bool(&w, "stream", true);
	json_end(&w);
	return error < 0 ? err_trace(error) : err_trace(buf_error(b));
}

/* ---- answers ---- */

/* In the words of chat completions, which records and agents know. */
static struct span finish_reason(struct span stop_reason)
{
	if (span_is(stop_reason, "end_turn") || span_is(stop_reason, "stop_sequence"))
		return SPAN("stop");
	if (span_is(stop_reason, "tool_use"))
		return SPAN("tool_calls");
	if (span_is(stop_reason, "max_tokens"))
		return SPAN("length");
	return stop_reason;
}

static void usage_get(const struct json *usage, struct llm_reply *ret)
{
	ret->prompt_tokens = json_i64(usage, "input_tokens", ret->prompt_tokens);
	ret->completion_tokens = json_i64(usage, "output_tokens", ret->completion_tokens);
}

static int parse(struct arena *a, struct span text, const struct json **ret)
{
	int r = json_parse(a, text, NULL, ret);
	if (r == -EINVAL || r == -E2BIG)
		return err_raise(-EBADMSG, "not JSON: %s", err_message(r));
	return err_trace(r);
}

static int call_begin(struct answer *s, const struct json *block, int64_t number)
{
	struct answer_call *call;
	int r = answer_call(s, (int64_t)s->call_count, &call);
	if (r < 0)
		return err_trace(r);
	call->block = number;
	call->id = arena_span(s->arena, json_str(block, "id", SPAN("")));
	call->name = arena_span(s->arena, json_str(block, "name", SPAN("")));
	return call->id.p && call->name.p
		? 0
		: err_raise(-ENOMEM, "model reply: request memory used up");
}

/* A block as a whole answer has it. Blocks of other types (thinking) are not for us. */
static int block_get(struct answer *s, const struct json *block, int64_t number)
{
	struct span type = json_str(block, "type", SPAN("")), text;
	const struct json *input = json_get(block, "input");

	if (span_is(type, "text"))
		return err_trace(answer_text(s, json_str(block, "text", SPAN("")), &text));
	if (!span_is(type, "tool_use"))
		return 0;
	int r = call_begin(s, block, number);
	if (r < 0)
		return err_trace(r);
	struct buf *arguments = &s->calls[s->call_count - 1].arguments;
	struct json_writer w = json_writer(arguments);
	if (input)
		json_put(&w, input);
	return err_trace(buf_error(arguments));
}

int anthropic_reply(
	const struct llm_request *q, struct span body, struct arena *a, struct llm_reply *ret)
{
	struct answer *s = arena_make(a, struct answer);
	const struct json *v;
	if (!s)
		return err_raise(-ENOMEM, "model reply: request memory used up");
	int r = parse(a, body, &v);
	if (r < 0)
		return err_trace(r);
	const struct json *blocks = json_get(v, "content");
	if (!blocks || blocks->type != JSON_ARRAY)
		return err_raise(-EBADMSG, "no 'content'");
	*s = (struct answer){.arena = a, .reply = ret, .whole = true};
	answer_init(s);
	for (size_t i = 0; r == 0 && i < blocks->count; i++)
		r = block_get(s, &blocks->items[i], (int64_t)i);
	if (r == 0)
		r = answer_end(s, q);
	answer_fini(s);
	if (r < 0)
		return err_trace(r);
	ret->finish_reason = finish_reason(json_str(v, "stop_reason", SPAN("")));
	ret->model = json_str(v, "model", SPAN(""));
	usage_get(json_get(v, "usage"), ret);
	return 0;
}

/* ---- streamed answers ---- */

static int block_delta(struct answer *s, const struct json *v, struct span *ret_text)
{
	const struct json *delta = json_get(v, "delta");
	struct span type = json_str(delta, "type", SPAN(""));
	int64_t number = json_i64(v, "index", -1);

	if (span_is(type, "text_delta"))
		return err_trace(answer_text(s, json_str(delta, "text", SPAN("")), ret_text));
	if (!span_is(type, "input_json_delta"))
		return 0;
	for (size_t i = 0; i < s->call_count; i++) {
		if (s->calls[i].block != number)
			continue;
		buf_span(&s->calls[i].arguments, json_str(delta, "partial_json", SPAN("")));
		return err_trace(buf_error(&s->calls[i].arguments));
	}
	return err_raise(-EBADMSG, "arguments of a tool call that did not begin");
}

static int block_start(struct answer *s, const struct json *v, struct span *ret_text)
{
	const struct json *block = json_get(v, "content_block");
	struct span type = json_str(block, "type", SPAN(""));
	if (span_is(type, "text"))
		return err_trace(answer_text(s, json_str(block, "text", SPAN("")), ret_text));
	return span_is(type, "tool_use") ? err_trace(call_begin(s, block, json_i64(v, "index", -1)))
					 : 0;
}

static int stream_error(const struct json *v)
{
	const struct json *error = json_get(v, "error");
	struct span type = json_str(error, "type", SPAN(""));
	bool passing = span_is(type, "overloaded_error") || span_is(type, "api_error");
	return err_raise(passing ? -EAGAIN : -EBADMSG, "error in the stream: " SPAN_FMT,
		SPAN_ARG(json_str(error, "message", SPAN("no message"))));
}

static int message_delta(struct answer *s, const struct json *v)
{
	struct span reason = json_str(json_get(v, "delta"), "stop_reason", SPAN(""));
	usage_get(json_get(v, "usage"), s->reply);
	if (!reason.n)
		return 0;
	s->whole = true;
	s->reply->finish_reason = arena_span(s->arena, finish_reason(reason));
	return s->reply->finish_reason.p
		? 0
		: err_raise(-ENOMEM, "model reply: request memory used up");
}

int anthropic_stream_event(struct answer *s, struct span data, struct span *ret_text)
{
	const struct json *v;
	*ret_text = SPAN("");
	struct arena *scratch CLEANUP(arena_cleanup) = arena_new(16 * LIMIT_SSE_EVENT_BYTES);
	if (!scratch)
		return err_raise(-ENOMEM, "model reply: out of memory");
	int r = parse(scratch, data, &v);
	if (r < 0)
		return err_trace(r);
	struct span type = json_str(v, "type", SPAN(""));
	if (span_is(type, "error"))
		return err_trace(stream_error(v));
	if (span_is(type, "message_start")) {
		const struct json *message = json_get(v, "message");
		usage_get(json_get(message, "usage"), s->reply);
		s->reply->model = arena_span(s->arena, json_str(message, "model", SPAN("")));
	} else if (span_is(type, "content_block_start")) {
		r = block_start(s, v, ret_text);
	} else if (span_is(type, "content_block_delta")) {
		r = block_delta(s, v, ret_text);
	} else if (span_is(type, "message_delta")) {
		r = message_delta(s, v);
	} else if (span_is(type, "message_stop")) {
		s->done = true;
	}
	return err_trace(r);
}
