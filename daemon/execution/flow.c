/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The outer loop. The main fiber waits for whichever comes first: the work is done, somebody
 * cancels, the whole takes too long, or the daemon stops. Only the last leaves the execution as it
 * is; the others end its sandboxes and record the end, and then it is over.
 */
#include "daemon/execution/internal.h"
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

enum { END_AGAIN_MS = 1000 };

struct flow *flow_ref(struct flow *f)
{
	f->refs++;
	return f;
}

struct flow *flow_unref(struct flow *f)
{
	if (!f || --f->refs)
		return NULL;
	sodium_memzero(f->signing_key, sizeof(f->signing_key));
	rate_state_free(f->rate);
	rule_set_unref(f->rules);
	policy_unref(f->policy);
	agent_manifest_unref(f->manifest);
	sandbox_forget(f->sandbox);
	arena_free(f->arena);
	free(f);
	return NULL;
}

struct flow *flow_find(struct executions *x, struct uuid id)
{
	struct flow *f = map_get(&x->by_id, span_of(id.bytes, sizeof(id.bytes)));

	return f ? flow_ref(f) : NULL;
}

/* ---- loading ---- */

static AWAITS int load_manifest(struct flow *f, const struct store_hash *hash)
{
	struct report *report = arena_make(f->arena, struct report);
	struct buf b CLEANUP(buf_fini) = buf_init(ERR_MESSAGE_BYTES + 64);
	struct span text;
	int r = store_blob_get(
		f->x->deps.store, hash, f->arena, &text, deadline_in_ms(PUBLISH_DEADLINE_MS));

	if (r > 0)
		return err_raise(-EINVAL, "the manifest that it runs under is not in the store");
	if (r == 0)
		r = report ? report_init(report, f->arena, "manifest") : -ENOMEM;
	if (r == 0)
		r = agent_manifest_parse(report, text, &f->manifest);
	if (r == AGENT_INVALID) {
		report_summary(report, &b);
		return err_raise(-EINVAL, "its manifest is not valid any more: " SPAN_FMT,
			SPAN_ARG(buf_view(&b)));
	}
	return err_trace(r);
}

static int parse_json(struct flow *f, struct span text, const struct json **ret)
{
	if (text.n == 0)
		return 0;
	/* Decoded strings are copies, but a row's text may go: nothing points into it. */
	return err_trace(json_parse(f->arena, text, NULL, ret));
}

static void make_keys(struct flow *f)
{
	uint8_t seed[crypto_sign_SEEDBYTES];

	rt_random(seed, sizeof(seed));
	crypto_sign_seed_keypair(f->public_key, f->signing_key, seed);
	sodium_memzero(seed, sizeof(seed));
	sodium_bin2base64(f->public_key_text, sizeof(f->public_key_text), f->public_key,
		sizeof(f->public_key), sodium_base64_VARIANT_ORIGINAL);
}

/* Time that has passed while nobody counted counts. */
static void make_deadline(struct flow *f, const struct store_execution *row)
{
	f->timeout_ns = f->manifest->spec.security.resources.timeout_ns;
	if (f->timeout_ns <= 0)
		f->timeout_ns = f->x->deps.limits.timeout_ns;
	f->deadline_ns = DEADLINE_NONE;
	if (row->started_ns)
		f->deadline_ns = rt_now_ns() + f->timeout_ns -
			MAX(rt_wall_ns() - row->started_ns, INT64_C(0));
}

int flow_load(struct executions *x, const struct store_execution *row, struct flow **ret)
{
	struct flow *f = calloc(1, sizeof(*f));
	const struct json *resume = NULL;

	if (!f)
		return err_raise(-ENOMEM, "execution: out of memory");
	f->x = x;
	f->refs = 1;
	f->id = row->id;
	f->agent_id = row->agent_id;
	uuid_text(f->id, f->id_text);
	uuid_text(f->agent_id, f->agent_text);
	list_init(&f->link);
	group_init(&f->work);
	waitq_init(&f->changed);
	waitq_init(&f->ended);
	waitq_init(&f->renewed);
	f->state = state_parse(&execution_states, row->status);
	f->iteration = row->current_iteration;
	f->arena = arena_new(LIMIT_EXECUTION_ARENA_BYTES);
	int r = f->arena ? 0 : err_raise(-ENOMEM, "execution: out of memory");
	if (r == 0)
		f->tenant = arena_span(f->arena, row->tenant_id);
	if (r == 0)
		r = load_manifest(f, &row->manifest_hash);
	if (r == 0)
		r = parse_json(f, row->input, &f->input);
	if (r == 0)
		r = parse_json(f, row->resume, &resume);
	if (r == 0)
		r = flow_rules_make(f, json_str(resume, "policy_set", SPAN("")));
	if (r < 0) {
		flow_unref(f);
		return err_trace(r);
	}
	f->intent = json_str(resume, "intent", SPAN(""));
	f->overrides = json_get(resume, "context_overrides");
	make_keys(f);
	make_deadline(f, row);
	*ret = f;
	return 0;
}

int flow_add_attempt(struct flow *f, const struct attempt *a)
{
	if (!f->attempts)
		f->attempts = arena_make_array(f->arena, struct attempt,
			(size_t)f->manifest->spec.execution.max_iterations + 1);
	if (!f->attempts || f->attempt_count > (size_t)f->manifest->spec.execution.max_iterations)
		return err_raise(-ENOMEM, "execution: out of memory");
	struct attempt *copy = &f->attempts[f->attempt_count];
	size_t max = LIMIT_EXECUTION_HISTORY_BYTES / 4;
	*copy = (struct attempt){.number = a->number,
		.output = arena_span(f->arena, span_sub(a->output, 0, max)),
		.error = arena_span(f->arena, span_sub(a->error, 0, max)),
		.feedback = arena_span(f->arena, span_sub(a->feedback, 0, max))};
	if (!copy->output.p || !copy->error.p || !copy->feedback.p)
		return err_raise(-ENOMEM, "execution: out of memory");
	f->attempt_count++;
	return 0;
}

/* ---- the work ---- */

void flow_work(void *arg)
{
	struct flow *f = arg;
	int r = 0;

	while (r == 0)
		r = iteration_run(f);
	f->work_result = r;
	if (r < 0 && r != -ECANCELED) {
		snprintf(f->end_reason, sizeof(f->end_reason), "%s", err_message(r));
		err_log(r, "execution");
	}
	err_clear();
	f->work_done = true;
	waitq_wake_all(&f->changed);
}

/* ---- ends that are not the work's own ---- */

int end_entry(struct sandbox_driver *d, const struct sandbox_entry *e, int64_t deadline_ns)
{
	struct sandbox_ending ending;
	struct sandbox *s;
	int r = sandbox_adopt(d, e, &s, deadline_ns);

	if (r < 0)
		return err_trace(r);
	r = sandbox_end(s, -1, &ending, deadline_ns); /* nobody serves its files */
	if (r == 0)
		r = sandbox_release(s, deadline_ns);
	if (r < 0)
		sandbox_forget(s);
	return err_trace(r);
}

int flow_end_sandboxes(struct flow *f, int64_t grace_ns)
{
	struct sandbox_driver *d = f->x->deps.sandboxes;
	struct sandbox_entry *entries = NULL;
	struct sandbox_ending ending;
	size_t count = 0;
	int64_t until = rt_now_ns() + MAX(grace_ns, INT64_C(0)) + SANDBOX_DEADLINE_MS * NS_PER_MS;
	int r = 0;

	if (f->sandbox) {
		r = sandbox_end(f->sandbox, grace_ns, &ending, until);
		if (r == 0)
			r = sandbox_release(f->sandbox, until);
		if (r == 0) {
			f->sandbox = NULL;
			flow_files_close(f);
		}
	}
	/* One whose start was interrupted is known to the driver only. */
	if (r == 0)
		r = sandbox_list(d, &entries, &count, until);
	for (size_t i = 0; r == 0 && i < count; i++) {
		if (!uuid_eq(entries[i].execution, f->id))
			continue;
		r = end_entry(d, &entries[i], until);
	}
	free(entries);
	return err_trace(r);
}

/* What is on record as ended must not run, and must not have its volume any more: so the helper is
 * told until it has heard. Negative only if the daemon stops; then the next start takes it up. */
static AWAITS int end_sandboxes(struct flow *f, int64_t grace_ns)
{
	int r = flow_end_sandboxes(f, grace_ns);

	while (r < 0 && !fiber_cancelled()) {
		err_log(r, "end the sandboxes of an execution; trying again");
		err_clear();
		r = rt_sleep_until(deadline_in_ms(END_AGAIN_MS));
		if (r == 0)
			r = flow_end_sandboxes(f, -1);
	}
	return r;
}

enum end_kind { END_CANCELLED, END_TIMED_OUT, END_BROKEN };

static void explain(struct flow *f, enum end_kind kind)
{
	if (kind == END_TIMED_OUT)
		snprintf(f->end_reason, sizeof(f->end_reason),
			"the execution took longer than %lld s",
			(long long)(f->timeout_ns / NS_PER_S));
}

static int iteration_event(struct record *rec, enum end_kind kind, const char *reason)
{
	static const char *const kinds[] = {[END_CANCELLED] = "cancelled",
		[END_TIMED_OUT] = "execution_timeout",
		[END_BROKEN] = "internal"};
	struct buf b CLEANUP(buf_fini) = buf_init(LIMIT_EXECUTION_TEXT_BYTES * 8);
	struct json_writer w = json_writer(&b);

	json_object(&w);
	json_field_cstr(&w, "kind", kinds[kind]);
	json_field_cstr(&w, "message", reason);
	json_end(&w);
	rec->iteration.error = arena_span(rec->arena, buf_view(&b));
	if (!rec->iteration.error.p)
		return err_raise(-ENOMEM, "record: out of memory");
	record_event(rec, EVENT_ITERATION_FAILED, rec->iteration.number);
	json_key(&rec->w, "error");
	json_put_raw(&rec->w, rec->iteration.error);
	int r = record_event_end(rec);
	record_change(rec, STORE_ITERATION_UPDATE);
	return err_trace(r);
}

static int execution_event(struct record *rec, enum end_kind kind, const char *reason)
{
	struct flow *f = rec->f;

	if (kind == END_CANCELLED) {
		record_event(rec, EVENT_EXECUTION_CANCELLED, f->iteration);
		json_field_cstr(&rec->w, "reason", reason);
	} else if (kind == END_TIMED_OUT) {
		record_event(rec, EVENT_EXECUTION_TIMED_OUT, f->iteration);
		json_field_i64(&rec->w, "timeout_seconds", f->timeout_ns / NS_PER_S);
		json_field_i64(&rec->w, "total_iterations", f->iteration);
	} else {
		record_event(rec, EVENT_EXECUTION_FAILED, f->iteration);
		json_field_cstr(&rec->w, "reason", reason);
		json_field_cstr(&rec->w, "kind", "internal");
		json_field_i64(&rec->w, "total_iterations", f->iteration);
	}
	int r = record_event_end(rec);
	rec->execution.status = kind == END_CANCELLED ? "cancelled" : "failed";
	rec->execution.error_message = span_cstr(reason);
	record_change(rec, STORE_EXECUTION_UPDATE);
	return err_trace(r);
}

/* Whether the newest iteration is still open in the store. */
static AWAITS int iteration_is_open(struct flow *f, struct arena *a, bool *ret)
{
	struct store_iterations rows;
	int r = store_iteration_list(f->x->deps.store, f->id, a, &rows, DEADLINE_NONE);

	if (r < 0)
		return err_trace(r);
	*ret = rows.count && rows.items[rows.count - 1].number == f->iteration &&
		strcmp(rows.items[rows.count - 1].status, "running") == 0;
	return 0;
}

static AWAITS int end_record(struct flow *f, enum end_kind kind)
{
	struct record rec;
	bool open = false;
	int r = record_begin(f, &rec);

	explain(f, kind);
	if (r == 0)
		r = iteration_is_open(f, rec.arena, &open);
	rec.iteration.number = f->iteration;
	rec.iteration.status = "failed";
	if (r == 0 && open)
		r = iteration_event(&rec, kind, f->end_reason);
	if (r == 0)
		r = execution_event(&rec, kind, f->end_reason);
	if (r == 0)
		r = record_publish(&rec);
	record_fini(&rec);
	return err_trace(r);
}

static AWAITS void end_early(struct flow *f, enum end_kind kind)
{
	bool at_once = kind == END_CANCELLED && f->cancel_force;

	group_close(&f->work);
	int r = end_sandboxes(f, at_once ? 0 : f->x->deps.limits.cancel_grace_ns);
	if (r < 0) {
		err_clear();
		return;
	}
	fiber_shield_begin();
	r = end_record(f, kind);
	fiber_shield_end();
	/* It stays unfinished in the store, and the next start takes it up. */
	if (r < 0)
		err_log(r, "record the end of an execution");
	else
		f->finished = true;
}

/* ---- the main fiber ---- */

static AWAITS void flow_run(struct flow *f)
{
	if (f->cancel_asked) {
		end_early(f, END_CANCELLED);
		return;
	}
	int r = group_spawn(&f->work, "execution-work", FIBER_LARGE, flow_work, f);

	if (r < 0) {
		snprintf(f->end_reason, sizeof(f->end_reason), "%s", err_message(r));
		err_clear();
		end_early(f, END_BROKEN);
		return;
	}
	if (f->deadline_ns == DEADLINE_NONE)
		f->deadline_ns = rt_now_ns() + f->timeout_ns;
	while (r == 0 && !f->work_done && !f->cancel_asked)
		r = waitq_wait(&f->changed, f->deadline_ns);
	if (r == -ECANCELED) {
		group_close(&f->work); /* parked: everything stays as it is */
	} else if (f->work_done && f->work_result == ITERATION_WAS_LAST) {
		group_close(&f->work);
		f->finished = true;
	} else if (f->work_done) {
		end_early(f, END_BROKEN);
	} else {
		end_early(f, f->cancel_asked ? END_CANCELLED : END_TIMED_OUT);
	}
}

void flow_main(void *arg)
{
	struct flow *f = arg;
	struct executions *x = f->x;

	memcpy(log_context()->execution_id, f->id_text, sizeof(f->id_text));
	flow_run(f);
	if (f->finished && x->deps.smcp)
		smcp_execution_ended(x->deps.smcp, f->id);
	flow_files_close(f); /* before the sandbox is forgotten: it may go on */
	if (f->finished)
		flow_volumes_detach(f);
	f->sandbox = sandbox_forget(f->sandbox);
	list_remove(&f->link);
	map_remove(&x->by_id, span_of(f->id.bytes, sizeof(f->id.bytes)));
	x->running--;
	f->running = false;
	waitq_wake_all(&f->ended);
	waitq_wake_all(&x->wake);
	flow_unref(f);
}
