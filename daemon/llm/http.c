/* SPDX-License-Identifier: AGPL-3.0-only */
/* One turn over HTTP in one of the wire forms, and what its failures mean: try again, ask another,
 * or give up. */
#include "daemon/llm/anthropic.h"
#include "daemon/llm/internal.h"
#include "daemon/llm/openai.h"

static int failed_call(struct llm_turn *t, const struct provider *p, int r)
{
	if (r == -ECANCELED || r == -ENOMEM || (r == -ETIME && rt_now_ns() >= t->q->deadline_ns))
		return err_trace(r);
	int outcome = r == -EINVAL || r == -EKEYREJECTED || r == -EBADMSG || r == -E2BIG
		? LLM_BAD_REPLY
		: LLM_UNAVAILABLE;
	int done = llm_outcome_because(t, outcome, "provider '%s': %s", p->name, err_message(r));
	err_clear();
	return done;
}

static int64_t retry_after_ms(const struct http_head *h)
{
	uint64_t seconds;
	if (span_to_u64(http_header_get(h, "Retry-After"), &seconds) < 0 || seconds > 3600)
		return 0;
	return (int64_t)seconds * 1000;
}

static int refused_status(
	struct llm_turn *t, const struct provider *p, const struct http_head *h, struct span body)
{
	const struct json *v = NULL;
	struct span message = span_sub(body, 0, 300);
	int outcome = LLM_REFUSED;

	if (json_parse(t->arena, body, NULL, &v) == 0) {
		const struct json *error = json_get(v, "error");
		message = error && error->type == JSON_STRING ? error->text
							      : json_str(error, "message", message);
	}
	err_clear();
	if (h->status == 429)
		outcome = LLM_RATE_LIMITED;
	else if (h->status >= 500 || h->status == 408)
		outcome = LLM_UNAVAILABLE;
	t->retry_after_ms = retry_after_ms(h);
	return llm_outcome_because(t, outcome, "provider '%s' answered %d %s: " SPAN_FMT, p->name,
		h->status, http_status_text(h->status), SPAN_ARG(message));
}

static AWAITS int read_all(struct http_exchange *x, struct buf *b)
{
	struct span piece;
	for (;;) {
		int r = http_exchange_read(x, &piece);
		if (r < 0)
			return err_trace(r);
		if (piece.n == 0)
			return err_trace(buf_error(b));
		buf_span(b, piece);
	}
}

static AWAITS int read_stream(const struct provider *p, struct http_exchange *x, struct llm_turn *t)
{
	struct answer *s = arena_make(t->arena, struct answer);
	struct sse_event e;
	struct span text;
	int r;

	if (!s)
		return err_raise(-ENOMEM, "model reply: request memory used up");
	s->arena = t->arena;
	s->reply = t->reply;
	answer_init(s);
	while ((r = http_exchange_event(x, &e)) == 0) {
		r = p->form == FORM_ANTHROPIC ? anthropic_stream_event(s, e.data, &text)
					      : openai_stream_event(s, e.data, &text);
		if (r < 0 || s->done)
			break;
		if (text.n && t->on_text)
			t->on_text(t->on_text_ctx, text);
	}
	if (r >= 0)
		r = answer_end(s, t->q);
	answer_fini(s);
	return err_trace(r);
}

static AWAITS int read_answer(struct provider *p, struct llm_turn *t, struct http_exchange *x)
{
	const struct http_head *h = http_exchange_head(x);
	bool stream = span_starts(http_header_get(h, "Content-Type"), SPAN("text/event-stream"));
	struct buf b CLEANUP(buf_fini) = buf_init(LIMIT_LLM_REPLY_BYTES);
	int r;

	if (h->status == 200 && stream)
		return err_trace(read_stream(p, x, t));
	r = read_all(x, &b);
	if (r < 0)
		return err_trace(r);
	struct span body = arena_span(t->arena, buf_view(&b));
	if (!body.p)
		return err_raise(-ENOMEM, "model reply: request memory used up");
	if (h->status != 200)
		return refused_status(t, p, h, body);
	r = p->form == FORM_ANTHROPIC ? anthropic_reply(t->q, body, t->arena, t->reply)
				      : openai_reply(t->q, body, t->arena, t->reply);
	if (r == 0 && t->on_text && t->reply->message.content.n)
		t->on_text(t->on_text_ctx, t->reply->message.content);
	return err_trace(r);
}

static int request_make(const struct provider *p, const struct llm_turn *t, struct buf *b)
{
	struct wire_request r = {
		.q = t->q,
		.model = t->model->model,
		.temperature = t->q->temperature >= 0 ? t->q->temperature : t->model->temperature,
		.max_tokens = t->model->max_output_tokens,
		.stream = p->stream || t->on_text,
		.genuine = p->form == FORM_OPENAI_GENUINE,
	};
	return err_trace(
		p->form == FORM_ANTHROPIC ? anthropic_request(&r, b) : openai_request(&r, b));
}

/* The key, as the form has it; `secret` holds a copy that the caller wipes. */
static void key_header(const struct provider *p, struct http_call *call,
	struct http_header *headers, struct buf *secret)
{
	bool bearer = p->form != FORM_ANTHROPIC;
	if (!bearer)
		headers[call->header_count++] =
			(struct http_header){SPAN("anthropic-version"), SPAN("2023-06-01")};
	if (!p->api_key)
		return;
	if (bearer)
		buf_puts(secret, "Bearer ");
	buf_span(secret, secret_reveal(p->api_key));
	headers[call->header_count++] = (struct http_header){
		bearer ? SPAN("Authorization") : SPAN("x-api-key"), buf_view(secret)};
}

int http_turn(struct provider *p, struct llm_turn *t)
{
	struct buf body CLEANUP(buf_fini) = buf_init(LIMIT_LLM_REQUEST_BYTES);
	struct buf key CLEANUP(buf_fini) = buf_init(LIMIT_HTTP_HEAD_BYTES);
	struct http_client *client;
	struct http_exchange *x = NULL;
	struct http_header headers[3] = {{SPAN("Content-Type"), SPAN("application/json")}};
	int r = llm_client(p->llm, &client);

	if (r == 0)
		r = request_make(p, t, &body);
	if (r < 0)
		return err_trace(r);
	struct http_call call = {
		.method = "POST",
		.url = p->url,
		.headers = headers,
		.header_count = 1,
		.body = buf_view(&body),
		.max_answer_bytes = LIMIT_LLM_REPLY_BYTES,
		.deadline_ns = t->q->deadline_ns,
	};
	key_header(p, &call, headers, &key);
	r = http_open(client, t->arena, &call, &x);
	if (key.data)
		secret_wipe(key.data, key.cap);
	if (r == 0)
		r = read_answer(p, t, x);
	http_exchange_close(x);
	return r < 0 ? failed_call(t, p, r) : r;
}
