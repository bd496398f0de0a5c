/* SPDX-License-Identifier: AGPL-3.0-only */
/* Answers of models, whole and as events (one a line), in both wire forms. What is accepted has a
 * name for each call, and goes back into a request that is JSON. */
#include "daemon/llm/anthropic.h"
#include "daemon/llm/openai.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct llm_request asked;

static void asks_again(struct arena *a, const struct llm_message *answer)
{
	struct llm_message messages[] = {{.role = LLM_USER, .content = SPAN("x")}, *answer};
	struct llm_request q = {.messages = messages, .message_count = 2};
	struct wire_request r = {.q = &q, .model = "m", .temperature = -1};
	struct buf b CLEANUP(buf_fini) = buf_init(1 << 22);
	const struct json *v;

	for (size_t i = 0; i < answer->tool_call_count; i++)
		CHECK(answer->tool_calls[i].name.n);
	CHECK(openai_request(&r, &b) == 0);
	CHECK(json_parse(a, buf_view(&b), NULL, &v) == 0);
	buf_reset(&b);
	CHECK(anthropic_request(&r, &b) == 0);
	CHECK(json_parse(a, buf_view(&b), NULL, &v) == 0);
}

static void whole(struct span in, bool anthropic)
{
	struct arena *a CLEANUP(arena_cleanup) = arena_new(1 << 26);
	struct llm_reply reply = {0};
	int r = anthropic ? anthropic_reply(&asked, in, a, &reply)
			  : openai_reply(&asked, in, a, &reply);
	if (r == 0)
		asks_again(a, &reply.message);
	err_clear();
}

static void events(struct span in, bool anthropic)
{
	struct arena *a CLEANUP(arena_cleanup) = arena_new(1 << 26);
	struct llm_reply reply = {0};
	struct answer *s = arena_make(a, struct answer);
	struct span line, text;
	bool done = false;
	int r = 0;

	CHECK(s);
	*s = (struct answer){.arena = a, .reply = &reply};
	answer_init(s);
	while (r == 0 && !s->done && span_split(&in, '\n', &done, &line))
		r = anthropic ? anthropic_stream_event(s, line, &text)
			      : openai_stream_event(s, line, &text);
	if (r == 0)
		r = answer_end(s, &asked);
	answer_fini(s);
	if (r == 0)
		asks_again(a, &reply.message);
	err_clear();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span in = span_of(data, size);
	for (int anthropic = 0; anthropic < 2; anthropic++) {
		whole(in, anthropic);
		events(in, anthropic);
	}
	return 0;
}
