/* SPDX-License-Identifier: AGPL-3.0-only */
/* Asking policy on behalf of a call, and keeping the question so that it can be asked again. */
#include "daemon/tool/internal.h"

enum { USUAL_BYTES = 1024 }; /* of a question */

int tool_request_keep(struct tool_call *c, const struct decision_request *q)
{
	struct buf b CLEANUP(buf_fini) = buf_init(2 * LIMIT_TOOL_ARGUMENT_BYTES);
	struct json_writer w = json_writer(&b);

	(void)buf_reserve(&b, USUAL_BYTES);
	decision_request_put(&w, q);
	int r = buf_error(&b);
	if (r < 0)
		return err_trace(r);
	c->result->canonical_request = arena_span(c->arena, buf_view(&b));
	return c->result->canonical_request.p ? 0
					      : err_raise(-ENOMEM, "tool: request memory used up");
}

int tool_deny(struct tool_call *c, const struct decision *d)
{
	c->result->decision = *d;
	char *reason = arena_printf(c->arena, "Denied: %s (%d): " SPAN_FMT " [policy " SPAN_FMT "]",
		decision_code_name(d->code), (int)d->code, SPAN_ARG(d->reason),
		SPAN_ARG(d->policy_id));
	if (!reason)
		return err_raise(-ENOMEM, "tool: request memory used up");
	return err_trace(tool_refuse(c, TOOL_DENIED, span_cstr(reason)));
}

/* The set that decided may be replaced while the call runs, so its names are copied. */
static int keep(struct tool_call *c, struct decision *d)
{
	struct span *ids = arena_make_array(c->arena, struct span, MAX(d->policy_count, (size_t)1));

	if (!ids)
		return err_raise(-ENOMEM, "tool: request memory used up");
	for (size_t i = 0; i < d->policy_count; i++)
		ids[i] = arena_span(c->arena, d->policy_ids[i]);
	d->policy_ids = ids;
	d->policy_id = arena_span(c->arena, d->policy_id);
	d->policy_set = arena_span(c->arena, d->policy_set);
	d->reason = arena_span(c->arena, d->reason);
	return d->policy_set.p ? 0 : err_raise(-ENOMEM, "tool: request memory used up");
}

int tool_decide(struct tool_call *c, const struct decision_request *q)
{
	struct decision d;
	int r = tool_request_keep(c, q);
	if (r == 0)
		r = policy_decide(c->t->rules, c->t->rate, q, rt_now_ns(), c->arena, &d);
	if (r == 0)
		r = keep(c, &d);
	if (r < 0)
		return err_trace(r);
	if (!d.allowed)
		return err_trace(tool_deny(c, &d));
	c->result->decision = d;
	if (d.max_response_bytes)
		c->response_bytes_max = d.max_response_bytes;
	return 0;
}
