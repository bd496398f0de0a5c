/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The dispatch gateway: messages of agents come in, what their conversation has to say goes out.
 *
 * A message is an input of the conversation, and its answer is whatever the conversation says next;
 * the two meet in a `talk`. It remembers one message and one answer, so that a message repeated
 * under its request id, because the connection broke, gets the same answer and is not taken twice.
 * After a restart nobody knows which message was open: the first one that fits is taken for it.
 */
#include "daemon/execution/internal.h"
#include "daemon/execution/message.h"

/* ---- talk ---- */

void talk_init(struct talk *t)
{
	*t = (struct talk){.answer = buf_init(LIMIT_HTTP_BODY_BYTES)};
	waitq_init(&t->wake);
}

void talk_fini(struct talk *t)
{
	buf_fini(&t->answer);
}

void talk_answer(struct talk *t, int status, struct span body)
{
	buf_reset(&t->answer);
	buf_span(&t->answer, body);
	t->status = t->answer.error ? 500 : status;
	t->open = false;
	t->delivered = false;
	waitq_wake_all(&t->wake);
}

static void error_put(struct buf *b, struct span message)
{
	struct json_writer w = json_writer(b);

	json_object(&w);
	json_field_span(&w, "error", message);
	json_end(&w);
}

void talk_error(struct talk *t, int status, struct span message)
{
	struct buf b CLEANUP(buf_fini) = buf_init(LIMIT_EXECUTION_TEXT_BYTES * 8);

	error_put(&b, span_sub(message, 0, LIMIT_EXECUTION_TEXT_BYTES));
	talk_answer(t, status, buf_view(&b));
}

void talk_close(struct talk *t, struct span message)
{
	t->closed = true;
	if (t->open || !t->status)
		talk_error(t, 410, message);
	waitq_wake_all(&t->wake);
}

/* The message is taken: the next answer is its own. */
static void talk_take(struct talk *t, struct span request_id)
{
	size_t n = MIN(request_id.n, sizeof(t->request_id) - 1);

	memcpy(t->request_id, request_id.p ? request_id.p : "", n);
	t->request_id[n] = '\0';
	t->status = 0;
	t->open = true;
	t->restored = false;
	t->turn++;
}

/* Who asks after a restart is taken for the one who waited before it. */
static void talk_adopt(struct talk *t, struct span request_id)
{
	int status = t->status;

	talk_take(t, request_id);
	t->status = status;
	t->open = status == 0;
}

static bool talk_is_repetition(const struct talk *t, struct span request_id)
{
	return request_id.n && span_is(request_id, t->request_id);
}

/* ---- messages ---- */

struct letter {
	struct iteration *it;
	struct message message;
	const struct json *json; /* what it was read from */
	struct span request_id;
	struct buf *reply;
	int *status;
};

static int refuse(struct letter *l, int status, const char *text)
{
	error_put(l->reply, span_cstr(text));
	*l->status = status;
	return 0;
}

/* Waits for the answer to the message that was taken last. */
static AWAITS int letter_wait(struct letter *l, int64_t deadline_ns)
{
	struct talk *t = &l->it->talk;
	uint64_t turn = t->turn;

	while (t->status == 0 && t->turn == turn) {
		int r = waitq_wait(&t->wake, deadline_ns);
		if (r < 0)
			return r;
	}
	if (t->turn != turn)
		return refuse(l, 409, "another message of the same agent took this one's place");
	buf_span(l->reply, buf_view(&t->answer));
	*l->status = t->status;
	t->delivered = true;
	waitq_wake_all(&l->it->changed);
	return 0;
}

static bool dispatch_was_done(const struct iteration *it, struct uuid id)
{
	list_for_each (node, &it->done_dispatches) {
		if (uuid_eq(list_entry(node, struct done_dispatch, link)->id, id))
			return true;
	}
	return false;
}

static int take_generate(struct letter *l)
{
	struct iteration *it = l->it;
	struct conversation *c = it->conversation;

	if (c && l->request_id.n && span_is(l->request_id, c->request_id) && it->talk.restored) {
		talk_adopt(&it->talk, l->request_id);
		return 0;
	}
	if (c && !c->done) {
		/* It may have been begun, and recorded under no id, before the restart. */
		if (!it->talk.restored || c->request_id[0])
			return refuse(l, 409,
				"a generate of this agent is under way; wait for its answer");
		talk_adopt(&it->talk, l->request_id);
		return 0;
	}
	int r = conversation_begin(it, l->json, &l->message, l->request_id);
	if (r == -EINVAL) {
		r = refuse(l, 400, err_message(r));
		err_clear();
		return r;
	}
	if (r < 0)
		return err_trace(r);
	talk_take(&it->talk, l->request_id);
	return err_trace(conversation_spawn(it->conversation));
}

static int take_result(struct letter *l)
{
	struct iteration *it = l->it;
	struct arena *a = it->arena;
	const struct message *m = &l->message;
	struct uuid id = m->dispatch_id;

	if (!it->command.active || !uuid_eq(it->command.id, id)) {
		/* Recorded before the restart, or too late: what it says is known or given up. */
		if (it->talk.open || !dispatch_was_done(it, id))
			return refuse(l, 409, "no dispatch of that id is waited for");
		talk_adopt(&it->talk, l->request_id);
		return 0;
	}
	if (it->command.arrived)
		return refuse(l, 409, "the result of that dispatch has come already");
	it->command.result = (struct tool_dispatch_result){
		.exit_code = m->exit_code,
		.stdout_text = arena_span(a, m->stdout_text),
		.stderr_text = arena_span(a, m->stderr_text),
		.duration_ms = m->duration_ms,
		.truncated = m->truncated,
	};
	if (!it->command.result.stdout_text.p || !it->command.result.stderr_text.p)
		return err_raise(-ENOMEM, "dispatch result: the iteration's memory is used up");
	it->command.arrived = true;
	talk_take(&it->talk, l->request_id);
	waitq_wake_all(&it->command_wake);
	return 0;
}

static AWAITS int take_program_result(struct letter *l)
{
	struct iteration *it = l->it;
	struct record rec;

	*l->status = 200;
	buf_puts(l->reply, "{\"type\":\"final\",\"content\":\"\"}");
	if (it->program_reported)
		return 0;
	struct span output = l->message.stdout_text, errors = l->message.stderr_text;
	int exit_code = l->message.exit_code & 0xffff;
	int r = record_begin(it->f, &rec);
	if (r == 0) {
		record_event(&rec, EVENT_ITERATION_OUTPUT, it->number);
		json_field_span(&rec.w, "output",
			span_sub(output,
				output.n > LIMIT_EXECUTION_OUTPUT_BYTES
					? output.n - LIMIT_EXECUTION_OUTPUT_BYTES
					: 0,
				output.n));
		json_field_span(&rec.w, "stderr", span_sub(errors, 0, LIMIT_SANDBOX_LOG_BYTES));
		json_field_i64(&rec.w, "exit_code", exit_code);
		r = record_event_end(&rec);
	}
	if (r == 0)
		r = record_publish(&rec);
	if (r == 0)
		r = rebuild_event(it, &rec.events[0]);
	record_fini(&rec);
	waitq_wake_all(&it->changed);
	return err_trace(r);
}

static AWAITS int letter_take(struct letter *l, int64_t deadline_ns)
{
	int r = 0;

	if (talk_is_repetition(&l->it->talk, l->request_id))
		return letter_wait(l, deadline_ns);
	switch (l->message.type) {
	case MESSAGE_GENERATE:
		r = take_generate(l);
		break;
	case MESSAGE_DISPATCH_RESULT:
		r = take_result(l);
		break;
	case MESSAGE_PROGRAM_RESULT:
		return take_program_result(l);
	}
	if (r < 0)
		return err_trace(r);
	return *l->status ? 0 : letter_wait(l, deadline_ns);
}

int execution_dispatch(struct executions *x, struct uuid id, const struct json *message,
	struct span request_id, struct arena *a, struct buf *reply, int *ret_status,
	int64_t deadline_ns)
{
	struct flow *f = flow_find(x, id);
	struct letter l = {
		.json = message, .request_id = request_id, .reply = reply, .status = ret_status};
	const char *why;
	int r = message_read(message, &l.message, &why);
	struct span claimed = l.message.execution_id;

	*ret_status = 0;
	l.it = f ? f->now : NULL;
	if (r == MESSAGE_BAD)
		r = refuse(&l, 400, why);
	else if (claimed.n && f && !span_eq_nocase(claimed, span_cstr(f->id_text)))
		r = refuse(
			&l, 403, "execution_id is not the execution that this socket belongs to");
	else if (request_id.n >= LIMIT_REQUEST_ID_BYTES)
		r = refuse(&l, 400, "X-Aegis-Request-Id is too long");
	else if (!l.it || l.it->talk.closed)
		r = refuse(&l, 410, "no iteration of this execution is under way");
	else {
		l.it->letters++;
		r = letter_take(&l, deadline_ns);
		if (--l.it->letters == 0)
			waitq_wake_all(&l.it->changed);
	}
	flow_unref(f);
	return r;
}

/* ---- signed calls ---- */

/* Tokens are signed by OpenSSL, which the small stacks of these connections do not hold. */
struct signed_call {
	struct executions *x;
	const struct smcp_request *request;
	struct arena *arena;
	struct buf *reply;
	int *status;
	int64_t deadline_ns;
	int result;
};

static void signed_call_main(void *arg)
{
	struct signed_call *s = arg;

	s->result = smcp_serve(
		s->x->deps.smcp, s->request, s->arena, s->reply, s->status, s->deadline_ns);
}

static AWAITS int signed_call_run(struct signed_call *s)
{
	struct group g;

	group_init(&g);
	int r = group_spawn(&g, "smcp-call", FIBER_LARGE, signed_call_main, s);
	if (r == -EAGAIN) {
		error_put(s->reply, SPAN("the daemon is busy: come again"));
		*s->status = 503;
		return 0;
	}
	if (r == 0)
		r = group_join(&g, DEADLINE_NONE);
	group_close(&g);
	return r < 0 ? r : s->result;
}

/* Whether the request is one of SMCP's. The socket says whose it is; the iteration, whose rules and
 * workspace the call uses, stays while letters are inside. */
static AWAITS bool serve_smcp(struct executions *x, struct flow *f, struct http_request *q,
	struct span body, struct buf *reply, int *ret_status)
{
	struct iteration *it = f->now;
	struct smcp_request request;

	if (!smcp_request_of(q->head->method == HTTP_POST, q->head->path, &request))
		return false;
	if (!x->deps.smcp || !it || it->talk.closed) {
		error_put(reply, SPAN("no iteration of this execution is under way"));
		*ret_status = 410;
		return true;
	}
	struct smcp_workload w = {
		.execution_id = f->id,
		.agent_id = f->agent_id,
		.security_context = span_cstr(f->manifest->spec.security_context),
		.tools = &it->tools,
		.outside = request.operation == SMCP_OP_ATTEST &&
			!(f->sandbox && sandbox_holds(f->sandbox, q->peer->pid)),
	};
	request.workload = &w;
	request.body = body;
	request.context_name = SPAN("");
	struct signed_call s = {.x = x,
		.request = &request,
		.arena = q->arena,
		.reply = reply,
		.status = ret_status,
		.deadline_ns = it->deadline_ns};
	it->letters++;
	int r = signed_call_run(&s);
	if (--it->letters == 0)
		waitq_wake_all(&it->changed);
	if (r < 0) /* -ECANCELED: the iteration is over, or the daemon stops */
		*ret_status = 0;
	return true;
}

/* ---- HTTP ---- */

static void answer_text(struct http_reply *p, int status, const char *text)
{
	struct buf b CLEANUP(buf_fini) = buf_init(4096);

	error_put(&b, span_cstr(text));
	if (http_reply(p, status, "application/json", buf_view(&b)) < 0)
		err_clear();
}

void gateway_handle(void *executions, struct http_request *q, struct http_reply *p)
{
	struct executions *x = executions;
	struct flow *f = q->peer->listener_tag;
	struct buf reply CLEANUP(buf_fini) = buf_init(LIMIT_HTTP_BODY_BYTES);
	const struct json *message;
	struct span body;
	int status = 500;

	if (span_is(q->head->path, "/health")) {
		if (http_reply(p, 200, "application/json", SPAN("{\"status\":\"healthy\"}")) < 0)
			err_clear();
		return;
	}
	int r = http_body_all(q, LIMIT_HTTP_BODY_BYTES, &body);
	if (r < 0) {
		answer_text(p, http_body_status(r), err_message(r));
		err_clear();
		return;
	}
	if (serve_smcp(x, f, q, body, &reply, &status)) {
		if (!status)
			http_reply_drop(p);
		else if (http_reply(p, status, "application/json", buf_view(&reply)) < 0)
			err_clear();
		return;
	}
	if (!span_is(q->head->path, "/v1/dispatch-gateway") || q->head->method != HTTP_POST) {
		answer_text(p, 404,
			"POST /v1/dispatch-gateway and the paths of /v1/smcp are served here");
		return;
	}
	r = json_parse(q->arena, body, NULL, &message);
	if (r < 0 || message->type != JSON_OBJECT) {
		answer_text(p, 400, r < 0 ? err_message(r) : "an object is expected");
		err_clear();
		return;
	}
	struct span request_id = http_header_get(q->head, "X-Aegis-Request-Id");
	r = execution_dispatch(
		x, f->id, message, request_id, q->arena, &reply, &status, DEADLINE_NONE);
	if (r == -ECANCELED) { /* the agent asks again after the restart */
		http_reply_drop(p);
		return;
	}
	if (r < 0) {
		err_log(r, "dispatch gateway");
		answer_text(p, 500, "the daemon failed; its log says why");
		return;
	}
	if (http_reply(p, status, "application/json", buf_view(&reply)) < 0)
		err_clear();
}
