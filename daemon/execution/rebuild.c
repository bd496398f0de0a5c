/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * From the events of an iteration back to where it stood. The same function notes an event when it
 * happens and when it is read after a restart, where both are possible. Pure.
 */
#include "daemon/execution/internal.h"

static int misplaced(const struct store_event *e, const char *what)
{
	return err_raise(-EUCLEAN, "event %llu (" SPAN_FMT "): %s", (unsigned long long)e->number,
		SPAN_ARG(e->type), what);
}

static int first_round(struct iteration *it, const struct store_event *e, const struct json *d)
{
	struct conversation *c = conversation_new(it);
	const struct json *messages = json_get(d, "messages");
	struct span request_id = json_str(d, "request_id", SPAN(""));

	if (!c)
		return err_raise(-ENOMEM, "rebuild: the iteration's memory is used up");
	if (!messages || messages->type != JSON_ARRAY || messages->count == 0)
		return misplaced(e, "a first turn without its messages");
	for (size_t i = 0; i < messages->count; i++) {
		struct llm_message m;
		int r = llm_message_get(it->arena, &messages->items[i], &m);
		if (r == 0)
			r = conversation_add(c, &m);
		if (r < 0)
			return err_trace(r);
	}
	c->prompt_count = c->count;
	memcpy(c->request_id, request_id.p ? request_id.p : "",
		MIN(request_id.n, sizeof(c->request_id) - 1));
	it->conversation = c;
	return 0;
}

static int turn(struct iteration *it, const struct store_event *e, const struct json *d)
{
	int64_t round = json_i64(d, "round", 0);
	struct llm_message m;
	int r = round == 1 ? first_round(it, e, d) : 0;
	struct conversation *c = it->conversation;

	if (r < 0)
		return err_trace(r);
	if (!c || round != (int64_t)c->rounds + 1)
		return misplaced(e, "its round does not follow");
	r = llm_message_get(it->arena, json_get(d, "message"), &m);
	if (r == 0)
		r = conversation_add(c, &m);
	if (r < 0)
		return err_trace(r);
	c->rounds++;
	c->done = m.tool_call_count == 0;
	it->answered = c->done;
	it->answer = c->done ? m.content : SPAN("");
	return 0;
}

static int outcome(
	struct iteration *it, const struct store_event *e, const struct json *d, const char *member)
{
	struct conversation *c = it->conversation;
	struct llm_message m = {
		.role = LLM_TOOL,
		.content = json_str(d, member, SPAN("")),
		.tool_call_id = json_str(d, "tool_call_id", SPAN("")),
	};

	if (!c)
		return misplaced(e, "a tool's outcome outside of a conversation");
	if (c->started.dispatched) {
		struct done_dispatch *done = arena_make(it->arena, struct done_dispatch);
		if (!done)
			return err_raise(-ENOMEM, "rebuild: the iteration's memory is used up");
		done->id = c->started.id;
		list_push_back(&it->done_dispatches, &done->link);
	}
	c->started = (struct started_call){0};
	c->tool_calls++;
	return err_trace(conversation_add(c, &m));
}

static void program_output(struct iteration *it, const struct json *d)
{
	it->program_reported = true;
	it->output = json_str(d, "output", SPAN(""));
	it->errors = json_str(d, "stderr", SPAN(""));
	it->exit_code = (int)json_i64(d, "exit_code", -1);
}

static void terminated(struct iteration *it, const struct json *d)
{
	it->ended = true;
	it->ending_recorded = true;
	it->ending = (struct sandbox_ending){
		.how = (enum sandbox_end)json_i64(d, "how", SANDBOX_END_UNKNOWN),
		.status = (int)json_i64(d, "status", 0),
		.usage.oom_kills = (uint64_t)json_i64(d, "oom_kills", 0),
	};
}

int rebuild_event(struct iteration *it, const struct store_event *e)
{
	struct conversation *c = it->conversation;
	const struct json *d;
	int r = json_parse(it->arena, e->details.n ? e->details : SPAN("{}"), NULL, &d);

	if (r < 0)
		return err_trace(r);
	switch (event_type_parse(e->type)) {
	case EVENT_LLM_INTERACTION:
		return err_trace(turn(it, e, d));
	case EVENT_TOOL_STARTED:
		if (!c)
			return misplaced(e, "a tool call outside of a conversation");
		c->started = (struct started_call){.is = true, .id = e->call_id};
		return 0;
	case EVENT_COMMAND_STARTED:
		if (c && uuid_eq(c->started.id, e->call_id))
			c->started.dispatched = true;
		return 0;
	case EVENT_TOOL_COMPLETED:
		return err_trace(outcome(it, e, d, "result"));
	case EVENT_TOOL_FAILED:
		return err_trace(outcome(it, e, d, "error"));
	case EVENT_TOOL_DENIED:
		return err_trace(outcome(it, e, d, "details"));
	case EVENT_ITERATION_OUTPUT:
		program_output(it, d);
		return 0;
	case EVENT_INSTANCE_SPAWNED:
		it->spawned = true;
		return 0;
	case EVENT_INSTANCE_TERMINATED:
		terminated(it, d);
		return 0;
	default:
		return 0;
	}
}
