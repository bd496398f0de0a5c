/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * cmd.run's way into the sandbox and back: the call gets its own cgroup [6], the dispatch is
 * recorded, then it answers the message that waits, and the next message brings the result. The
 * call's id is the dispatch's id, so that after a restart the same dispatch goes out again and
 * aegis-bootstrap, which knows the id, does not run it twice.
 */
#include "daemon/execution/internal.h"
#include <stdio.h>

static AWAITS int started_record(struct iteration *it, struct uuid id, const char *id_text,
	const struct tool_dispatch *d, uint64_t identity)
{
	struct record rec;
	int r = record_begin(it->f, &rec);

	if (r == 0) {
		struct store_event *e = record_event(&rec, EVENT_COMMAND_STARTED, it->number);
		char cgroup[24];
		e->call_id = id;
		snprintf(cgroup, sizeof(cgroup), "%llu", (unsigned long long)identity);
		json_field_cstr(&rec.w, "dispatch_id", id_text);
		json_field_span(&rec.w, "command", d->command);
		json_key(&rec.w, "args");
		json_array(&rec.w);
		for (size_t i = 1; i < d->argc; i++)
			json_put_span(&rec.w, d->argv[i]);
		json_end(&rec.w);
		json_field_span(&rec.w, "cwd", d->cwd);
		json_field_i64(&rec.w, "timeout_secs", (d->timeout_ms + 999) / 1000);
		json_field_cstr(&rec.w, "cgroup_id", cgroup);
		r = record_event_end(&rec);
	}
	if (r == 0)
		r = record_publish(&rec);
	record_fini(&rec);
	return err_trace(r);
}

/* Before it is dispatched. It ends in the kernel when nobody would wait for the result any more. */
static AWAITS int lease_open(struct iteration *it, const struct tool_dispatch *d, struct arena *a,
	uint64_t identity, bool again)
{
	it->command.program = arena_span(a, d->argv[0]);
	if (d->argv[0].n > 0 && !it->command.program.p)
		return err_raise(-ENOMEM, "cmd.run: request memory used up");
	it->command.lease_ends_ns = deadline_earlier(
		it->deadline_ns, deadline_in_ms(d->timeout_ms + DISPATCH_SLACK_MS));
	it->command.again = again;
	it->command.identity = identity;
	return err_trace(iteration_lease(it));
}

static void dispatch_put(
	struct iteration *it, const char *id_text, const struct tool_dispatch *d, struct buf *b)
{
	struct json_writer w = json_writer(b);

	json_object(&w);
	json_field_cstr(&w, "type", "dispatch");
	json_field_cstr(&w, "dispatch_id", id_text);
	json_field_cstr(&w, "action", "exec");
	json_field_span(&w, "command", d->command);
	json_key(&w, "args");
	json_array(&w);
	for (size_t i = 1; i < d->argc; i++)
		json_put_span(&w, d->argv[i]);
	json_end(&w);
	json_field_span(&w, "cwd", d->cwd);
	json_key(&w, "env_additions");
	json_object(&w);
	json_end(&w);
	json_field_i64(&w, "timeout_secs", (d->timeout_ms + 999) / 1000);
	json_field_i64(&w, "max_output_bytes", (int64_t)d->max_output_bytes);
	if (it->f->manifest->spec.execution.background)
		json_field_bool(&w, "background", true);
	json_end(&w);
}

/* The tail says how it ended; the model is told that something stood before it. */
static struct span tail_of(struct arena *a, struct span s, size_t max)
{
	if (s.n <= max)
		return s;
	size_t cut = s.n - max;
	while (cut < s.n && ((unsigned char)s.p[cut] & 0xc0) == 0x80)
		cut++;
	struct buf b CLEANUP(buf_fini) = buf_init(max + 64);
	buf_printf(&b, "[the first %zu bytes are left out]\n", cut);
	buf_span(&b, span_sub(s, cut, s.n));
	struct span copy = arena_span(a, buf_view(&b));
	return copy.p ? copy : span_sub(s, cut, s.n);
}

static AWAITS int wait_for_result(struct iteration *it, const struct tool_dispatch *d)
{
	int64_t until = deadline_earlier(
		it->deadline_ns, deadline_in_ms(d->timeout_ms + DISPATCH_SLACK_MS));

	while (!it->command.arrived) {
		int r = waitq_wait(&it->command_wake, until);
		if (r == -ETIME && rt_now_ns() < it->deadline_ns)
			return 0;
		if (r < 0)
			return r;
	}
	return 0;
}

static AWAITS int call_close(struct iteration *it, struct uuid id, bool keep_rest)
{
	struct sandbox_usage usage;
	int r = sandbox_call_close(
		it->f->sandbox, id, keep_rest, &usage, deadline_in_ms(SANDBOX_DEADLINE_MS));
	return r < 0 && r != -ESRCH ? err_trace(r) : 0;
}

int command_abandon(struct iteration *it)
{
	it->command.abandoned = !it->command.arrived;
	return it->f->sandbox ? err_trace(call_close(it, it->command.id, false)) : 0;
}

/* The call, which has its cgroup, has its rights, and is on record. */
static AWAITS int call_begin(struct iteration *it, struct uuid id, const char *id_text,
	const struct tool_dispatch *d, uint64_t identity, struct arena *a)
{
	bool again = it->command.active;

	it->command.id = id;
	int r = lease_open(it, d, a, identity, again);
	if (r == 0 && !again)
		r = started_record(it, id, id_text, d, identity);
	if (r == 0)
		it->command.active = true;
	return err_trace(r);
}

/* Sends it into the sandbox, until its result is there. */
static AWAITS int call_run(struct iteration *it, const char *id_text, const struct tool_dispatch *d)
{
	struct buf b CLEANUP(buf_fini) = buf_init(2 * LIMIT_COMMAND_BYTES * 6);

	dispatch_put(it, id_text, d, &b);
	int r = buf_error(&b);
	/* Until its result, what comes through a mount is this call's work. */
	if (r == 0)
		r = flow_files_set_origin(it->f, it->number, span_cstr(id_text));
	/* After a restart the result may have come while the call was opened again: what waits then
	 * is that message, and its answer is whatever follows. */
	if (r == 0 && !it->command.arrived)
		talk_answer(&it->talk, 200, buf_view(&b));
	if (r == 0)
		r = wait_for_result(it, d);
	/* Nothing can fail without a call's name to copy. */
	(void)!flow_files_set_origin(it->f, it->number, SPAN(""));
	return err_trace(r);
}

/* `r`: of the way to its result. One that was cancelled is not closed: its sandbox ends, or it is
 * taken up again after a restart. */
static AWAITS int call_over(struct iteration *it, struct uuid id, int r)
{
	it->command.identity = 0; /* whoever changes policies now leaves it alone */
	if (r == -ECANCELED && it->f->cancel_asked &&
		sandbox_call_end_rights(it->f->sandbox, id) < 0)
		err_clear(); /* they end by their time */
	int closed = r == -ECANCELED
		? 0
		: call_close(it, id, it->f->manifest->spec.execution.background);
	return err_trace(r < 0 ? r : closed);
}

int command_dispatch(void *iteration, struct span call_id, const struct tool_dispatch *d,
	struct arena *a, struct tool_dispatch_result *ret)
{
	struct iteration *it = iteration;
	char id_text[UUID_TEXT_BYTES];
	uint64_t identity;
	struct uuid id;

	int r = uuid_parse(call_id, &id);
	if (r < 0 || !it->f->sandbox)
		return err_raise(-EPIPE, "cmd.run: the sandbox is gone");
	uuid_text(id, id_text);
	r = sandbox_call_open(it->f->sandbox, id, &identity, deadline_in_ms(SANDBOX_DEADLINE_MS));
	if (r < 0)
		return err_trace(r);
	r = call_begin(it, id, id_text, d, identity, a);
	if (r == 0)
		r = call_run(it, id_text, d);
	r = call_over(it, id, r);
	if (r < 0)
		return err_trace(r);
	*ret = it->command.result;
	if (!it->command.arrived) {
		*ret = (struct tool_dispatch_result){.exit_code = -1,
			.stderr_text =
				SPAN("[AEGIS] The command's result did not come back in time"),
			.duration_ms = d->timeout_ms};
		return 0;
	}
	ret->stdout_text = tail_of(a, ret->stdout_text, LIMIT_TOOL_OUTPUT_BYTES / 2);
	ret->stderr_text = tail_of(a, ret->stderr_text, LIMIT_TOOL_OUTPUT_BYTES / 2);
	return 0;
}
