/* SPDX-License-Identifier: AGPL-3.0-only */
/* Turns over HTTP, in every form: address, key, whole and streamed, and what failures mean. */
#include "daemon/llm/llm.h"
#include "daemon/net/net.h"
#include "tests/unit/daemon/rt/in_fiber.h"
#include <netinet/in.h>
#include <stdio.h>

static struct {
	uint16_t port;
	struct http_server *server;
	int requests, refuse; /* how many are answered 529 first */
	char path[128], authorization[64], key[64], version[32];
	bool stream;
	int64_t max_tokens;
} model;

static void note(char *to, size_t bytes, struct span s)
{
	snprintf(to, bytes, "%.*s", (int)MIN(s.n, bytes - 1), s.n ? s.p : "");
}

static void answer_stream(struct http_reply *p, bool anthropic)
{
	static const char *const openai[] = {"{\"choices\":[{\"delta\":{\"content\":\"Hel\"}}]}",
		"{\"choices\":[{\"delta\":{\"content\":\"lo\"},\"finish_reason\":\"stop\"}]}",
		"[DONE]", NULL};
	static const char *const messages[] = {"{\"type\":\"content_block_start\",\"index\":0,"
					       "\"content_block\":{\"type\":\"text\","
					       "\"text\":\"Hel\"}}",
		"{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\","
		"\"text\":\"lo\"}}",
		"{\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"}}",
		"{\"type\":\"message_stop\"}", NULL};
	EXPECT_INT(http_reply_sse(p), 0);
	for (const char *const *e = anthropic ? messages : openai; *e; e++)
		EXPECT_INT(http_reply_event(p, &(struct sse_event){.data = span_cstr(*e)}), 0);
	EXPECT_INT(http_reply_end(p), 0);
}

static void handle(void *ctx, struct http_request *q, struct http_reply *p)
{
	(void)ctx;
	const struct json *v;
	struct span body;
	EXPECT_INT(http_body_all(q, 1 << 20, &body), 0);
	EXPECT_INT(json_parse(q->arena, body, NULL, &v), 0);
	note(model.path, sizeof(model.path), q->head->path);
	note(model.authorization, sizeof(model.authorization),
		http_header_get(q->head, "Authorization"));
	note(model.key, sizeof(model.key), http_header_get(q->head, "x-api-key"));
	note(model.version, sizeof(model.version), http_header_get(q->head, "anthropic-version"));
	model.stream = json_bool(v, "stream", false);
	model.max_tokens = json_i64(v, "max_tokens", -1);
	model.requests++;
	bool anthropic = span_ends(q->head->path, SPAN("/messages"));
	if (model.refuse-- > 0) {
		EXPECT_INT(http_reply(p, 529, "application/json",
				   SPAN("{\"error\":{\"message\":\"Overloaded\"}}")),
			0);
		return;
	}
	if (model.stream) {
		answer_stream(p, anthropic);
		return;
	}
	EXPECT_INT(http_reply(p, 200, "application/json",
			   anthropic ? SPAN("{\"content\":[{\"type\":\"text\",\"text\":\"Hello\"}],"
					    "\"stop_reason\":\"end_turn\"}")
				     : SPAN("{\"choices\":[{\"message\":{\"content\":\"Hello\"},"
					    "\"finish_reason\":\"stop\"}]}")),
		0);
}

static void model_start(void)
{
	struct sockaddr_in addr;
	int fd = listen_loopback(&addr, 16);
	memset(&model, 0, sizeof(model));
	model.port = ntohs(addr.sin_port);
	EXPECT_INT(
		http_server_start(&(struct http_server_options){.handler = handle}, &model.server),
		0);
	EXPECT_INT(http_server_listen(model.server, fd, &(struct http_listen){0}, NULL), 0);
}

/* One turn with a provider of this type behind this base. */
static int turn(const char *type, const char *base, bool stream, int64_t max_tokens, int retries)
{
	struct arena *a CLEANUP(arena_cleanup) = arena_new(1 << 20);
	struct secret *key = secret_new(SPAN("sk-1"));
	struct llm *l = NULL;
	struct llm_message m = {.role = LLM_USER, .content = SPAN("Hi.")};
	struct llm_request q = {.messages = &m,
		.message_count = 1,
		.temperature = -1,
		.deadline_ns = deadline_in_ms(120000)};
	struct llm_reply reply;
	struct span why = {0};
	char url[128];
	snprintf(url, sizeof(url), "http://127.0.0.1:%u%s", model.port, base);
	struct llm_provider_options p = {
		.name = "p", .type = type, .endpoint = url, .api_key = key, .stream = stream};
	struct llm_alias_options alias = {.alias = "default",
		.provider = "p",
		.model = "m",
		.max_output_tokens = max_tokens,
		.temperature = -1};
	struct llm_options o = {.providers = &p,
		.provider_count = 1,
		.aliases = &alias,
		.alias_count = 1,
		.max_retries = retries,
		.retry_delay_ms = 1};
	EXPECT_INT(llm_new(&o, &l), 0);
	int r = llm_complete(l, &q, NULL, NULL, a, &reply, &why);
	if (r == 0) {
		EXPECT(span_is(reply.message.content, "Hello"));
		EXPECT(span_is(reply.finish_reason, "stop"));
	} else {
		EXPECT(span_find(why, SPAN("Overloaded"), 0) >= 0);
	}
	llm_stop(l);
	secret_free(key);
	return r;
}

static void forms(void *arg)
{
	(void)arg;
	static const struct {
		const char *type, *base, *path;
	} rows[] = {
		{"openai", "/v1", "/v1/chat/completions"},
		{"openai-compatible", "/x/", "/x/chat/completions"},
		{"openai-compatible", "/x/chat/completions", "/x/chat/completions"},
		{"ollama", "", "/v1/chat/completions"},
		{"ollama", "/v1", "/v1/chat/completions"},
		{"gemini", "", "/v1beta/openai/chat/completions"},
		{"gemini", "/v1beta", "/v1beta/openai/chat/completions"},
		{"gemini", "/v1beta/openai", "/v1beta/openai/chat/completions"},
		{"anthropic", "", "/v1/messages"},
		{"anthropic", "/v1/", "/v1/messages"},
		{"anthropic", "/proxy/v1/messages", "/proxy/v1/messages"},
	};
	model_start();
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		bool anthropic = strcmp(rows[i].type, "anthropic") == 0;
		for (int stream = 0; stream < 2; stream++) {
			EXPECT_INT(turn(rows[i].type, rows[i].base, stream, 0, 0), 0);
			EXPECT(strcmp(model.path, rows[i].path) == 0);
			EXPECT(model.stream == (stream == 1));
			EXPECT(strcmp(model.key, anthropic ? "sk-1" : "") == 0);
			EXPECT(strcmp(model.authorization, anthropic ? "" : "Bearer sk-1") == 0);
			EXPECT(strcmp(model.version, anthropic ? "2023-06-01" : "") == 0);
			EXPECT_INT(model.max_tokens, anthropic ? 4096 : -1);
		}
	}
	EXPECT_INT(turn("anthropic", "", false, 100, 0), 0);
	EXPECT_INT(model.max_tokens, 100);
	http_server_stop(model.server, rt_now_ns());
}

static void overloaded(void *arg)
{
	(void)arg;
	static const char *const types[] = {"openai-compatible", "anthropic"};
	model_start();
	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		model.requests = 0;
		model.refuse = 2;
		EXPECT_INT(turn(types[i], "", true, 0, 2), 0);
		EXPECT_INT(model.requests, 3);
		model.refuse = 2;
		EXPECT_INT(turn(types[i], "", false, 0, 1), LLM_UNAVAILABLE);
	}
	http_server_stop(model.server, rt_now_ns());
}

static void every_form(void **state)
{
	(void)state;
	in_fiber(forms);
}

static void tried_again(void **state)
{
	(void)state;
	in_fiber(overloaded);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_form),
		cmocka_unit_test(tried_again),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
