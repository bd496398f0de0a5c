/* SPDX-License-Identifier: AGPL-3.0-only */
/* The two wire forms: what is asked, and what is read of whole and of streamed answers. */
#include "daemon/llm/anthropic.h"
#include "daemon/llm/openai.h"
#include "tests/tap.h"

static const struct llm_tool tools[] = {
	{SPAN("fs.read"), SPAN("Reads."), SPAN("{\"type\":\"object\"}")},
	{SPAN("a_b.c"), SPAN(""), SPAN("{}")},
};
static const struct llm_tool_call calls[] = {
	{SPAN("t1"), SPAN("fs.read"), SPAN("{\"path\":\"/w\"}")},
	{SPAN("t2"), SPAN("a_b.c"), SPAN("no object")},
};
static const struct llm_message messages[] = {
	{.role = LLM_SYSTEM, .content = SPAN("Be good.")},
	{.role = LLM_USER, .content = SPAN("Go.")},
	{.role = LLM_ASSISTANT, .tool_calls = calls, .tool_call_count = 2},
	{.role = LLM_TOOL, .content = SPAN("one"), .tool_call_id = SPAN("t1")},
	{.role = LLM_TOOL, .tool_call_id = SPAN("t2")},
	{.role = LLM_USER, .content = SPAN("Go on.")},
	{.role = LLM_ASSISTANT},
};
static const struct llm_request request = {
	.messages = messages,
	.message_count = ARRAY_LEN(messages),
	.tools = tools,
	.tool_count = ARRAY_LEN(tools),
	.temperature = -1,
};

static void expect_json(const struct buf *b, const char *wanted)
{
	if (!span_is(buf_view(b), wanted))
		fail_msg("this was written:\n%.*s", (int)b->len, b->data);
}

static void openai_asks(void **state)
{
	(void)state;
	struct buf b CLEANUP(buf_fini) = buf_init(1 << 20);
	struct wire_request r = {.q = &request, .model = "m", .temperature = -1};
	assert_int_equal(openai_request(&r, &b), 0);
	expect_json(&b,
		"{\"model\":\"m\",\"messages\":[{\"role\":\"system\",\"content\":\"Be good.\"},"
		"{\"role\":\"user\",\"content\":\"Go.\"},{\"role\":\"assistant\",\"content\":null,"
		"\"tool_calls\":[{\"id\":\"t1\",\"type\":\"function\",\"function\":{\"name\":"
		"\"fs_read\",\"arguments\":\"{\\\"path\\\":\\\"/w\\\"}\"}},{\"id\":\"t2\",\"type\":"
		"\"function\",\"function\":{\"name\":\"a_b_c\",\"arguments\":\"no object\"}}]},"
		"{\"role\":\"tool\",\"content\":\"one\",\"tool_call_id\":\"t1\"},{\"role\":"
		"\"tool\","
		"\"content\":\"\",\"tool_call_id\":\"t2\"},{\"role\":\"user\",\"content\":"
		"\"Go on.\"},{\"role\":\"assistant\",\"content\":\"\"}],\"tools\":[{\"type\":"
		"\"function\",\"function\":{\"name\":\"fs_read\",\"description\":\"Reads.\","
		"\"parameters\":{\"type\":\"object\"}}},{\"type\":\"function\",\"function\":{"
		"\"name\":\"a_b_c\",\"description\":\"\",\"parameters\":{}}}]}");
}

static void openai_options(void **state)
{
	(void)state;
	struct llm_request q = {.messages = &messages[1], .message_count = 1};
	struct wire_request r = {
		.q = &q, .model = "m", .temperature = 0.5, .max_tokens = 9, .stream = true};
	struct buf others CLEANUP(buf_fini) = buf_init(4096),
			  own CLEANUP(buf_fini) = buf_init(4096);
	assert_int_equal(openai_request(&r, &others), 0);
	expect_json(&others,
		"{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"Go.\"}],"
		"\"temperature\":0.5,\"max_tokens\":9,\"stream\":true}");
	r.genuine = true;
	assert_int_equal(openai_request(&r, &own), 0);
	expect_json(&own,
		"{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"Go.\"}],"
		"\"temperature\":0.5,\"max_completion_tokens\":9,\"stream\":true,"
		"\"stream_options\":{\"include_usage\":true}}");
}

static void anthropic_asks(void **state)
{
	(void)state;
	struct buf b CLEANUP(buf_fini) = buf_init(1 << 20);
	struct wire_request r = {.q = &request, .model = "m", .temperature = -1};
	assert_int_equal(anthropic_request(&r, &b), 0);
	expect_json(&b,
		"{\"model\":\"m\",\"max_tokens\":4096,\"system\":\"Be good.\",\"messages\":["
		"{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"Go.\"}]},"
		"{\"role\":\"assistant\",\"content\":[{\"type\":\"tool_use\",\"id\":\"t1\","
		"\"name\":\"fs_read\",\"input\":{\"path\":\"/w\"}},{\"type\":\"tool_use\",\"id\":"
		"\"t2\",\"name\":\"a_b_c\",\"input\":{}}]},{\"role\":\"user\",\"content\":["
		"{\"type\":\"tool_result\",\"tool_use_id\":\"t1\",\"content\":\"one\"},"
		"{\"type\":\"tool_result\",\"tool_use_id\":\"t2\"}]},{\"role\":\"user\","
		"\"content\":"
		"[{\"type\":\"text\",\"text\":\"Go on.\"}]}],\"tools\":[{\"name\":\"fs_read\","
		"\"description\":\"Reads.\",\"input_schema\":{\"type\":\"object\"}},{\"name\":"
		"\"a_b_c\",\"description\":\"\",\"input_schema\":{}}]}");
}

/* ---- answers ---- */

typedef int (*read_whole)(
	const struct llm_request *q, struct span body, struct arena *a, struct llm_reply *ret);
typedef int (*read_event)(struct answer *s, struct span data, struct span *ret_text);

static void expect_answer(const struct llm_reply *p)
{
	const struct llm_message *m = &p->message;
	assert_true(m->role == LLM_ASSISTANT && span_is(m->content, "Hello"));
	assert_int_equal(m->tool_call_count, 2);
	assert_true(span_is(m->tool_calls[0].id, "t1") && span_is(m->tool_calls[1].id, "t2"));
	assert_true(span_is(m->tool_calls[0].name, "fs.read"));
	assert_true(span_is(m->tool_calls[1].name, "unknown_tool"));
	assert_true(span_is(m->tool_calls[0].arguments, "{\"path\":\"/w\"}"));
	assert_true(span_is(m->tool_calls[1].arguments, "{}"));
	assert_true(span_is(p->finish_reason, "tool_calls") && span_is(p->model, "m-1"));
	assert_int_equal(p->prompt_tokens, 11);
	assert_int_equal(p->completion_tokens, 7);
}

static void whole(read_whole read, const char *body)
{
	struct arena *a CLEANUP(arena_cleanup) = arena_new(1 << 20);
	struct llm_reply p = {.prompt_tokens = -1, .completion_tokens = -1};
	int r = read(&request, span_cstr(body), a, &p);
	if (r < 0)
		fail_msg("%s", err_message(r));
	expect_answer(&p);
}

static int stream(read_event read, const char *const *events, struct arena *a, struct llm_reply *p,
	struct buf *pieces)
{
	struct answer *s = arena_make(a, struct answer);
	struct span text;
	int r = 0;
	*p = (struct llm_reply){.prompt_tokens = -1, .completion_tokens = -1};
	*s = (struct answer){.arena = a, .reply = p};
	answer_init(s);
	for (size_t i = 0; r == 0 && events[i] && !s->done; i++) {
		r = read(s, span_cstr(events[i]), &text);
		if (r == 0)
			buf_span(pieces, text);
	}
	if (r == 0)
		r = answer_end(s, &request);
	answer_fini(s);
	return r;
}

static void streamed(read_event read, const char *const *events)
{
	struct arena *a CLEANUP(arena_cleanup) = arena_new(1 << 20);
	struct buf pieces CLEANUP(buf_fini) = buf_init(4096);
	struct llm_reply p;
	int r = stream(read, events, a, &p, &pieces);
	if (r < 0)
		fail_msg("%s", err_message(r));
	expect_answer(&p);
	assert_true(span_is(buf_view(&pieces), "Hello"));
}

static void fails(read_event read, const char *event, int wanted, const char *says)
{
	struct arena *a CLEANUP(arena_cleanup) = arena_new(1 << 20);
	struct buf pieces CLEANUP(buf_fini) = buf_init(4096);
	struct llm_reply p;
	int r = stream(read, (const char *const[]){event, NULL}, a, &p, &pieces);
	if (r != wanted || !strstr(err_message(r), says))
		fail_msg("%s: %d, %s", event, r, r < 0 ? err_message(r) : "no error");
	err_clear();
}

static void openai_answers(void **state)
{
	(void)state;
	whole(openai_reply,
		"{\"model\":\"m-1\",\"choices\":[{\"finish_reason\":\"tool_calls\",\"message\":{"
		"\"content\":\"Hello\",\"tool_calls\":[{\"id\":\"t1\",\"function\":{\"name\":"
		"\"fs_read\",\"arguments\":\"{\\\"path\\\":\\\"/w\\\"}\"}},{\"id\":\"t2\","
		"\"function\":{\"name\":\"unknown_tool\"}}]}}],\"usage\":{\"prompt_tokens\":11,"
		"\"completion_tokens\":7}}");
	streamed(openai_stream_event,
		(const char *const[]){
			"{\"model\":\"m-1\",\"choices\":[{\"delta\":{\"content\":\"Hel\"}}]}",
			"{\"choices\":[{\"delta\":{\"content\":\"lo\",\"tool_calls\":[{\"index\":0,"
			"\"id\":\"t1\",\"function\":{\"name\":\"fs_read\",\"arguments\":"
			"\"{\\\"path\"}}]}}]}",
			"{\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":0,\"function\":{"
			"\"arguments\":\"\\\":\\\"/w\\\"}\"}},{\"index\":1,\"id\":\"t2\","
			"\"function\":{\"name\":\"unknown_tool\"}}]}}]}",
			"{\"choices\":[{\"delta\":{},\"finish_reason\":\"tool_calls\"}]}",
			"{\"choices\":[],\"usage\":{\"prompt_tokens\":11,\"completion_tokens\":7}}",
			"[DONE]", NULL});
}

static void anthropic_answers(void **state)
{
	(void)state;
	whole(anthropic_reply,
		"{\"model\":\"m-1\",\"stop_reason\":\"tool_use\",\"content\":[{\"type\":"
		"\"thinking\","
		"\"thinking\":\"x\"},{\"type\":\"text\",\"text\":\"Hello\"},{\"type\":\"tool_use\","
		"\"id\":\"t1\",\"name\":\"fs_read\",\"input\":{\"path\":\"/w\"}},{\"type\":"
		"\"tool_use\",\"id\":\"t2\",\"name\":\"unknown_tool\",\"input\":{}}],\"usage\":{"
		"\"input_tokens\":11,\"output_tokens\":7}}");
	streamed(anthropic_stream_event,
		(const char *const[]){
			"{\"type\":\"message_start\",\"message\":{\"model\":\"m-1\",\"usage\":{"
			"\"input_tokens\":11,\"output_tokens\":1}}}",
			"{\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":"
			"\"text\",\"text\":\"\"}}",
			"{\"type\":\"ping\"}",
			"{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":"
			"\"text_delta\",\"text\":\"Hel\"}}",
			"{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":"
			"\"text_delta\",\"text\":\"lo\"}}",
			"{\"type\":\"content_block_stop\",\"index\":0}",
			"{\"type\":\"content_block_start\",\"index\":1,\"content_block\":{\"type\":"
			"\"tool_use\",\"id\":\"t1\",\"name\":\"fs_read\",\"input\":{}}}",
			"{\"type\":\"content_block_delta\",\"index\":1,\"delta\":{\"type\":"
			"\"input_json_delta\",\"partial_json\":\"{\\\"path\\\":\"}}",
			"{\"type\":\"content_block_delta\",\"index\":1,\"delta\":{\"type\":"
			"\"input_json_delta\",\"partial_json\":\"\\\"/w\\\"}\"}}",
			"{\"type\":\"content_block_start\",\"index\":2,\"content_block\":{\"type\":"
			"\"tool_use\",\"id\":\"t2\",\"name\":\"unknown_tool\",\"input\":{}}}",
			"{\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"tool_use\"},"
			"\"usage\":{\"output_tokens\":7}}",
			"{\"type\":\"message_stop\"}", NULL});
}

static void stop_reasons(void **state)
{
	(void)state;
	static const char *const pairs[][2] = {{"end_turn", "stop"}, {"stop_sequence", "stop"},
		{"max_tokens", "length"}, {"tool_use", "tool_calls"}, {"refusal", "refusal"}};
	for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
		struct arena *a CLEANUP(arena_cleanup) = arena_new(1 << 20);
		struct llm_reply p = {0};
		char *body =
			arena_printf(a, "{\"content\":[],\"stop_reason\":\"%s\"}", pairs[i][0]);
		assert_int_equal(anthropic_reply(&request, span_cstr(body), a, &p), 0);
		assert_true(span_is(p.finish_reason, pairs[i][1]));
	}
}

static void broken_streams(void **state)
{
	(void)state;
	fails(openai_stream_event, "{\"choices\":[{\"delta\":{\"content\":\"x\"}}]}", -EBADMSG,
		"before the answer did");
	fails(openai_stream_event, "{", -EBADMSG, "not JSON");
	fails(openai_stream_event, "{\"error\":{\"message\":\"bad luck\"}}", -EBADMSG, "bad luck");
	fails(openai_stream_event, "{\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":64}]}}]}",
		-EBADMSG, "more than 64");
	fails(anthropic_stream_event, "{\"type\":\"ping\"}", -EBADMSG, "before the answer did");
	fails(anthropic_stream_event, "nothing", -EBADMSG, "not JSON");
	fails(anthropic_stream_event,
		"{\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Busy\"}"
		"}",
		-EAGAIN, "Busy");
	fails(anthropic_stream_event,
		"{\"type\":\"error\",\"error\":{\"type\":\"invalid_request_error\",\"message\":"
		"\"No\"}}",
		-EBADMSG, "No");
	fails(anthropic_stream_event,
		"{\"type\":\"content_block_delta\",\"index\":3,\"delta\":{\"type\":"
		"\"input_json_delta\",\"partial_json\":\"{\"}}",
		-EBADMSG, "did not begin");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(openai_asks),
		cmocka_unit_test(openai_options),
		cmocka_unit_test(anthropic_asks),
		cmocka_unit_test(openai_answers),
		cmocka_unit_test(anthropic_answers),
		cmocka_unit_test(stop_reasons),
		cmocka_unit_test(broken_streams),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
