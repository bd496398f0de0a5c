/* SPDX-License-Identifier: AGPL-3.0-only */
#include "tests/integration/daemon/sandbox/gateway.h"
#include <stdio.h>
#include <stdlib.h>

enum { REQUEST_BYTES = 2 * 1024 * 1024, PATIENCE_MS = 60000, CALL_MS = 10000 };

struct uuid play_call(int n)
{
	struct uuid u = {{0xca, 0x11, 0, 0, 0, 0, 0x40, 0, 0x80, 0, 0, 0, 0, 0, 0, (uint8_t)n}};
	return u;
}

static void copy_text(const struct json *v, const char *key, char ret[PLAY_TEXT_BYTES])
{
	struct span s = json_str(v, key, (struct span){NULL, 0});
	size_t n = MIN(s.n, (size_t)PLAY_TEXT_BYTES - 1);

	if (n)
		memcpy(ret, s.p, n);
	ret[n] = 0;
}

/* ---- the conversation ---- */

static void take_result(struct play *p, const struct json *v)
{
	struct play_step *s = &p->steps[p->at];
	struct sandbox_usage usage;
	char id[UUID_TEXT_BYTES];

	uuid_text(play_call(p->at), id);
	if (!span_is(json_str(v, "dispatch_id", SPAN("")), id))
		return; /* a repeated one */
	s->exit_code = json_i64(v, "exit_code", -99);
	copy_text(v, "stdout", s->out);
	copy_text(v, "stderr", s->err);
	s->truncated = json_bool(v, "truncated", false);
	s->close_result = sandbox_call_close(
		p->sandbox, play_call(p->at), s->background, &usage, deadline_in_ms(CALL_MS));
	p->at++;
}

static void put_dispatch(struct play *p, struct buf *b)
{
	struct play_step *s = &p->steps[p->at];
	struct json_writer w = json_writer(b);
	char id[UUID_TEXT_BYTES];

	EXPECT_INT(sandbox_call_open(
			   p->sandbox, play_call(p->at), &s->identity, deadline_in_ms(CALL_MS)),
		0);
	if (s->rules)
		EXPECT_INT(sandbox_call_set_rules(p->sandbox, play_call(p->at), s->identity,
				   s->rules, deadline_in_ms(CALL_MS)),
			0);
	uuid_text(play_call(p->at), id);
	json_object(&w);
	json_field_cstr(&w, "type", "dispatch");
	json_field_cstr(&w, "dispatch_id", id);
	json_field_cstr(&w, "action", "exec");
	json_field_cstr(&w, "command", s->argv[0]);
	json_key(&w, "args");
	json_array(&w);
	for (int i = 1; i < PLAY_ARGS_MAX && s->argv[i]; i++)
		json_put_cstr(&w, s->argv[i]);
	json_end(&w);
	json_field_i64(&w, "timeout_secs", s->timeout_s ? s->timeout_s : 30);
	json_field_i64(&w, "max_output_bytes", s->output_max ? s->output_max : 65536);
	json_field_bool(&w, "background", s->background);
	json_end(&w);
}

static void answer(struct play *p, const struct json *v, struct buf *b)
{
	struct span type = json_str(v, "type", SPAN(""));

	p->requests++;
	if (span_is(type, "program_result")) {
		p->program_exit = json_i64(v, "exit_code", -99);
		copy_text(v, "stdout", p->program_out);
		p->reported = true;
		buf_puts(b, "{}");
		return;
	}
	if (span_is(type, "dispatch_result"))
		take_result(p, v);
	else
		p->generated = true;
	if (p->at < p->count && p->steps[p->at].before_reply)
		p->steps[p->at].before_reply(p->arg);
	if (p->at < p->count)
		put_dispatch(p, b);
	else
		buf_puts(b, "{\"type\":\"final\",\"content\":\"well done\"}");
}

/* ---- HTTP, as much as aegis-bootstrap and urllib speak ---- */

static AWAITS int read_request(int fd, struct buf *b, struct span *ret_body)
{
	for (;;) {
		ssize_t end = span_find(buf_view(b), SPAN("\r\n\r\n"), 0);
		ssize_t at = span_find(buf_view(b), SPAN("Content-Length: "), 0);
		if (end >= 0 && at >= 0) {
			size_t body = (size_t)end + 4;
			size_t want = (size_t)strtoul(buf_cstr(b) + at + 16, NULL, 10);
			if (b->len >= body + want) {
				*ret_body = span_sub(buf_view(b), body, body + want);
				return 0;
			}
		}
		char *room = buf_reserve(b, 16384);
		ssize_t n =
			room ? rt_recv(fd, room, 16384, 0, deadline_in_ms(PATIENCE_MS)) : -E2BIG;
		if (n <= 0)
			return n < 0 ? (int)n : -EPIPE;
		buf_commit(b, (size_t)n);
	}
}

struct connection {
	struct play *play;
	int fd;
};

static void talk(void *arg)
{
	struct connection *c = arg;
	struct buf request CLEANUP(buf_fini) = buf_init(REQUEST_BYTES);
	struct buf body CLEANUP(buf_fini) = buf_init(64 * 1024);
	struct buf reply CLEANUP(buf_fini) = buf_init(128 * 1024);
	struct arena *a CLEANUP(arena_cleanup) = arena_new(4 * REQUEST_BYTES);
	const struct json *v;
	struct span text;

	if (read_request(c->fd, &request, &text) == 0 && json_parse(a, text, NULL, &v) == 0) {
		answer(c->play, v, &body);
		buf_printf(&reply,
			"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
			"Content-Length: %zu\r\nConnection: close\r\n\r\n",
			body.len);
		buf_span(&reply, buf_view(&body));
		int r = rt_send_all(c->fd, reply.data, reply.len, deadline_in_ms(PATIENCE_MS));
		(void)r; /* the agent may be gone */
	}
	rt_close(c->fd);
	free(c);
}

static void accept_loop(void *arg)
{
	struct play *p = arg;
	int fd;

	while ((fd = rt_accept(p->sandbox->listener, DEADLINE_NONE)) >= 0) {
		struct connection *c = malloc(sizeof(*c));
		*c = (struct connection){p, fd};
		if (group_spawn(&p->group, "talk", FIBER_LARGE, talk, c) < 0) {
			rt_close(fd);
			free(c);
		}
	}
}

void play_start(struct play *p)
{
	group_init(&p->group);
	EXPECT_INT(group_spawn(&p->group, "accept", FIBER_SMALL, accept_loop, p), 0);
}

void play_stop(struct play *p)
{
	group_close(&p->group);
}
