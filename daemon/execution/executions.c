/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * All executions of this process: those that run, and those that wait in order for a free place. A
 * service fiber hands the places out and owns the group that the flows run in, so that stopping,
 * from either side, ends them in one place.
 */
#include "daemon/execution/internal.h"
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

enum { TRY_AGAIN_MS = 1000 };

/* ---- handing out places ---- */

int flow_begin(struct executions *x, struct flow *f)
{
	int r = group_spawn(&x->flows, "execution", FIBER_LARGE, flow_main, f);

	if (r < 0)
		return r;
	list_remove(&f->link);
	list_push_back(&x->active, &f->link);
	x->queued--;
	x->running++;
	f->running = true;
	return 0;
}

static void hand_out(struct executions *x)
{
	while (!list_empty(&x->queue) && x->running < x->deps.limits.running_max) {
		if (flow_begin(x, list_first(&x->queue, struct flow, link)) == 0)
			continue;
		err_clear(); /* no stack is left: later */
		return;
	}
}

static void drop_queue(struct executions *x)
{
	struct list *node;

	while ((node = list_pop_front(&x->queue))) {
		struct flow *f = list_entry(node, struct flow, link);
		map_remove(&x->by_id, span_of(f->id.bytes, sizeof(f->id.bytes)));
		waitq_wake_all(&f->ended);
		flow_unref(f);
	}
	x->queued = 0;
}

static void service(void *arg)
{
	struct executions *x = arg;
	int r = 0;

	while (!x->stopping && r != -ECANCELED) {
		hand_out(x);
		r = waitq_wait(&x->wake,
			list_empty(&x->queue) ? DEADLINE_NONE : deadline_in_ms(TRY_AGAIN_MS));
	}
	x->stopping = true;
	group_close(&x->flows);
	drop_queue(x);
	fiber_shield_begin();
	http_server_stop(x->server, rt_now_ns());
	fiber_shield_end();
	x->server = NULL;
	x->stopped = true;
	waitq_wake_all(&x->stopped_wake);
}

/* ---- taking up what was left ---- */

static AWAITS int load_attempts(struct flow *f)
{
	struct store_iterations rows;
	struct arena *a CLEANUP(arena_cleanup) = arena_new(LIMIT_ITERATION_ARENA_BYTES);
	int r = a ? store_iteration_list(f->x->deps.store, f->id, a, &rows, DEADLINE_NONE)
		  : err_raise(-ENOMEM, "execution: out of memory");

	if (r < 0)
		return err_trace(r);
	for (size_t i = 0; i < rows.count; i++) {
		const struct store_iteration *row = &rows.items[i];
		const struct json *error = NULL;
		if (strcmp(row->status, "running") == 0) {
			f->resumed = true;
			continue;
		}
		r = row->error.n ? json_parse(f->arena, row->error, NULL, &error) : 0;
		if (r < 0)
			return err_trace(r);
		struct span message = json_str(error, "message", SPAN(""));
		bool refined = strcmp(row->status, "refining") == 0;
		r = flow_add_attempt(f,
			&(struct attempt){.number = row->number,
				.output = row->output,
				.error = refined ? SPAN("") : message,
				.feedback = refined ? message : SPAN("")});
		if (r < 0)
			return err_trace(r);
	}
	return 0;
}

/* One that cannot be taken up is failed, with the reason: it must not stay unfinished for ever. */
static AWAITS int give_up(struct executions *x, const struct store_execution *row, int why)
{
	struct flow *f = calloc(1, sizeof(*f));
	char text[ERR_MESSAGE_BYTES + 64];
	struct record rec;

	if (!f)
		return err_raise(-ENOMEM, "executions: out of memory");
	f->x = x;
	f->refs = 1;
	f->id = row->id;
	f->agent_id = row->agent_id;
	f->tenant = row->tenant_id;

	snprintf(text, sizeof(text), "it cannot be taken up again: %s", err_message(why));
	err_log(why, "take up an execution");
	int bad = flow_end_sandboxes(f, 0);
	if (bad < 0) /* nobody's then, and those are looked for next */
		err_log(bad, "end the sandboxes of an execution that cannot be taken up");
	int r = record_begin(f, &rec);
	if (r == 0) {
		record_event(&rec, EVENT_EXECUTION_FAILED, row->current_iteration);
		json_field_cstr(&rec.w, "reason", text);
		json_field_cstr(&rec.w, "kind", "internal");
		json_field_i64(&rec.w, "total_iterations", row->current_iteration);
		r = record_event_end(&rec);
	}
	rec.execution.status = "failed";
	rec.execution.error_message = span_cstr(text);
	if (r == 0) {
		record_change(&rec, STORE_EXECUTION_UPDATE);
		r = record_publish(&rec);
	}
	record_fini(&rec);
	flow_unref(f);
	return err_trace(r);
}

static AWAITS int take_up(struct executions *x, const struct store_execution *row)
{
	struct flow *f;
	int r = flow_load(x, row, &f);

	if (r == 0) {
		r = load_attempts(f);
		if (r < 0)
			flow_unref(f);
	}
	if (r == -EINVAL || r == -EUCLEAN || r == -E2BIG)
		return err_trace(give_up(x, row, r));
	if (r == 0)
		r = map_put(&x->by_id, span_of(f->id.bytes, sizeof(f->id.bytes)), f);
	if (r < 0)
		return err_trace(r);
	x->queued++;
	list_push_back(&x->queue, &f->link);
	return 0;
}

static AWAITS int take_up_all(struct executions *x)
{
	struct store_execution_query q = {.unfinished = true, .oldest_first = true};
	struct store_executions page;
	int r = 0;

	/* Rows do not move while this runs, but for those that are given up and leave the list. */
	do {
		struct arena *a CLEANUP(arena_cleanup) = arena_new(LIMIT_ITERATION_ARENA_BYTES);
		if (!a)
			return err_raise(-ENOMEM, "executions: out of memory");
		size_t before = x->queued;
		r = store_execution_list(x->deps.store, &q, a, &page, DEADLINE_NONE);
		for (size_t i = 0; r == 0 && i < page.count; i++)
			r = take_up(x, &page.items[i]);
		q.page.offset += (uint32_t)(x->queued - before);
	} while (r == 0 && page.count > 0);
	return err_trace(r);
}

/* A sandbox whose execution is over, or was never recorded, is nobody's. */
static AWAITS int end_orphans(struct executions *x)
{
	struct sandbox_entry *entries = NULL;
	size_t count = 0;
	int64_t until = deadline_in_ms(SANDBOX_DEADLINE_MS);
	int r = sandbox_list(x->deps.sandboxes, &entries, &count, until);

	for (size_t i = 0; r == 0 && i < count; i++) {
		struct uuid id = entries[i].execution;
		if (map_get(&x->by_id, span_of(id.bytes, sizeof(id.bytes))))
			continue;
		r = end_entry(x->deps.sandboxes, &entries[i], until);
	}
	free(entries);
	return err_trace(r);
}

static AWAITS int lives(void *ctx, struct uuid execution, bool *ret)
{
	bool over;
	int r = flow_is_over(ctx, execution, &over);

	if (r == 0)
		*ret = !over;
	return err_trace(r);
}

void executions_policy_sets(struct executions *x,
	void (*fn)(void *ctx, struct uuid id, const struct rule_set *rules), void *ctx)
{
	map_for_each (slot, &x->by_id) {
		const struct flow *f = slot->value;
		fn(ctx, f->id, f->rules);
	}
}

/* ---- life ---- */

static void executions_free(struct executions *x)
{
	drop_queue(x);
	map_fini(&x->by_id);
	free(x);
}

int executions_start(struct group *g, const struct execution_deps *deps, struct executions **ret)
{
	struct executions *x = calloc(1, sizeof(*x));

	if (!x || sodium_init() < 0) {
		free(x);
		return err_raise(-ENOMEM, "executions: out of memory");
	}
	x->deps = *deps;
	list_init(&x->queue);
	list_init(&x->active);
	map_init(&x->by_id, SIZE_MAX / 2);
	group_init(&x->flows);
	waitq_init(&x->wake);
	waitq_init(&x->stopped_wake);
	int r = http_server_start(
		&(struct http_server_options){.handler = gateway_handle,
			.ctx = x,
			.max_connections = (int)(MIN(deps->limits.running_max, (size_t)4096) *
				LIMIT_SANDBOX_CONNECTIONS)},
		&x->server);
	if (r == 0)
		r = take_up_all(x);
	if (r == 0)
		r = end_orphans(x);
	if (r == 0 && deps->volumes)
		r = volumes_settle(deps->volumes, lives, x, DEADLINE_NONE);
	if (r == 0)
		r = group_spawn(g, "executions", FIBER_LARGE, service, x);
	if (r < 0) {
		http_server_stop(x->server, rt_now_ns());
		executions_free(x);
		return err_trace(r);
	}
	*ret = x;
	return 0;
}

void executions_stop(struct executions *x)
{
	if (!x)
		return;
	fiber_shield_begin();
	x->stopping = true;
	waitq_wake_all(&x->wake);
	while (!x->stopped)
		if (waitq_wait(&x->stopped_wake, DEADLINE_NONE) < 0)
			UNREACHABLE();
	fiber_shield_end();
	executions_free(x);
}
