/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The way of every tool call: find the tool, check the arguments, seal the envelope, ask policy,
 * run, answer. Whatever happens on the way, the caller gets one result that says what was asked,
 * who decided it and how it ended.
 */
#include "daemon/tool/arguments.h"
#include "daemon/tool/internal.h"
#include <sodium.h>
#include <stdio.h>

int tool_status_rpc_code(enum tool_status s)
{
	switch (s) {
	case TOOL_OK:
		return 0;
	case TOOL_DENIED:
		return -32000;
	case TOOL_BAD_ARGUMENTS:
		return -32602;
	case TOOL_UNKNOWN:
		return -32601;
	case TOOL_FAILED:
		return -32603;
	}
	UNREACHABLE();
}

int tool_ok(struct tool_call *c, struct span content)
{
	c->result->status = TOOL_OK;
	if (content.n > LIMIT_TOOL_OUTPUT_BYTES) {
		size_t cut = content.n - LIMIT_TOOL_OUTPUT_BYTES;
		return tool_okf(c, "[the first %zu bytes are left out]\n%.*s", cut,
			LIMIT_TOOL_OUTPUT_BYTES, content.p + cut);
	}
	char *copy = arena_cstr(c->arena, content);
	if (!copy)
		return err_raise(-ENOMEM, "tool: request memory used up");
	c->result->content = span_of(copy, content.n);
	return 0;
}

int tool_okf(struct tool_call *c, const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	char *text = arena_vprintf(c->arena, fmt, args);
	va_end(args);
	if (!text)
		return err_raise(-ENOMEM, "tool: request memory used up");
	c->result->status = TOOL_OK;
	c->result->content = span_cstr(text);
	return 0;
}

int tool_refuse(struct tool_call *c, enum tool_status status, struct span reason)
{
	int r = tool_ok(c, reason);
	c->result->status = status;
	return r;
}

int tool_effect_begins(struct tool_call *c)
{
	if ((c->tool && c->tool->read_only) || !c->envelope->allowed)
		return 0;
	return err_trace(c->envelope->allowed(c->envelope->allowed_ctx, c->result));
}

int tool_envelope_seal(struct tool_call *c)
{
	struct buf b CLEANUP(buf_fini) = buf_init(2 * LIMIT_TOOL_ARGUMENT_BYTES);
	struct json_writer w = json_writer(&b);
	const struct json *v;
	uint8_t signature[crypto_sign_BYTES];

	if (c->envelope->signer == TOOL_SIGNED_BY_AGENT) {
		c->result->envelope = c->envelope->canonical;
		c->result->signature = c->envelope->signature;
		return 0;
	}
	json_object(&w);
	json_key(&w, "payload");
	json_object(&w);
	json_field_cstr(&w, "jsonrpc", "2.0");
	json_field_span(&w, "id", c->envelope->call_id);
	json_field_cstr(&w, "method", "tools/call");
	json_key(&w, "params");
	json_object(&w);
	json_field_span(&w, "name", c->envelope->name);
	json_key(&w, "arguments");
	json_put(&w, c->arguments);
	json_end(&w);
	json_end(&w);
	json_field_i64(&w, "timestamp", rt_wall_ns() / NS_PER_S);
	json_end(&w);
	int r = buf_error(&b);
	if (r == 0)
		r = json_parse(c->arena, buf_view(&b), NULL, &v);
	if (r < 0)
		return err_trace(r);
	buf_reset(&b);
	json_canonical(&b, v);
	r = buf_error(&b);
	if (r < 0)
		return err_trace(r);
	c->result->envelope = arena_span(c->arena, buf_view(&b));
	if (c->t->signing_key) {
		crypto_sign_detached(
			signature, NULL, (const uint8_t *)b.data, b.len, c->t->signing_key);
		buf_reset(&b);
		base64_encode(&b, span_of(signature, sizeof(signature)), BASE64_STANDARD);
		c->result->signature = arena_span(c->arena, buf_view(&b));
		r = c->result->signature.p ? 0 : -ENOMEM;
	}
	if (r < 0 || !c->result->envelope.p)
		return err_raise(-ENOMEM, "tool: request memory used up");
	return 0;
}

static const struct tool_entry *entry_find(struct span name)
{
	for (size_t i = 0; i < tool_entry_count; i++)
		if (span_is(name, tool_entries[i].description.name))
			return &tool_entries[i];
	return NULL;
}

static bool takes_path(const struct tool_description *d)
{
	for (size_t i = 0; i < d->argument_count; i++)
		if (strcmp(d->arguments[i].name, "path") == 0)
			return true;
	return false;
}

/* Policy on the tool itself, with the path that it names. cmd.run asks with its argv, once that is
 * known. */
static int tool_allowed(struct tool_call *c)
{
	struct span path;
	struct decision_request q = {
		.execution_id = c->t->execution_id,
		.agent = c->t->agent,
		.tenant = c->t->tenant,
	};
	char *action = arena_printf(c->arena, "tool:" SPAN_FMT, SPAN_ARG(c->envelope->name));
	if (!action)
		return err_raise(-ENOMEM, "tool: request memory used up");
	q.action = span_cstr(action);
	if (takes_path(c->tool)) {
		int r = tool_canonical_path(c, "path", &path);
		if (r)
			return r < 0 ? err_trace(r) : r;
		q.paths = &path;
		q.path_count = 1;
	}
	return err_trace(tool_decide(c, &q));
}

/* An answer that is longer than policy allows is not passed on; what it did has been done. */
static int keep_to_size(struct tool_call *c)
{
	if (c->result->status != TOOL_OK || !c->response_bytes_max ||
		c->result->content.n <= c->response_bytes_max)
		return 0;
	char *reason = arena_printf(c->arena,
		"OUTPUT_SIZE_EXCEEDED: the answer has %zu bytes; policy accepts at most %llu",
		c->result->content.n, (unsigned long long)c->response_bytes_max);
	if (!reason)
		return err_raise(-ENOMEM, "tool: request memory used up");
	return err_trace(tool_refuse(c, TOOL_FAILED, span_cstr(reason)));
}

/* A tool that is not built in: somebody may serve it. */
static int invoke_offer(struct tool_call *c)
{
	const struct tool_source *source = c->t->source;
	struct tool_catalog *catalog = source ? source->catalog(source->ctx) : NULL;
	const struct tool_offer *o = catalog ? tool_catalog_find(catalog, c->envelope->name) : NULL;
	int r;

	if (o) {
		r = offer_run(c, o);
	} else {
		char *reason = arena_printf(
			c->arena, "Unknown tool '" SPAN_FMT "'", SPAN_ARG(c->envelope->name));
		r = tool_refuse(c, TOOL_UNKNOWN, span_cstr(reason));
	}
	tool_catalog_unref(catalog);
	return r < 0 ? err_trace(r) : err_trace(keep_to_size(c));
}

static int invoke(struct tool_call *c)
{
	const struct tool_entry *entry = entry_find(c->envelope->name);
	if (!entry)
		return err_trace(invoke_offer(c));
	c->tool = &entry->description;
	int r = tool_arguments_parse(c->tool, c->envelope->arguments, c->arena, &c->arguments);
	if (r == -EINVAL) {
		r = tool_refuse(c, TOOL_BAD_ARGUMENTS, span_cstr(err_message(r)));
		err_clear();
		return err_trace(r);
	}
	if (r == 0)
		r = tool_envelope_seal(c);
	if (r < 0)
		return err_trace(r);
	if (entry->run != cmd_run_run) {
		r = tool_allowed(c);
		if (r || c->result->status == TOOL_DENIED)
			return r < 0 ? err_trace(r) : 0;
		r = tool_effect_begins(c);
		if (r < 0)
			return err_trace(r);
	}
	r = entry->run(c);
	return r < 0 ? err_trace(r) : err_trace(keep_to_size(c));
}

int tool_invoke(const struct tool_context *t, const struct tool_envelope *e, struct arena *a,
	int64_t deadline_ns, struct tool_result *ret)
{
	struct tool_result result = {
		.server = SPAN("builtin"), .decision = {.reason = SPAN("not decided")}};
	struct tool_call c = {
		.t = t,
		.envelope = e,
		.arena = a,
		.deadline_ns = deadline_ns,
		.result = &result,
	};
	int64_t began_ns = rt_now_ns();
	int r = invoke(&c);
	if (r < 0)
		return err_trace(r);
	result.duration_ns = rt_now_ns() - began_ns;
	*ret = result;
	return 0;
}
