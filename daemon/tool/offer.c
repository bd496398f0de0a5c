/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Tools that a tool server offers take nearly the same way as the built-in ones: the envelope,
 * policy, arguments against the tool's schema, the caller's record, and only then the server. What
 * a server says of its own tools (that one only reads, say) decides nothing, and its schema is not
 * looked at for those who may not call.
 */
#include "daemon/tool/internal.h"

const struct tool_offer *tool_catalog_find(const struct tool_catalog *c, struct span name)
{
	for (size_t i = 0; i < c->count; i++)
		if (span_is(name, c->items[i].name))
			return &c->items[i];
	return NULL;
}

static int bad_arguments(struct tool_call *c, const struct tool_offer *o, int r)
{
	char *reason =
		arena_printf(c->arena, "Invalid tool arguments: %s; tool '%s' takes " SPAN_FMT,
			err_message(r), o->name, SPAN_ARG(span_sub(o->schema, 0, 1024)));

	err_clear();
	if (!reason)
		return err_raise(-ENOMEM, "tool: request memory used up");
	return err_trace(tool_refuse(c, TOOL_BAD_ARGUMENTS, span_cstr(reason)));
}

/* TOOL_PATH_ANSWERED if they are no object. */
static int arguments_read(struct tool_call *c, const struct tool_offer *o)
{
	struct span text = c->envelope->arguments.n ? c->envelope->arguments : SPAN("{}");
	int r = text.n > LIMIT_TOOL_ARGUMENT_BYTES
		? err_raise(-EINVAL, "%zu bytes, at most %d are accepted", text.n,
			  LIMIT_TOOL_ARGUMENT_BYTES)
		: json_parse(c->arena, text, NULL, &c->arguments);

	if (r == 0 && c->arguments->type != JSON_OBJECT)
		r = err_raise(-EINVAL, "an object is expected, not %s",
			json_type_name(c->arguments->type));
	if (r != -EINVAL)
		return err_trace(r);
	r = bad_arguments(c, o, r);
	return r < 0 ? err_trace(r) : TOOL_PATH_ANSWERED;
}

/* TOOL_PATH_ANSWERED if they are not what the tool takes. */
static AWAITS int arguments_check(struct tool_call *c, const struct tool_offer *o)
{
	const struct tool_source *source = c->t->source;
	int r = source->check(source->ctx, o, c->arguments, c->deadline_ns);

	if (r == -EAGAIN) {
		err_clear();
		r = tool_refuse(c, TOOL_FAILED, SPAN("busy: too many calls at once; try again"));
	} else if (r == -EINVAL) {
		r = bad_arguments(c, o, r);
	} else {
		return r;
	}
	return r < 0 ? err_trace(r) : TOOL_PATH_ANSWERED;
}

static int offer_decide(struct tool_call *c, const struct tool_offer *o)
{
	char *action = arena_printf(c->arena, "tool:%s", o->name);
	struct decision_request q = {
		.execution_id = c->t->execution_id,
		.agent = c->t->agent,
		.tenant = c->t->tenant,
		.action = span_cstr(action),
	};

	if (!action)
		return err_raise(-ENOMEM, "tool: request memory used up");
	int r = offer_judge(c, o, &q);
	if (r == -EINVAL)
		return err_trace(bad_arguments(c, o, r));
	return r < 0 ? err_trace(r) : err_trace(tool_decide(c, &q));
}

int offer_run(struct tool_call *c, const struct tool_offer *o)
{
	const struct tool_source *source = c->t->source;
	struct span answer;
	bool failed = false;
	int r = arguments_read(c, o);

	c->result->server = arena_span(c->arena, span_cstr(o->server));
	if (r == 0)
		r = tool_envelope_seal(c);
	if (r == 0)
		r = offer_decide(c, o);
	if (r == 0 && c->result->status == TOOL_OK)
		r = arguments_check(c, o);
	if (r || c->result->status != TOOL_OK)
		return r < 0 ? r : 0;
	r = tool_effect_begins(c);
	if (r == 0)
		r = source->call(
			source->ctx, o, c->arguments, c->arena, c->deadline_ns, &answer, &failed);
	if (r < 0)
		return err_trace(r);
	return err_trace(failed ? tool_refuse(c, TOOL_FAILED, answer) : tool_ok(c, answer));
}
