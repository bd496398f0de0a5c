/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The inner loop. The messages alone say where a conversation stands: behind a turn with tool calls
 * stand the answers given so far; when all are there the model is asked; a turn without calls is
 * the final answer. So a conversation that was rebuilt from events goes on by the same loop.
 */
#include "daemon/execution/internal.h"
#include "daemon/execution/message.h"
#include <stdio.h>

struct conversation *conversation_new(struct iteration *it)
{
	struct conversation *c = arena_make(it->arena, struct conversation);

	if (c) {
		c->it = it;
		c->messages =
			arena_make_array(it->arena, struct llm_message, LIMIT_EXECUTION_MESSAGES);
	}
	return c && c->messages ? c : NULL;
}

int conversation_add(struct conversation *c, const struct llm_message *m)
{
	if (c->count == LIMIT_EXECUTION_MESSAGES)
		return err_raise(-E2BIG, "a conversation of more than %d messages",
			LIMIT_EXECUTION_MESSAGES);
	c->messages[c->count++] = *m;
	return 0;
}

/* ---- the beginning ---- */

static int prior_messages(struct conversation *c, const struct json *list)
{
	if (!list)
		return 0;
	if (list->count > LIMIT_EXECUTION_MESSAGES / 2)
		return err_raise(-EINVAL, "messages: a list of at most %d is expected",
			LIMIT_EXECUTION_MESSAGES / 2);
	for (size_t i = 0; i < list->count; i++) {
		struct llm_message m;
		int r = llm_message_get(c->it->arena, &list->items[i], &m);
		if (r == 0)
			r = conversation_add(c, &m);
		if (r < 0)
			return err_wrap(r, "messages[%zu]", i);
	}
	return 0;
}

static int alias_check(const struct iteration *it, struct span asked)
{
	const char *own = it->f->manifest->spec.runtime.model;

	if (asked.n == 0 || span_is(asked, own ? own : "default"))
		return 0;
	return err_raise(-EINVAL, "model_alias: '" SPAN_FMT "'; the agent's manifest names '%s'",
		SPAN_ARG(asked), own ? own : "default");
}

/* The message belongs to the request: what is kept of it is copied. */
static int copy_message(struct iteration *it, const struct json *json, struct message *ret)
{
	struct buf text CLEANUP(buf_fini) = buf_init(LIMIT_JSON_BYTES);
	struct json_writer w = json_writer(&text);
	const struct json *copy;
	const char *why;

	json_put(&w, json);
	int r = buf_error(&text);
	if (r == 0)
		r = json_parse(it->arena, buf_view(&text), NULL, &copy);
	if (r < 0)
		return err_trace(r);
	CHECK(message_read(copy, ret, &why) == 0);
	return 0;
}

int conversation_begin(struct iteration *it, const struct json *json, const struct message *message,
	struct span request_id)
{
	struct conversation *c = conversation_new(it);
	struct message own;
	int r = alias_check(it, message->model_alias);

	if (r < 0)
		return err_trace(r);
	if (!c)
		return err_raise(-ENOMEM, "conversation: the iteration's memory is used up");
	r = copy_message(it, json, &own);
	if (r == 0)
		r = prior_messages(c, own.messages);
	if (r < 0)
		return err_trace(r);
	struct llm_message prompt = {.role = LLM_USER, .content = own.prompt};
	if (prompt.content.n || c->count == 0)
		r = conversation_add(c, &prompt);
	if (r < 0)
		return err_trace(r);
	memcpy(c->request_id, request_id.p ? request_id.p : "",
		MIN(request_id.n, sizeof(c->request_id) - 1));
	c->prompt_count = c->count;
	c->repeated = it->resumed && !it->conversation;
	it->conversation = c;
	it->answered = false;
	return 0;
}

/* ---- a turn of the model ---- */

static bool tool_is_declared(const struct agent_manifest *m, const char *name)
{
	for (size_t i = 0; i < m->spec.tools.count; i++) {
		const char *pattern = agent_tool_pattern(&m->spec.tools.items[i]);
		size_t n = pattern ? strlen(pattern) : 0;
		if (n == 0)
			continue;
		bool family = n > 2 && strcmp(pattern + n - 2, ".*") == 0;
		if (family ? strncmp(pattern, name, n - 1) == 0 : strcmp(pattern, name) == 0)
			return true;
	}
	return false;
}

/* Their texts are the catalog's, which the turn holds. */
static void offers_add(
	struct iteration *it, const struct tool_catalog *catalog, struct llm_tool *tools, size_t *n)
{
	for (size_t i = 0; catalog && i < catalog->count; i++) {
		const struct tool_offer *o = &catalog->items[i];
		if (tool_is_declared(it->f->manifest, o->name))
			tools[(*n)++] = (struct llm_tool){
				span_cstr(o->name), span_cstr(o->description), o->schema};
	}
}

static int tools_make(struct iteration *it, const struct tool_catalog *catalog, struct arena *a,
	struct llm_request *q)
{
	struct llm_tool *tools;
	size_t count = 0;

	while (tool_at(count))
		count++;
	tools = arena_make_array(a, struct llm_tool, count + (catalog ? catalog->count : 0) + 1);
	if (!tools)
		return err_raise(-ENOMEM, "tools: out of memory");
	q->tools = tools;
	for (size_t i = 0; i < count; i++) {
		const struct tool_description *d = tool_at(i);
		struct buf b CLEANUP(buf_fini) = buf_init(64 * 1024);
		struct json_writer w = json_writer(&b);
		if (!tool_is_declared(it->f->manifest, d->name))
			continue;
		tool_schema_put(&w, d);
		struct span schema = arena_span(a, buf_view(&b));
		if (b.error || !schema.p)
			return err_raise(-ENOMEM, "tools: out of memory");
		tools[q->tool_count++] =
			(struct llm_tool){span_cstr(d->name), span_cstr(d->description), schema};
	}
	offers_add(it, catalog, tools, &q->tool_count);
	return 0;
}

static void messages_put(struct json_writer *w, const struct conversation *c, size_t count)
{
	json_array(w);
	for (size_t i = 0; i < count; i++)
		llm_message_put(w, &c->messages[i]);
	json_end(w);
}

/* The turn with all that is needed to go on from it after a restart. */
static AWAITS int turn_record(struct conversation *c, const struct llm_reply *reply)
{
	struct iteration *it = c->it;
	struct record rec;
	int r = record_begin(it->f, &rec);

	if (r == 0) {
		record_event(&rec, EVENT_LLM_INTERACTION, it->number);
		struct json_writer *w = &rec.w;
		json_field_span(w, "provider", reply->provider);
		json_field_span(w, "model", reply->model);
		if (reply->prompt_tokens >= 0)
			json_field_i64(w, "input_tokens", reply->prompt_tokens);
		if (reply->completion_tokens >= 0)
			json_field_i64(w, "output_tokens", reply->completion_tokens);
		json_field_span(w, "prompt",
			c->rounds == 0 ? c->messages[c->prompt_count - 1].content : SPAN(""));
		json_field_span(w, "response", reply->message.content);
		json_field_span(w, "finish_reason", reply->finish_reason);
		json_field_i64(w, "latency_ms", reply->latency_ns / NS_PER_MS);
		json_field_bool(w, "replayed", reply->replayed);
		json_field_bool(w, "repeated", c->repeated);
		json_field_i64(w, "round", c->rounds + 1);
		json_field_cstr(w, "request_id", c->request_id);
		if (c->rounds == 0) {
			json_key(w, "messages");
			messages_put(w, c, c->prompt_count);
		}
		json_key(w, "message");
		llm_message_put(w, &reply->message);
		r = record_event_end(&rec);
	}
	if (r == 0)
		r = record_publish(&rec);
	record_fini(&rec);
	return err_trace(r);
}

static const struct {
	const char *class;
	int status; /* of the answer to the agent, as upstream */
	bool fatal; /* another iteration would meet the same */
} llm_failures[] = {
	[LLM_UNAVAILABLE] = {"unavailable", 503, false},
	[LLM_RATE_LIMITED] = {"rate_limited", 429, false},
	[LLM_REFUSED] = {"refused", 502, true},
	[LLM_BAD_REPLY] = {"bad_reply", 502, false},
	[LLM_MISS] = {"replay_miss", 502, true},
	[LLM_UNKNOWN_ALIAS] = {"unknown_alias", 502, true},
};

/* Records that no turn came, and tells the agent. */
static AWAITS int turn_failed(struct conversation *c, const char *class, int status, bool fatal,
	struct span why, int64_t began_ns)
{
	struct iteration *it = c->it;
	const char *alias = it->f->manifest->spec.runtime.model;
	struct record rec;
	char text[1024];
	int r = record_begin(it->f, &rec);

	if (r == 0) {
		record_event(&rec, EVENT_LLM_CALL_FAILED, it->number);
		json_field_cstr(&rec.w, "provider", "");
		json_field_cstr(&rec.w, "model", alias ? alias : "default");
		json_field_cstr(&rec.w, "error_class", class);
		json_field_span(&rec.w, "message", why);
		json_field_i64(&rec.w, "attempts", 1);
		json_field_i64(&rec.w, "elapsed_ms", (rt_now_ns() - began_ns) / NS_PER_MS);
		r = record_event_end(&rec);
	}
	if (r == 0)
		r = record_publish(&rec);
	record_fini(&rec);
	if (r < 0)
		return err_trace(r);
	snprintf(text, sizeof(text), "upstream_%s: " SPAN_FMT, class,
		SPAN_ARG(span_sub(why, 0, 900)));
	iteration_fail(
		it, strcmp(class, "timeout") == 0 ? "llm_timeout" : "llm", fatal, span_cstr(text));
	talk_error(&it->talk, status, span_cstr(text));
	return 0;
}

static AWAITS int model_turn(struct conversation *c)
{
	struct iteration *it = c->it;
	const struct agent_spec *spec = &it->f->manifest->spec;
	struct arena *scratch CLEANUP(arena_cleanup) = arena_new(1024 * 1024);
	int64_t began_ns = rt_now_ns();
	struct llm_request q = {
		.alias = span_cstr(spec->runtime.model),
		.messages = c->messages,
		.message_count = c->count,
		.temperature = spec->runtime.temperature,
		.deadline_ns = deadline_earlier(
			it->deadline_ns, began_ns + spec->execution.llm_timeout_ns),
	};
	struct llm_reply reply;
	struct span why = {0};
	const struct tool_source *source = it->f->x->deps.source;
	struct tool_catalog *catalog = source ? source->catalog(source->ctx) : NULL;
	int r = scratch ? tools_make(it, catalog, scratch, &q) : -ENOMEM;

	if (r == 0)
		r = llm_complete(it->f->x->deps.llm, &q, NULL, NULL, it->arena, &reply, &why);
	tool_catalog_unref(catalog);
	if (r == -ETIME) {
		char text[64];
		err_clear();
		if (rt_now_ns() >= it->deadline_ns)
			return -ETIME;
		snprintf(text, sizeof(text), "no answer of the model within %lld s",
			(long long)(spec->execution.llm_timeout_ns / NS_PER_S));
		return err_trace(turn_failed(c, "timeout", 503, false, span_cstr(text), began_ns));
	}
	if (r > 0)
		return err_trace(turn_failed(c, llm_failures[r].class, llm_failures[r].status,
			llm_failures[r].fatal, why, began_ns));
	if (r == 0)
		r = turn_record(c, &reply);
	if (r == 0)
		r = conversation_add(c, &reply.message);
	if (r < 0)
		return err_trace(r);
	c->rounds++;
	c->repeated = false;
	return 0;
}

/* ---- the loop ---- */

/* Index of the last turn of the model, or -1: none since the prompt. */
static ssize_t last_turn(const struct conversation *c)
{
	for (size_t i = c->count; i > c->prompt_count; i--)
		if (c->messages[i - 1].role == LLM_ASSISTANT)
			return (ssize_t)i - 1;
	return -1;
}

void conversation_put_final(struct conversation *c)
{
	struct buf b CLEANUP(buf_fini) = buf_init(LIMIT_HTTP_BODY_BYTES);
	struct json_writer w = json_writer(&b);

	json_object(&w);
	json_field_cstr(&w, "type", "final");
	json_field_span(&w, "content", c->messages[c->count - 1].content);
	json_field_i64(&w, "tool_calls_executed", c->tool_calls);
	json_key(&w, "conversation");
	messages_put(&w, c, c->count);
	json_end(&w);
	if (b.error) { /* the transcript alone may be left out */
		buf_reset(&b);
		w = json_writer(&b);
		json_object(&w);
		json_field_cstr(&w, "type", "final");
		json_field_span(&w, "content", c->messages[c->count - 1].content);
		json_field_i64(&w, "tool_calls_executed", c->tool_calls);
		json_key(&w, "conversation");
		json_array(&w);
		json_end(&w);
		json_end(&w);
	}
	talk_answer(&c->it->talk, 200, buf_view(&b));
}

static void finish(struct conversation *c)
{
	c->done = true;
	c->it->answered = true;
	c->it->answer = c->messages[c->count - 1].content;
	conversation_put_final(c);
	waitq_wake_all(&c->it->changed);
}

/* One step. 1 when the conversation has ended. */
static AWAITS int step(struct conversation *c)
{
	ssize_t turn = last_turn(c);

	if (turn >= 0) {
		const struct llm_message *m = &c->messages[turn];
		size_t answered = c->count - (size_t)turn - 1;
		if (m->tool_call_count == 0) {
			finish(c);
			return 1;
		}
		if (answered < m->tool_call_count)
			return err_trace(call_answer(c, &m->tool_calls[answered], answered));
	}
	if (c->rounds == LIMIT_EXECUTION_ROUNDS) {
		static const char text[] = "the model went on asking for tools for 50 rounds "
					   "without an answer";
		iteration_fail(c->it, "rounds", false, span_cstr(text));
		talk_error(&c->it->talk, 502, span_cstr(text));
		return 1;
	}
	int r = model_turn(c);
	if (r < 0)
		return err_trace(r);
	return c->it->failure.kind ? 1 : 0;
}

static void conversation_main(void *arg)
{
	struct conversation *c = arg;
	int r = 0;

	while (r == 0)
		r = step(c);
	if (r >= 0 || fiber_cancelled() || r == -ECANCELED) {
		err_clear();
		return;
	}
	if (r == -ESRCH) { /* the sandbox has ended: its watch says how */
		err_clear();
		return;
	}
	if (r == -ETIME) { /* the iteration's own deadline: the work sees it too */
		err_clear();
		waitq_wake_all(&c->it->changed);
		return;
	}
	iteration_fail(c->it, "internal", r == -EPROTO, span_cstr(err_message(r)));
	err_log(r, "conversation");
	talk_error(&c->it->talk, 500, c->it->failure.message);
}

int conversation_spawn(struct conversation *c)
{
	return err_trace(
		group_spawn(&c->it->group, "conversation", FIBER_LARGE, conversation_main, c));
}
