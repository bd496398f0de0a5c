/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Requests wait in a list for the answer of their number; whoever reads delivers. A server may say
 * what it likes in any order, so everything that nobody asked for is counted, and too much of it
 * breaks the conversation, as a line that is too long does.
 *
 * Invariant: a request that has returned is in no list, and its number is never used again.
 */
#include "daemon/toolserver/client.h"
#include <stdio.h>

enum { ANSWER_MS = 5000, CANCELLED_MS = 1000, METHOD_NOT_FOUND = -32601 };

/* Newest first: the one that is asked for. */
static const char *const versions[] = {"2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"};

struct pending {
	struct list link;
	int64_t id;
	bool done;
	struct waitq wake;
	struct mcp_answer *answer;
};

void mcp_answer_fini(struct mcp_answer *a)
{
	a->arena = arena_free(a->arena);
}

void mcp_client_init(struct mcp_client *c, struct mcp_link *link, const char *server)
{
	*c = (struct mcp_client){.link = link, .server = server};
	list_init(&c->pending);
	waitq_init(&c->idle);
	waitq_init(&c->news);
}

void mcp_client_break(struct mcp_client *c, int r)
{
	if (!c->broken)
		snprintf(c->why, sizeof(c->why), "%s", err_message(r));
	err_clear();
	c->broken = true;
	if (c->link->broken)
		c->link->broken(c->link);
	list_for_each (node, &c->pending)
		waitq_wake_all(&list_entry(node, struct pending, link)->wake);
	waitq_wake_all(&c->news);
}

void mcp_client_fini(struct mcp_client *c)
{
	if (!c->broken)
		mcp_client_break(c, err_raise(-EPIPE, "the conversation is over"));
	fiber_shield_begin();
	while (!list_empty(&c->pending))
		if (waitq_wait(&c->idle, DEADLINE_NONE) < 0)
			break;
	fiber_shield_end();
}

/* ---- asking ---- */

static AWAITS int send_message(struct mcp_client *c, struct buf *b, int64_t deadline_ns)
{
	int r = buf_error(b);

	if (r < 0)
		return err_trace(r);
	r = c->link->send(c->link, buf_view(b), deadline_ns);
	if (r < 0 && r != -ETIME && r != -ECANCELED) {
		mcp_client_break(c, r);
		return err_raise(-EPIPE, "%s", c->why);
	}
	return r;
}

static AWAITS void tell_cancelled(struct mcp_client *c, int64_t id)
{
	struct buf params CLEANUP(buf_fini) = buf_init(256), b CLEANUP(buf_fini) = buf_init(512);

	if (c->broken)
		return;
	buf_printf(&params, "{\"requestId\":%lld,\"reason\":\"nobody waits any more\"}",
		(long long)id);
	rpc_put_notification(&b, "notifications/cancelled", buf_view(&params));
	fiber_shield_begin();
	if (send_message(c, &b, deadline_in_ms(CANCELLED_MS)) < 0)
		err_clear();
	fiber_shield_end();
}

static AWAITS int await_answer(struct mcp_client *c, struct pending *p, int64_t deadline_ns)
{
	int r = 0;

	while (r == 0 && !p->done && !c->broken)
		r = waitq_wait(&p->wake, deadline_ns);
	if (p->done)
		return 0;
	return c->broken ? err_raise(-EPIPE, "%s", c->why) : r;
}

int mcp_client_request(struct mcp_client *c, const char *method, struct span params,
	int64_t deadline_ns, struct mcp_answer *ret)
{
	struct mcp_answer answer = {0};
	struct pending p = {.id = ++c->last_id, .answer = &answer};
	struct buf b CLEANUP(buf_fini) = buf_init(params.n + 1024);

	if (c->broken)
		return err_raise(-EPIPE, "%s", c->why);
	rpc_put_request(&b, p.id, method, params);
	waitq_init(&p.wake);
	list_push_back(&c->pending, &p.link);
	int r = send_message(c, &b, deadline_ns);
	if (r == 0)
		r = await_answer(c, &p, deadline_ns);
	/* The specification forbids to cancel the very first one. */
	if ((r == -ETIME || r == -ECANCELED) && c->version)
		tell_cancelled(c, p.id);
	list_remove(&p.link);
	if (list_empty(&c->pending))
		waitq_wake_all(&c->idle);
	if (r < 0) {
		mcp_answer_fini(&answer);
		return r == -ETIME || r == -ECANCELED ? r : err_trace(r);
	}
	*ret = answer;
	return 0;
}

/* ---- opening ---- */

static int take_version(struct mcp_client *c, const struct json *result)
{
	struct span offered = json_str(result, "protocolVersion", SPAN(""));

	for (size_t i = 0; i < ARRAY_LEN(versions); i++)
		if (span_is(offered, versions[i]))
			c->version = versions[i];
	c->has_tools = json_get(json_get(result, "capabilities"), "tools") != NULL;
	if (!c->version)
		return err_raise(-EPROTO,
			"it speaks version '" SPAN_FMT "' of the protocol; accepted: %s to %s",
			SPAN_ARG(span_sub(offered, 0, 40)), versions[ARRAY_LEN(versions) - 1],
			versions[0]);
	return 0;
}

static AWAITS int tell_initialized(struct mcp_client *c, int64_t deadline_ns)
{
	struct buf b CLEANUP(buf_fini) = buf_init(256);

	rpc_put_notification(&b, "notifications/initialized", SPAN(""));
	return send_message(c, &b, deadline_ns);
}

int mcp_client_open(struct mcp_client *c, int64_t deadline_ns)
{
	struct buf params CLEANUP(buf_fini) = buf_init(512);
	struct mcp_answer a = {0};

	buf_printf(&params,
		"{\"protocolVersion\":\"%s\",\"capabilities\":{},\"clientInfo\":"
		"{\"name\":\"aegis\",\"version\":\"%s\"}}",
		versions[0], AEGIS_VERSION);
	int r = mcp_client_request(c, "initialize", buf_view(&params), deadline_ns, &a);
	if (r < 0)
		return r;
	r = a.message.kind == RPC_RESULT ? take_version(c, a.message.result)
					 : err_raise(-EPROTO, "it refuses to initialize: " SPAN_FMT,
						   SPAN_ARG(span_sub(a.message.words, 0, 300)));
	mcp_answer_fini(&a);
	return r < 0 ? err_trace(r) : tell_initialized(c, deadline_ns);
}

/* ---- hearing ---- */

static int count_unasked(struct mcp_client *c)
{
	int64_t now = rt_now_ns();

	if (now - c->unasked_since_ns > NS_PER_S) {
		c->unasked_since_ns = now;
		c->unasked = 0;
	}
	if (++c->unasked <= LIMIT_TOOLSERVER_UNASKED)
		return 0;
	return err_raise(-EPROTO, "it sends more than %d messages a second that nobody asked for",
		LIMIT_TOOLSERVER_UNASKED);
}

static int count_stray(struct mcp_client *c, int r)
{
	if (++c->stray_lines > LIMIT_TOOLSERVER_STRAY_LINES)
		return err_wrap(
			-EPROTO, "more than %d lines are no message", LIMIT_TOOLSERVER_STRAY_LINES);
	if (c->stray_lines == 1)
		log_warn("tool server '%s': a line of its output is no message, further ones are "
			 "not told: %s",
			c->server, err_message(r));
	err_clear();
	return 0;
}

static AWAITS int answer_server(struct mcp_client *c, const struct rpc_message *m)
{
	struct buf b CLEANUP(buf_fini) = buf_init(LIMIT_TOOLSERVER_MESSAGE_BYTES);

	if (span_is(m->method, "ping"))
		rpc_put_empty_result(&b, m->id);
	else
		rpc_put_error(&b, m->id, METHOD_NOT_FOUND, "not offered by this client");
	int r = send_message(c, &b, deadline_in_ms(ANSWER_MS));
	return r == -ETIME ? err_raise(-EPROTO, "it does not read what it asked for") : r;
}

/* Takes the arena, if it is an answer that somebody waits for. */
static int take_answer(struct mcp_client *c, const struct rpc_message *m, struct arena **arena)
{
	list_for_each (node, &c->pending) {
		struct pending *p = list_entry(node, struct pending, link);
		if (p->id != m->answers || p->done)
			continue;
		*p->answer = (struct mcp_answer){*arena, *m};
		*arena = NULL;
		p->done = true;
		waitq_wake_all(&p->wake);
		return 0;
	}
	return count_unasked(c); /* too late, or twice */
}

int mcp_client_deliver(struct mcp_client *c, struct span text)
{
	struct arena *arena CLEANUP(arena_cleanup) = arena_new(LIMIT_TOOLSERVER_ARENA_BYTES);
	struct rpc_message m;

	if (text.n == 0)
		return 0;
	if (!arena)
		return err_raise(-ENOMEM, "a message of a tool server");
	int r = rpc_parse(arena, text, &m);
	if (r == -ENOMEM)
		return err_trace(r);
	if (r < 0)
		return err_trace(count_stray(c, r));
	if (m.kind == RPC_RESULT || m.kind == RPC_ERROR)
		return err_trace(take_answer(c, &m, &arena));
	r = count_unasked(c);
	if (r < 0)
		return err_trace(r);
	if (m.kind == RPC_REQUEST)
		return answer_server(c, &m);
	if (span_is(m.method, "notifications/tools/list_changed")) {
		c->tools_changed = true;
		waitq_wake_all(&c->news);
	}
	return 0;
}
