/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The end of an iteration, in this order: the sandbox has ended and that is recorded; the workspace
 * is kept as it is; the validators speak; one commit says what came of it and, if it was the last,
 * of the execution.
 */
#include "daemon/execution/internal.h"
#include <stdio.h>

static const char *const end_words[] = {[SANDBOX_END_EXITED] = "exited",
	[SANDBOX_END_KILLED] = "killed",
	[SANDBOX_END_UNKNOWN] = "unknown"};

static AWAITS int terminated_record(struct iteration *it)
{
	struct record rec;
	char id[24];
	int r = record_begin(it->f, &rec);

	if (r == 0 && span_trim(buf_view(&it->log)).n) {
		record_event(&rec, EVENT_CONSOLE_OUTPUT, it->number);
		json_field_cstr(&rec.w, "stream", "stderr");
		json_field_span(&rec.w, "content", buf_view(&it->log));
		r = record_event_end(&rec);
	}
	if (r == 0) {
		record_event(&rec, EVENT_INSTANCE_TERMINATED, it->number);
		snprintf(id, sizeof(id), "%llu",
			it->f->sandbox ? (unsigned long long)it->f->sandbox->id : 0ULL);
		json_field_cstr(&rec.w, "instance_id", id);
		json_field_i64(&rec.w, "how", it->ending.how);
		json_field_cstr(&rec.w, "how_text", end_words[it->ending.how]);
		json_field_i64(&rec.w, "status", it->ending.status);
		json_field_i64(&rec.w, "cpu_us", (int64_t)it->ending.usage.cpu_us);
		json_field_i64(
			&rec.w, "memory_peak_bytes", (int64_t)it->ending.usage.memory_peak_bytes);
		json_field_i64(&rec.w, "oom_kills", (int64_t)it->ending.usage.oom_kills);
		r = record_event_end(&rec);
	}
	if (r == 0)
		r = record_publish(&rec);
	record_fini(&rec);
	return err_trace(r);
}

int iteration_close(struct iteration *it)
{
	struct flow *f = it->f;
	int r = 0;

	if (!it->ended && f->sandbox) {
		int64_t grace_ns = f->x->deps.limits.cancel_grace_ns;
		r = sandbox_end(f->sandbox, grace_ns, &it->ending,
			rt_now_ns() + grace_ns + SANDBOX_DEADLINE_MS * NS_PER_MS);
		if (r < 0)
			return err_trace(r);
		it->ended = true;
	}
	if (it->ended && !it->ending_recorded)
		r = terminated_record(it);
	if (r == 0 && f->sandbox)
		r = sandbox_release(f->sandbox, deadline_in_ms(SANDBOX_DEADLINE_MS));
	if (r == 0)
		f->sandbox = NULL;
	if (r < 0)
		return err_trace(r);
	files_snapshot(it);
	return 0;
}

/* ---- what was it? ---- */

static void died(struct iteration *it)
{
	struct span log = span_trim(buf_view(&it->log));
	char text[1024];
	const char *memory = it->ending.usage.oom_kills ? ", out of memory" : "";

	log = span_sub(log, log.n > 600 ? log.n - 600 : 0, log.n);
	if (it->ending.how == SANDBOX_END_UNKNOWN) {
		iteration_fail(it, "interrupted", false,
			SPAN("the sandbox ended while the daemon was away"));
		return;
	}
	snprintf(text, sizeof(text), "the agent ended without an answer (%s %d%s)%s%.*s",
		it->ending.how == SANDBOX_END_EXITED ? "exit status" : "signal", it->ending.status,
		memory, log.n ? ": " : "", (int)log.n, log.p ? log.p : "");
	iteration_fail(it, "agent", false, span_cstr(text));
}

/* What the validators look at; an iteration without an answer has failed. */
static struct evidence gather(struct iteration *it)
{
	struct evidence e = {0};

	if (it->program_reported) {
		e = (struct evidence){it->exit_code, it->output, it->errors};
	} else if (it->answered && !it->own_program) {
		e.output = it->answer;
		e.exit_code = it->ending.how == SANDBOX_END_EXITED ? it->ending.status : 0;
	} else if (!it->failure.kind) {
		died(it);
	}
	e.output = span_sub(e.output, 0, LIMIT_EXECUTION_OUTPUT_BYTES);
	return e;
}

/* ---- recording it ---- */

struct conclusion {
	struct iteration *it;
	struct record rec;
	struct evidence evidence;
	struct validation validation;
	struct span results; /* JSON of the validation */
	struct span feedback;
	bool last;
};

static int performed_event(struct conclusion *k)
{
	struct record *rec = &k->rec;

	record_event(rec, EVENT_VALIDATION_PERFORMED, k->it->number);
	json_key(&rec->w, "score");
	json_put_double(&rec->w, k->validation.score);
	json_key(&rec->w, "confidence");
	json_put_double(&rec->w, 1.0);
	json_key(&rec->w, "results");
	json_put_raw(&rec->w, k->results);
	return err_trace(record_event_end(rec));
}

static int results_make(struct conclusion *k)
{
	struct buf b CLEANUP(buf_fini) = buf_init(LIMIT_STORE_TEXT_BYTES / 2);
	struct json_writer w = json_writer(&b);

	validation_put(&w, &k->validation);
	int r = buf_error(&b);
	if (r < 0)
		return err_trace(r);
	k->results = arena_span(k->it->arena, buf_view(&b));
	return k->results.p ? 0 : err_raise(-ENOMEM, "validation: out of memory");
}

static int success_events(struct conclusion *k)
{
	struct record *rec = &k->rec;
	int r = performed_event(k);

	if (r < 0)
		return err_trace(r);
	record_event(rec, EVENT_ITERATION_COMPLETED, k->it->number);
	json_field_span(&rec->w, "output", k->evidence.output);
	json_field_i64(&rec->w, "exit_code", k->evidence.exit_code);
	r = record_event_end(rec);
	rec->iteration.status = "success";
	rec->iteration.output = k->evidence.output;
	rec->iteration.validation_results = k->results;
	record_change(rec, STORE_ITERATION_UPDATE);
	if (r < 0)
		return err_trace(r);
	record_event(rec, EVENT_EXECUTION_COMPLETED, k->it->number);
	json_field_span(&rec->w, "final_output", k->evidence.output);
	json_field_i64(&rec->w, "total_iterations", k->it->number);
	r = record_event_end(rec);
	rec->execution.status = "completed";
	rec->execution.final_output = k->evidence.output;
	record_change(rec, STORE_EXECUTION_UPDATE);
	return err_trace(r);
}

static int error_put(struct conclusion *k)
{
	struct buf b CLEANUP(buf_fini) = buf_init(LIMIT_EXECUTION_TEXT_BYTES * 8);
	struct json_writer w = json_writer(&b);

	json_object(&w);
	json_field_cstr(&w, "kind", k->it->failure.kind);
	json_field_span(&w, "message", k->it->failure.message);
	json_end(&w);
	int r = buf_error(&b);
	if (r < 0)
		return err_trace(r);
	k->rec.iteration.error = arena_span(k->rec.arena, buf_view(&b));
	return k->rec.iteration.error.p ? 0 : err_raise(-ENOMEM, "record: out of memory");
}

static int refinement_event(struct conclusion *k)
{
	struct record *rec = &k->rec;

	record_event(rec, EVENT_REFINEMENT_APPLIED, k->it->number);
	json_key(&rec->w, "code_diff");
	json_object(&rec->w);
	json_field_cstr(&rec->w, "file_path", "");
	json_field_cstr(&rec->w, "diff", "");
	json_end(&rec->w);
	json_field_span(&rec->w, "feedback", k->feedback);
	return err_trace(record_event_end(rec));
}

static int give_up_event(struct conclusion *k)
{
	struct record *rec = &k->rec;

	record_event(rec, EVENT_EXECUTION_FAILED, k->it->number);
	json_field_span(&rec->w, "reason", k->it->failure.message);
	json_field_cstr(&rec->w, "kind", k->it->failure.kind);
	json_field_i64(&rec->w, "total_iterations", k->it->number);
	int r = record_event_end(rec);
	rec->execution.status = "failed";
	rec->execution.error_message = k->it->failure.message;
	record_change(rec, STORE_EXECUTION_UPDATE);
	return err_trace(r);
}

static int failure_events(struct conclusion *k)
{
	struct record *rec = &k->rec;
	bool refining = k->feedback.n && !k->last;
	int r = k->results.n ? performed_event(k) : 0;

	if (r == 0)
		r = error_put(k);
	if (r < 0)
		return err_trace(r);
	record_event(rec, EVENT_ITERATION_FAILED, k->it->number);
	json_key(&rec->w, "error");
	json_put_raw(&rec->w, rec->iteration.error);
	if (k->evidence.output.n)
		json_field_span(&rec->w, "output", k->evidence.output);
	r = record_event_end(rec);
	rec->iteration.status = refining ? "refining" : "failed";
	rec->iteration.output = k->evidence.output;
	rec->iteration.validation_results = k->results;
	record_change(rec, STORE_ITERATION_UPDATE);
	if (r == 0 && refining)
		r = refinement_event(k);
	if (r == 0 && k->last)
		r = give_up_event(k);
	return err_trace(r);
}

static int judge(struct conclusion *k)
{
	struct iteration *it = k->it;

	k->evidence = gather(it);
	if (it->failure.kind)
		return 0;
	int r = validate(it->f->manifest, &k->evidence, it->arena, &k->validation);
	if (r == 0)
		r = results_make(k);
	if (r == 0 && !k->validation.passed)
		r = validation_feedback(&k->validation, it->number, it->arena, &k->feedback);
	if (r == 0 && k->feedback.n)
		iteration_fail(it, "validation", false, k->feedback);
	return err_trace(r);
}

static int remember(struct conclusion *k)
{
	struct iteration *it = k->it;

	return err_trace(flow_add_attempt(it->f,
		&(struct attempt){.number = it->number,
			.output = k->evidence.output,
			.error = k->feedback.n ? SPAN("") : it->failure.message,
			.feedback = k->feedback}));
}

int iteration_conclude(struct iteration *it)
{
	struct conclusion k = {.it = it};
	int64_t max = it->f->manifest->spec.execution.max_iterations;
	int r = judge(&k);

	if (r < 0)
		return err_trace(r);
	k.last = it->failure.fatal || it->number >= max;
	r = record_begin(it->f, &k.rec);
	k.rec.iteration.number = it->number;
	if (r == 0)
		r = it->failure.kind ? failure_events(&k) : success_events(&k);
	if (r == 0)
		r = record_publish(&k.rec);
	record_fini(&k.rec);
	if (r == 0 && it->failure.kind && !k.last)
		return err_trace(remember(&k));
	return r < 0 ? err_trace(r) : ITERATION_WAS_LAST;
}
