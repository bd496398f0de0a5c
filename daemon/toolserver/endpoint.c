/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Streamable HTTP (MCP 2025-11-25, "Transports"): each of our messages is a POST; its answer is
 * nothing, one message, or a stream of events that ends with the answer. No stream is opened for
 * what the server says on its own: a change of its tools is seen at the next check of its health.
 */
#include "daemon/toolserver/endpoint.h"
#include <stdio.h>
#include <stdlib.h>

enum {
	HEADERS_MAX = 64,
	CLOSE_MS = 2000,
	ARENA_BYTES = LIMIT_TOOLSERVER_MESSAGE_BYTES + 256 * 1024
};

struct exchange {
	struct mcp_endpoint *e;
	struct http_header headers[HEADERS_MAX];
	struct http_call call;
};

static void header(struct exchange *x, const char *name, struct span value)
{
	if (value.n && x->call.header_count < HEADERS_MAX)
		x->headers[x->call.header_count++] = (struct http_header){span_cstr(name), value};
}

static void exchange_make(struct exchange *x, struct mcp_endpoint *e, const char *method,
	struct span body, int64_t deadline_ns)
{
	const struct tool_server_config *c = e->config;

	*x = (struct exchange){.e = e};
	x->call = (struct http_call){.method = method,
		.url = e->url,
		.dial = e->dial,
		.headers = x->headers,
		.body = body,
		.max_answer_bytes = LIMIT_TOOLSERVER_MESSAGE_BYTES,
		.deadline_ns = deadline_ns};
	if (body.n) {
		header(x, "Content-Type", SPAN("application/json"));
		header(x, "Accept", SPAN("application/json, text/event-stream"));
	}
	header(x, "Mcp-Session-Id", span_cstr(e->session));
	header(x, "MCP-Protocol-Version", span_cstr(e->client->version));
	for (size_t i = 0; c->url && i < c->variable_count; i++)
		header(x, c->variables[i].name, c->variables[i].value);
}

static int session_take(struct mcp_endpoint *e, const struct http_head *h)
{
	struct span id = http_header_get(h, "Mcp-Session-Id");

	if (id.n == 0 || e->client->version)
		return 0;
	if (id.n >= sizeof(e->session))
		return err_raise(
			-EPROTO, "its session id is longer than %zu bytes", sizeof(e->session) - 1);
	snprintf(e->session, sizeof(e->session), SPAN_FMT, SPAN_ARG(id));
	return 0;
}

static AWAITS int read_events(struct mcp_endpoint *e, struct http_exchange *h)
{
	struct sse_event event;
	int r;

	while ((r = http_exchange_event(h, &event)) == 0) {
		r = mcp_client_deliver(e->client, event.data);
		if (r < 0)
			return err_trace(r);
	}
	return r == HTTP_EXCHANGE_END ? 0 : r;
}

static AWAITS int read_message(struct mcp_endpoint *e, struct http_exchange *h)
{
	struct buf b CLEANUP(buf_fini) = buf_init(LIMIT_TOOLSERVER_MESSAGE_BYTES);
	struct span piece;
	int r;

	while ((r = http_exchange_read(h, &piece)) == 0 && piece.n)
		buf_span(&b, piece);
	if (r == 0)
		r = buf_error(&b);
	return r < 0 ? r : mcp_client_deliver(e->client, buf_view(&b));
}

static AWAITS int read_answer(struct mcp_endpoint *e, struct http_exchange *h)
{
	const struct http_head *head = http_exchange_head(h);
	struct span type = http_header_get(head, "Content-Type");

	if (head->status == 404 && *e->session)
		return err_raise(-EPIPE, "it has forgotten the session");
	if (head->status == 202)
		return 0;
	if (head->status < 200 || head->status > 299)
		return err_raise(-EPROTO, "it answers with HTTP status %d", head->status);
	int r = session_take(e, head);
	if (r < 0)
		return err_trace(r);
	if (span_starts(type, SPAN("text/event-stream")))
		return read_events(e, h);
	if (span_starts(type, SPAN("application/json")))
		return read_message(e, h);
	return err_raise(-EPROTO,
		"its answer is of type '" SPAN_FMT
		"'; application/json and text/event-stream are accepted",
		SPAN_ARG(span_sub(type, 0, 100)));
}

/* ---- one message ---- */

/* In a fiber of its own, so that a conversation that breaks can end it. */
struct sending {
	struct list link;
	struct group group;
	struct mcp_endpoint *e;
	struct span message;
	int64_t deadline_ns;
	int outcome;
	char why[ERR_MESSAGE_BYTES];
};

static AWAITS void send_one(void *arg)
{
	struct sending *s = arg;
	struct arena *arena CLEANUP(arena_cleanup) = arena_new(ARENA_BYTES);
	struct http_exchange *h = NULL;
	struct exchange x;
	int r = arena ? 0 : err_raise(-ENOMEM, "a message to a tool server");

	if (r == 0) {
		exchange_make(&x, s->e, "POST", s->message, s->deadline_ns);
		r = http_open(s->e->http, arena, &x.call, &h);
	}
	if (r == 0)
		r = read_answer(s->e, h);
	if (r < 0)
		snprintf(s->why, sizeof(s->why), "%s", err_message(r));
	http_exchange_close(h);
	err_clear();
	s->outcome = r;
}

int mcp_endpoint_send(struct mcp_link *l, struct span message, int64_t deadline_ns)
{
	struct mcp_endpoint *e = container_of(l, struct mcp_endpoint, link);
	struct sending s = {
		.e = e, .message = message, .deadline_ns = deadline_ns, .outcome = -ECANCELED};

	group_init(&s.group);
	list_push_back(&e->sending, &s.link);
	int r = group_spawn(&s.group, "tool server", FIBER_LARGE, send_one, &s);
	if (r == 0)
		r = group_join(&s.group, DEADLINE_NONE); /* the exchange has the deadline */
	group_close(&s.group);
	list_remove(&s.link);
	if (r < 0)
		return r;
	if (s.outcome == -ECANCELED && e->client->broken)
		return err_raise(-EPIPE, "%s", e->client->why);
	if (s.outcome == -ECANCELED || s.outcome == -ETIME)
		return s.outcome;
	return s.outcome < 0 ? err_raise(s.outcome, "%s", s.why) : 0;
}

void mcp_endpoint_broken(struct mcp_link *l)
{
	struct mcp_endpoint *e = container_of(l, struct mcp_endpoint, link);

	list_for_each (node, &e->sending)
		group_cancel(&list_entry(node, struct sending, link)->group);
}

/* ---- up and down ---- */

int mcp_endpoint_open(struct mcp_endpoint *e, struct mcp_client *c, struct http_client *http,
	const struct tool_server_config *config, const struct http_dial *dial)
{
	struct buf url CLEANUP(buf_fini) = buf_init(LIMIT_HTTP_URL_BYTES);

	*e = (struct mcp_endpoint){
		.link = e->link, .client = c, .http = http, .config = config, .dial = dial};
	list_init(&e->sending);
	if (!http)
		return err_raise(-EINVAL, "no client for HTTP was given");
	if (config->url)
		buf_puts(&url, config->url);
	else
		buf_printf(&url, "http://127.0.0.1:%u%s", config->http_port, config->http_path);
	const char *text = buf_cstr(&url);
	e->url = text ? strdup(text) : NULL;
	return e->url ? 0 : err_raise(-ENOMEM, "the address of a tool server");
}

void mcp_endpoint_close(struct mcp_endpoint *e)
{
	struct arena *arena CLEANUP(arena_cleanup) = arena_new(256 * 1024);
	struct http_answer *answer;
	struct exchange x;

	if (arena && *e->session) {
		fiber_shield_begin();
		exchange_make(&x, e, "DELETE", SPAN(""), deadline_in_ms(CLOSE_MS));
		x.call.body = (struct span){NULL, 0};
		if (http_call(e->http, arena, &x.call, &answer) < 0)
			err_clear();
		fiber_shield_end();
	}
	free(e->url);
	e->url = NULL;
}
