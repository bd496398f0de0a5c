/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Events as records of the journal, and those that go nowhere else. Of the fibers of one worker
 * that wait to have an event recorded, the first writes for all who have come so far, with one
 * append and so one sync; then the first of those who came meanwhile does the same.
 *
 * Invariant: a waiter's record is in the list or in the write under way until it is done, and its
 * frame stays as long, hence the shield.
 */
#include "daemon/event/internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum { WRITE_MAX = 256, WRITE_BYTES = LIMIT_AUDIT_APPEND_BYTES / 2 };

static void put_text(struct json_writer *w, const char *key, struct span s)
{
	if (s.n)
		json_field_span(w, key, s);
}

int event_to_record(const struct store_event *e, enum audit_source source, struct buf *b,
	struct audit_record *ret)
{
	struct json_writer w = json_writer(b);

	(void)buf_reserve(b, e->details.n + e->message.n + 512);
	json_object(&w);
	event_put_id(&w, "id", e->id);
	if (e->sequence) {
		json_key(&w, "sequence");
		json_put_u64(&w, e->sequence);
	}
	put_text(&w, "category", e->category);
	put_text(&w, "stage", e->stage);
	put_text(&w, "tenant_id", e->tenant_id);
	event_put_id(&w, "agent_id", e->agent_id);
	put_text(&w, "message", e->message);
	json_key(&w, "details");
	json_put_raw(&w, e->details); /* the store keeps valid JSON only */
	json_end(&w);
	int r = buf_error(b);
	if (r < 0)
		return err_trace(r);
	*ret = (struct audit_record){
		.source = source,
		.kind = span_sub(e->type, 0, LIMIT_AUDIT_KIND_BYTES),
		.execution_id = e->execution_id,
		.call_id = e->call_id,
		.iteration = e->iteration,
		.wall_ns = e->wall_ns,
		.event_number = e->number,
		.payload = buf_view(b),
	};
	return 0;
}

/* ---- the journal alone ---- */

struct waiter {
	struct list link;
	struct audit_record *record;
	struct waitq woken;
	bool done;
	int result;
	char message[ERR_MESSAGE_BYTES];
};

static struct waiter *waiter_of(struct list *l)
{
	return list_entry(l, struct waiter, link);
}

/* Takes from the front of the list what fits into one append; at least one. */
static size_t take(struct part *p, struct waiter *ret[WRITE_MAX])
{
	size_t count = 0, bytes = 0;

	while (count < WRITE_MAX && !list_empty(&p->to_record)) {
		struct waiter *w = waiter_of(p->to_record.next);
		bytes += w->record->payload.n;
		if (count > 0 && bytes > WRITE_BYTES)
			break;
		list_remove(&w->link);
		ret[count++] = w;
	}
	p->to_record_count -= count;
	return count;
}

static void settle(struct waiter *w, int result)
{
	w->result = result;
	w->done = true;
	if (result < 0)
		snprintf(w->message, sizeof(w->message), "%s", err_message(result));
	waitq_wake_one(&w->woken);
}

/* Those who are ready to run may have something to record too. */
static void wait_for_company(const struct part *p)
{
	size_t before;

	do {
		before = p->to_record_count;
		fiber_yield();
	} while (p->to_record_count > before && p->to_record_count < WRITE_MAX);
}

static AWAITS void write_group(struct part *p)
{
	struct waiter *group[WRITE_MAX];

	wait_for_company(p);
	size_t count = take(p, group);
	struct audit_record *records = calloc(count, sizeof(*records));
	int r = records ? 0 : err_raise(-ENOMEM, "out of memory");
	if (records) {
		for (size_t i = 0; i < count; i++)
			records[i] = *group[i]->record;
		r = journal_append(p->bus->journal, records, count, DEADLINE_NONE);
		for (size_t i = 0; i < count; i++)
			*group[i]->record = records[i];
	}
	for (size_t i = 0; i < count; i++)
		settle(group[i], r);
	if (r < 0)
		err_clear();
	free(records);
}

/* Until w is on record, or cannot be. */
static AWAITS void write_or_wait(struct part *p, struct waiter *w)
{
	list_push_back(&p->to_record, &w->link);
	p->to_record_count++;
	while (p->recording && !w->done) {
		int r = waitq_wait(&w->woken, DEADLINE_NONE);
		CHECK(r == 0); /* shielded */
	}
	if (w->done)
		return;
	p->recording = true;
	while (!w->done)
		write_group(p);
	p->recording = false;
	if (!list_empty(&p->to_record))
		waitq_wake_one(&waiter_of(p->to_record.next)->woken);
}

int event_record(struct event_bus *b, struct store_event *e, int64_t deadline_ns)
{
	struct arena *a CLEANUP(arena_cleanup) = arena_new(3 * (size_t)LIMIT_STORE_TEXT_BYTES);
	struct buf payload CLEANUP(buf_fini) = buf_init(LIMIT_AUDIT_PAYLOAD_BYTES);
	struct part *p = &b->parts[worker_index(worker_self())];
	struct audit_record record;
	struct waiter w = {.record = &record};

	if (!b->journal)
		return err_raise(-ENOTSUP, "there is no journal here to record an event in");
	if (fiber_cancelled())
		return -ECANCELED;
	if (rt_now_ns() >= deadline_ns)
		return -ETIME;
	bool known = e->message.n > 0;
	int r = !a      ? err_raise(-ENOMEM, "out of memory")
		: known ? event_fill_known(e)
			: event_fill(e, a);
	if (r == 0 && e->wall_ns == 0)
		e->wall_ns = rt_wall_ns();
	if (r == 0 && uuid_is_nil(e->id))
		e->id = uuid_ordered(e->wall_ns);
	if (r == 0)
		r = event_to_record(e, AUDIT_CALL, &payload, &record);
	if (r < 0)
		return err_trace(r);
	waitq_init(&w.woken);
	fiber_shield_begin();
	r = sets_announce(b, p, e->details, DEADLINE_NONE);
	if (r == 0)
		write_or_wait(p, &w);
	fiber_shield_end();
	if (!known) /* it goes with the arena */
		e->message = SPAN("");
	if (r < 0)
		return err_trace(r);
	return w.result < 0 ? err_raise(w.result, "%s", w.message) : 0;
}
