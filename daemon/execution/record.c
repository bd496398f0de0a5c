/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * A step of a flow becomes one commit: its events and the rows they change. Nothing of it shows
 * outside before record_publish has returned 0.
 */
#include "daemon/execution/internal.h"

int record_begin(struct flow *f, struct record *r)
{
	*r = (struct record){.f = f, .details = buf_init(LIMIT_STORE_TEXT_BYTES)};
	r->arena = arena_new((size_t)RECORD_EVENTS * LIMIT_STORE_TEXT_BYTES);
	r->execution.id = f->id;
	r->iteration.execution_id = f->id;
	return r->arena ? 0 : err_raise(-ENOMEM, "record: out of memory");
}

void record_fini(struct record *r)
{
	r->arena = arena_free(r->arena);
	buf_fini(&r->details);
}

struct store_event *record_event(struct record *r, enum event_type t, uint32_t iteration)
{
	CHECK(r->event_count < RECORD_EVENTS);
	struct store_event *e = &r->events[r->event_count++];

	*e = event_of(t, r->f->id, r->f->agent_id, iteration);
	e->tenant_id = r->f->tenant;
	buf_reset(&r->details);
	r->w = json_writer(&r->details);
	json_object(&r->w);
	return e;
}

int record_event_end(struct record *r)
{
	json_end(&r->w);
	int x = buf_error(&r->details);
	if (x < 0)
		return err_wrap(x, "event " SPAN_FMT, SPAN_ARG(r->events[r->event_count - 1].type));
	struct span copy = arena_span(r->arena, buf_view(&r->details));
	if (!copy.p)
		return err_raise(-ENOMEM, "record: out of memory");
	r->events[r->event_count - 1].details = copy;
	return 0;
}

void record_change(struct record *r, enum store_change_kind kind)
{
	CHECK(r->change_count < RECORD_CHANGES && r->event_count > 0);
	struct store_change *c = &r->changes[r->change_count++];

	*c = (struct store_change){.kind = kind, .event = r->event_count - 1};
	if (kind == STORE_EXECUTION_CREATE || kind == STORE_EXECUTION_UPDATE)
		c->execution = &r->execution;
	else
		c->iteration = &r->iteration;
}

int record_rules(struct record *r, const struct rule_set *rules)
{
	struct span text = rule_set_text(rules, r->arena);

	if (!text.p)
		return err_raise(-ENOMEM, "record: out of memory");
	r->blobs[r->blob_count++] = text;
	return 0;
}

int record_publish(struct record *r)
{
	struct store_commit c = {
		.events = r->events,
		.event_count = r->event_count,
		.changes = r->changes,
		.change_count = r->change_count,
		.blobs = r->blobs,
		.blob_count = r->blob_count,
	};
	int x = event_publish(r->f->x->deps.bus, &c, deadline_in_ms(PUBLISH_DEADLINE_MS));

	if (x > 0)
		return err_raise(-EPROTO, "the store refuses a step: %s", c.refusal);
	return err_trace(x);
}
