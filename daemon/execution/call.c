/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * One tool call of the model: recorded as begun, run as an envelope, recorded with its outcome, the
 * decision and all that is needed to decide it again (decisions, [2]), and only then told to the
 * model. The outcome's text stands in the record, so that after a restart it is read and not
 * produced again.
 */
#include "daemon/execution/internal.h"
#include <sodium.h>

enum { INLINE_BYTES = 16 * 1024 }; /* longer ones become blobs, named by their hash */

/* Who will serve it, as far as is known now. */
static struct span server_of(const struct iteration *it, struct span tool)
{
	const struct tool_source *source = it->tools.source;
	struct tool_catalog *catalog = source ? source->catalog(source->ctx) : NULL;
	const struct tool_offer *o = catalog ? tool_catalog_find(catalog, tool) : NULL;
	struct span server = o ? arena_span(it->arena, span_cstr(o->server)) : SPAN("builtin");

	tool_catalog_unref(catalog);
	return server;
}

static AWAITS int call_begin(struct conversation *c, const struct llm_tool_call *call, size_t index,
	const char *id_text, bool repeated)
{
	struct iteration *it = c->it;
	struct record rec;
	int r = record_begin(it->f, &rec);

	if (r == 0) {
		struct store_event *e = record_event(&rec, EVENT_TOOL_STARTED, it->number);
		if (uuid_parse(span_cstr(id_text), &e->call_id) < 0)
			UNREACHABLE();
		json_field_cstr(&rec.w, "invocation_id", id_text);
		json_field_span(&rec.w, "server_id", server_of(it, call->name));
		json_field_span(&rec.w, "tool_name", call->name);
		json_field_span(&rec.w, "tool_call_id", call->id);
		json_field_i64(&rec.w, "index", (int64_t)index);
		if (call->arguments.n <= INLINE_BYTES)
			json_field_span(&rec.w, "arguments", call->arguments);
		if (repeated)
			json_field_bool(&rec.w, "repeated", true);
		r = record_event_end(&rec);
	}
	if (r == 0)
		r = record_publish(&rec);
	record_fini(&rec);
	return err_trace(r);
}

/* ---- the outcome ---- */

static enum event_type outcome_type(enum tool_status s)
{
	switch (s) {
	case TOOL_OK:
		return EVENT_TOOL_COMPLETED;
	case TOOL_DENIED:
		return EVENT_TOOL_DENIED;
	case TOOL_BAD_ARGUMENTS:
	case TOOL_UNKNOWN:
	case TOOL_FAILED:
		return EVENT_TOOL_FAILED;
	}
	UNREACHABLE();
}

/* The signed bytes themselves, or, if they are long, the hash of a blob that holds them. */
static int envelope_put(struct record *rec, const struct tool_result *t)
{
	struct buf hex CLEANUP(buf_fini) = buf_init(2 * STORE_HASH_BYTES + 1);

	if (t->envelope.n == 0)
		return 0;
	if (t->envelope.n <= INLINE_BYTES) {
		json_field_span(&rec->w, "envelope", t->envelope);
	} else {
		struct store_hash hash = store_hash_of(t->envelope);
		hex_encode(&hex, span_of(hash.bytes, sizeof(hash.bytes)));
		json_field_span(&rec->w, "envelope_hash", buf_view(&hex));
		rec->blobs[rec->blob_count++] = t->envelope;
	}
	json_field_span(&rec->w, "signature", t->signature);
	json_field_cstr(&rec->w, "public_key", rec->f->public_key_text);
	return err_trace(buf_error(&hex));
}

static int outcome_event(struct record *rec, struct conversation *c, size_t index,
	const struct llm_tool_call *call, const char *id_text, const struct tool_result *t)
{
	struct store_event *e = record_event(rec, outcome_type(t->status), c->it->number);
	struct json_writer *w = &rec->w;

	if (uuid_parse(span_cstr(id_text), &e->call_id) < 0)
		UNREACHABLE();
	json_field_cstr(w, "invocation_id", id_text);
	json_field_span(w, "tool_name", call->name);
	json_field_span(w, "server_id", t->server);
	json_field_span(w, "tool_call_id", call->id);
	json_field_i64(w, "index", (int64_t)index);
	json_field_i64(w, "duration_ms", t->duration_ns / NS_PER_MS);
	if (t->status == TOOL_OK) {
		json_field_span(w, "result", t->content);
	} else if (t->status == TOOL_DENIED) {
		json_field_cstr(w, "violation_type", decision_code_name(t->decision.code));
		json_field_span(w, "details", t->content);
	} else {
		json_field_span(w, "error", t->content);
		json_field_i64(w, "code", tool_status_rpc_code(t->status));
	}
	int r = tool_decision_put(
		&rec->w, &t->decision, t->canonical_request, TOOL_SIGNED_BY_DAEMON);
	if (r == 0)
		r = envelope_put(rec, t);
	if (r == 0)
		r = record_event_end(rec);
	return err_trace(r);
}

/* The line that the model asked for, as far as an event shows it. */
static struct span command_line(const struct llm_tool_call *call, struct arena *a)
{
	const struct json *v;
	if (json_parse(a, call->arguments, NULL, &v) < 0) {
		err_clear(); /* it was dispatched, so it parsed then: what fails is the memory */
		return call->name;
	}
	struct span line = json_str(v, "command", call->name);
	return line.n <= INLINE_BYTES ? line : SPAN("(long)");
}

/* A command's own end goes into the same commit: its result and that it ended are one fact. */
static int command_event(struct record *rec, struct iteration *it, const struct llm_tool_call *call)
{
	const struct tool_dispatch_result *d = &it->command.result;
	char id[UUID_TEXT_BYTES];

	if (!it->command.active)
		return 0;
	uuid_text(it->command.id, id);
	bool completed = it->command.arrived && !it->command.abandoned;
	struct store_event *e = record_event(
		rec, completed ? EVENT_COMMAND_COMPLETED : EVENT_COMMAND_FAILED, it->number);
	e->call_id = it->command.id;
	json_field_cstr(&rec->w, "dispatch_id", id);
	struct arena *a CLEANUP(arena_cleanup) =
		arena_new(4 * (size_t)LIMIT_COMMAND_BYTES + call->arguments.n);
	json_field_span(&rec->w, "command", a ? command_line(call, a) : call->name);
	if (completed) {
		json_field_i64(&rec->w, "exit_code", d->exit_code);
		json_field_i64(&rec->w, "duration_ms", d->duration_ms);
		json_field_i64(&rec->w, "stdout_bytes", (int64_t)d->stdout_text.n);
		json_field_i64(&rec->w, "stderr_bytes", (int64_t)d->stderr_text.n);
		json_field_bool(&rec->w, "truncated", d->truncated);
	} else {
		json_field_cstr(&rec->w, "reason",
			it->command.abandoned
				? "after a restart, policy did not let it go on: it was ended"
				: "no result came back in time");
	}
	return err_trace(record_event_end(rec));
}

static void command_forget(struct iteration *it)
{
	struct done_dispatch *d;

	if (!it->command.active)
		return;
	d = arena_make(it->arena, struct done_dispatch);
	if (d) {
		d->id = it->command.id;
		list_push_back(&it->done_dispatches, &d->link);
	}
	it->command = (struct outstanding){0};
}

static AWAITS int call_end(struct conversation *c, size_t index, const struct llm_tool_call *call,
	const char *id_text, const struct tool_result *t)
{
	struct record rec;
	int r = record_begin(c->it->f, &rec);

	if (r == 0)
		r = command_event(&rec, c->it, call);
	if (r == 0)
		r = outcome_event(&rec, c, index, call, id_text, t);
	if (r == 0)
		r = record_publish(&rec);
	record_fini(&rec);
	if (r == 0)
		command_forget(c->it);
	return err_trace(r);
}

int call_answer(struct conversation *c, const struct llm_tool_call *call, size_t index)
{
	struct iteration *it = c->it;
	struct started_call started = c->started;
	char id_text[UUID_TEXT_BYTES];
	struct tool_result result;
	uint8_t random[16];

	c->started = (struct started_call){0};
	rt_random(random, sizeof(random));
	uuid_text(started.is ? started.id : uuid_from_random(random), id_text);
	/* A command that is out is the same run; anything else begins once more, and says so. */
	int r = started.dispatched ? 0 : call_begin(c, call, index, id_text, started.is);
	if (r < 0)
		return err_trace(r);
	struct tool_envelope e = {
		.call_id = arena_span(it->arena, span_cstr(id_text)),
		.name = call->name,
		.arguments = call->arguments.n ? call->arguments : SPAN("{}"),
		.signer = TOOL_SIGNED_BY_DAEMON,
	};
	it->command.id = started.id;
	it->command.active = started.dispatched;
	r = tool_invoke(&it->tools, &e, it->arena, it->deadline_ns, &result);
	/* What runs still has the rights that it had when policy let it go. */
	if (r == 0 && started.dispatched && !it->command.again)
		r = command_abandon(it);
	if (r == 0)
		r = call_end(c, index, call, id_text, &result);
	if (r < 0)
		return err_trace(r);
	struct llm_message m = {
		.role = LLM_TOOL, .content = result.content, .tool_call_id = call->id};
	c->tool_calls++;
	return err_trace(conversation_add(c, &m));
}
