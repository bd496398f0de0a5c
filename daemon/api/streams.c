/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Events as they happen (server-sent events). Each carries its number as its id, so that a client
 * that comes back with Last-Event-ID goes on where it was. The stream of an execution ends with
 * the event that ends the execution.
 */
#include "daemon/api/call.h"
#include <stdio.h>

enum {
	HEARTBEAT_MS = 15000,
	RECORDED_MS = 30000, /* for an event that is on record already */
};

struct stream_of {
	struct event_filter filter;
	enum event_form form;
	bool follow; /* wait for more; else end with what there is */
	bool ends; /* an event may end it */
	uint64_t head; /* without follow: the newest event when the stream began */
};

static bool is_last(const struct store_event *e)
{
	static const enum event_type ends[] = {EVENT_EXECUTION_COMPLETED, EVENT_EXECUTION_FAILED,
		EVENT_EXECUTION_CANCELLED, EVENT_EXECUTION_TIMED_OUT};
	int type = event_type_parse(e->type);
	for (size_t i = 0; i < ARRAY_LEN(ends); i++)
		if (type == (int)ends[i])
			return true;
	return false;
}

static AWAITS int event_send(struct api_call *c, const struct store_event *e, enum event_form form)
{
	struct buf data CLEANUP(buf_fini) = api_reply_begin();
	struct json_writer w = json_writer(&data);
	char id[24];

	event_json(&w, e, form);
	int r = buf_error(&data);
	if (r < 0)
		return err_trace(r);
	snprintf(id, sizeof(id), "%llu", (unsigned long long)e->number);
	struct sse_event event = {.id = span_cstr(id), .data = buf_view(&data)};
	return http_reply_event(c->p, &event);
}

static AWAITS int stream_run(struct api_call *c, struct event_sub *sub, const struct stream_of *s)
{
	struct arena *a CLEANUP(arena_cleanup) = arena_new(LIMIT_STORE_READ_BYTES + 1024 * 1024);
	struct store_event e;

	if (!a)
		return err_raise(-ENOMEM, "event stream: out of memory");
	for (;;) {
		arena_reset(a);
		int r = event_next(
			sub, a, &e, deadline_in_ms(s->follow ? HEARTBEAT_MS : RECORDED_MS));
		if (r == -ETIME && s->follow) {
			r = http_reply_heartbeat(c->p);
			if (r < 0)
				return r;
			continue;
		}
		if (r == 0)
			r = event_send(c, &e, s->form);
		if (r < 0)
			return err_trace(r);
		if (s->ends && is_last(&e))
			return 0;
		if (!s->follow && e.number >= s->head)
			return 0;
	}
}

static AWAITS bool last_event_id(struct api_call *c, uint64_t *ret)
{
	struct span text = http_header_get(c->q->head, "Last-Event-ID");
	if (text.n == 0 || span_to_u64(text, ret) == 0)
		return true;
	api_error(c, 400, "bad_header", "Last-Event-ID must be the id of an event of this stream");
	return false;
}

static AWAITS void stream(struct api_call *c, struct stream_of *s)
{
	struct event_sub *sub;
	struct store_events newest;
	struct store_event_query q = {.execution_id = s->filter.execution_id,
		.agent_id = s->filter.agent_id,
		.newest_first = true,
		.limit = 1};

	if (!last_event_id(c, &s->filter.after_number))
		return;
	int r = store_event_list(c->api->deps.store, &q, c->arena, &newest, c->deadline_ns);
	if (r == 0) {
		s->head = newest.count ? newest.items[0].number : 0;
		r = event_subscribe(c->api->deps.bus, &s->filter, &sub);
	}
	if (r < 0) {
		api_failed(c, r, "follow the events");
		return;
	}
	http_reply_header(c->p, "Cache-Control", SPAN("no-store"));
	r = http_reply_sse(c->p);
	if (r == 0 && (s->follow || s->head > s->filter.after_number))
		r = stream_run(c, sub, s);
	event_unsubscribe(sub);
	if (r == 0)
		(void)!http_reply_end(c->p);
	else if (r != -EPIPE && r != -ECANCELED)
		err_log(r, "event stream");
}

static AWAITS void execution_stream(struct api_call *c, enum event_form form, bool follow)
{
	struct stream_of s = {.form = form, .follow = follow, .ends = true};
	struct store_execution v;
	if (!api_id(c, "id", "execution", &s.filter.execution_id))
		return;
	int r = store_execution_get(
		c->api->deps.store, s.filter.execution_id, c->arena, &v, c->deadline_ns);
	if (r == STORE_NOT_FOUND)
		api_error(c, 404, "not_found", "there is no such execution");
	else if (r < 0)
		api_failed(c, r, "read the execution");
	if (r != 0)
		return;
	/* After its end nothing comes any more, also for one who has seen the last event. */
	if (state_is_final(&execution_states, state_parse(&execution_states, v.status)))
		s.follow = false;
	stream(c, &s);
}

void api_execution_events(struct api_call *c)
{
	bool follow, verbose;
	/* `verbose` is accepted: every event is sent in full. */
	if (api_query_bool(c, "follow", false, &follow) &&
		api_query_bool(c, "verbose", false, &verbose))
		execution_stream(c, EVENT_ACTIVITY, follow);
}

void api_execution_stream(struct api_call *c)
{
	execution_stream(c, EVENT_STREAM, true);
}

void api_agent_events(struct api_call *c)
{
	struct stream_of s = {.form = EVENT_ACTIVITY};
	struct store_agent agent;
	if (!api_query_bool(c, "follow", true, &s.follow))
		return;
	int r = deploy_find(&c->api->deploy, api_tenant(c), api_param(c, "id"), c->arena, &agent,
		c->deadline_ns);
	s.filter.agent_id = agent.id;
	if (r == DEPLOY_NOT_FOUND)
		api_error(c, 404, "not_found", "there is no such agent");
	else if (r < 0)
		api_failed(c, r, "read the agent");
	else
		stream(c, &s);
}
