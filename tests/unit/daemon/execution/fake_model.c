/* SPDX-License-Identifier: AGPL-3.0-only */
#include "tests/unit/daemon/execution/fake_model.h"
#include "tests/unit/daemon/rt/in_fiber.h"
#include <stdio.h>

static void put_turn(struct buf *b, const struct script_turn *t, size_t turn)
{
	struct json_writer w = json_writer(b);
	json_object(&w);
	json_field_cstr(&w, "model", "scripted-1");
	json_key(&w, "choices");
	json_array(&w);
	json_object(&w);
	json_field_cstr(&w, "finish_reason", t->calls[0].name ? "tool_calls" : "stop");
	json_key(&w, "message");
	json_object(&w);
	json_field_cstr(&w, "role", "assistant");
	json_field_cstr(&w, "content", t->content ? t->content : "");
	if (t->calls[0].name) {
		json_key(&w, "tool_calls");
		json_array(&w);
		for (int i = 0; i < SCRIPT_CALLS && t->calls[i].name; i++) {
			char id[32];
			snprintf(id, sizeof(id), "call_%zu_%d", turn, i);
			json_object(&w);
			json_field_cstr(&w, "id", id);
			json_field_cstr(&w, "type", "function");
			json_key(&w, "function");
			json_object(&w);
			json_field_cstr(&w, "name", t->calls[i].name);
			json_field_cstr(&w, "arguments", t->calls[i].arguments);
			json_end(&w);
			json_end(&w);
		}
		json_end(&w);
	}
	json_end(&w);
	json_end(&w);
	json_end(&w);
	json_key(&w, "usage");
	json_object(&w);
	json_field_i64(&w, "prompt_tokens", 11);
	json_field_i64(&w, "completion_tokens", 7);
	json_end(&w);
	json_end(&w);
}

static size_t count_of(struct span s, const char *needle)
{
	size_t n = 0;
	for (ssize_t at = 0; (at = span_find(s, span_cstr(needle), (size_t)at)) >= 0; at++)
		n++;
	return n;
}

static void note(char *to, size_t bytes, struct span s)
{
	snprintf(to, bytes, "%.*s", (int)MIN(s.n, bytes - 1), s.n ? s.p : "");
}

static void handle(void *ctx, struct http_request *q, struct http_reply *p)
{
	struct fake_model *m = ctx;
	struct buf b CLEANUP(buf_fini) = buf_init(1 << 20);
	const struct json *v;
	struct span body;
	size_t turn = 0, iteration = 0;

	if (http_body_all(q, 16 << 20, &body) < 0 || json_parse(q->arena, body, NULL, &v) < 0)
		return;
	json_for_each (message, json_get(v, "messages")) {
		struct span role = json_str(message, "role", SPAN(""));
		struct span content = json_str(message, "content", SPAN(""));
		if (span_is(role, "assistant"))
			turn++;
		if (span_is(role, "tool"))
			note(m->last_tool, sizeof(m->last_tool), content);
		if (span_is(role, "user")) {
			iteration = MIN(
				count_of(content, "## Iteration"), (size_t)SCRIPT_ITERATIONS - 1);
			note(m->first_prompt[iteration], sizeof(m->first_prompt[0]), content);
		}
	}
	m->requests++;
	m->tools_offered = json_get(v, "tools") ? json_get(v, "tools")->count : 0;
	const struct script_turn *t = &m->turns[iteration][MIN(turn, (size_t)SCRIPT_TURNS - 1)];
	if (m->turns[iteration][0].endless)
		t = &m->turns[iteration][0];
	if (t->delay_ms && rt_sleep_until(deadline_in_ms(t->delay_ms)) < 0)
		return;
	if (t->status) {
		if (http_reply(p, t->status, "application/json",
			    SPAN("{\"error\":{\"message\":\"scripted\"}}")) < 0)
			err_clear();
		return;
	}
	put_turn(&b, t, turn);
	if (http_reply(p, 200, "application/json", buf_view(&b)) < 0)
		err_clear();
}

void model_start(struct fake_model *m)
{
	struct sockaddr_in addr;
	int fd = listen_loopback(&addr, 64);
	m->port = ntohs(addr.sin_port);
	EXPECT_INT(http_server_start(
			   &(struct http_server_options){.handler = handle, .ctx = m}, &m->server),
		0);
	EXPECT_INT(http_server_listen(m->server, fd, &(struct http_listen){0}, NULL), 0);
}

void model_stop(struct fake_model *m)
{
	http_server_stop(m->server, rt_now_ns());
	m->server = NULL;
}
