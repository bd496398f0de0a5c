/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * An answer that comes in pieces: its text, and its tool calls, whose arguments come in pieces too.
 * The wire forms differ only in how the pieces are wrapped. Nothing of it is used before the
 * stream has said that the answer is whole.
 */
#include "daemon/llm/answer.h"

void wire_name_put(struct json_writer *w, struct span name)
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

struct span wire_name_get(const struct llm_request *q, struct span wire)
{
	for (size_t i = 0; i < q->tool_count; i++)
		if (is_wire_name(wire, q->tools[i].name))
			return q->tools[i].name;
	return wire;
}

void answer_init(struct answer *s)
{
	s->content = buf_init(LIMIT_LLM_REPLY_BYTES);
}

void answer_fini(struct answer *s)
{
	buf_fini(&s->content);
	for (size_t i = 0; i < s->call_count; i++)
		buf_fini(&s->calls[i].arguments);
}

int answer_call(struct answer *s, int64_t index, struct answer_call **ret)
{
	if (index < 0 || index >= LIMIT_LLM_TOOL_CALLS)
		return err_raise(-EBADMSG, "more than %d tool calls", LIMIT_LLM_TOOL_CALLS);
	if ((size_t)index >= s->call_count)
		s->call_count = (size_t)index + 1;
	*ret = &s->calls[index];
	(*ret)->arguments.max = LIMIT_LLM_REPLY_BYTES;
	return 0;
}

int answer_text(struct answer *s, struct span text, struct span *ret_text)
{
	size_t before = s->content.len;
	buf_span(&s->content, text);
	int r = buf_error(&s->content);
	if (r < 0)
		return err_trace(r);
	*ret_text = span_sub(buf_view(&s->content), before, s->content.len);
	return 0;
}

int answer_end(struct answer *s, const struct llm_request *q)
{
	struct llm_tool_call *calls =
		arena_make_array(s->arena, struct llm_tool_call, s->call_count + 1);
	if (!s->whole)
		return err_raise(-EBADMSG, "the stream ended before the answer did");
	if (!calls)
		return err_raise(-ENOMEM, "model reply: request memory used up");
	for (size_t i = 0; i < s->call_count; i++) {
		if (!s->calls[i].name.n)
			return err_raise(-EBADMSG, "tool call %zu has no name", i);
		struct span arguments = buf_view(&s->calls[i].arguments);
		calls[i].id = s->calls[i].id;
		calls[i].name = wire_name_get(q, s->calls[i].name);
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
