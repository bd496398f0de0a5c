/* SPDX-License-Identifier: AGPL-3.0-only */
/* A step of a session becomes one commit; nothing of it shows outside before it is durable. */
#include "daemon/smcp/internal.h"

enum {
	ENTRY_ARENA_BYTES = 3 * LIMIT_STORE_TEXT_BYTES,
	USUAL_BYTES = 4096, /* of one event's details */
};

int entry_begin(struct entry *e)
{
	*e = (struct entry){0};
	for (size_t i = 0; i < ARRAY_LEN(e->details); i++)
		e->details[i] = buf_init(LIMIT_STORE_TEXT_BYTES);
	e->arena = arena_new(ENTRY_ARENA_BYTES);
	return e->arena ? 0 : err_raise(-ENOMEM, "record: out of memory");
}

void entry_fini(struct entry *e)
{
	e->arena = arena_free(e->arena);
	for (size_t i = 0; i < ARRAY_LEN(e->details); i++)
		buf_fini(&e->details[i]);
}

struct store_event *entry_event(
	struct entry *e, enum event_type t, const struct smcp_service *s, const struct session *x)
{
	static const struct uuid nil;
	CHECK(e->count < ARRAY_LEN(e->events));
	struct store_event *v = &e->events[e->count];
	struct buf *details = &e->details[e->count++];

	*v = event_of(t, x ? x->execution_id : nil, x ? x->agent_id : nil, 0);
	v->tenant_id = span_cstr(s->o.tenant_id);
	(void)buf_reserve(details, USUAL_BYTES);
	e->w = json_writer(details);
	json_object(&e->w);
	if (x) {
		json_field_cstr(&e->w, "session_id", x->id_text);
		json_field_cstr(&e->w, "protocol", smcp_protocol_name(x->protocol));
		json_field_cstr(&e->w, "security_context", x->scope);
	}
	return v;
}

int entry_event_end(struct entry *e)
{
	struct store_event *v = &e->events[e->count - 1];

	json_end(&e->w);
	int r = buf_error(&e->details[e->count - 1]);
	if (r < 0)
		return err_wrap(r, "event " SPAN_FMT, SPAN_ARG(v->type));
	v->details = buf_view(&e->details[e->count - 1]);
	return 0;
}

void entry_change(struct entry *e, enum store_change_kind kind)
{
	CHECK(!e->has_change && e->count > 0);
	e->has_change = true;
	e->change = (struct store_change){.kind = kind, .event = e->count - 1, .session = &e->row};
}

int entry_publish(struct entry *e, struct smcp_service *s, int64_t deadline_ns)
{
	struct store_commit c = {
		.events = e->events,
		.event_count = e->count,
		.changes = &e->change,
		.change_count = e->has_change,
		.blobs = e->blobs,
		.blob_count = e->blob_count,
	};
	int r = event_publish(s->o.bus, &c, deadline_ns);

	if (r > 0)
		return err_raise(-EPROTO, "the store refuses a step: %s", c.refusal);
	return err_trace(r);
}

int entry_record(struct entry *e, struct smcp_service *s, bool outside, int64_t deadline_ns)
{
	struct store_hash hash;

	CHECK(e->count == 1 && !e->has_change);
	if (!outside)
		return err_trace(entry_publish(e, s, deadline_ns));
	for (size_t i = 0; i < e->blob_count; i++) {
		int r = store_blob_put(s->o.store, e->blobs[i], &hash, deadline_ns);
		if (r < 0)
			return err_trace(r);
	}
	return err_trace(event_record(s->o.bus, &e->events[0], deadline_ns));
}

/* ---- failures ---- */

/* A caller who fails on purpose must not fill the store. */
static bool may_report(struct session *x)
{
	int64_t now_ns = rt_now_ns();

	if (x->reports == 0 || now_ns - x->reports_since_ns >= 60 * NS_PER_S) {
		x->reports_since_ns = now_ns;
		x->reports = 0;
	}
	return ++x->reports <= REPORTS_PER_MINUTE;
}

void report_failure(struct call *c, enum event_type t, const struct smcp_refusal *why)
{
	struct session *x = c->session;
	struct entry e;

	if (x && !may_report(x)) {
		log_debug("smcp: session %s: %s", x->id_text, why->reason);
		return;
	}
	int r = entry_begin(&e);
	if (r == 0) {
		struct store_event *v = entry_event(&e, t, c->s, x);
		if (!x && c->q->workload) {
			v->execution_id = c->q->workload->execution_id;
			v->agent_id = c->q->workload->agent_id;
		}
		json_field_i64(&e.w, "code", why->code);
		json_field_cstr(&e.w, "name", smcp_code_name(why->code));
		json_field_cstr(&e.w, "reason", why->reason);
		r = entry_event_end(&e);
	}
	if (r == 0)
		r = entry_publish(&e, c->s, deadline_in_ms(PUBLISH_MS));
	entry_fini(&e);
	if (r < 0 && r != -ECANCELED)
		err_log(r, "smcp: record a failure");
	err_clear();
}
