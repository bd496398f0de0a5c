/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * What the kernel saw sandboxes do, on its way to the observer: in batches, by the clock or when
 * much has come together. One fiber at a time takes records out, so that they are handed over in
 * the ring's order, and so that all that a sandbox did is handed over before its counters are.
 *
 * What was lost is told within a second, and at the sandbox's end, by the kernel's own count.
 */
#include "daemon/sandbox/process_internal.h"
#include <errno.h>
#include <poll.h>

enum {
	READ_MS = 100, /* how late a record may be */
	DRAIN_MAX = RECORD_RING_BYTES / (int)sizeof(struct record_event),
};

struct ask_record {
	struct helper_request request;
	uint64_t instance; /* in: of which we have the maps; out: the helper's */
	bool opened;
	int fds[RECORD_MAPS + RECORD_HOOKS];
};

static int do_record(struct helper *h, struct helper_request *q, int64_t deadline_ns)
{
	struct ask_record *a = container_of(q, struct ask_record, request);
	uint64_t instance = helper_info(h)->instance;

	if (instance == a->instance)
		return 0;
	int r = helper_record_open(h, a->fds, deadline_ns);
	if (r == -EOPNOTSUPP)
		err_clear();
	else if (r < 0)
		return err_trace(r);
	a->opened = r == 0;
	a->instance = instance;
	return 0;
}

/* ---- reading ---- */

/* In a shield, because what was taken out must be handed over. */
static AWAITS void lock(struct process_driver *d)
{
	fiber_shield_begin();
	CHECK(fiber_lock_take(&d->record_lock, DEADLINE_NONE) == 0);
}

static void unlock(struct process_driver *d)
{
	fiber_lock_give(&d->record_lock);
	fiber_shield_end();
}

/* What is in the ring may be on record already, if a daemon was killed before it could let go of
 * it. Where the record stood when that daemon began with it, the kernel remembers beside the ring;
 * what this one began with itself, it need not look for. While the ring begins with something that
 * is on record, the position stays; else it is now, also of an empty ring: nobody shall ever have
 * much to look through. */
static AWAITS void begin(
	struct process_driver *d, const struct record_event *const *events, size_t count)
{
	uint64_t begun = record_sensor_begun(d->record);

	if (begun != d->record_begun)
		d->record_again = begun && count > 0 && d->observer.resumed &&
			d->observer.resumed(d->observer.ctx, begun, events, count);
	if (!d->record_again && d->observer.position) {
		uint64_t now = d->observer.position(d->observer.ctx);
		if (now != begun)
			record_sensor_begin(d->record, now);
		begun = record_sensor_begun(d->record);
	}
	d->record_begun = begun;
}

/* True: they are safe. */
static AWAITS bool hand_over(
	struct process_driver *d, const struct record_event *const *events, size_t count)
{
	begin(d, events, count);
	if (count == 0)
		return true;
	if (d->observer.recorded && !d->observer.recorded(d->observer.ctx, events, count))
		return false;
	record_sensor_done(d->record);
	d->record_again = false;
	begin(d, NULL, 0);
	return true;
}

/* All that is in the ring now; more may come meanwhile. What could not be made safe stays there. */
static AWAITS void drain(struct process_driver *d)
{
	const struct record_event *const *events;
	size_t count, all = 0;
	bool safe;

	lock(d);
	do {
		count = d->record ? record_sensor_next(d->record, &events) : 0;
		safe = d->record && hand_over(d, events, count);
		all += count;
	} while (safe && count == RECORD_SENSOR_BATCH && all < DRAIN_MAX);
	unlock(d);
}

/* What of this sandbox was lost since it was last told. */
static AWAITS void tell(struct process_driver *d, struct process_sandbox *p)
{
	struct record_agent a;
	uint64_t cgroup = p->base.identity;

	if (record_sensor_counters(d->record, cgroup, &a) < 0) {
		err_clear();
		return;
	}
	uint64_t lost = record_agent_lost(&a), told = record_sensor_told(d->record, cgroup);
	if (lost <= told)
		return;
	struct sandbox_origin o = process_origin(d, cgroup, 0);
	if (d->observer.lost)
		d->observer.lost(d->observer.ctx, &o, lost - told,
			a.strict ? "what was done could not be recorded, and who did it was killed"
				 : "more processes came and went than are recorded");
	record_sensor_tell(d->record, cgroup, lost);
}

/* The list may change while something is told. */
static AWAITS void tell_all(struct process_driver *d)
{
	bool again = true;
	int64_t now_ns = rt_now_ns();

	lock(d);
	while (again && d->record) {
		again = false;
		list_for_each (node, &d->alive) {
			struct process_sandbox *p =
				list_entry(node, struct process_sandbox, alive_link);
			if (p->record_told_ns >= now_ns)
				continue;
			p->record_told_ns = now_ns;
			tell(d, p);
			again = true;
			break;
		}
	}
	unlock(d);
}

static void read_records(void *arg)
{
	struct process_driver *d = arg;
	int64_t told_ns = rt_now_ns();

	for (;;) {
		int r = rt_poll(record_sensor_fd(d->record), POLLIN, deadline_in_ms(READ_MS));
		if (r < 0 && r != -ETIME)
			return;
		drain(d);
		if (rt_now_ns() - told_ns >= NS_PER_S) {
			told_ns = rt_now_ns();
			tell_all(d);
		}
	}
}

void process_record_end(struct process_sandbox *p)
{
	struct process_driver *d = process_driver_of(p->base.driver);
	struct record_agent a;

	if (!d->record || p->record_ended)
		return;
	drain(d);
	lock(d);
	if (d->record && !p->record_ended) {
		struct sandbox_origin o = process_origin(d, p->base.identity, 0);
		p->record_ended = true;
		tell(d, p);
		if (record_sensor_counters(d->record, p->base.identity, &a) < 0)
			err_clear();
		else if (d->observer.counted)
			d->observer.counted(d->observer.ctx, &o, &a);
	}
	unlock(d);
}

void process_record_close(struct process_driver *d)
{
	if (d->record)
		drain(d);
	group_close(&d->record_group);
	group_init(&d->record_group);
	lock(d);
	d->record = record_sensor_free(d->record);
	unlock(d);
	d->record_instance = 0;
}

void process_record_rest(struct process_driver *d)
{
	/* Whoever holds it looks for what is to be read now. */
	if (!list_empty(&d->alive) || d->starting > 0 || d->opening.held)
		return;
	fiber_shield_begin();
	CHECK(fiber_lock_take(&d->opening, DEADLINE_NONE) == 0);
	process_record_close(d);
	fiber_lock_give(&d->opening);
	fiber_shield_end();
}

static AWAITS int ready(struct process_driver *d, int64_t deadline_ns)
{
	struct ask_record a = {.request.fn = do_record, .instance = d->record_instance};
	int r = helper_ask(d->link, &a.request, deadline_ns);

	if (r < 0 || a.instance == d->record_instance)
		return err_trace(r);
	/* Of the helper before: another map, if aegisd was not there to keep the links. */
	process_record_close(d);
	if (a.opened)
		r = record_sensor_new(a.fds, &d->record);
	if (r == 0 && d->record)
		r = group_spawn(&d->record_group, "kernel records", FIBER_LARGE, read_records, d);
	if (r < 0) {
		process_record_close(d);
		return err_trace(r);
	}
	d->record_instance = a.instance;
	return 0;
}

int process_record_ready(struct process_driver *d, int64_t deadline_ns)
{
	return err_trace(process_opening(d, ready, deadline_ns));
}
