/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * One iteration: begun in the store, opened, watched until its agent has answered and its sandbox
 * has ended, closed, and concluded in the store. What it is made of in memory lives and dies here;
 * the sandbox itself belongs to the flow.
 */
#include "daemon/execution/internal.h"
#include <stdio.h>
#include <poll.h>
#include <stdlib.h>

void iteration_fail(struct iteration *it, const char *kind, bool fatal, struct span message)
{
	struct span copy = arena_span(it->arena, span_sub(message, 0, LIMIT_EXECUTION_TEXT_BYTES));

	if (it->failure.kind) /* the first cause is the cause */
		return;
	it->failure = (struct failure){kind, copy.p ? copy : span_cstr(kind), fatal};
	waitq_wake_all(&it->changed);
}

/* ---- beginning ---- */

static int iteration_new(struct flow *f, struct iteration **ret)
{
	struct iteration *it = calloc(1, sizeof(*it));

	if (!it)
		return err_raise(-ENOMEM, "iteration: out of memory");
	it->f = f;
	it->arena = arena_new(LIMIT_ITERATION_ARENA_BYTES);
	it->own_program = f->manifest->spec.advanced && f->manifest->spec.advanced->bootstrap_path;
	it->log = buf_init(2 * (size_t)LIMIT_SANDBOX_LOG_BYTES);
	group_init(&it->group);
	waitq_init(&it->changed);
	waitq_init(&it->command_wake);
	list_init(&it->done_dispatches);
	talk_init(&it->talk);
	*ret = it;
	return it->arena ? 0 : err_raise(-ENOMEM, "iteration: out of memory");
}

static AWAITS void iteration_free(struct iteration *it)
{
	if (!it->f->sandbox)
		flow_files_close(it->f);
	talk_fini(&it->talk);
	buf_fini(&it->log);
	arena_free(it->arena);
	free(it);
}

static AWAITS int begin_record(struct iteration *it)
{
	struct flow *f = it->f;
	struct record rec;
	int r = record_begin(f, &rec);

	if (r == 0) {
		struct store_event *e = record_event(&rec, EVENT_ITERATION_STARTED, it->number);
		e->wall_ns = rt_wall_ns();
		json_field_cstr(&rec.w, "action", it->number == 1 ? "execute" : "refine");
		json_field_i64(
			&rec.w, "max_iterations", f->manifest->spec.execution.max_iterations);
		r = record_event_end(&rec);
	}
	if (r == 0) {
		rec.execution.status = "running";
		rec.execution.current_iteration = it->number;
		record_change(&rec, STORE_EXECUTION_UPDATE);
		rec.iteration.number = it->number;
		rec.iteration.status = "running";
		rec.iteration.action = it->number == 1 ? SPAN("execute") : SPAN("refine");
		record_change(&rec, STORE_ITERATION_CREATE);
		r = record_publish(&rec);
	}
	record_fini(&rec);
	if (r == 0)
		f->iteration = it->number;
	return err_trace(r);
}

/* Reads the events of the iteration that was under way. */
static AWAITS int read_events(struct iteration *it)
{
	struct store_event_query q = {.execution_id = it->f->id};
	struct store_events page = {0};
	int r = 0;

	do {
		r = store_event_list(it->f->x->deps.store, &q, it->arena, &page, DEADLINE_NONE);
		for (size_t i = 0; r == 0 && i < page.count; i++) {
			q.after_number = page.items[i].number;
			if (page.items[i].iteration == it->number)
				r = rebuild_event(it, &page.items[i]);
		}
	} while (r == 0 && page.count > 0);
	return err_trace(r);
}

static AWAITS int resume(struct iteration *it)
{
	struct store_iterations rows;
	int64_t left_ns = it->f->manifest->spec.execution.iteration_timeout_ns;
	int r = store_iteration_list(
		it->f->x->deps.store, it->f->id, it->arena, &rows, DEADLINE_NONE);

	if (r == 0)
		r = read_events(it);
	if (r < 0)
		return err_trace(r);
	for (size_t i = 0; i < rows.count; i++)
		if (rows.items[i].number == it->number)
			left_ns -= MAX(rt_wall_ns() - rows.items[i].started_ns, INT64_C(0));
	it->deadline_ns = rt_now_ns() + left_ns;
	if (it->conversation && !it->conversation->done)
		it->conversation->repeated = true;
	return 0;
}

static AWAITS int begin(struct iteration *it)
{
	struct flow *f = it->f;

	it->resumed = f->resumed;
	it->number = it->resumed ? f->iteration : f->iteration + 1;
	it->deadline_ns = rt_now_ns() + f->manifest->spec.execution.iteration_timeout_ns;
	f->resumed = false;
	return it->resumed ? err_trace(resume(it)) : err_trace(begin_record(it));
}

/* ---- watching ---- */

static void watch_sandbox(void *arg)
{
	struct iteration *it = arg;
	struct sandbox_ending ending;
	int r = sandbox_wait(it->f->sandbox, &ending, DEADLINE_NONE);

	if (r == 0) {
		it->ended = true;
		it->ending = ending;
		waitq_wake_all(&it->changed);
	} else if (r != -ECANCELED) {
		iteration_fail(it, "sandbox", false, span_cstr(err_message(r)));
	}
	err_clear();
}

static void read_log(void *arg)
{
	struct iteration *it = arg;
	int fd = it->f->sandbox->log;

	for (;;) {
		int r = rt_poll(fd, POLLIN, DEADLINE_NONE);
		if (r < 0)
			break;
		char *p = buf_reserve(&it->log, 4096);
		ssize_t n = p ? rt_read(fd, p, 4096, -1, DEADLINE_NONE) : -ENOMEM;
		if (n <= 0 && n != -EAGAIN)
			break;
		buf_commit(&it->log, n > 0 ? (size_t)n : 0);
		if (it->log.len > LIMIT_SANDBOX_LOG_BYTES)
			buf_consume(&it->log, it->log.len - LIMIT_SANDBOX_LOG_BYTES);
	}
	err_clear();
}

static int watch(struct iteration *it)
{
	int r = 0;

	if (!it->ended)
		r = group_spawn(&it->group, "sandbox-watch", FIBER_SMALL, watch_sandbox, it);
	if (r == 0 && !it->ended && it->f->sandbox->log >= 0)
		r = group_spawn(&it->group, "sandbox-log", FIBER_SMALL, read_log, it);
	if (r == 0 && it->conversation) {
		it->talk.restored = true;
		if (it->conversation->done)
			conversation_put_final(it->conversation);
		else if (!it->ended)
			r = conversation_spawn(it->conversation);
	}
	return err_trace(r);
}

/* When the answer has been fetched the agent gets a moment to end by itself. */
static int64_t patience(struct iteration *it)
{
	bool last_words = !it->own_program && it->answered && it->talk.delivered;

	if (!last_words && !it->program_reported) {
		it->last_words_ns = 0;
		return it->deadline_ns;
	}
	if (!it->last_words_ns)
		it->last_words_ns = rt_now_ns();
	return deadline_earlier(it->deadline_ns, it->last_words_ns + LAST_WORDS_MS * NS_PER_MS);
}

static AWAITS int wait_for_end(struct iteration *it)
{
	while (!it->ended && !it->failure.kind) {
		int r = waitq_wait(&it->changed, patience(it));
		if (r == -ETIME && rt_now_ns() < it->deadline_ns && it->last_words_ns)
			return 0;
		if (r < 0)
			return r;
	}
	/* An answer that says what failed should still reach the agent. */
	int64_t until = deadline_in_ms(1000);
	while (it->failure.kind && !it->ended && it->talk.status && !it->talk.delivered) {
		int r = waitq_wait(&it->changed, until);
		if (r == -ETIME)
			break;
		if (r < 0)
			return r;
	}
	return 0;
}

/* Nobody comes in any more, and nothing of it runs. */
static AWAITS void leave(struct iteration *it)
{
	fiber_shield_begin();
	if (!it->f->x->stopping) /* else the agent is to ask again, and gets no answer at all */
		talk_close(&it->talk, SPAN("the iteration has ended"));
	group_close(&it->group);
	if (it->listener)
		http_listener_stop(
			it->listener, it->f->x->stopping ? rt_now_ns() : deadline_in_ms(1000));
	it->listener = NULL;
	it->talk.closed = true;
	while (it->letters) {
		talk_close(&it->talk, SPAN("the iteration has ended"));
		if (waitq_wait(&it->changed, DEADLINE_NONE) < 0)
			UNREACHABLE();
	}
	it->f->now = NULL;
	fiber_shield_end();
}

static void explain(struct iteration *it, int r)
{
	char text[64];

	if (r == -ETIME && rt_now_ns() >= it->deadline_ns) {
		snprintf(text, sizeof(text), "the iteration took longer than %lld s",
			(long long)(it->f->manifest->spec.execution.iteration_timeout_ns /
				NS_PER_S));
		iteration_fail(it, "iteration_timeout", false, span_cstr(text));
	} else {
		iteration_fail(it, "sandbox", r == -ENOENT || r == -EOPNOTSUPP || r == -EINVAL,
			span_cstr(err_message(r)));
	}
	err_clear();
}

int iteration_run(struct flow *f)
{
	struct iteration *it = NULL;
	int r = flow_rules_renew(f);

	if (r == 0)
		r = iteration_new(f, &it);
	if (r == 0)
		r = begin(it);
	bool begun = r == 0;
	if (begun) {
		r = iteration_open(it);
		f->now = it;
		if (r == 0)
			r = watch(it);
		if (r == 0)
			r = wait_for_end(it);
		leave(it);
		if (r < 0 && r != -ECANCELED)
			explain(it, r);
	}
	if (begun && r != -ECANCELED) {
		r = iteration_close(it);
		if (r == 0)
			r = iteration_conclude(it);
	}
	if (it)
		iteration_free(it);
	return err_trace(r);
}
